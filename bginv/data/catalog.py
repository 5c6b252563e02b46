"""Every data set name and the function that loads it."""

import dataclasses
import difflib
import os
from collections.abc import Callable

from bginv.data.digits import load_digits
from bginv.data.folder import load_folder
from bginv.data.injected import with_backgrounds, with_noises
from bginv.data.sources import Dataset
from bginv.data.tfds import load_mnist

Loader = Callable[[str, str | None], Dataset]


def _then(change: Callable[[Dataset], Dataset], load: Loader) -> Loader:
    return lambda name, data_dir: change(load(name, data_dir))


GREY: dict[str, Loader] = {"digits": load_digits, "mnist": load_mnist}
CATALOG: dict[str, Loader] = {
    **GREY,
    **{f"{name}_backgrounds": _then(with_backgrounds, load) for name, load in GREY.items()},
    **{f"{name}_noises": _then(with_noises, load) for name, load in GREY.items()},
}


FOLDER = "folder:"
IMAGE_SIZE, SMALLEST_IMAGE_SIZE = 64, 8


def check_name(name: str) -> None:
    """Raise if there is no data set of this name.

    Raises:
        ValueError: it names the nearest name and all names.
    """
    if name == FOLDER:
        raise ValueError(f"dataset {name!r} needs the path of a folder after the colon")
    if name in CATALOG or name.startswith(FOLDER):
        return
    near = difflib.get_close_matches(name, CATALOG, 1)
    if os.path.isdir(os.path.expanduser(name)):
        near = [FOLDER + name]
    hint = f"; did you mean {near[0]!r}?" if near else "."
    known = ", ".join([*sorted(CATALOG), FOLDER + "PATH"])
    raise ValueError(f"unknown dataset {name!r}{hint} Known: {known}")


def load_data(
    name: str,
    data_dir: str | None = None,
    limit: int | None = None,
    image_size: int | None = None,
    skip_bad_files: bool = False,
) -> Dataset:
    """Load a data set by name.

    Args:
        name: a key of `CATALOG`, such as "digits" or "mnist_backgrounds", or "folder:PATH" for
            the user's own photographs, see `bginv.data.folder`.
        data_dir: where its files are; None means the loader's default. A folder does without.
        limit: use the first `limit` training images only; tests stay whole.
        image_size: side of the images of a folder; None means 64.
        skip_bad_files: leave files of a folder out that cannot be read, with a warning.

    Raises:
        ValueError: unknown name, a limit below 1, an image size below 8 or for a data set that
            has its own, or a folder that cannot be used.
        FileNotFoundError: the data is not there and cannot be downloaded.
    """
    check_name(name)
    if limit is not None and limit < 1:
        raise ValueError(f"limit must be at least 1; received {limit}")
    if name.startswith(FOLDER):
        size = IMAGE_SIZE if image_size is None else image_size
        if size < SMALLEST_IMAGE_SIZE:
            raise ValueError(f"image_size must be at least {SMALLEST_IMAGE_SIZE}; received {size}")
        dataset = load_folder(name.removeprefix(FOLDER), size, skip_bad_files)
    elif image_size is not None:
        raise ValueError(f"--image-size is for {FOLDER}PATH alone; {name} has a size of its own")
    else:
        dataset = CATALOG[name](name, data_dir)
    if limit is not None:
        dataset = dataclasses.replace(dataset, train=dataset.train.first(limit))
    return dataset


def proof_name(name: str) -> str:
    """Name of the data set whose tests show robustness: `<name>_backgrounds` where there is one."""
    return f"{name}_backgrounds" if name in GREY else name
