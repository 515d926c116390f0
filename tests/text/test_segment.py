"""Words are what a reader would count, in any script."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmpipe.text.segment import words


@pytest.mark.parametrize(
    ("text", "language", "expected"),
    [
        ("The cat's cream, e.g. 3.5 litres.", "en", ["The", "cat's", "cream", "e", "g", "3", "5", "litres"]),
        ("don’t stop", "en", ["don’t", "stop"]),
        ("中华人民共和国成立了。", "zh", ["中华人民共和国", "成立", "了"]),
        ("公元１９１１年，他说：“好。”", "zh", ["公元", "１", "９", "１", "１", "年", "他", "说", "好"]),
        ("数学です", "ja", ["数", "学", "で", "す"]),
        ("...!?", "en", []),
        ("", "zh", []),
    ],
)
def test_words_are_cut(text: str, language: str, expected: list[str]) -> None:
    assert words(text, language) == expected


def test_english_text_labelled_chinese_is_cut_at_blanks() -> None:
    assert words("plain English words", "zh") == ["plain", "English", "words"]


@given(st.text(max_size=100), st.sampled_from(["en", "zh"]))
def test_words_are_parts_of_the_text_in_order(text: str, language: str) -> None:
    position = 0
    for word in words(text, language):
        position = text.index(word, position) + len(word)
