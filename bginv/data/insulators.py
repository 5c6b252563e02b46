"""The paper's case study: insulators of power lines, in the laboratory and outside (Prates et al.).

```
DATA_DIR/prates/components/data_MATERIAL_TYPE/*     photographs; IPL, IPN, IPV, ISB; types 1 to 4
DATA_DIR/prates/components/mask_MATERIAL_TYPE/*     masks of the same names, for all or none
DATA_DIR/prates/bg/*                                photographs of places without insulators
```
"""

import pathlib

from bginv.data.files import FileSource, load_files
from bginv.data.images import ENDINGS, shown
from bginv.data.sources import Dataset

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
        ValueError: a folder without images, or files that cannot be read.
    """
    folder = root / COMPONENTS

    def load(types: tuple[int, ...]) -> FileSource:
        names, labels = [], []
        for kind in types:
            for label, material in enumerate(MATERIALS):
                place = f"data_{material}_{kind}"
                found = _images(folder / place)
                names += [f"{place}/{file}" for file in found]
                labels += [label] * len(found)
        source = load_files(folder, names, labels, (side, side, 3), skip_bad_files)
        return _with_masks(source)

    tests = {test: load(types) for test, types in TEST_TYPES.items()}
    backgrounds = root / BACKGROUNDS
    return Dataset(
        name,
        load(TRAIN_TYPES),
        tests,
        MATERIALS,
        (side, side, 3),
        str(backgrounds) if backgrounds.is_dir() else None,
    )


def _images(folder: pathlib.Path) -> list[str]:
    names = sorted(file.name for file in folder.iterdir()) if folder.is_dir() else []
    images = [name for name in names if name.lower().endswith(ENDINGS) and name[0] != "."]
    if not images:
        raise ValueError(
            f"{shown(folder)} holds no image; it has to hold photographs of insulators"
        )
    return images


def _with_masks(source: FileSource) -> FileSource:
    """The masks of a split, where each of its images has one."""
    images = [pathlib.Path(source.images.path(row)) for row in range(len(source))]
    masks = [_mask_of(image) for image in images]
    return source.with_masks(masks) if all(masks) else source


def _mask_of(image: pathlib.Path) -> str | None:
    folder = image.parent.with_name(image.parent.name.replace("data_", "mask_", 1))
    found = [folder / (image.stem + ending) for ending in ENDINGS]
    return next((str(mask) for mask in found if mask.is_file()), None)
