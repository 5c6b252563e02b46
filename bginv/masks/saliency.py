"""Salient objects (Qin et al. 2020, 2022): the networks that rembg runs, from the same files."""

import contextlib
import dataclasses
import functools
import hashlib
import os
import pathlib
import sys
import time
from collections.abc import Sequence

import cv2
import keras
import numpy as np
import tensorflow as tf
from absl import logging

from bginv.errors import UserError, first_line
from bginv.masks.model import MapSession
from bginv.masks.source import Mask, MaskSource, Picture, confidence_of
from bginv.nn.onnx_graph import OnnxGraph, read_onnx
from bginv.nn.precision import chosen_precision

URL = "https://github.com/danielgatis/rembg/releases/download/v0.0.0/{}.onnx"
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
SIDE = 256
"""Of what a network of 320 rows is given: photographs have a better IoU so, and are done sooner."""
BATCH = 4
"""More are no faster, and need more memory."""
LEAST_SALIENCE = 0.05
"""A network whose largest value is less has seen no object."""


@dataclasses.dataclass(frozen=True)
class Network:
    """A network as rembg publishes it.

    Attributes:
        md5: of its file.
        mean: subtracted from the image over its own maximum.
        std: what the rest is divided by.
    """

    md5: str
    mean: tuple[float, ...] = IMAGENET[0]
    std: tuple[float, ...] = IMAGENET[1]


NETWORKS = {
    "u2net": Network("60024c5c889badc19c04ad937298a77b"),
    "u2netp": Network("8e83ca70e441ab06c318d82300c84806"),
    "silueta": Network("55e59e0d8062d2f5d013f4725ee84782"),
    "isnet-general-use": Network(
        "fc16ebd8b0c10d971d3513d564d01e29", (0.5, 0.5, 0.5), (1.0, 1.0, 1.0)
    ),
    "u2net_human_seg": Network("c09ddc2e0104f800e3e1bb4652583d1f"),
}
"""In the order in which one is taken where several are there: the better first, but those that
take 1024 rows, and minutes, or know people alone, last."""
FETCHED = "u2netp"
"""Where none is there: 4.6 MB, and the masks of the large one nearly."""


class SaliencyMasks(MaskSource):
    """The most salient object of a photograph, by a U2-Net or a network of its kind.

    The network's first output is scaled to its own minimum and maximum, as rembg does. Confidence
    is how decided the mask is, times the network's largest value.

    Args:
        network: a name of `NETWORKS`, or a path of an `.onnx` file; None takes what is there.
        side: of the images that it is given, a multiple of 32; None for 256, or what the file was
            written for where it takes nothing else, or more than 320.
        precision: "float32", "bfloat16" or "auto".

    Raises:
        FileNotFoundError: no such file.
        UserError: a damaged file, one of another kind, or a name that is not known.
    """

    def __init__(
        self, network: str | None = None, side: int | None = None, precision: str = "auto"
    ):
        self.path, self._asked = find_network(network), (network, side)
        known = NETWORKS.get(self.path.stem, Network(""))
        self._mean = np.array(known.mean, np.float32)
        self._std = np.array(known.std, np.float32)
        self._precision = chosen_precision(precision, ())
        self.name = f"saliency:{network}" if network else "saliency"
        self._digest = hashlib.sha256(self.path.read_bytes()).hexdigest()[:16]
        if (known.mean, known.std) != IMAGENET:
            self._digest += f" {known.mean} {known.std}"
        try:
            self._in_tensorflow(side)
        except NotImplementedError as error:
            logging.info("%s: %s; ONNX Runtime computes it, one at a time", self.path, error)
            self._by_runtime()

    def _in_tensorflow(self, side: int | None) -> None:
        graph = OnnxGraph(self.path, self._precision)
        own = graph.shape[2] or 320
        small = graph.any_size and own <= 320
        self._side = (side or (SIDE if small else own)) if graph.any_size else own
        self.batch_size = BATCH if self._side <= 320 else 1
        run = tf.function(lambda images: graph(images)[0], autograph=False)
        shape = tf.TensorSpec([None, self._side, self._side, 3])
        found = run.get_concrete_function(shape).output_shapes
        if found.as_list()[1:] != [self._side, self._side, 1]:
            raise UserError(
                f"{self.path} gives first outputs of shape {found}; a map of {self._side}x"
                f"{self._side} is needed, as U2-Net gives: name such a file, or take model:PATH"
            )
        self._run = lambda images: run(tf.constant(images)).numpy()[..., 0]

    def _by_runtime(self) -> None:
        session = MapSession(self.path, first_alone=True)
        self._side, self.batch_size, self._precision = session.size[0], 1, "float32"
        self._run = session

    @property
    def fingerprint(self) -> str:
        """See `MaskSource.fingerprint`."""
        return f"saliency {self._digest} {self._side} {self._precision}"

    @functools.cached_property
    def exact(self) -> "SaliencyMasks":
        """See `MaskSource.exact`: in float32. Objects that are cut out in bfloat16 are taken for
        another class more often, by a point, while classifiers trained on them are no worse.
        """
        return self if self._precision == "float32" else SaliencyMasks(*self._asked, "float32")

    @functools.cached_property
    def seconds(self) -> float:
        """See `MaskSource`; measured, as it differs tenfold between processors."""
        images = np.zeros((self.batch_size, self._side, self._side, 3), np.float32)
        self._run(images)  # with what is done once
        began = time.monotonic()
        self._run(images)
        return (time.monotonic() - began) / self.batch_size

    def masks(self, pictures: Sequence[Picture]) -> list[Mask]:
        """See `MaskSource.masks`."""
        images = np.stack([self._prepared(picture.pixels) for picture in pictures])
        return list(map(_mask, pictures, self._run(images)))

    def _prepared(self, pixels: np.ndarray) -> np.ndarray:
        image = cv2.resize(pixels, (self._side, self._side), interpolation=cv2.INTER_AREA)
        image = image.astype(np.float32) / max(float(image.max()), 1.0)
        return (image - self._mean) / self._std


