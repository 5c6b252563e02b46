"""From a name, as `--masks` takes it, to where masks come from, and why."""

import functools
import importlib
import importlib.util
import pkgutil
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from bginv.data.files import FileSource
from bginv.data.sources import Dataset
from bginv.errors import UserError
from bginv.masks.given import GivenMasks
from bginv.masks.source import MaskSource

AUTO, GIVEN, HEURISTIC, SALIENCY = "auto", "given", "heuristic", "saliency"
CAM, LEARNED = "cam", "learned"
OF_CLASSIFIER = (CAM, LEARNED)
"""What reads a classifier, and comes after it."""


class Choice(NamedTuple):
    """Where masks come from.

    Attributes:
        name: of the source: what was asked for, or what "auto" stands for.
        source: None for "given", as the data brings them, and for "cam" and "learned" while there
            is no classifier.
        reason: one sentence.
    """

    name: str
    source: MaskSource | None
    reason: str


def choose(name: str, dataset: Dataset, **settings: Any) -> Choice:
    """What a name stands for.

    Args:
        name: "auto", or a word of `SOURCES`, with `:` and what follows where it takes more.
        dataset: whose masks are wanted.
        settings: for sources that take some, such as a classifier.

    Raises:
        FileNotFoundError: a file that is not there.
        UserError: a name that is not known, or what its source cannot do.
    """
    if name == AUTO:
        name, why = automatic(dataset)
        return Choice(name, _source(name, dataset, settings), f"masks: {why}")
    return Choice(name, _source(name, dataset, settings), f"masks: {name}, as was asked for")


def automatic(dataset: Dataset) -> tuple[str, str]:
    """The name that "auto" stands for; the same and why, in words."""
    if dataset.train.has_masks:
        return GIVEN, "given, as the data brings them"
    if importlib.util.find_spec("onnx") is None:
        return LEARNED, "learned, as the data brings none and 'bginv[photos]' is not installed"
    saliency = importlib.import_module("bginv.masks.saliency")
    path = saliency.installed_network()
    if path is None:
        return LEARNED, (
            "learned, as the data brings none and there is no saliency network in "
            f"{saliency.home()} (U2NET_HOME names another folder)"
        )
    return SALIENCY, f"saliency ({path.name} in {path.parent}), as the data brings none"


def _source(name: str, dataset: Dataset, settings: Mapping[str, Any]) -> MaskSource | None:
    word, colon, argument = name.partition(":")
    make = SOURCES.get(word)
    if make is None:
        raise UserError(f"masks come from {AUTO}, {', '.join(SOURCES)}; received {name!r}")
    if colon and not argument:
        raise UserError(f"{name} needs what follows the colon, or no colon")
    return make(argument or None, dataset, settings)


Make = Callable[[str | None, Dataset, Mapping[str, Any]], MaskSource | None]


def made_by(where: str, takes: str | None = None, optional: bool = False) -> Make:
    """A `MaskSource` for `SOURCES`; its module is imported when it is needed.

    Args:
        where: the module and the class, "bginv.masks.saliency:SaliencyMasks".
        takes: what follows the colon, for a message; None if nothing does.
        optional: whether it may be left out.
    """

    def make(argument: str | None, dataset: Dataset, settings: Mapping[str, Any]) -> MaskSource:
        del dataset, settings
        if takes is None and argument is not None:
            raise UserError(f"these masks take nothing after a colon; received {argument!r}")
        if takes and argument is None and not optional:
            raise UserError(f"name {takes} after a colon; these masks need it")
        made = pkgutil.resolve_name(where)
        return made(*([argument] if argument else []))

    return make


def _given(
    argument: str | None, dataset: Dataset, settings: Mapping[str, Any]
) -> GivenMasks | None:
    del settings
    if argument is None:
        if not dataset.train.has_masks:
            raise UserError(
                f"{dataset.name} brings no masks: put them into masks/CLASS/NAME.png beside its "
                "class folders (of train, to train), name a folder with given:PATH, or choose "
                "another source"
            )
        return None
    source = GivenMasks(argument)
    for split in (dataset.train, *dataset.tests.values()):
        if isinstance(split, FileSource):
            source.check(_names(split))
    return source


def _names(split: FileSource) -> list[str]:
    return [split.name(row) for row in range(len(split))]


def _of_classifier(argument: str | None, dataset: Dataset, settings: Mapping[str, Any], name: str):
    classifier = settings.get("classifier")
    if argument is not None:
        raise UserError(f"{name} masks take nothing after a colon; received {argument!r}")
    if classifier is None:
        return None
    if name == CAM:
        return importlib.import_module("bginv.masks.cam").CamMasks(classifier)
    to_learn = importlib.import_module("bginv.masks.learned").MasksToLearn
    return to_learn(dataset.train.without_masks(), classifier, settings.get("seed", 0))


SOURCES: dict[str, Make] = {
    GIVEN: _given,
    HEURISTIC: made_by("bginv.masks.given:HeuristicMasks"),
    SALIENCY: made_by("bginv.masks.saliency:SaliencyMasks", "a network", optional=True),
    "boxes": made_by("bginv.masks.boxes:BoxMasks", "a file or a folder of boxes"),
    "model": made_by("bginv.masks.model:ModelMasks", "a .keras or .onnx file"),
    "command": made_by("bginv.masks.command:CommandMasks", "a program"),
    **{name: functools.partial(_of_classifier, name=name) for name in OF_CLASSIFIER},
}
