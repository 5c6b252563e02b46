import numpy as np
import pytest

from bginv.report.pictures import read_strip, write_strip


@pytest.mark.parametrize("channels", [1, 3])
def test_images_come_back_one_by_one(tmp_path, channels):
    images = np.random.default_rng(0).integers(0, 256, (5, 6, 4, channels))
    write_strip(tmp_path / "s.png", images / 255 + 1e-4)
    read = read_strip(tmp_path / "s.png", 4)
    assert len(read) == 5
    for own, image in zip(read, images, strict=True):
        np.testing.assert_array_equal(own.reshape(6, 4, -1), image)


def test_another_width_is_refused(tmp_path):
    write_strip(tmp_path / "s.png", np.zeros((2, 3, 4, 1)))
    with pytest.raises(ValueError, match="s.png is no strip of images 3 pixels wide"):
        read_strip(tmp_path / "s.png", 3)
