import argparse
import dataclasses

import pytest

from bginv.engine import settings as config
from bginv.engine.settings import positional, setting


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    dataset: str = positional(help="a name")
    recipe: str = setting("paper", choices=("paper", "tuned"), help="values")
    epochs: int | None = setting(100, tuned=None, minimum=1, help="passes")
    steps: int | None = setting(
        None, tuned=50, minimum=1, instead_of="epochs", help="batches, 5 % of them"
    )
    rate: float = setting(0.1, tuned=0.2, minimum=0, maximum=1, help="a share")
    weight: float = setting(1.0, minimum=0, help="without an upper bound")
    tiles: tuple[int, ...] = setting((2,), minimum=1, help="counts")
    flip: bool = setting(True, tuned=False, help="mirror")
    folder: str | None = setting(None, help="a place")


def parsed(*arguments: str, recipe: str = "paper") -> Settings:
    parser = argparse.ArgumentParser()
    config.add_flags(parser, Settings, recipe)
    return config.resolve(Settings, vars(parser.parse_args(["digits", *arguments])), recipe)


def test_recipes_fill_what_is_not_given():
    paper, tuned = parsed(), parsed("--recipe", "tuned")
    assert (paper.epochs, paper.steps, paper.rate, paper.flip) == (100, None, 0.1, True)
    assert (tuned.epochs, tuned.steps, tuned.rate, tuned.flip) == (None, 50, 0.2, False)
    assert parsed(recipe="tuned") == tuned


def test_what_is_given_wins():
    settings = parsed("--rate", "0.5", "--tiles", "1,4", "--no-flip", "--folder", "x")
    assert (settings.rate, settings.tiles, settings.flip) == (0.5, (1, 4), False)
    assert settings.folder == "x"


@pytest.mark.parametrize("recipe", ["paper", "tuned"])
def test_steps_and_epochs_replace_each_other(recipe):
    by_epochs, by_steps = (parsed(flag, "7", recipe=recipe) for flag in ("--epochs", "--steps"))
    assert (by_epochs.epochs, by_epochs.steps) == (7, None)
    assert (by_steps.epochs, by_steps.steps) == (None, 7)
    with pytest.raises(ValueError, match="--steps and --epochs exclude each other"):
        parsed("--steps", "7", "--epochs", "7", recipe=recipe)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--epochs", "-3"), "--epochs must be at least 1; received -3"),
        (("--rate", "1.5"), "--rate must be at most 1; received 1.5"),
        (("--rate", "nan"), "--rate must be a finite number; received nan"),
        (("--weight", "inf"), "--weight must be a finite number; received inf"),
        (("--tiles", "2,0"), "--tiles must be at least 1; received 0"),
    ],
)
def test_values_out_of_range_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        parsed(*arguments)


def test_a_wrong_choice_made_in_python_is_refused():
    with pytest.raises(ValueError, match="--recipe must be one of paper, tuned; received 'ours'"):
        config.check(Settings(dataset="digits", recipe="ours"))


def test_a_list_that_is_none_is_refused(capsys):
    with pytest.raises(SystemExit):
        parsed("--tiles", "2x2")
    assert "must be whole numbers separated by commas; received '2x2'" in capsys.readouterr().err


def test_help_shows_both_recipes():
    parser = argparse.ArgumentParser()
    config.add_flags(parser, Settings, "tuned")
    text = " ".join(parser.format_help().split())
    assert "a share (default: 0.2; paper: 0.1, tuned: 0.2)" in text
    assert "mirror (default: off; paper: on, tuned: off)" in text
    assert "batches, 5 % of them" in text
    assert "counts (default: 2)" in text
