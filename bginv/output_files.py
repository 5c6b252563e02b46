"""Files that a run leaves: never half-written, never over something of the user's."""

import contextlib
import os
import pathlib
import zlib
from collections.abc import Callable, Iterable, Iterator

from bginv.errors import UserError

try:
    import fcntl
except ImportError:  # there is none on Windows, where nothing is locked
    fcntl = None


OVERWRITE = "--overwrite (in Python: overwrite=True)"


def refuse_existing(paths: Iterable[pathlib.Path], overwrite: bool) -> None:
    """Raise if a file, or a folder with something in it, is where we are going to write.

    Raises:
        UserError: it names the first such path.
    """
    for path in paths:
        occupied = path.is_dir() and any(path.iterdir()) or path.is_file()
        if occupied and not overwrite:
            raise UserError(f"{path} exists already: choose another name, or give {OVERWRITE}")


def check_writable(path: pathlib.Path) -> None:
    """Raise if no file or folder can be made at this path.

    Raises:
        UserError: it names the nearest folder that exists, and why it is no use.
    """
    existing = path.absolute()
    while not existing.is_dir():
        if existing.exists() and existing != path.absolute():
            raise UserError(f"cannot write {path}: {existing} is a file, not a folder")
        existing = existing.parent
    if not os.access(existing, os.W_OK | os.X_OK):
        raise UserError(f"cannot write {path}: no permission to write in {existing}")


def check_writable_folder(path: pathlib.Path) -> None:
    """Raise if there can be no folder of this path with files of ours in it.

    Raises:
        UserError: a file is there, or see `check_writable`.
    """
    if path.is_file():
        raise UserError(f"{path} is a file, and a folder is needed there")
    check_writable(path)


def write_file(path: pathlib.Path, write: Callable[[str], object], durable: bool = True) -> None:
    """Write a file beside its place, then rename it.

    Args:
        path: its place; missing parents are made.
        write: is given a temporary path with the same ending, and writes it.
        durable: wait until it is on the disk, so that a loss of power does not leave it empty.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}-{os.getpid()}{path.suffix}")
    try:
        write(str(temporary))
        if durable:
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def half_written(name: str) -> str:
    """Pattern of what `write_file` leaves of a file of this name where the process is killed."""
    path = pathlib.PurePath(name)
    return f".{path.stem}-*{path.suffix}"


def write_text(path: pathlib.Path, text: str) -> None:
    """Write a text file in one go; see `write_file`."""
    write_file(path, lambda temporary: pathlib.Path(temporary).write_text(text, encoding="utf-8"))


def content_number(path: pathlib.Path) -> int:
    """CRC-32 of a file.

    Raises:
        FileNotFoundError: it says so.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    number = 0
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            number = zlib.crc32(chunk, number)
    return number


@contextlib.contextmanager
def locked(folder: pathlib.Path) -> Iterator[None]:
    """Hold a lock on a folder, which ends with the process, however that ends.

    Raises:
        BlockingIOError: another process holds it.
    """
    if fcntl is None:
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BlockingIOError(f"another process is at work in {folder}: wait for it") from error
        except OSError:  # some network file systems have no locks
            pass
        yield
    finally:
        os.close(handle)
