"""The paper's case study: insulators of power lines, in the laboratory and outside (Prates et al.).

```
DATA_DIR/prates/components/data_MATERIAL_TYPE/*     photographs; IPL, IPN, IPV, ISB; types 1 to 4
DATA_DIR/prates/components/mask_MATERIAL_TYPE/*     masks, same names, for all or none of a split
DATA_DIR/prates/bg/*                                photographs of places without insulators
```
"""

import glob
import pathlib

from bginv.data.entries import Entry
from bginv.data.files import mixing_key
from bginv.data.folder import Split, read_splits
from bginv.data.images import ENDINGS, image_names, shown
from bginv.data.sources import Dataset
from bginv.errors import UserError

MATERIALS = ("IPL", "IPN", "IPV", "ISB")
COMPONENTS = "prates/components"
TRAIN_TYPES = (1,)
TEST_TYPES = {"type_3": (3,), "types_2_4": (2, 4)}
BACKGROUNDS = "prates/bg"


def load_insulators(name: str, root: pathlib.Path, side: int, skip_bad_files: bool) -> Dataset:
    """Photographs of four materials: type 1 to train on, type 3 and types 2 and 4 as tests.

    Args:
        name: the name of the data set to return.
        root: it holds `prates`.
        side: height and width of the images.
        skip_bad_files: leave files out that cannot be read, with a warning.

    Raises:
        UserError: a folder without images, or files that cannot be read.
    """
    shape = (side, side, 3)
    splits = [
        _find_split(root / COMPONENTS, types) for types in (TRAIN_TYPES, *TEST_TYPES.values())
    ]
    train, *tests = read_splits(splits, shape, skip_bad_files)
    places = root / BACKGROUNDS
    backgrounds = str(places) if places.is_dir() else None
    tests = dict(zip(TEST_TYPES, tests, strict=True))
    return Dataset(name, train, tests, MATERIALS, shape, backgrounds)


def _find_split(folder: pathlib.Path, types: tuple[int, ...]) -> Split:
    """Photographs of these types in a mixed order, and their masks where there are some."""
    records = [
        (f"{material}_{kind}/{file}", label)
        for kind in types
        for label, material in enumerate(MATERIALS)
        for file in _images(folder / f"data_{material}_{kind}")
    ]
    records.sort(key=lambda record: mixing_key(record[0]))
    names, labels = map(list, zip(*records, strict=True))
    masks = []
    if any((folder / f"mask_{pathlib.Path(name).parent}").is_dir() for name in names):
        masks = [_mask_of(folder, name) for name in names]
    return Split(folder, [f"data_{name}" for name in names], labels, masks)


def _images(folder: pathlib.Path) -> list[str]:
    images = image_names(folder) if folder.is_dir() else []
    if not images:
        raise UserError(f"{shown(folder)} holds no image; it has to hold photographs of insulators")
    return images


def _mask_of(folder: pathlib.Path, name: str) -> str:
    wanted = pathlib.Path(f"mask_{name}")
    place = folder / wanted.parent
    found = sorted(place.glob(f"{glob.escape(wanted.stem)}.*")) if place.is_dir() else []
    masks = [file for file in found if file.suffix.lower() in ENDINGS]
    if not masks:
        raise UserError(
            f"{shown(folder / f'data_{name}')} has no mask; put it at "
            f"{shown(folder / wanted.with_suffix('.png'))}, or remove the masks of its split"
        )
    return str(masks[0].relative_to(folder))


PRATES = Entry(
    load=lambda place: load_insulators(place.name, place.root, place.side, place.skip_bad_files),
    about="insulators of power lines",
    side=224,
    files=tuple(
        f"{COMPONENTS}/data_{material}_{kind}" for material in MATERIALS for kind in range(1, 5)
    ),
    publisher="the paper's authors",
)
