"""The order of rows: a keyed permutation of range(size) that is computed where it is asked for, in constant memory.

A Feistel network over the next power of four, walked until it lands inside the range (format-preserving
encryption by cycle walking: Black and Rogaway 2002, section 3), fewer than four steps on average. The round
function is a multiply-and-shift mix (Steele et al. 2014, "SplitMix") under subkeys that BLAKE2b derives from the
key: it needs no secrecy, only the look of a random order, and runs on a whole batch of rows at once.
"""

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.uint64]

ROUNDS = 6
"""Four give a strong pseudo-random permutation (Luby and Rackoff 1988); two more even out tiny domains."""

MIX = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))
"""Multipliers of SplitMix64's finaliser."""


def permuted(indexes: NDArray[Any], size: int, key: str) -> NDArray[np.int64]:
    """Map indexes in range(size) through the permutation of that range which `key` names."""
    half = max(1, ((size - 1).bit_length() + 1) // 2)
    subkeys = np.frombuffer(hashlib.blake2b(key.encode(), digest_size=8 * ROUNDS).digest(), "<u8")
    values = feistel(indexes.astype(np.uint64), half, subkeys)
    while (outside := values >= size).any():
        values[outside] = feistel(values[outside], half, subkeys)
    return values.astype(np.int64)


def feistel(values: Numbers, half: int, subkeys: Numbers) -> Numbers:
    """Permute the integers of 2 * half bits (Luby and Rackoff 1988)."""
    bits, mask = np.uint64(half), np.uint64((1 << half) - 1)
    left, right = values >> bits, values & mask
    for subkey in subkeys:
        left, right = right, left ^ (mixed(right ^ subkey) & mask)
    return left << bits | right


def mixed(values: Numbers) -> Numbers:
    """Mix 64 bits so that each bit of the input reaches each of the output; overflow wraps."""
    values = (values ^ values >> np.uint64(30)) * MIX[0]
    values = (values ^ values >> np.uint64(27)) * MIX[1]
    return values ^ values >> np.uint64(31)
