import dataclasses
import json
import subprocess
import sys

import pytest

from bginv.checksums import read_sealed_json, sealed_json
from bginv.engine.run_folder import RunFolder, kept_settings
from bginv.methods.background_invariance.settings import ClassifierSettings
from bginv.output_files import name_of_unfinished

KILLED = name_of_unfinished(process=2**22 + 1)
"""What a process has left whose number Linux gives to none."""
SETTINGS = ClassifierSettings(dataset="digits", epochs=5)


def folder(path, overwrite=False, output=None, **changed) -> RunFolder:
    settings = {"classifier": dataclasses.replace(SETTINGS, overwrite=overwrite, **changed)}
    return RunFolder(path and str(path), output and str(output), overwrite, settings)


def begin(path, output=None) -> None:
    """What an unfinished run leaves."""
    begun = folder(path, output=output)
    begun.check_inputs({"training images": 7})
    with begun.opened():
        checkpoints = begun.checkpoints("classifier")
        checkpoints.mkdir(parents=True)
        (checkpoints / "step-3.index").write_text("kept")


def test_overwriting_removes_what_a_run_writes_and_nothing_else(tmp_path):
    begin(tmp_path / "run")
    ours = ("metrics.jsonl", "mask_unet.keras", "background_generator_8x8.keras", "results.md")
    for name in (*ours, "notes.txt", "mine.keras"):
        (tmp_path / "run" / name).write_text("old")
    (tmp_path / "run" / "pictures").mkdir()
    (tmp_path / "run" / "pictures" / "masks.png").write_text("old")
    with folder(tmp_path / "run", overwrite=True, epochs=6).opened():
        left = {path.name: path.read_text() for path in tmp_path.rglob("*.*") if path.is_file()}
    config = json.loads(left.pop("config.json"))
    assert config["classifier"]["epochs"] == 6
    assert left == {"metrics.jsonl": "", "notes.txt": "old", "mine.keras": "old"}


def test_nothing_is_removed_before_the_run_opens(tmp_path):
    begin(tmp_path)
    (tmp_path / "metrics.jsonl").write_text("old")
    folder(tmp_path, overwrite=True)
    assert (tmp_path / "metrics.jsonl").read_text() == "old"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("config.json", '{"mine": {}}'),
        ("config.json", '{"inputs": {}}'),
        ("config.json", '{"mine": {}} // what I chose'),
        ("pictures/cat.png", ""),
        ("results.csv", ""),
    ],
)
def test_what_no_run_has_left_is_not_overwritten(tmp_path, name, content):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text(content)
    with pytest.raises(ValueError, match=f"{name} is not of a run: choose a folder for the run"):
        folder(tmp_path, overwrite=True)


