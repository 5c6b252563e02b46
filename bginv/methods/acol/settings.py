"""What can be set of adversarial complementary learning. Without TensorFlow."""

import dataclasses

from bginv.engine.settings import positional, setting
from bginv.methods.localization_settings import NETWORKS, WEIGHTS, WeakLocalizationSettings


@dataclasses.dataclass(frozen=True, kw_only=True)
class AcolSettings(WeakLocalizationSettings):
    """Adversarial complementary learning."""

    dataset: str | None = positional(
        default=None, help="name of a data set; or --input-path for folder:PATH"
    )
    input_path: str | None = setting(
        None, may_change=True, help="folder with train/CLASS and validation/CLASS"
    )
    model: str = setting("resnet50", choices=NETWORKS, help="network behind the classifiers")
    weights: str = setting("imagenet", help=WEIGHTS)
    cls_recipe: str = setting(
        "pp",
        metavar="LETTERS",
        help="a letter for each classifier: p (the label) or n (all others)",
    )
    delta_list: tuple[float, ...] = setting(
        (0.9,), minimum=0, maximum=1, help="what a map has above it is erased for the next one"
    )
    head: str = setting(
        "linear",
        choices=("linear", "conv"),
        help="1x1 convolution (the port), or two of 3x3x1024 before it (the paper)",
    )
    batchsize: int = setting(64, minimum=1, also=("batch_size",), help="images a batch")
    learning_rate: float = setting(1e-3, minimum=0, help="of SGD")
