import keras
import numpy as np
import pytest

from bginv.data.sources import ArraySource
from bginv.evaluation.attention import CropStatistics, crop_statistics
from bginv.methods.attention.model import HeatMapCrop


@pytest.fixture
def bright_part() -> keras.Model:
    """The crop is the bright part of the image itself."""
    inputs = keras.Input((8, 8, 1))
    return keras.Model(inputs, HeatMapCrop("strongest", 0.7)([inputs, inputs]))


@pytest.mark.parametrize("with_masks", [False, True])
def test_mean_sizes_over_batches_and_flat_maps(bright_part, with_masks):
    images = np.zeros((300, 8, 8, 1), np.uint8)
    images[:150, 1:5, 3:5] = 200  # 4 of 8 rows, 2 of 8 columns
    images[150:270, 7, :6] = 90  # 1 of 8 rows, 6 of 8 columns
    source = ArraySource(images, np.zeros(300), images if with_masks else None)
    height = (150 * 0.5 + 120 * 0.125 + 30) / 300
    width = (150 * 0.25 + 120 * 0.75 + 30) / 300
    expected = CropStatistics(pytest.approx(height), pytest.approx(width), 30)
    first = CropStatistics(0.5, 0.25, 0)
    assert crop_statistics(bright_part, [source, source.first(4)]) == [expected, first]
