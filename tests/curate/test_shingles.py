"""Shingles: what two texts may differ in and still be the same, in every script."""

import time
import unicodedata

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmpipe.curate import shingles
from lmpipe.curate.minhash import jaccards
from lmpipe.curate.shingles import Hashes, fold, shingle_sets
from lmpipe.settings import DedupSettings

SETTINGS = DedupSettings()
WORDS = ["word", "Other", "x1", "2024", "don't", "Ünïcode", "漢字", "桥", "かな", "ไทย", "\n", " ", "，", "e\u0301"]
TEXTS = st.lists(st.sampled_from(WORDS), max_size=150).map(" ".join) | st.text(max_size=200)
LANGUAGES = st.sampled_from(["en", "zh", "ja", "fr"])


def shingled(text: str, language: str = "en") -> Hashes:
    return shingle_sets([text], [language], SETTINGS).hashes


def alike(a: str, b: str, language: str = "en") -> float:
    return float(jaccards(shingled(a, language), [shingled(b, language)])[0])


def words(number: int) -> list[str]:
    return [f"w{chr(97 + n % 26)}{chr(97 + n // 26)}" for n in range(number)]


@settings(max_examples=40)
@given(st.lists(st.tuples(TEXTS, LANGUAGES), min_size=1, max_size=6))
def test_a_set_depends_on_the_text_alone(batch: list[tuple[str, str]]) -> None:
    texts, languages = zip(*batch, strict=True)
    together = shingle_sets(texts, languages, SETTINGS)
    for index, (text, language) in enumerate(batch):
        mine = together.hashes[together.offsets[index] : together.offsets[index + 1]]
        assert mine.tolist() == shingled(text, language).tolist()
        assert (np.diff(mine.astype(np.int64)) > 0).all()


def test_a_set_does_not_depend_on_what_is_worked_on_together(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [" ".join(words(n)) for n in range(0, 200, 7)]
    whole = shingle_sets(texts, ["en"] * len(texts), SETTINGS)
    monkeypatch.setattr(shingles, "TOGETHER_CHARS", 100)
    parts = shingle_sets(texts, ["en"] * len(texts), SETTINGS)
    assert parts.hashes.tolist() == whole.hashes.tolist()
    assert parts.offsets.tolist() == whole.offsets.tolist()


def test_shingles_are_the_distinct_runs_of_words() -> None:
    text = " ".join(words(60))
    assert len(shingled(text)) == 56
    assert len(shingled(f"{text}. {text}")) == 60  # 56 of each copy, which are the same, and 4 between


def test_order_matters() -> None:
    assert alike(" ".join(words(60)), " ".join(words(60)[::-1])) == 0.0


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("The Bridge", "the bridge"),
        ("on 9 May 1998", "on 12 May 2024"),
        ("page 1,234", "page 9,876"),
        ("“well-known” – it’s", "well known: it's"),
        ("café", "cafe\u0301"),
        ("café", "cafe"),
        ("Ｆｕｌｌ　ｗｉｄｔｈ", "full width"),
        ("soft\u00adware", "software"),
        ("zero\u200bwidth", "zerowidth"),
        ("ΑΘΉΝΑ", "αθήνα"),
        ("a\n\nb", "a b"),
    ],
)
def test_keyboards_and_numbers_hide_no_copy(a: str, b: str) -> None:
    rest = " ".join(words(60))
    assert alike(f"{rest} {a} {rest}", f"{rest} {b} {rest}") == 1.0


@pytest.mark.parametrize(
    ("a", "b", "language"),
    [
        ("が", "か", "ja"),
        ("か\u3099", "か", "ja"),
        ("ぱ", "は", "ja"),
        ("กา", "กี", "th"),
        ("की", "का", "hi"),
        ("计算机", "計算機", "zh"),
        ("each", "other", "en"),
    ],
)
def test_what_is_another_word_stays_another(a: str, b: str, language: str) -> None:
    rest = " ".join(words(60))
    assert alike(f"{rest} {a} {rest}", f"{rest} {b} {rest}", language) < 1.0


@given(st.characters(exclude_categories=["Cs"]))
def test_folding_never_takes_the_voicing_from_kana(character: str) -> None:
    if any("HIRAGANA" in unicodedata.name(c, "") or "KATAKANA" in unicodedata.name(c, "") for c in character):
        voiced = unicodedata.normalize("NFD", character)
        assert len(voiced) == 1 or fold(ord(character)) != fold(ord(voiced[0]))


def test_short_texts_are_compared_by_characters() -> None:
    assert 0.5 < alike("the bridge was opened on monday", "the bridges was opened on monday") < 1
    assert len(shingled("ab")) == 1
    assert alike("ab", "ab") == 1.0
    assert alike("ab", "abc") == 0.0
    assert len(shingled("")) == len(shingled(" … \n!")) == 0


@pytest.mark.parametrize(("language", "size"), [("ja", 5), ("th", 5), ("zh", 3), ("zh-hant", 3)])
def test_scripts_without_blanks_are_cut_into_many_shingles(language: str, size: int) -> None:
    start = {"ja": 0x3041, "th": 0x0E01}.get(language, 0x4E00)
    text = "".join(chr(start + n * n % 40) for n in range(400))
    changed = text[:200] + text[201:]
    assert len(shingled(text, language)) > 15
    assert alike(text, changed, language) > 0.7


def test_chinese_is_cut_into_words_and_others_han_into_characters() -> None:
    text = "我来到北京清华大学" * 20
    assert len(shingled(text, "zh")) == 4  # 我|来到|北京|清华大学, over and over
    assert len(shingled(text, "ja")) == 9


def seconds(text: str, language: str) -> float:
    started = time.process_time()
    shingled(text, language)
    return time.process_time() - started


@pytest.mark.slow
@pytest.mark.parametrize("text", [" ".join(words(500)) + " ", "a", "桥"])
def test_a_text_of_ten_megabytes_takes_linear_time(text: str) -> None:
    small, large = (
        min(seconds(text * (size // len(text)), "zh") for _ in range(2)) for size in (2_500_000, 10_000_000)
    )
    assert large < 10 * small  # 16 times would be its square
