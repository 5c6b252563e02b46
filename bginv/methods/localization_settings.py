"""What the methods share that find objects from image labels."""

import dataclasses

from bginv.engine.common_settings import PhaseSettings
from bginv.engine.settings import setting

NETWORKS = (
    "resnet18",
    "resnet18deeplab",
    "resnet34",
    "resnet50",
    "resnet101",
    "resnet152",
    "wide_resnet50",
    "resnet101deeplab",
    "vgg16",
    "deeplab_largefov",
    "inception",
)
WEIGHTS = "imagenet (Keras'), none (random), or a checkpoint of torchvision's (.pth, .npz)"


@dataclasses.dataclass(frozen=True, kw_only=True)
class WeakLocalizationSettings(PhaseSettings):
    """What the methods take that find objects from image labels."""

    image_size: int | None = setting(
        None,
        minimum=8,
        also=("img_resolution",),
        help="side of the images that the network sees (default: the paper's)",
    )
    smallest_crop: float = setting(
        0.08, tuned=0.5, minimum=0.01, maximum=1, help="least area of a random crop in training"
    )
    flip: bool = setting(True, help="mirror half of the images")
    epochs: int | None = setting(10, minimum=1, help="passes over the training images")
    evaluate_every: int = setting(
        1, may_change=True, minimum=0, help="epochs between two evaluations; 0: at the end only"
    )
