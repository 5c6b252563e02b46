"""What a machine with a GPU must show: precisions, XLA, memory, bits; one JSON object.

`benchmarks/gpu.sh` runs it. Without a GPU, only `--smoke` runs, on few small images, to show that
it gets to its end.
"""

import argparse
import itertools
import json
import os
import pathlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")

import keras
import numpy as np
import tensorflow as tf
from measuring import alternate, paired_ratio, summary
from photo_speed import Contenders

PRECISIONS = ("float32", "bfloat16", "float16")
PHASES = ("phase 1", "phase 3")
PLAIN = ("bare", "fit", "fit, cached", "predict", "evaluate")
DEVICE = "GPU:0"


def main() -> None:
    """Measure, and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shared", type=pathlib.Path, required=True, help="it holds seven/")
    parser.add_argument("--output", type=pathlib.Path, help="file for the JSON object too")
    parser.add_argument("--smoke", action="store_true", help="few small images, on any machine")
    options = parser.parse_args()
    gpus = tf.config.list_physical_devices("GPU")
    if not gpus and not options.smoke:
        parser.error("TensorFlow finds no GPU (pip install 'tensorflow[and-cuda]'); --smoke")
    network, side = ("small", 32) if options.smoke else ("resnet50", 224)
    options.batchsize, options.images = (4, 8) if options.smoke else (64, 512)
    options.rounds, options.contenders = (1 if options.smoke else 5), PLAIN
    options.device, options.pixel_cache = (DEVICE if gpus else None), 4.0
    found = {
        "device": tf.config.experimental.get_device_details(gpus[0]) if gpus else "CPU, a smoke",
        "tensorflow": tf.__version__,
        "network": network,
        "side": side,
        "batchsize": options.batchsize,
        **speeds(network, side, options),
        **bits(network, side, options),
    }
    text = json.dumps(found, default=str)
    if options.output:
        options.output.write_text(text + "\n")
    print(text)


def speeds(network: str, side: int, options: argparse.Namespace) -> dict:
    """Images a second of each precision, with XLA and without, and peak memory of the GPU."""
    plain = Contenders(network, side, options)
    seconds = alternate(plain.calls, options.rounds)
    options.contenders = PHASES
    memory, steps = {}, {}
    for precision, xla in itertools.product(PRECISIONS, (False, True)):
        if options.device:
            tf.config.experimental.reset_memory_stats(options.device)
        own = Contenders(network, side, options, precision, xla)
        for phase, values in alternate(own.calls, options.rounds).items():
            steps[f"{phase}, {precision}{', XLA' if xla else ''}"] = values
        if options.device:
            peak = tf.config.experimental.get_memory_info(options.device)["peak"]
            memory[f"{precision}{', XLA' if xla else ''}"] = peak
    best = min(steps, key=lambda name: np.median(steps[name]) + 1e9 * ("phase 1" not in name))
    rates = {
        name: summary([plain.images / own for own in values])
        for name, values in (seconds | steps).items()
    }
    return {
        "images_per_second": rates,
        "peak_bytes_of_gpu": memory,
        "best_phase1": best,
        "best_phase1_to_fit": paired_ratio(seconds["fit, cached"], steps[best]),
        "evaluate_to_predict": paired_ratio(seconds["predict"], seconds["evaluate"]),
    }


def bits(network: str, side: int, options: argparse.Namespace) -> dict:
    """Losses of a training beside those of its repeat, and of a CPU."""
    options.contenders = PHASES[:1]

    def losses(device: str | None) -> np.ndarray:
        keras.utils.set_random_seed(0)
        with tf.device(device):
            return np.array(Contenders(network, side, options, "float32").calls[PHASES[0]]())

    first, again, slow = losses(options.device), losses(options.device), losses("CPU:0")
    return {
        "losses": first.tolist(),
        "repeat_has_the_same_bits": bool((first == again).all()),
        "largest_difference_to_cpu": float(np.abs(first / slow - 1).max()),
    }


if __name__ == "__main__":
    main()
