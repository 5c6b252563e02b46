"""The three phases: train, evaluate between epochs, draw."""

import pathlib
from collections.abc import Callable, Iterator

import keras
import numpy as np
import tensorflow as tf
from absl import logging

from bginv.data.photographs import WithBackgrounds
from bginv.data.sources import ArraySource, Dataset, Source
from bginv.evaluation.accuracy import Accuracies, evaluate_accuracy
from bginv.models.background_generator import generate_backgrounds
from bginv.nn.digest import weights_digest
from bginv.nn.fine_tuning import is_deep, is_trained, split_head
from bginv.nn.linear_head import compiled, stored_features, train_head
from bginv.ops.compositing import composite
from bginv.recipes import (
    AdversarialSettings,
    ClassifierSettings,
    ClassifierTrainingSettings,
    MaskSettings,
    PhaseSettings,
)
from bginv.report.pictures import write_image, write_sheet
from bginv.report.strips import write_strip
from bginv.run_folder import RunFolder
from bginv.runs.mistakes import Draw
from bginv.training.adversarial import AdversarialTraining
from bginv.training.classifier import ClassifierTraining
from bginv.training.distribution import is_chief
from bginv.training.loop import last_epoch, train
from bginv.training.masks import MaskTraining, soft_and_binary_masks
from bginv.training.method import Method

NUM_DEBUG_IMAGES = 6
NUM_SAVED_IMAGES = 12
NUM_STRIP_IMAGES, NUM_STRIPS = 8, 6


def run_classifier_phase(
    method: ClassifierTraining,
    dataset: Dataset,
    settings: ClassifierSettings,
    folder: RunFolder,
    draw: Draw,
) -> None:
    """Phase 1, on what `drawing_of` draws."""
    after_epoch = evaluation_of_epochs(method.classifier, dataset, settings)
    source = dataset.train if settings.background_mixing else dataset.train.without_masks()
    known = is_deep(method.classifier) and is_trained(method.classifier)
    if settings.recipe == "tuned" and known and not dataset.regression:
        fit_new_head(method.classifier, dataset.train.without_masks(), folder, settings.seed)
    train_phase(method, draw(source), settings, folder, after_epoch)


def fit_new_head(classifier: keras.Model, source: Source, folder: RunFolder, seed: int) -> None:
    """Train the last layer of a trained network alone, if there is one on a vector of features.

    The rest would otherwise be moved by the gradients of a random layer (Kumar et al. 2022).

    Args:
        classifier: images to logits; it is trained in place.
        source: labelled images, as they are.
        folder: keeps the features, if it has a path.
        seed: of the order.
    """
    split = split_head(classifier)
    if split is None:
        return
    network, head = split
    name = f"images_{weights_digest(network)}.npy"
    path = folder.features / name if folder.path else None

    def batches() -> Iterator[tf.Tensor]:
        return (batch["image"] for batch in source.batches(source.pass_batch))

    features = stored_features(path, compiled(network), batches, len(source))
    train_head(head, [features], [source.labels], seed)
    logging.info("%s: a new last layer, on features of the rest", classifier.name)


def check_mixing(settings: ClassifierSettings, dataset: Dataset) -> None:
    """Raise if phase 1 is to mix backgrounds, and nothing tells what is background.

    Raises:
        ValueError: it says what to do.
    """
    if settings.background_mixing and not dataset.train.has_masks:
        raise ValueError(
            f"--background-mixing needs masks, and the training images of {dataset.name} have none "
            "of their own: put masks into PATH/train/masks of a folder, or mix in phase 3 alone "
            "(train3.py, or bginv run --adversarial-background-mixing), which learns them"
        )


