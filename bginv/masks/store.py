"""Masks of a whole split, kept on disk by the pictures' contents."""

import concurrent.futures
import dataclasses
import hashlib
import os
import pathlib
import time
import zlib
from collections.abc import Iterator, Sequence

import cv2
import numpy as np
from absl import logging

from bginv.checksums import content_number, read_sealed_json, sealed_json
from bginv.data.files import FileSource
from bginv.data.images import shown
from bginv.data.outlines import DrawnMasks
from bginv.data.sources import ArraySource, Source
from bginv.errors import UserError
from bginv.masks.pictures import Pictures, pictures_of
from bginv.masks.source import NO_MASK, Mask, MaskSource, Picture, shows_all
from bginv.output_files import check_writable_folder, default_cache, write_bytes
from bginv.prefetch import prefetched
from bginv.terminal import Bar

HOPELESS = 10
"""So many pictures without one mask at the beginning, and the rest is not tried."""
BATCH_PIXELS = 2**23
"""Of a batch, unless one picture has more, so that large photographs need no more memory."""
EMPTY = "its mask is empty: nothing in it reaches one half"


@dataclasses.dataclass(frozen=True)
class Found:
    """A split with masks, and how it got them.

    Attributes:
        source: the same records with masks; where there is a failure, all is foreground.
        failures: why there is no mask, by the picture's name.
        seconds: how long it took.
        confidence: float32 [N], in [0, 1]; 0 for a failure.
        computed: how many were not on disk.
    """

    source: Source
    failures: dict[str, str]
    seconds: float
    confidence: np.ndarray
    computed: int


def find_masks(source: Source, masks: MaskSource, cache: pathlib.Path | None = None) -> Found:
    """Masks of each record, from the disk where they are there.

    A command that is killed goes on where it stopped. A picture that failed is tried again the
    next time. Memory does not grow with the number of pictures, but for masks of arrays.

    Args:
        source: image files or arrays.
        masks: where masks come from.
        cache: the folder whose `masks/` keeps them; None is `default_cache`.

    Raises:
        UserError: another kind of source, a folder that cannot be written, or no mask at all.
    """
    began = time.monotonic()
    pictures = pictures_of(source)
    folder = _folder(masks, cache)
    check_writable_folder(folder)
    entries = [_Entry(folder, key) for key in pictures.keys(masks.by_name)]
    confidence = [entry.confidence() for entry in entries]
    missing = [row for row, own in enumerate(confidence) if own is None]
    failures: dict[int, str] = {}
    if missing:
        _announce(masks, len(missing), len(entries))
        for row, mask in _compute(pictures, masks, missing):
            entries[row].write(mask)
            confidence[row] = mask.confidence
            if mask.failure:
                failures[row] = mask.failure
                if len(missing) == len(entries):
                    _give_up_if_hopeless(masks, failures, missing, pictures)
    _tell_failures(masks, failures, pictures)
    return Found(
        pictures.with_masks([entry.png for entry in entries]),
        {pictures.name(row): why for row, why in failures.items()},
        time.monotonic() - began,
        np.array(confidence, np.float32),
        len(missing),
    )


def given_masks(source: Source) -> Found:
    """Masks that the data brings; one that is foreground all over counts as none.

    Args:
        source: with masks.
    """
    rows = np.flatnonzero(_show_all(source))
    confidence = np.ones(len(source), np.float32)
    confidence[rows] = 0
    failures = {pictures_of(source).name(row): NO_MASK for row in rows}
    return Found(source, failures, 0.0, confidence, 0)


def _show_all(source: Source) -> np.ndarray:
    """Which masks are foreground all over, bool [N]; of other sources than files and arrays none.

    Files are read once, as many at a time as there are cores.
    """
    if isinstance(source, ArraySource) and source.masks is not None:
        return np.array([shows_all(mask) for mask in source.masks])
    if not isinstance(source, FileSource):
        return np.zeros(len(source), bool)

    def read(row: int) -> bool:
        if isinstance(source.masks, DrawnMasks):
            return shows_all(source.masks.draw(row))
        pixels = cv2.imread(source.masks.path(row), cv2.IMREAD_COLOR)
        return pixels is not None and shows_all(pixels.max(-1))

    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        return np.array(list(pool.map(read, range(len(source)))))


def count_missing(source: Source, masks: MaskSource, cache: pathlib.Path | None = None) -> int:
    """How many masks `find_masks` would have to compute."""
    keys, folder = pictures_of(source).keys(masks.by_name), _folder(masks, cache)
    return sum(_Entry(folder, key).confidence() is None for key in keys)


