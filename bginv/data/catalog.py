"""Every data set name, and where it is found; a set is imported when it is asked for."""

import dataclasses
import difflib
import os
import pkgutil
from collections.abc import Iterator, Mapping

from bginv.data.entries import (
    COCO,
    CSV,
    FOLDER,
    MULTILABEL,
    SEGMENTATION,
    TFDS,
    VOC,
    WATERBIRDS,
    YOLO,
    Entry,
    Place,
)
from bginv.data.places import tell_groups, with_groups
from bginv.data.sources import Dataset, Source
from bginv.errors import UserError

READERS = {
    FOLDER: "bginv.data.folder:load_folder",
    MULTILABEL: "bginv.data.labelled:load_multilabel",
    WATERBIRDS: "bginv.data.metadata:load_metadata",
    SEGMENTATION: "bginv.data.segmentation:load_label_maps",
    CSV: "bginv.data.listed_tables:load_csv",
    COCO: "bginv.data.coco:load_coco",
    VOC: "bginv.data.voc:load_voc_folder",
    YOLO: "bginv.data.yolo:load_yolo",
}
"""What reads a path, at a size, with or without files that cannot be read."""
PREFIXES = {
    FOLDER: "PATH",
    TFDS: "NAME",
    MULTILABEL: "PATH",
    WATERBIRDS: "PATH",
    SEGMENTATION: "PATH",
    CSV: "FILE",
    COCO: "PATH",
    VOC: "PATH",
    YOLO: "PATH",
}
CATALOG = {
    "digits": "bginv.data.digits:DIGITS",
    "shapes": "bginv.data.shapes:SHAPES",
    "shapes_unbiased": "bginv.data.shapes:UNBIASED",
    "mnist": "bginv.data.tfds:MNIST",
    "fashionmnist": "bginv.data.tfds:FASHION_MNIST",
    "cifar10": "bginv.data.tfds:CIFAR10",
    "stl10": "bginv.data.tfds:STL10",
    "svhn": "bginv.data.tfds:SVHN",
    "dogsvscatsredux": "bginv.data.tfds:CATS_VS_DOGS",
    "synthdigits": "bginv.data.digits:SYNTH_DIGITS",
    "gtsrb": "bginv.data.signs:GTSRB",
    "synsigns": "bginv.data.signs:SYNSIGNS",
    "prates": "bginv.data.insulators:PRATES",
    "voc2012": "bginv.data.segmentation:VOC2012",
    "cifar10_stl10": "bginv.data.pairs:CIFAR10_STL10",
    "stl10_cifar10": "bginv.data.pairs:STL10_CIFAR10",
    "gtsrb_synsigns": "bginv.data.pairs:GTSRB_SYNSIGNS",
    "svhn_synthdigits": "bginv.data.pairs:SVHN_SYNTHDIGITS",
    "synthdigits_svhn": "bginv.data.pairs:SYNTHDIGITS_SVHN",
    "digits_backgrounds": "bginv.data.injected:DIGITS_BACKGROUNDS",
    "mnist_backgrounds": "bginv.data.injected:MNIST_BACKGROUNDS",
    "fashionmnist_backgrounds": "bginv.data.injected:FASHION_BACKGROUNDS",
    "digits_noises": "bginv.data.injected:DIGITS_NOISES",
    "mnist_noises": "bginv.data.injected:MNIST_NOISES",
    "fashionmnist_noises": "bginv.data.injected:FASHION_NOISES",
}
"""The `Entry` of each set, by "module:NAME"."""
IMAGE_SIZE, SMALLEST_IMAGE_SIZE = 64, 8
NOISY_IMAGES = 1000
SHOWN_FILES = 4


def entries() -> Iterator[tuple[str, Entry]]:
    """Every data set of the catalog."""
    return ((name, entry_of(name)) for name in CATALOG)


def entry_of(name: str) -> Entry:
    """What is known of a data set of the catalog."""
    return pkgutil.resolve_name(CATALOG[name])


def check_name(name: str) -> None:
    """Raise if there is no data set of this name.

    Raises:
        UserError: it names the nearest name and all names.
    """
    if name in PREFIXES:
        what = {TFDS: "name of a TFDS builder", CSV: "path of a file"}.get(name, "path of a folder")
        raise UserError(f"dataset {name!r} needs the {what} after the colon")
    if name in CATALOG or name.startswith(tuple(PREFIXES)):
        return
    if os.sep in name:
        raise UserError(f"there is no folder {name}")
    near = difflib.get_close_matches(name, CATALOG, 1)
    hint = f"; did you mean {near[0]!r}?" if near else "."
    known = ", ".join([*sorted(CATALOG), *map("".join, PREFIXES.items())])
    raise UserError(f"unknown dataset {name!r}{hint} Known: {known}")


def full_name(name: str | os.PathLike) -> str:
    """The name of a data set; that of a folder begins with "folder:", which may be left out."""
    name = os.fspath(name)
    is_folder = name not in CATALOG and os.path.isdir(os.path.expanduser(name))
    return FOLDER + name if is_folder else name


