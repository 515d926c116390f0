"""MinHash signatures of texts (Broder 1997), and the true similarity that they only estimate.

A text is the set of its shingles: runs of words, lower-cased and with digits as 0, so that a date or a
page number hides no copy; runs of characters where it has too few words. Two texts fall into the same bucket of
a band when all of the band's minima agree, which happens with probability 1 - (1 - s^rows)^bands at Jaccard
similarity s. A text's signature depends on nothing but its words: not on the batch, the process or the machine.
"""

import hashlib
import re
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from lmpipe.settings import DedupSettings

Hashes = npt.NDArray[np.uint64]

FEW = 10
"""A text with fewer than FEW times as many words as a shingle is cut into runs of characters."""
DIGIT = re.compile(r"\d")
ODD = np.uint64(0x9E3779B97F4A7C15)
"""2^64 / golden ratio: multiplies what is combined in order (Knuth's multiplicative hashing)."""


def constants(name: str, number: int) -> Hashes:
    """Draw odd 64-bit numbers from a name: the same for ever, on any machine."""
    digests = (hashlib.blake2b(f"{name} {i}".encode(), digest_size=8).digest() for i in range(number))
    return np.frombuffer(b"".join(digests), np.uint64) | np.uint64(1)


class WordHashes(dict[str, int]):
    """64-bit hash of each distinct word, computed once."""

    def __missing__(self, word: str) -> int:
        normal = DIGIT.sub("0", word.lower())
        self[word] = found = int.from_bytes(hashlib.blake2b(normal.encode(), digest_size=8).digest(), "little")
        return found


def shingles(words: Sequence[str], size: int, hashes: WordHashes) -> Hashes:
    """Return the distinct shingle hashes of a text's words, sorted; none for a text without words."""
    units = words if len(words) >= FEW * size else list("".join(words))
    hashed = np.fromiter(map(hashes.__getitem__, units), np.uint64, len(units))
    if not len(hashed):
        return hashed
    runs = max(len(hashed) - size + 1, 1)
    mixed = np.zeros(runs, np.uint64)
    for place in range(min(size, len(hashed))):
        mixed = (mixed ^ hashed[place : place + runs]) * ODD
        mixed ^= mixed >> np.uint64(29)
    return np.unique(mixed)


class Signer:
    """Makes the band hashes of shingle sets; holds the constants of the permutations."""

    def __init__(self, settings: DedupSettings) -> None:
        self.shape = (settings.bands, settings.rows)
        number = settings.bands * settings.rows
        self.factors = constants("factor", number)[:, None]
        self.terms = constants("term", number)[:, None]
        self.weights = constants("weight", settings.rows)

    def bands(self, hashed: Hashes) -> Hashes:
        """Return one hash per band, of the band's minima over h -> factor * h + term (mod 2^64)."""
        mixed = self.factors * hashed[None, :] + self.terms
        minima = (mixed ^ (mixed >> np.uint64(32))).min(axis=1).reshape(self.shape)
        combined: Hashes = ((minima ^ (minima >> np.uint64(31))) * self.weights).sum(axis=1, dtype=np.uint64)
        return combined


def jaccard(a: Hashes, b: Hashes) -> float:
    """Return the size of the intersection over that of the union of two sorted sets; 0 for two empty ones."""
    common = len(np.intersect1d(a, b, assume_unique=True))
    union = len(a) + len(b) - common
    return common / union if union else 0.0
