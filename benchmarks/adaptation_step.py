"""A full-size step of output-space adaptation: seconds and peak memory, ours beside PyTorch's.

DeepLab-v2 on ResNet-101, two outputs; a source image of 1280x720 and a target image of 1024x512.
Either side has a process of its own, one after the other, as both together may not fit into
memory. `pip install torch` for the other side.
"""

import argparse
import json
import os
import sys

import numpy as np
from measuring import alternate, run, summary

SOURCE, TARGET = (720, 1280), (512, 1024)
NUM_CLASSES = 19
SIDES = ("ours", "torch", "torch, channels last")


def main() -> None:
    """Measure each side in turn, and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sides", nargs="+", choices=SIDES, default=list(SIDES))
    parser.add_argument("--steps", type=int, default=3, help="timed, after one that is not")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        print(json.dumps(measure(options.worker, options.steps)))
        return
    results = {}
    for side in options.sides:
        command = [sys.executable, __file__, "--worker", side, "--steps", str(options.steps)]
        ended = run(command)
        seconds = json.loads(ended.text.splitlines()[-1])
        results[side] = {"seconds": seconds, "peak_gib": ended.peak_kib / 2**20}
    print(json.dumps(results, indent=2))


def measure(side: str, steps: int) -> dict:
    """Median and range of the seconds of a step."""
    rng = np.random.default_rng(0)
    source, target = (rng.random((1, *size, 3), np.float32) for size in (SOURCE, TARGET))
    labels = rng.integers(NUM_CLASSES, size=(1, *SOURCE), dtype=np.int32)
    step = our_step() if side == "ours" else torch_step(side)
    return summary(alternate({side: lambda: step(source, labels, target)}, steps)[side])


def our_step():
    """A compiled step of this package."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import tensorflow as tf

    from bginv.engine.settings import resolve
    from bginv.methods.adaptation.settings import AdaptationSettings
    from bginv.methods.adaptation.training import AdaptationTraining
    from bginv.nn.deeplab import build_deeplab

    settings = resolve(AdaptationSettings, {}, "paper")
    method = AdaptationTraining(build_deeplab("DeepLab", NUM_CLASSES), settings, 1)
    compiled = tf.function(method.train_step, autograph=False)

    def step(source: np.ndarray, labels: np.ndarray, target: np.ndarray) -> float:
        records = {"image": source, "label_map": labels, "target": target}
        batch = {name: tf.constant(value) for name, value in records.items()}
        return float(compiled(batch, tf.constant([0, 0]))["loss"])

    return step


def torch_step(side: str):
    """The same step in PyTorch, in its usual layout or in ours."""
    import torch
    from torch_steps import AdaptationStep

    torch.manual_seed(0)
    own = AdaptationStep(NUM_CLASSES)
    if side != "torch":
        own.to_channels_last()

    def step(source: np.ndarray, labels: np.ndarray, target: np.ndarray) -> float:
        images = [torch.from_numpy(array).permute(0, 3, 1, 2) for array in (source, target)]
        if side == "torch":
            images = [own.contiguous() for own in images]
        return own(images[0], torch.from_numpy(labels).long(), images[1])

    return step


if __name__ == "__main__":
    main()
