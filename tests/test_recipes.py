import argparse

import pytest

from bginv.recipes import PHASES, add_run_flags, resolve_phases


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
