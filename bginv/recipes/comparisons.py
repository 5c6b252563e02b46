"""The methods of the literature beside the three phases."""

import dataclasses

from bginv.config import setting
from bginv.recipes.training import NewClassifierSettings, PhaseSettings

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
class AttentionSettings(NewClassifierSettings):
    """The attention-guided baseline."""

    tau: float = setting(0.7, minimum=0, maximum=1, help="threshold of the heat map")
    fusion: str = setting(
        "joint",
        choices=("joint", "paper"),
        help="joint: local and fusion branch behind a frozen classifier; paper: AG-CNN",
    )
    threshold: str = setting(
        "otsu", choices=("otsu", "tau"), help="of the heat map, for --fusion paper"
    )
    head: str = setting(
        "linear",
        tuned="relu",
        choices=("linear", "relu"),
        help="between dense layers of the fusion",
    )
    global_model: str | None = setting(
        None, help="classifier that is there already, instead of training one"
    )
    fusion_learning_rate: float = setting(1e-3, minimum=0, help="of Adam, for the fusion branch")
    decay: str = setting(
        "none", tuned="cosine", choices=("none", "cosine"), help="of that rate, to 0"
    )
    steps: int | None = setting(
        None, tuned=1500, minimum=1, instead_of="epochs", help="number of batches"
    )
    fusion_steps: int | None = setting(
        None,
        tuned=2500,
        minimum=1,
        help="number of batches of the second stage of joint (default: as long as the first)",
    )


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
