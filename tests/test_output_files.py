import os

import pytest

from bginv.checksums import content_number
from bginv.output_files import (
    check_writable,
    refuse_existing,
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
