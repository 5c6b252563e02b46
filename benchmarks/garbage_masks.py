"""What a run on photographs does with masks that show no objects: it says so, and harms nothing.

For each kind of garbage, a folder with links to the photographs holds such masks; `bginv run`
takes them as given. Printed: its first sentence, and whether the classifier is that of phase 1.
"""

import argparse
import json
import pathlib

import cv2
import numpy as np
from measuring import bginv, run

KINDS = ("blobs", "all foreground", "all background", "inverted", "other pictures'")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--runs", type=pathlib.Path, required=True)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--options", nargs="*", default=["--freeze"], help="of bginv run")
    arguments = parser.parse_args()
    true = arguments.runs / "true"
    if not true.is_dir():
        run(bginv("masks", f"folder:{arguments.folder}", "--output", true))
    for kind in arguments.kinds:
        folder, run_dir = (arguments.runs / f"{kind} {part}" for part in ("photographs", "run"))
        prepare(kind, arguments.folder, true, folder)
        run(bginv("run", f"folder:{folder}", "--run-dir", run_dir, *arguments.options))
        results = json.loads((run_dir / "results.json").read_text())
        print(f"{kind}: {results['headline'][0]} {' '.join(results['masks']['sentences'])}")
        print(f"  same weights as phase 1: {same(run_dir)}", flush=True)


def prepare(kind: str, source: pathlib.Path, true: pathlib.Path, folder: pathlib.Path) -> None:
    """The photographs, linked, with masks of a kind for those to train on."""
    if folder.is_dir():
        return
    for split in source.iterdir():
        if split.is_dir() and split.name != "train":
            folder.mkdir(parents=True, exist_ok=True)
            (folder / split.name).symlink_to(split.resolve())
    files = sorted((true / "train" / "masks").glob("*/*.png"))
    order = np.random.default_rng(0).permutation(len(files))
    for place, file in zip(order, files, strict=True):
        mask = cv2.imread(str(file), cv2.IMREAD_GRAYSCALE)
        path = folder / "train" / "masks" / file.parent.name / file.name
        path.parent.mkdir(parents=True, exist_ok=True)
        other = files[(place + 1) % len(files)]
        cv2.imwrite(str(path), _garbage(kind, mask, other, int(place)))
    for group in sorted((source / "train").iterdir()):
        if group.name != "masks":
            (folder / "train" / group.name).symlink_to(group.resolve())


def _garbage(kind: str, mask: np.ndarray, other: pathlib.Path, seed: int) -> np.ndarray:
    height, width = mask.shape
    if kind == "blobs":
        small = np.random.default_rng(seed).random((5, 5)).astype(np.float32)
        smooth = cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)
        return (smooth > 0.6).astype(np.uint8) * 255
    if kind == "other pictures'":
        return cv2.resize(cv2.imread(str(other), cv2.IMREAD_GRAYSCALE), (width, height))
    plain = {"all foreground": np.full_like(mask, 255), "all background": np.zeros_like(mask)}
    return plain.get(kind, 255 - mask)


def same(run_dir: pathlib.Path) -> bool:
    """Whether both classifiers of a run have the same weights."""
    import keras

    pair = [
        keras.models.load_model(run_dir / f"{name}.keras").get_weights()
        for name in ("classifier", "robust_classifier")
    ]
    return all(np.array_equal(one, other) for one, other in zip(*pair, strict=True))


if __name__ == "__main__":
    main()
