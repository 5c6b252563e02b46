"""A run of output-space adaptation, and the evaluation of a segmentation network on a domain."""

import dataclasses
import pathlib
import zlib

import keras
import numpy as np
import tensorflow as tf
from absl import logging

from bginv.checksums import content_number
from bginv.data.domains import Domain, DomainPlace, load_domain
from bginv.data.labelled import WithTarget
from bginv.engine.experiment import Experiment, Stage, paper_command_line, refuse_groups
from bginv.engine.loop import total_steps
from bginv.engine.results import on_evaluated_epochs
from bginv.engine.settings import option_name
from bginv.errors import UserError
from bginv.evaluation.segmentation import segmentation_evaluator
from bginv.interop.model_files import load_segmenter
from bginv.interop.torch_weights import load_state, named_weights, read_state, to_torch
from bginv.methods.adaptation.settings import AdaptationSettings, EvaluateDomainSettings
from bginv.methods.adaptation.training import AdaptationTraining
from bginv.nn.deeplab import BRANCHES, build_deeplab, build_segmenter, with_last_head
from bginv.output_files import (
    check_writable,
    check_writable_folder,
    refuse_existing,
)
from bginv.report.pictures import colour_label_maps, write_sheet
from bginv.report.tables import class_iou_table

NUM_PICTURED = 6
SOURCE, LIGHT = "gta5", "light"
HEADS = ("layer5.", "layer6.", "classifier.", "fc.")


class AdaptationExperiment(Experiment):
    """One stage on pairs of a source and a target image; see `Experiment`.

    The weights, or their average, of the best epoch are kept.
    """

    name = "train-adapt"

    def __init__(self, settings: AdaptationSettings, strategy: tf.distribute.Strategy):
        _check_output_kind(settings)
        super().__init__(settings, strategy)
        settings = self.settings
        self._source, self._target = source, target = _load_domains(settings)
        train = source.train if settings.limit is None else source.train.first(settings.limit)
        # a step takes iter_size parts
        looped = dataclasses.replace(settings, batchsize=settings.batchsize * settings.iter_size)
        with strategy.scope():
            steps = total_steps(looped, len(train))
            self._training = _build_method(settings, len(source.classes), steps)
            self._segmenter = build_segmenter(self._training.deeplab)
        pairs = WithTarget(train, target.train)
        self.folder.check_inputs(_inputs(settings, pairs, source, target))
        self._count = segmentation_evaluator(self._segmenter)
        self._held_out = {f"{source.name}, held out": source.held_out}
        if target.held_out:
            self._held_out[target.name] = target.held_out
        choose = on_evaluated_epochs(self._choose, looped.evaluate_every, looped, len(train))
        self.stages = [Stage(self._training, pairs, looped, choose)]
        self.models = {settings.output: self._segmenter}

    def report(self) -> None:
        """IoU of each class on held-out images; the last line has that of the last domain."""
        found = {name: self._count(held) for name, held in self._held_out.items()}
        logging.info("\n%s", class_iou_table(found, self._source.classes.names, "IoU in %"))
        write_label_maps(self._segmenter, self._target, self.folder.pictures, "last")
        *_, last = found.values()
        print(f"{paper_command_line()},{last.mean_iou:.4f}")

    def _choose(self, epoch: int) -> None:
        """Keep the weights of an epoch, or their average, if they are the best so far."""
        self._offer(epoch, "weights")
        with self._training.average.in_place():
            self._offer(epoch, "averaged weights")
        write_label_maps(self._segmenter, self._target, self.folder.pictures, str(epoch))

    def _offer(self, epoch: int, what: str) -> None:
        chosen_by = self._source if self.settings.validation == "source" else self._target
        found = {name: self._count(held) for name, held in self._held_out.items()}
        held_out = self._held_out.items()
        score = next(found[name] for name, held in held_out if held is chosen_by.held_out)
        # without any pixel of a class there is no score
        best = self._training.best.offer(np.nan_to_num(score.mean_iou))
        scores = ", ".join(f"{name} {own.mean_iou:.4f}" for name, own in found.items())
        end = ", the best so far" if best else ""
        logging.info("epoch %d, %s, mean IoU: %s%s", epoch, what, scores, end)


class DomainEvaluation:
    """IoU of each class on the held-out images of a domain, and pictures.

    Args:
        settings: of the command.
        strategy: not used.

    Raises:
        UserError: a model that does not fit, or a file that is there.
    """

    def __init__(self, settings: EvaluateDomainSettings, strategy: tf.distribute.Strategy):
        del strategy
        self._path = pathlib.Path(settings.output) / "label-maps-last.png"
        check_writable_folder(self._path.parent)
        refuse_existing([self._path], settings.overwrite)
        check_writable(self._path)
        refuse_groups(settings)
        domain = load_domain(
            DomainPlace(
                settings.dataset,
                _size(settings, "input_size"),
                settings.held_out,
                settings.data_dir,
                classes=settings.classes,
                ignore_label=settings.ignore_label,
                skip_bad_files=settings.skip_bad_files,
                only_held_out=True,
            )
        )
        if settings.limit:
            domain = dataclasses.replace(domain, held_out=domain.held_out.first(settings.limit))
        self._domain = domain
        self._segmenter = load_segmenter(settings.model, len(domain.classes))

    def run(self) -> None:
        """Measure, print the table, and draw."""
        domain = self._domain
        found = segmentation_evaluator(self._segmenter)(domain.held_out)
        title = f"IoU in %, {len(domain.held_out)} images"
        print(class_iou_table({domain.name: found}, domain.classes.names, title), end="")
        write_label_maps(self._segmenter, domain, self._path.parent, "last")
        logging.info("wrote %s", self._path)


