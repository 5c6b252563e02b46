"""Which object stands on which place: sets like Waterbirds (Sagawa et al. 2020, section 4.1).

In the training split most objects of a class stand on the class's own place; in validation and test
all places come equally often. Only counts and numbers of records are decided here; see
`bginv.data.correlated_files` for the pictures.
"""

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence

import numpy as np

from bginv.errors import UserError

SPLITS = ("train", "validation", "test")
"""Their numbers are Waterbirds' own."""
TRAIN, VALIDATION, TEST = range(3)


@dataclasses.dataclass(frozen=True)
class Pairing:
    """What each object gets.

    Attributes:
        splits: int [N], places in `SPLITS`.
        places: int [N], numbers of places.
        pictures: int [N], numbers of the places' pictures.
    """

    splits: np.ndarray
    places: np.ndarray
    pictures: np.ndarray


def pair_objects(
    splits: np.ndarray,
    labels: np.ndarray,
    own: np.ndarray,
    picture_places: np.ndarray,
    picture_splits: np.ndarray,
    correlation: float,
    seed: int,
) -> Pairing:
    """A place and one of its pictures for each object.

    Within a split, how often the pictures of a place are used differs by one at most.

    Args:
        splits: int [N], of the objects.
        labels: int [N], of the objects.
        own: int [K], the place of each class; every place is in it.
        picture_places: int [M], places of the pictures.
        picture_splits: int [M], splits of the pictures; each place has one in each.
        correlation: share of the training objects that stand on their class's own place.
        seed: of which object stands where.
    """
    num_places = int(own.max()) + 1
    places, pictures = np.empty(len(labels), int), np.empty(len(labels), int)
    for split in range(len(SPLITS)):
        rng = np.random.default_rng((seed, split))
        sizes = np.bincount(labels[splits == split], minlength=len(own))
        if split == TRAIN:
            counts = correlated_counts(sizes, own, correlation)
        else:
            counts = even_counts(sizes, num_places)
        for label in range(len(own)):
            rows = np.flatnonzero((splits == split) & (labels == label))
            places[rng.permutation(rows)] = np.repeat(np.arange(num_places), counts[label])
        for place in range(num_places):
            rows = rng.permutation(np.flatnonzero((splits == split) & (places == place)))
            held = np.flatnonzero((picture_splits == split) & (picture_places == place))
            pictures[rows] = np.resize(rng.permutation(held), len(rows))
    return Pairing(splits, places, pictures)


def correlated_counts(sizes: np.ndarray, own: np.ndarray, correlation: float) -> np.ndarray:
    """How many objects of each class stand on each place, int [K, P].

    The whole share of objects on their class's own place is half an object off at most; the others
    stand on the other places evenly.

    Args:
        sizes: int [K], objects of each class.
        own: int [K], the place of each class.
        correlation: the share.
    """
    num_places = int(own.max()) + 1
    quotas = correlation * sizes
    at_home = largest_remainder(int(np.floor(quotas.sum() + 0.5)), quotas)
    counts, start = np.empty((len(sizes), num_places), int), 0
    for label, (size, home) in enumerate(zip(sizes.tolist(), at_home.tolist(), strict=True)):
        others = np.roll(_evenly(size - home, num_places - 1), start % (num_places - 1))
        counts[label] = np.insert(others, own[label], home)
        start += (size - home) % (num_places - 1)
    return counts


def even_counts(sizes: np.ndarray, num_places: int) -> np.ndarray:
    """The same where all places come equally often for each class, up to one object."""
    starts = np.concatenate([[0], np.cumsum(sizes % num_places)[:-1]])
    rows = zip(sizes.tolist(), starts.tolist(), strict=True)
    return np.stack([np.roll(_evenly(size, num_places), start) for size, start in rows])


def _evenly(count: int, parts: int) -> np.ndarray:
    return count // parts + (np.arange(parts) < count % parts)


def largest_remainder(total: int, quotas: np.ndarray) -> np.ndarray:
    """Whole numbers that add up to a total, each a quota rounded down or up; int [K].

    Args:
        total: within one of the quotas' sum.
        quotas: float [K].
    """
    counts = np.floor(quotas).astype(int)
    order = np.argsort(counts - quotas, kind="stable")
    counts[order[: total - counts.sum()]] += 1
    return counts