def _mask(picture: Picture, found: np.ndarray) -> Mask:
    """A network's map, float32 [S, S], as a mask of the picture's size."""
    low, high = float(found.min()), float(found.max())
    if not high >= LEAST_SALIENCE or high - low < 1e-6:
        return Mask.failed(picture, f"the network sees no object (its largest value: {high:.3f})")
    rows, columns = picture.pixels.shape[:2]
    soft = cv2.resize((found - low) / (high - low), (columns, rows))
    soft = np.clip(soft, 0, 1)
    return Mask(soft, confidence_of(soft) * min(high, 1.0))


def home() -> pathlib.Path:
    """Where rembg keeps its networks: `$U2NET_HOME`, or `~/.u2net`."""
    return pathlib.Path(os.environ.get("U2NET_HOME") or "~/.u2net").expanduser()


def installed_network() -> pathlib.Path | None:
    """The file of the best network that is there; see `NETWORKS`."""
    return next((path for path in map(_path, NETWORKS) if path.is_file()), None)


def find_network(network: str | None = None) -> pathlib.Path:
    """The file of a network, fetched where it is one of rembg's and not there.

    Args:
        network: a name of `NETWORKS` or a path; None takes what is there, or else fetches u2netp.

    Raises:
        FileNotFoundError: no such file.
        UserError: a name that is not known, a file with another checksum, or no way to fetch it.
    """
    if network is None:
        present = installed_network()
        network = present.stem if present else FETCHED
    if network not in NETWORKS:
        path = pathlib.Path(network).expanduser()
        if path.suffix != ".onnx":
            raise UserError(
                f"saliency networks are {', '.join(NETWORKS)}, or a path that ends in .onnx; "
                f"received {network!r}"
            )
        read_onnx(path)
        return path
    path = _path(network)
    if not path.exists():
        _fetch(network, path)
    _check(path, NETWORKS[network].md5)
    return path


def _path(network: str) -> pathlib.Path:
    return home() / f"{network}.onnx"


def _fetch(network: str, path: pathlib.Path) -> None:
    url = URL.format(network)
    logging.info("fetching %s to %s", url, path.parent)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.redirect_stdout(sys.stderr):
            keras.utils.get_file(
                path.name,
                url,
                cache_dir=str(path.parent),
                cache_subdir="",
                file_hash=NETWORKS[network].md5,
                hash_algorithm="md5",
            )
    except Exception as error:  # get_file raises Exception itself where there is no network
        path.unlink(missing_ok=True)
        raise UserError(
            f"{path.name} is not in {path.parent}, and {url} cannot be fetched "
            f"({first_line(error)}): put it there, or name its folder in U2NET_HOME"
        ) from error


def _check(path: pathlib.Path, md5: str) -> None:
    found = hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
    if found != md5:
        raise UserError(
            f"{path} is damaged (MD5 {found}, and rembg's is {md5}): remove it, and it is fetched "
            "again; a network of your own under this name is taken as saliency:PATH"
        )
