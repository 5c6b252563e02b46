"""Data sets that TensorFlow Datasets (TFDS) prepares."""

import pathlib
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from bginv.data.entries import Entry, Place
from bginv.data.files import stretch
from bginv.data.sources import ArraySource, Dataset, split_off_test
from bginv.errors import UserError, first_line
from bginv.prefetch import mapped

READ_AT_ONCE = 512
MASK_KEY = "segmentation_mask"
MASKS = {"oxford_iiit_pet": (0, 255, 0, 128), "caltech_birds2011": tuple(range(256))}
"""Sets with masks of their own, and what a mask holds where theirs holds 0, 1, ...: a trimap 1 in
the object, 2 in the background, 3 at its border; birds the share of annotators, of 255."""


def load_tfds(
    name: str,
    builder_name: str,
    data_dir: str | None,
    side: int,
    tests: Sequence[str] | None = None,
    padded: bool = False,
    class_names: tuple[str, ...] | None = None,
) -> Dataset:
    """Any classification set of TFDS, resized to squares and held in memory as uint8.

    Those of `MASKS` have masks.

    Args:
        name: the name of the data set to return.
        builder_name: TFDS's name, with a configuration or version behind it if need be.
        data_dir: TFDS's data directory; None means TFDS's default. What is missing there is
            downloaded by TFDS.
        side: height and width of the images.
        tests: splits that become tests, the first one "clean"; None means every split other than
            "train". A set with one split gives a quarter of it. Records without a label are left
            out.
        padded: add black at the edges instead of resizing.
        class_names: None means TFDS's own, which are numbers for some sets.

    Raises:
        FileNotFoundError: not there, and it could not be downloaded.
        UserError: no set of labelled images.
    """
    builder = _prepared(builder_name, data_dir)
    image_key, label_key = _keys(builder)
    wanted = list(builder.info.splits) if tests is None else ["train", *tests]
    sources = {}
    for split in wanted:
        read = _read(builder, split, image_key, label_key, side, padded)
        labelled = read["label"] >= 0
        if labelled.any():
            images, labels, masks = map(read.get, ("image", "label", "mask"))
            own = masks[labelled] if masks is not None else None
            sources[split] = ArraySource(images[labelled], labels[labelled], own)
    if not sources:
        raise UserError(f"no split of {builder_name} has labels; name another data set")
    train = sources.pop("train" if "train" in sources else next(iter(sources)))
    if not sources:
        train, sources["clean"] = split_off_test(train)
    elif tests is not None:
        sources = {"clean": sources.pop(tests[0]), **sources}
    names = class_names or tuple(builder.info.features[label_key].names)
    return Dataset(name, train, sources, names, train.images.shape[1:])


def _prepared(builder_name: str, data_dir: str | None):
    if data_dir is not None:
        data_dir = str(pathlib.Path(data_dir).expanduser())
        if not pathlib.Path(data_dir).is_dir():
            raise FileNotFoundError(f"--data-dir {data_dir} is not a folder")
    import tensorflow_datasets as tfds  # slow to import, and many runs do without

    try:
        builder = tfds.builder(builder_name, data_dir=data_dir)
        builder.download_and_prepare()
    except Exception as error:  # TFDS lets its many back ends' own errors through
        raise FileNotFoundError(
            f"{builder_name} cannot be read from {data_dir or 'the default folder of TFDS'}, nor "
            f"downloaded ({type(error).__name__}: {first_line(error)}): "
            f"give --data-dir (in Python: data_dir) a TFDS data directory that holds {builder_name}"
        ) from error
    return builder


def _keys(builder) -> tuple[str, str]:
    """Names of the image and of the label in a builder's records."""
    import tensorflow_datasets as tfds

    features = builder.info.features
    keys = builder.info.supervised_keys or ("image", "label")
    if (
        len(keys) == 2
        and all(isinstance(key, str) and key in features for key in keys)
        and isinstance(features[keys[0]], tfds.features.Image)
        and isinstance(features[keys[1]], tfds.features.ClassLabel)
    ):
        return keys
    raise UserError(
        f"{builder.info.name} is no set of images with one label each (its records hold "
        f"{', '.join(features)}); name another data set"
    )


def _read(
    builder, split: str, image_key: str, label_key: str, side: int, padded: bool
) -> dict[str, np.ndarray]:
    """Records in the order of the preparation.

    They hold `image` uint8 [N, side, side, 1 or 3], `label` int [N] and, of a set of `MASKS`,
    `mask` uint8 [N, side, side, 1].
    """
    if builder.info.features[image_key].dtype != tf.uint8:
        raise UserError(
            f"the images of {builder.info.name} are {builder.info.features[image_key].dtype}; only "
            "sets with 8 bits a channel can be read"
        )
    channels = 1 if builder.info.features[image_key].shape[-1] == 1 else 3
    values = MASKS.get(builder.info.name)

    def square(record: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        image = tf.cast(record[image_key], tf.uint8)[..., :channels]
        image.set_shape([*image.shape[:-3], None, None, channels])
        if padded:
            image = tf.image.resize_with_crop_or_pad(image, side, side)
        found = {"image": stretch(image, (side, side)), "label": record[label_key]}
        if values:
            held = record[MASK_KEY]
            held.set_shape([*held.shape[:-3], None, None, 1])
            mask = tf.gather(tf.constant(values, tf.uint8), tf.cast(held, tf.int32))
            found["mask"] = stretch(mask, (side, side))
        return found

    records = builder.as_dataset(split=split, shuffle_files=False)
    if None in builder.info.features[image_key].shape:
        batches = mapped(records, square).batch(READ_AT_ONCE)
    else:  # of one size
        batches = mapped(records.batch(READ_AT_ONCE), square)
    read = list(batches.as_numpy_iterator())
    if not read:
        empty = np.zeros((0, side, side, channels), np.uint8)
        return {"image": empty, "label": np.zeros(0, np.int64)}
    return {key: np.concatenate([batch[key] for batch in read]) for key in read[0]}


def _entry(builder: str, about: str, side: int, **more) -> Entry:
    how = {key: more.pop(key) for key in ("padded", "class_names") if key in more}
    tests = more.pop("tests", ("test",))

    def load(place: Place) -> Dataset:
        return load_tfds(place.name, builder, place.data_dir, place.side, tests, **how)

    return Entry(load=load, about=about, side=side, builders=(builder,), **more)


CIFAR10_CLASSES = (
    *("airplane", "car", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
)
STL10_CLASSES = (
    *("airplane", "bird", "car", "cat", "deer", "dog", "horse", "monkey", "ship", "truck"),
)
MNIST = _entry("mnist", "handwritten digits", 32, channels=1, padded=True)
FASHION_MNIST = _entry("fashion_mnist", "clothes", 32, channels=1, padded=True)
CIFAR10 = _entry("cifar10", "animals and vehicles", 64, class_names=CIFAR10_CLASSES)
STL10 = _entry("stl10", "animals and vehicles", 64, class_names=STL10_CLASSES)
SVHN = _entry("svhn_cropped", "house numbers", 32)
CATS_VS_DOGS = _entry("cats_vs_dogs", "cats and dogs", 64, tests=())
