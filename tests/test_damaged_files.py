"""Damaged files of ours are named in one line, made again, or as good as whole."""

import pathlib
import random
from collections.abc import Callable

import cv2
import keras
import numpy as np
import tensorflow as tf

from bginv.data.composites import emptied
from bginv.data.files import FileSource
from bginv.data.images import scan
from bginv.data.in9 import BACKGROUNDS, MASKS
from bginv.data.sources import ArraySource
from bginv.data.variations import VariationFiles
from bginv.engine.checkpoints import Checkpoints
from bginv.engine.run_folder import RunFolder, kept_settings
from bginv.errors import UserError
from bginv.evaluation.accuracy import Accuracies
from bginv.interop.model_files import load_any, save_model
from bginv.masks.source import Mask, MaskSource
from bginv.masks.store import find_masks
from bginv.methods.background_invariance.settings import ClassifierSettings
from bginv.nn.fine_tuning import stored_features
from bginv.nn.paper_networks import build_classifier
from bginv.output_files import write_bytes
from bginv.report.metrics import put_evaluation, read_metrics
from bginv.report.runs import read_run
from bginv.report.tables import json_results
from tests.damage import TRIES, damage


def each_damage(
    folder: pathlib.Path, names: str, check: Callable[[], None], tries: int = TRIES
) -> None:
    """Damage one of some files at a time, so many times, and check; then all is as it was."""
    files = sorted(folder.glob(names))
    whole = {file: file.read_bytes() for file in files}
    assert files
    for seed in range(tries):
        damage(random.Random(seed).choice(files), seed)
        check()
        for file, content in whole.items():
            file.write_bytes(content)


def test_checkpoints(tmp_path):
    def made() -> tuple[Checkpoints, tf.Variable]:
        weights = tf.Variable(tf.zeros(300))
        return Checkpoints(tmp_path, {"weights": weights}, 0, 0), weights

    checkpoints, weights = made()
    for step in (10, 20):
        weights.assign(tf.fill(300, float(step)))
        checkpoints.save(step)

    def check() -> None:
        again, restored = made()
        step = again.restore()
        assert step in (10, 20)
        np.testing.assert_array_equal(restored, tf.fill(300, float(step)))

    each_damage(tmp_path, "step-20.*", check)


def test_models(tmp_path):
    model = build_classifier((16, 16, 1), 2, 1)
    save_model(model, tmp_path / "m.keras")

    def check() -> None:
        try:
            loaded = load_any(str(tmp_path / "m.keras"))
        except UserError as error:
            assert "m.keras" in str(error) and "\n" not in str(error)
            return
        assert loaded.get_config() == model.get_config()
        for found, expected in zip(loaded.get_weights(), model.get_weights(), strict=True):
            np.testing.assert_array_equal(found, expected)

    each_damage(tmp_path, "m.keras", check)


class Halves(MaskSource):
    """The left half of a picture."""

    name = "halves"
    fingerprint = "halves"

    def masks(self, pictures):
        """See `MaskSource.masks`."""
        soft = np.zeros((8, 8), np.float32)
        soft[:, :4] = 1
        return [Mask(soft, 0.25) for _ in pictures]


def test_masks_that_are_kept(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3)).astype(np.uint8)
    source = ArraySource(images, np.arange(3))
    expected = find_masks(source, Halves(), tmp_path).source.masks

    def check() -> None:
        found = find_masks(source, Halves(), tmp_path)
        np.testing.assert_array_equal(found.source.masks, expected)
        assert found.confidence.tolist() == [0.25] * 3 and not found.failures

    each_damage(tmp_path, "masks/*/*/*", check)