def test_beside_other_files_a_run_may_begin_again(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with folder(tmp_path, overwrite=True).opened():
        assert (tmp_path / "notes.txt").read_text() == "mine"


def test_a_file_is_no_folder_even_with_overwrite(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(ValueError, match="file is a file, and a folder is needed"):
        folder(tmp_path / "file", overwrite=True)


def test_without_a_path_nothing_is_made(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    nowhere = folder(None)
    with nowhere.opened():
        nowhere.mark_trained()
        nowhere.finished()
    assert (nowhere.metrics_file, nowhere.pictures) == (None, None)
    assert nowhere.checkpoints("classifier") is None
    assert list(tmp_path.iterdir()) == []


def test_the_same_settings_go_on(tmp_path):
    begin(tmp_path / "run")
    (tmp_path / "run" / "metrics.jsonl").write_text("kept")
    again = folder(tmp_path / "run")
    again.check_inputs({"training images": 7})
    with again.opened():
        assert again.goes_on
        assert again.metrics_file.read_text() == "kept"
        assert (again.checkpoints("classifier") / "step-3.index").exists()


def test_settings_without_influence_may_change(tmp_path):
    begin(tmp_path / "run")
    assert folder(tmp_path / "run", checkpoint_minutes=1.0, distribute="mirrored").goes_on


def test_other_settings_are_refused_with_the_differences(tmp_path):
    begin(tmp_path / "run")
    message = r"other settings \(classifier.epochs: 6, was 5; classifier.flip: off, was on\)"
    with pytest.raises(ValueError, match=message):
        folder(tmp_path / "run", epochs=6, flip=False)


def test_a_setting_that_another_version_had_is_a_difference(tmp_path):
    begin(tmp_path / "run")
    config = read_sealed_json((tmp_path / "run" / "config.json").read_bytes())
    config["classifier"]["momentum"] = 0.9
    (tmp_path / "run" / "config.json").write_text(sealed_json(config))
    with pytest.raises(ValueError, match="classifier.momentum: none, was 0.9"):
        folder(tmp_path / "run")


def test_other_data_or_models_are_refused(tmp_path):
    begin(tmp_path / "run")
    with pytest.raises(ValueError, match="training images: another content"):
        folder(tmp_path / "run").check_inputs({"training images": 8})


def test_other_masks_than_those_that_a_run_found_are_refused(tmp_path):
    begun = folder(tmp_path / "run")
    with begun.opened():
        begun.check_found("masks of train images", 7)
        begun.check_found("masks of validation images", 8)
    again = folder(tmp_path / "run")
    again.check_found("masks of train images", 7)
    with pytest.raises(ValueError, match="masks of validation images: another content"):
        again.check_found("masks of validation images", 9)
    anew = folder(tmp_path / "run", overwrite=True)
    with anew.opened():
        anew.check_found("masks of train images", 9)


def test_a_broken_configuration_is_refused(tmp_path):
    begin(tmp_path / "run")
    (tmp_path / "run" / "config.json").write_text("{")
    with pytest.raises(ValueError, match="config.json cannot be read .*choose another folder"):
        folder(tmp_path / "run")


def test_an_output_keeps_its_checkpoints_beside_it_until_it_is_written(tmp_path):
    begin(None, output=tmp_path / "m1.keras")
    again = folder(None, output=tmp_path / "m1.keras")
    assert again.goes_on and again.metrics_file is None
    assert {path.name for path in tmp_path.iterdir()} == {"m1.keras.unfinished"}
    assert not again.may_replace
    with again.opened():
        again.mark_trained()
        assert folder(None, output=tmp_path / "m1.keras").may_replace
        again.finished()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "name",
    [
        KILLED,
        f"{KILLED}.json",
        f"masks/{KILLED}.png",
        f"emptied/train/{KILLED}.jpg",
        "checkpoints/classifier/checkpoint.tmp0123abc",
        "checkpoints/classifier/step-6_temp/part-00000-of-00001.index",
    ],
)
def test_what_a_killed_process_was_writing_is_removed_at_the_end(tmp_path, name):
    begin(None, output=tmp_path / "m1.keras")
    left = tmp_path / "m1.keras.unfinished" / name
    left.parent.mkdir(parents=True, exist_ok=True)
    left.write_text("half")
    again = folder(None, output=tmp_path / "m1.keras")
    with again.opened():
        again.finished()
    assert list(tmp_path.iterdir()) == []


def test_something_of_the_users_survives_beside_the_checkpoints(tmp_path):
    begin(None, output=tmp_path / "m1.keras")
    (tmp_path / "m1.keras.unfinished" / "notes.txt").write_text("mine")
    again = folder(None, output=tmp_path / "m1.keras")
    with again.opened():
        again.finished()
    assert [path.name for path in tmp_path.rglob("*")] == ["m1.keras.unfinished", "notes.txt"]


def test_a_run_that_may_overwrite_its_output_may_do_so_when_it_goes_on(tmp_path):
    begun = folder(None, overwrite=True, output=tmp_path / "m1.keras")
    with begun.opened():
        pass
    again = folder(None, output=tmp_path / "m1.keras")
    assert again.goes_on and again.may_replace


def test_folders_of_the_users_with_our_names_are_kept(tmp_path):
    for name in ("masks/cat/1.png", "masks/mine.png", "checkpoints/best.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("mine")
    (tmp_path / "masks/17.png").write_text("ours")
    with folder(tmp_path, overwrite=True).opened():
        pass
    left = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.*")}
    assert left == {
        "config.json", "metrics.jsonl", "masks/cat/1.png", "masks/mine.png", "checkpoints/best.txt",
    }  # fmt: skip


def test_a_run_that_another_process_finished_meanwhile_is_not_begun_again(tmp_path):
    begin(None, output=tmp_path / "m1.keras")
    second = folder(None, output=tmp_path / "m1.keras")
    first = folder(None, output=tmp_path / "m1.keras")
    with first.opened():
        first.finished()
    with pytest.raises(BlockingIOError, match="another process was at work in .* try again"):
        with second.opened():
            pass


def test_the_number_of_a_command_is_the_same_on_all_its_workers(tmp_path):
    chief, other = folder(tmp_path / "run"), folder(None, overwrite=True)
    for worker in (chief, other):
        worker.check_inputs({"training images": 7})
    assert chief.number() == other.number()
    assert folder(None, steps_per_call=3).number() != folder(None).number()
    other.check_inputs({"training images": 8})
    assert chief.number() != other.number()


def test_two_processes_cannot_fill_one_folder(tmp_path):
    program = (
        "import pathlib, sys; from bginv.output_files import locked\n"
        "with locked(pathlib.Path(sys.argv[1])): print('locked', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdout.readline() == "locked\n"
        with pytest.raises(BlockingIOError, match="another process is at work in"):
            with folder(tmp_path).opened():
                pass
        other.kill()
    with folder(tmp_path).opened():
        pass


@pytest.mark.parametrize(
    ("run_dir", "output", "message"),
    [
        (None, None, "needs the --run-dir or the --output"),
        ("empty", None, "empty holds no run that could go on"),
        (None, "m1.keras", "m1.keras.unfinished holds no run that could go on"),
    ],
)
def test_resume_needs_a_run(run_dir, output, message):
    with pytest.raises(ValueError, match=message):
        kept_settings(run_dir, output)
