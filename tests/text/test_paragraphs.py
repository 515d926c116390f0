"""Lines and paragraphs are found whole, and what is taken out leaves whole paragraphs behind."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmpipe.text.paragraphs import passages, without


def found(text: str, unit: str = "line") -> list[str]:
    return [text[start:end] for start, end in passages(text, unit)]  # type: ignore[arg-type]


def left(text: str, *cut: str) -> str:
    return without(text, sorted((text.index(part), text.index(part) + len(part)) for part in cut))


def test_lines_and_paragraphs_have_no_blanks_at_their_edges() -> None:
    text = "  One.  \nTwo.\n\n \n\tThree.\nFour. "
    assert found(text) == ["One.", "Two.", "Three.", "Four."]
    assert found(text, "paragraph") == ["One.  \nTwo.", "Three.\nFour."]
    assert found("") == found(" \n\n ") == found("", "paragraph") == []


def test_line_that_goes_on_in_the_next_is_no_passage() -> None:
    assert found("He walked down to the\nriver and sat there.\nIt rained.") == ["It rained."]
    assert found("He went to the\nriver.\nA much longer line follows these two, so that none is full.") == [
        "A much longer line follows these two, so that none is full."
    ]
    assert found("他坐在河边。\n下雨了。") == ["他坐在河边。", "下雨了。"]


def test_lines_that_a_program_wrapped_are_no_passages() -> None:
    lines = "The new rules of Parliament for the", "Bank of England were read a third", "Time on a Tuesday in a hall of"
    wrapped = "\n".join([*lines, "Westminster."])
    assert found(wrapped) == []
    assert found(f"A heading\n\n{wrapped}\n\nThe end.") == ["A heading", "The end."]
    assert found("他在河边坐了一整天，看着远处的\n山和云，想起了许多年以前的事情\n还有那些人。") == []


def test_headings_and_items_are_passages() -> None:
    assert found("Contents\nThe first of the long chapters\nIndex\nNotes") == [
        "Contents", "The first of the long chapters", "Index", "Notes",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "cut", "remaining"),
    [
        ("A.\nX.\nB.", ["X."], "A.\nB."),
        ("A.\n\nX.\n\nB.", ["X."], "A.\n\nB."),
        ("A.\nX.\n\nB.", ["X."], "A.\n\nB."),
        ("A.\n\nX.\nB.", ["X."], "A.\n\nB."),
        ("A.\nX.\n\nY.\nB.", ["X.", "Y."], "A.\n\nB."),
        ("X.\n\nA.", ["X."], "A."),
        ("A.\n\nX.", ["X."], "A."),
        ("X.\nA.\n\nB.\nY.", ["X.", "Y."], "A.\n\nB."),
        ("X.", ["X."], ""),
        ("X.\nY.", ["X.", "Y."], ""),
        ("长。\n抄。\n短。", ["抄。"], "长。\n短。"),
        ("👩‍👩‍👧.\nX.\né.", ["X."], "👩‍👩‍👧.\né."),
    ],
)
def test_paragraphs_stay_apart_when_one_between_them_is_taken_out(text: str, cut: list[str], remaining: str) -> None:
    assert left(text, *cut) == remaining


@given(st.lists(st.sampled_from(["a", "b.", "C", "…", " ", "\n", "\n\n", "界。"]), max_size=30).map("".join), st.data())
@pytest.mark.parametrize("unit", ["line", "paragraph"])
def test_what_is_left_are_the_other_passages_in_order(unit: str, text: str, data: st.DataObject) -> None:
    spans = passages(text, unit)  # type: ignore[arg-type]
    assert all(text[start:end] == text[start:end].strip() != "" for start, end in spans)
    chosen = [span for span in spans if data.draw(st.booleans())]
    lines = text.split("\n")
    gone = {text[:start].count("\n") + n for start, end in chosen for n in range(text[start:end].count("\n") + 1)}
    kept = [line.strip() for number, line in enumerate(lines) if number not in gone and line.strip()]
    remaining = without(text, chosen)
    assert [line.strip() for line in remaining.split("\n") if line.strip()] == kept
    assert remaining.count("\n\n") <= text.count("\n\n")
    assert without(text, []) == text
