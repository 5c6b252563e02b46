"""Domains: images of one kind with label maps, to adapt a segmentation network from or to.

```
domain:PATH
  PATH/images/NAME.jpg   or another kind of image
  PATH/labels/NAME.png   the number of a class at each pixel, or its colour
  PATH/classes.txt       a class a line (or --classes)
```

Frames of a video are alike, so a domain is split by the order of its names: what is evaluated comes
last. `gta5`, `synthia` and `cityscapes` are read in their publishers' layouts, `shapes` and
`shapes_dusk` are embedded.
"""

import concurrent.futures
import dataclasses
import os
import pathlib
from collections.abc import Sequence

import numpy as np

from bginv.data.class_lists import CLASS_LISTS, IGNORED, ClassList, class_list, read_class_list
from bginv.data.files import FileSource
from bginv.data.images import ENDINGS, readable_rows, scan, shown
from bginv.data.labelled import MasksAsLabelMaps, check_numbers, map_reader
from bginv.data.segmentation import LabelMapSource
from bginv.data.shapes import CLASSES as SHAPES
from bginv.data.shapes import at_dusk, load_shapes
from bginv.data.sources import Source

DOMAIN = "domain:"
LAYOUT = "the layout is PATH/images, PATH/labels and PATH/classes.txt"
DEFAULT_ROOTS = {"gta5": "data/GTA5", "synthia": "data/RAND_CITYSCAPES"}
DEFAULT_ROOTS["cityscapes"] = "data/Cityscapes/data"
DUSK = "shapes_dusk"
DOMAINS = (*DEFAULT_ROOTS, "shapes", DUSK)


@dataclasses.dataclass(frozen=True)
class Domain:
    """Images of one kind.

    Attributes:
        name: as given to `load_domain`.
        train: to train on; a target's label maps are not looked at.
        held_out: to evaluate with.
        classes: what the label maps show.
    """

    name: str
    train: Source
    held_out: Source
    classes: ClassList


@dataclasses.dataclass(frozen=True)
class DomainPlace:
    """What a loader is told.

    Attributes:
        name: of the domain.
        size: (H, W) of the images.
        held_out: share of the images to evaluate with, where the publisher has none.
        data_dir: folder of a publisher's files; None means that of the published code.
        data_list: file with the names of the training images; None takes all.
        classes: see `read_class_list`; None means the domain's own.
        ignore_label: class whose pixels do not count.
        split: of Cityscapes, to train on.
        skip_bad_files: leave files out that cannot be read.
    """

    name: str
    size: tuple[int, int]
    held_out: float
    data_dir: str | None = None
    data_list: str | None = None
    classes: str | None = None
    ignore_label: int = IGNORED
    split: str = "train"
    skip_bad_files: bool = False

    @property
    def root(self) -> pathlib.Path:
        """Folder of the files."""
        if self.name.startswith(DOMAIN):
            return pathlib.Path(self.name.removeprefix(DOMAIN)).expanduser()
        return pathlib.Path(self.data_dir or DEFAULT_ROOTS[self.name]).expanduser()


def load_domain(place: DomainPlace) -> Domain:
    """Load a domain by name.

    Raises:
        ValueError: unknown name, another layout, or files that cannot be used.
        FileNotFoundError: the files are not there.
    """
    if place.name.startswith(DOMAIN):
        return _load_folder(place)
    if place.name not in DOMAINS:
        raise ValueError(
            f"unknown domain {place.name!r}. Known: {', '.join(DOMAINS)}, {DOMAIN}PATH"
        )
    if place.name in ("shapes", DUSK):
        return _load_shapes(place)
    if not place.root.is_dir():
        raise FileNotFoundError(
            f"{place.name}: {shown(place.root)} is not a folder; name that of the publisher's "
            "files with --data-dir (of the source) or --data-dir-target"
        )
    load = {"gta5": _load_gta5, "synthia": _load_synthia, "cityscapes": _load_cityscapes}
    return load[place.name](place)


