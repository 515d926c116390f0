"""Words are what a reader would count, in any script; a batch is cut as each of its texts would be alone."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmpipe.text.segment import HAN, count_sentences, half_width, lines, segment, sentences, words


@pytest.mark.parametrize(
    ("text", "language", "expected"),
    [
        ("The cat's cream, e.g. 3.5 litres.", "en", ["The", "cat's", "cream", "e", "g", "3", "5", "litres"]),
        ("don’t stop", "en", ["don’t", "stop"]),
        ("中华人民共和国成立了。", "zh", ["中华人民共和国", "成立", "了"]),
        ("公元１９１１年，他说：“好。”", "zh", ["公元", "１", "９", "１", "１", "年", "他", "说", "好"]),
        ("数学です", "ja", ["数", "学", "で", "す"]),
        ("नदी में नाव।", "hi", ["नदी", "में", "नाव"]),
        ("می‌خواهم بروم", "fa", ["می‌خواهم", "بروم"]),
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


def cut(text: str, language: str) -> list[str]:
    """The segments of one text."""
    return cut_batch([text], [language])[0]


def cut_batch(texts: list[str], languages: list[str]) -> list[list[str]]:
    """The segments of each text of a batch."""
    vocabulary, ids, offsets = segment(texts, languages)
    assert len(set(vocabulary)) == len(vocabulary)
    return [[vocabulary[i] for i in ids[start:end]] for start, end in itertools.pairwise(offsets.tolist())]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("It's the river’s end.", "It|'s|the|river|’s|end|."),
        ("I don't, can't and cannot go.", "I|do|n't|,|ca|n't|and|can|not|go|."),
        ('"Well-known," he said...', '"|Well|-|known|,|"|he|said|...'),
        ("Mr. Black of the U.S. paid $1,200.50 -- or 25km", "Mr.|Black|of|the|U.S.|paid|$|1,200.50|--|or|25|km"),
        ("in Jan. at Macon, Ga., U.S.", "in|Jan.|at|Macon|,|Ga.|,|U.S."),
        ("F-16 flew 2004-05 at 10:30 (9/11)", "F-16|flew|2004|-|05|at|10:30|(|9/11|)"),
        (
            "see http://a.example/b?c=d and write to me@b.example",
            "see|http://a.example/b?c=d|and|write|to|me@b.example",
        ),
        ("_very_ snake_case 1941–1942", "_|very|_|snake_case|1941–1942"),
        ("O'Brien and the players' bus; and/or", "O'Brien|and|the|players|'|bus|;|and|/|or"),
    ],
)
def test_english_is_cut_as_spacy_cuts_it(text: str, expected: str) -> None:
    assert "|".join(cut(text, "en")) == expected


def test_french_articles_are_words() -> None:
    assert cut("L'eau d’été qu'aujourd'hui", "fr") == ["L'", "eau", "d’", "été", "qu'", "aujourd'hui"]


def test_chinese_is_cut_by_words_and_its_marks_stand_alone() -> None:
    assert cut("他说：“中华人民共和国。”\n　　好 iPhone", "zh") == (
        ["他", "说", "：", "“", "中华人民共和国", "。", "”", "好", "iPhone"]
    )


def test_full_width_number_is_one_word_of_a_chinese_text() -> None:
    assert cut("２０１２年ＧＤＰ增长", "zh") == ["2012", "年", "GDP", "增长"]


@pytest.mark.parametrize(("text", "language"), [("数学です。", "ja"), ("เรือ", "th"), ("ເຮືອ", "lo")])
def test_scripts_without_blanks_are_cut_into_characters(text: str, language: str) -> None:
    assert cut(text, language) == list(text)


@pytest.mark.parametrize("texts", [[], [""], ["", "\n \t"], ["", "word", ""]])
def test_empty_texts_have_no_segment(texts: list[str]) -> None:
    assert cut_batch(texts, ["en"] * len(texts)) == [[text] if text == "word" else [] for text in texts]


TEXTS = st.text(st.characters(codec="utf-8") | st.sampled_from("ab.,'’-n't 3\n中文です"), max_size=60)


@given(TEXTS, st.sampled_from(["en", "zh", "fr", "ja"]))
def test_segments_hold_every_character_but_blanks(text: str, language: str) -> None:
    written = half_width(text) if language == "zh" and HAN.search(text) else text
    assert "".join(cut(text, language)) == "".join(written.split())


@given(st.lists(st.tuples(TEXTS, st.sampled_from(["en", "zh", "fr"])), max_size=6))
def test_text_is_cut_alike_alone_and_among_others(batch: list[tuple[str, str]]) -> None:
    together = cut_batch([text for text, _ in batch], [language for _, language in batch])
    assert together == [cut(text, language) for text, language in batch]


@pytest.mark.parametrize(
    "text",
    ["a" * 200_000, "n't" * 60_000, "a.b" * 60_000, "-'" * 90_000, "1,2" * 60_000, "1,," * 60_000, "A." * 90_000],
)
def test_one_long_run_is_cut_in_linear_time(text: str) -> None:
    assert "".join(cut(text, "en")) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One. Two! Three?", ["One.", "Two!", "Three?"]),
        ("Mr. J. Black paid 3.5 million. He left.", ["Mr. J. Black paid 3.5 million.", "He left."]),
        ('He said "Go." Then he left', ['He said "Go."', "Then he left"]),
        ("A heading\n\n  A line. ", ["A heading", "A line."]),
        ("他说：“好。”然后走了！真的？", ["他说：“好。”", "然后走了！", "真的？"]),
        ("", []),
        (" \n ", []),
    ],
)
def test_sentences_are_found(text: str, expected: list[str]) -> None:
    assert [text[start:end] for start, end in sentences(text)] == expected


@given(TEXTS)
def test_sentences_are_counted_as_they_are_found(text: str) -> None:
    stripped = [part for start, end in lines(text) if (part := text[start:end].strip())]
    assert sum(count_sentences(stripped).tolist()) == len(sentences("\n".join(stripped)))


def test_lines_are_found_without_blank_ones() -> None:
    text = "one\n\n  \n two\n"
    assert [text[start:end] for start, end in lines(text)] == ["one", " two"]
