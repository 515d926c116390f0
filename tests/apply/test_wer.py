"""Errors per utterance are jiwer's, and Chinese is counted by characters."""

import jiwer
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from lmpipe.apply.wer import compare, count_errors, resampled, units, word_errors

TEXTS = st.lists(st.sampled_from("abc"), max_size=6).map(" ".join)


@settings(max_examples=30)
@given(TEXTS.filter(bool), st.lists(TEXTS, min_size=1, max_size=5))
def test_errors_of_each_hypothesis_add_up_to_jiwers_rate(reference: str, hypotheses: list[str]) -> None:
    errors = word_errors(reference, hypotheses, "words")
    whole = jiwer.wer([reference] * len(hypotheses), hypotheses)
    assert errors.sum() / (len(hypotheses) * len(reference.split())) == whole


def test_an_empty_reference_counts_insertions() -> None:
    assert count_errors("", "a b", "words") == (0, 2, 0, 3)
    assert count_errors("a b", "", "words") == (2, 2, 3, 3)


def test_chinese_units_are_characters_and_runs_of_anything_else() -> None:
    assert units("我用GPT-4写 诗𠀀。", "chinese") == "我 用 GPT-4 写 诗 𠀀 。"
    assert count_errors("我用GPT", "我 用 GPT 了", "chinese") == (3, 1, 5, 1)


def test_character_errors_count_blanks_between_words() -> None:
    assert count_errors("ab c", "abc", "words").character_errors == 1


def test_systems_are_compared_over_the_same_utterances() -> None:
    lengths = np.full(200, 10)
    worse = np.random.default_rng(3).integers(0, 6, 200)
    better = np.maximum(worse - 1, 0)
    difference = compare(resampled(better, lengths, 5), resampled(worse, lengths, 5))
    assert difference.low < difference.mean < difference.high < 0
    assert difference.p == 0
    same = compare(resampled(worse, lengths, 5), resampled(worse, lengths, 5))
    assert (same.mean, same.low, same.high, same.p) == (0, 0, 0, 1)
