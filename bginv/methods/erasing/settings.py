"""What can be set of end-to-end adversarial erasing. Without TensorFlow."""

import dataclasses

from bginv.engine.settings import positional, setting
from bginv.methods.localization_settings import NETWORKS, WEIGHTS, WeakLocalizationSettings

OPTIMIZERS = ("sgd", "adam", "rmsprop")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ErasingSettings(WeakLocalizationSettings):
    """End-to-end adversarial erasing."""

    dataset: str | None = positional(
        default=None, help="name of a data set; or --dataset-root for voc2012"
    )
    dataset_root: str | None = setting(
        None, may_change=True, help="folder that holds VOCdevkit: data set voc2012"
    )
    experiment_name: str | None = setting(
        None,
        may_change=True,
        metavar="NAME",
        help="--run-dir results/NAME, by the reference's name",
    )
    localizer_model: str = setting("resnet101", choices=NETWORKS, help="network that localizes")
    localizer_weights: str = setting("imagenet", help=WEIGHTS)
    localizer_from_scratch: bool = setting(False, help="--localizer-weights none")
    adversarial_model: str | None = setting(
        None, choices=NETWORKS, help="network that looks at erased images (default: none)"
    )
    adversarial_weights: str = setting("imagenet", help=WEIGHTS)
    adversarial_from_scratch: bool = setting(False, help="--adversarial-weights none")
    attention_type: str = setting("gcam", choices=("gcam", "cam"), help="Grad-CAM or CAM")
    alpha: float = setting(0.05, minimum=0, help="weight of what the adversary finds")
    beta: float = setting(1e-5, minimum=0, help="weight of the maps' mean")
    omega: float = setting(100.0, minimum=0, help="slope of the soft masks")
    sigma: float = setting(0.5, minimum=0, maximum=1, help="threshold of the soft masks")
    share_weights: bool = setting(False, help="the localizer is its own adversary")
    train_steps_localizer: int = setting(200, minimum=1, help="steps of the localizer's turn")
    train_steps_adversarial: int = setting(200, minimum=1, help="steps of the adversary's turn")
    optimizer: str = setting("sgd", choices=OPTIMIZERS, help="of the localizer")
    adversarial_optimizer: str = setting("sgd", choices=OPTIMIZERS, help="of the adversary")
    batchsize: int = setting(16, minimum=1, also=("batch_size",), help="images a batch")
    learning_rate: float = setting(0.01, minimum=0, help="of the localizer's optimizer")
    adversarial_learning_rate: float = setting(0.01, minimum=0, help="of the adversary's")
    segmentation_map_threshold: float = setting(
        0.3, may_change=True, minimum=0, maximum=1, help="maps below it are background"
    )
    evaluate: bool = setting(
        False, may_change=True, help="train nothing; evaluate the model that --output names"
    )
