"""Count the characters that stand in repeated n-grams (Gopher, Rae et al. 2021, table A1), for a batch at once.

An n-gram repeats only if the two (n-1)-grams in it do, so each length looks at the positions that
the one before has left: the pairs cost one sort over the batch, ten-grams next to nothing, and only
positions with a repeated n-gram ever reach a Python loop. N-grams are numbered exactly, a pair of
numbers becoming one by sorting; nothing is hashed, so nothing can collide.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from lmpipe.text.segment import Ints

TOP_NGRAMS = (2, 3, 4)
"""Lengths of which the most frequent one counts."""
DUPLICATE_NGRAMS = (5, 6, 7, 8, 9, 10)
"""Lengths of which all second and later copies count."""


class Batch(NamedTuple):
    """The segments of a batch of documents, one document after another."""

    ids: Ints
    """Index into a vocabulary, per segment."""
    offsets: Ints
    """Document i has the segments offsets[i]:offsets[i + 1]."""
    sizes: Ints
    """Characters of each entry of the vocabulary."""
    chars: Ints
    """Characters of each document, blanks included: what shares of characters are shares of."""

    @property
    def documents(self) -> Ints:
        """The document of each segment."""
        return np.repeat(np.arange(len(self.chars)), np.diff(self.offsets))


class Repeats(NamedTuple):
    """The positions of a batch at which an n-gram begins that its document has more than once, in order."""

    positions: Ints
    numbers: Ints
    """The n-gram's number, different in different documents."""


def measure_repetition(batch: Batch) -> dict[str, npt.NDArray[np.float64]]:
    """Measure the share of each document's characters in repeated n-grams."""
    ends = np.append(0, np.cumsum(batch.sizes[batch.ids]))
    documents = batch.documents
    measured = {}
    numbers, _, counts = rank(documents * (len(batch.sizes) + 1) + batch.ids)
    repeats = Repeats(np.flatnonzero(counts[numbers] > 1), numbers[counts[numbers] > 1])
    for n in range(2, DUPLICATE_NGRAMS[-1] + 1):
        repeats = longer(repeats, batch, documents, n)
        if n in TOP_NGRAMS:
            measured[f"top_{n}gram_chars"] = share(
                top_chars(repeats, ends, documents, n, len(batch.chars)), batch.chars
            )
        if n in DUPLICATE_NGRAMS:
            taken = second_copies(repeats, n)
            chars = np.bincount(documents[taken], weights=ends[taken + n] - ends[taken], minlength=len(batch.chars))
            measured[f"duplicate_{n}gram_chars"] = share(chars, batch.chars)
    return measured


def longer(repeats: Repeats, batch: Batch, documents: Ints, n: int) -> Repeats:
    """Find the repeated n-grams among those whose two (n-1)-grams repeat."""
    positions, numbers = repeats
    follows = np.flatnonzero(np.diff(positions) == 1)
    follows = follows[documents[positions[follows]] == documents[positions[follows] + n - 1]]
    starts = positions[follows]
    numbers, _, counts = rank(numbers[follows] * len(batch.sizes) + batch.ids[starts + n - 1])
    again = counts[numbers] > 1
    return Repeats(starts[again], numbers[again])


def top_chars(repeats: Repeats, ends: Ints, documents: Ints, n: int, num_documents: int) -> Ints:
    """Characters of all copies of each document's most frequent n-gram, its segments parted by one blank.

    Of equally frequent ones the first counts, as with datatrove's Counter.most_common.
    """
    _, first, counts = rank(repeats.numbers)
    starts = repeats.positions[first]
    order = np.lexsort((starts, -counts, documents[starts]))
    owners, best = np.unique(documents[starts][order], return_index=True)
    chosen = starts[order][best]
    found = np.zeros(num_documents, np.int64)
    found[owners] = counts[order][best] * (ends[chosen + n] - ends[chosen] + n - 1)
    return found


def second_copies(repeats: Repeats, n: int) -> Ints:
    """Go from left to right: an n-gram that stood before is taken, and what overlaps it is passed over."""
    seen: set[int] = set()
    taken = []
    free = 0
    for position, number in zip(repeats.positions.tolist(), repeats.numbers.tolist(), strict=True):
        if position < free:
            continue
        if number in seen:
            taken.append(position)
            free = position + n
        else:
            seen.add(number)
    return np.array(taken, np.int64)


def rank(keys: Ints) -> tuple[Ints, Ints, Ints]:
    """Number equal keys alike; return each key's number, and by number where it stands first and how often."""
    order = np.argsort(keys)
    ordered = keys[order]
    starts = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1])[: len(keys)])
    counts = np.diff(np.append(starts, len(keys)))
    numbers = np.empty(len(keys), np.int64)
    numbers[order] = np.repeat(np.arange(len(starts)), counts)
    first = np.minimum.reduceat(order, starts) if len(keys) else order  # the sort keeps no order among equals
    return numbers, first, counts


def share(part: npt.NDArray[np.generic], whole: Ints) -> npt.NDArray[np.float64]:
    """part / whole, and 0 for an empty whole: an empty text is judged by its length, not by shares."""
    shares: npt.NDArray[np.float64] = np.divide(part, whole, out=np.zeros(len(whole)), where=whole > 0)
    return shares
