"""How surprising a model finds each token and word of a text, as rows.

The model reads the text behind the end-of-text token, each token given all before it in its window, so the numbers
add up to the text's -ln p. Tokens become cells of the text: tokens that are parts of one character (Chinese under
byte-level BPE) are one cell, and what lies between two tokens, such as a blank, belongs to the cell behind it. Cells
join to words where the text has them (at blanks and, in scripts without blanks, as `segment.words` cuts).

A token that begins with a blank also says that the word before it has ended, so that a word's number here holds the
end of its predecessor and not its own (Oh and Schuler 2024, arXiv 2406.10851; Pimentel and Meister 2024, arXiv
2406.14561). Sums over a text are right; numbers of single words are comparable within one tokenizer only.

    lmpipe surprisal data/runs/demo-lstm-1a2b3c4d "To be, or not to be" --html be.html
"""

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import pyarrow as pa
from tokenizers import Tokenizer

from lmpipe.evaluate.scorer import Scorer
from lmpipe.text.segment import UNSPACED as UNSPACED_SIGNS
from lmpipe.text.segment import words as cut_words
from lmpipe.tokens.encode import json_without_special
from lmpipe.train.run import TOKENIZER

UNSPACED = re.compile(f"[{UNSPACED_SIGNS}]")
SURPRISAL = pa.schema(
    [
        ("text", pa.string()),
        ("unit", pa.string()),
        ("number", pa.int64()),
        ("start", pa.int64()),
        ("end", pa.int64()),
        ("piece", pa.string()),
        ("tokens", pa.int64()),
        ("bytes", pa.int64()),
        ("nats", pa.float64()),
    ]
)
"""One row per cell (unit token) and one per word (unit word), each kind in the order of the text and without holes:
which text, characters start to end of it, the piece itself, tokens in it, its UTF-8 bytes and its -ln p."""


class Cell(NamedTuple):
    """A piece of a text with a number of its own."""

    start: int
    """First character."""
    end: int
    """The character after its last."""
    tokens: int
    nats: float


def surprisal(scorer: Scorer, texts: Sequence[str], names: Sequence[str]) -> pa.Table:
    """Score texts and lay out their cells and words as rows of SURPRISAL."""
    path = scorer.run.paths(TOKENIZER)[0]
    # tokenizers and not the faster encoder: it tells where in the text each token stands; ids are the same (encode.py)
    tokenizer = Tokenizer.from_str(json_without_special(path))
    encoded = tokenizer.encode_batch(list(texts), add_special_tokens=False)
    scores = scorer.score([encoding.ids for encoding in encoded])
    rows = []
    for name, text, encoding, nats in zip(names, texts, encoded, scores, strict=True):
        cells = list(cells_of(text, encoding.offsets, nats.tolist()))
        for unit, some in (("token", cells), ("word", list(joined(cells, word_edges(text))))):
            rows += [row(name, unit, number, cell, text) for number, cell in enumerate(some)]
    return pa.Table.from_pylist(rows, schema=SURPRISAL)


def row(name: str, unit: str, number: int, cell: Cell, text: str) -> dict[str, object]:
    """Lay out one cell."""
    piece = text[cell.start : cell.end]
    place = {"text": name, "unit": unit, "number": number, "start": cell.start, "end": cell.end}
    return place | {"piece": piece, "tokens": cell.tokens, "bytes": len(piece.encode()), "nats": cell.nats}


def cells_of(text: str, offsets: Sequence[tuple[int, int]], nats: Sequence[float]) -> Iterator[Cell]:
    """Cut a text at the ends of its tokens, but where the next token begins before that end.

    `offsets` are the characters that each token stands for, as tokenizers gives them. The last cell ends with the
    text.
    """
    start, first = 0, 0
    for number, (_, end) in enumerate(offsets):
        last = number + 1 == len(offsets)
        if last or (end > start and offsets[number + 1][0] >= end and offsets[-1][1] > end):
            yield Cell(start, len(text) if last else end, number + 1 - first, sum(nats[first : number + 1]))
            start, first = end, number + 1


def word_edges(text: str) -> set[int]:
    """List where a word begins with the blanks before it: at the end of a run of signs, and within one by script."""
    edges, position = {0, len(text)}, 0
    for blanks_and_run in split_at_blanks(text):
        edges.add(position)
        run = blanks_and_run.lstrip()
        if UNSPACED.search(run):
            edges |= within(run, position + len(blanks_and_run) - len(run))
        position += len(blanks_and_run)
    return edges


def split_at_blanks(text: str) -> Iterator[str]:
    """Cut a text into runs of signs, each with the blanks before it; blanks at the end stand alone."""
    starts = [0]
    starts += [i for i, (before, here) in enumerate(pairwise(text), start=1) if here.isspace() > before.isspace()]
    for start, end in pairwise([*starts, len(text)]):
        yield text[start:end]


def within(run: str, offset: int) -> set[int]:
    """List where the words of a run in a script without blanks begin; marks stay with the word before them."""
    edges, position = set(), 0
    for word in cut_words(run, "zh"):
        found = run.find(word, position)
        if found >= 0:
            edges.add(offset + found)
            position = found + len(word)
    return edges - {offset}


def joined(cells: Sequence[Cell], edges: set[int]) -> Iterator[Cell]:
    """Join cells up to the next edge that a cell ends at: a cell that crosses an edge makes one word of two."""
    held: list[Cell] = []
    for cell in cells:
        held.append(cell)
        if cell.end in edges:
            yield Cell(held[0].start, cell.end, sum(c.tokens for c in held), sum(c.nats for c in held))
            held = []
