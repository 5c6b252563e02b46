"""What can be set of output-space adaptation. Without TensorFlow."""

import dataclasses

from bginv.engine.common_settings import DataSettings, PhaseSettings
from bginv.engine.settings import positional, setting

DEEPLABS = ("DeepLab", "DeeplabVGG", "light")
ADAPTATIONS = ("multi", "single", "feature", "statistics", "none")
CLASSES = "of domain:PATH: camvid, cityscapes or a file with a class a line (default: classes.txt)"
IGNORE_LABEL = "class that does not count"


ASPPS = ("reference", "paper")
"""Of DeepLab: two dilations, as in the code of AdaptSegNet, or four."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class AdaptationSettings(PhaseSettings):
    """Output-space adaptation."""

    dataset: str | None = positional(
        default=None,
        help="the source, labelled: gta5 (the default), synthia, cityscapes, shapes or domain:PATH",
    )
    image_size: int | None = setting(
        None,
        minimum=32,
        help="side of square images of both domains, instead of the two --input-size",
    )
    target: str = setting(
        "cityscapes", metavar="NAME", help="the target, whose labels are not used in training"
    )
    data_dir_target: str | None = setting(
        None, may_change=True, help="folder with the target's files"
    )
    data_list: str | None = setting(None, may_change=True, help="file with names of source images")
    data_list_target: str | None = setting(
        None, may_change=True, help="file with names of target images"
    )
    target_split: str = setting(
        "train", also=("set",), metavar="NAME", help="of Cityscapes, to adapt to"
    )
    classes: str | None = setting(None, help=CLASSES)
    ignore_label: int = setting(255, minimum=0, maximum=255, help=IGNORE_LABEL)
    held_out: float = setting(
        1 / 3, minimum=0.01, maximum=0.9, help="last share of the target, to evaluate with"
    )
    validation_share: float = setting(
        0.1, minimum=0.01, maximum=0.9, help="last share of the source, to choose the best epoch by"
    )
    validation: str = setting(
        "source",
        choices=("source", "target"),
        help="chooses the best epoch; target looks at the labels that it is evaluated with",
    )
    input_size: tuple[int, ...] = setting(
        (1280, 720), minimum=32, help="width and height of source images"
    )
    input_size_target: tuple[int, ...] = setting(
        (1024, 512), minimum=32, help="width and height of target images"
    )
    model: str = setting("DeepLab", tuned="light", choices=DEEPLABS, help="network")
    aspp: str = setting(
        "reference",
        tuned="paper",
        choices=ASPPS,
        help="head: two dilations, as the published code computes, or four",
    )
    restore_from: str | None = setting(
        None, help="checkpoint of PyTorch with the network's weights; heads may be missing"
    )
    adaptation: str = setting(
        "multi",
        choices=ADAPTATIONS,
        help="discriminators of both outputs, the last, or the features; of none but with the "
        "target's statistics; or no look at the target",
    )
    batchsize: int = setting(1, tuned=4, minimum=1, also=("batch_size",), help="images a part")
    iter_size: int = setting(1, minimum=1, help="parts whose gradients make a step")
    epochs: int | None = setting(None, minimum=1, help="passes over the source images")
    steps: int | None = setting(
        150_000,
        tuned=2000,
        minimum=1,
        instead_of="epochs",
        also=("num_steps_stop",),
        help="number of batches",
    )
    num_steps: int | None = setting(
        250_000, tuned=None, minimum=1, help="step at which rates reach 0 (default: the last)"
    )
    power: float = setting(0.9, minimum=0, help="of the decay of rates")
    learning_rate: float = setting(
        2.5e-4, tuned=2e-3, minimum=0, help="of SGD; that of the heads is ten times as high"
    )
    learning_rate_d: float = setting(
        1e-4, minimum=0, also=("learning_rate_D",), help="of Adam, for discriminators"
    )
    momentum: float = setting(0.9, minimum=0, maximum=1, help="of SGD")
    weight_decay: float = setting(5e-4, minimum=0, help="of SGD")
    lambda_seg: float = setting(0.1, minimum=0, help="weight of the auxiliary output's loss")
    lambda_adv_target1: float = setting(
        2e-4, minimum=0, help="weight of deceiving the auxiliary output's discriminator"
    )
    lambda_adv_target2: float = setting(
        1e-3, minimum=0, help="weight of deceiving the last output's, or the features'"
    )
    discriminator_width: int = setting(
        64, tuned=16, minimum=1, help="filters of a discriminator's first convolution"
    )
    gan: str = setting("Vanilla", choices=("Vanilla", "LS"), help="loss of discriminators")
    flip: bool = setting(False, tuned=True, also=("random_mirror",), help="mirror half of all")
    random_scale: bool = setting(False, tuned=True, help="enlarge source images by 0.5 to 1.5")
    parameter_lists: str = setting(
        "once",
        choices=("once", "repeated"),
        help="repeated: step a weight once for each module that holds it, as the published code",
    )
    average_decay: float = setting(
        0.999, minimum=0, maximum=1, help="of the moving average of the weights"
    )
    evaluate_every: int = setting(
        1, may_change=True, minimum=0, help="epochs between two evaluations; 0: at the end only"
    )
    seed: int = setting(
        1234,
        tuned=0,
        minimum=0,
        maximum=2**31 - 1,
        also=("random_seed",),
        help="of initial weights, order and augmentation",
    )
    run_dir: str | None = setting(
        None,
        may_change=True,
        also=("snapshot_dir",),
        help="folder for configuration, checkpoints, metrics and pictures",
    )
    checkpoint_steps: int = setting(
        5000,
        may_change=True,
        minimum=0,
        also=("save_pred_every",),
        help="save a checkpoint every N steps too; 0: do not",
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluateDomainSettings(DataSettings):
    """A segmentation network on a domain."""

    dataset: str = positional(help="a domain: cityscapes, gta5, synthia, shapes or domain:PATH")
    model: str = positional(help="segmentation network, .keras")
    classes: str | None = setting(None, help=CLASSES)
    ignore_label: int = setting(255, minimum=0, maximum=255, help=IGNORE_LABEL)
    image_size: int | None = setting(
        None, minimum=32, help="side of square images, instead of --input-size"
    )
    input_size: tuple[int, ...] = setting(
        (1024, 512), minimum=32, help="width and height of the images"
    )
    held_out: float = setting(
        1 / 3, minimum=0.01, maximum=0.9, help="last share of the images, to evaluate with"
    )
    output: str = setting(".", help="folder for label-maps.png")
