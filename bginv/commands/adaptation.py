"""The commands of output-space adaptation."""

import dataclasses
import pathlib
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf
from absl import logging

from bginv.artefacts import check_writable, check_writable_folder, content_number, refuse_existing
from bginv.commands.jobs import Job, command_line, of_worker, open_folder, training_job
from bginv.commands.localization import every
from bginv.commands.phases import train_phase
from bginv.config import option_name
from bginv.data.domains import Domain, DomainPlace, load_domain
from bginv.data.labelled import WithTarget
from bginv.evaluation.confusion import segmentation_evaluator
from bginv.interop.model_files import load_segmenter
from bginv.interop.torch_weights import load_state, named_weights, read_state, to_torch
from bginv.models.deeplab import BRANCHES, build_deeplab, build_segmenter
from bginv.recipes import AdaptationSettings, EvaluateDomainSettings
from bginv.report.pictures import colour_label_maps, write_sheet
from bginv.report.tables import class_iou_table
from bginv.training.adaptation import AdaptationTraining
from bginv.training.loop import total_steps

NUM_PICTURED = 6
SOURCE = "gta5"
HEADS = ("layer5.", "layer6.", "classifier.", "fc.")


def prepare_train_adapt(settings: AdaptationSettings, strategy: tf.distribute.Strategy) -> Job:
    """Output-space adaptation; the weights, or their average, of the best epoch are kept."""
    settings = of_worker(settings, strategy)
    _check_output_kind(settings)
    folder = open_folder(settings, "train-adapt")
    source, target = _load_domains(settings)
    train = source.train if settings.limit is None else source.train.first(settings.limit)
    # a step takes iter_size parts
    looped = dataclasses.replace(settings, batchsize=settings.batchsize * settings.iter_size)
    with strategy.scope():
        deeplab = build_deeplab(
            settings.model,
            len(source.classes),
            aspp=settings.aspp,
            auxiliary=settings.adaptation == "multi",
            seed=settings.seed,
        )
        if settings.restore_from:
            restore(deeplab, settings.restore_from)
        method = AdaptationTraining(deeplab, settings, total_steps(looped, len(train)))
        segmenter = build_segmenter(deeplab)
    pairs = WithTarget(train, target.train)
    restored = [settings.restore_from] if settings.restore_from else []
    weights = {path: content_number(pathlib.Path(path)) for path in restored}
    folder.check_inputs({"training images": pairs.digest(), **weights})
    evaluate = segmentation_evaluator(segmenter)
    held_out = {f"{source.name}, held out": source.held_out, target.name: target.held_out}
    chosen_by = (source if settings.validation == "source" else target).held_out

    def offer(epoch: int, what: str) -> None:
        found = {name: evaluate(held) for name, held in held_out.items()}
        score = next(found[name] for name, held in held_out.items() if held is chosen_by)
        # without any pixel of a class there is no score
        best = method.best.offer(np.nan_to_num(score.mean_iou))
        scores = ", ".join(f"{name} {own.mean_iou:.4f}" for name, own in found.items())
        end = ", the best so far" if best else ""
        logging.info("epoch %d, %s, mean IoU: %s%s", epoch, what, scores, end)

    def after_epoch(epoch: int) -> None:
        offer(epoch, "weights")
        with method.average.in_place():
            offer(epoch, "averaged weights")
        write_label_maps(segmenter, target, folder.pictures, str(epoch))

    def run() -> dict[str, keras.Model]:
        epochs = settings.evaluate_every
        train_phase(method, pairs, looped, folder, every(epochs, after_epoch))
        return {settings.output: segmenter}

    def report() -> None:
        found = {name: evaluate(held) for name, held in held_out.items()}
        logging.info("\n%s", class_iou_table(found, source.classes.names, "IoU in %"))
        write_label_maps(segmenter, target, folder.pictures, "last")
        print(f"{command_line()},{found[target.name].mean_iou:.4f}")

    return training_job(run, folder, strategy, report)


