import dataclasses
import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from bginv.data.sources import Dataset
from bginv.engine.experiment import Stage
from bginv.engine.loop import train
from bginv.engine.method import LARGEST_SCALE, SMALLEST_SCALE, LossScale
from bginv.engine.run_folder import RunFolder
from bginv.engine.settings import resolve
from bginv.methods.background_invariance.classifier_training import ClassifierTraining
from bginv.methods.background_invariance.settings import ClassifierSettings
from bginv.nn import precision as precision_module
from bginv.nn.paper_networks import build_classifier, build_mask_unet
from bginv.nn.precision import chosen_precision, computing_in
from tests.methods.test_method_contract import METHODS, SHAPE, batch_for


def test_hidden_layers_compute_in_16_bits_and_the_output_in_32():
    model = build_mask_unet(SHAPE, 1)
    images = tf.random.stateless_uniform([2, *SHAPE], [1, 2])
    exact = model(images)
    with computing_in("bfloat16", [model]):
        assert model.layers[1].compute_dtype == "bfloat16"
        rounded = model(images)
    assert model.layers[1].compute_dtype == "float32"
    assert rounded.dtype == tf.float32
    assert {weight.dtype for weight in model.weights} == {"float32"}
    assert 1e-5 < float(tf.reduce_max(tf.abs(rounded - exact))) < 0.05
    np.testing.assert_array_equal(model(images), exact)


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ("flags : fpu avx512f avx512_bf16 amx_tile", "bfloat16"),
        ("Features : asimd bf16", "bfloat16"),
        ("flags : fpu avx2 avx512f", "float32"),
        ("", "float32"),
    ],
)
def test_auto_follows_the_processor(monkeypatch, tmp_path, flags, expected):
    if tf.config.list_physical_devices("GPU"):
        pytest.skip("a GPU decides on this machine")
    file = tmp_path / "cpuinfo"
    file.write_text(flags)
    monkeypatch.setattr(precision_module, "PROCESSOR_FILE", file)
    assert chosen_precision("auto", [build_classifier(SHAPE, 2, 1)]) == expected
    assert chosen_precision("float32", []) == "float32"


def test_auto_leaves_depthwise_convolutions_in_32_bits(monkeypatch, tmp_path):
    if tf.config.list_physical_devices("GPU"):
        pytest.skip("a GPU decides on this machine")
    file = tmp_path / "cpuinfo"
    file.write_text("avx512_bf16")
    monkeypatch.setattr(precision_module, "PROCESSOR_FILE", file)
    inner = keras.Sequential([keras.Input(SHAPE), keras.layers.DepthwiseConv2D(3)])
    assert chosen_precision("auto", [keras.Sequential([keras.Input(SHAPE), inner])]) == "float32"


def test_auto_where_no_file_tells_the_processor(monkeypatch, tmp_path):
    monkeypatch.setattr(precision_module, "PROCESSOR_FILE", tmp_path / "missing")
    assert chosen_precision("auto", []) == "float32"


@pytest.mark.parametrize(("capability", "expected"), [((8, 0), "bfloat16"), ((7, 5), "float32")])
def test_auto_follows_the_gpu(monkeypatch, capability, expected):
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind=None: ["a GPU"])
    details = {"compute_capability": capability}
    monkeypatch.setattr(tf.config.experimental, "get_device_details", lambda gpu: details)
    assert chosen_precision("auto", []) == expected


def test_models_inside_models_and_foreign_policies():
    inner = build_classifier(SHAPE, 4, 1)
    kept = keras.layers.Dense(3, dtype="float64")
    outer = keras.Sequential([keras.Input(SHAPE), inner, kept, keras.layers.Dense(2)])
    with computing_in("float16", [outer]):
        assert inner.layers[1].compute_dtype == "float16"
        assert kept.compute_dtype == "float64"
        assert outer.layers[-1].compute_dtype == "float32"


@pytest.fixture(scope="module")
def losses_in_32_bits() -> dict[str, list[float]]:
    """By phase, those that are known already."""
    return {}


def trained_losses(squares: Dataset, phase: str, precision: str) -> list[float]:
    """Of five steps, after which each array of weights is another one, in 32 bits."""
    method = METHODS[phase](precision=precision)
    before = [array.copy() for array in method.models[0].get_weights()]
    step, batch = tf.function(method.train_step), batch_for(phase, squares)
    with computing_in(precision, method.models):
        losses = [float(step(batch, tf.constant([i, 0]))["loss"]) for i in range(5)]
    after = method.models[0].get_weights()
    assert not any(np.array_equal(a, b) for a, b in zip(before, after, strict=True))
    assert all(array.dtype == np.float32 for array in after)
    return losses


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
@pytest.mark.parametrize("phase", METHODS)
def test_every_method_trains_in_16_bits(squares, losses_in_32_bits, phase, precision):
    if phase not in losses_in_32_bits:
        losses_in_32_bits[phase] = trained_losses(squares, phase, "float32")
    losses = {"float32": losses_in_32_bits[phase]}
    losses[precision] = trained_losses(squares, phase, precision)
    # batch norm over eight values spreads the rounding, and its gradients are above float16 until
    # the loss scale has come down
    compared = 1 if phase in ("acol", "erasing", "adaptation") else 5
    expected = pytest.approx(losses["float32"][:compared], rel=0.05, abs=0.02)
    assert losses[precision][:compared] == expected
    assert losses[precision] != losses["float32"]
    assert losses[precision][-1] < losses[precision][0]


