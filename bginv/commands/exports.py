"""Commands that write models for others, and read those of others."""

import pathlib
import re
from collections.abc import Callable, Mapping

import keras
import numpy as np
import tensorflow as tf
from absl import logging

from bginv.commands.settings import ConvertSettings, ExportSettings
from bginv.engine.experiment import load, refuse_groups
from bginv.errors import UserError
from bginv.interop.export import (
    available_formats,
    check_exports,
    comparison_images,
    export_files,
    export_model,
)
from bginv.interop.model_files import check_input, check_model_name, load_any, save_model
from bginv.interop.torch_weights import load_state, read_normalizer, read_state
from bginv.methods.acol.model import build_acol, build_classifiers
from bginv.methods.erasing.model import build_localizer, build_network, has_linear_head
from bginv.nn.deeplab import (
    ASPPS,
    AUXILIARY_HEAD,
    BRANCHES,
    DILATIONS,
    LAST_HEAD,
    VGG_HEAD,
    build_deeplab,
    build_segmenter,
    with_last_head,
)
from bginv.nn.features import INCEPTION, build_features, logits_alone, renormalized
from bginv.output_files import (
    OVERWRITE,
    check_writable,
    check_writable_folder,
    refuse_existing,
)
from bginv.report.card import CARD, card_of, run_of, write_card
from bginv.report.tables import exports_table


def prepare_export(
    settings: ExportSettings, strategy: tf.distribute.Strategy
) -> Callable[[], None]:
    """A model in other formats, each run by its own runtime and compared with the model."""
    del strategy
    refuse_groups(settings)
    folder = pathlib.Path(settings.output)
    check_writable_folder(folder)
    files = export_files(
        folder, pathlib.Path(settings.model).stem, settings.formats or available_formats()
    )
    check_exports(files.values(), settings.overwrite)
    if settings.card and not settings.overwrite and (folder / CARD).exists():
        raise UserError(
            f"{folder / CARD} exists already: --no-card leaves it as it is, {OVERWRITE} writes the "
            "card of these files over it"
        )
    model = load_any(settings.model)
    dataset = load(settings, several_labels=True) if settings.dataset else None
    if dataset:
        check_input(model, settings.model, dataset)

    def job() -> None:
        compared = comparison_images(model, dataset, settings.images)
        found = export_model(model, files, *compared, settings.overwrite)
        print(exports_table(found), end="")
        if any(own.problem for own in found.values()):
            failed = ", ".join(name for name, own in found.items() if own.problem)
            raise UserError(f"not written: {failed}; the table says why")
        if settings.card:
            run = run_of(pathlib.Path(settings.model))
            name = pathlib.Path(settings.model).stem
            write_card(folder / CARD, card_of(name, model, found, compared[2], run))
            logging.info("wrote %s: add a license, and where the images come from", folder / CARD)

    return job


CLASSIFIER = re.compile(r"classifiers\.(\d+)([pn])\.(\d+)\.weight")


def prepare_convert_weights(
    settings: ConvertSettings, strategy: tf.distribute.Strategy
) -> Callable[[], None]:
    """A checkpoint of PyTorch as a Keras model that takes images in [0, 1]."""
    del strategy
    output = check_model_name(settings.output)
    if output.suffix != ".keras":
        raise UserError(f"the output must end in .keras; received {settings.output}")
    refuse_existing([output], settings.overwrite)
    check_writable(output)
    if settings.network == INCEPTION:
        raise UserError("weights of PyTorch's Inception are not read; its network here is Keras'")
    state = read_state(settings.checkpoint, settings.part)
    build = {
        "classifier": _classifier,
        "acol": _acol,
        "localizer": _localizer,
        "segmenter": _segmenter,
    }
    model = build[settings.kind](settings, state)

    def job() -> None:
        save_model(model, output)
        logging.info("wrote %s: %d arrays of %s", output, len(state), settings.checkpoint)

    return job


def _classifier(settings: ConvertSettings, state: Mapping[str, np.ndarray]) -> keras.Model:
    """Logits alone; with the checkpoint's own normalization, where it has one."""
    classifier = logits_alone(_network(settings, state))
    normalizer = read_normalizer(settings.checkpoint, settings.part)
    return classifier if normalizer is None else renormalized(classifier, *normalizer)


def _localizer(settings: ConvertSettings, state: Mapping[str, np.ndarray]) -> keras.Model:
    if settings.attention_type == "cam" and not has_linear_head(settings.network):
        raise UserError(f"{settings.network} has no CAM; give --attention-type gcam")
    return build_localizer(_network(settings, state), settings.attention_type)


def _network(settings: ConvertSettings, state: Mapping[str, np.ndarray]) -> keras.Model:
    """A network with its head, which tells the number of classes."""
    shape = (settings.image_size, settings.image_size, 3)
    heads = ("fc.bias", "classifier.6.bias", "classifier.bias")
    bias = next((state[name] for name in heads if name in state), None)
    if bias is None:
        raise UserError(
            f"{settings.checkpoint} has no {' or '.join(heads)}, which tells the number of classes"
        )
    model = build_network(settings.network, shape, len(bias))
    load_state(model, state, settings.checkpoint)
    return model


def _acol(settings: ConvertSettings, state: Mapping[str, np.ndarray]) -> keras.Model:
    """ACoL, whose recipe stands in the names of its classifiers."""
    found = sorted({match.groups() for match in map(CLASSIFIER.match, state) if match})
    if not found:
        raise UserError(f"{settings.checkpoint} has no classifiers.0p.0.weight; it is no ACoL")
    recipe = "".join(kind for _, kind in dict.fromkeys((place, kind) for place, kind, _ in found))
    head = "linear" if all(number == "0" for *_, number in found) else "conv"
    if len(settings.delta_list) < len(recipe) - 1:
        raise UserError(
            f"--delta-list needs {len(recipe) - 1} numbers for recipe {recipe!r}; received "
            f"{len(settings.delta_list)}"
        )
    last = max(number for *_, number in found)
    num_classes = len(state[f"classifiers.0{recipe[0]}.{last}.bias"])
    features = build_features(settings.network, (settings.image_size, settings.image_size, 3))
    classifiers = build_classifiers(features.output_shape[1:], num_classes, recipe, head)
    model = build_acol(features, classifiers, settings.delta_list)
    load_state(model, state, settings.checkpoint, unused=("fc.",))
    return model


def _segmenter(settings: ConvertSettings, state: Mapping[str, np.ndarray]) -> keras.Model:
    """DeepLab, whose form stands in the names and shapes; for images of any size."""
    state, first = with_last_head(state), f".{BRANCHES}.0.weight"
    heads = {name.removesuffix(first): kernel for name, kernel in state.items() if first in name}
    if not heads:
        raise UserError(f"{settings.checkpoint} has no head such as {LAST_HEAD}{first}")
    model = build_deeplab(
        "DeeplabVGG" if VGG_HEAD in heads else "DeepLab",
        len(next(iter(heads.values()))),
        aspp=settings.aspp,
        auxiliary=AUXILIARY_HEAD in heads,
    )
    left_out = range(len(ASPPS[settings.aspp]), len(DILATIONS))
    unused = [f"{head}.{BRANCHES}.{place}." for head in heads for place in left_out]
    load_state(model, state, settings.checkpoint, unused)
    return build_segmenter(model)
