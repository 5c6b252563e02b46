"""Domains: images of one kind with label maps, to adapt a segmentation network from or to.

```
domain:PATH
  PATH/images/NAME.jpg   or another kind of image
  PATH/labels/NAME.png   the number of a class at each pixel (8 bits, or with a palette), or the
                         colour of a class of CamVid or Cityscapes; a target needs none
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
from bginv.data.images import image_names, readable_rows, scan, scan_pairs, shown
from bginv.data.labelled import MasksAsLabelMaps, check_map, map_reader, palette_of
from bginv.data.segmentation import LabelMapSource
from bginv.data.shapes import CLASSES as SHAPES
from bginv.data.shapes import at_dusk, load_shapes
from bginv.data.sources import Source
from bginv.errors import UserError

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
        train: to train on, with label maps where it is to be a source; None where only the
            rest was asked for.
        held_out: to evaluate with, label maps too; None where a target has none.
        classes: what the label maps show.
    """

    name: str
    train: Source | None
    held_out: Source | None
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
        labelled: it is a source; of a target, training images need no label maps.
        split: of Cityscapes, to train on.
        skip_bad_files: leave files out that cannot be read.
        only_held_out: nothing is trained, so what one would train on is not read.
    """

    name: str
    size: tuple[int, int]
    held_out: float
    data_dir: str | None = None
    data_list: str | None = None
    classes: str | None = None
    ignore_label: int = IGNORED
    labelled: bool = True
    split: str = "train"
    skip_bad_files: bool = False
    only_held_out: bool = False

    @property
    def root(self) -> pathlib.Path:
        """Folder of the files."""
        if self.name.startswith(DOMAIN):
            return pathlib.Path(self.name.removeprefix(DOMAIN)).expanduser()
        return pathlib.Path(self.data_dir or DEFAULT_ROOTS[self.name]).expanduser()


def load_domain(place: DomainPlace) -> Domain:
    """Load a domain by name.

    Raises:
        UserError: unknown name, another layout, or files that cannot be used.
        FileNotFoundError: the files are not there.
    """
    if place.name.startswith(DOMAIN):
        return _load_folder(place)
    if place.name not in DOMAINS:
        raise UserError(f"unknown domain {place.name!r}. Known: {', '.join(DOMAINS)}, {DOMAIN}PATH")
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
    """Images and label maps of any origin; every map that is used is read once, to check it."""
    root, own = place.root, place.root / "classes.txt"
    if not (root / "images").is_dir():
        raise FileNotFoundError(f"{shown(root)} has no folder images; {LAYOUT}")
    if place.classes is None and not own.is_file():
        raise FileNotFoundError(
            f"{shown(own)} is not there; {LAYOUT}; or name the classes with --classes"
        )
    classes = read_class_list(place.classes or str(own)).ignoring(place.ignore_label)
    names = _names(place, root / "images")
    images = [str(root / "images" / name) for name in names]
    maps = [str((root / "labels" / name).with_suffix(".png")) for name in names]
    return _split(place, images, maps, classes, check=True)


def _load_gta5(place: DomainPlace) -> Domain:
    names = _names(place, place.root / "images")
    images, maps = (
        [str(place.root / kind / own) for own in names] for kind in ("images", "labels")
    )
    return _split(place, images, maps, CLASS_LISTS["cityscapes"].ignoring(place.ignore_label))


def _load_synthia(place: DomainPlace) -> Domain:
    names = _names(place, place.root / "RGB")
    images, maps = (
        [str(place.root / kind / own) for own in names] for kind in ("RGB", "GT/LABELS")
    )
    classes = CLASS_LISTS["synthia"].ignoring(place.ignore_label)
    return _split(place, images, maps, classes, first_channel=True)


def _load_cityscapes(place: DomainPlace) -> Domain:
    """`train` (or another split) to train on, `val` to evaluate with."""
    classes = CLASS_LISTS["cityscapes"].ignoring(place.ignore_label)

    def files(name: str, listed: bool) -> tuple[list[str], list[str]]:
        folder, truth = (place.root / kind / name for kind in ("leftImg8bit", "gtFine"))
        found = sorted(file.relative_to(folder).as_posix() for file in folder.glob("*/*.png"))
        names = _names(place, folder) if listed and place.data_list else found
        maps = [str(truth / own.replace("_leftImg8bit", "_gtFine_labelIds")) for own in names]
        return [str(folder / own) for own in names], maps

    images, maps = files("val", listed=False)
    held_out = _labelled(images, maps, classes, place) if _any(maps) else None
    if place.only_held_out:
        return _only(held_out, place, classes)
    images, maps = files(place.split, listed=True)
    if not place.labelled:
        return Domain(place.name, _bare(images, place), held_out, classes)
    return Domain(place.name, _labelled(images, maps, classes, place), held_out, classes)


def _load_shapes(place: DomainPlace) -> Domain:
    """Shapes on any texture, by day or at dusk, which have other images each."""
    side = place.size[0]
    if place.size != (side, side):
        raise UserError(f"{place.name} has square images; received {place.size[::-1]}")
    data = load_shapes(place.name, side, own_share=0.0)
    at_night = place.name == DUSK
    classes = class_list(("background", *SHAPES)).ignoring(place.ignore_label)
    parts = []
    for part in (data.train, data.tests["mixed_random"]):
        half = len(part) // 2
        own = part.take(np.arange(half) + (half if at_night else 0))
        own = at_dusk(own) if at_night else own
        parts.append(MasksAsLabelMaps(own, classes.ignored))
    return Domain(place.name, *parts, classes)


def _names(place: DomainPlace, folder: pathlib.Path) -> list[str]:
    """The names of the list, or of the images in a folder, in order."""
    if place.data_list is None:
        return image_names(folder)
    lines = pathlib.Path(place.data_list).expanduser().read_text(encoding="utf-8").splitlines()
    return [line.strip() for line in lines if line.strip()]


def _split(
    place: DomainPlace, images: list[str], maps: list[str], classes: ClassList, **how: bool
) -> Domain:
    """The first images to train on, the last ones to evaluate with."""
    if place.only_held_out and not _any(maps):
        return _only(None, place, classes)
    if not place.labelled and not _any(maps):
        return Domain(place.name, _bare(images, place), None, classes)
    if len(images) < 2:
        raise UserError(f"{place.name} has {len(images)} images; two or more are needed")
    cut = len(images) - min(max(1, round(len(images) * place.held_out)), len(images) - 1)
    held_out = _labelled(images[cut:], maps[cut:], classes, place, **how)
    if place.only_held_out:
        return _only(held_out, place, classes)
    if not place.labelled:
        return Domain(place.name, _bare(images[:cut], place), held_out, classes)
    train = _labelled(images[:cut], maps[:cut], classes, place, **how)
    return Domain(place.name, train, held_out, classes)


def _only(held_out: Source | None, place: DomainPlace, classes: ClassList) -> Domain:
    """A domain to evaluate with.

    Raises:
        UserError: there are no label maps.
    """
    if held_out is None:
        raise UserError(f"{place.name} has no label maps in {shown(place.root)} to evaluate with")
    return Domain(place.name, None, held_out, classes)


def _bare(images: Sequence[str], place: DomainPlace) -> FileSource:
    """Images alone."""
    if not images:
        raise FileNotFoundError(f"{place.name}: no image in {shown(place.root)}")
    files = scan(images)
    files = files.take(readable_rows(files, place.skip_bad_files))
    labels = np.zeros(len(files), np.int32)
    return FileSource(files, labels, (*place.size, 3), resizing="bicubic")


def _labelled(
    images: Sequence[str],
    maps: Sequence[str],
    classes: ClassList,
    place: DomainPlace,
    first_channel: bool = False,
    check: bool = False,
) -> LabelMapSource:
    """Images and their label maps."""
    if not images:
        raise FileNotFoundError(f"{place.name}: no image in {shown(place.root)}")
    missing = [file for file in maps if not os.path.isfile(file)]
    if missing:
        raise FileNotFoundError(
            f"{len(missing)} of {len(maps)} label maps are missing, such as {shown(missing[0])}"
        )
    rows, found, found_maps = scan_pairs(
        images, maps, place.skip_bad_files, "label map" if check else None
    )
    palette = palette_of(maps[rows[0]]) if check and len(rows) else None
    if check:
        with concurrent.futures.ThreadPoolExecutor() as pool:
            list(pool.map(lambda row: check_map(maps[row], classes, palette), rows))
    labels = np.zeros(len(rows), np.int32)
    held = FileSource(found, labels, (*place.size, 3), resizing="bicubic")
    return LabelMapSource(held, found_maps, map_reader(classes, first_channel, palette))


def _any(maps: Sequence[str]) -> bool:
    return any(map(os.path.isfile, maps))
