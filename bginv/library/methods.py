"""The phases' methods, for programs with a loop of their own.

Each has `train_step(batch, seed)`, which updates the models once and gives scalars, and
`augment_batch(batch, seed)`; both are plain functions of tensors, to be put into a `tf.function`
with `autograph=False`.
A batch is a dict of `image` float32 [B, H, W, C] in [0, 1], `label` int32 [B] and, for
`adversarial_training`, `mask` float32 [B, H, W, 1] in [0, 1]; a seed is int32 [2].

After the last step call `finish()`: it gives the classifier its averaged weights. With
`restart_every`, call `before_step(i)` before step i.
"""

from typing import Any

import keras

from bginv.engine.common_settings import PhaseSettings
from bginv.engine.settings import resolve, setting_names
from bginv.errors import UserError
from bginv.methods.background_invariance.adversarial_training import AdversarialTraining
from bginv.methods.background_invariance.classifier_training import ClassifierTraining
from bginv.methods.background_invariance.mask_training import MaskTraining
from bginv.methods.background_invariance.settings import PHASES
from bginv.ops.losses import Loss, cross_entropy

OF_STEPS = {"flip", "recipe", "seed"}
NOT_OF_STEPS = setting_names(PhaseSettings) - OF_STEPS | {
    *("architecture", "weights", "mistakes_of", "mistakes_share"),
    *("binarize", "backgrounds", "crops", "evaluate_every", "debug"),
}
"""Settings of the phases' data, models and loop, which a program of one's own decides."""
NOT_OF_STEPS_OF = {"adversarial": {"area"}}


def classifier_training(
    classifier: keras.Model,
    batch_size: int,
    steps: int = 1,
    loss: Loss = cross_entropy,
    **settings: Any,
) -> ClassifierTraining:
    """Phase 1.

    Args:
        classifier: images to logits, or to what the loss takes; it is trained in place.
        batch_size: B.
        steps: length of the training.
        loss: labels and outputs to a scalar.
        **settings: see `train1.py --help`, with underscores; `recipe` is "tuned" by default.

    Raises:
        UserError: settings that do not go together.
    """
    own = _settings("classifier", batch_size, steps, settings)
    return ClassifierTraining(classifier, own, loss)


def mask_training(
    mask_generator: keras.Model,
    classifier: keras.Model,
    batch_size: int,
    loss: Loss = cross_entropy,
    **settings: Any,
) -> MaskTraining:
    """Phase 2: the mask generator learns, the classifier stays as it is.

    Args:
        mask_generator: images to masks [B, H, W, 1] in [0, 1]; it is trained in place.
        classifier: see `classifier_training`.
        batch_size: B.
        loss: see `classifier_training`.
        **settings: see `train2.py --help`, with underscores; `recipe` is "tuned" by default.

    Raises:
        UserError: settings that do not go together.
    """
    own = _settings("masks", batch_size, 1, settings)
    return MaskTraining(mask_generator, classifier, own, loss)


def adversarial_training(
    classifier: keras.Model,
    image_shape: tuple[int, int, int],
    batch_size: int,
    steps: int,
    loss: Loss = cross_entropy,
    **settings: Any,
) -> AdversarialTraining:
    """Phase 3; its background generators are `adversaries`, each with `generator` and `draw`.

    Args:
        classifier: see `classifier_training`.
        image_shape: (H, W, C), square for generated backgrounds.
        batch_size: B.
        steps: length of the training, for the decay of the rate; call `before_step(i)` before step
            i where `restart_every` is not 0, and `finish()` after the last one.
        loss: see `classifier_training`.
        **settings: see `train3.py --help`, with underscores, and `back`; `recipe` is "tuned" by
            default.

    Raises:
        UserError: settings that do not go together.
    """
    own = _settings("adversarial", batch_size, steps, settings)
    return AdversarialTraining(classifier, image_shape, own, steps, loss)


def _settings(phase: str, batch_size: int, steps: int, given: dict[str, Any]):
    of_commands = {"dataset": "", "model": "", "unet_model": ""}
    without_effect = NOT_OF_STEPS | NOT_OF_STEPS_OF.get(phase, set())
    known = setting_names(PHASES[phase])
    known -= of_commands.keys() | without_effect
    for name in given:
        if name in without_effect:
            raise UserError(
                f"{name} is decided by your own loop, data and models, not by the steps of {phase}:"
                " leave it out"
            )
        if name not in known:
            raise UserError(f"{phase} has no setting {name!r}; known: {', '.join(sorted(known))}")
    own = {"batchsize": batch_size, "steps": steps, **given}
    return resolve(PHASES[phase], {**of_commands, **own}, "tuned")
