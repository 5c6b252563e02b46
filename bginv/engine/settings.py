"""From a frozen dataclass of settings to flags and a checked configuration.

A setting is declared once, by `setting` or `positional`, with its value in either recipe.
"""

import argparse
import dataclasses
import math
import types
import typing
from collections.abc import Callable, Collection, Mapping
from typing import Any

from bginv.errors import UserError

RECIPES = ("paper", "tuned")
DEFAULT = "(default: "
OWN_HEADING = "options of this command"
_UNSET = object()


def setting(
    paper: Any,
    *,
    help: str,
    tuned: Any = _UNSET,
    choices: tuple | None = None,
    minimum: float | None = None,
    maximum: float | None = None,
    instead_of: str | None = None,
    may_change: bool = False,
    also: tuple[str, ...] = (),
    metavar: str | None = None,
) -> Any:
    """Declare an option.

    Args:
        paper: its value in the recipe "paper".
        help: one line for `--help`.
        tuned: its value in the recipe "tuned", where that differs.
        choices: the values allowed.
        minimum: the smallest number allowed.
        maximum: the largest number allowed.
        instead_of: name of a setting that becomes None where only this one is given.
        may_change: a run that goes on may have another value than it began with.
        also: other names of the option, those of a paper's code.
        metavar: what `--help` calls its value (default: by its type).
    """
    return dataclasses.field(
        default=paper,
        metadata={
            "help": help,
            "tuned": paper if tuned is _UNSET else tuned,
            "choices": choices,
            "minimum": minimum,
            "maximum": maximum,
            "instead_of": instead_of,
            "may_change": may_change,
            "also": also,
            "metavar": metavar,
        },
    )


def positional(*, help: str, default: Any = _UNSET, choices: tuple | None = None) -> Any:
    """Declare an argument that goes by its place.

    Args:
        help: one line for `--help`.
        default: its value where the dataclass is made without it; None makes it optional.
        choices: the values allowed.
    """
    metadata = {"help": help, "choices": choices, "positional": True}
    if default is _UNSET:
        return dataclasses.field(metadata=metadata)
    return dataclasses.field(default=default, metadata={**metadata, "tuned": default})


def add_flags(parser: argparse.ArgumentParser, settings: type, recipe: str) -> None:
    """Add an argument for each setting; a flag that is not given is absent from the result.

    Args:
        parser: to add to.
        settings: a dataclass made of `setting` and `positional`.
        recipe: the default of `--recipe`, for the help texts.
    """
    fields = dataclasses.fields(settings)
    for field in fields:
        if field.metadata.get("positional"):
            several = kind_of(settings, field) is tuple
            optional = {"nargs": "?", "default": argparse.SUPPRESS} if field.default is None else {}
            parser.add_argument(
                field.name,
                choices=field.metadata["choices"],
                help=field.metadata["help"],
                **({"nargs": "+"} if several else optional),
            )
    options = [field for field in fields if not field.metadata.get("positional")]
    for field in sorted(options, key=lambda field: _declaring(settings, field) is not settings):
        add_option(parser, settings, field, option_name(field.name), recipe)


def add_new_flags(
    parser: argparse.ArgumentParser, settings: type, recipe: str, told_as: str | None = None
) -> None:
    """Add the options of a dataclass that the parser does not have yet; see `add_flags`.

    Args:
        parser: see there.
        settings: see there.
        recipe: see there.
        told_as: whose defaults these are, for the help of options that are there with another
            default; None leaves it as it is.
    """
    for field in dataclasses.fields(settings):
        option = option_name(field.name)
        known = parser._option_string_actions.get(option)
        if known is None and not field.metadata.get("positional"):
            add_option(parser, settings, field, option, recipe)
        elif known is not None and told_as:
            known.help = _with_other_default(known.help, field, recipe, told_as)


def _with_other_default(text: str, field: dataclasses.Field, recipe: str, told_as: str) -> str:
    """The help of an option, and what it is by default elsewhere, where that is something else."""
    if text == argparse.SUPPRESS:
        return _help(field, recipe)
    own = show_default(field, recipe)
    if field.default is None or own == told_as or f"{DEFAULT}{own})" in text:
        return text
    return f"{text[:-1]}; {told_as}: {own})" if DEFAULT in text else f"{text} ({told_as}: {own})"


def _declaring(settings: type, field: dataclasses.Field) -> type:
    """The class that a setting comes from first."""
    return next(
        own
        for own in reversed(settings.__mro__)
        if field.name in own.__dict__.get("__annotations__", {})
    )


def _group(parser: argparse.ArgumentParser, settings: type, field: dataclasses.Field):
    """The part of the help that lists a setting, under the heading of its class."""
    title = getattr(_declaring(settings, field), "HEADING", OWN_HEADING)
    groups = {group.title: group for group in parser._action_groups}
    return groups.get(title) or parser.add_argument_group(title)


def add_option(
    parser: argparse.ArgumentParser,
    settings: type,
    field: dataclasses.Field,
    option: str,
    recipe: str,
    help: str | None = None,
) -> None:
    """Add one setting as an option, under the name given, with its own help text or another."""
    kind = kind_of(settings, field)
    keywords: dict[str, Any] = {
        "dest": option.removeprefix("--").replace("-", "_"),
        "default": argparse.SUPPRESS,
        "help": help or _help(field, recipe),
    }
    options = [option, *map(option_name, field.metadata.get("also", ()))]
    group, choices = _group(parser, settings, field), field.metadata.get("choices")
    if kind is bool:
        group.add_argument(*options, action=argparse.BooleanOptionalAction, **keywords)
        return
    group.add_argument(
        *options,
        type=_numbers_of(settings, field) if kind is tuple else kind,
        choices=choices,
        metavar=None if choices else field.metadata.get("metavar") or _METAVARS[kind],
        **keywords,
    )


