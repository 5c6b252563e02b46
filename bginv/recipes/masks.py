"""The command that finds masks."""

import dataclasses

from bginv.config import positional, setting
from bginv.recipes.training import DataSettings


@dataclasses.dataclass(frozen=True, kw_only=True)
class FindMasksSettings(DataSettings):
    """Masks of photographs as files, and whether they can be trusted."""

    dataset: str = positional(help="folder:PATH of photographs")
    source: str = setting(
        "auto",
        metavar="NAME",
        help="where masks come from: auto, given[:FOLDER], heuristic, saliency[:NETWORK], "
        "boxes:FILE, model:FILE, command:PROGRAM, cam",
    )
    output: str = setting(
        "masks",
        help="folder for SPLIT/masks/CLASS/NAME.png and masks.png; that of the photographs "
        "gives them their masks",
    )
    second: str | None = setting(
        None, metavar="NAME", help="another source, to see whether the two agree"
    )
    model: str | None = setting(
        None,
        help="classifier, .keras or .h5: its accuracy on foregrounds and on backgrounds; "
        "--source cam needs it",
    )
    splits: tuple[str, ...] = setting(
        (), metavar="NAME[,NAME...]", help="of the folder (default: every one)"
    )
    image_size: int | None = setting(
        None,
        minimum=8,
        help="side of the images that are measured; masks have their pictures' size "
        "(default: the model's, else 128)",
    )