def takes_any_size(name: str) -> bool:
    """Whether a data set's images come in the size asked for."""
    name = full_name(name)
    return name.startswith(tuple(PREFIXES)) or (name in CATALOG and entry_of(name).any_size)


def load_data(
    name: str | os.PathLike,
    data_dir: str | None = None,
    limit: int | None = None,
    image_size: int | None = None,
    skip_bad_files: bool = False,
    groups: str | os.PathLike | None = None,
) -> Dataset:
    """Load a data set by name.

    Args:
        name: a key of `CATALOG`, such as "digits" or "mnist_backgrounds"; the path of a folder, or
            "folder:PATH", for the user's own photographs, see `bginv.data.folder`;
            "waterbirds:PATH" for such with a table of places, see `bginv.data.metadata`;
            "multilabel:PATH" for such with several classes each, see `bginv.data.labelled`;
            "segmentation:PATH" for such with label maps, see `bginv.data.segmentation`;
            "csv:FILE", "coco:PATH", "voc:PATH" and "yolo:PATH" for photographs that a table or
            annotations list, see `bginv.data.listed_tables`, `coco`, `voc` and `yolo` there;
            "tfds:NAME" for any set of TFDS with one label an image.
        data_dir: where its files are: TFDS's data directory, or the folder that holds the
            publishers' files. None means TFDS's default and `~/.keras/datasets`. A folder does
            without.
        limit: use the first `limit` training images only; tests stay whole.
        image_size: side of the images of a data set that has no size of its own, see
            `takes_any_size`; None means 64, and 224 for "voc2012".
        skip_bad_files: leave files out that cannot be read, with a warning.
        groups: "FILE.csv" or "FILE.csv:COLUMN", the places of a folder's images, see
            `bginv.data.places`; they take the place of its own.

    Raises:
        UserError: unknown name, a limit below 1, an image size below 8 or for a data set that
            has its own, files that cannot be used, or groups of other data than a folder.
        FileNotFoundError: the data is not there and cannot be downloaded.
    """
    name = full_name(name)
    check_name(name)
    if limit is not None and limit < 1:
        raise UserError(f"limit must be at least 1; received {limit}")
    if image_size is not None and image_size < SMALLEST_IMAGE_SIZE:
        raise UserError(f"image_size must be at least {SMALLEST_IMAGE_SIZE}; received {image_size}")
    if groups is not None and not name.startswith((FOLDER, WATERBIRDS)):
        raise UserError(
            f"groups (--groups) are for folder:PATH and waterbirds:PATH; received {name}"
        )
    prefix = next((own for own in READERS if name.startswith(own)), None)
    if prefix:
        path = name.removeprefix(prefix)
        read = pkgutil.resolve_name(READERS[prefix])
        dataset = read(path, image_size or IMAGE_SIZE, skip_bad_files)
    elif name.startswith(TFDS):
        load_tfds = pkgutil.resolve_name("bginv.data.tfds:load_tfds")
        dataset = load_tfds(name, name.removeprefix(TFDS), data_dir, image_size or IMAGE_SIZE)
    else:
        dataset = _load_entry(name, data_dir, image_size, skip_bad_files)
    if groups is not None:
        dataset = with_groups(dataset, name.partition(":")[2], os.fspath(groups))
    tell_groups(dataset)
    if limit is not None:
        dataset = dataclasses.replace(dataset, train=dataset.train.first(limit))
    return dataset


def _load_entry(
    name: str, data_dir: str | None, image_size: int | None, skip_bad_files: bool
) -> Dataset:
    entry = entry_of(name)
    if image_size is not None and not entry.any_size:
        sized = [key for key, other in entries() if other.any_size]
        sized = ", ".join([*map("".join, PREFIXES.items()), *sized])
        raise UserError(f"an image size is for {sized} alone; {name} has a size of its own")
    place = Place(name, data_dir, image_size or entry.side, skip_bad_files)
    missing = entry.missing(data_dir)
    if missing:
        listed = ", ".join(file.replace("|", " or ") for file in missing[:SHOWN_FILES])
        more = len(missing) - SHOWN_FILES
        raise FileNotFoundError(
            f"{name} needs these in {place.root}: {listed}{f' and {more} more' if more > 0 else ''}"
            f"; get them from {entry.publisher} and unpack them there, or name their folder with "
            "--data-dir (in Python: data_dir)"
        )
    return entry.load(place)


def noise_tests(dataset: Dataset) -> Mapping[str, Source]:
    """Some images of a grey data set's clean test at 20 rates of salt and pepper; else nothing."""
    is_grey = f"{dataset.name.removesuffix('_backgrounds')}_noises" in CATALOG
    if not is_grey or "clean" not in dataset.tests:
        return {}
    clean = {"clean": dataset.tests["clean"].first(NOISY_IMAGES)}
    with_noises = pkgutil.resolve_name("bginv.data.injected:with_noises")
    return with_noises(dataclasses.replace(dataset, tests=clean)).tests


def proof_name(name: str) -> str:
    """Name of the data set whose tests show robustness: `<name>_backgrounds` where there is one."""
    proof = f"{name}_backgrounds"
    return proof if proof in CATALOG else name