def split_by_content(contents: Sequence[bytes], shares: Sequence[float]) -> np.ndarray:
    """Numbers of parts, int [N], by a hash of each content; each part gets one at least.

    Args:
        contents: all different, at least one a part.
        shares: of the parts, which add up to 1.
    """
    count = len(contents)
    sizes = largest_remainder(count, np.array(shares) * count)
    while not sizes.all():
        sizes[np.argmax(sizes)] -= 1
        sizes[np.argmin(sizes)] += 1
    hashes = [hashlib.blake2b(content, digest_size=8).digest() for content in contents]
    parts = np.empty(count, int)
    parts[sorted(range(count), key=lambda row: hashes[row])] = np.repeat(
        np.arange(len(sizes)), sizes
    )
    return parts


def own_places(
    class_names: Sequence[str], place_names: Sequence[str], pairs: Sequence[str] = ()
) -> np.ndarray:
    """The place of each class, int [K]: class k has place k mod P, if `pairs` says nothing else.

    Args:
        class_names: in order.
        place_names: in order.
        pairs: CLASS=PLACE.

    Raises:
        UserError: an unknown or missing class, an unknown place, or a place without a class.
    """
    own = np.arange(len(class_names)) % len(place_names)
    told = dict(_read_pair(pair, class_names, place_names) for pair in pairs)
    if len(told) < len(pairs):
        raise UserError(f"--pairs {','.join(pairs)} names a class twice: give each one place")
    for label, place in told.items():
        own[label] = place
    lonely = sorted(set(range(len(place_names))) - set(own.tolist()))
    if lonely:
        raise UserError(
            f"no class has {place_names[lonely[0]]} as its own place: remove that place, or give "
            "it a class with --pairs CLASS=PLACE"
        )
    return own


def _read_pair(
    pair: str, class_names: Sequence[str], place_names: Sequence[str]
) -> tuple[int, int]:
    name, equals, place = pair.rpartition("=")
    if not equals:
        raise UserError(f"--pairs takes CLASS=PLACE,CLASS=PLACE; received {pair!r}")
    if name not in class_names:
        raise UserError(
            f"--pairs names the class {name!r}; there are {', '.join(sorted(class_names))}"
        )
    if place not in place_names:
        raise UserError(
            f"--pairs names the place {place!r}; there are {', '.join(sorted(place_names))}"
        )
    return class_names.index(name), place_names.index(place)


def check_correlation(correlation: float, num_places: int) -> None:
    """Raise unless own places come as often as others, or more often.

    Raises:
        UserError: it names the range.
    """
    least = 1 / num_places
    if not round(least, 2) <= correlation <= 1:
        raise UserError(
            f"--correlation must be from {least:.3g} (all of {num_places} places equally often) to "
            f"1 (own places alone); received {correlation}"
        )


def check_shares(shares: Sequence[float]) -> None:
    """Raise unless these are shares of the three splits.

    Raises:
        UserError: it says what they must be.
    """
    if len(shares) != len(SPLITS) or min(shares) <= 0 or abs(sum(shares) - 1) > 1e-6:
        raise UserError(
            "--shares must be three numbers above 0 that add up to 1, of train, validation and "
            f"test; received {','.join(map(str, shares))}"
        )


def distinct_rows(contents: Sequence[bytes]) -> np.ndarray:
    """The first row of each content, int [M], in order."""
    first: dict[bytes, int] = {}
    for row, content in enumerate(contents):
        first.setdefault(content, row)
    return np.array(list(first.values()), int)


def reached_correlation(
    pairing: Pairing, labels: np.ndarray, own: np.ndarray, split: int = TRAIN
) -> float:
    """Share of a split's objects that stand on their class's own place."""
    rows = pairing.splits == split
    return float(np.mean(own[labels[rows]] == pairing.places[rows]))


def uses_of(pairing: Pairing, picture_places: np.ndarray) -> Mapping[tuple[int, int], np.ndarray]:
    """How often each picture is used that is used at all, by (split, place)."""
    found = {}
    for split in range(len(SPLITS)):
        counts = np.bincount(
            pairing.pictures[pairing.splits == split], minlength=len(picture_places)
        )
        for place in range(int(picture_places.max()) + 1):
            own = counts[picture_places == place]
            found[split, place] = own[own > 0]
    return found
