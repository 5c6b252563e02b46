"""Data sets that TensorFlow Datasets prepares."""

import pathlib

import numpy as np

from bginv.data.sources import ArraySource, Dataset


def load_mnist(name: str, data_dir: str | None) -> Dataset:
    """MNIST (LeCun et al. 1998), padded from 28x28 to 32x32 with black.

    Args:
        name: the name of the data set to return.
        data_dir: TFDS's data directory; None means TFDS's default. What is missing there is
            downloaded by TFDS.

    Raises:
        FileNotFoundError: not there, and it could not be downloaded.
    """
    arrays, class_names = _load_arrays("mnist", data_dir)
    padding = ((0, 0), (2, 2), (2, 2), (0, 0))
    train, test = (
        ArraySource(np.pad(arrays[split]["image"], padding), arrays[split]["label"])
        for split in ("train", "test")
    )
    return Dataset(
        name=name,
        train=train,
        tests={"clean": test},
        class_names=class_names,
        image_shape=train.images.shape[1:],
    )


def _load_arrays(
    builder_name: str, data_dir: str | None
) -> tuple[dict[str, dict[str, np.ndarray]], tuple[str, ...]]:
    """Every split of a builder as whole arrays, in the order in which it was prepared."""
    if data_dir is not None and not pathlib.Path(data_dir).is_dir():
        raise FileNotFoundError(f"--data-dir {data_dir} is not a folder")
    import tensorflow_datasets as tfds  # slow to import, and most runs do without

    try:
        builder = tfds.builder(builder_name, data_dir=data_dir)
        builder.download_and_prepare()
        arrays = {
            split: tfds.as_numpy(builder.as_dataset(split=split, batch_size=-1))
            for split in builder.info.splits
        }
    except Exception as error:  # TFDS lets its many back ends' own errors through
        raise FileNotFoundError(
            f"{builder_name} cannot be read from {data_dir or 'the default folder of TFDS'}, nor "
            f"downloaded ({type(error).__name__}: {str(error).strip().splitlines()[0]}): "
            f"give --data-dir a TFDS data directory that holds {builder_name}"
        ) from error
    return arrays, tuple(builder.info.features["label"].names)
