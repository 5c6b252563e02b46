"""Every data set name and the function that loads it."""

import dataclasses
import difflib
from collections.abc import Callable

from bginv.data.digits import load_digits
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


def check_name(name: str) -> None:
    """Raise if there is no data set of this name.

    Raises:
        ValueError: it names the nearest name and all names.
    """
    if name not in CATALOG:
        near = difflib.get_close_matches(name, CATALOG, 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"unknown dataset {name!r}{hint} Known: {', '.join(sorted(CATALOG))}")


def load_data(name: str, data_dir: str | None = None, limit: int | None = None) -> Dataset:
    """Load a data set by name.

    Args:
        name: a key of `CATALOG`, such as "digits" or "mnist_backgrounds".
        data_dir: where its files are; None means the loader's default.
        limit: use the first `limit` training images only; tests stay whole.

    Raises:
        ValueError: unknown name, or a limit below 1.
        FileNotFoundError: the data is not there and cannot be downloaded.
    """
    check_name(name)
    if limit is not None and limit < 1:
        raise ValueError(f"limit must be at least 1; received {limit}")
    dataset = CATALOG[name](name, data_dir)
    if limit is not None:
        dataset = dataclasses.replace(dataset, train=dataset.train.first(limit))
    return dataset


def proof_name(name: str) -> str:
    """Name of the data set whose tests show robustness: `<name>_backgrounds` where there is one."""
    return f"{name}_backgrounds" if name in GREY else name