def test_what_is_saved_computes_in_32_bits(squares, tmp_path):
    method = METHODS["classifier"](precision="bfloat16")
    settings = dataclasses.replace(method.settings, steps=3, epochs=None)
    train(method, squares.train, settings)
    method.classifier.save(tmp_path / "m.keras")
    loaded = keras.models.load_model(tmp_path / "m.keras")
    assert {layer.compute_dtype for layer in loaded.layers} == {"float32"}


def weight_and_optimizer() -> tuple[keras.Variable, keras.Optimizer]:
    weight = keras.Variable([1.0, 2.0])
    optimizer = keras.optimizers.SGD(1.0)
    optimizer.build([weight])
    return weight, optimizer


def test_gradients_are_unscaled():
    weight, optimizer = weight_and_optimizer()
    scale = LossScale()
    scaled = tf.constant([0.5, -0.25]) * scale.scale
    tf.function(lambda: scale.apply([(optimizer, [scaled], [weight])]))()
    np.testing.assert_allclose(weight, [0.5, 2.25])
    assert int(scale.good_steps) == 1


def test_a_gradient_that_is_not_finite_moves_no_player_and_halves_the_scale():
    players = [weight_and_optimizer() for _ in range(2)]
    scale = LossScale()
    before = float(scale.scale)
    gradients = ([1.0, 1.0], [float("inf"), 1.0])
    updates = [
        (optimizer, [tf.constant(gradient)], [weight])
        for (weight, optimizer), gradient in zip(players, gradients, strict=True)
    ]
    tf.function(lambda: scale.apply(updates))()
    for weight, optimizer in players:
        np.testing.assert_array_equal(weight, [1, 2])
        assert int(optimizer.iterations) == 0
    assert float(scale.scale) == before / 2


def test_the_scale_doubles_after_enough_good_steps(monkeypatch):
    monkeypatch.setattr("bginv.engine.method.STEPS_BETWEEN_GROWTHS", 3)
    weight, optimizer = weight_and_optimizer()
    scale = LossScale()
    before = float(scale.scale)
    for _ in range(3):
        scale.apply([(optimizer, [tf.constant([1.0, 1.0])], [weight])])
    assert (float(scale.scale), int(scale.good_steps)) == (before * 2, 0)


def skipping(scale: LossScale, steps: int) -> None:
    weight, optimizer = weight_and_optimizer()
    step = tf.function(lambda own: scale.apply([(optimizer, [own], [weight])]))
    for _ in range(steps):
        step(tf.constant([float("nan"), 1.0]))


def test_the_scale_stays_above_its_floor_and_steps_there_are_counted():
    scale = LossScale()
    skipping(scale, 18)
    assert float(scale.scale) == SMALLEST_SCALE
    assert (int(scale.skipped), int(scale.skipped_at_floor)) == (18, 3)
    weight, optimizer = weight_and_optimizer()
    scale.apply([(optimizer, [tf.constant([1.0, 1.0])], [weight])])
    assert (int(scale.skipped), int(scale.skipped_at_floor)) == (18, 0)


def test_the_scale_stays_below_its_ceiling(monkeypatch):
    monkeypatch.setattr("bginv.engine.method.STEPS_BETWEEN_GROWTHS", 1)
    weight, optimizer = weight_and_optimizer()
    scale = LossScale()
    for _ in range(12):
        scale.apply([(optimizer, [tf.constant([1.0, 1.0])], [weight])])
    assert float(scale.scale) == LARGEST_SCALE


class Overflowing(keras.layers.Layer):
    """Its gradient leaves float16 at every loss scale."""

    def call(self, inputs):
        @tf.custom_gradient
        def passed(x):
            return tf.identity(x), lambda upstream: upstream + np.inf

        return passed(inputs)


def small_training(layer: keras.layers.Layer, precision: str, steps: int) -> ClassifierTraining:
    stack = [layer, keras.layers.Flatten(), keras.layers.Dense(4), keras.layers.Dense(2)]
    model = keras.Sequential([keras.Input((16, 16, 1)), keras.layers.Conv2D(2, 3), *stack])
    given = {"dataset": "squares", "steps": steps, "batchsize": 4, "precision": precision}
    return ClassifierTraining(model, resolve(ClassifierSettings, given, "tuned"))


