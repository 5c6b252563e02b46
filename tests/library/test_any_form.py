"""Data of any form, through the library: a result, or one line that names the argument."""

import re
import tempfile
from collections.abc import Callable, Iterable
from typing import Any

import keras
import numpy as np
import pandas
import pytest
import tensorflow as tf
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import bginv
from bginv.library.results import Robustified
from bginv.report.tables import Table

ARGUMENTS = r"\b(data|images?|labels?|pixels|masks|backgrounds|recipe|model)\b"
STEPS = {"classifier_steps": 1, "masks_steps": 1, "adversarial_steps": 1, "batchsize": 2}
AT_LENGTH = settings(settings.get_profile("ci"))
FEWER = settings(max_examples=settings().max_examples // 8)


def _with(value: Any) -> Callable[[np.ndarray], np.ndarray]:
    """Images as floats, one of whose values is this one."""

    def put(images: np.ndarray) -> np.ndarray:
        found = images / 255
        found.reshape(-1)[:1] = value
        return found

    return put


def _ragged(images: np.ndarray) -> list:
    return [image[: 1 + row % 2] for row, image in enumerate(images)]


IMAGES: dict[str, Callable[[np.ndarray], Any]] = {
    "bytes": lambda own: own,
    "booleans": lambda own: own > 127,
    **{
        f"{kind} in [0, 1]": lambda own, kind=kind: (own / 255).astype(kind)
        for kind in ("float16", "float32", "float64", "longdouble", "complex64", "object")
    },
    **{kind: lambda own, kind=kind: own.astype(kind) for kind in ("int8", "uint16", "int64", "f4")},
    "16 bits": lambda own: own * np.uint16(257),
    "floats between": lambda own: np.clip(own + 0.4, 0, 255),
    "in [-1, 1]": lambda own: own / 127.5 - 1,
    "negative": lambda own: own.astype(int) - 300,
    "0 and 1": lambda own: own % 2,
    "black": lambda own: own * 0,
    "NaN": _with(np.nan),
    "infinity": _with(-np.inf),
    "just above 1": _with(1.0001),
    "text": lambda own: own.astype(str),
    "dates": lambda own: own.astype("datetime64[s]"),
    "records": lambda own: own.view([("red", "u1")]),
    "none": lambda own: None,
    "without any": lambda own: own[:0],
    "without rows": lambda own: own[:, :0],
    "lists": lambda own: own.tolist(),
    "a list of arrays": list,
    "a tuple of arrays": tuple,
    "ragged": _ragged,
    "ragged tensor": lambda own: tf.ragged.constant([[1], [1, 2]]) if len(own) == 2 else own,
    "some missing": lambda own: [None, *own[1:]],
    "a column of arrays": lambda own: pandas.Series(list(own), dtype=object),
    "a frame": lambda own: pandas.DataFrame(own.reshape(len(own), -1)),
    "tensor": tf.constant,
    "bfloat16": lambda own: tf.cast(own / 255, tf.bfloat16),
    "without a channel": lambda own: own[..., 0],
    "one image": lambda own: own[0] if len(own) else own,
    "five axes": lambda own: own[None],
    "flat": lambda own: own.reshape(len(own), -1),
    "channels first": lambda own: np.moveaxis(own, -1, 1),
    "a dict of one": lambda own: {"image": own},
    "a dict of two": lambda own: {"left": own, "right": own},
    "a generator": iter,
    "a scalar": lambda own: 3,
}
LABELS: dict[str, Callable[[np.ndarray], Any]] = {
    "from 0": lambda own: own,
    "from 1": lambda own: own + 1,
    "negative": lambda own: own - 1,
    "huge": lambda own: own * 10**12,
    "unsigned": lambda own: own.astype(np.uint64) + np.uint64(2**63),
    "one class": lambda own: own * 0,
    "one-hot": lambda own: np.eye(3)[own],
    "one-hot whole": lambda own: np.eye(4, dtype=int)[own],
    "several classes": lambda own: (own[:, None] >= np.arange(3)).astype(int),
    "soft": lambda own: np.eye(3)[own] * 0.7 + 0.1,
    "names": lambda own: np.array(["cat", "$a_1$", "two\nlines"])[own],
    "names in bytes": lambda own: np.array([b"cat", b"\xff", b""])[own],
    "names in objects": lambda own: np.array(["cat", "dog", "猫"], object)[own],
    "names in a list": lambda own: [["cat", "dog", "ape"][label] for label in own],
    "names of two letters": lambda own: np.array([["a", "b"]])[own * 0],
    "booleans": lambda own: own > 0,
    "floats of 0 and 1": lambda own: (own > 0).astype(np.float32),
    "whole floats": lambda own: own.astype(float),
    "numbers": lambda own: own * 0.3,
    "pairs of numbers": lambda own: np.stack([own, -own], 1) * 0.3,
    "large numbers": lambda own: own * 1e300,
    "NaN": lambda own: np.where(own > 0, np.nan, own),
    "infinity": lambda own: np.where(own > 0, np.inf, own),
    "complex": lambda own: own * 1j,
    "dates": lambda own: own.astype("datetime64[s]"),
    "none": lambda own: None,
    "some missing": lambda own: [None if label else 1 for label in own],
    "some names missing": lambda own: ["cat" if label else np.nan for label in own],
    "mixed": lambda own: ["cat" if label else 1 for label in own],
    "ragged": lambda own: [[1] * int(label) for label in own],
    "column": lambda own: own[:, None],
    "three axes": lambda own: own[:, None, None],
    "too few": lambda own: own[1:],
    "without any": lambda own: own[:0],
    "a scalar": lambda own: 1,
    "tensor": tf.constant,
    "series": pandas.Series,
    "categories": lambda own: pandas.Series(np.array(["b", "a", "c"])[own], dtype="category"),
    "missing in a series": lambda own: pandas.Series([None, *own[1:]], dtype="Int64"),
    "list": lambda own: own.tolist(),
}
PIXELS = (
    *((0, 255), (-1, 1), [0, 255], np.array([0, 255]), (0, np.nan), (0, np.inf), (255, 0), (1, 1)),
    *(None, 3, "pixels", (0,), (0, 1, 2), (0, "white"), (0, 10**400), (None, None)),
)


class Batches(keras.utils.PyDataset):
    """Batches of two."""

    def __init__(self, images, labels):
        super().__init__()
        self.images, self.labels = images, labels

    def __len__(self):
        return -(-len(self.images) // 2)

    def __getitem__(self, number):
        rows = slice(2 * number, 2 * number + 2)
        return self.images[rows], self.labels[rows]


def _generated(images, labels):
    kinds = (tf.as_dtype(np.asarray(images).dtype), tf.as_dtype(np.asarray(labels).dtype))
    pairs = tf.data.Dataset.from_generator(lambda: zip(images, labels, strict=False), kinds)
    return pairs.filter(lambda image, label: True)


def _failing(images, labels):
    checked = tf.data.Dataset.from_tensor_slices((images, labels))
    return checked.map(lambda *own: [tf.debugging.assert_equal(1, tf.size(own[1]) + 1), own][1])


_slices = tf.data.Dataset.from_tensor_slices
CONTAINERS: dict[str, Callable[[Any, Any], Any]] = {
    "a pair": lambda images, labels: (images, labels),
    "a pair in a list": lambda images, labels: [images, labels],
    "two pairs": lambda images, labels: ((images, labels), (images, labels)),
    "two pairs in lists": lambda images, labels: [[images, labels], [images, labels]],
    "three pairs": lambda images, labels: ((images, labels),) * 3,
    "a mapping": lambda images, labels: {"train": (images, labels), "fog": (images, labels)},
    "odd names": lambda images, labels: dict.fromkeys(["train", "a/$b_\n" * 99], (images, labels)),
    "names that are none": lambda images, labels: {"train": (images, labels), 3: (images, labels)},
    "only a test": lambda images, labels: {"test": (images, labels)},
    "weights": lambda images, labels: (images, labels, np.ones(4)),
    "images alone": lambda images, labels: images,
    "a split of one": lambda images, labels: {"train": (images,)},
    "elements": lambda images, labels: _slices((images, labels)),
    "batches": lambda images, labels: _slices((images, labels)).batch(2),
    "whole batches": lambda images, labels: _slices((images, labels)).batch(3, drop_remainder=True),
    "two of tf.data": lambda *pair: (_slices(pair).batch(2), _slices(pair).batch(3)),
    "tf.data and a pair": lambda *pair: {"train": _slices(pair).batch(2), "fog": pair},
    "a dict in tf.data": lambda images, labels: _slices(({"image": images}, labels)).batch(2),
    "images in tf.data": lambda images, labels: _slices(images),
    "weights in tf.data": lambda images, labels: _slices((images, labels, labels)),
    "without an end": lambda *pair: _slices(pair).repeat(),
    "of unknown shape and length": _generated,
    "batches of unknown shape": lambda *pair: _generated(*pair).batch(2),
    "batches in batches": lambda *pair: _slices(pair).batch(2).batch(2),
    "ragged batches": lambda *pair: _slices(pair).ragged_batch(2),
    "one that fails": _failing,
    "PyDataset": Batches,
    "two of PyDataset": lambda *pair: (Batches(*pair), Batches(*pair)),
    "a frame": lambda images, labels: pandas.DataFrame({"image": list(images), "label": labels}),
    "none": lambda images, labels: None,
}


ODD = ("images", "labels", "data", "pixels", "backgrounds", "masks", "recipe", "model", "count")


@st.composite
def cases(draw, folder: str) -> dict[str, Any]:
    """Arguments of `robustify`, of which two at most are odd, as one hides what comes after it."""
    odd = draw(st.sets(st.sampled_from(ODD), max_size=2))

    def one_of(name: str, usual: Iterable, others: Iterable) -> Any:
        return draw(st.sampled_from(list(others) if name in odd else list(usual)))

    shape = (draw(st.integers(1, 40)), draw(st.integers(1, 40)), draw(st.integers(1, 5)))
    rng = np.random.default_rng(draw(st.integers(0, 99)))

    def images() -> Any:
        count = one_of("count", (6, 7, 8), (0, 1, 2, 3))
        return rng.integers(0, 256, (count, *shape), np.uint8)

    pixels = images()
    forms = [
        IMAGES[one_of("images", ["bytes"], IMAGES)],
        LABELS[one_of("labels", ["from 0"], LABELS)],
    ]
    container = CONTAINERS[one_of("data", ["two pairs"], CONTAINERS)]
    other = IMAGES[draw(st.sampled_from(sorted(IMAGES)))]
    try:
        data = container(forms[0](pixels), forms[1](rng.permutation(len(pixels)) % 3))
        others = other(images())
    except Exception:  # NumPy, TensorFlow or pandas refuse it themselves, before we see it
        assume(False)
    return {
        "data": data,
        "pixels": one_of("pixels", [(0.0, 1.0)], PIXELS),
        "backgrounds": one_of(
            *("backgrounds", ("noise", "black", "adv")),
            [others, pixels, folder, f"{folder}/none", None, "fog", 3, b"noise", [], {}],
        ),
        "masks": one_of(
            *("masks", ["heuristic"]),
            ["learn", "given", "auto", "fog", None, others, pixels[..., :1]],
        ),
        "recipe": one_of("recipe", [None], ("paper", "photographs", "none")),
        "model": tiny(
            shape,
            draw(st.booleans()),
            one_of("model", [3], (1, 2, 4)),
            one_of("model", [None], (None, "softmax", "sigmoid")),
        ),
    }


def tiny(shape: tuple[int, int, int], any_size: bool, units: int, activation: str | None):
    """A model for these images."""
    if any_size:
        layers = [keras.Input((None, None, shape[2])), keras.layers.GlobalAveragePooling2D()]
    else:
        layers = [keras.Input(shape), keras.layers.Flatten()]
    layers.append(keras.layers.Dense(units, activation, kernel_initializer="zeros"))
    return keras.Sequential(layers, name="model")


def result_or_line(call: Callable[[], Any]) -> Any:
    """What a call gives, or None where it raises one line that names an argument."""
    try:
        return call()
    except bginv.UserError as error:
        message = str(error)
        assert message.isprintable(), message
        assert re.search(ARGUMENTS, message), message
        return None


def check_evaluate(draw: st.DataObject) -> None:
    case = draw.draw(cases("/nowhere"))
    arguments = (case["model"], case["data"], case["pixels"])
    found = result_or_line(lambda: bginv.evaluate(*arguments))
    assert found is None or isinstance(found, Table) and str(found)


def check_robustify(draw: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        case = draw.draw(cases(folder))
        found = result_or_line(lambda: bginv.robustify(**case, run_dir=f"{folder}/run", **STEPS))
        assert found is None or isinstance(found, Robustified) and found.report.is_file()


@given(st.data())
def test_evaluate_takes_any_form_or_names_it(draw):
    check_evaluate(draw)


@FEWER
@given(st.data())
def test_robustify_takes_any_form_or_names_it(draw):
    check_robustify(draw)


@pytest.mark.slow
@AT_LENGTH
@given(st.data())
def test_evaluate_takes_any_form_or_names_it_at_length(draw):
    check_evaluate(draw)


@pytest.mark.slow
@settings(AT_LENGTH, max_examples=AT_LENGTH.max_examples // 8)
@given(st.data())
def test_robustify_takes_any_form_or_names_it_at_length(draw):
    check_robustify(draw)


@pytest.mark.parametrize("form", IMAGES)
def test_images_of_each_form(form):
    images = np.random.default_rng(0).integers(0, 256, (6, 5, 4, 3), np.uint8)
    model = tiny((5, 4, 3), False, 3, None)
    own = IMAGES[form](images)
    result_or_line(lambda: bginv.evaluate(model, ((own, np.arange(6) % 3), (own, np.ones(6, int)))))


@pytest.mark.parametrize("form", LABELS)
def test_labels_of_each_form(form):
    images = np.random.default_rng(0).integers(0, 256, (6, 5, 4, 3), np.uint8)
    model = tiny((5, 4, 3), False, 3, None)
    own = LABELS[form](np.arange(6) % 3)
    result_or_line(lambda: bginv.evaluate(model, ((images, own), (images, own))))
