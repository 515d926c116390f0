"""Which runs of words a batch of texts shares with what is held out, and what that makes of each text.

Hashes propose; the words behind every hash are compared one by one before anything is said of a document, so that
no collision removes one. Runs that follow each other in both texts are one span.
"""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from lmpipe.curate.lookup import Found, Index
from lmpipe.curate.ngrams import Codes, Runs, Words, without_digits
from lmpipe.curate.shingles import Hashes
from lmpipe.settings import DecontaminateSettings
from lmpipe.text.segment import Ints, gather, per_text

NUMBERS = 0.25
"""Above this share of numbers a run's numbers must be the same: with digits as 0 every balance sheet is every other,
as is every "75 cm (30 in) wide and 4.5 cm (1.8 in) thick" (of 871 Reuters documents 303 shared only such with a test
document)."""
TOGETHER = 65_536
"""Runs whose words are compared at once: some 50 MB."""


class Shared(NamedTuple):
    """Runs that stand in a text and in a record; arrays of one length, ordered by text, record and diagonal."""

    text: npt.NDArray[Any]
    part: npt.NDArray[Any]
    record: npt.NDArray[Any]
    start: npt.NDArray[Any]
    """First word, in the batch."""
    place: npt.NDArray[Any]
    """First word, in the record."""
    size: npt.NDArray[Any]
    hashes: npt.NDArray[Any]


class Span(NamedTuple):
    """Words that a text and a record share, one after another."""

    first: int
    """First word, in the batch."""
    last: int
    """The word after its last."""
    runs: int
    common: int
    """Of those, runs that stand in too many documents to count."""


class Overlap(NamedTuple):
    """What one text shares with one record."""

    text: int
    set: str
    record: str
    share: float
    """Of the record's words."""
    rare: int
    """Distinct runs that are not common."""
    certain: bool
    """Whether most of a record of some length is covered."""
    spans: list[Span]


def overlaps(words: Words, index: Index, common: Hashes, settings: DecontaminateSettings) -> Iterator[Overlap]:
    """Yield what texts share with records, but not what is only common; by text, then in the order of the index.

    `common` holds the hashes of the common runs, sorted.
    """
    shared = shared_runs(words, index)
    is_common = np.isin(shared.hashes, common, assume_unique=False)
    keys = np.stack([shared.text, shared.part, shared.record])
    edges = np.flatnonzero(np.append(True, (keys[:, 1:] != keys[:, :-1]).any(axis=0))[: keys.shape[1]])
    for low, high in pairwise([*edges.tolist(), keys.shape[1]]):
        pair = Shared(*(array[low:high] for array in shared))
        found = overlap(pair, is_common[low:high], index, settings)
        if found.rare or found.certain:
            yield found


def shared_runs(words: Words, index: Index) -> Shared:
    """Find the runs of a batch that stand in records, word for word."""
    runs, found = Runs(words), []
    for size in index.sizes:
        starts, hashes = runs.of(size)
        held = np.flatnonzero(index.holds(hashes))
        for low in range(0, len(held), TOGETHER):
            some = held[low : low + TOGETHER]
            found.append(verified(words, index, starts[some], hashes[some], size))
    empty = Shared(*(np.zeros(0, np.uint64 if name == "hashes" else np.int64) for name in Shared._fields))
    shared = Shared(*(np.concatenate(arrays) for arrays in zip(empty, *found, strict=True)))
    order = np.lexsort((shared.start, shared.start - shared.place, shared.record, shared.part, shared.text))
    return Shared(*(array[order] for array in shared))


def verified(words: Words, index: Index, starts: Ints, hashes: Hashes, size: int) -> Shared:
    """Look runs up and keep those whose words are those of the record."""
    found = index.find(hashes, size)
    same = same_words(words, index, starts[found.query], size, found)
    start, found = starts[found.query][same], Found(*(array[same] for array in found))
    text = np.searchsorted(words.offsets, start, side="right") - 1
    sizes = np.full(len(start), size)
    return Shared(text, found.part, found.record, start, found.place, sizes, hashes[found.query])


def same_words(words: Words, index: Index, start: Ints, size: int, found: Found) -> npt.NDArray[np.bool_]:
    """Compare runs with those that their hashes found, digits as 0 or, where there are many numbers, as they are."""
    same = np.zeros(len(start), bool)
    numbers = np.append(0, np.cumsum(words.is_number))
    strict = numbers[start + size] - numbers[start] > NUMBERS * size
    low, high = words.starts[start], words.starts[start + size]
    for number in np.unique(found.part).tolist():
        part, here = index.parts[number], np.flatnonzero(found.part == number)
        first = part.first[found.record[here]] + found.place[here]
        theirs, lengths = part.starts[first], (high - low)[here]
        alike = part.starts[first + size] - theirs == lengths
        here, theirs, lengths = here[alike], theirs[alike], lengths[alike]
        ours, codes = gather(words.marked, low[here], lengths), gather(part.codes, theirs, lengths)
        same[here] = all_same(without_digits(ours), without_digits(codes), lengths)
        same[here] &= ~strict[here] | all_same(ours, codes, lengths)
    return same


def all_same(ours: Codes, theirs: Codes, lengths: Ints) -> npt.NDArray[np.bool_]:
    """Tell which stretches of two arrays are equal throughout."""
    same: npt.NDArray[np.bool_] = per_text(ours != theirs, lengths) == 0
    return same


def overlap(pair: Shared, is_common: npt.NDArray[np.bool_], index: Index, settings: DecontaminateSettings) -> Overlap:
    """Sum up the runs that one text shares with one record."""
    part, record, size = int(pair.part[0]), int(pair.record[0]), int(pair.size[0])
    total = int(index.parts[part].words[record])
    places = np.unique(pair.place)
    covered = int(np.minimum(np.diff(places), size).sum()) + size
    share = covered / total
    certain = share >= settings.certain and total >= 2 * size
    rare = len(np.unique(pair.place[~is_common]))
    return Overlap(int(pair.text[0]), *index.name(part, record), share, rare, certain, joined(pair, is_common))


def joined(pair: Shared, is_common: npt.NDArray[np.bool_]) -> list[Span]:
    """Join runs that follow or overlap each other in both texts, in the order of the text."""
    size, diagonal = int(pair.size[0]), pair.start - pair.place
    apart = (np.diff(diagonal) != 0) | (np.diff(pair.start) > size)
    edges = [0, *(np.flatnonzero(apart) + 1).tolist(), len(diagonal)]
    spans = [
        Span(int(pair.start[low]), int(pair.start[high - 1]) + size, high - low, int(is_common[low:high].sum()))
        for low, high in pairwise(edges)
    ]
    return sorted(spans)