def _folder(masks: MaskSource, cache: pathlib.Path | None) -> pathlib.Path:
    return (cache or default_cache()) / "masks" / _short_hash(masks.fingerprint)


class _Entry:
    """A mask on disk: a PNG file, and beside it a JSON file with its CRC-32 and confidence."""

    def __init__(self, folder: pathlib.Path, key: str):
        place = folder / key[:2] / key
        self.png, self._json = place.with_suffix(".png"), place.with_suffix(".json")

    def confidence(self) -> float | None:
        """As it was written; None where the mask is not there, or not as it was written."""
        try:
            told = read_sealed_json(self._json.read_bytes())
            whole = told.get("png") == content_number(self.png)
        except (OSError, ValueError):
            return None
        return float(told["confidence"]) if whole else None

    def write(self, mask: Mask) -> None:
        """Keep a mask; of a failure the PNG file alone, so that it is tried again."""
        pixels = np.round(np.clip(mask.soft, 0, 1) * 255).astype(np.uint8)
        content = cv2.imencode(".png", pixels)[1].tobytes()
        write_bytes(self.png, content, durable=False)
        if mask.failure is None:
            told = {"confidence": float(mask.confidence), "png": zlib.crc32(content)}
            write_bytes(self._json, sealed_json(told).encode() + b"\n", durable=False)


def _compute(
    pictures: Pictures, masks: MaskSource, rows: Sequence[int]
) -> Iterator[tuple[int, Mask]]:
    """Rows and their masks; the next batch is read while one is computed."""
    batches = _batches(pictures, rows, masks.batch_size)

    read = prefetched(list(map(pictures.picture, batch)) for batch in batches)
    for batch, taken in zip(_progress(batches, len(rows), masks.name), read, strict=True):
        found = masks.masks(taken)
        for row, picture, mask in zip(batch, taken, found, strict=True):
            yield row, _checked(picture, mask, masks.name)


def _batches(pictures: Pictures, rows: Sequence[int], size: int) -> list[list[int]]:
    """Rows in batches of a size, smaller ones where the pictures are large."""
    batches: list[list[int]] = []
    held = 0
    for row in rows:
        own = pictures.area(row)
        if not batches or len(batches[-1]) == size or held + own > BATCH_PIXELS:
            batches.append([])
            held = 0
        batches[-1].append(row)
        held += own
    return batches


def _checked(picture: Picture, mask: Mask, source: str) -> Mask:
    """The mask, or a failure where it is empty or unfit."""
    if mask.failure is not None:
        return mask
    if mask.soft.shape != picture.pixels.shape[:2]:
        found, wanted = (
            "x".join(map(str, own[::-1])) for own in (mask.soft.shape, picture.pixels.shape[:2])
        )
        return Mask.failed(picture, f"{source} gave a mask of {found} for an image of {wanted}")
    if not np.isfinite(mask.soft).all():
        return Mask.failed(picture, f"{source} gave values that are no numbers")
    return mask if mask.soft.max() >= 0.5 else Mask.failed(picture, EMPTY)


def _progress(batches: Sequence[Sequence[int]], count: int, name: str) -> Iterator[Sequence[int]]:
    """The batches, while their progress is told."""
    with Bar(f"masks: {name}", count, "image", part="masks") as bar:
        for batch in batches:
            yield batch
            bar.advance(len(batch))


def _announce(masks: MaskSource, missing: int, count: int) -> None:
    kept = f", {count - missing} are on disk" if missing < count else ""
    about = f", about {max(1, round(masks.seconds * missing))} s" if masks.seconds else ""
    logging.info("masks: %s of %d images%s%s", masks.name, missing, kept, about)


def _give_up_if_hopeless(
    masks: MaskSource,
    failures: dict[int, str],
    missing: Sequence[int],
    pictures: Pictures,
) -> None:
    """Raise where nothing but failures came so far, and enough of them."""
    tried = missing[: min(HOPELESS, len(missing))]
    if len(failures) == len(tried) and failures.keys() == set(tried):
        raise UserError(
            f"{masks.name} gave no mask for any of {len(tried)} images, the first "
            f"{shown(pictures.name(tried[0]))}: {failures[tried[0]]}; mend that, or choose another "
            "source with --masks"
        )


def _tell_failures(masks: MaskSource, failures: dict[int, str], pictures: Pictures) -> None:
    if failures:
        row = next(iter(failures))
        logging.warning(
            "%s gave no mask for %d images, which are taken as all foreground; the first, %s: %s",
            *(masks.name, len(failures), shown(pictures.name(row)), failures[row]),
        )


def _short_hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
