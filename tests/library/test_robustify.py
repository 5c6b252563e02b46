import dataclasses
import json

import cv2
import keras
import numpy as np
import pytest

import bginv
from bginv.data.photographs import Photographs
from bginv.data.shapes import load_shapes
from bginv.library.robustify import UNCHANGED, robustify
from bginv.nn.paper_networks import build_classifier, build_mask_unet
from tests.library.test_models import Subclassed

layers = keras.layers
SHORT = {"classifier_steps": 2, "masks_steps": 2, "adversarial_steps": 3, "batchsize": 8}


def sequential() -> keras.Model:
    return keras.Sequential(
        [layers.Input((16, 16, 1)), layers.Conv2D(4, 3), layers.Flatten(), layers.Dense(2)]
    )


def functional() -> keras.Model:
    image = layers.Input((16, 16, 1))
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3, activation="relu")(image))
    return keras.Model(image, layers.Dense(2, activation="softmax")(x))


@pytest.mark.parametrize(
    "build",
    [sequential, functional, lambda: Subclassed(2, None)],
    ids=["sequential", "functional", "subclassed"],
)
def test_models_of_every_kind_are_trained_in_place(squares, build):
    model = build()
    model(np.zeros((1, 16, 16, 1), np.float32))
    before = [weight.copy() for weight in model.get_weights()]
    result = robustify(model, squares, train_first=True, **SHORT)
    assert result.model is model
    assert not all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))
    assert list(result.accuracies) == ["before", "after"]
    assert result.mask_generator and set(result.background_generators) == {
        "background_generator_1x1", "background_generator_2x2", "background_generator_4x4"
    }  # fmt: skip
    assert str(result).count("\n") == 4 and "| after" in str(result)
    assert "<table>" in result._repr_html_() and result.report.is_file()
    phases = {record.get("phase") for record in result.history}
    assert phases == {"classifier", "masks", "adversarial", None}
    soft, binary = result.masks(np.zeros((2, 16, 16, 1), np.float32))
    assert soft.shape == (2, 16, 16, 1) and set(np.unique(binary)) <= {0, 1}


@pytest.mark.slow
def test_the_same_as_the_command(tmp_path, command):
    words = ("--classifier-steps", "3", "--adversarial-steps", "4", "--masks", "heuristic")
    code, _, err = command(None, "run", "digits", "--run-dir", "run", "--limit", "99", *words)
    assert code == 0, err
    data = bginv.load_data("digits_backgrounds", limit=99)
    model = build_classifier((32, 32, 1), 10, 0)
    result = robustify(
        model, data, masks="heuristic", train_first=True, classifier_steps=3, adversarial_steps=4
    )
    found = json.loads((tmp_path / "run" / "results.json").read_text())["accuracy"]
    for ours, theirs in (("before", "Traditional"), ("after", "Proposal")):
        assert dict(result.accuracies[ours].tests) == found[theirs]["tests"]
    trained = keras.models.load_model("run/robust_classifier.keras")
    assert all(
        np.array_equal(a, b)
        for a, b in zip(trained.get_weights(), model.get_weights(), strict=True)
    )


@pytest.mark.slow
def test_masks_and_backgrounds_of_every_kind(squares, photographs_dir):
    def run(**given):
        return robustify(sequential(), squares, train_first=False, **{**SHORT, **given})

    assert run(masks="heuristic").mask_generator is None
    assert run(masks="given", backgrounds="noise").background_generators == {}
    masks = squares.train.masks[..., 0] > 0
    assert run(masks=masks, backgrounds=str(photographs_dir)).mask_generator is None
    photographs = np.random.default_rng(0).random((3, 40, 30, 3))
    unet = build_mask_unet((16, 16, 1), 0)
    result = run(masks=unet, backgrounds=photographs)
    assert result.mask_generator is unet and not (result.folder / "mask_unet.keras").exists()
    with pytest.raises(ValueError, match="masks were given, so there is nothing"):
        run(masks="given", backgrounds="black").masks(np.zeros((1, 16, 16, 1), np.float32))


def test_numbers_are_told_as_well():
    data = load_shapes("shapes", 16)
    source = data.train.first(60)
    rows, columns = (np.arange(16) + 0.5) / 16, (np.arange(16) + 0.5) / 16
    weight = (source.masks[..., 0] > 0).astype(np.float32)
    total = np.maximum(weight.sum((1, 2)), 1)
    centres = np.stack(
        [
            (weight.sum(2) * rows).sum(1) / total,
            (weight.sum(1) * columns).sum(1) / total,
        ],
        1,
    )
    model = keras.Sequential([layers.Flatten(), layers.Dense(2)])
    pairs = {"train": (source.images, centres), "clean": (source.images, centres)}
    result = robustify(model, pairs, loss="mse", masks=source.masks, **SHORT)
    assert result.accuracies["after"].measure == "mean absolute error"
    found = np.abs(model(source.images / np.float32(255)) - centres).mean()
    assert result.accuracies["after"].tests["clean"] == pytest.approx(found, rel=1e-3)
    assert "mean absolute error" in str(result)


