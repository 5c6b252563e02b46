import os
import subprocess
import sys

import pytest

from bginv import output_files
from bginv.checksums import content_number
from bginv.output_files import (
    check_writable,
    locked,
    name_of_unfinished,
    refuse_existing,
    remove_unfinished,
    write_file,
    write_text,
)


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "deep" / "file.txt"
    write_text(path, "old")

    def fail(temporary):
        with open(temporary, "w") as file:
            file.write("half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_file(path, fail)
    assert path.read_text() == "old"
    assert list(path.parent.iterdir()) == [path]


def test_what_exists_is_refused_without_overwrite(tmp_path):
    file, empty = tmp_path / "a.keras", tmp_path / "empty"
    file.write_text("x")
    empty.mkdir()
    refuse_existing([empty, tmp_path / "absent"], overwrite=False)
    refuse_existing([file], overwrite=True)
    for path in (file, tmp_path):
        with pytest.raises(ValueError, match="exists already: choose .* --overwrite"):
            refuse_existing([path], overwrite=False)


def test_a_place_below_a_file_is_refused(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(ValueError, match="file is a file, not a folder"):
        check_writable(tmp_path / "file" / "model.keras")
    check_writable(tmp_path / "new" / "model.keras")


def test_a_folder_without_permission_is_refused(tmp_path, monkeypatch):
    # root may write anywhere, so the answer of the system is made up
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(ValueError, match="no permission to write"):
        check_writable(tmp_path / "model.keras")


def test_the_number_of_a_file_tells_contents_apart(tmp_path):
    for name, content in (("a", "x"), ("b", "y"), ("c", "x")):
        (tmp_path / name).write_text(content)
    first, second, third = (content_number(tmp_path / name) for name in "abc")
    assert first == third != second
    with pytest.raises(FileNotFoundError, match="there is no file .*missing.keras"):
        content_number(tmp_path / "missing.keras")


def test_the_disk_is_waited_for_as_each_system_has_it(tmp_path, monkeypatch):
    told = []
    monkeypatch.setattr(os, "fsync", lambda handle: told.append("fsync"))
    monkeypatch.setattr(output_files, "fcntl", FullSync(told))
    for platform in ("linux", "win32", "darwin"):
        monkeypatch.setattr(output_files, "PLATFORM", platform)
        write_text(tmp_path / "file", platform)
    assert told == ["fsync", "fsync", "full"]
    monkeypatch.setattr(output_files, "fcntl", FullSync(told, works=False))
    write_text(tmp_path / "file", "on a network file system")
    assert told[3:] == ["fsync"]


class FullSync:
    """What macOS has for files that are to survive a loss of power."""

    F_FULLFSYNC = 51

    def __init__(self, told: list[str], works: bool = True):
        self.told, self.works = told, works

    def fcntl(self, file, command: int) -> None:
        """Note that it was called for a file that may be written, as Windows wants it too."""
        assert file.writable() and command == self.F_FULLFSYNC
        if not self.works:
            raise OSError(45, "Operation not supported")
        self.told.append("full")


def test_what_killed_processes_were_writing_is_removed_and_only_that(tmp_path):
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        alive = tmp_path / name_of_unfinished(other.pid, ".png")
        elsewhere = tmp_path / ".bginv-00000000-1-1.part.png"
        kept = [alive, elsewhere, tmp_path / ".hidden.part.png", tmp_path / "file.part"]
        dead = tmp_path / name_of_unfinished(2**22 + 1, ".png")
        for path in (*kept, dead):
            path.write_text("half")
        write_text(tmp_path / "new", "whole")
        assert {*tmp_path.iterdir()} == {*kept, tmp_path / "new"}
        other.communicate(b"\n")
    remove_unfinished(tmp_path)
    assert {*tmp_path.iterdir()} == {*kept[1:], tmp_path / "new"}


def test_a_folder_that_is_removed_while_it_is_locked_is_told(tmp_path, monkeypatch):
    opened = os.open

    def open_and_lose(folder, flags):
        handle = opened(folder, flags)
        os.rmdir(folder)
        return handle

    monkeypatch.setattr(os, "open", open_and_lose)
    with pytest.raises(BlockingIOError, match="another process is at work in .*run"):
        with locked(tmp_path / "run"):
            pass
