"""The folder that a run fills: configuration, metrics, models and pictures."""

import pathlib

from bginv.artefacts import check_writable, refuse_existing, write_text

_ARTEFACTS = (
    "config.json",
    "metrics.jsonl",
    "results.*",
    "classifier.keras",
    "mask_unet.keras",
    "robust_classifier.keras",
    "background_generator_*.keras",
    "pictures/*.png",
)


class RunFolder:
    """Where a run leaves what it makes; a run without `--run-dir` leaves none of it.

    Args:
        path: the folder, or None.
        overwrite: fill a folder that has something in it.

    Raises:
        ValueError: the folder has something in it, or cannot be written.
    """

    def __init__(self, path: str | None, overwrite: bool):
        self.path = None if path is None else pathlib.Path(path)
        if self.path:
            if self.path.is_file():
                raise ValueError(f"--run-dir {path} is a file, not a folder")
            refuse_existing([self.path], overwrite)
            check_writable(self.path)

    def open(self, configuration: str) -> None:
        """Make the folder without what an earlier run left, and write the configuration (JSON)."""
        if self.path:
            self.path.mkdir(parents=True, exist_ok=True)
            for pattern in _ARTEFACTS:
                for old in self.path.glob(pattern):
                    old.unlink()
            self.metrics_file.touch()
            write_text(self.path / "config.json", configuration)

    @property
    def metrics_file(self) -> pathlib.Path | None:
        """JSON lines, or None."""
        return self.path and self.path / "metrics.jsonl"

    @property
    def pictures(self) -> pathlib.Path | None:
        """Folder of the pictures, or None."""
        return self.path and self.path / "pictures"