def prepare_evaluate_domain(
    settings: EvaluateDomainSettings, strategy: tf.distribute.Strategy
) -> Callable[[], None]:
    """IoU of each class on the held-out images of a domain, and pictures."""
    del strategy
    path = pathlib.Path(settings.output) / "label-maps-last.png"
    check_writable_folder(path.parent)
    refuse_existing([path], settings.overwrite)
    check_writable(path)
    domain = load_domain(
        DomainPlace(
            settings.dataset,
            _size(settings, "input_size"),
            settings.held_out,
            settings.data_dir,
            classes=settings.classes,
            skip_bad_files=settings.skip_bad_files,
        )
    )
    segmenter = load_segmenter(settings.model, len(domain.classes))

    def job() -> None:
        found = segmentation_evaluator(segmenter)(domain.held_out)
        title = f"IoU in %, {len(domain.held_out)} images"
        print(class_iou_table({domain.name: found}, domain.classes.names, title), end="")
        write_label_maps(segmenter, domain, path.parent, "last")
        logging.info("wrote %s", path)

    return job


def restore(deeplab: keras.Model, path: str) -> None:
    """Give a network the weights of a checkpoint; heads of other classes stay as they are.

    Raises:
        ValueError: see `read_state` and `load_state`.
    """
    state = read_state(path)
    for name, weight in named_weights(deeplab):
        own = to_torch(weight.numpy())
        if BRANCHES in name and (name not in state or state[name].shape != own.shape):
            state[name] = own
    load_state(deeplab, state, path, unused=HEADS)


def write_label_maps(
    segmenter: keras.Model, domain: Domain, pictures: pathlib.Path | None, epoch: str
) -> None:
    """Images of a domain, their label maps, and those predicted, in the colours of the classes."""
    if pictures is None:
        return
    count = len(domain.held_out)
    chosen = np.linspace(0, count, min(count, NUM_PICTURED), endpoint=False, dtype=np.int64)
    records = domain.held_out.gather(tf.constant(chosen))
    predicted = tf.argmax(segmenter(records["image"], training=False), -1)
    colours = domain.classes.colours
    rows = {
        "image": records["image"].numpy(),
        "truth": colour_label_maps(records["label_map"].numpy(), colours),
        "predicted": colour_label_maps(predicted.numpy(), colours),
    }
    title = f"{domain.name}, {f'epoch {epoch}' if epoch.isdecimal() else epoch}"
    write_sheet(pictures / f"label-maps-{epoch}.png", rows, title)


def _load_domains(settings: AdaptationSettings) -> tuple[Domain, Domain]:
    """Source and target.

    Raises:
        ValueError: other classes in one than in the other; see `load_domain`.
    """
    common = {
        "classes": settings.classes,
        "ignore_label": settings.ignore_label,
        "skip_bad_files": settings.skip_bad_files,
    }
    source = load_domain(
        DomainPlace(
            settings.dataset or SOURCE,
            _size(settings, "input_size"),
            settings.validation_share,
            settings.data_dir,
            settings.data_list,
            **common,
        )
    )
    target = load_domain(
        DomainPlace(
            settings.target,
            _size(settings, "input_size_target"),
            settings.held_out,
            settings.data_dir_target,
            settings.data_list_target,
            split=settings.target_split,
            **common,
        )
    )
    if source.classes.names != target.classes.names:
        names = [", ".join(domain.classes.names) for domain in (source, target)]
        raise ValueError(
            f"source and target need the same classes; {source.name} has {names[0]}, "
            f"{target.name} has {names[1]}"
        )
    return source, target


def _size(settings: AdaptationSettings | EvaluateDomainSettings, name: str) -> tuple[int, int]:
    """Height and width, from an option with width and height; or `--image-size`.

    Raises:
        ValueError: another number of numbers.
    """
    if settings.image_size is not None:
        return settings.image_size, settings.image_size
    given = getattr(settings, name)
    if len(given) != 2:
        raise ValueError(
            f"{option_name(name)} must be width,height; received {','.join(map(str, given))}"
        )
    return given[1], given[0]


def _check_output_kind(settings: AdaptationSettings) -> None:
    """Raise if the network cannot be adapted this way, or not be saved.

    Raises:
        ValueError: it says so.
    """
    if settings.adaptation == "multi" and settings.model == "DeeplabVGG":
        raise ValueError("DeeplabVGG has one output; give --adaptation single or feature")
    if settings.output and settings.output.endswith(".h5"):
        raise ValueError(f"a segmentation network is saved as .keras; received {settings.output}")
