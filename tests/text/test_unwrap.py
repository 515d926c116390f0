"""Prose is joined, verse kept, and nothing changes but blanks."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmpipe.text.unwrap import unwrap

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


def test_unwrap_keeps_verse_of_long_lines() -> None:
    text = (
        "O river that hast never learnt to wait for any man,\n"
        "Who standing on the bridge at dusk would count thy waves,\n"
        "And every wave he counted was another that began,\n"
        "Till none was left to name the stones that mark the graves."
    )
    assert unwrap(text) == text


def test_unwrap_joins_prose_whose_lines_happen_to_begin_with_capitals() -> None:
    text = (
        "They went by way of the old bridge, and nobody followed, except for\n"
        "Mary, who had never trusted the river, or her brother, or the Bishop,\n"
        "Even then."
    )
    assert unwrap(text) == text.replace("\n", " ")


LINES = st.text(st.sampled_from("aB ,.\u3000１"), max_size=80)


@given(st.lists(LINES, max_size=8))
def test_unwrap_changes_nothing_but_blanks(lines: list[str]) -> None:
    text = "\n".join(lines)
    assert "".join(unwrap(text).split()) == "".join(text.split())


def test_unwrap_keeps_indented_lines() -> None:
    text = "    A long line that begins a block of indented verse, forty-five and more,\n    and another one."
    assert unwrap(text) == text


def test_unwrap_reads_windows_line_ends() -> None:
    assert unwrap(PROSE.replace("\n", "\r\n") + "\r\n\r\nNext.") == PROSE.replace("\n", " ") + "\n\nNext."


def wrapped(text: str, width: int) -> str:
    """Break a text without blanks as a program does."""
    return "\n".join(text[i : i + width] for i in range(0, len(text), width))


HAN = (
    "潮水在早饭之前漫过了滩涂，码头上没有一个人抬头去看，"
    "只有灯塔里的老人还醒着，数着一只一只归来的船，心里想着别的事情。"
)
LINES_OF_SEVEN = "潮来潮去无人问，灯灭灯明有客归。\n莫道滩头风浪恶，一船灯火过渔矶。\n"


@pytest.mark.parametrize("indent", ["", "\u3000\u3000"])
def test_unwrap_joins_chinese_lines_without_a_blank(indent: str) -> None:
    paragraphs = [indent + HAN * 3, indent + HAN * 2 + "天亮了。"]
    assert unwrap("\n".join(wrapped(p, 28) for p in paragraphs)) == "\n".join(paragraphs)


def test_unwrap_keeps_chinese_verse_in_wrapped_prose() -> None:
    text = f"{wrapped(HAN * 3 + '有诗为证：', 28)}\n{LINES_OF_SEVEN}{wrapped(HAN * 3, 28)}"
    assert unwrap(text) == f"{HAN * 3}有诗为证：\n{LINES_OF_SEVEN}{HAN * 3}"


def test_unwrap_keeps_chinese_verse_alone() -> None:
    text = LINES_OF_SEVEN * 6
    assert unwrap(text) == text


def test_unwrap_keeps_chinese_paragraphs_of_a_line_each() -> None:
    text = "\n".join([HAN * 4, HAN * 2, "他说：“走吧。”", HAN * 3])
    assert unwrap(text) == text


def test_unwrap_joins_chinese_over_the_end_of_a_page() -> None:
    lines = wrapped(HAN * 3, 28).split("\n")
    assert unwrap("\n".join(lines[:2]) + "\n\n" + "\n".join(lines[2:])) == HAN * 3


def test_unwrap_follows_chinese_that_changes_its_width() -> None:
    text = f"{wrapped(HAN * 8, 35)}\n\n{wrapped(HAN * 3, 30)}"
    assert unwrap(text) == f"{HAN * 8}\n\n{HAN * 3}"


FREE_VERSE = (
    "the boats come in before the light, one behind the other,\n"
    "and nobody on the quay is counting, and nobody\n"
    "has ever counted them, except the woman with the lamp\n"
    "who does not speak of it, not even to her brother,\n"
    "who would not listen if she did, being asleep"
)


def test_unwrap_keeps_verse_whose_lines_begin_small() -> None:
    text = f"{PROSE}\n\n{FREE_VERSE}\n\n{PROSE}"
    assert FREE_VERSE in unwrap(text)


def test_unwrap_joins_paragraphs_that_only_an_indent_parts() -> None:
    one = PROSE.replace("\n", " ")
    assert unwrap(f"  {PROSE}\n  {PROSE}\n  {PROSE}") == f"  {one}\n  {one}\n  {one}"


def test_unwrap_takes_one_blank_at_a_line_for_no_indent() -> None:
    text = PROSE.replace("\nand", "\n and")
    assert unwrap(text) == PROSE.replace("\n", " ")


def test_unwrap_keeps_the_signature_under_a_letter() -> None:
    text = f"{PROSE} Your friend,\n                                        A. QUILL."
    assert unwrap(text).split("\n")[-1].strip() == "A. QUILL."


@pytest.mark.parametrize(
    "text",
    [
        "The Quay, and what was seen from it at night .... 12\nThe Flats, and nobody on them after dark ........ 140",
        "1. The tide that goes out before breakfast, and how\n2. The tide that comes in, and what is left there",
        "John Harbour, a man of the quay     Mr. Able Seaman.\nAda Quill, with a lamp              Miss Lighthouse.",
    ],
)
def test_unwrap_keeps_tables_and_lists(text: str) -> None:
    assert unwrap(text) == text


@pytest.mark.parametrize(
    ("ends", "begins", "joined"),
    [
        ("a long-", "winded man with a lamp", "a long-winded man with a lamp"),
        ("he could con-", "tinue; and continue he did", "he could continue; and continue he did"),
        ("he thought--", "and thought again of it", "he thought--and thought again of it"),
        ("the year 1901-", "1902 was a year of storms", "the year 1901- 1902 was a year of storms"),
    ],
)
def test_unwrap_joins_hyphens_and_dashes(ends: str, begins: str, joined: str) -> None:
    start = "The clock in the tower had not struck for eleven years when so"
    assert unwrap(f"{start} {ends}\n{begins}.") == f"{start} {joined}."
