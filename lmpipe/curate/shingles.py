"""Texts to sets of shingles: what duplicates are measured by, for a whole batch as arithmetic over characters.

A word is a run of letters, marks and digits. Case, accents, full width and the count of digits in a row are
folded away, so that a date, a page number or another keyboard hides no copy; the voicing of kana is no accent
(か is not が). Chinese is cut by rjieba's dictionary, and in other scripts without blanks each character is a
word. A shingle is a run of words, of characters where a text has too few words. All of it is arithmetic on
the batch's characters, with no Python object per word: a word's hash is a polynomial over its characters that
does not depend on where the word stands, so a text's set depends on nothing but the text.
"""

import hashlib
import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from itertools import compress, pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import rjieba

from lmpipe.settings import DedupSettings
from lmpipe.text.segment import UNSPACED, Ints, bounds, gather

Hashes = npt.NDArray[np.uint64]
Flags = npt.NDArray[np.bool_]

FEW = 10
"""A text with fewer than FEW times as many words as a shingle is cut into runs of characters."""
SHINGLE_BITS = 48
"""Bits of a shingle's hash: two texts of a million words share one by chance once in 280 times, of a thousand
never; the other 16 hold the document's number while a batch is sorted."""
TOGETHER_CHARS = 1 << 16
"""Characters that are worked on together: their arrays stay in the processor's cache, and their documents can
be numbered in 16 bits. A longer text is worked on alone and takes some 60 bytes a character."""
PARTS, LEFT_OUT = 0, 1
"""What characters are folded to that part words, or are looked through."""
ACCENTS = re.compile("[\u0300-\u036f]")
"""Of Latin, Greek and Cyrillic; kana's voicing, vowel signs and points lie elsewhere."""
ALONE = re.compile(f"[{UNSPACED}]")
"""A character that is a word."""


def constants(name: str, number: int) -> Hashes:
    """Draw odd 64-bit numbers from a name: the same for ever, on any machine."""
    digests = (hashlib.blake2b(f"{name} {i}".encode(), digest_size=8).digest() for i in range(number))
    return np.frombuffer(b"".join(digests), np.uint64) | np.uint64(1)


ODD, BASE, *PLACED = constants("shingle", 66)
INVERSE = np.uint64(pow(int(BASE), -1, 1 << 64))
"""BASE is odd, so it divides without rest modulo 2^64."""


def spread(values: Hashes) -> Hashes:
    """Mix the bits of 64-bit numbers, one to one (a round of Murmur's finaliser and one more)."""
    mixed = values ^ (values >> np.uint64(32))
    mixed *= ODD
    mixed ^= mixed >> np.uint64(29)
    mixed *= PLACED[0]
    mixed ^= mixed >> np.uint64(32)
    return mixed


ZERO = spread(np.array([ord("0")], np.uint64))
"""The value of every digit."""


class Sets(NamedTuple):
    """The shingle sets of a batch of texts."""

    hashes: Hashes
    """Sorted and distinct within each text, one text after another."""
    offsets: Ints
    """Text i has hashes[offsets[i]:offsets[i + 1]]; one more than there are texts."""


def shingle_sets(texts: Sequence[str], languages: Sequence[str], settings: DedupSettings) -> Sets:
    """Make the shingle set of every text of a batch; empty for a text without words."""
    ends = np.cumsum(np.fromiter(map(len, texts), np.int64, len(texts)) + 1) // TOGETHER_CHARS
    edges = [0, *(np.flatnonzero(np.diff(ends)) + 1).tolist(), len(texts)]
    parts = [sets_together(texts[a:b], languages[a:b], settings) for a, b in pairwise(edges)]
    return Sets(
        np.concatenate([part.hashes for part in parts]), bounds(np.concatenate([np.diff(p.offsets) for p in parts]))
    )


def sets_together(texts: Sequence[str], languages: Sequence[str], settings: DedupSettings) -> Sets:
    """Make the sets of texts that are worked on together."""
    chinese = np.array([language.partition("-")[0] == "zh" for language in languages], bool)
    sizes = np.where(chinese, settings.shingle_chinese, settings.shingle)
    units, offsets = word_hashes(texts, chinese, FEW * sizes)
    by_size = [shingles(units, offsets, np.flatnonzero(sizes == size), size) for size in np.unique(sizes).tolist()]
    keys = np.concatenate([np.empty(0, np.uint64), *by_size])
    keys.sort()
    keys = keys.compress(np.append(True, keys[1:] != keys[:-1])[: len(keys)])
    edges = np.arange(len(texts) + 1, dtype=np.uint64) << np.uint64(SHINGLE_BITS)
    return Sets(keys & np.uint64((1 << SHINGLE_BITS) - 1), np.searchsorted(keys, edges))


