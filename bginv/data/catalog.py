"""Every data set name and the function that loads it."""

import dataclasses
import difflib
import os
from collections.abc import Callable, Mapping

from bginv.data.coco import PREFIX as COCO
from bginv.data.coco import load_coco
from bginv.data.digits import SYNTHDIGITS, load_digits, load_synthdigits
from bginv.data.entries import Entry, Place
from bginv.data.folder import load_folder
from bginv.data.injected import with_backgrounds, with_noises
from bginv.data.insulators import COMPONENTS, MATERIALS, load_insulators
from bginv.data.labelled import load_multilabel
from bginv.data.listed_tables import PREFIX as CSV
from bginv.data.listed_tables import load_csv
from bginv.data.metadata import PREFIX as WATERBIRDS
from bginv.data.metadata import load_metadata
from bginv.data.places import tell_groups, with_groups
from bginv.data.segmentation import (
    CIFAR10,
    CIFAR10_STL10,
    STL10,
    VOC_ROOT,
    load_label_maps,
    load_voc,
    pair,
    with_classes,
)
from bginv.data.shapes import SIDE as SHAPES_SIDE
from bginv.data.shapes import load_shapes
from bginv.data.signs import (
    GTSRB_LABELS,
    GTSRB_TEST,
    GTSRB_TRAIN,
    SYNSIGNS,
    load_all_synsigns,
    load_gtsrb,
    load_synsigns,
)
from bginv.data.sources import Dataset, Source
from bginv.data.tfds import load_tfds
from bginv.data.voc import PREFIX as VOC
from bginv.data.voc import load_voc_folder
from bginv.data.yolo import PREFIX as YOLO
from bginv.data.yolo import load_yolo
from bginv.errors import UserError

