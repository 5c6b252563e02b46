"""What can be set of the app. Without TensorFlow."""

import dataclasses

from bginv.engine.common_settings import DataSettings
from bginv.engine.settings import setting


@dataclasses.dataclass(frozen=True, kw_only=True)
class AppSettings(DataSettings):
    """An app in the browser, for masks and audits of photographs."""

    model: str | None = setting(
        None, metavar="FILE", help="classifier to audit: .keras, .h5, .onnx, .tflite, a SavedModel"
    )
    source: str = setting(
        "auto",
        metavar="NAME",
        help="where masks come from at first: auto, given[:FOLDER], saliency[:NETWORK], "
        "boxes:FILE, model:FILE, command:PROGRAM, heuristic",
    )
    output: str | None = setting(
        None,
        metavar="FOLDER",
        help="folder for SPLIT/masks/CLASS/NAME.png (default: that of the photographs, where "
        "--masks given finds them)",
    )
    splits: tuple[str, ...] = setting(
        (), metavar="NAME[,NAME...]", help="of the folder (default: every one)"
    )
    port: int = setting(
        7860, minimum=0, maximum=65535, help="of this machine's address; 0 takes one that is free"
    )
