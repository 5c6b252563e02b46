"""Pictures of a run: contact sheets, learning curves, and single images as the paper's code."""

import pathlib
from collections.abc import Mapping

import cv2
import matplotlib
import numpy as np
from matplotlib.figure import Figure

from bginv.errors import UserError
from bginv.evaluation.calibration import Reliability
from bginv.output_files import write_bytes, write_file
from bginv.report.metrics import training_records

INCHES_PER_IMAGE = 1.1
LONGEST_TEXT = 60
AS_TEXT = {"text.parse_math": False}
"""A name with two $ is no formula."""

NOT_LOSSES = {"phase", "step", "epoch", "images_per_second", "seconds"}


@matplotlib.rc_context(AS_TEXT)
def write_sheet(path: pathlib.Path, rows: Mapping[str, np.ndarray], title: str) -> None:
    """One row of images for each name.

    Args:
        path: PNG to write.
        rows: float [N, H, W, C] in [0, 1] (clipped to it), by the row's label.
        title: shown above.
    """
    columns = max(map(len, rows.values()))
    figure = Figure(
        (INCHES_PER_IMAGE * columns + 1.2, INCHES_PER_IMAGE * len(rows) + 0.5), layout="constrained"
    )
    figure.suptitle(shown_text(title))
    axes = figure.subplots(len(rows), columns, squeeze=False)
    for row_axes, (label, images) in zip(axes, rows.items(), strict=True):
        row_axes[0].set_ylabel(shown_text(label), rotation=0, ha="right", va="center")
        for axis in row_axes:
            axis.set(xticks=[], yticks=[])
            axis.spines[:].set_visible(False)
        for axis, image in zip(row_axes, images, strict=False):
            shown = np.clip(_visible(image), 0, 1)
            axis.imshow(shown[..., 0] if shown.shape[-1] == 1 else shown, "gray", vmin=0, vmax=1)
    _write_figure(path, figure)


def shown_text(text: str) -> str:
    """A name as a chart can draw it: of some length, each line printable, in every legend."""
    lines = [line if line.isprintable() else repr(line)[1:-1] for line in text.split("\n")]
    whole = "\n".join(lines)
    shown = whole if len(whole) <= LONGEST_TEXT else f"{whole[: LONGEST_TEXT - 3]}..."
    # Matplotlib leaves out of a legend what begins with an underscore
    return f"\u200b{shown}" if shown.startswith("_") else shown


def _visible(image: np.ndarray) -> np.ndarray:
    """The channels of an image [H, W, C] that a picture has: the first three, or the first."""
    return image[..., :3] if image.shape[-1] >= 3 else image[..., :1]