def test_steps_that_move_no_weight_are_told_and_end_a_training(squares, caplog):
    method = small_training(Overflowing(), "float16", 200)
    before = method.classifier.get_weights()
    caplog.set_level("INFO", "absl")
    with pytest.raises(FloatingPointError, match="--precision float32"):
        train(method, squares.train, method.settings)
    assert "20 of 20 steps moved no weight, as gradients were not finite" in caplog.text
    after = method.classifier.get_weights()
    assert all(np.array_equal(*pair) for pair in zip(before, after, strict=True))


class Rounded(keras.layers.Layer):
    """A layer without a gradient."""

    def call(self, inputs):
        return tf.round(inputs)


@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_weights_without_a_gradient_stay_and_none_at_all_is_told(squares, precision):
    method = small_training(Rounded(), precision, 3)
    before = method.classifier.get_weights()
    train(method, squares.train, method.settings)
    after = method.classifier.get_weights()
    moved = [not np.array_equal(*own) for own in zip(before, after, strict=True)]
    assert not any(moved[:2]) and all(moved[2:])
    for layer in method.classifier.layers[-2:]:
        layer.trainable = False
    alone = ClassifierTraining(method.classifier, method.settings)
    with pytest.raises(ValueError, match="loss depends on no weight that is to learn .*rounding"):
        train(alone, squares.train, alone.settings)


def test_a_run_that_goes_on_keeps_its_precision(squares, tmp_path, monkeypatch, caplog):
    def run(taken: str, steps: int) -> str:
        monkeypatch.setattr("bginv.engine.method.chosen_precision", lambda *arguments: taken)
        method = small_training(keras.layers.ReLU(), "auto", steps)
        folder = RunFolder(str(tmp_path / "run"), None, False, {"classifier": method.settings})
        with folder.opened():
            Stage(method, squares.train, method.settings).run(folder)
        return method.precision

    caplog.set_level("INFO", "absl")
    assert run("bfloat16", 3) == "bfloat16"
    assert "classifier: layers compute in bfloat16" in caplog.text
    assert run("float32", 3) == "bfloat16"
    assert "in bfloat16, as the run began; this machine would take float32" in caplog.text
    assert json.loads((tmp_path / "run" / "precision.json").read_text()) == {
        "classifier": "bfloat16"
    }


class Shifted(keras.layers.Layer):
    """A layer of a user's, with a constant of 32 bits."""

    def call(self, inputs):
        return inputs - tf.constant(0.5)


def test_layers_of_others_stay_in_32_bits():
    model = keras.Sequential([keras.Input(SHAPE), Shifted(), *map(keras.layers.Dense, (3, 2))])
    with computing_in("bfloat16", [model]):
        assert [layer.compute_dtype for layer in model.layers] == ["float32", "bfloat16", "float32"]
        assert model(tf.zeros([1, *SHAPE])).dtype == tf.float32


def beyond_16_bits() -> keras.Model:
    """Upsampling whose gradient TensorFlow has in float32 alone."""
    up = keras.layers.UpSampling2D(2, interpolation="lanczos3")
    stack = [keras.layers.Conv2D(2, 3), up, keras.layers.Flatten(), keras.layers.Dense(2)]
    return keras.Sequential([keras.Input((8, 8, 1)), *stack], name="mine")


def test_auto_is_float32_where_a_layer_has_no_gradient_in_16_bits(monkeypatch, tmp_path, caplog):
    file = tmp_path / "cpuinfo"
    file.write_text("avx512_bf16")
    monkeypatch.setattr(precision_module, "PROCESSOR_FILE", file)
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind=None: [])
    model = beyond_16_bits()
    assert chosen_precision("auto", [model]) == "float32"
    assert "as mine cannot be trained in bfloat16: " in caplog.text
    assert "ScaleAndTranslateGrad" in caplog.text
    with pytest.raises(
        ValueError, match=r"--precision float16: mine cannot .*; give float32, or auto"
    ):
        chosen_precision("float16", [model])
    assert chosen_precision("float32", [model]) == "float32"
    assert chosen_precision("auto", [build_classifier(SHAPE, 2, 1)]) == "bfloat16"


def test_a_layer_without_a_gradient_in_any_precision_is_told(squares):
    resized = keras.layers.Resizing(7, 7, interpolation="area")
    method = small_training(resized, "float32", 3)
    with pytest.raises(ValueError, match="no gradient .*ResizeArea.*bilinear"):
        train(method, squares.train, method.settings)


@pytest.mark.parametrize("kind", ["RandomRotation", "RandomZoom", "RandomTranslation"])
def test_layers_that_warp_images_stay_in_32_bits(kind):
    amounts = (0.1, 0.1) if kind == "RandomTranslation" else (0.1,)
    stack = [getattr(keras.layers, kind)(*amounts), *map(keras.layers.Dense, (3, 2))]
    model = keras.Sequential([keras.Input((8, 8, 1)), *stack])
    with computing_in("bfloat16", [model]):
        assert model.layers[0].compute_dtype == "float32"
        assert model.layers[1].compute_dtype == "bfloat16"
        found = tf.function(lambda images: model(images, training=True))(tf.ones([2, 8, 8, 1]))
    assert np.isfinite(found.numpy()).all()
