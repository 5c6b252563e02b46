"""Speed and IoU of the ways to compute a saliency network, on photographs with true masks.

The same file by ONNX Runtime (as it stands, and with its input's numbers opened) and by TensorFlow,
as `bginv.masks.saliency` does it. Processor time is beside the time on the clock, since that holds
where other programs run at the same time.
"""

import argparse
import concurrent.futures
import os
import pathlib
import time
from collections.abc import Callable

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import cv2
import numpy as np
import onnx
import onnxruntime
import tensorflow as tf
from horse_masks import read
from measuring import head, line

from bginv.masks.saliency import IMAGENET
from bginv.masks.trust import iou
from bginv.nn.onnx_graph import OnnxGraph

Run = Callable[[np.ndarray], np.ndarray]
WAYS = (
    # runtime, precision, rows, images at once
    ("ONNX Runtime, as it stands", "float32", 320, 1),
    ("ONNX Runtime", "float32", 320, 8),
    ("ONNX Runtime, two of one thread", "float32", 320, 1),
    ("ONNX Runtime", "float32", 256, 1),
    ("TensorFlow", "float32", 320, 1),
    ("TensorFlow", "float32", 320, 8),
    ("TensorFlow", "float32", 256, 16),
    ("TensorFlow", "bfloat16", 320, 1),
    ("TensorFlow", "bfloat16", 320, 16),
    ("TensorFlow", "bfloat16", 256, 1),
    ("TensorFlow", "bfloat16", 256, 4),
    ("TensorFlow", "bfloat16", 256, 8),
    ("TensorFlow", "bfloat16", 256, 16),
    ("TensorFlow", "bfloat16", 224, 16),
)


def main() -> None:
    """Measure each way, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=pathlib.Path, required=True, help="images/ and masks/")
    parser.add_argument("--network", type=pathlib.Path, required=True, help="u2netp.onnx")
    parser.add_argument("--limit", type=int, default=200, help="of photographs")
    options = parser.parse_args()
    pictures, masks = read(options.data)
    images = [picture.pixels for picture in pictures[: options.limit]]
    columns = ("rows", "at once", "images/s", "processor ms an image", "IoU %")
    print(head("", "precision", *columns, left=2))
    for kind, precision, side, batch in WAYS:
        run = maker(kind)(options.network, precision)
        workers = 2 if "two" in kind else 1
        rate, work, maps = measure(run, [prepared(image, side) for image in images], batch, workers)
        iou = 100 * np.mean(list(map(iou_of, maps, masks)))
        cells = (kind, precision, side, batch, f"{rate:.2f}", f"{1e3 * work:.0f}", f"{iou:.2f}")
        print(line(*cells), flush=True)


def measure(
    run: Run, images: list[np.ndarray], batch: int, workers: int
) -> tuple[float, float, list[np.ndarray]]:
    """Images a second, seconds of processor time an image, and the maps."""
    batches = [np.stack(images[i : i + batch]) for i in range(0, len(images), batch)]
    for size in {len(batches[0]), len(batches[-1])}:
        run(batches[0][:size])
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        clock, work = time.perf_counter(), time.process_time()
        found = list(pool.map(run, batches))
        clock, work = time.perf_counter() - clock, time.process_time() - work
    return len(images) / clock, work / len(images), [own for part in found for own in part]


def maker(kind: str) -> Callable[[pathlib.Path, str], Run]:
    """What makes a function from images [B, H, W, 3] to maps [B, H, W]."""
    if kind == "TensorFlow":
        return by_tensorflow
    threads = 1 if "two" in kind else os.cpu_count()
    return lambda path, _: by_runtime(path, threads, opened="stands" not in kind)


def by_tensorflow(path: pathlib.Path, precision: str) -> Run:
    """As the package does it."""
    network = OnnxGraph(path, precision)
    call = tf.function(lambda images: network(images)[0], autograph=False)
    return lambda images: call(tf.constant(images)).numpy()[..., 0]


def by_runtime(path: pathlib.Path, threads: int, opened: bool) -> Run:
    """ONNX Runtime; opened, for any number and size of images."""
    model = onnx.load(str(path))
    if opened:
        for axis in (0, 2, 3):
            model.graph.input[0].type.tensor_type.shape.dim[axis].dim_param = f"axis{axis}"
        model.graph.output[0].type.tensor_type.ClearField("shape")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = threads, 3
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    name, first = session.get_inputs()[0].name, session.get_outputs()[0].name
    return lambda images: session.run([first], {name: images.transpose(0, 3, 1, 2)})[0][:, 0]


def prepared(image: np.ndarray, side: int) -> np.ndarray:
    """Float32 [side, side, 3] as U2-Net takes it."""
    image = cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA).astype(np.float32)
    return ((image / image.max() - IMAGENET[0]) / IMAGENET[1]).astype(np.float32)


def iou_of(found: np.ndarray, mask: np.ndarray) -> float:
    """Intersection over union of a map, over half its own range, with a true mask bool [h, w]."""
    soft = (found - found.min()) / (found.max() - found.min())
    return iou(cv2.resize(soft, mask.shape[::-1]) >= 0.5, mask)


if __name__ == "__main__":
    main()
