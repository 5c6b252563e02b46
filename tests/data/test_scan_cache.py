"""What is known of files of an earlier scan."""

import os
import pathlib
import shutil

import numpy as np
import pytest

from bginv.data import images, scan_cache
from bginv.data.images import scan
from tests.toys import write


@pytest.fixture
def files(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Three pictures that were written some time ago, of a scan that is large enough."""
    monkeypatch.setenv("BGINV_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(scan_cache, "LEAST_FILES", 3)
    monkeypatch.setattr(scan_cache, "JUST_NOW", 0)
    paths = [tmp_path / "pictures" / f"{name}.png" for name in "abc"]
    paths[0].parent.mkdir()
    for number, path in enumerate(paths):
        write(path, np.full((4, 5 + number, 3), number, np.uint8))
    return list(map(str, paths))


@pytest.fixture
def examined(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files that were read, in order."""
    names: list[str] = []
    examine = images._examine

    def told(file, room):
        names.append(pathlib.Path(file).name)
        return examine(file, room)

    monkeypatch.setattr(images, "_examine", told)
    return names


def test_a_second_scan_reads_no_file(files, examined):
    first = scan(files)
    assert sorted(examined) == ["a.png", "b.png", "c.png"]
    examined.clear()
    again = scan(files)
    assert not examined
    np.testing.assert_array_equal(first.fingerprints, again.fingerprints)
    np.testing.assert_array_equal(first.orientations, again.orientations)
    np.testing.assert_array_equal(first.sizes, again.sizes)


def test_a_file_that_changed_is_read_again(files, examined):
    scan(files)
    before = os.stat(files[1])
    write(pathlib.Path(files[1]), np.full((4, 6, 3), 9, np.uint8))
    os.utime(files[1], ns=(before.st_atime_ns, before.st_mtime_ns))
    shutil.copy(files[1], files[2])
    examined.clear()
    found = scan(files)
    assert sorted(examined) == ["b.png", "c.png"]
    assert found.fingerprints[1] == found.fingerprints[2] != found.fingerprints[0]


def test_a_file_that_cannot_be_read_is_tried_each_time(files, examined):
    pathlib.Path(files[0]).write_bytes(b"no picture")
    assert set(scan(files).reasons) == {0}
    examined.clear()
    assert set(scan(files).reasons) == {0}
    assert examined == ["a.png"]


def test_what_was_written_just_now_is_not_kept(files, examined, monkeypatch):
    monkeypatch.setattr(scan_cache, "JUST_NOW", 10**12)
    scan(files)
    examined.clear()
    scan(files)
    assert sorted(examined) == ["a.png", "b.png", "c.png"]


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut short"])
def test_a_damaged_cache_is_made_anew(files, examined, tmp_path, content):
    scan(files)
    (kept,) = (tmp_path / "cache" / "scans").iterdir()
    kept.write_bytes(content)
    examined.clear()
    scan(files)
    assert len(examined) == 3
    examined.clear()
    scan(files)
    assert not examined


def test_a_cache_that_cannot_be_written_is_done_without(files, examined, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("BGINV_CACHE", str(tmp_path / "file"))
    assert not scan(files).reasons


def test_a_small_folder_leaves_no_file(files, tmp_path, monkeypatch):
    monkeypatch.setattr(scan_cache, "LEAST_FILES", 4)
    scan(files)
    assert not (tmp_path / "cache").exists()
