"""MinHash: signatures that follow the theory, and similarities that equal sets' own."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmpipe.curate.minhash import Signer, WordHashes, jaccard, shingles
from lmpipe.settings import DedupSettings

WORDS = st.lists(st.sampled_from([f"word{n}" for n in range(20)] + ["Ünïcode", "漢字", "x1", "x2"]), max_size=120)
HASHES = st.frozensets(st.integers(0, 2**64 - 1), max_size=60)


@given(HASHES, HASHES)
def test_jaccard_equals_that_of_sets(a: frozenset[int], b: frozenset[int]) -> None:
    found = jaccard(np.array(sorted(a), np.uint64), np.array(sorted(b), np.uint64))
    assert found == (len(a & b) / len(a | b) if a | b else 0.0)


@given(WORDS, WORDS)
def test_shingles_depend_on_the_text_alone(words: list[str], before: list[str]) -> None:
    used = WordHashes()
    shingles(before, 5, used)
    assert shingles(words, 5, used).tolist() == shingles(words, 5, WordHashes()).tolist()


def test_shingles_are_the_distinct_runs_of_words() -> None:
    words = [f"w{chr(97 + n % 26)}{chr(97 + n // 26)}" for n in range(60)]
    assert len(shingles(words, 5, WordHashes())) == 56
    assert len(shingles(words + words, 5, WordHashes())) == 60  # 56 of each copy, which are the same, and 4 between


def test_shingles_see_no_case_and_no_digits_but_order() -> None:
    words = [f"Word{chr(97 + n)}" for n in range(25)] * 2 + ["12"]
    same = [word.lower() for word in words[:-1]] + ["34"]
    assert jaccard(shingles(words, 5, WordHashes()), shingles(same, 5, WordHashes())) == 1.0
    assert jaccard(shingles(words, 5, WordHashes()), shingles(words[::-1], 5, WordHashes())) == 0.0


def test_short_texts_are_compared_by_characters() -> None:
    a, b = ["the", "bridge", "was", "opened", "on", "monday"], ["the", "bridges", "was", "opened", "on", "monday"]
    assert 0.5 < jaccard(shingles(a, 5, WordHashes()), shingles(b, 5, WordHashes())) < 1
    assert len(shingles(["ab"], 5, WordHashes())) == 1
    assert len(shingles([], 5, WordHashes())) == 0


@pytest.mark.parametrize("similarity", [0.5, 0.6, 0.7, 0.8, 0.9, 1.0])
def test_pairs_meet_as_often_as_the_banding_curve_says(similarity: float) -> None:
    settings, pairs, size = DedupSettings(), 500, 300
    signer = Signer(settings)
    chance = np.random.default_rng(7)
    common = round(2 * size * similarity / (1 + similarity))
    met = 0
    for _ in range(pairs):
        drawn = chance.integers(0, 2**64, 2 * size - common, np.uint64)
        a, b = drawn[:size], drawn[size - common :]
        met += bool((signer.bands(a) == signer.bands(b)).any())
    expected = 1 - (1 - (common / (2 * size - common)) ** settings.rows) ** settings.bands
    assert abs(met / pairs - expected) < 0.07  # three standard deviations of 500 draws


def test_signatures_never_change() -> None:
    """Signatures on disk are compared with new ones: this guards the constants."""
    hashed = shingles([f"word{n}" for n in range(100)], 5, WordHashes())
    assert Signer(DedupSettings(bands=2)).bands(hashed).tolist() == [4140234516113468799, 9375218152504188864]
