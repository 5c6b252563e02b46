import dataclasses

import keras
import pytest

from bginv.config import resolve
from bginv.recipes import PHASES, AcolSettings
from bginv.run_folder import RunFolder
from bginv.runs.phases import on_evaluated_epochs
from bginv.runs.three_phases import masked_source


@pytest.mark.parametrize(("every", "expected"), [(0, [5]), (1, [1, 2, 3, 4, 5]), (2, [2, 4, 5])])
def test_the_last_epoch_is_always_evaluated(every, expected):
    given = {"dataset": "shapes", "batchsize": 4, "epochs": 5, "evaluate_every": every}
    settings = resolve(AcolSettings, given, "paper")
    steps = dataclasses.replace(settings, epochs=None, steps=13)  # the last epoch is a part of one
    for own in (settings, steps):
        called: list[int] = []
        after_epoch = on_evaluated_epochs(called.append, own, 12)
        for epoch in range(1, 6):
            after_epoch(epoch)
        assert called == expected


@pytest.mark.parametrize(
    ("value", "told"), [(0.0, "masks cover 0.0 %"), (1.0, "masks cover 100.0 %"), (None, "")]
)
def test_masks_that_show_nothing_or_everything_are_told(squares, caplog, value, told):
    image = keras.Input((16, 16, 1))
    zeros = image * 0
    unet = keras.Model(image, zeros + value) if value is not None else None
    given = {"dataset": "squares", "model": "", "unet_model": "", "binarize": "0.5", "back": "adv"}
    settings = resolve(PHASES["adversarial"], given, "tuned")
    folder = RunFolder(None, None, False, {"adversarial": settings})
    masked_source(squares, False, unet, settings, None, folder, lambda source: source)
    assert told in caplog.text and bool(caplog.records) is bool(told)
