"""What can be set of the commands that train nothing. Without TensorFlow."""

import dataclasses

from bginv.engine.common_settings import DataSettings
from bginv.engine.settings import positional, setting
from bginv.methods.adaptation.settings import ASPPS
from bginv.methods.localization_settings import NETWORKS


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluateSettings(DataSettings):
    """Accuracy of a classifier."""

    model: str = positional(help="classifier, .keras or .h5")


@dataclasses.dataclass(frozen=True, kw_only=True)
class CalibrateSettings(DataSettings):
    """Temperature scaling."""

    model: str = positional(help="classifier, .keras or .h5")
    output: str = positional(help="calibrated classifier to write, .keras")
    on: str | None = setting(
        None,
        metavar="NAME",
        help="test whose every second image tells the temperature (default: the first one)",
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluateSegmentationSettings(DataSettings):
    """Masks of a mask generator."""

    model: str = positional(help="mask generator or localizer, .keras or .h5")
    output: str = setting(".", help="folder for seg-0.png, seg-1.png, ...")
    area: float = setting(0.2, minimum=0, maximum=1, help="share of foreground for quantile")
    threshold: float = setting(
        0.3, minimum=0, maximum=1, help="of a localizer's maps, beside the binarizations"
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluateBackgroundsSettings:
    """The Backgrounds Challenge."""

    data_path: str = positional(help="folder with original/val/CLASS, mixed_same/val/CLASS, ...")
    model: str = positional(help="classifier, .keras, or the folder of a SavedModel")
    challenge: bool = setting(True, help="try the foregrounds of fg_mask on all backgrounds too")
    image_size: int | None = setting(
        None, minimum=8, help="side of the images, where the model takes any (default: 224)"
    )
    batchsize: int = setting(
        256, minimum=1, also=("batch_size",), help="images at once in the challenge"
    )
    state: str | None = setting(
        None, help="file that keeps what the challenge has tried, to go on from there (.npz)"
    )
    json: str | None = setting(None, help="file for the results")
    overwrite: bool = setting(False, help="replace that file")


@dataclasses.dataclass(frozen=True, kw_only=True)
class MakeVariationsSettings(DataSettings):
    """The variations of the Backgrounds Challenge, of other images."""

    dataset: str = positional(help="name of a data set, such as folder:PATH")
    output: str = positional(help="folder of the variations")
    image_size: int | None = setting(
        None, minimum=8, help="side of the images (default: 224, and 64 for shapes)"
    )
    masks: str = setting(
        "given",
        choices=("given", "boxes", "model"),
        help="the data set's own, grabCut inside boxes, or those of a mask generator",
    )
    boxes: str | None = setting(
        None, help="name,left,top,right,bottom a line, in pixels (default: the boxes of the masks)"
    )
    model: str | None = setting(None, help="mask generator, .keras or .h5")
    fill: str = setting(
        "tile",
        choices=("tile", "inpaint"),
        help="the object's place in backgrounds: the largest strip beside it, or inpainting",
    )
    format: str = setting("jpeg", choices=("jpeg", "png"), help="of the images; png loses nothing")
    seed: int = setting(0, minimum=0, maximum=2**31 - 1, help="of whose background an image gets")


@dataclasses.dataclass(frozen=True, kw_only=True)
class MakeCorrelatedSettings(DataSettings):
    """A set like Waterbirds: objects on places that go with their classes."""

    dataset: str = positional(help="folder:PATH of objects, with tests or of class folders alone")
    backgrounds: str | None = setting(
        None, metavar="FOLDER", help="pictures of places, PLACE/*.jpg; needed"
    )
    output: str = setting("correlated", metavar="FOLDER", help="folder of the set")
    correlation: float = setting(
        0.95,
        minimum=0,
        maximum=1,
        help="share of the training objects on their class's own place; validation and test have "
        "all places equally often",
    )
    pairs: tuple[str, ...] = setting(
        (),
        metavar="CLASS=PLACE[,CLASS=PLACE...]",
        help="own places of classes (default: of P places, class k has place k mod P)",
    )
    masks: str = setting(
        "auto",
        metavar="SOURCE",
        help="where objects are: given[:FOLDER], heuristic, saliency[:NETWORK], boxes:FILE, "
        "model:FILE, command:PROGRAM; auto: given, else saliency",
    )
    image_size: int | None = setting(None, minimum=8, help="side of the pictures (default: 224)")
    object_size: float | None = setting(
        None,
        minimum=0.05,
        maximum=1,
        help="longer side of objects as a share of the pictures' side (default: as they are)",
    )
    shares: tuple[float, ...] = setting(
        (0.6, 0.2, 0.2),
        metavar="X,X,X",
        help="of train, validation and test; where there is a test folder, of the others alone, "
        "and of the places' pictures",
    )
    format: str = setting(
        "jpeg", choices=("jpeg", "png"), help="of the pictures; png loses nothing"
    )
    seed: int = setting(0, minimum=0, maximum=2**31 - 1, help="of which object stands where")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExportSettings(DataSettings):
    """A model in the formats of other runtimes."""

    model: str = positional(
        help="classifier, mask generator, localizer or segmenter, .keras or .h5"
    )
    dataset: str | None = setting(
        None,
        metavar="NAME",
        help="data set whose images the files are compared on (default: noise)",
    )
    output: str = setting("exported", help="folder of the files")
    formats: tuple[str, ...] = setting(
        (),
        metavar="NAME[,NAME...]",
        help="of keras,safetensors,saved_model,onnx,litert,litert_float16,litert_int8,h5 (default: "
        "those whose packages are there, but h5)",
    )
    images: int = setting(500, minimum=1, help="test images to compare on")
    card: bool = setting(True, help="write README.md beside them, a card as model hubs read it")


@dataclasses.dataclass(frozen=True, kw_only=True)
class CompareSettings:
    """Runs side by side."""

    runs: tuple[str, ...] = positional(help="folders of runs")
    output: str = setting("compare.html", help="page to write")
    overwrite: bool = setting(False, help="replace that page")


@dataclasses.dataclass(frozen=True, kw_only=True)
class DemoSettings:
    """The three phases on digits that come along."""

    run_dir: str = setting("runs/demo", help="folder of models, pictures and report.html")
    overwrite: bool = setting(False, help="begin again where that folder holds a run")
    seed: int = setting(0, help="of weights, order and random transforms")
    classifier_steps: int = setting(600, minimum=1, help="steps of phase 1")
    masks_steps: int = setting(300, minimum=1, help="steps of phase 2")
    adversarial_steps: int = setting(1000, minimum=1, help="steps of phase 3")


@dataclasses.dataclass(frozen=True, kw_only=True)
class DoctorSettings:
    """What a report of a fault needs to tell of a machine."""

    step: bool = setting(True, help="time one step of training, which takes some seconds")


@dataclasses.dataclass(frozen=True, kw_only=True)
class CompletionSettings:
    """Completion of command lines."""

    shell: str = positional(choices=("bash", "zsh", "tcsh"), help="what completes them")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ConvertSettings:
    """A checkpoint of PyTorch as a Keras model."""

    checkpoint: str = positional(help="what torch.save wrote, or an .npz of names and arrays")
    output: str = positional(help="model to write, .keras")
    kind: str = setting(
        "classifier",
        choices=("classifier", "acol", "localizer", "segmenter"),
        help="of model: logits alone, those with a map for each class, or AdaptSegNet's DeepLab",
    )
    network: str = setting("resnet50", choices=NETWORKS, help="its name in PyTorch")
    image_size: int = setting(224, minimum=8, help="side of the images that it is to take")
    part: str | None = setting(
        None,
        metavar="NAME",
        help="key of the state dict, where the file holds several, such as adversarial",
    )
    delta_list: tuple[float, ...] = setting(
        (0.9,), minimum=0, maximum=1, help="thresholds of an acol model, which are not in the file"
    )
    attention_type: str = setting("gcam", choices=("gcam", "cam"), help="maps of a localizer")
    aspp: str = setting(
        "reference", choices=ASPPS, help="dilations of a segmenter; released weights need two"
    )
    overwrite: bool = setting(False, help="replace the output")


@dataclasses.dataclass(frozen=True, kw_only=True)
class DatasetsSettings(DataSettings):
    """Every data set, or what one of them holds."""

    dataset: str | None = positional(default=None, help="name of a data set; none lists them all")
    output: str = setting(".", help="folder for a contact sheet of each split")


@dataclasses.dataclass(frozen=True, kw_only=True)
class FindMasksSettings(DataSettings):
    """Masks of photographs as files, and whether they can be trusted."""

    dataset: str = positional(help="folder:PATH of photographs, or waterbirds:PATH")
    source: str = setting(
        "auto",
        metavar="NAME",
        help="where masks come from: auto, given[:FOLDER], heuristic, saliency[:NETWORK], "
        "boxes:FILE, model:FILE, command:PROGRAM, cam",
    )
    output: str = setting(
        "masks",
        help="folder for SPLIT/masks/CLASS/NAME.png (masks/CLASS/NAME.png where there are no "
        "splits, masks/NAME.png for waterbirds:PATH) and masks.png; that of the photographs gives "
        "them their masks",
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


@dataclasses.dataclass(frozen=True, kw_only=True)
class AuditSettings:
    """Whether models look at the background."""

    models: tuple[str, ...] = positional(
        help="classifiers: .keras, .h5, .onnx, .tflite, or folders of SavedModels"
    )
    dataset: str = positional(help="folder of photographs, or the name of a data set")
    masks: str = setting(
        "auto",
        metavar="SOURCE",
        help="where objects are: given, saliency[:NAME or PATH], boxes:PATH, heuristic, "
        "model:PATH, command:PROGRAM; auto: given, else saliency",
    )
    split: str | None = setting(
        None, metavar="NAME", help="which part of the data (default: the first test)"
    )
    labels: str | None = setting(
        None, metavar="FILE", help="names of the models' outputs in order, one a line"
    )
    class_map: str | None = setting(
        None,
        metavar="FILE",
        help="outputs of each class of the pictures, .json, or .csv with lines of output,class",
    )
    pixels: tuple[float, ...] = setting(
        (), metavar="LOW,HIGH", help="range of the pixels that the models take (default: found out)"
    )
    draws: int | None = setting(
        None, minimum=1, help="backgrounds of each kind that a picture gets (default: 3)"
    )
    limit: int | None = setting(
        None, minimum=1, help="pictures at most, of each class its share (default: 2000)"
    )
    quick: bool = setting(False, help="100 pictures and one background of each kind, in a minute")
    output: str | None = setting(None, metavar="FILE", help="page to write, .html")
    json: str | None = setting(None, metavar="FILE", help="file for the figures, .json")
    fail_if: str | None = setting(
        None,
        metavar="CONDITION[,CONDITION...]",
        help="exit with 3 where one holds for the whole interval, such as gap>0.03",
    )
    seed: int = setting(0, minimum=0, maximum=2**31 - 1, help="of whose backgrounds are taken")
    groups: str | None = setting(
        None,
        metavar="FILE[:COLUMN]",
        help="places of a folder's pictures, a .csv of file names and places: accuracy by group, "
        "a class and a place, is told too",
    )
    data_dir: str | None = setting(None, help="folder with the data set's files")
    overwrite: bool = setting(False, help="replace what --output and --json name")