def _build_method(settings: AdaptationSettings, num_classes: int, steps: int) -> AdaptationTraining:
    """The network, from random weights or a checkpoint, and what trains it.

    Raises:
        UserError: rates that are 0 before the last step; see `restore`.
    """
    if settings.num_steps and settings.num_steps < steps:
        raise UserError(
            f"--num-steps {settings.num_steps} is where rates reach 0, before the last of {steps} "
            "steps: raise it, or train for fewer"
        )
    deeplab = build_deeplab(
        settings.model,
        num_classes,
        aspp=settings.aspp,
        auxiliary=settings.adaptation == "multi",
        seed=settings.seed,
    )
    if settings.restore_from:
        restore(deeplab, settings.restore_from)
    elif settings.model != LIGHT:
        logging.warning(
            "%s starts from random weights; the published code starts from those of ImageNet, see "
            "--restore-from",
            settings.model,
        )
    return AdaptationTraining(deeplab, settings, steps)


def _inputs(
    settings: AdaptationSettings, pairs: WithTarget, source: Domain, target: Domain
) -> dict[str, int]:
    """What a run starts from, as `RunFolder.check_inputs` takes it."""
    found = {"training images": pairs.digest(), "label maps": pairs.masks_digest()}
    for what, domain in (("source", source), ("target", target)):
        if domain.held_out:
            number = domain.held_out.digest() ^ domain.held_out.masks_digest()
            found[f"held-out images of the {what}"] = number
    meaning = (source.classes.names, sorted(source.classes.numbers.items()))
    found["classes"] = zlib.crc32(repr(meaning).encode())
    if settings.restore_from:
        found[settings.restore_from] = content_number(pathlib.Path(settings.restore_from))
    return found


def restore(deeplab: keras.Model, path: str) -> None:
    """Give a network the weights of a checkpoint; heads of other classes stay as they are.

    The only head of a single-level checkpoint becomes the last one.

    Raises:
        UserError: see `read_state` and `load_state`.
    """
    state = with_last_head(read_state(path))
    kept = []
    for name, weight in named_weights(deeplab):
        own = to_torch(weight.numpy())
        if BRANCHES in name and (name not in state or state[name].shape != own.shape):
            state[name] = own
            kept.append(name)
    load_state(deeplab, state, path, unused=HEADS)
    if kept:
        logging.warning("%s has no fitting %s: random at first", path, ", ".join(sorted(kept)))


def write_label_maps(
    segmenter: keras.Model, domain: Domain, pictures: pathlib.Path | None, epoch: str
) -> None:
    """Images of a domain, their label maps, and those predicted, in the colours of the classes."""
    if pictures is None or domain.held_out is None:
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
        UserError: other classes in one than in the other; see `load_domain`.
    """
    refuse_groups(settings)
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
            labelled=False,
            split=settings.target_split,
            **common,
        )
    )
    if source.classes.names != target.classes.names:
        names = [", ".join(domain.classes.names) for domain in (source, target)]
        raise UserError(
            f"source and target need the same classes; {source.name} has {names[0]}, "
            f"{target.name} has {names[1]}"
        )
    if settings.validation == "target" and not target.held_out:
        raise UserError(f"--validation target needs label maps, and {target.name} has none")
    return source, target


def _size(settings: AdaptationSettings | EvaluateDomainSettings, name: str) -> tuple[int, int]:
    """Height and width, from an option with width and height; or `--image-size`.

    Raises:
        UserError: another number of numbers.
    """
    if settings.image_size is not None:
        return settings.image_size, settings.image_size
    given = getattr(settings, name)
    if len(given) != 2:
        raise UserError(
            f"{option_name(name)} must be width,height; received {','.join(map(str, given))}"
        )
    return given[1], given[0]


def _check_output_kind(settings: AdaptationSettings) -> None:
    """Raise if the network cannot be adapted this way, or not be saved.

    Raises:
        UserError: it says so.
    """
    if settings.adaptation == "multi" and settings.model == "DeeplabVGG":
        raise UserError("DeeplabVGG has one output; give --adaptation single or feature")
    if settings.output and settings.output.endswith(".h5"):
        raise UserError(f"a segmentation network is saved as .keras; received {settings.output}")
