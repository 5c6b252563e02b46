"""What the catalog knows of a data set, apart from its name."""

import dataclasses
import os
import pathlib
from collections.abc import Callable

from bginv.data.sources import Dataset

FOLDER, TFDS, MULTILABEL, SEGMENTATION = "folder:", "tfds:", "multilabel:", "segmentation:"
WATERBIRDS, CSV, COCO, VOC, YOLO = "waterbirds:", "csv:", "coco:", "voc:", "yolo:"
FILES_DIR = "~/.keras/datasets"


@dataclasses.dataclass(frozen=True)
class Place:
    """What a loader is told.

    Attributes:
        name: of the data set to return.
        data_dir: the user's `--data-dir`, or None.
        side: height and width of the images.
        skip_bad_files: leave files out that cannot be read.
    """

    name: str
    data_dir: str | None
    side: int
    skip_bad_files: bool

    @property
    def root(self) -> pathlib.Path:
        """Folder of the publishers' files."""
        return pathlib.Path(self.data_dir or FILES_DIR).expanduser()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Entry:
    """A data set of the catalog.

    Attributes:
        load: see `Place`.
        about: what it shows.
        side: height and width of its images.
        channels: 1 for grey, 3 for colour.
        builders: of TFDS, that have to be prepared.
        files: that have to be there under `Place.root`; any one of those with a `|` between them.
        publisher: where the files come from.
        any_size: `--image-size` is taken.
    """

    load: Callable[[Place], Dataset]
    about: str
    side: int
    channels: int = 3
    builders: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    publisher: str = ""
    any_size: bool = False

    def missing(self, data_dir: str | None) -> list[str]:
        """Files that are not there."""
        root = Place("", data_dir, 0, False).root
        return [
            file
            for file in self.files
            if not any((root / place).exists() for place in file.split("|"))
        ]

    def is_present(self, data_dir: str | None) -> bool:
        """Whether it can be loaded without a download."""
        prepared = all(is_prepared(builder, data_dir) for builder in self.builders)
        return prepared and not self.missing(data_dir)

    def source(self) -> str:
        """Where its data comes from."""
        kinds = [f"TFDS {', '.join(self.builders)}"] if self.builders else []
        kinds += [f"files of {self.publisher}"] if self.files else []
        return " and ".join(kinds) or "embedded"


def is_prepared(builder_name: str, data_dir: str | None) -> bool:
    """Whether a builder's data is there; without TFDS, as that takes seconds to import."""
    root = data_dir or os.environ.get("TFDS_DATA_DIR", "~/tensorflow_datasets")
    builder_name = builder_name.replace(":", "/")
    return any((pathlib.Path(root).expanduser() / builder_name).rglob("dataset_info.json"))
