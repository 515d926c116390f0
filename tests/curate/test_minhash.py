"""MinHash: signatures that follow the theory, and similarities that equal sets' own."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmpipe.curate.minhash import Hashes, Signer, WordHashes, jaccard, shingles
from lmpipe.settings import DedupSettings

WORDS = st.lists(st.sampled_from([*"abcdefghijklm", "Ünïcode", "漢字", "がぎ", "x1", "x2", "--"]), max_size=120)
TEXTS = st.lists(st.tuples(WORDS.map(" ".join), st.sampled_from(["en", "zh", "ja", "fr"])), min_size=1, max_size=5)
HASHES = st.frozensets(st.integers(0, 2**64 - 1), max_size=60)
SETTINGS = DedupSettings()


def cut(*texts: str, language: str = "en") -> list[Hashes]:
    return shingles(texts, [language] * len(texts), SETTINGS, WordHashes())


def similarity(a: str, b: str, language: str = "en") -> float:
    return jaccard(*cut(a, b, language=language))


def words(number: int) -> list[str]:
    return [f"w{chr(97 + n % 26)}{chr(97 + n // 26)}" for n in range(number)]


@given(HASHES, HASHES)
def test_jaccard_equals_that_of_sets(a: frozenset[int], b: frozenset[int]) -> None:
    found = jaccard(np.array(sorted(a), np.uint64), np.array(sorted(b), np.uint64))
    assert found == (len(a & b) / len(a | b) if a | b else 0.0)


@given(TEXTS)
def test_shingles_and_bands_depend_on_the_text_alone(batch: list[tuple[str, str]]) -> None:
    together = shingles([text for text, _ in batch], [language for _, language in batch], SETTINGS, WordHashes())
    alone = [shingles([text], [language], SETTINGS, WordHashes())[0] for text, language in batch]
    assert [hashed.tolist() for hashed in together] == [hashed.tolist() for hashed in alone]
    signer, some = Signer(SETTINGS), [hashed for hashed in together if len(hashed)]
    assert signer.bands(some).tolist() == [signer.bands([hashed])[0].tolist() for hashed in some]


def test_shingles_are_the_distinct_runs_of_words() -> None:
    text = " ".join(words(60))
    assert len(cut(text)[0]) == 56
    assert len(cut(f"{text} {text}")[0]) == 60  # 56 of each copy, which are the same, and 4 between


def test_shingles_see_no_case_no_marks_no_accents_and_no_digits_but_order() -> None:
    named = [f"Café{word}" for word in words(50)]
    assert similarity(" ".join([*named, "12"]), ", ".join([w.lower().replace("é", "e") for w in named] + ["34"])) == 1.0
    assert similarity(" ".join(named), " ".join(named[::-1])) == 0.0


def test_voiced_kana_are_other_words() -> None:
    assert similarity("かきくけこ" * 3, "がぎぐげご" * 3, "ja") == 0.0


def test_chinese_is_cut_into_words() -> None:
    text = "我们在北京大学学习中文，" * 20
    assert len(cut(text, language="zh")[0]) < len(text) / 20
    assert similarity(text, text.replace("，", "。"), "zh") == 1.0


def test_short_texts_are_compared_by_characters() -> None:
    assert 0.5 < similarity("The bridge was opened on Monday.", "The bridges was opened on Monday") < 1
    assert [len(hashed) for hashed in cut("ab", "", "?!")] == [1, 0, 0]


@pytest.mark.parametrize("similarity", [0.5, 0.6, 0.7, 0.8, 0.9, 1.0])
def test_pairs_meet_as_often_as_the_banding_curve_says(similarity: float) -> None:
    pairs, size = 2_000, 300
    signer, chance = Signer(SETTINGS), np.random.default_rng(7)
    common = round(2 * size * similarity / (1 + similarity))
    drawn = [chance.integers(0, 2**64, 2 * size - common, np.uint64) for _ in range(pairs)]
    a, b = signer.bands([d[:size] for d in drawn]), signer.bands([d[size - common :] for d in drawn])
    expected = 1 - (1 - (common / (2 * size - common)) ** SETTINGS.rows) ** SETTINGS.bands
    met = (a == b).any(axis=1).mean()
    assert abs(met - expected) < 0.034  # three standard deviations of 2000 draws


def test_signatures_never_change() -> None:
    """Signatures on disk are compared with new ones: this guards the constants."""
    hashed = cut(" ".join(words(100)))
    assert Signer(DedupSettings(bands=2)).bands(hashed).tolist() == [[1, 2]]
