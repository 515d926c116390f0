"""Surprisal: the text is all there, the numbers add up, and nobody's text becomes markup."""

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmpipe.evaluate.scorer import Scorer, open_scorer
from lmpipe.evaluate.surprisal import cells_of, surprisal, word_edges
from lmpipe.evaluate.surprisal_page import coloured, heat_map

TEXT = 'The lane <b>was</b> & "empty",\n\t第3扇门没有锁，café 👩‍🚀 naïve  '


@pytest.fixture(scope="module")
def scorer(probed: Path) -> Scorer:
    return open_scorer(probed)


def pieces(scorer: Scorer, text: str, unit: str) -> list[dict]:
    return [row for row in surprisal(scorer, [text], ["t"]).to_pylist() if row["unit"] == unit]


@pytest.mark.parametrize("text", [TEXT, " ", "\n", "a", "𠮷", "<|endoftext|>", ""])
def test_pieces_join_to_the_text_and_add_up_to_its_nats(scorer: Scorer, text: str) -> None:
    (ids,) = scorer.encode([text])
    total = scorer.score([ids])[0].sum()
    for unit in ("token", "word"):
        rows = pieces(scorer, text, unit)
        assert "".join(row["piece"] for row in rows) == text
        assert sum(row["nats"] for row in rows) == pytest.approx(total, abs=1e-4)
        assert sum(row["tokens"] for row in rows) == len(ids)
        assert [row["bytes"] for row in rows] == [len(row["piece"].encode()) for row in rows]


def test_tokens_that_are_parts_of_a_character_are_one_piece(scorer: Scorer) -> None:
    (row,) = [row for row in pieces(scorer, TEXT, "token") if "🚀" in row["piece"]]
    assert (row["piece"], row["tokens"]) == ("🚀", 4)  # nothing in the corpus joins its bytes


def test_words_are_cut_at_blanks_and_within_chinese(scorer: Scorer) -> None:
    assert [row["piece"] for row in pieces(scorer, "It is empty, 门没有锁", "word")] == [
        "It",
        " is",
        " empty,",
        " 门",
        "没有",
        "锁",
    ]


OFFSETS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=12)


@settings(max_examples=50)
@given(OFFSETS)
def test_any_offsets_in_order_give_pieces_without_holes(moves: list[tuple[int, int]]) -> None:
    offsets, start, end = [], 0, 0
    for forward, width in moves:
        start = max(start, end - width % 2 + forward)
        end = max(end, start + width)
        offsets.append((start, end))
    text = "x" * (end + 1)
    cells = list(cells_of(text, offsets, [1.0] * len(offsets)))
    assert "".join(text[cell.start : cell.end] for cell in cells) == (text if offsets else "")
    assert sum(cell.nats for cell in cells) == len(offsets)
    assert all(cell.end > cell.start for cell in cells)


def test_word_edges_leave_blanks_to_the_word_behind_them() -> None:
    assert word_edges("a  bc d\n") == {0, 1, 5, 7, 8}


def test_page_escapes_every_text_and_has_all_numbers_as_a_table(scorer: Scorer) -> None:
    rows = surprisal(scorer, [TEXT, "</span><script>"], ['a"<b>', "two"])
    page = heat_map(rows.filter([unit == "token" for unit in rows["unit"].to_pylist()]), "<title>")
    assert "<script" not in page
    body = ElementTree.fromstring(re.sub(r"<meta[^>]*>|<!doctype html>", "", page))  # well-formed to the letter
    one, _ = body.iter("section")
    assert "".join(next(p for p in one.iter("p") if p.get("class") == "text").itertext()) == TEXT
    assert len(list(one.iter("tr"))) == 1 + len(pieces(scorer, TEXT, "token"))
    assert 'a"<b>' in "".join(one.itertext())
    assert "http" not in page


def test_terminal_shows_the_text_as_it_is(scorer: Scorer) -> None:
    assert coloured(pieces(scorer, TEXT, "word")).plain == TEXT
