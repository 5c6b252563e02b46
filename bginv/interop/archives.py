"""What a `.keras` file, a zip archive, is checked for before Keras reads it."""

import pathlib
import zipfile

from bginv.errors import UserError

MOST_TIMES, SMALL = 100, 2**28
"""Of its size, what an archive may hold, and the bytes that it may hold in any case."""


def check_archive(path: pathlib.Path) -> None:
    """Raise unless an archive is whole and holds what a model may.

    Raises:
        UserError: files outside the archive's folder, far more content than its size tells, or a
            checksum that differs.
        Exception: what `zipfile` raises for other damage, which is of many kinds.
    """
    with zipfile.ZipFile(path) as archive:
        for entry in archive.infolist():
            if _leads_outside(entry.filename):
                raise UserError(
                    f"{path} holds {entry.filename!r}, a path that leads out of it, which no model "
                    "needs: do not use this file, and get the model from where it was made"
                )
        held, size = sum(entry.file_size for entry in archive.infolist()), path.stat().st_size
        if held > max(SMALL, MOST_TIMES * size):
            raise UserError(
                f"{path} has {size / 1e6:.1f} MB and would become {held / 1e9:.1f} GB, which no "
                "model does: do not use this file, and get the model from where it was made"
            )
        changed = archive.testzip()
    if changed:
        raise UserError(
            f"{path} is damaged: its {changed} has changed since it was written; copy the file "
            "again, or make it again"
        )


def _leads_outside(name: str) -> bool:
    posix, windows = pathlib.PurePosixPath(name), pathlib.PureWindowsPath(name)
    return posix.is_absolute() or bool(windows.anchor) or ".." in windows.parts
