import dataclasses
import json

import pytest

from bginv.checksums import read_sealed_json
from bginv.engine.saved_settings import (
    RETIRED,
    differences,
    from_plain,
    read_settings,
    resume,
    to_json,
)
from bginv.methods.background_invariance.settings import (
    PHASES,
    ClassifierSettings,
    RunSettings,
    resolve_phases,
)

GIVEN = {"dataset": "digits", "steps": 7, "tiles": (1, 4)}
KINDS = {"run": RunSettings, **PHASES}


@pytest.fixture
def configs() -> dict:
    return {"run": RunSettings(dataset="digits"), **resolve_phases(GIVEN, "tuned")}


def test_json_and_back(configs):
    kept = read_sealed_json(to_json(**configs, inputs={"training images": 1}))
    assert kept["inputs"] == {"training images": 1}
    for name, kind in KINDS.items():
        assert from_plain(kind, kept, name) == configs[name]


@pytest.mark.parametrize(
    ("content", "message"),
    [("{", "config.json cannot be read"), ("[]", "holds no settings"), ('{"a": 1}', "no settings")],
)
def test_a_file_of_something_else_is_refused(tmp_path, content, message):
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(ValueError, match=message):
        read_settings(tmp_path / "config.json")


def test_unknown_settings_and_other_commands_are_refused():
    with pytest.raises(ValueError, match="unknown settings: nonsense"):
        from_plain(ClassifierSettings, {"a": {"dataset": "digits", "nonsense": 1}}, "a")
    with pytest.raises(ValueError, match="kept for a cannot be used: .*dataset"):
        from_plain(ClassifierSettings, {"a": {"steps": 1}}, "a")
    with pytest.raises(ValueError, match="kept for a cannot be used"):
        from_plain(ClassifierSettings, {"a": {"dataset": "digits", "steps": "many"}}, "a")
    with pytest.raises(ValueError, match="no settings for masks: .* another command"):
        from_plain(PHASES["masks"], {"classifier": {}}, "masks")
    assert differences({"classifier": {}}, {"masks": None}) == [
        "it has no settings for masks, so it is one of another command"
    ]


def test_only_settings_with_influence_are_differences(configs):
    kept = json.loads(to_json(**configs))
    assert differences(kept, configs) == []
    changed = dataclasses.replace(configs["adversarial"], tiles=(2,), seed=3, checkpoint_steps=5)
    assert differences(kept, {**configs, "adversarial": changed}) == [
        "adversarial.seed: 3, was 0",
        "adversarial.tiles: 2, was 1,4",
    ]


def test_resuming_takes_what_is_kept_and_what_may_change(configs):
    given = {"dataset": "digits", "resume": True, "checkpoint_steps": 9, "masks_steps_per_call": 3}
    resumed = resume(KINDS, json.loads(to_json(**configs)), given)
    assert [resumed[phase].checkpoint_steps for phase in PHASES] == [9, 9, 9]
    assert [resumed[phase].steps_per_call for phase in PHASES] == [20, 3, 20]
    assert resumed["adversarial"].tiles == (1, 4)
    assert differences(json.loads(to_json(**configs)), resumed) == []


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"steps": 8}, "goes on with classifier.steps = 7; received 8: leave it out"),
        ({"masks_steps": 8}, "goes on with masks.steps = 7; received 8"),
        ({"dataset": "mnist"}, "goes on with run.dataset = digits; received mnist"),
    ],
)
def test_resuming_refuses_what_must_not_change(configs, given, message):
    with pytest.raises(ValueError, match=message):
        resume(KINDS, json.loads(to_json(**configs)), given)


def test_settings_that_a_run_is_too_old_to_know_have_their_defaults(configs):
    kept = json.loads(to_json(**configs))
    del kept["classifier"]["label_smoothing"], kept["adversarial"]["tiles"]
    assert differences(kept, configs) == ["adversarial.tiles: 1,4, was 2"]
    changed = dataclasses.replace(configs["classifier"], label_smoothing=0.2)
    assert differences(kept, {**configs, "classifier": changed}) == [
        "classifier.label_smoothing: 0.2, was 0.0",
        "adversarial.tiles: 1,4, was 2",
    ]


def test_settings_that_are_gone_are_dropped_where_they_did_nothing(configs):
    kept = json.loads(to_json(**configs))
    kept["classifier"] |= RETIRED
    assert differences(kept, configs) == []
    assert from_plain(ClassifierSettings, kept, "classifier") == configs["classifier"]


def test_settings_that_are_gone_are_refused_where_they_did_something(configs):
    kept = json.loads(to_json(**configs))
    kept["classifier"] |= {**RETIRED, "mixup": 0.2}
    line = "classifier.mixup: gone since this version, was 0.2"
    assert differences(kept, configs) == [line]
    with pytest.raises(ValueError, match=line):
        from_plain(ClassifierSettings, kept, "classifier")