def word_hashes(texts: Sequence[str], chinese: Flags, least: Ints) -> tuple[Hashes, Ints]:
    """Hash the words of texts, or the characters of those with fewer than `least` words; also where each text begins.

    A word's hash is the sum of value(c) * BASE^(place in the word), spread.
    """
    together = "\n".join([*texts, ""])
    lengths = np.fromiter(map(len, texts), np.int64, len(texts)) + 1
    values, alone = look_up(np.frombuffer(together.encode("utf-32-le"), np.uint32).astype(np.intp))
    cuts = chinese_cuts(together, np.repeat(chinese, lengths), alone)
    values, begins, offsets = word_begins(values, alone, cuts, bounds(lengths))
    few = np.diff(np.searchsorted(np.flatnonzero(begins), offsets)) < least
    if few.any():
        begins |= np.repeat(few, np.diff(offsets)) & (values != PARTS)
    starts = np.flatnonzero(begins)
    if not len(starts):
        return np.empty(0, np.uint64), np.zeros(len(texts) + 1, np.int64)
    values *= powers(BASE, len(values))
    return spread(np.add.reduceat(values, starts) * powers(INVERSE, len(values))[starts]), np.searchsorted(
        starts, offsets
    )


def powers(base: np.uint64, number: int) -> Hashes:
    """List the powers of a number from the first on, modulo 2^64."""
    found: Hashes = np.multiply.accumulate(np.full(number, base))
    return found


def chinese_cuts(together: str, chinese: Flags, alone: Flags) -> Flags:
    """Say where words of Chinese texts begin, whose characters are then no words by themselves."""
    cuts = np.zeros(len(together), bool)
    if chinese.any():
        text = together if chinese.all() else "".join(compress(together, chinese.tolist()))
        pieces = rjieba.cut(text, hmm=False)
        ends = np.cumsum(np.fromiter(map(len, pieces), np.int64, len(pieces)))
        cuts[np.flatnonzero(chinese)[ends[:-1]]] = True
        alone &= ~chinese
    return cuts


def word_begins(values: Hashes, alone: Flags, cuts: Flags, offsets: Ints) -> tuple[Hashes, Flags, Ints]:
    """Say which characters begin a word, once what is looked through has been taken out."""
    zero = values == ZERO
    keep = values != LEFT_OUT
    keep[1:] &= ~(zero[1:] & zero[:-1])  # a run of digits is one
    kept = bounds(keep)[offsets]
    values, alone, cuts = values.compress(keep), alone.compress(keep), cuts.compress(keep)
    begins = values != PARTS
    begins[1:] &= (values[:-1] == PARTS) | alone[1:] | alone[:-1] | cuts[1:]
    return values, begins, kept


def look_up(codes: npt.NDArray[np.intp]) -> tuple[Hashes, Flags]:
    """Give every character the value of what it is folded to, and say whether it is a word by itself."""
    present = np.zeros(int(codes.max(initial=0)) + 1, bool)
    present[codes] = True
    distinct = np.flatnonzero(present)
    folded = np.fromiter(map(fold, distinct.tolist()), np.uint64, len(distinct))
    values, alone = np.empty(len(present), np.uint64), np.empty(len(present), bool)
    values[distinct] = np.where(folded > LEFT_OUT, spread(folded), folded)
    alone[distinct] = np.fromiter(map(is_alone, distinct.tolist()), bool, len(distinct))
    return values.take(codes), alone.take(codes)


@lru_cache(maxsize=1 << 17)
def fold(code: int) -> int:
    """Fold a character to the one that stands for it in words, to PARTS or to LEFT_OUT."""
    character = chr(code)
    if unicodedata.category(character) == "Cf" or ACCENTS.match(character):
        return LEFT_OUT
    if character.isdecimal():
        return ord("0")
    if not (character.isalnum() or unicodedata.category(character)[0] == "M"):
        return PARTS
    plain = ACCENTS.sub("", unicodedata.normalize("NFKD", character.lower())).lower()
    return ord(plain if len(plain) == 1 else character)


@lru_cache(maxsize=1 << 17)
def is_alone(code: int) -> bool:
    """Say whether a character is a word by itself."""
    return ALONE.match(chr(code)) is not None


def shingles(units: Hashes, offsets: Ints, numbers: Ints, size: int) -> Hashes:
    """Hash every run of `size` units within each of some texts, below the text's number in 16 bits.

    A text of fewer units has one shingle, of all of them.
    """
    lengths = np.diff(offsets)[numbers]
    units = gather(units.view(np.int64), offsets[numbers], lengths).view(np.uint64)
    documents = np.repeat(numbers, lengths)
    mixed = units * PLACED[0]
    whole = np.ones(len(units), bool)
    for place in range(1, size):
        mine = documents[place:] == documents[: max(len(units) - place, 0)]
        mixed[: len(mine)] += units[place:] * PLACED[place] * mine
        whole[: len(mine)] &= mine
        whole[len(mine) :] = False
    whole[bounds(lengths)[:-1][(lengths > 0) & (lengths < size)]] = True
    hashed = spread(mixed.compress(whole)) >> np.uint64(64 - SHINGLE_BITS)
    hashed |= documents.compress(whole).astype(np.uint64) << np.uint64(SHINGLE_BITS)
    return hashed
