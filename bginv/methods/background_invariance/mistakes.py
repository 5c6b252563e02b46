"""Images that a classifier gets wrong, drawn more often (Liu et al. 2021, "Just Train Twice").

Where the background goes along with the class, a classifier that has learned for a short time reads
the background: the few images that it gets wrong are those on which the two disagree.
"""

from collections.abc import Callable

from absl import logging

from bginv.data.sources import Dataset, Source
from bginv.data.stratified import StratifiedSource
from bginv.evaluation.predictions import predict
from bginv.interop.model_files import load_classifier
from bginv.recipes import ThreePhasesSettings

Draw = Callable[[Source], Source]


def drawing_of(settings: ThreePhasesSettings, dataset: Dataset) -> Draw:
    """What makes a training split draw the mistakes of `settings.mistakes_of` more often.

    Without that classifier, the split is left as it is.

    Args:
        settings: of the phase.
        dataset: what the classifier is for.

    Raises:
        ValueError: a classifier of something else, or labels that are numbers to tell.
    """
    name = settings.mistakes_of
    if name is None:
        return lambda source: source
    if dataset.regression:
        raise ValueError(f"--mistakes-of is for classes; the labels of {dataset.name} are numbers")
    classifier = load_classifier(name, dataset)

    def draw(source: Source) -> Source:
        (found,) = predict(classifier, [source])
        wrong = found.predicted != found.labels
        if wrong.all() or not wrong.any():
            raise ValueError(
                f"--mistakes-of {name} gets {wrong.sum()} of the {len(source)} training images "
                "wrong, and its mistakes are to be a part of them: train it for "
                f"{'more' if wrong.all() else 'fewer'} steps"
            )
        logging.info(
            "%s gets %d of %d training images wrong: %.0f %% of those drawn are among them",
            *(name, wrong.sum(), len(source), 100 * settings.mistakes_share),
        )
        return StratifiedSource(source, wrong, settings.mistakes_share)

    return draw
