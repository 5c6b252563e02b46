"""Files that a run leaves: never half-written, never over something of the user's."""

import contextlib
import errno
import itertools
import os
import pathlib
import re
import socket
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator

from bginv.errors import UserError, first_line

try:
    import fcntl
except ImportError:  # there is none on Windows, where nothing is locked
    fcntl = None


OVERWRITE = "--overwrite (in Python: overwrite=True)"
PLATFORM = sys.platform
_OF_THE_DISK = tuple(
    os.strerror(number).lower()
    for number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO)
)
_UNFINISHED = re.compile(r"\.bginv-([0-9a-f]{8})-(\d+)-\d+\.part\b")
_MACHINE = f"{zlib.crc32(socket.gethostname().encode()):08x}"
_numbers = itertools.count()
_being_written: set[str] = set()
_looked_through: set[pathlib.Path] = set()


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


def default_cache() -> pathlib.Path:
    """`$BGINV_CACHE`, or bginv's folder in `$XDG_CACHE_HOME` or `~/.cache`."""
    own = os.environ.get("BGINV_CACHE")
    if own:
        return pathlib.Path(own).expanduser()
    return pathlib.Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "bginv"


def write_file(path: pathlib.Path, write: Callable[[str], object], durable: bool = True) -> None:
    """Write a file beside its place, then rename it.

    What a killed process was writing into the same folder is removed.

    Args:
        path: its place; missing parents are made.
        write: is given a temporary path with the same ending, and writes it.
        durable: wait until it is on the disk, so that a loss of power does not leave it empty.

    Raises:
        OSError: the disk is full, the folder is read-only, ...; `path` is as it was.
    """
    temporary = path.with_name(name_of_unfinished(os.getpid(), path.suffix))
    name = temporary.name
    _being_written.add(name)
    try:
        with told_as_not_written(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            folder = path.parent.absolute()
            if folder not in _looked_through:
                _looked_through.add(folder)
                remove_unfinished(folder)
            write(str(temporary))
            if durable:
                put_on_disk(temporary)
            os.replace(temporary, path)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        _being_written.discard(name)


def name_of_unfinished(process: int, ending: str = "") -> str:
    """A name that no other file has, for what a process of this machine is writing."""
    return f".bginv-{_MACHINE}-{process}-{next(_numbers)}.part{ending}"


@contextlib.contextmanager
def told_as_not_written(path: str | pathlib.Path, remedy: str = "mend that") -> Iterator[None]:
    """Name the file in errors about the disk, whichever package they come from.

    Raises:
        OSError: it says what could not be written, and why.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        reason = _reason_of_the_disk(error)
        if reason is None:
            raise
        raise OSError(
            f"{path} cannot be written: {reason}; {remedy} and run the same command again"
        ) from error


def _reason_of_the_disk(error: BaseException | None) -> str | None:
    """What an error, or one that it was raised for, says about the disk; None if nothing."""
    while error is not None:
        # HDF5 and TensorFlow tell it in words, among others of their own
        told = [reason for reason in _OF_THE_DISK if reason in str(error).lower()]
        if told or isinstance(error, OSError):
            return told[0] if told else (error.strerror or first_line(error)).lower()
        error = error.__cause__ or error.__context__
    return None


def remove_unfinished(folder: pathlib.Path) -> None:
    """Remove what processes of this machine that are no more were writing into a folder."""
    for file in folder.iterdir():
        found = _UNFINISHED.match(file.name)
        if found and found[1] == _MACHINE and not _is_being_written(file.name, int(found[2])):
            file.unlink(missing_ok=True)


def _is_being_written(name: str, process: int) -> bool:
    if process == os.getpid():
        return name in _being_written
    if PLATFORM == "win32":  # where this question would end the process
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's
        return True
    return True


def put_on_disk(file: pathlib.Path) -> None:
    """Wait until the content of a file is on the disk."""
    with file.open("r+b") as opened:  # Windows refuses this for files opened to read
        if PLATFORM == "darwin":
            # fsync leaves it in the drive's memory there; some file systems have no other call
            with contextlib.suppress(OSError):
                fcntl.fcntl(opened, fcntl.F_FULLFSYNC)
                return
        os.fsync(opened.fileno())


def write_bytes(path: pathlib.Path, content: bytes, durable: bool = True) -> None:
    """Write a file in one go; see `write_file`."""
    write_file(path, lambda temporary: pathlib.Path(temporary).write_bytes(content), durable)


def write_text(path: pathlib.Path, text: str) -> None:
    """Write a text file in one go; see `write_file`."""
    write_bytes(path, text.encode("utf-8"))


@contextlib.contextmanager
def locked(folder: pathlib.Path) -> Iterator[None]:
    """Make a folder, and hold a lock on it, which ends with the process, however that ends.

    Raises:
        BlockingIOError: another process holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if fcntl is None:
        yield
        return
    busy = f"another process is at work in {folder}: wait for it"
    try:
        handle = os.open(folder, os.O_RDONLY)
    except FileNotFoundError as error:  # that process has just removed it
        raise BlockingIOError(busy) from error
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BlockingIOError(busy) from error
        except OSError:  # some network file systems have no locks
            pass
        if not _is_at(handle, folder):
            raise BlockingIOError(busy)
        yield
    finally:
        os.close(handle)


def while_locked(folder: pathlib.Path, work: Callable[[], None]) -> Callable[[], None]:
    """Work that is done while no other process has the folder; see `locked`."""

    def do() -> None:
        with locked(folder):
            work()

    return do


def _is_at(handle: int, folder: pathlib.Path) -> bool:
    """Whether an open folder is still the one of this path."""
    try:
        return os.path.samestat(os.fstat(handle), os.stat(folder))
    except FileNotFoundError:
        return False