def _load_folder(place: DomainPlace) -> Domain:
    """Images and label maps of any origin; every map is read once, to check its numbers."""
    root = place.root
    if not (root / "images").is_dir() or not (root / "labels").is_dir():
        raise FileNotFoundError(f"{shown(root)} has no folders images and labels; {LAYOUT}")
    own = root / "classes.txt"
    if place.classes is None and not own.is_file():
        raise FileNotFoundError(
            f"{shown(own)} is not there; {LAYOUT}; or name the classes with --classes"
        )
    classes = read_class_list(place.classes or str(own)).ignoring(place.ignore_label)
    names = _names(place, sorted(os.listdir(root / "images")))
    images = [str(root / "images" / name) for name in names if name.lower().endswith(ENDINGS)]
    maps = [str(root / "labels" / f"{pathlib.Path(image).stem}.png") for image in images]
    source = _of_files(images, maps, classes, place)
    if classes.complete:
        with concurrent.futures.ThreadPoolExecutor() as pool:
            list(pool.map(lambda file: check_numbers(file, classes), maps))
    return _split(place, source, classes)


def _load_gta5(place: DomainPlace) -> Domain:
    names = _names(place, sorted(os.listdir(place.root / "images")))
    classes = CLASS_LISTS["cityscapes"].ignoring(place.ignore_label)
    files = ([str(place.root / kind / name) for name in names] for kind in ("images", "labels"))
    return _split(place, _of_files(*files, classes, place), classes)


def _load_synthia(place: DomainPlace) -> Domain:
    names = _names(place, sorted(os.listdir(place.root / "RGB")))
    classes = CLASS_LISTS["synthia"].ignoring(place.ignore_label)
    files = ([str(place.root / kind / name) for name in names] for kind in ("RGB", "GT/LABELS"))
    return _split(place, _of_files(*files, classes, place, first_channel=True), classes)


def _load_cityscapes(place: DomainPlace) -> Domain:
    """`train` (or another split) to train on, `val` to evaluate with."""
    classes = CLASS_LISTS["cityscapes"].ignoring(place.ignore_label)

    def split(name: str, listed: bool) -> Source:
        folder = place.root / "leftImg8bit" / name
        found = sorted(file.relative_to(folder).as_posix() for file in folder.glob("*/*.png"))
        names = _names(place, found) if listed else found
        truth = place.root / "gtFine" / name
        maps = [str(truth / image.replace("_leftImg8bit", "_gtFine_labelIds")) for image in names]
        return _of_files([str(folder / image) for image in names], maps, classes, place)

    return Domain(place.name, split(place.split, True), split("val", False), classes)


def _load_shapes(place: DomainPlace) -> Domain:
    """Shapes on any texture, by day or at dusk; the held-out images are other ones each."""
    side = place.size[0]
    if place.size != (side, side):
        raise ValueError(f"{place.name} has square images; received {place.size[::-1]}")
    data = load_shapes(place.name, side, own_share=0.0)
    parts = [data.train, data.tests["mixed_random"]]
    if place.name == DUSK:
        parts = [at_dusk(part) for part in parts]
    classes = class_list(("background", *SHAPES)).ignoring(place.ignore_label)
    return Domain(place.name, *map(MasksAsLabelMaps, parts), classes)


def _names(place: DomainPlace, found: Sequence[str]) -> list[str]:
    """The names of the list, or those found."""
    if place.data_list is None:
        return list(found)
    lines = pathlib.Path(place.data_list).expanduser().read_text(encoding="utf-8").splitlines()
    return [line.strip() for line in lines if line.strip()]


def _of_files(
    images: Sequence[str],
    maps: Sequence[str],
    classes: ClassList,
    place: DomainPlace,
    first_channel: bool = False,
) -> LabelMapSource:
    if not images:
        raise FileNotFoundError(f"{place.name}: no image in {shown(place.root)}")
    missing = [file for file in maps if not os.path.isfile(file)]
    if missing:
        raise FileNotFoundError(
            f"{len(missing)} of {len(maps)} label maps are missing, such as {shown(missing[0])}"
        )
    files = scan([*images, *maps])
    readable = np.zeros(len(files), bool)
    readable[readable_rows(files, place.skip_bad_files)] = True
    rows = np.flatnonzero(readable[: len(images)] & readable[len(images) :])
    labels = np.zeros(len(rows), np.int32)
    shape = (*place.size, 3)
    held = FileSource(files.take(rows), labels, shape, resizing="bicubic")
    reader = map_reader(classes, first_channel)
    return LabelMapSource(held, files.take(rows + len(images)), reader)


def _split(place: DomainPlace, source: Source, classes: ClassList) -> Domain:
    """The first images to train on, the last ones to evaluate with."""
    held = max(1, round(len(source) * place.held_out))
    if held >= len(source):
        raise ValueError(f"{place.name} has {len(source)} images; two or more are needed")
    cut = len(source) - held
    train, test = source.take(np.arange(cut)), source.take(np.arange(cut, len(source)))
    return Domain(place.name, train, test, classes)