FOLDER, TFDS, MULTILABEL, SEGMENTATION = "folder:", "tfds:", "multilabel:", "segmentation:"
READERS: dict[str, Callable[[str, int, bool], Dataset]] = {
    FOLDER: load_folder,
    MULTILABEL: load_multilabel,
    WATERBIRDS: load_metadata,
    SEGMENTATION: load_label_maps,
    CSV: load_csv,
    COCO: load_coco,
    VOC: load_voc_folder,
    YOLO: load_yolo,
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
IMAGE_SIZE, SMALLEST_IMAGE_SIZE = 64, 8
NOISY_IMAGES = 1000
SHOWN_FILES = 4


def _of_tfds(builder: str, about: str, side: int, **more) -> Entry:
    how = {key: more.pop(key) for key in ("padded", "class_names") if key in more}
    tests = more.pop("tests", ("test",))

    def load(place: Place) -> Dataset:
        return load_tfds(place.name, builder, place.data_dir, place.side, tests, **how)

    return Entry(load=load, about=about, side=side, builders=(builder,), **more)


_SINGLE: dict[str, Entry] = {
    "digits": Entry(
        load=lambda place: load_digits(place.name),
        about="1,797 handwritten digits",
        side=32,
        channels=1,
    ),
    "shapes": Entry(
        load=lambda place: load_shapes(place.name, place.side),
        about="six shapes on textures, with masks",
        side=SHAPES_SIDE,
        any_size=True,
    ),
    "shapes_unbiased": Entry(
        load=lambda place: load_shapes(place.name, place.side, own_share=0.0),
        about="the same, trained with any texture behind any shape",
        side=SHAPES_SIDE,
        any_size=True,
    ),
    "mnist": _of_tfds("mnist", "handwritten digits", 32, channels=1, padded=True),
    "fashionmnist": _of_tfds("fashion_mnist", "clothes", 32, channels=1, padded=True),
    "cifar10": _of_tfds("cifar10", "animals and vehicles", 64, class_names=CIFAR10),
    "stl10": _of_tfds("stl10", "animals and vehicles", 64, class_names=STL10),
    "svhn": _of_tfds("svhn_cropped", "house numbers", 32),
    "dogsvscatsredux": _of_tfds("cats_vs_dogs", "cats and dogs", 64, tests=()),
    "synthdigits": Entry(
        load=lambda place: load_synthdigits(place.name, place.root),
        about="digits in many fonts and colours",
        side=32,
        files=SYNTHDIGITS,
        publisher="Ganin & Lempitsky (yaroslav.ganin.net)",
    ),
    "gtsrb": Entry(
        load=lambda place: load_gtsrb(place.name, place.root, place.side, place.skip_bad_files),
        about="German traffic signs",
        side=64,
        files=("|".join(GTSRB_TRAIN), GTSRB_TEST, GTSRB_LABELS),
        publisher="INI Bochum (benchmark.ini.rub.de)",
    ),
    "synsigns": Entry(
        load=lambda place: load_synsigns(place.name, place.root, place.side, place.skip_bad_files),
        about="synthetic traffic signs",
        side=64,
        files=(SYNSIGNS,),
        publisher="Moiseev et al. (graphics.cs.msu.ru)",
    ),
    "prates": Entry(
        load=lambda place: load_insulators(
            place.name, place.root, place.side, place.skip_bad_files
        ),
        about="insulators of power lines",
        side=224,
        files=tuple(
            f"{COMPONENTS}/data_{material}_{kind}" for material in MATERIALS for kind in range(1, 5)
        ),
        publisher="the paper's authors",
    ),
    "voc2012": Entry(
        load=load_voc,
        about="20 kinds of objects, with label maps",
        side=224,
        files=tuple(
            f"{VOC_ROOT}/{name}"
            for name in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation/val.txt")
        ),
        publisher="Everingham et al. (host.robots.ox.ac.uk/pascal/VOC)",
        any_size=True,
    ),
}


def _pair(first: str, second: str, tests_of_second: Callable[[Place], dict], about: str) -> Entry:
    one, other = _SINGLE[first], _SINGLE[second]
    return Entry(
        load=lambda place: pair(place.name, one.load(place), tests_of_second(place)),
        about=about,
        side=one.side,
        builders=one.builders + other.builders,
        files=one.files + other.files,
        publisher=" and ".join(filter(None, (one.publisher, other.publisher))),
    )


def _clean_of(name: str) -> Callable[[Place], dict]:
    return lambda place: {name: _SINGLE[name].load(place).tests["clean"]}


def _aligned_pair(first: str, second: str) -> Entry:
    """A pair of CIFAR-10 and STL-10, whose classes are not the same."""
    plain = _pair(first, second, _clean_of(second), "their nine common classes")

    def load(place: Place) -> Dataset:
        one, other = (
            with_classes(_SINGLE[name].load(place), CIFAR10_STL10) for name in (first, second)
        )
        return pair(place.name, one, {second: other.tests["clean"]})

    return dataclasses.replace(plain, load=load)


def _all_synsigns(place: Place) -> dict:
    return {"synsigns": load_all_synsigns(place.root, place.side, place.skip_bad_files)}


def _injected(name: str, change: Callable[[Dataset], Dataset], about: str) -> Entry:
    entry = _SINGLE[name]
    return dataclasses.replace(
        entry, load=lambda place: change(entry.load(place)), about=f"{name}, {about}"
    )


GREY = tuple(name for name, entry in _SINGLE.items() if entry.channels == 1)
CATALOG: dict[str, Entry] = {
    **_SINGLE,
    "cifar10_stl10": _aligned_pair("cifar10", "stl10"),
    "stl10_cifar10": _aligned_pair("stl10", "cifar10"),
    "gtsrb_synsigns": _pair("gtsrb", "synsigns", _all_synsigns, "signs, then synthetic ones"),
    "svhn_synthdigits": _pair("svhn", "synthdigits", _clean_of("synthdigits"), "digits"),
    "synthdigits_svhn": _pair("synthdigits", "svhn", _clean_of("svhn"), "digits"),
    **{
        f"{name}_backgrounds": _injected(name, with_backgrounds, "six backgrounds as tests")
        for name in GREY
    },
    **{f"{name}_noises": _injected(name, with_noises, "20 noises as tests") for name in GREY},
}


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
    return name.startswith(tuple(PREFIXES)) or (name in CATALOG and CATALOG[name].any_size)


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
        dataset = READERS[prefix](path, image_size or IMAGE_SIZE, skip_bad_files)
    elif name.startswith(TFDS):
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
    entry = CATALOG[name]
    if image_size is not None and not entry.any_size:
        sized = [key for key, other in CATALOG.items() if other.any_size]
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
    is_grey = dataset.name.removesuffix("_backgrounds") in GREY
    if not is_grey or "clean" not in dataset.tests:
        return {}
    clean = {"clean": dataset.tests["clean"].first(NOISY_IMAGES)}
    return with_noises(dataclasses.replace(dataset, tests=clean)).tests


def proof_name(name: str) -> str:
    """Name of the data set whose tests show robustness: `<name>_backgrounds` where there is one."""
    return f"{name}_backgrounds" if name in GREY else name
