"""Each rule repairs what it names and nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmpipe.text.normalize import blanks, composition, invisible, line_ends, mojibake, normalize, unwrap


@pytest.mark.parametrize(
    ("rule", "before", "after"),
    [
        (line_ends, "a\r\nb\rc\u2028d", "a\nb\nc\nd"),
        (mojibake, "the cafÃ© was shut", "the café was shut"),
        (mojibake, "naïve café", "naïve café"),
        (composition, "cafe\u0301", "café"),
        (invisible, "a\u200bb\ufeffc\u00add\x00e", "abcde"),
        (blanks, "　　他说：\u00a0好\t吗  \n\n\n\n再见", "他说： 好 吗\n\n再见"),
        (blanks, "a b  c \n d", "a b c\nd"),
    ],
)
def test_rule_repairs_what_it_names(rule, before: str, after: str) -> None:  # type: ignore[no-untyped-def]
    assert rule(before) == after


def test_full_width_digits_and_curly_quotes_stay() -> None:
    text = "公元１９１１年，他说：“好。” It’s fine…"
    assert normalize(text) == (text, [])


def test_joiners_stay_where_scripts_need_them() -> None:
    assert invisible("می‌خواهم 👩‍🚀") == "می‌خواهم 👩‍🚀"


def test_normalize_names_the_rules_that_changed_something() -> None:
    assert normalize("a\r\nb  c") == ("a\nb c", ["line_ends", "blanks"])


def test_switched_off_rules_do_nothing() -> None:
    assert normalize("cafe\u0301  x", unicode=False) == ("cafe\u0301 x", ["blanks"])
    assert normalize("cafe\u0301  x", whitespace=False) == ("café  x", ["composition"])


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=200))
def test_whitespace_rules_are_idempotent(text: str) -> None:
    once, _ = normalize(text, unicode=False)  # ftfy's guesses are not: a collapsed blank can make a text look bad
    assert normalize(once, unicode=False) == (once, [])


PROSE = (
    "The clock in the tower had not struck for eleven years when the letter came,\n"
    "and nobody in the town could have said with any certainty whether that was a\n"
    "loss or a relief."
)
VERSE = "The river goes by,\nthe hours go too,\nand none of them ask\nwhat I wanted to do."


def test_unwrap_joins_the_lines_of_prose() -> None:
    assert unwrap(PROSE) == PROSE.replace("\n", " ")


def test_unwrap_keeps_verse_and_headings() -> None:
    text = f"CHAPTER I.\nThe Letter\n\n{VERSE}"
    assert unwrap(text) == text


def test_unwrap_keeps_indented_lines() -> None:
    text = "    A long line that begins a block of indented verse, forty-five and more,\n    and another one."
    assert unwrap(text) == text


def test_unwrap_reads_windows_line_ends() -> None:
    assert unwrap(PROSE.replace("\n", "\r\n") + "\r\n\r\nNext.") == PROSE.replace("\n", " ") + "\n\nNext."