def draw_boxes(images: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Images in colour, each with a red box.

    Args:
        images: float32 [N, H, W, 1 or 3] in [0, 1].
        boxes: [N, 4], top, left, bottom and right edge as shares of the image.

    Returns:
        float32 [N, H, W, 3] in [0, 1].
    """
    drawn = np.repeat(images, 3, -1) if images.shape[-1] == 1 else images.copy()
    size = np.array([images.shape[1], images.shape[2]] * 2)
    for image, box in zip(drawn, np.round(boxes * size).astype(int).tolist(), strict=True):
        top, left, bottom, right = box
        cv2.rectangle(image, (left, top), (right - 1, bottom - 1), (1.0, 0.0, 0.0))
    return drawn


def overlay(images: np.ndarray, maps: np.ndarray) -> np.ndarray:
    """Images under the colours of their maps, from blue (0) to red (1).

    Args:
        images: float32 [N, H, W, 1 or 3] in [0, 1].
        maps: float32 [N, H, W, 1] in [0, 1].

    Returns:
        float32 [N, H, W, 3] in [0, 1].
    """
    colours = [
        cv2.applyColorMap(np.round(one * 255).astype(np.uint8), cv2.COLORMAP_JET) for one in maps
    ]
    return (images + np.stack(colours)[..., ::-1] / np.float32(255)) / 2


def colour_label_maps(label_maps: np.ndarray, colours: np.ndarray) -> np.ndarray:
    """Label maps in the colours of their classes; black where nothing is known.

    Args:
        label_maps: int [N, H, W], class numbers; others are unknown.
        colours: uint8 [K, 3].

    Returns:
        float32 [N, H, W, 3] in [0, 1].
    """
    known = (label_maps >= 0) & (label_maps < len(colours))
    shown = colours[np.where(known, label_maps, 0)] * known[..., None]
    return shown.astype(np.float32) / np.float32(255)


@matplotlib.rc_context(AS_TEXT)
def write_learning_curves(path: pathlib.Path, metrics_file: pathlib.Path) -> None:
    """Every reported scalar over the steps, a panel a phase; nothing where there was no step.

    Args:
        path: PNG to write.
        metrics_file: JSON lines of a run.
    """
    records = training_records(metrics_file)
    phases = list(dict.fromkeys(record["phase"] for record in records))
    if not phases:
        return
    figure = Figure((4.5 * len(phases), 3.4), layout="constrained")
    axes = figure.subplots(1, len(phases), squeeze=False)[0]
    for axis, phase in zip(axes, phases, strict=True):
        own = [record for record in records if record["phase"] == phase]
        for name in (name for name in own[0] if name not in NOT_LOSSES):
            axis.plot(
                [record["step"] for record in own],
                [record[name] for record in own],
                label=name.replace("_", " "),
            )
        axis.set(title=phase, xlabel="step")
        axis.grid(alpha=0.3)
        axis.legend()
    _write_figure(path, figure)


@matplotlib.rc_context(AS_TEXT)
def write_reliability(path: pathlib.Path, found: Mapping[str, Reliability], title: str) -> None:
    """Reliability diagrams side by side: accuracy over confidence, and how many predictions.

    Args:
        path: PNG to write.
        found: by the diagram's title.
        title: shown above.
    """
    figure = Figure((4 * len(found), 4.2), layout="constrained")
    figure.suptitle(shown_text(title))
    axes = figure.subplots(1, len(found), squeeze=False)[0]
    for axis, (name, own) in zip(axes, found.items(), strict=True):
        edges = np.arange(len(own.counts)) / len(own.counts)
        width = 1 / len(own.counts)
        accuracy = np.nan_to_num(own.accuracy)
        axis.bar(edges, accuracy, width, align="edge", edgecolor="white", label="accuracy")
        share = own.counts / max(own.counts.sum(), 1)
        axis.bar(edges, share, width / 3, align="edge", color="0.4", label="share of predictions")
        axis.plot([0, 1], [0, 1], "k--", linewidth=1)
        axis.set(
            title=f"{shown_text(name)}: ECE {100 * own.error:.1f} %",
            xlabel="confidence",
            xlim=(0, 1),
            ylim=(0, 1),
        )
        axis.legend(loc="upper left")
    _write_figure(path, figure)


def write_image(path: pathlib.Path, image: np.ndarray) -> None:
    """One image as PNG.

    Args:
        path: PNG to write.
        image: float [H, W, C] in [0, 1] (clipped to it), RGB.
    """
    pixels = (np.clip(_visible(image), 0, 1) * 255).astype(np.uint8)
    shown = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR) if pixels.shape[-1] == 3 else pixels
    encoded, data = cv2.imencode(".png", shown)
    if not encoded:
        raise OSError(f"{path}: OpenCV could not encode an image of shape {image.shape}")
    write_bytes(path, data.tobytes())


def _write_figure(path: pathlib.Path, figure: Figure) -> None:
    write_file(path, lambda temporary: figure.savefig(temporary, dpi=110))


def write_strip(path: pathlib.Path, images: np.ndarray) -> None:
    """Write images side by side.

    Args:
        path: PNG to write.
        images: float [N, H, W, C] in [0, 1] (clipped to it).
    """
    write_image(path, np.concatenate(list(images), axis=1))


def read_strip(path: pathlib.Path, width: int) -> list[np.ndarray]:
    """Its images, uint8 [H, W, 3] or [H, W].

    Args:
        path: what `write_strip` wrote.
        width: W of an image, in pixels.

    Raises:
        UserError: another file.
    """
    strip = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if strip is None or strip.shape[1] % width:
        raise UserError(f"{path} is no strip of images {width} pixels wide")
    return np.split(strip[..., ::-1] if strip.ndim == 3 else strip, strip.shape[1] // width, axis=1)