def setting_names(settings: type) -> set[str]:
    """Names of all settings."""
    return {field.name for field in dataclasses.fields(settings)}


def refuse_unknown(
    given: Collection[str], known: Collection[str], asked: str, instead: str
) -> None:
    """Raise where an option of a command is of its other recipes or methods alone.

    Args:
        given: names of options.
        known: those of what was asked for.
        asked: what that is, as users give it.
        instead: what has more of them.

    Raises:
        UserError: it names the option.
    """
    others = sorted(set(given) - set(known) - {"command"})
    if others:
        raise UserError(
            f"{option_name(others[0])} is not for {asked}: leave it out, or give {instead}"
        )


def positional_names(settings: type) -> list[str]:
    """Names of the arguments that go by their place, in order."""
    return [
        field.name for field in dataclasses.fields(settings) if field.metadata.get("positional")
    ]


def option_name(name: str) -> str:
    """`total_variation` -> `--total-variation`."""
    return "--" + name.replace("_", "-")


def resolve(settings: type, given: Mapping[str, Any], recipe: str) -> Any:
    """Complete what was given with a recipe's values, and check the whole.

    Args:
        settings: the dataclass.
        given: values by name.
        recipe: "paper" or "tuned".

    Returns:
        An instance of `settings`.

    Raises:
        UserError: a value outside its range or choices, or two that exclude each other.
    """
    recipe = given.get("recipe", recipe)
    values = {
        name: tuple(value) if isinstance(value, list) else value for name, value in given.items()
    }
    for field in dataclasses.fields(settings):
        other = field.metadata.get("instead_of")
        if other and field.name in given and other in given:
            raise UserError(
                f"{option_name(field.name)} and {option_name(other)} exclude each other; give one"
            )
        if other and field.name in given:
            values[other] = None
        if other and other in given:
            values[field.name] = None
    for field in dataclasses.fields(settings):
        if field.name not in values and "tuned" in field.metadata:
            values[field.name] = field.default if recipe == "paper" else field.metadata["tuned"]
    values["recipe"] = recipe
    known = setting_names(settings)
    config = settings(**{name: value for name, value in values.items() if name in known})
    check(config)
    return config


def check(config: Any) -> None:
    """Raise if a value lies outside its declared range or choices.

    Raises:
        UserError: it names the flag, what it takes and what it got.
    """
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if value is None:
            continue
        name = field.name if field.metadata.get("positional") else option_name(field.name)
        choices = field.metadata.get("choices")
        if choices and value not in choices:
            raise UserError(f"{name} must be one of {', '.join(choices)}; received {value!r}")
        low, high = field.metadata.get("minimum"), field.metadata.get("maximum")
        for number in value if isinstance(value, tuple) else (value,):
            if isinstance(number, float) and not math.isfinite(number):
                raise UserError(f"{name} must be a finite number; received {number}")
            if low is not None and number < low:
                raise UserError(f"{name} must be at least {low}; received {number}")
            if high is not None and number > high:
                raise UserError(f"{name} must be at most {high}; received {number}")


_METAVARS = {int: "N", float: "X", str: "PATH", tuple: "N[,N...]"}


def show_default(field: dataclasses.Field, recipe: str) -> str:
    """A setting's value in a recipe, as help texts show it."""
    return show(field.default if recipe == "paper" else field.metadata["tuned"])


def kind_of(settings: type, field: dataclasses.Field) -> type:
    """bool, int, float, str or tuple, from annotations such as `int | None`."""
    hint = typing.get_type_hints(settings)[field.name]
    if isinstance(hint, types.UnionType):
        (hint,) = (arm for arm in typing.get_args(hint) if arm is not type(None))
    return typing.get_origin(hint) or hint


def _help(field: dataclasses.Field, recipe: str) -> str:
    paper, tuned = (show_default(field, name) for name in RECIPES)
    both = "" if paper == tuned else f"; paper: {paper}, tuned: {tuned}"
    default = f" {DEFAULT}{show_default(field, recipe)}{both})"
    nothing = field.default in (None, ()) and not both or DEFAULT in field.metadata["help"]
    return (field.metadata["help"] + ("" if nothing else default)).replace("%", "%%")


def show(value: Any) -> str:
    """A value as a help text or a message shows it."""
    if isinstance(value, tuple | list):
        return ",".join(map(str, value))
    if value is None or isinstance(value, bool):
        return {None: "none", True: "on", False: "off"}[value]
    return str(value)


def _numbers_of(settings: type, field: dataclasses.Field) -> Callable[[str], tuple]:
    """What reads the text of a tuple of numbers."""
    number = typing.get_args(typing.get_type_hints(settings)[field.name])[0]

    def read(text: str) -> tuple:
        try:
            return tuple(number(part) for part in text.split(",") if text)
        except ValueError:
            kind = "whole numbers" if number is int else "numbers"
            raise argparse.ArgumentTypeError(
                f"must be {kind} separated by commas; received {text!r}"
            ) from None

    return read