def test_features_that_are_kept(tmp_path):
    images = np.random.default_rng(0).random((6, 4, 4, 1)).astype(np.float32)
    inputs = keras.Input((4, 4, 1))
    network = keras.Model(inputs, keras.layers.Flatten()(inputs))
    batches = tf.split(tf.constant(images), 2)

    def features() -> np.ndarray:
        return stored_features(tmp_path / "f.npy", network, lambda: iter(batches), 6)

    expected = np.array(features())
    each_damage(tmp_path, "f.npy", lambda: np.testing.assert_array_equal(features(), expected))


def test_images_without_their_objects_that_are_kept(tmp_path):
    for number in range(3):
        pixels = np.random.default_rng(number).integers(0, 256, (16, 16, 3), np.uint8)
        mask = np.zeros((16, 16), np.uint8)
        mask[4:9, 4:9] = 255
        cv2.imwrite(str(tmp_path / f"{number}.png"), pixels)
        cv2.imwrite(str(tmp_path / f"mask{number}.png"), mask)
    files, masks = (
        scan([str(tmp_path / f"{kind}{number}.png") for number in range(3)])
        for kind in ("", "mask")
    )
    source = FileSource(files, np.arange(3), (16, 16, 3), masks)

    def made() -> np.ndarray:
        return next(iter(emptied(source, tmp_path / "emptied").batches(3)))["image"].numpy()

    expected = made()

    def check() -> None:
        np.testing.assert_array_equal(made(), expected)

    each_damage(tmp_path, "emptied/*", check, TRIES // 4)


def test_settings_of_a_run(tmp_path):
    settings = {"classifier": ClassifierSettings(dataset="digits", epochs=5)}
    with RunFolder(str(tmp_path), None, False, settings).opened():
        kept = kept_settings(str(tmp_path), None)

    def check() -> None:
        try:
            assert kept_settings(str(tmp_path), None) == kept
            assert RunFolder(str(tmp_path), None, False, settings).goes_on
        except UserError as error:
            assert "config.json" in str(error) and "\n" not in str(error)

    each_damage(tmp_path, "config.json", check)


def test_results_of_a_run(tmp_path):
    rows = {"Traditional": Accuracies({"clean": 0.99, "stripes": 0.25}, 1.0)}
    (tmp_path / "results.json").write_text(json_results(rows, dataset="digits", noises={}))
    (tmp_path / "config.json").write_text("{}")

    def check() -> None:
        try:
            assert read_run(tmp_path).accuracies == rows
        except UserError as error:
            assert "results.json is damaged" in str(error) and "\n" not in str(error)

    each_damage(tmp_path, "results.json", check)


def test_metrics_of_a_run(tmp_path, caplog):
    file = tmp_path / "metrics.jsonl"
    file.touch()
    for number in range(6):
        put_evaluation(file, f"row {number}", {"train": number / 7, "tests": {"clean": 0.5}})
    records = read_metrics(file)

    def check() -> None:
        caplog.clear()
        found = read_metrics(file)
        assert all(record in records for record in found)
        # a file that ends early is what a run that was stopped leaves
        assert found == records[: len(found)] or "metrics.jsonl: line" in caplog.text

    each_damage(tmp_path, "metrics.jsonl", check)


def test_variations_that_are_made(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3)).astype(np.uint8)
    masks = np.zeros((4, 8, 8, 1), np.uint8)
    masks[:, 2:5, 2:5] = 255
    source = ArraySource(images, np.arange(4) % 2, masks)

    def regions(rows, records, pixels) -> list:
        return [(mask, mask) for mask in records["mask"].numpy()[..., 0] > 0.5]

    def make() -> None:
        given = source, regions, tmp_path, "val", ("a", "b"), "tile", 0, "png", write_bytes
        VariationFiles(*given).make()

    def check() -> None:
        for path in tmp_path.glob("mixed_next/*/*/*"):
            path.unlink()
        try:
            make()
        except UserError as error:
            assert "is damaged: begin again with --overwrite" in str(error)

    make()
    each_damage(tmp_path, f"{MASKS}/*/*/*", check)
    each_damage(tmp_path, f"{BACKGROUNDS}/*/*/*", check)
