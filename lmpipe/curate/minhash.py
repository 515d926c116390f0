"""MinHash signatures of shingle sets (Broder 1997), and the true similarity that they only estimate.

Two sets fall into the same bucket of a band when all of the band's minima agree, which happens with
probability 1 - (1 - s^rows)^bands at Jaccard similarity s. A permutation is h -> factor * h modulo 2^32 over
hashes that are random already: an addition as well would cost a third more time and move no point of the curve.
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from lmpipe.curate.shingles import Hashes, Sets, constants, spread
from lmpipe.settings import DedupSettings

TOGETHER_SHINGLES = 1 << 15
"""Shingles per pass: with their products they stay in the processor's cache."""


class Signer:
    """Makes the band hashes of shingle sets; holds the constants of the permutations."""

    def __init__(self, settings: DedupSettings) -> None:
        self.shape = (settings.bands, settings.rows)
        number = settings.bands * settings.rows
        self.factors = (constants("factor", number) >> np.uint64(32)).astype(np.uint32) | np.uint32(1)
        self.weights = constants("weight", settings.rows)

    def bands(self, sets: Sets) -> Hashes:
        """Return one row of band hashes per set; no set may be empty."""
        ends = sets.offsets[1:] // TOGETHER_SHINGLES
        edges = [0, *(np.flatnonzero(np.diff(ends)) + 1).tolist(), len(ends)]
        minima = np.empty((len(self.factors), len(ends)), np.uint32)
        for start, end in pairwise(edges):
            first, last = sets.offsets[start], sets.offsets[end]
            hashed, starts = sets.hashes[first:last].astype(np.uint32), sets.offsets[start:end] - first
            product = np.empty_like(hashed)
            for factor, found in zip(self.factors, minima, strict=True):
                np.multiply(hashed, factor, out=product)
                np.minimum.reduceat(product, starts, out=found[start:end])
        return self.combined(minima)

    def combined(self, minima: npt.NDArray[np.uint32]) -> Hashes:
        """Make one hash of the minima of each band."""
        spread_out = spread(minima.astype(np.uint64)).reshape(*self.shape, -1)
        banded: Hashes = (spread_out * self.weights[:, None]).sum(axis=1, dtype=np.uint64).T
        return banded


def fingerprints(sets: Sets) -> Hashes:
    """Return one hash per set, the same for equal sets; no set may be empty."""
    return np.add.reduceat(spread(sets.hashes), sets.offsets[:-1])


def jaccards(one: Hashes, others: Sequence[Hashes]) -> npt.NDArray[np.float64]:
    """Return |one & other| / |one | other| for each other set; all sorted, none empty."""
    sizes = np.fromiter(map(len, others), np.int64, len(others))
    joined = np.concatenate(others)
    found = one.take(np.searchsorted(one, joined), mode="clip") == joined
    common = np.add.reduceat(found, np.cumsum(sizes) - sizes, dtype=np.int64)
    similarities: npt.NDArray[np.float64] = common / (len(one) + sizes - common)
    return similarities
