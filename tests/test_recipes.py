import argparse

import pytest

from bginv.engine.settings import resolve
from bginv.methods.background_invariance.settings import PHASES, add_run_flags, resolve_phases


def phases(*arguments: str) -> dict:
    parser = argparse.ArgumentParser()
    add_run_flags(parser, "tuned")
    return resolve_phases(vars(parser.parse_args(["digits", *arguments])), "tuned")


def test_a_shared_flag_reaches_every_phase_and_a_phases_own_flag_wins():
    resolved = phases("--batchsize", "32", "--masks-batchsize", "16", "--seed", "5")
    assert [resolved[name].batchsize for name in PHASES] == [32, 16, 32]
    assert [resolved[name].seed for name in PHASES] == [5, 5, 5]


def test_a_phases_steps_replace_everybodys_epochs():
    resolved = phases("--epochs", "2", "--masks-steps", "30")
    assert (resolved["masks"].epochs, resolved["masks"].steps) == (None, 30)
    assert (resolved["adversarial"].epochs, resolved["adversarial"].steps) == (2, None)


def test_the_papers_positional_arguments_are_flags_of_a_run():
    resolved = phases("--binarize", "quantile", "--back", "noise", "--tiles", "4")
    assert resolved["masks"].binarize == resolved["adversarial"].binarize == "quantile"
    assert (resolved["adversarial"].back, resolved["adversarial"].tiles) == ("noise", (4,))


def test_an_option_out_of_range_is_refused():
    with pytest.raises(ValueError, match="--clean-fraction must be at most 1; received 2"):
        phases("--clean-fraction", "2")


PUBLISHED = {
    "batchsize": 8,
    "epochs": 100,
    "steps": None,
    "flip": True,
    "rotation": 15.0,
    "shift": 0.15,
    "precision": "float32",
}
"""Of every phase in the code of Cruz et al. 2020."""

OWN = {
    "classifier": {"learning_rate": None, "background_mixing": 0.0, "label_smoothing": 0.0},
    "masks": {"learning_rate": 1e-5, "loss": "abs", "area": 0.2, "total_variation": 0.1},
    "adversarial": {
        "learning_rate": None,
        "generator_learning_rate": 1e-5,
        "tiles": (2,),
        "tile_uses": 1,
        "noise": "normal",
        "clean_fraction": 0.0,
        "decay": "none",
        "average": 0.0,
        "restart_every": 0,
        "mask_growth": 0,
        "align_masks": False,
        "background_mixing": 0.0,
    },
}
TUNED = {
    "classifier": {"steps": 1500},
    "masks": {"steps": 400, "learning_rate": 1e-3},
    "adversarial": {
        "steps": 6000,
        "generator_learning_rate": 1e-3,
        "tiles": (1, 2, 4),
        "tile_uses": 3,
        "noise": "uniform",
        "clean_fraction": 0.25,
        "decay": "cosine",
        "average": 0.998,
        "restart_every": 600,
        "mask_growth": 3,
        "align_masks": True,
    },
}
"""What `benchmarks/choose_recipe.py` chose; docs/results/paper.md has the figures."""

ALL_TUNED = {"batchsize": 64, "epochs": None, "flip": False, "rotation": 10.0, "shift": 0.05}


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("recipe", ["paper", "tuned"])
def test_recipes_hold_what_the_docs_say(recipe, phase):
    given = {"dataset": "digits", "model": "", "unet_model": ""}
    resolved = resolve(PHASES[phase], given, recipe)
    expected = {**PUBLISHED, **OWN[phase]}
    if recipe == "tuned":
        expected |= {**ALL_TUNED, "precision": "auto", **TUNED[phase]}
    assert {name: getattr(resolved, name) for name in expected} == expected
