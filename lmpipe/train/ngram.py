"""Count n-grams and lay out what an interpolated modified Kneser-Ney model needs (Chen and Goodman 1999).

An n-gram is numbered by the row of its key in a sorted table, and its key is made of the number of its first n - 1
tokens and its last token: key = number * base + token. So an order needs one sort of 64-bit numbers and no trie, a
context's successors lie side by side, and looking up is a binary search over all positions at once.

The variant, which gives 148.28 (order 3) and 141.19 (order 5) on the Penn Treebank's test file: every end-of-text
token closes a sequence and begins the next one as <s>, which is never predicted; the highest order has plain counts,
each lower one the number of distinct tokens to the left, but an n-gram that begins with <s>, which has none, its plain
count; three discounts an order, from the counts of those counts; unigrams are interpolated with 1 / vocabulary.

The tables, as a checkpoint's model.safetensors holds them:

    keys.2 ... keys.N      int64, rising: the n-grams seen; <s> is the token number `vocabulary`, base is one more
    counts.1 ... counts.N  int64: the counts above, of each key in its order; counts.1 has one of each token
    discounts              float64, N x 3: what is taken from a count of 1, of 2, and of 3 or more
"""

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from lmpipe.train.stream import TokenStream

log = logging.getLogger(__name__)

CHUNK = 1 << 23
"""Tokens counted at once: memory grows with the number of distinct n-grams, not with the corpus."""

FALLBACK = (0.5, 1.0, 1.5)
"""Discounts where counts of counts tell none, as of a few dozen characters (KenLM's --discount_fallback)."""

Ints = npt.NDArray[np.int64]


