"""Signals are measured by their definitions; the expected numbers are counted by hand."""

import pytest

from lmpipe.curate.signals import SIGNALS, measure

TEXT = "The mill and the river.\nThe mill and the river.\n- it was to be sold..."


def test_lines_are_measured() -> None:
    signals = measure(TEXT, "en")
    assert signals["lines"] == 3
    assert signals["duplicate_lines"] == pytest.approx(1 / 3)
    assert signals["duplicate_line_chars"] == pytest.approx(23 / (23 + 23 + 22))
    assert signals["bullet_lines"] == pytest.approx(1 / 3)
    assert signals["ellipsis_lines"] == pytest.approx(1 / 3)
    assert signals["punctuated_lines"] == 1


def test_words_are_measured() -> None:
    signals = measure(TEXT, "en")
    assert signals["words"] == 15
    assert signals["mean_word_chars"] == pytest.approx((18 + 18 + 13) / 15)
    assert signals["stop_words"] == 4  # the, and, to, be
    assert signals["symbol_words"] == pytest.approx(1 / 15)
    assert signals["alpha_words"] == 1


def test_top_pair_counts_only_when_it_repeats() -> None:
    assert measure("alpha beta gamma", "en")["top_2gram_chars"] == 0
    assert measure("a b x a b", "en")["top_2gram_chars"] == pytest.approx(4 / 5)


def test_chinese_is_measured_in_words_of_its_own() -> None:
    signals = measure("这条河是中国的河。", "zh")
    assert signals["words"] == 7
    assert signals["stop_words"] == 2  # 是, 的
    assert signals["punctuated_lines"] == 1


@pytest.mark.parametrize("text", ["", "\n\n", "。", "###"])
def test_text_without_words_is_measured_without_error(text: str) -> None:
    signals = measure(text, "zh")
    assert signals["words"] == 0
    assert all(value == value for value in signals.values())  # no NaN


def test_every_measured_signal_is_a_column() -> None:
    assert set(measure("x", "en")) <= set(SIGNALS.names)
