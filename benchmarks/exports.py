"""Every kind of model, trained briefly, exported in every format and compared on test images."""

import argparse
import os
import pathlib
import sys

from measuring import ROOT, bginv, run

SHORT = "--weights none --image-size 64 --batch-size 32"
TRAININGS = {
    "classifier.keras": "train1.py mnist --recipe tuned --steps 1500",
    "mask_generator.keras": "train2.py mnist classifier.keras otsu --recipe tuned --steps 150",
    "attention.keras": "train_att.py mnist --recipe tuned --steps 600 --fusion-steps 200",
    "acol.keras": f"train_acol.py shapes --model resnet18 --cls-recipe pp {SHORT} --steps 150",
    "eader.keras": (
        "train_erasing.py shapes --localizer-model resnet18 --adversarial-model resnet18 "
        "--localizer-weights none --adversarial-weights none --image-size 64 --batchsize 32 "
        "--steps 100"
    ),
    "deeplab.keras": (
        "train_adapt.py shapes --target shapes_dusk --recipe tuned --adaptation none "
        "--input-size 64,64 --input-size-target 64,64 --steps 300 --run-dir deeplab"
    ),
}
FORMATS = "keras,saved_model,onnx,litert,litert_float16,litert_int8"


def main() -> None:
    """Train, export, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", type=os.path.abspath, help="TFDS's data directory")
    parser.add_argument("--folder", type=pathlib.Path, default="exports")
    parser.add_argument("--only", nargs="+", choices=TRAININGS, default=list(TRAININGS))
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    for model in options.only:
        script, *words = TRAININGS[model].split()
        place = ["--data-dir", options.data_dir] if options.data_dir and "mnist" in words else []
        dataset = words[0]
        if not (options.folder / model).exists():
            command = [sys.executable, str(ROOT / script), *words, "--output", model, *place]
            run(command, options.folder, check=False)
        size = [] if dataset == "mnist" else ["--image-size", "64"]
        words = [model, "--dataset", dataset, "--formats", FORMATS, "--overwrite", *place, *size]
        exported = run(bginv("export", *words), options.folder, check=False)
        print(f"{model}, {dataset}\n\n{exported.text}")


if __name__ == "__main__":
    main()
