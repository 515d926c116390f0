"""Repeated n-grams: counted by hand on small texts, and as the plain definition counts them on any."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmpipe.curate.repetition import DUPLICATE_NGRAMS, TOP_NGRAMS, Batch, measure_repetition, rank
from lmpipe.curate.signals import measure


def repetition_of(text: str) -> dict[str, float]:
    """The repetition signals of one English text."""
    measured = measure([text], ["en"])
    return {name: values[0] for name, values in measured.items() if "gram_chars" in name}


def test_top_pair_counts_only_when_it_repeats() -> None:
    assert repetition_of("alpha beta gamma")["top_2gram_chars"] == 0
    assert repetition_of("a b x a b")["top_2gram_chars"] == pytest.approx(2 * len("a b") / 9)


def test_first_of_equally_frequent_pairs_counts() -> None:
    text = "a b - ccc ddd - a b - ccc ddd"
    assert repetition_of(text)["top_2gram_chars"] == pytest.approx(2 * 3 / len(text))


def test_most_frequent_pair_counts_before_the_longest() -> None:
    text = "long words x long words a b c a b d a b"
    assert repetition_of(text)["top_2gram_chars"] == pytest.approx(3 * 3 / len(text))


def test_overlapping_copies_count_in_the_top_but_not_as_second_copies() -> None:
    signals = repetition_of("o o o o o o o o o o o o")  # 12 words of one letter, 23 characters
    assert signals["top_2gram_chars"] == pytest.approx(11 * 3 / 23)
    assert signals["top_4gram_chars"] == pytest.approx(9 * 7 / 23)
    assert signals["duplicate_5gram_chars"] == pytest.approx(2 * 5 / 23)  # found at 0; taken at 1 and 6
    assert signals["duplicate_6gram_chars"] == pytest.approx(1 * 6 / 23)  # taken at 1 and 7 would end at 13
    assert signals["duplicate_10gram_chars"] == pytest.approx(1 * 10 / 23)


def test_repeated_sentence_is_a_second_copy_of_every_length() -> None:
    sentence = "the old mill by the river burnt down in the spring flood"
    signals = repetition_of(f"{sentence} again {sentence}")
    letters = len(sentence.replace(" ", ""))
    assert signals["duplicate_10gram_chars"] > 0
    assert signals["duplicate_6gram_chars"] == pytest.approx(letters / (2 * len(sentence) + 7))


def test_ngrams_do_not_reach_into_the_next_document() -> None:
    texts = ["a b", "a b", "c a b c a"]
    assert measure(texts, ["en"] * 3)["top_2gram_chars"].tolist() == [0, 0, pytest.approx(2 * 3 / 9)]


def plain(words: list[int], sizes: list[int], chars: int) -> dict[str, float]:
    """The definitions, word for word as datatrove's loops have them."""
    found = {}
    for n in TOP_NGRAMS:
        grams = [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]
        top, times = Counter(grams).most_common(1)[0] if grams else ((), 0)
        found[f"top_{n}gram_chars"] = (sum(sizes[w] for w in top) + n - 1) * times if times > 1 else 0
    for n in DUPLICATE_NGRAMS:
        seen, repeated, place = set(), 0, 0
        while place < len(words) - n + 1:
            gram = tuple(words[place : place + n])
            repeated += sum(sizes[w] for w in gram) if gram in seen else 0
            place += n if gram in seen else 1
            seen.add(gram)
        found[f"duplicate_{n}gram_chars"] = repeated
    return {name: value / chars for name, value in found.items()}


@given(
    st.lists(st.lists(st.integers(0, 3), max_size=60), min_size=1, max_size=4),
    st.lists(st.integers(1, 9), min_size=4, max_size=4),
)
def test_batch_is_measured_as_the_loops_would(documents: list[list[int]], sizes: list[int]) -> None:
    offsets = np.cumsum([0, *map(len, documents)])
    ids = np.array([word for document in documents for word in document], np.int64)
    batch = Batch(ids, offsets, np.array(sizes, np.int64), np.full(len(documents), 997))
    measured = measure_repetition(batch)
    expected = [plain(document, sizes, 997) for document in documents]
    assert [{name: values[row] for name, values in measured.items()} for row in range(len(documents))] == expected


@given(st.lists(st.integers(-5, 5)))
def test_ranks_number_equal_keys_alike(keys: list[int]) -> None:
    numbers, first, counts = rank(np.array(keys, np.int64))
    assert [keys[first[number]] for number in numbers] == keys
    assert [keys.index(keys[place]) for place in first] == first.tolist()
    assert {keys[place]: count for place, count in zip(first, counts, strict=True)} == Counter(keys)
