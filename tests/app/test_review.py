"""What a look through masks decides and writes, without a browser."""

import pathlib

import cv2
import numpy as np
import pytest

from bginv.app.review import DRAWN, FOUND, REJECTED, MaskReview, target_of
from bginv.data.folder import load_folder
from bginv.errors import UserError
from bginv.masks.given import GivenMasks
from bginv.masks.source import Mask, MaskSource
from bginv.masks.store import find_masks, given_masks
from tests.app.toy_photographs import BOX, COUNT, SIDE, write_masks, write_photographs


class Left(MaskSource):
    """The left half of every picture, and nothing of `cat/1`."""

    name = fingerprint = "left"

    @property
    def by_name(self) -> bool:
        return True

    def masks(self, pictures):
        soft = np.zeros((SIDE, SIDE), np.float32)
        soft[:, : SIDE // 2] = 1
        return [
            Mask.failed(own, "none") if own.name == "cat/1.png" else Mask(soft) for own in pictures
        ]


@pytest.fixture
def root(tmp_path):
    return write_photographs(tmp_path / "data")


def review_of(root: pathlib.Path, overwrite: bool = False, target: pathlib.Path | None = None):
    """A review of the training pictures, of given masks where there are some."""
    source = load_folder(str(root), SIDE, False).train
    if source.has_masks:
        found = given_masks(source)
    else:
        found = find_masks(source, Left(), root.parent / "cache")
    work = root.parent / "work"
    work.mkdir(exist_ok=True)
    return MaskReview(found, target or target_of(str(root), "train"), work, overwrite)


def row_of(review: MaskReview, name: str) -> int:
    return next(row for row in range(len(review)) if review.name(row) == name)


def written(root: pathlib.Path) -> dict[str, bytes]:
    folder = root / "train" / "masks"
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.png")
    }


