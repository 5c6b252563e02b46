"""The settings that a run's folder keeps, as JSON, and what a run that goes on makes of them."""

import dataclasses
import json
import pathlib
from collections.abc import Collection, Mapping
from typing import Any

from bginv.checksums import read_sealed_json, sealed_json
from bginv.engine.settings import check, kind_of, show
from bginv.errors import UserError

RETIRED = {
    "cutmix": 0.0,
    "ensemble": "none",
    "focal": 0.0,
    "imsave": False,
    "members": None,
    "mixup": 0.0,
    "swa": 0.0,
}
"""Settings that older versions had, and the value that did nothing."""


def to_json(**configs: Any) -> str:
    """Resolved configurations, and other plain content, as JSON, each under its name."""
    return sealed_json(_plain(configs), indent=2) + "\n"


def read_settings(path: pathlib.Path) -> dict[str, dict[str, Any]]:
    """What `to_json` wrote to a file.

    Raises:
        UserError: the file holds something else.
    """
    try:
        kept = read_sealed_json(path.read_bytes())
    except (OSError, ValueError) as error:
        raise UserError(
            f"{path} cannot be read ({error}): choose another folder, or remove that one"
        ) from error
    if not all(isinstance(part, dict) for part in kept.values()):
        raise UserError(f"{path} holds no settings of a run: choose another folder")
    return kept


def are_settings(path: pathlib.Path) -> bool:
    """Whether a file is one that `to_json` wrote for a run."""
    try:
        kept = read_sealed_json(path.read_bytes())
    except (OSError, ValueError):
        return False
    return {"inputs", "command"} <= kept.keys()


def resume(
    kinds: Mapping[str, type], kept: Mapping[str, Any], given: Mapping[str, Any]
) -> dict[str, Any]:
    """The configurations of a run that goes on, with what was given that may change.

    Args:
        kinds: their dataclasses, by name.
        kept: see `read_settings`.
        given: values by name, or by name with that of the configuration in front.

    Raises:
        UserError: a run of another command, or a value that must not change and has.
    """
    configs = {}
    for name, kind in kinds.items():
        config = from_plain(kind, kept, name)
        for field in dataclasses.fields(kind):
            option = f"{name}_{field.name}" if f"{name}_{field.name}" in given else field.name
            value = given.get(option, getattr(config, field.name))
            if value != getattr(config, field.name) and not field.metadata.get("may_change"):
                raise UserError(
                    f"--resume goes on with {name}.{field.name} = "
                    f"{show(getattr(config, field.name))}; received {show(value)}: leave it out"
                )
            config = dataclasses.replace(config, **{field.name: value})
        check(config)
        configs[name] = config
    return configs


def differences(kept: Mapping[str, Any], configs: Mapping[str, Any]) -> list[str]:
    """What a run that goes on must not change, and has: "classifier.steps: 5, was 3".

    Args:
        kept: see `read_settings`.
        configs: the configurations now, each under its name.
    """
    found = []
    for name, config in configs.items():
        if name not in kept:
            return [f"it has no settings for {name}, so it is one of another command"]
        now = json.loads(json.dumps(dataclasses.asdict(config)))
        own, gone = _without_retired(kept[name], now.keys())
        found += [f"{name}.{key}" for key in gone]
        before = {**_defaults(config), **own}
        changeable = {
            field.name for field in dataclasses.fields(config) if field.metadata.get("may_change")
        }
        for key in sorted((now.keys() | before.keys()) - changeable):
            if now.get(key) != before.get(key):
                found.append(f"{name}.{key}: {show(now.get(key))}, was {show(before.get(key))}")
    return found


def changes_since(file: pathlib.Path, name: str, kept: Mapping[str, Any]) -> list[str]:
    """What is other than when a file of settings and inputs was written, in words.

    Args:
        file: see `to_json`; it has `inputs`, numbers that stand for what was read.
        name: of the settings.
        kept: what would be written now.
    """
    before = read_settings(file)
    now, then = kept["inputs"], before.get("inputs", {})
    changed = [f"{key}: another content" for key in now if then.get(key) != now[key]]
    return differences(before, {name: kept[name]}) + changed


def from_plain(settings: type, kept: Mapping[str, Any], name: str) -> Any:
    """One of the configurations that `to_json` wrote.

    Args:
        settings: its dataclass.
        kept: all of them, see `read_settings`.
        name: the one.

    Raises:
        UserError: unknown or missing names, names of settings that are gone, or values out of
            range.
    """
    values = kept.get(name)
    if values is None:
        raise UserError(f"it holds no settings for {name}: the run is one of another command")
    kinds = {field.name: kind_of(settings, field) for field in dataclasses.fields(settings)}
    values, gone = _without_retired(values, kinds.keys())
    if gone:
        raise UserError(f"{name}.{gone[0]}: choose another folder")
    unknown = sorted(set(values) - set(kinds))
    if unknown:
        raise UserError(f"unknown settings: {', '.join(unknown)}")
    tupled = {
        name: tuple(value) if kinds[name] is tuple and value is not None else value
        for name, value in values.items()
    }
    try:
        config = settings(**tupled)
        check(config)
    except TypeError as error:
        raise UserError(f"the settings kept for {name} cannot be used: {error}") from error
    return config


def _without_retired(
    values: Mapping[str, Any], known: Collection[str]
) -> tuple[dict[str, Any], list[str]]:
    """What is kept, without retired settings, and those of them that did something."""
    retired = {key: values[key] for key in RETIRED if key in values and key not in known}
    gone = [
        f"{key}: gone since this version, was {show(value)}"
        for key, value in retired.items()
        if value != RETIRED[key]
    ]
    return {key: value for key, value in values.items() if key not in retired}, gone


def _defaults(config: Any) -> dict[str, Any]:
    """What a run did whose settings are older than some of the fields."""
    found = {
        field.name: field.default
        for field in dataclasses.fields(config)
        if field.default is not dataclasses.MISSING
    }
    return json.loads(json.dumps(found))


def _plain(configs: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: dataclasses.asdict(config) if dataclasses.is_dataclass(config) else config
        for name, config in configs.items()
    }
