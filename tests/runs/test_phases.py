import dataclasses

import pytest

from bginv.config import resolve
from bginv.recipes import AcolSettings
from bginv.runs.phases import on_evaluated_epochs


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