def run_mask_phase(
    method: MaskTraining,
    dataset: Dataset,
    settings: MaskSettings,
    folder: RunFolder,
    debug_prefix: str,
    draw: Draw,
) -> None:
    """Phase 2, on what `drawing_of` draws, with a picture of masks and, for `debug`, more."""
    chosen = np.linspace(0, len(dataset.train), NUM_DEBUG_IMAGES, endpoint=False, dtype=int)
    source = take_in_memory(dataset.train, chosen)

    def write_masks(epoch: int) -> None:
        prefix = f"{folder.pictures or pathlib.Path()}/{debug_prefix}"
        _write_debug_pictures(method.unet, source, settings, epoch, prefix)

    after_epoch = write_masks if settings.debug else None
    train_phase(method, draw(dataset.train.without_masks()), settings, folder, after_epoch)
    if folder.pictures:
        _write_mask_sheet(
            folder.pictures / "masks.png", method.unet, source, settings, "masks of training images"
        )
        kinds = ("image", "soft", "binary")
        found = _images_and_masks(method.unet, source, settings)
        for kind, images in zip(kinds, found, strict=True):
            write_strip(folder.strips / f"masks_{kind}.png", images)


def run_adversarial_phase(
    method: AdversarialTraining,
    source: Source,
    dataset: Dataset,
    settings: AdversarialSettings,
    folder: RunFolder,
) -> None:
    """Phase 3, with pictures of backgrounds and composites.

    Args:
        method: it owns the players.
        source: training images with masks and, for photographs, backgrounds.
        dataset: what is evaluated.
        settings: of the phase.
        folder: of the run.
    """
    evaluate = evaluation_of_epochs(method.classifier, dataset, settings)
    epochs_shown = _epochs_to_show(settings, len(source))

    def after_epoch(epoch: int) -> None:
        if evaluate:
            evaluate(epoch)
        if epoch in epochs_shown and folder.pictures:
            path = folder.strips / f"composites_epoch_{epoch:05}.png"
            write_strip(path, _training_composites(method, source, NUM_STRIP_IMAGES)["composite"])

    # on every worker, so that all return to Python at the same steps
    train_phase(method, source, settings, folder, after_epoch)
    if folder.pictures:
        _write_adversarial_pictures(folder, method, source)


def train_phase(
    method: Method,
    source: Source,
    settings: PhaseSettings,
    folder: RunFolder,
    on_epoch_end: Callable[[int], None] | None,
) -> None:
    """Train a method, its checkpoints in the run's folder; the chief alone draws and evaluates."""
    if on_epoch_end and not is_chief(method.strategy):
        on_epoch_end = _do_nothing  # but return to Python at the same steps as the chief
    checkpoints = folder.checkpoints(method.name)
    train(method, source, settings, folder.metrics_file, on_epoch_end, checkpoints)


def _do_nothing(epoch: int) -> None:
    del epoch


def on_evaluated_epochs(
    call: Callable[[int], None],
    settings: PhaseSettings,
    num_records: int,
) -> Callable[[int], None]:
    """What calls that with the last epoch's number, and with those of their `evaluate_every`."""
    last, every = last_epoch(settings, num_records), settings.evaluate_every

    def after_epoch(epoch: int) -> None:
        if epoch == last or (every and epoch % every == 0):
            call(epoch)

    return after_epoch


def evaluation_of_epochs(
    classifier: keras.Model, dataset: Dataset, settings: ClassifierTrainingSettings
) -> Callable[[int], None] | None:
    """What evaluates a classifier after an epoch, or None."""
    if not settings.evaluate_every:
        return None
    last = last_epoch(settings, len(dataset.train))

    def evaluate(epoch: int) -> None:
        # the last epoch is evaluated by the command, which prints its accuracy
        if epoch % settings.evaluate_every == 0 and epoch != last:
            evaluate_and_log(classifier, dataset)

    return evaluate


def evaluate_and_log(classifier: keras.Model, dataset: Dataset, part: str = "") -> Accuracies:
    """Evaluate a classifier, or a part of one with a name, on everything, and tell it."""
    accuracies = evaluate_accuracy(classifier, dataset)
    log_accuracies(accuracies, part)
    return accuracies


def log_accuracies(accuracies: Accuracies, part: str = "") -> None:
    """Tell the accuracies of a classifier, or of a part of one with a name."""
    tests = ", ".join(f"{name} {value:.4f}" for name, value in accuracies.tests.items())
    measure = accuracies.measure[0].upper() + accuracies.measure[1:]
    name = f"{measure} of the {part}" if part else measure
    logging.info("%s - train: %.4f, test: %s", name, accuracies.train, tests)