class Counter:
    """The n-grams of a token stream, one order after the other; positions lie on disk between two orders."""

    def __init__(self, stream: TokenStream, end_of_text: int, folder: Path) -> None:
        self.stream, self.end_of_text, self.base = stream, end_of_text, stream.vocabulary + 1
        self.folder = folder
        self.numbers: npt.NDArray[np.int32] | None = None
        """Of the n-gram of the last order that ends at each position, -1 where a sequence is too young."""
        self.from_start = np.arange(self.base) == stream.vocabulary
        """Which n-grams of the last order begin with <s>."""

    def chunks(self) -> Iterator[tuple[int, Ints]]:
        """Read the stream piece by piece, each with its place."""
        for start in range(0, self.stream.num_tokens, CHUNK):
            yield start, self.stream.read(start, CHUNK).numpy()

    def contexts(self, start: int, tokens: Ints, order: int) -> Ints:
        """Number the (order - 1)-gram that stands before each token, -1 where the sequence has fewer."""
        begin = self.stream.vocabulary if order == 2 else -1  # <s> alone, or nothing so long
        before = np.empty(len(tokens), np.int64)
        before[0] = begin if start == 0 else self.ended(start - 1, order, begin)
        before[1:] = tokens[:-1] if self.numbers is None else self.numbers[start : start + len(tokens) - 1]
        before[1:][tokens[:-1] == self.end_of_text] = begin
        return before

    def ended(self, position: int, order: int, begin: int) -> int:
        """Number the n-gram of the last order that ends at a position, as a context."""
        token = int(self.stream.read(position, 1)[0])
        if token == self.end_of_text:
            return begin
        return token if self.numbers is None else int(self.numbers[position])

    def unigrams(self) -> Ints:
        """Count each token, with a row of nothing for <s>."""
        counts = np.zeros(self.base, np.int64)
        for _, tokens in self.chunks():
            counts += np.bincount(tokens, minlength=self.base)
        return counts

    def count(self, order: int) -> tuple[Ints, Ints, Ints, npt.NDArray[np.bool_]]:
        """Count the n-grams of an order above 1: their keys, rising, plain counts, the number of each one's last
        order - 1 tokens, and whether that shorter one begins with <s>."""
        keys, counts = np.empty(0, np.int64), np.empty(0, np.int64)
        for start, tokens in self.chunks():
            found, times = np.unique(self.keys(start, tokens, order)[1], return_counts=True)
            keys, counts = merged(keys, counts, found, times)
        suffixes, shorter = self.number(order, keys), self.from_start
        self.from_start = self.from_start[keys // self.base]
        return keys, counts, suffixes, shorter

    def keys(self, start: int, tokens: Ints, order: int) -> tuple[npt.NDArray[np.bool_], Ints]:
        """Say where in a piece an n-gram ends, and give the keys of those."""
        before = self.contexts(start, tokens, order)
        there = before >= 0
        return there, before[there] * self.base + tokens[there]

    def number(self, order: int, keys: Ints) -> Ints:
        """Number the n-gram at each position for the next order; return the suffix of each."""
        numbers = np.memmap(self.folder / f"{order}", np.int32, "w+", shape=(self.stream.num_tokens,))
        suffixes = np.empty(len(keys), np.int64)
        for start, tokens in self.chunks():
            there, wanted = self.keys(start, tokens, order)
            piece = np.full(len(tokens), -1, np.int32)
            piece[there] = np.searchsorted(keys, wanted)
            last = tokens if self.numbers is None else self.numbers[start : start + len(tokens)]
            suffixes[piece[there]] = last[there]
            numbers[start : start + len(tokens)] = piece
        self.numbers = numbers
        (self.folder / f"{order - 1}").unlink(missing_ok=True)
        return suffixes


def merged(keys: Ints, counts: Ints, found: Ints, times: Ints) -> tuple[Ints, Ints]:
    """Add counted keys to counted keys; both are rising, and so is the result."""
    if not len(keys):
        return found, times
    both, inverse = np.unique(np.concatenate([keys, found]), return_inverse=True)
    total = np.zeros(len(both), np.int64)
    np.add.at(total, inverse, np.concatenate([counts, times]))
    return both, total


def count_ngrams(
    stream: TokenStream, end_of_text: int, order: int, folder: Path, told: Callable[[int, int], None]
) -> dict[str, Tensor]:
    """Count a training stream; return the tables of the module.

    `folder` takes files of 4 bytes a token for a while; `told` hears of each order and its size.

    Order 0 has no tables: it is the uniform model. An order that no sequence is long enough for is left out.
    """
    tables: dict[str, Any] = {}
    if order == 0:
        return {"discounts": torch.empty(0, 3, dtype=torch.float64)}
    counter = Counter(stream, end_of_text, folder)
    tables["counts.1"] = counter.unigrams()
    told(1, int(np.count_nonzero(tables["counts.1"])))
    for n in range(2, order + 1):
        keys, counts, suffixes, from_start = counter.count(n)
        if not len(keys):  # no sequence is so long
            order = n - 1
            break
        below = f"counts.{n - 1}"
        lefts = np.bincount(suffixes, minlength=len(from_start))
        tables[below] = np.where(from_start, tables[below], lefts)
        tables |= {f"keys.{n}": keys, f"counts.{n}": counts}
        told(n, len(keys))
    tables["discounts"] = np.array([discounts(tables[f"counts.{n}"], n) for n in range(1, order + 1)])
    return {name: torch.from_numpy(table) for name, table in tables.items()}


def discounts(counts: Ints, order: int) -> tuple[float, float, float]:
    """Derive the three discounts of an order from its counts of counts (Chen and Goodman 1999, equation 26)."""
    n1, n2, n3, n4 = (int(np.count_nonzero(counts == number)) for number in range(1, 5))
    if not min(n1, n2, n3, n4):
        log.warning("order %d: counts of counts %s tell no discounts, taken are %s", order, (n1, n2, n3, n4), FALLBACK)
        return FALLBACK
    share = n1 / (n1 + 2 * n2)
    found = (1 - 2 * share * n2 / n1, 2 - 3 * share * n3 / n2, 3 - 4 * share * n4 / n3)
    if not all(0 <= discount <= number for number, discount in enumerate(found, 1)):
        log.warning("order %d: discounts would be %s, taken are %s", order, found, FALLBACK)
        return FALLBACK
    return found
