"""What can be set of the attention-guided baseline. Without TensorFlow."""

import dataclasses

from bginv.engine.common_settings import NewClassifierSettings
from bginv.engine.settings import setting


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