def test_a_loss_of_keras_on_one_probability(squares):
    image = layers.Input((16, 16, 1))
    x = layers.Dense(1, activation="sigmoid")(layers.Flatten()(image))
    model = keras.Model(image, x)
    result = robustify(
        model,
        squares,
        loss="binary_crossentropy",
        masks=(squares.train.masks > 0).astype(np.uint8),
        train_first=True,
        **{**SHORT, "classifier_steps": 60},
    )
    predicted = model(squares.train.images / np.float32(255)).numpy()[:, 0] > 0.5
    accuracy = (predicted == squares.train.labels).mean()
    assert result.accuracies["after"].tests["clean"] == pytest.approx(accuracy)
    assert result.accuracies["before"].tests["clean"] > 0.9
    with pytest.raises(ValueError, match="labels are 2 numbers an image, and the model gives"):
        targets = np.random.default_rng(0).random((24, 2))
        robustify(model, {"train": (squares.train.images, targets)}, masks="heuristic")
    with pytest.raises(ValueError, match="an array of masks needs data that is split"):
        pair = (squares.train.images, squares.train.labels)
        robustify(model, pair, masks=squares.train.masks)


def test_a_run_that_is_there_is_not_begun_again(squares, tmp_path):
    model = sequential()
    result = robustify(model, squares, masks="heuristic", run_dir=tmp_path / "run", **SHORT)
    loaded = keras.models.load_model(tmp_path / "run" / "robust_classifier.keras")
    images = squares.train.images / np.float32(255)
    np.testing.assert_allclose(loaded(images), result.classifier(images), atol=1e-6)
    with pytest.raises(ValueError, match="holds a finished run: overwrite=True begins again"):
        robustify(
            model, squares, masks="heuristic", run_dir=tmp_path / "run", train_first=True, **SHORT
        )
    saved = result.save(tmp_path / "copy")
    assert (saved / "report.html").is_file()
    with pytest.raises(ValueError, match="exists already"):
        result.save(tmp_path / "copy")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"masks": "learnt"}, "masks must be auto, learn, heuristic, given, an array or a model"),
        ({"masks": np.zeros((3, 16, 16))}, r"shape \(24, 16, 16, 1\).*received \(3, 16, 16, 1\)"),
        ({"backgrounds": "nowhere"}, "backgrounds must be adv, noise, black, a folder"),
        ({"backgrounds": np.zeros((20, 30, 3), np.uint8)}, "for one, give it a first axis"),
        ({"backgrounds": np.zeros((2, 20, 30, 4), np.uint8)}, "photographs have 1 or 3 channels"),
        ({"adversarial_step": 3}, "'adversarial_step'; did you mean 'adversarial_steps'"),
        ({"architecture": "small"}, "no setting 'architecture'"),
        ({"adversarial_back": "real"}, "no setting 'adversarial_back'"),
        ({"tiles": (3,)}, "3x3 tiles do not fit images of 16x16"),
        ({"loss": "mse", "label_smoothing": 0.2}, "is for cross-entropy"),
    ],
)  # fmt: skip
def test_wrong_arguments(squares, given, message):
    with pytest.raises(ValueError, match=message):
        robustify(sequential(), squares, **given)


def test_mixing_in_phase_1_needs_masks(squares):
    bare = dataclasses.replace(squares, train=squares.train.without_masks())
    with pytest.raises(ValueError, match="--background-mixing needs masks"):
        robustify(sequential(), bare, background_mixing=0.5, train_first=True, **SHORT)


@pytest.mark.parametrize("augment", [None, True])
def test_images_of_numbers_stay_where_they_are_unless_told_otherwise(squares, monkeypatch, augment):
    seen = []

    def look(images, seed, ranges, masks=None):
        del seed
        seen.append(ranges)
        return images, masks

    monkeypatch.setattr("bginv.engine.method.augment", look)
    pair = (squares.train.images, np.linspace(0, 1, 24))
    model = keras.Sequential([layers.Flatten(), layers.Dense(1)])
    given = {"loss": "mse", "masks": "heuristic", "train_first": True, "augment": augment, **SHORT}
    robustify(model, {"train": pair, "clean": pair}, **given)
    assert len(seen) >= 2 and {own == UNCHANGED for own in seen} == {augment is None}


def test_photographs_are_cropped_as_the_recipe_says(squares, monkeypatch):
    def held(images, image_shape, crops):
        raise InterruptedError(crops)

    monkeypatch.setattr(Photographs, "held", held)
    photographs = np.zeros((2, 20, 30, 1), np.uint8)
    for given, crops in (({}, "any"), ({"recipe": "paper"}, "native"), ({"crops": "any"}, "any")):
        with pytest.raises(InterruptedError, match=crops):
            robustify(sequential(), squares, backgrounds=photographs, **given)


