"""Figures of masks, and what they say: each kind of useless masks is named."""

import dataclasses
import re

import cv2
import numpy as np
import pytest

from bginv.data.sources import ArraySource
from bginv.masks.trust import Fit, fit_of, measure, measure_source, verdict

COUNT, SIDE = 32, 64
COLOURS = np.array([(220, 60, 40), (40, 60, 220)])


@pytest.fixture(scope="module")
def pictures():
    """Ellipses of two colours (the labels) on mottled ground, and where they are."""
    rng = np.random.default_rng(3)
    rows, columns = np.mgrid[:SIDE, :SIDE] / SIDE
    images, masks = [], []
    for number in range(COUNT):
        centre, radii = rng.uniform(0.35, 0.65, 2), rng.uniform(0.12, 0.3, 2)
        distance = np.hypot((rows - centre[0]) / radii[0], (columns - centre[1]) / radii[1])
        ground = cv2.GaussianBlur(rng.normal(0, 200, (SIDE, SIDE, 3)), (0, 0), 3)
        image = np.clip(ground + (90, 130, 90), 0, 255).astype(np.uint8)
        image[distance < 1] = COLOURS[number % 2]
        images.append(image)
        masks.append(np.where(distance < 1, 255, 0).astype(np.uint8))
    return np.stack(images), np.stack(masks), np.arange(COUNT) % 2


def blobs() -> np.ndarray:
    rng = np.random.default_rng(5)
    fields = [cv2.GaussianBlur(rng.normal(size=(SIDE, SIDE)), (0, 0), 6) for _ in range(COUNT)]
    return np.stack([(field > np.quantile(field, 0.75)) * np.uint8(255) for field in fields])


def redness(images: np.ndarray) -> np.ndarray:
    """A classifier that counts pixels of the two colours."""
    near = [np.abs(images * 255 - colour).max(-1) < 8 for colour in COLOURS]
    return np.stack([own.sum((1, 2)) for own in near], -1)


def test_true_masks_can_be_used(pictures):
    images, masks, labels = pictures
    trust = measure(images, masks, labels=labels, predict=redness, second=masks)
    assert verdict(trust) == (True, ["The masks can be used."])
    assert trust.area == pytest.approx((masks > 0).mean(), abs=0.005)
    assert trust.pieces == 1 and trust.border == 0 and trust.centre > 0.8 and trust.fit.share > 0.9
    assert trust.agreement == 1 and trust.clean == trust.foreground == 1
    assert trust.background == 0.5  # nothing is left, and the first class is named
    assert np.isnan(measure(images, masks).clean) and np.isnan(trust.confidence)


@pytest.mark.parametrize(
    "name, words",
    [
        ("everything", "show everything"),
        ("nothing", "show nothing"),
        ("inverted", "inverted.*backgrounds right"),
        ("others", "do not fit their pictures"),
        ("blobs", "do not fit their pictures"),
    ],
)
def test_useless_masks_are_named(pictures, name, words):
    images, masks, labels = pictures
    made = {
        "everything": np.full_like(masks, 255),
        "nothing": np.zeros_like(masks),
        "inverted": 255 - masks,
        "others": np.roll(masks, 5, 0),
        "blobs": blobs(),
    }
    usable, sentences = verdict(measure(images, made[name], labels=labels, predict=redness))
    assert not usable
    assert re.search(words, sentences[0]), sentences


def test_a_share_of_wrong_masks_is_told(pictures):
    images, masks, _ = pictures
    wrong = masks.copy()
    wrong[: COUNT // 3] = np.roll(masks, 5, 0)[: COUNT // 3]
    usable, sentences = verdict(measure(images, wrong))
    assert usable and "fit their pictures no better" in sentences[0]


def test_failures_do_not_count_as_masks(pictures):
    images, masks, _ = pictures
    failed = np.arange(COUNT) % 4 == 0
    spoilt = np.where(failed[:, None, None], np.uint8(255), masks)
    trust = measure(images, spoilt, failed, np.where(failed, 0.0, 0.8))
    assert trust.failures == 0.25 and trust.full == 0 and trust.confidence == pytest.approx(0.8)
    assert verdict(trust) == (True, ["25.0% of the pictures have no mask."])
    usable, sentences = verdict(measure(images, spoilt, np.ones(COUNT, bool)))
    assert not usable and sentences == [
        "100% of the pictures have no mask, or one that shows everything."
    ]


def test_too_few_or_too_similar_tell_nothing(pictures):
    images, masks, _ = pictures
    assert measure(images[:5], masks[:5]).fit == Fit()
    same = fit_of(images, [masks[0] > 0] * COUNT)
    assert same.belongs is None and same.edges == pytest.approx(1)
    assert verdict(measure(images[:5], masks[:5]))[0]


def test_pieces_specks_and_disagreement(pictures):
    images, masks, _ = pictures
    dots = np.zeros_like(masks)
    dots[:, 4:60:16, 4:60:16] = 255
    dots = np.stack([cv2.dilate(own, np.ones((5, 5), np.uint8)) for own in dots])
    assert measure(images, dots).pieces == 16
    specked = masks.copy()
    specked[:, 1, 1] = 255
    assert measure(images, specked).pieces == 1
    trust = measure(images, masks, second=np.roll(masks, 5, 0))
    assert 0 < trust.agreement < 0.5 and "disagree" in verdict(trust)[1][0]
    trust = dataclasses.replace(trust, pieces=7.0, agreement=np.nan)
    assert verdict(trust) == (True, ["The masks fall into 7 pieces each, on average."])


def test_a_split_is_sampled_evenly(pictures):
    images, masks, labels = pictures
    source = ArraySource(images, labels, masks[..., None])
    whole = measure_source(source, predict=redness)
    part = measure_source(source, sample=10)
    assert whole.count == COUNT and whole.clean == 1 and part.count == 10
    assert whole.area == pytest.approx(measure(images, masks).area)
    with pytest.raises(ValueError, match="a mask for each image"):
        measure(images, masks[:3])


def test_horses_and_their_exchanged_masks_are_told_apart(horses_dir):
    files = sorted((horses_dir / "images").glob("*.jpg"))[::8]
    images = [cv2.imread(str(file))[..., ::-1] for file in files]
    masks = [cv2.imread(str(horses_dir / "masks" / f"{file.stem}.png"), 0) for file in files]
    trust = measure(images, masks)
    assert verdict(trust)[0] and trust.fit.edges > 1.6 and trust.fit.contrast > 1.5
    exchanged = measure(images, masks[1:] + masks[:1])
    assert not verdict(exchanged)[0] and exchanged.fit.edges < 1.2
