"""What a classifier gets wrong is drawn more often."""

import dataclasses

import keras
import numpy as np
import pytest

from bginv.engine.settings import resolve
from bginv.interop.model_files import save_model
from bginv.methods.background_invariance.settings import PHASES
from bginv.methods.background_invariance.stages import drawing_of


@pytest.fixture
def classifier_of(tmp_path):
    """File of a classifier: a logit for the brightness of each half, with a slope and biases."""

    def write(bias: tuple[float, float], slope: float = 0.0) -> str:
        image = keras.Input((16, 16, 1))
        pooled = keras.layers.AveragePooling2D((16, 8))(image)
        logits = keras.layers.Dense(2)(keras.layers.Flatten()(pooled))
        model = keras.Model(image, logits)
        model.layers[-1].set_weights([slope * np.eye(2, dtype=np.float32), np.float32(bias)])
        save_model(model, tmp_path / "early.keras")
        return str(tmp_path / "early.keras")

    return write


def settings_of(phase: str, **given):
    common = {"dataset": "squares", "model": "", "unet_model": "heuristic"}
    return resolve(PHASES[phase], {**common, **given}, "tuned")


def labels(source, count: int) -> np.ndarray:
    batches = source.batches(8, shuffle=True).take(count)
    return np.concatenate([batch["label"] for batch in batches])


@pytest.mark.parametrize(
    ("phase", "given", "share"),
    [
        ("classifier", {}, 0.5),
        ("masks", {}, 1.0),
        ("adversarial", {}, 0.5),
        ("masks", {"mistakes_share": 0.75}, 0.75),
    ],
)
def test_the_share_of_mistakes(squares, classifier_of, phase, given, share, caplog):
    caplog.set_level("INFO")
    left_first = squares.train.take(np.concatenate([np.arange(0, 24, 2), [1, 3, 5, 7]]))  # 12 and 4
    file = classifier_of((1.0, 0.0))
    draw = drawing_of(settings_of(phase, mistakes_of=file, **given), squares)
    drawn = labels(draw(left_first), 6)
    assert (drawn == 1).mean() == share
    assert f"gets 4 of 16 training images wrong: {100 * share:.0f} %" in caplog.text


def test_without_a_classifier_nothing_changes(squares):
    assert drawing_of(settings_of("masks"), squares)(squares.train) is squares.train


@pytest.mark.parametrize(
    ("slope", "told"), [(1.0, "gets 0 of the 24"), (-1.0, "gets 24 of the 24")]
)
def test_mistakes_that_are_no_part_are_refused(squares, classifier_of, slope, told):
    draw = drawing_of(settings_of("masks", mistakes_of=classifier_of((0.0, 0.0), slope)), squares)
    steps = "fewer" if slope > 0 else "more"
    with pytest.raises(ValueError, match=f"{told} training images wrong.*for {steps} steps"):
        draw(squares.train)


def test_a_classifier_of_something_else_is_refused(squares, classifier_of):
    three = dataclasses.replace(squares, class_names=("a", "b", "c"))
    with pytest.raises(ValueError, match="knows 2 classes"):
        drawing_of(settings_of("masks", mistakes_of=classifier_of((0.0, 0.0))), three)