def test_a_saved_model_tells_the_size_of_images_in_files(squares, tmp_path):
    for split in ("train", "test"):
        for name in "ab":
            (tmp_path / f"data/{split}/{name}").mkdir(parents=True)
            for i in range(2):
                pixels = np.full((40, 40, 3), 60 * i, np.uint8)
                cv2.imwrite(str(tmp_path / f"data/{split}/{name}/{i}.png"), pixels)
    build_classifier((32, 32, 3), 2).save(tmp_path / "m.keras")
    table = bginv.evaluate(tmp_path / "m.keras", f"folder:{tmp_path / 'data'}")
    assert 0 <= table.rows[str(tmp_path / "m.keras")]["test"] <= 1


def test_evaluate_and_export(squares, tmp_path):
    model = functional()
    table = bginv.evaluate(model, squares)
    predicted = model(squares.train.images / np.float32(255)).numpy().argmax(1)
    accuracy = (predicted == squares.train.labels).mean()
    assert table.rows[model.name]["clean"] == pytest.approx(accuracy)
    exported = bginv.export(model, tmp_path / "out", formats=["keras", "saved_model"], data=squares)
    assert exported.rows["saved_model"]["same class in %"] == 1
    assert (tmp_path / "out" / "model.keras").is_file()
    with pytest.raises(ValueError, match="formats are keras, safetensors, saved_model, onnx"):
        bginv.export(model, tmp_path, formats=["pickle"])


@pytest.mark.slow
def test_mobilenet_without_weights(squares):
    model = keras.applications.MobileNetV3Small(
        input_shape=(32, 32, 1), weights=None, classes=2, classifier_activation=None
    )
    images = squares.train.images.repeat(2, 1).repeat(2, 2)
    pairs = {
        "train": (images, squares.train.labels),
        "clean": (images[:4], squares.train.labels[:4]),
    }
    before = model.get_weights()
    given = {"masks": "heuristic", "backgrounds": "noise", "adversarial_steps": 1, "batchsize": 4}
    result = robustify(model, pairs, pixels=(0, 255), train_first=False, **given)
    assert list(result.accuracies["after"].tests) == ["clean"]
    assert not all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))


@pytest.mark.slow
def test_images_that_are_no_squares():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 255, (24, 20, 30, 3), np.uint8)
    model = keras.Sequential(
        [
            keras.Input((20, 30, 3)),
            layers.Conv2D(4, 3),
            layers.GlobalAveragePooling2D(),
            layers.Dense(2),
        ]
    )
    before = model.get_weights()
    result = robustify(model, (images, np.arange(24) % 2), **SHORT)
    assert any(not np.array_equal(*pair) for pair in zip(before, model.get_weights(), strict=True))
    assert (result.folder / "pictures" / "composites.png").is_file()


@pytest.mark.parametrize(
    ("shape", "told"),
    [
        ((16, 16, 3), "takes images of 16x16x3, and these are 16x16x1: give images of 3 channels"),
        ((16, 24, 1), "takes images of 16x24x1, and these are 16x16x1: images of a folder become"),
        ((24, 24, 1), "takes images of 24x24x1, and these are 16x16x1: resize them"),
    ],
)
def test_a_model_for_other_images_is_told(squares, shape, told):
    model = keras.Sequential([keras.Input(shape), layers.Flatten(), layers.Dense(2)])
    with pytest.raises(ValueError, match=told):
        robustify(model, squares, **SHORT)


def test_a_model_with_nothing_to_train_is_told(squares):
    model = sequential()
    model.trainable = False
    with pytest.raises(ValueError, match="has no weights to train: set trainable = True"):
        robustify(model, squares, **SHORT)


def test_masks_of_small_numbers_are_refused(squares):
    masks = np.full((24, 16, 16), 2, np.int64)
    images, labels = squares.train.images, squares.train.labels
    data = {"train": (images, labels), "clean": (images, labels)}
    with pytest.raises(ValueError, match="masks must be bool, in .* received int64 from 2 to 2"):
        robustify(sequential(), data, masks=masks, **SHORT)


@pytest.mark.parametrize("channels", [2, 5])
def test_images_of_any_number_of_channels(squares, channels):
    images = np.repeat(squares.train.images, channels, -1)
    pairs = {"train": (images, squares.train.labels), "clean": (images, squares.train.labels)}
    shape = (16, 16, channels)
    model = keras.Sequential([keras.Input(shape), layers.Flatten(), layers.Dense(2)])
    given = {"masks": "heuristic", "train_first": False, **SHORT}
    result = robustify(model, pairs, backgrounds="noise", **given)
    picture = cv2.imread(str(result.folder / "pictures" / "composites.png"))
    assert picture is not None
    photographs = np.zeros((2, 20, 20, 3), np.uint8)
    with pytest.raises(ValueError, match=f"1 or 3 channels, and these images have {channels}"):
        robustify(model, pairs, backgrounds=photographs, **given)


@pytest.mark.slow
@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_models_of_mixed_precision_are_trained(squares, policy):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        model = functional()
    finally:
        keras.config.set_dtype_policy(before)
    weights = model.get_weights()
    result = robustify(model, squares, train_first=True, **SHORT)
    after = model.get_weights()
    assert not any(np.array_equal(*pair) for pair in zip(weights, after, strict=True))
    assert all(np.isfinite(own).all() and own.dtype == np.float32 for own in after)
    assert 0 <= result.accuracies["after"].tests["clean"] <= 1
