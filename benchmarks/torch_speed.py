"""Seconds of a training step of ACoL and EADER, ours beside the same step in PyTorch.

Each side has a process of its own that waits while the other one steps; both see the same random
images. `pip install torch` first.
"""

import argparse
import functools
import json
import os
import subprocess
import sys

import numpy as np
from measuring import alternate, paired_ratio, summary

SIDES = {"acol": 197, "erasing": 224}
OURS, OTHERS = "ours", ("torch", "torch, channels last")
NUM_CLASSES, WARM_UP = 4, 2


def main() -> None:
    """Measure in turns, and print medians, ranges and ratios as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--methods", nargs="+", choices=SIDES, default=list(SIDES))
    parser.add_argument("--batchsize", type=int, default=16)
    parser.add_argument("--turns", type=int, default=8)
    parser.add_argument("--worker", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        serve(*options.worker, options.batchsize)
        return
    print(json.dumps({method: compare(method, options) for method in options.methods}, indent=2))


def compare(method: str, options: argparse.Namespace) -> dict:
    """Seconds a step of each side, and how many times as long PyTorch takes."""
    workers = {
        side: subprocess.Popen(
            [sys.executable, __file__, "--batchsize", str(options.batchsize)]
            + ["--worker", method, side],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for side in (OURS, *OTHERS)
    }
    turns = {side: functools.partial(ask, worker) for side, worker in workers.items()}
    seconds = alternate(turns, options.turns, WARM_UP)
    for worker in workers.values():
        worker.communicate()
    return {
        "batchsize": options.batchsize,
        "seconds": {side: summary(values) for side, values in seconds.items()},
        "over_ours": {side: paired_ratio(seconds[side], seconds[OURS]) for side in OTHERS},
    }


def ask(worker: subprocess.Popen) -> None:
    """Have a worker take a step."""
    worker.stdin.write("step\n")
    worker.stdin.flush()
    if not worker.stdout.readline():
        raise SystemExit("a side has ended")


def serve(method: str, side: str, batchsize: int) -> None:
    """Take one step for each line of stdin, and say so."""
    in_our_layout = functools.partial(torch_step, channels_last=True)
    makers = {OURS: our_step, "torch": torch_step, "torch, channels last": in_our_layout}
    step = makers[side](method, batchsize)
    for _ in sys.stdin:
        print(step(), flush=True)


def records(method: str, batchsize: int) -> tuple[np.ndarray, np.ndarray]:
    """Images float32 [B, H, W, 3] in [0, 1], and labels."""
    rng = np.random.default_rng(0)
    images = rng.random((batchsize, SIDES[method], SIDES[method], 3), np.float32)
    return images, rng.integers(NUM_CLASSES, size=batchsize)


def our_step(method: str, batchsize: int):
    """A compiled step of this package."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import tensorflow as tf

    from bginv.engine.settings import resolve
    from bginv.methods.acol.model import build_classifiers
    from bginv.methods.acol.settings import AcolSettings
    from bginv.methods.acol.training import AcolTraining
    from bginv.methods.erasing.model import build_network
    from bginv.methods.erasing.settings import ErasingSettings
    from bginv.methods.erasing.training import ErasingTraining
    from bginv.nn.features import build_features

    images, labels = records(method, batchsize)
    shape, given = images.shape[1:], {"dataset": "", "batchsize": batchsize}
    if method == "acol":
        features = build_features("resnet50", shape)
        classifiers = build_classifiers(features.output_shape[1:], NUM_CLASSES, "pp")
        training = AcolTraining(features, classifiers, resolve(AcolSettings, given, "paper"))
    else:
        networks = [build_network("resnet18", shape, NUM_CLASSES) for _ in range(2)]
        training = ErasingTraining(*networks, resolve(ErasingSettings, given, "paper"))
    batch = {"image": tf.constant(images), "label": tf.constant(labels, tf.int32)}
    compiled = tf.function(training.train_step, autograph=False)
    return lambda: float(compiled(batch, tf.constant([0, 0]))["loss"])


def torch_step(method: str, batchsize: int, channels_last: bool = False):
    """The same step in PyTorch, in its usual layout or in ours."""
    import torch
    from torch_steps import STEPS

    torch.manual_seed(0)
    images, labels = records(method, batchsize)
    step = STEPS[method](NUM_CLASSES)
    images = torch.from_numpy(images.transpose(0, 3, 1, 2).copy())
    if channels_last:
        images = images.to(memory_format=torch.channels_last)
        step.to_channels_last()
    labels = torch.from_numpy(labels)
    return lambda: step(images, labels)


if __name__ == "__main__":
    main()
