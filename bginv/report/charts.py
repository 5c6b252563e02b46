"""Charts of a page: SVG that takes the colours of the text around it."""

import html
import io
from collections.abc import Mapping, Sequence

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bginv.report.pictures import AS_TEXT, NOT_LOSSES, shown_text

TEXT_COLOUR = "#010203"
"""Stands for the colour of the text until the SVG is written."""

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""Those of Okabe and Ito (2008), which people tell apart whatever their colour vision."""

_STYLE = {
    **AS_TEXT,
    "svg.fonttype": "none",
    "svg.hashsalt": "bginv",
    "font.family": "sans-serif",
    "font.size": 11,
    "text.color": TEXT_COLOUR,
    "axes.labelcolor": TEXT_COLOUR,
    "axes.edgecolor": TEXT_COLOUR,
    "xtick.color": TEXT_COLOUR,
    "ytick.color": TEXT_COLOUR,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.prop_cycle": matplotlib.cycler(color=COLOURS),
    "legend.frameon": False,
}
WIDTH, HEIGHT = 5.2, 3.0
"""Of a chart, in inches."""


def learning_curves(records: Sequence[Mapping], title: str) -> str:
    """Every reported loss over the steps.

    Args:
        records: of one phase, see `training.progress`.
        title: told to those who cannot see the chart.

    Returns:
        An SVG element.
    """

    def draw(axes: Axes) -> None:
        for name in (name for name in records[0] if name not in NOT_LOSSES):
            axes.plot(
                [record["step"] for record in records],
                [record.get(name) for record in records],
                label=name.replace("_", " "),
                linewidth=1.2,
            )
        axes.set_xlabel("step")
        axes.legend()

    return _chart(draw, title)


def compared_losses(runs: Mapping[str, Sequence[Mapping]], title: str) -> str:
    """The loss of one phase in several runs.

    Args:
        runs: by the run's name: records of the phase.
        title: told to those who cannot see the chart.

    Returns:
        An SVG element.
    """

    def draw(axes: Axes) -> None:
        for name, records in runs.items():
            steps, losses = ([record.get(key) for record in records] for key in ("step", "loss"))
            axes.plot(steps, losses, label=shown_text(name), linewidth=1.2)
        axes.set(xlabel="step", ylabel="loss")
        axes.legend()

    return _chart(draw, title)


def noise_curves(curves: Mapping[str, Mapping[float, float]], title: str) -> str:
    """Accuracy over the rate of salt and pepper.

    Args:
        curves: by the row's name: accuracy in [0, 1] by rate.
        title: told to those who cannot see the chart.

    Returns:
        An SVG element.
    """

    def draw(axes: Axes) -> None:
        for name, points in curves.items():
            shares = [100 * accuracy for accuracy in points.values()]
            style = {"marker": "o", "markersize": 3, "linewidth": 1.2}
            axes.plot(list(points), shares, label=shown_text(name), **style)
        axes.set(xlabel="share of background pixels that are white", ylabel="accuracy in %")
        axes.set_ylim(0, 102)
        axes.legend(loc="lower left")

    return _chart(draw, title)


def intervals(
    figures: Mapping[str, Mapping[str, tuple[float, float, float]]], title: str, unit: str
) -> str:
    """Shares with their intervals, one above the other.

    Args:
        figures: by the model's name: (value, low, high) of each figure, in [-1, 1].
        title: told to those who cannot see the chart.
        unit: of the horizontal axis, in words.

    Returns:
        An SVG element.
    """
    names = list(dict.fromkeys(name for own in figures.values() for name in own))

    def draw(axes: Axes) -> None:
        for number, (label, own) in enumerate(figures.items()):
            shift = 0.5 * (number - (len(figures) - 1) / 2) / len(figures)
            places = [names.index(name) + shift for name in own]
            values, lows, highs = (
                [100 * part for part in parts] for parts in zip(*own.values(), strict=True)
            )
            axes.hlines(places, lows, highs, color=COLOURS[number % len(COLOURS)], linewidth=2)
            axes.plot(values, places, "o", label=shown_text(label), markersize=5)
        axes.axvline(0, color=TEXT_COLOUR, linewidth=0.8)
        axes.set_yticks(range(len(names)), names)
        axes.set_ylim(len(names) - 0.5, -0.5)
        axes.set_xlabel(unit)
        if len(figures) > 1:
            axes.figure.legend(loc="outside lower center")

    return _chart(draw, title, 0.9 + 0.3 * len(names) + 0.35 * len(figures))


def _chart(draw, title: str, height: float = HEIGHT) -> str:
    with matplotlib.rc_context(_STYLE):
        figure = Figure((WIDTH, height), layout="constrained")
        axes = figure.subplots()
        axes.grid(alpha=0.25)
        draw(axes)
        written = io.StringIO()
        figure.savefig(written, format="svg", transparent=True, metadata={"Date": None})
    svg = written.getvalue()
    svg = svg[svg.index("<svg") :].replace(TEXT_COLOUR, "currentColor")
    label = html.escape(title)
    return svg.replace("<svg ", f'<svg role="img" aria-label="{label}" class="chart" ', 1)
