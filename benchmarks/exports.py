"""Every kind of model, trained briefly, exported in every format and compared on 500 test images.

python benchmarks/exports.py --data-dir TFDS_FOLDER --folder exports
"""

import argparse
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
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
            run(options.folder, [str(ROOT / script), *words, "--output", model, *place])
        size = [] if dataset == "mnist" else ["--image-size", "64"]
        words = [model, "--dataset", dataset, "--formats", FORMATS, "--overwrite", *place, *size]
        print(f"{model}, {dataset}\n\n{run(options.folder, ['-m', 'bginv', 'export', *words])}")


def run(folder: pathlib.Path, words: list[str]) -> str:
    """Standard output of a Python command."""
    command = [sys.executable, *words]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    ended = subprocess.run(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True, check=False
    )
    if ended.returncode:
        print(f"failed: {' '.join(words)}", file=sys.stderr)
    return ended.stdout


if __name__ == "__main__":
    main()
