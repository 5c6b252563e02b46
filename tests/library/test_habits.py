"""What users of Keras do by habit, as its own guides show it, does here what they expect."""

import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import bginv
from tests.data.listed_toys import CLASSES, write_coco, write_pictures

layers = keras.layers
FEW = {"masks": "heuristic", "backgrounds": "black", "epochs": 1, "batchsize": 4}


def small(side: int, outputs: int = 2, activation: str | None = None) -> keras.Model:
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.Input((side, side, 3)),
            layers.Rescaling(1 / 255),
            layers.Conv2D(4, 3, activation="relu"),
            layers.Flatten(),
            layers.Dense(outputs, activation=activation),
        ]
    )


@pytest.fixture
def flowers(tmp_path):
    """A folder with one folder a class."""
    for name in CLASSES:
        write_pictures(tmp_path / "flowers" / name)
    return tmp_path / "flowers"


def pair(folder, side: int, **more):
    given = {"validation_split": 0.25, "seed": 1, "verbose": 0, "batch_size": 4, **more}
    return keras.utils.image_dataset_from_directory(
        folder, subset="both", image_size=(side, side), **given
    )


def test_import_costs_next_to_nothing_and_brings_no_tensorflow():
    program = (
        "import sys, bginv; sys.exit(bool({'tensorflow', 'keras', 'numpy'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
    program = "import time; t = time.process_time(); import bginv; print(time.process_time() - t)"
    run = [sys.executable, "-c", program]
    taken = [float(subprocess.run(run, check=True, capture_output=True).stdout) for _ in "123"]
    assert min(taken) < 0.2


@pytest.mark.slow
def test_transfer_learning_at_180_pixels(flowers):
    train, validation = pair(flowers, 180)
    augmentation = keras.Sequential([layers.RandomFlip("horizontal"), layers.RandomRotation(0.1)])
    base = keras.applications.MobileNet((180, 180, 3), 0.25, weights=None, include_top=False)
    base.trainable = False
    inputs = keras.Input((180, 180, 3))
    x = base(layers.Rescaling(1 / 127.5, -1)(augmentation(inputs)), training=False)
    x = layers.Dropout(0.2)(layers.GlobalAveragePooling2D()(x))
    model = keras.Model(inputs, layers.Dense(1)(x))
    model.compile("adam", keras.losses.BinaryCrossentropy(True), metrics=["accuracy"])
    model.fit(train, epochs=1, validation_data=validation, verbose=0)
    before = base.get_weights()
    result = bginv.robustify(model, (train, validation), train_first=False, **FEW)
    assert result.pixels.pixels == (0, 255) and result.model is model
    assert all(np.array_equal(a, b) for a, b in zip(before, base.get_weights(), strict=True))


def test_a_folder_of_flowers_with_subset_both(flowers):
    data = pair(flowers, 32, label_mode="categorical")
    model = small(32, activation="softmax")
    model.compile("adam", "categorical_crossentropy", metrics=["accuracy"])
    model.fit(data[0], validation_data=data[1], epochs=1, verbose=0)
    result = bginv.robustify(model, data, train_first=False, **FEW)
    measured = model.evaluate(data[1], verbose=0, return_dict=True)["accuracy"]
    assert result.accuracies["after"].tests["clean"] == pytest.approx(measured)


def test_one_sigmoid_with_binary_cross_entropy(flowers):
    data = pair(flowers, 32, label_mode="binary")
    model = small(32, 1, "sigmoid")
    model.compile("adam", keras.losses.BinaryCrossentropy(), metrics=["accuracy"])
    result = bginv.robustify(model, data, train_first=True, **{**FEW, "epochs": 10})
    measured = model.evaluate(data[1], verbose=0, return_dict=True)["accuracy"]
    assert result.accuracies["after"].tests["clean"] == pytest.approx(measured)
    assert len(result.history.history["loss"]) == len(result.history.epoch) > 0


def test_fit_with_background_mix_in_mixed_float16(tmp_path):
    rng = np.random.default_rng(0)
    images = rng.integers(1, 255, (8, 16, 16, 3)).astype("float32")
    masks = np.zeros((8, 16, 16, 1), "float32")
    masks[:, 4:9, 4:9] = 1
    rows = tf.data.Dataset.from_tensor_slices(
        {"images": images, "masks": masks, "labels": np.arange(8) % 2}
    )
    mix = bginv.layers.BackgroundMix(masks="given", pixels=(0, 255), rate=1.0)
    train = rows.batch(4).map(mix).map(lambda own: (own["images"], own["labels"]))
    keras.mixed_precision.set_global_policy("mixed_float16")
    try:
        model = keras.Sequential(
            [
                keras.Input((16, 16, 3)),
                bginv.layers.BackgroundMix(pixels=(0, 255)),
                layers.Rescaling(1 / 255),
                layers.Conv2D(4, 3),
                layers.Flatten(),
                layers.Dense(2, dtype="float32"),
            ]
        )
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile("adam", loss, metrics=["accuracy"])
        history = model.fit(train, epochs=2, verbose=0)
        assert np.isfinite(history.history["loss"]).all() and len(history.history["loss"]) == 2
        model.save(tmp_path / "m.keras")
        loaded = keras.models.load_model(tmp_path / "m.keras")
        np.testing.assert_allclose(loaded.predict(images), model.predict(images), atol=1e-2)
    finally:
        keras.mixed_precision.set_global_policy("float32")


def test_a_data_frame_of_paths_and_labels(flowers):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"path": map(str, flowers.rglob("*.png"))})
    frame["label"] = frame["path"].map(lambda path: path.split("/")[-2])
    model = small(32)
    result = bginv.robustify(model, frame, train_first=False, **FEW)
    assert result.classifier.output_shape == (None, 2)
    assert "clean" in str(bginv.evaluate(model, frame))


