import pytest

from bginv.run_folder import RunFolder


def test_overwriting_removes_what_a_run_writes_and_nothing_else(tmp_path):
    ours = ("metrics.jsonl", "mask_unet.keras", "background_generator_8x8.keras", "results.md")
    for name in (*ours, "notes.txt", "mine.keras"):
        (tmp_path / name).write_text("old")
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "masks.png").write_text("old")
    RunFolder(str(tmp_path), overwrite=True).open("{}")
    left = {path.name: path.read_text() for path in tmp_path.rglob("*.*")}
    assert left == {
        "config.json": "{}",
        "metrics.jsonl": "",
        "notes.txt": "old",
        "mine.keras": "old",
    }


def test_nothing_is_removed_before_the_run_opens(tmp_path):
    (tmp_path / "metrics.jsonl").write_text("old")
    RunFolder(str(tmp_path), overwrite=True)
    assert (tmp_path / "metrics.jsonl").read_text() == "old"
    with pytest.raises(ValueError, match="exists already"):
        RunFolder(str(tmp_path), overwrite=False)


def test_a_file_is_no_folder_even_with_overwrite(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(ValueError, match="file is a file, not a folder"):
        RunFolder(str(tmp_path / "file"), overwrite=True)


def test_without_a_path_nothing_is_made(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = RunFolder(None, overwrite=False)
    folder.open("{}")
    assert (folder.metrics_file, folder.pictures) == (None, None)
    assert list(tmp_path.iterdir()) == []
