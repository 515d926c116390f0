"""Lines and paragraphs are measured by their definitions; the expected numbers are counted by hand."""

from typing import Any

import numpy as np
import pytest

from lmpipe.curate.lines import measure_lines


def lines_of(text: str, language: str = "en") -> dict[str, Any]:
    """The line signals of one text."""
    measured = measure_lines([text], [language], np.array([len(text)]))
    return {name: values[0] for name, values in measured.items()}


TEXT = "The mill and the river.\nThe mill and the river.\n- it was to be sold..."


@pytest.mark.parametrize(
    ("signal", "expected"),
    [
        ("lines", 3),
        ("paragraphs", 1),
        ("sentences", 3),
        ("duplicate_lines", 1 / 3),
        ("duplicate_line_chars", 23 / 70),
        ("char_duplicate_ratio", 23 / 68),
        ("bullet_lines", 1 / 3),
        ("ellipsis_lines", 1 / 3),
        ("punctuated_lines", 1),
        ("short_lines", 1),
        ("unterminated_lines", 1 / 3),
        ("c4_lines", 2 / 3),
        ("c4_sentences", 2),
    ],
)
def test_lines_are_measured(signal: str, expected: float) -> None:
    assert lines_of(TEXT)[signal] == pytest.approx(expected)


def test_blank_lines_count_nowhere_but_part_paragraphs() -> None:
    signals = lines_of("One.\n\n  \nTwo\n\nOne.\n")
    assert signals["lines"] == 3
    assert signals["paragraphs"] == 3
    assert signals["duplicate_lines"] == pytest.approx(1 / 3)
    assert signals["duplicate_paragraphs"] == pytest.approx(1 / 3)
    assert signals["duplicate_paragraph_chars"] == pytest.approx(4 / 19)


def test_empty_text_has_no_line_and_no_paragraph() -> None:
    assert lines_of("")["lines"] == lines_of("\n \n")["paragraphs"] == 0


def test_third_copies_count_like_second_ones() -> None:
    assert lines_of("a\na\na\nb")["duplicate_lines"] == pytest.approx(2 / 4)


@pytest.mark.parametrize(
    ("line", "bullet"),
    [("• a", 1), ("•a", 1), ("- a", 1), ("-a", 1), ("* a", 1), ("*a*", 0), ("— he said", 1), ("—he said", 0), ("a", 0)],
)
def test_bullets_are_told(line: str, bullet: int) -> None:
    assert lines_of(line)["bullet_lines"] == bullet


@pytest.mark.parametrize(
    ("line", "punctuated", "sentence"),
    [
        ("End.", 1, 1),
        ("“End.”", 0, 1),
        ("（完。）", 0, 1),
        ("完。", 1, 1),
        ("समाप्त।", 1, 1),
        ("wait…", 0, 1),
        ("End", 0, 0),
    ],
)
def test_stops_are_told_with_and_without_closing_quotes(line: str, punctuated: int, sentence: int) -> None:
    signals = lines_of(line)
    assert (signals["punctuated_lines"], signals["sentence_lines"]) == (punctuated, sentence)


def test_short_lines_have_thirty_characters_at_most() -> None:
    assert lines_of("x" * 30 + "\n" + "x" * 31)["short_lines"] == 0.5


@pytest.mark.parametrize(
    ("line", "kept"),
    [
        ("Five words are enough here.", 1),
        ("Four words are few.", 0),
        ("Five words without any stop", 0),
        ("Five words and then dots...", 0),
        ('He said: "It is over!"', 1),
        ("It burnt down in spring.[12]", 1),
        ("Please enable JavaScript in your browser.", 0),
        ("This site uses cookies to serve you.", 0),
        ("A word of " + "x" * 1_001 + " is too much.", 0),
        ("A word of " + "x" * 1_000 + " is allowed.", 1),
    ],
)
def test_c4_keeps_lines_by_its_rules(line: str, kept: int) -> None:
    assert lines_of(line)["c4_lines"] == kept


def test_c4_counts_characters_where_blanks_part_no_words() -> None:
    signals = lines_of("这条河发源于城后的山丘。\n太短了。", "zh")
    assert signals["c4_lines"] == 0.5
    assert signals["c4_sentences"] == 1


def test_c4_rules_about_pages_and_bad_lines_are_counted() -> None:
    text = "Lorem Ipsum is here {x} {.\nRead our Privacy Policy.\nno javascript\nA line."
    signals = lines_of(text)
    assert signals["lorem_ipsum"] == 1
    assert signals["curly_brackets"] == 2
    assert signals["policy_lines"] == signals["javascript_lines"] == 0.25


def test_play_is_measured_line_by_line() -> None:
    play = "\n".join(["ANNA.", "I shall not go.", "", "BEN.", "Then stay.", "", "ANNA.", "I will.", ""] * 3)
    signals = lines_of(play)
    assert signals["lines"] == 18
    assert signals["duplicate_lines"] == pytest.approx(13 / 18)
    assert signals["short_lines"] == 1
