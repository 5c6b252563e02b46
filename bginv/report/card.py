"""The card of an exported model: Markdown, with the metadata that model hubs read."""

import dataclasses
import functools
import importlib.resources
import json
import pathlib
from collections.abc import Mapping, Sequence

import jinja2
import keras

import bginv
from bginv.evaluation.accuracy import ACCURACY
from bginv.interop.export import Exported
from bginv.nn.pixel_range import range_of_layers
from bginv.output_files import write_text
from bginv.report.run_page import Run, read_run
from bginv.report.runs import data_name
from bginv.report.tables import exports_table

CARD = "README.md"
CLASSES, SEGMENTS = "image-classification", "image-segmentation"
FIRST_MODEL, LAST_MODEL = "classifier", "robust_classifier"
LOADING = {
    "keras": (
        "With Keras",
        "import keras\n"
        "model = keras.models.load_model({file})\n"
        "outputs = model(images, training=False)",
    ),
    "safetensors": (
        "From the safetensors file alone",
        "import keras, safetensors\n"
        'with safetensors.safe_open({file}, "numpy") as file:\n'
        '    model = keras.models.model_from_json(file.metadata()["keras"])\n'
        "    for weight in model.weights:\n"
        "        weight.assign(file.get_tensor(weight.path))",
    ),
    "onnx": (
        "With ONNX Runtime",
        "import onnxruntime\n"
        "session = onnxruntime.InferenceSession({file})\n"
        'outputs = session.run(None, {{"image": images}})',
    ),
}
"""A title and a program, by the format that they load."""


@dataclasses.dataclass(frozen=True)
class Card:
    """What the card of a model tells.

    Attributes:
        name: of the model's files.
        model: that was exported.
        found: its files, by format.
        class_names: in the order of the scores; empty where they are not known.
        run: what trained it; None where that is not known.
        measured_row: of the run's table; None where there is none.
    """

    name: str
    model: keras.Model
    found: Mapping[str, Exported]
    class_names: Sequence[str] = ()
    run: Run | None = None
    measured_row: str | None = None
    version: str = bginv.__version__

    @functools.cached_property
    def is_classifier(self) -> bool:
        """Whether the model gives one vector of scores."""
        return len(getattr(self._output, "shape", ())) == 2

    @property
    def is_robust(self) -> bool:
        """Whether a run has trained it against backgrounds, and has kept what that gave."""
        if self.run is None or self.name != LAST_MODEL:
            return False
        return self.run.results.get("decision", {}).get("kept", True)

    @property
    def _output(self) -> object:
        """A tensor or a dict of them; None where a subclassed model does not tell."""
        return getattr(self.model, "output", None)

    @property
    def task(self) -> str:
        """As hubs name it."""
        return CLASSES if self.is_classifier else SEGMENTS

    @property
    def formats(self) -> list[str]:
        """Those that were written."""
        return [name for name, own in self.found.items() if own.path]

    @property
    def shape(self) -> list[str]:
        """Of an image."""
        return [str(side or "any") for side in self.model.input_shape[1:]]

    @property
    def pixels(self) -> str:
        """Their range."""
        told = range_of_layers(self.model)
        return "from {:g} to {:g}".format(*(told.pixels if told else (0, 1)))

    @property
    def outputs(self) -> str:
        """In words."""
        if isinstance(self._output, dict):
            named = [f"{name} [{_shape(own.shape)}]" for name, own in self._output.items()]
            return f"a dict: {', '.join(named)}"
        if self.is_classifier:
            return f"scores [B, {self._output.shape[-1]}]"
        shape = getattr(self._output, "shape", None)
        return f"an array [{_shape(shape)}]" if shape else "what its code tells"

    @property
    def summary(self) -> str:
        """In one sentence."""
        if not self.is_classifier:
            return "A Keras model of images, exported by bginv."
        trained = ", trained to look at objects and not at backgrounds" if self.is_robust else ""
        return f"An image classifier of {self._output.shape[-1]} classes{trained}."

    @property
    def loading(self) -> dict[str, str]:
        """Programs by their titles."""
        programs = [
            (LOADING[name], self.found[name].path) for name in self.formats if name in LOADING
        ]
        return {title: code.format(file=json.dumps(path.name)) for (title, code), path in programs}

    @property
    def dataset(self) -> str:
        """Its name without folders; empty where no results lie beside the model."""
        name = self.run.results.get("dataset", "") if self.run else ""
        return pathlib.PurePath(data_name(name)).name

    @property
    def dataset_sentence(self) -> str:
        """What it was trained on."""
        count = len(self.run.results.get("class_names", ()))
        return (
            f"It was trained and measured on {self.dataset}, which has {count} classes. Whoever "
            "ships the model writes here where these images come from, and who may use them."
        )

    @property
    def headline(self) -> Sequence[str]:
        """What the run found, in sentences."""
        return self.run.results.get("headline", ()) if self.run else ()

    @property
    def table(self) -> str:
        """Accuracies of the run."""
        return str(self.run.table).strip() if self.run and self.run.table else ""

    @property
    def scores(self) -> dict[str, float]:
        """Accuracy of this model in [0, 1], by the test; empty where that was not measured."""
        if self.measured_row is None or not self.is_classifier:
            return {}
        own = self.run.accuracies[self.measured_row]
        if own.measure != ACCURACY:
            return {}
        return {
            test.replace("_", " "): value for test, value in own.tests.items() if value is not None
        }

    @property
    def files(self) -> str:
        """A table of them."""
        written = {name: self.found[name] for name in self.formats}
        return str(
            exports_table(
                {
                    name: dataclasses.replace(own, path=pathlib.Path(own.path.name))
                    for name, own in written.items()
                }
            )
        )


def card_of(
    name: str,
    model: keras.Model,
    found: Mapping[str, Exported],
    class_names: Sequence[str] = (),
    run: Run | None = None,
) -> Card:
    """The card of a model.

    Args:
        name: of its files, without their endings.
        model: images to a tensor or a dict of tensors.
        found: see `export_model`.
        class_names: in the order of the scores, if they are known.
        run: in whose folder the model lies.
    """
    card = Card(name, model, found, class_names, run)
    return dataclasses.replace(card, measured_row=_measured_row(card))


def _measured_row(card: Card) -> str | None:
    """The row of a run's table that is this model's; None where another model lies there too."""
    rows = card.run.own_rows if card.run else []
    if not rows or not card.is_classifier:
        return None
    if len(rows) == 1:
        return rows[0]
    return {FIRST_MODEL: rows[0], LAST_MODEL: rows[-1]}.get(card.name)


def run_of(model: pathlib.Path) -> Run | None:
    """The run in whose folder a model's file lies; None where that is no folder of a run."""
    return read_run(model.parent) if (model.parent / "results.json").is_file() else None


def write_card(path: pathlib.Path, card: Card) -> None:
    """Write a card as Markdown."""
    template = importlib.resources.files("bginv.report").joinpath("card.md.j2").read_text("utf-8")
    environment = jinja2.Environment(
        trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    environment.filters["quoted"] = functools.partial(json.dumps, ensure_ascii=False)
    write_text(path, environment.from_string(template).render(card=card))


def _shape(shape: Sequence[int | None]) -> str:
    return ", ".join(["B", *(str(side or "any") for side in shape[1:])])