def take_in_memory(source: Source, indices: np.ndarray) -> ArraySource:
    """A small part of a source, in memory."""
    indices = indices[indices < len(source)]
    records = source.gather(tf.constant(indices, tf.int64))
    held = {
        name: np.round(records[name].numpy() * 255).astype(np.uint8)
        for name in ("image", "mask")
        if name in records
    }
    return ArraySource(held["image"], records["label"].numpy(), held.get("mask"))


def _images_and_masks(
    unet: keras.Model, source: ArraySource, settings: MaskSettings
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Images, soft masks and binary masks, float32 in [0, 1]."""
    images = source.images / np.float32(255)
    soft, binary = soft_and_binary_masks(images, unet, settings.binarize, settings.area)
    return images, soft.numpy(), binary.numpy()


def _write_mask_sheet(
    path: pathlib.Path,
    unet: keras.Model,
    source: ArraySource,
    settings: MaskSettings,
    title: str,
) -> None:
    images, soft, binary = _images_and_masks(unet, source, settings)
    rows = {"image": images, "soft mask": soft, settings.binarize: binary}
    write_sheet(path, rows, title)


def _write_debug_pictures(
    unet: keras.Model, source: ArraySource, settings: MaskSettings, epoch: int, prefix: str
) -> None:
    """The paper code's pictures of `--debug`, under its names."""
    kinds = ("image", "mask", "post")
    for kind, images in zip(kinds, _images_and_masks(unet, source, settings), strict=True):
        for i, image in enumerate(images):
            write_image(pathlib.Path(f"{prefix}-debug-{kind}-{i}.png"), image)
    sheet = pathlib.Path(f"{prefix}-mask-epoch-{epoch}.png")
    _write_mask_sheet(sheet, unet, source, settings, f"Epoch {epoch}")


def _example_backgrounds(method: AdversarialTraining, source: Source, count: int) -> tf.Tensor:
    """Backgrounds float32 [count, H, W, C] for pictures."""
    seed = method.settings.seed
    if isinstance(source, WithBackgrounds):
        return next(iter(source.photographs.batches(count, seed)))
    return tf.concat(method.draw_backgrounds(count, tf.constant([seed, 0])), 0)


def _epochs_to_show(settings: AdversarialSettings, num_records: int) -> set[int]:
    """A few epochs, the first and the last among them, after which composites are drawn."""
    # near each other at first, as the adversary learns fast there
    shown = np.geomspace(1, last_epoch(settings, num_records), NUM_STRIPS)
    return {int(epoch) for epoch in np.round(shown)}


def _training_composites(
    method: AdversarialTraining, source: Source, count: int
) -> dict[str, np.ndarray]:
    """The first training images on new backgrounds, and what they are made of."""
    records = source.gather(tf.range(min(count, len(source)), dtype=tf.int64))
    backgrounds = _example_backgrounds(method, source, len(records["label"]))
    images, masks = records["image"], records["mask"]
    rows = {
        "image": images,
        "mask": masks,
        "background": backgrounds,
        "composite": composite(images, masks, backgrounds),
    }
    return {name: np.asarray(row) for name, row in rows.items()}


def _write_adversarial_pictures(
    folder: RunFolder, method: AdversarialTraining, source: Source
) -> None:
    rows = _training_composites(method, source, NUM_SAVED_IMAGES)
    write_sheet(folder.pictures / "composites.png", rows, "training images on new backgrounds")
    if method.adversaries:
        seed = tf.constant([method.settings.seed, 0])
        drawn = {  # each tile once, however often training lays it
            f"{own.tiles}x{own.tiles} tiles": generate_backgrounds(
                own.generator, NUM_SAVED_IMAGES, own.tiles, seed
            ).numpy()
            for own in method.adversaries
        }
        title = "what the background generators draw"
        write_sheet(folder.pictures / "backgrounds.png", drawn, title)
        for name, images in drawn.items():
            path = folder.strips / f"backgrounds_{name.replace(' ', '_')}.png"
            write_strip(path, images[:NUM_STRIP_IMAGES])
