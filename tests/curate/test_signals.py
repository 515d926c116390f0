"""Signals are measured by their definitions; the expected numbers are counted by hand."""

import hashlib
import math
import zlib
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmpipe.curate.signals import SIGNALS, measure

TEXT = "The mill and the river.\nThe mill and the river.\n- it was to be sold..."
"""Words 5 + 5 + 5; segments 6 + 6 + 7 (the stops, the hyphen, the ellipsis); 23 + 1 + 23 + 1 + 22 characters."""


def signals_of(text: str, language: str = "en") -> dict[str, Any]:
    """The signals of one text, as Arrow would store them."""
    return {name: pa.array(values).to_pylist()[0] for name, values in measure([text], [language]).items()}


@pytest.mark.parametrize(
    ("signal", "expected"),
    [
        ("bytes", 70),
        ("chars", 70),
        ("words", 15),
        ("segments", 19),
        ("mean_word_chars", (18 + 18 + 13) / 15),
        ("median_word_chars", 3),
        ("longest_word", 5),
        ("alpha_words", 1),
        ("alpha_segments", 15 / 19),
        ("digit_chars", 0),
        ("symbol_words", 1 / 15),
        ("hash_words", 0),
        ("ellipsis_words", 1 / 19),
        ("stop_words", 4),  # the, and, to, be
        ("newlines_per_word", 2 / 19),
    ],
)
def test_words_are_measured(signal: str, expected: float) -> None:
    assert signals_of(TEXT)[signal] == pytest.approx(expected)


def test_digits_hashes_and_wordless_marks_are_counted() -> None:
    signals = signals_of("#1 # 22 １９ a … ...")
    assert signals["digit_chars"] == pytest.approx(5 / 18)
    assert signals["words"] == 4
    assert signals["segments"] == 8
    assert signals["hash_words"] == pytest.approx(2 / 8)
    assert signals["ellipsis_words"] == pytest.approx(2 / 8)
    assert signals["symbol_words"] == pytest.approx(4 / 4)
    assert signals["alpha_words"] == pytest.approx(1 / 4)


@pytest.mark.parametrize(("text", "median"), [("a bbb", 2), ("a bb cccc", 2), ("a bb cccc dddd", 3), ("é", 1)])
def test_median_is_between_the_middle_words(text: str, median: float) -> None:
    assert signals_of(text)["median_word_chars"] == median


def test_entropy_is_that_of_the_words_without_marks() -> None:
    assert signals_of("a b c d . . .")["unigram_entropy"] == pytest.approx(2)
    assert signals_of("a a a a")["unigram_entropy"] == 0
    expected = 0.5 * math.log2(2) + 2 * 0.25 * math.log2(4)
    assert signals_of("a a b c")["unigram_entropy"] == pytest.approx(expected)


def test_bytes_are_hashed_and_compressed() -> None:
    text = "河水流入大海。" * 20
    signals = signals_of(text, "zh")
    assert signals["bytes"] == 3 * signals["chars"] == 420
    assert signals["text_sha256"] == hashlib.sha256(text.encode()).digest()
    assert signals["compression_ratio"] == pytest.approx(len(zlib.compress(text.encode(), 1)) / 420)


def test_chinese_is_measured_in_words_of_its_own() -> None:
    signals = signals_of("这条河是中国的河。", "zh")
    assert signals["words"] == 6  # 这 条河 是 中国 的 河
    assert signals["stop_words"] == 2  # 是, 的
    assert signals["punctuated_lines"] == 1


def test_stop_words_are_counted_once_in_any_case_and_shared_over_words() -> None:
    signals = signals_of("The THE the heron and a heron.")
    assert signals["stop_words"] == 2
    assert signals["stop_word_share"] == pytest.approx(5 / 7)  # the long list has "a" too


def test_language_without_lists_has_no_stop_words_and_no_zero() -> None:
    signals = signals_of("Upe i jiura", "ltg")
    assert signals["stop_words"] is None
    assert signals["stop_word_share"] is None


def test_each_text_of_a_batch_is_counted_by_its_own_language() -> None:
    measured = measure(["the und", "the und", "the und"], ["en", "de", "ltg"])
    assert measured["stop_words"] == [1, 1, None]


@pytest.mark.parametrize("text", ["", "\n\n", "。", "###", " ", "…", "a", "\u0301", "１", "\n。\n"])
@pytest.mark.parametrize("language", ["en", "zh", "fr", "ltg"])
def test_smallest_texts_are_measured_without_error(text: str, language: str) -> None:
    signals = signals_of(text, language)
    assert all(value == value for value in signals.values())  # no NaN
    assert signals["words"] <= len(text)


def test_empty_batch_is_measured() -> None:
    assert all(len(values) == 0 for values in measure([], []).values())


def test_sums_of_floats_do_not_depend_on_the_order_of_the_vocabulary() -> None:
    names = [f"word{n}" for n in range(60)]
    texts = [" ".join(name for n, name in enumerate(names) for _ in range(1 + n * n % m)) for m in range(2, 60)]
    together = measure([" ".join(reversed(names)), *texts], ["en"] * 59)["unigram_entropy"].tolist()
    assert together[1:] == [signals_of(text)["unigram_entropy"] for text in texts]


def test_long_documents_are_measured_as_they_would_be_alone() -> None:
    book = "The heron stood in the river and did not move. " * 30_000
    texts = ["Before it.", book, "After it.", book[:-47], ""]
    together = {name: list(values) for name, values in measure(texts, ["en"] * 5).items()}
    alone = [signals_of(text) for text in texts]
    assert [{name: values[row] for name, values in together.items()} for row in range(5)] == alone


def test_every_measured_signal_is_a_column_and_every_column_is_measured() -> None:
    of_the_stage = {
        "id",
        "source",
        "created",
        "work",
        "lang",
        "lang_score",
        "script",
        "second_lang",
        "lang_share",
    }
    measured_by_others = {"pii_spans", "quality"}
    assert set(signals_of("x")) == set(SIGNALS.names) - of_the_stage - measured_by_others


TEXTS = st.text(st.sampled_from("aab the.,'\n\n-#…１中文的。“”") | st.characters(codec="utf-8"), max_size=120)


@given(st.lists(st.tuples(TEXTS, st.sampled_from(["en", "zh", "fr", "ltg"])), min_size=1, max_size=5))
def test_signals_of_a_document_do_not_depend_on_its_neighbours(batch: list[tuple[str, str]]) -> None:
    texts, languages = [text for text, _ in batch], [language for _, language in batch]
    together = {name: pa.array(values).to_pylist() for name, values in measure(texts, languages).items()}
    alone = [signals_of(text, language) for text, language in batch]
    assert [{name: values[row] for name, values in together.items()} for row in range(len(batch))] == alone


@given(TEXTS, st.sampled_from(["en", "zh"]))
def test_shares_lie_between_nothing_and_everything(text: str, language: str) -> None:
    signals = signals_of(text, language)
    shares = [name for name in signals if name.endswith(("_lines", "_chars", "_words", "_segments", "_paragraphs"))]
    counted = {"mean_word_chars", "median_word_chars", "stop_words", "symbol_words"}
    assert all(0 <= signals[name] <= 1 for name in shares if name not in counted)
