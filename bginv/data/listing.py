"""What folders hold, without what is hidden, and what of it is ignored and told."""

import collections
import os
import pathlib
import unicodedata
from typing import TypeAlias

from absl import logging

from bginv.data.images import ENDINGS, shown
from bginv.errors import UserError

JUNK = {"__MACOSX", "Thumbs.db", "desktop.ini"}
"""What systems leave in folders, beside what is hidden."""
Ignored: TypeAlias = list[tuple[str, pathlib.Path]]
"""Kind and path of everything that was ignored."""

NAMED = 3
"""Of them, in the warning."""


def names_in(folder: pathlib.Path) -> list[str]:
    """Names of what a folder holds, sorted, without what is hidden."""
    try:
        with os.scandir(folder) as held:
            names = sorted(entry.name for entry in held)
    except OSError as error:
        raise UserError(f"{shown(folder)} cannot be read: {error.strerror.lower()}") from error
    return [name for name in names if not name.startswith(".") and name not in JUNK]


def folders(folder: pathlib.Path) -> dict[str, str]:
    """Folders in a folder: their names in Unicode's composed form, and as they stand there."""
    found: dict[str, str] = {}
    for name in names_in(folder):
        if os.path.islink(folder / name) and not (folder / name).exists():
            raise UserError(f"{shown(folder / name)} is a link that leads nowhere; remove it")
        if not (folder / name).is_dir():
            continue
        other = found.setdefault(composed(name), name)
        if other != name:
            raise UserError(
                f"{shown(folder / name)} is there twice, in two forms of Unicode: put the files "
                "of both into one folder"
            )
    return found


def folder_below(folder: pathlib.Path, path: str) -> str | None:
    """A path of folders below a folder as it stands there, in whichever form of Unicode."""
    names: list[str] = []
    for part in path.split("/"):
        own = folders(folder.joinpath(*names)).get(composed(part))
        if own is None:
            return None
        names.append(own)
    return "/".join(names)


def is_image(name: str) -> bool:
    """Whether a file's name ends as those of images do."""
    return name.lower().endswith(ENDINGS)


def stem(name: str) -> str:
    """A file's name without its ending, in Unicode's composed form."""
    return composed(os.path.splitext(name)[0])


def composed(name: str) -> str:
    """A name in Unicode's composed form; archives of macOS have the other."""
    return unicodedata.normalize("NFC", name)


def kind(path: pathlib.Path) -> str:
    """What a path is that is no image, for `tell_ignored`."""
    return "folders in class folders" if path.is_dir() else path.suffix.lower() or "no ending"


def tell_ignored(root: pathlib.Path, ignored: Ignored) -> None:
    """Warn of what was ignored, if anything was."""
    if ignored:
        logging.warning("%s: ignored %s, such as %s", shown(root), counts(ignored), _some(ignored))


def counts(ignored: Ignored) -> str:
    """How many of each kind were ignored, in words."""
    kinds = collections.Counter(kind for kind, _ in ignored)
    return ", ".join(f"{count} {shown(kind)}" for kind, count in sorted(kinds.items()))


def _some(ignored: Ignored) -> str:
    """One of each kind, at most so many."""
    first = dict(reversed(ignored))
    return ", ".join(shown(first[kind]) for kind in sorted(first)[:NAMED])
