"""The order of rows: a keyed permutation of range(size) that is computed where it is asked for, in constant memory.

A Feistel network over the next power of four, walked until it lands inside the range (format-preserving
encryption by cycle walking: Black and Rogaway 2002, section 3), fewer than four steps on average. The round
function is a multiply-and-shift mix (Steele et al. 2014, "SplitMix") under subkeys that BLAKE2b derives from the
key: it needs no secrecy, only the look of a random order, and runs on a whole batch of rows at once.
"""

import hashlib

from torch import Tensor

ROUNDS = 6
"""Four give a strong pseudo-random permutation (Luby and Rackoff 1988); two more even out tiny domains."""

MIX = (0xBF58476D1CE4E5B9 - (1 << 64), 0x94D049BB133111EB - (1 << 64))
"""Multipliers of SplitMix64's finaliser, as the int64 of the same bits."""


def permuted(indexes: Tensor, size: int, key: str) -> Tensor:
    """Map indexes in range(size), int64, through the permutation of that range which `key` names."""
    half = max(1, ((size - 1).bit_length() + 1) // 2)
    digest = hashlib.blake2b(key.encode(), digest_size=8 * ROUNDS).digest()
    subkeys = [int.from_bytes(digest[n : n + 8], "little", signed=True) for n in range(0, len(digest), 8)]
    values = feistel(indexes, half, subkeys)
    while bool((outside := values >= size).any()):
        values[outside] = feistel(values[outside], half, subkeys)
    return values


def feistel(values: Tensor, half: int, subkeys: list[int]) -> Tensor:
    """Permute the integers of 2 * half bits (Luby and Rackoff 1988)."""
    mask = (1 << half) - 1
    left, right = values >> half, values & mask
    for subkey in subkeys:
        left, right = right, left ^ (mixed(right ^ subkey) & mask)
    return left << half | right


def mixed(values: Tensor) -> Tensor:
    """Mix 64 bits so that each bit of the input reaches each of the output; overflow wraps."""
    values = (values ^ shifted(values, 30)) * MIX[0]
    values = (values ^ shifted(values, 27)) * MIX[1]
    return values ^ shifted(values, 31)


def shifted(values: Tensor, bits: int) -> Tensor:
    """Shift right and fill with zeros, which torch does for no signed type."""
    return values >> bits & (1 << 64 - bits) - 1
