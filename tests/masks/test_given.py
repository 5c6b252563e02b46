"""Masks in files, and the heuristic."""

import unicodedata

import cv2
import numpy as np
import pytest

from bginv.masks.given import GivenMasks, HeuristicMasks
from bginv.masks.source import Picture


def picture(name="a/one.jpg"):
    pixels = np.zeros((6, 9, 3), np.uint8)
    pixels[2:4, 3:5, 1] = 7
    return Picture(pixels, name)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "masks" / "a").mkdir(parents=True)
    ramp = np.tile(np.linspace(0, 255, 9).astype(np.uint8), (6, 1))
    cv2.imwrite(str(tmp_path / "masks" / "a" / "one.png"), ramp)
    cv2.imwrite(str(tmp_path / "masks" / "a" / "labels.png"), (ramp > 99).astype(np.uint8))
    cv2.imwrite(str(tmp_path / "masks" / "a" / "large.png"), np.zeros((12, 18), np.uint8))
    (tmp_path / "masks" / "a" / "damaged.png").write_bytes(b"nothing")
    return tmp_path / "masks"


def test_masks_by_name(folder):
    source = GivenMasks(str(folder))
    soft, labels = source.masks([picture(), picture("a/labels.png")])
    np.testing.assert_allclose(soft.soft[0], np.floor(np.linspace(0, 255, 9)) / 255, atol=1e-6)
    assert labels.soft.max() == 1 and set(np.unique(labels.soft)) == {0, 1}
    assert source.by_name


def test_a_mask_may_have_its_name_in_the_other_form_of_unicode(folder):
    composed, apart = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))
    (folder / "a" / "one.png").rename(folder / "a" / f"{apart}.png")
    assert GivenMasks(str(folder)).masks([picture(f"a/{composed}.jpg")])[0].failure is None


@pytest.mark.parametrize(
    "name, said",
    [
        ("a/two.jpg", "has no mask of it"),
        ("a/large.jpg", "18x12, and the image is 9x6"),
        ("a/damaged.jpg", "cannot be read"),
    ],
)
def test_failures(folder, name, said):
    assert said in GivenMasks(str(folder)).masks([picture(name)])[0].failure


def test_a_folder_that_lacks_some_is_told(folder):
    source = GivenMasks(str(folder))
    source.check(["a/one.jpg", "a/labels.jpeg"])
    with pytest.raises(ValueError, match="no mask of 2 images: a/two.jpg, b/x.jpg.*a/two.png"):
        source.check(["a/one.jpg", "a/two.jpg", "b/x.jpg"])


def test_folders_without_masks_are_told(tmp_path, folder):
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        GivenMasks(str(tmp_path / "none"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="holds no mask"):
        GivenMasks(str(tmp_path / "empty"))
    (folder / "a" / "one.jpg").write_bytes(b"")
    with pytest.raises(ValueError, match="masks of one image"):
        GivenMasks(str(folder))


def test_a_changed_mask_has_another_fingerprint(folder):
    before = GivenMasks(str(folder)).fingerprint
    (folder / "a" / "damaged.png").write_bytes(b"something")
    assert GivenMasks(str(folder)).fingerprint != before


def test_the_heuristic_is_what_is_not_black():
    mask = HeuristicMasks().masks([picture()])[0]
    np.testing.assert_array_equal(mask.soft, picture().pixels[..., 1] == 7)