def test_masks_of_coco(tmp_path):
    write_coco(tmp_path)
    model, data = small(32), f"coco:{tmp_path / 'all.json'}"
    result = bginv.robustify(model, data, train_first=False, **{**FEW, "masks": "given"})
    assert result.mask_kind == "given" and result.accuracies["after"].tests


def test_early_stopping(flowers):
    model = small(32)
    stop = keras.callbacks.EarlyStopping(patience=1, min_delta=9.0, restore_best_weights=True)
    result = bginv.robustify(
        model, pair(flowers, 32), train_first=False, callbacks=[stop], **{**FEW, "epochs": 9}
    )
    assert stop.stopped_epoch == 1 and len(result.history.history["val_loss"]) == 2


def test_a_callback_as_trackers_of_experiments_have_it(flowers):
    class Tracker(keras.callbacks.Callback):
        """As those of W&B and MLflow: settings at the beginning, figures at each epoch."""

        def __init__(self):
            super().__init__()
            self.config, self.rows, self.finished = {}, [], False

        def on_train_begin(self, logs=None):
            self.config = self.model.optimizer.get_config() | self.params
            self.config["parameters"] = self.model.count_params()

        def on_epoch_end(self, epoch, logs=None):
            rate = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))
            self.rows.append({"epoch": epoch, "learning_rate": rate, **logs})

        def on_train_end(self, logs=None):
            self.finished = True

    model, tracker = small(32), Tracker()
    bginv.robustify(model, pair(flowers, 32), train_first=False, callbacks=tracker, **FEW)
    assert tracker.finished and [own["epoch"] for own in tracker.rows] == [0]
    assert {"loss", "val_loss", "val_accuracy", "learning_rate"} <= tracker.rows[0].keys()
    assert tracker.config["parameters"] == model.count_params() and tracker.config[
        "name"
    ].startswith("adam")


def test_the_callback_of_mlflow_fills_a_store_of_files(flowers, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")  # which newer releases ask for
    import mlflow
    from mlflow.tensorflow.callback import MlflowCallback

    client = mlflow.MlflowClient((tmp_path / "store").as_uri())
    mlflow.set_tracking_uri((tmp_path / "store").as_uri())
    experiment = client.create_experiment("backgrounds")
    with mlflow.start_run(experiment_id=experiment) as run:
        bginv.robustify(
            small(32), pair(flowers, 32), train_first=False, callbacks=[MlflowCallback()], **FEW
        )
    found = client.get_run(run.info.run_id).data
    assert {"loss", "val_loss", "val_accuracy"} <= found.metrics.keys()
    assert found.params["opt_name"].startswith("adam")


def test_save_load_and_serve(flowers, tmp_path):
    data = pair(flowers, 32)
    result = bginv.robustify(small(32), data, train_first=False, **FEW)
    images = np.concatenate([own for own, _ in data[1]])
    answers = result.model.predict(images, verbose=0)
    result.model.save(tmp_path / "m.keras")
    loaded = keras.models.load_model(tmp_path / "m.keras")
    np.testing.assert_allclose(loaded.predict(images, verbose=0), answers, atol=1e-4)
    result.model.export(tmp_path / "served", verbose=False)
    served = tf.saved_model.load(tmp_path / "served")
    np.testing.assert_allclose(served.serve(images), answers, atol=1e-4)


@pytest.mark.parametrize(
    ("backend", "told"),
    [("jax", "Keras' backend is jax, and bginv trains by TensorFlow's gradient tapes")],
)
def test_another_backend_is_refused_in_one_line(backend, told, monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", backend)
    programs = (["-c", "import bginv; bginv.robustify"], ["-m", "bginv", "audit", "a", "b"])
    for program in programs:
        found = subprocess.run(
            [sys.executable, *program], capture_output=True, text=True, check=False
        )
        assert found.returncode != 0 and told in found.stderr.strip().splitlines()[-1]


def test_models_of_other_packages_are_told_apart():
    def of(module, name, **members):
        return type(name, (), {"__module__": module, **members})()

    images = np.zeros((4, 8, 8, 3), np.uint8), np.arange(4) % 2
    for model, told in (
        (
            of("tf_keras.src.engine.sequential", "Sequential"),
            r"of tf_keras \(Keras 2\): save it by",
        ),
        (of("somewhere", "Thing"), "model must be a keras.Model; received Thing"),
    ):
        for call in (bginv.robustify, bginv.evaluate):
            with pytest.raises(ValueError, match=told):
                call(model, images)


def test_tasks_of_keras_hub_are_told_what_to_do():
    class Task(keras.Sequential):
        __module__ = "keras_hub.src.models.image_classifier"
        preprocessor = "something"

    images = np.zeros((4, 8, 8, 3), np.uint8), np.arange(4) % 2
    with pytest.raises(ValueError, match="a task of keras_hub .Task., whose preprocessor would"):
        bginv.robustify(Task([layers.Input((8, 8, 3)), layers.Flatten(), layers.Dense(2)]), images)
