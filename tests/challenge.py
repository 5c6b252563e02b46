"""The Backgrounds Challenge of the golden numbers: its images as released, and its classifiers."""

import pathlib

import cv2
import keras
import numpy as np

from tests.golden_weights import draw

STATISTICS = {
    "in9": ((0.4717, 0.4499, 0.3837), (0.2600, 0.2516, 0.2575)),
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
}


def variations(arrays: dict[str, np.ndarray], per_class: int) -> dict[str, np.ndarray]:
    """Every variation, uint8 [N, H, W, 3], by the recipe."""
    objects, backgrounds, masks = arrays["fg"], arrays["bg"], arrays["mask"][..., None] > 0
    number = np.arange(len(objects))
    kind, place = divmod(number, per_class)
    same = kind * per_class + (place + 1) % per_class
    following = (kind + 1) % (len(objects) // per_class) * per_class + place
    boxed = backgrounds.copy()
    for image, mask in zip(boxed, masks[..., 0], strict=True):
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] = 0
    return {
        "original": np.where(masks, objects, backgrounds),
        "mixed_same": np.where(masks, objects, backgrounds[same]),
        "mixed_rand": np.where(masks, objects, backgrounds[arrays["mixed_rand_bg"]]),
        "mixed_next": np.where(masks, objects, backgrounds[following]),
        "only_fg": np.where(masks, objects, 0).astype(np.uint8),
        "no_fg": np.where(masks, 0, backgrounds).astype(np.uint8),
        "only_bg_b": boxed,
        "only_bg_t": backgrounds,
    }


def write_release(
    root: pathlib.Path, arrays: dict[str, np.ndarray], classes: list[str], per_class: int
) -> None:
    """The release's layout; PNG data under its names, so that pixels are exact."""
    for name, images in variations(arrays, per_class).items():
        for number, image in enumerate(images):
            kind, place = divmod(number, per_class)
            folder = root / name / "val" / classes[kind]
            folder.mkdir(parents=True, exist_ok=True)
            data = cv2.imencode(".png", image[..., ::-1])[1].tobytes()
            (folder / f"img_{place}.JPEG").write_bytes(data)
    for number, mask in enumerate(arrays["mask"]):
        kind, place = divmod(number, per_class)
        folder = root / "fg_mask/val" / classes[kind]
        folder.mkdir(parents=True, exist_ok=True)
        np.save(folder / f"img_{place}.npy", mask.astype(bool))


def tiny_classifier(arrays: dict[str, np.ndarray], name: str) -> keras.Model:
    """The classifier of the golden numbers, for "in9" or "imagenet"."""
    mean, deviation = map(np.array, STATISTICS[name])
    bias = arrays[f"{name}__fc_bias"]
    image = keras.Input((64, 64, 3))
    x = keras.layers.ReLU(1.0)(image)
    x = keras.layers.Rescaling((1 / deviation).tolist(), (-mean / deviation).tolist())(x)
    convolutions = [keras.layers.Conv2D(filters, 3, 2, activation="relu") for filters in (12, 24)]
    for convolution in convolutions:
        x = convolution(keras.layers.ZeroPadding2D(1)(x))
    dense = keras.layers.Dense(len(bias))
    model = keras.Model(image, dense(keras.layers.GlobalAveragePooling2D()(x)))
    for number, (convolution, channels) in enumerate(zip(convolutions, (3, 12), strict=True), 1):
        shape = (convolution.filters, channels, 3, 3)
        kernel = draw(f"tiny.conv{number}.weight", shape).transpose(2, 3, 1, 0)
        convolution.set_weights([kernel, draw(f"tiny.conv{number}.bias", shape[:1])])
    dense.set_weights([arrays[f"{name}__fc_weight"].T, bias])
    return model