def test_three_decisions_change_three_files_and_no_other(root):
    review = review_of(root)
    assert review.save() == 2 * COUNT
    before = written(root)
    for name in ("cat/0.png", "dog/3.png"):
        review.reject(row_of(review, name))
    drawn = row_of(review, "dog/5.png")
    review.draw(drawn, BOX)
    assert review.unsaved == 3 and written(root) == before
    assert review.save() == 3 and review.unsaved == 0
    after = written(root)
    assert {name for name in after if after[name] != before[name]} == {
        "cat/0.png", "dog/3.png", "dog/5.png",
    }  # fmt: skip
    given = given_masks(load_folder(str(root), SIDE, False).train)
    assert sorted(given.failures) == ["cat/0.png", "cat/1.png", "dog/3.png"]
    left, top, right, bottom = BOX
    mask = review.mask(drawn)
    centre = mask[(top + bottom) // 2, (left + right) // 2]
    outside = mask.copy()
    outside[top:bottom, left:right] = False
    assert centre and not outside.any()


def test_what_was_rejected_is_rejected_the_next_day(root):
    first = review_of(root)
    first.reject(row_of(first, "cat/0.png"))
    first.save()
    again = review_of(root, overwrite=True)
    states = {again.name(row): again.state(row) for row in range(len(again))}
    rejected = sorted(name for name, own in states.items() if own == REJECTED)
    assert rejected == ["cat/0.png", "cat/1.png"] and states["dog/0.png"] == FOUND
    assert again.unsaved == 0 and again.save() == 0
    again.draw(row_of(again, "cat/0.png"), BOX)
    assert again.save() == 1 and again.order(DRAWN) == [row_of(again, "cat/0.png")]


def test_a_mask_can_be_taken_back_as_it_was_found(root):
    review = review_of(root)
    row = row_of(review, "dog/0.png")
    found = review.mask(row)
    review.save()
    review.reject(row)
    review.save()
    assert review.mask(row).all()
    review.keep(row)
    np.testing.assert_array_equal(review.mask(row), found)
    assert review.save() == 1
    pixels = cv2.imread(str(root / "train/masks/dog/0.png"), cv2.IMREAD_GRAYSCALE)
    np.testing.assert_array_equal(pixels > 127, found)


def test_masks_of_the_users_stay_without_overwrite(root):
    write_masks(root, "train")
    before = written(root)
    review = review_of(root)
    assert "holds masks already" in review.refusal
    review.reject(0)
    with pytest.raises(UserError, match="holds masks already: start again with another --output"):
        review.save()
    assert written(root) == before
    elsewhere = review_of(root, target=root.parent / "elsewhere" / "masks")
    elsewhere.reject(0)
    assert elsewhere.save() == 2 * COUNT and written(root) == before
    allowed = review_of(root, overwrite=True)
    allowed.reject(0)
    assert allowed.save() == 1


def test_a_mask_with_another_ending_is_replaced_not_doubled(root):
    write_masks(root, "train")
    own = root / "train/masks/cat/0.png"
    own.rename(own.with_suffix(".bmp"))
    review = review_of(root, overwrite=True)
    review.reject(row_of(review, "cat/0.png"))
    assert review.save() == 1
    assert own.is_file() and not own.with_suffix(".bmp").exists()
    load_folder(str(root), SIDE, False)


def test_what_appears_while_we_look_is_not_replaced(root):
    review = review_of(root)
    write_masks(root, "train")
    with pytest.raises(UserError, match="has come there since: nothing replaces it"):
        review.save()


@pytest.mark.parametrize("box", [(5, 5, 5, 30), (60, 60, 90, 90), (-9, -9, -1, -1)])
def test_a_box_without_a_pixel_is_refused(root, box):
    review = review_of(root)
    with pytest.raises(UserError, match=f"in a picture of {SIDE}x{SIDE} pixels; received"):
        review.draw(0, box)
    assert review.unsaved == 0


def test_corners_come_in_any_order(root):
    review = review_of(root)
    left, top, right, bottom = BOX
    review.draw(0, (right, bottom, left, top))
    swapped = review.mask(0)
    review.draw(0, BOX)
    np.testing.assert_array_equal(review.mask(0), swapped)


def test_the_least_sure_come_first_and_composites_are_of_another_class(root):
    review = review_of(root)
    assert review.name(review.order()[0]) == "cat/1.png" and len(review.order()) == 2 * COUNT
    row = row_of(review, "cat/0.png")
    donor = review.donor(row)
    assert review.name(donor).startswith("dog/")
    shown, mask = review.composite(row, donor), review.mask(row)
    np.testing.assert_array_equal(shown[mask], review.picture(row)[mask])
    assert (shown[~mask] != review.picture(row)[~mask]).any()
    assert review.outlined(row).shape == review.cut_out(row).shape == (SIDE, SIDE, 3)


def test_given_masks_elsewhere_that_are_white_all_over_are_none(root):
    review = review_of(root, target=root.parent / "out" / "train" / "masks")
    review.reject(row_of(review, "dog/2.png"))
    review.save()
    source = load_folder(str(root), SIDE, False).train
    given = GivenMasks(str(root.parent / "out" / "train" / "masks"))
    found = find_masks(source, given, root.parent / "cache")
    assert sorted(found.failures) == ["cat/1.png", "dog/2.png"]


def test_masks_of_zeros_and_ones_are_those_that_an_audit_takes(root):
    write_masks(root, "train", value=1)
    review = review_of(root, overwrite=True)
    review.draw(0, BOX)
    review.reject(1)
    (found,) = review.masked().batches(2 * COUNT)
    masks = found["mask"].numpy()[..., 0]
    for row in range(2 * COUNT):
        np.testing.assert_array_equal(masks[row] > 0.5, review.mask(row))


@pytest.mark.parametrize("edge", [float("nan"), float("inf")])
def test_a_box_of_no_numbers_is_refused(root, edge):
    with pytest.raises(UserError, match="a box is four numbers; received"):
        review_of(root).draw(0, (0, 0, edge, 30))
