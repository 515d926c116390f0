"""Find the lines or paragraphs of a text that stand for themselves, and take some of them out of it.

A passage that another document has too may be cut, but never in the middle of a sentence: a line that only
ends where a program wrapped it, or that the next one goes on from, is no passage. What is taken out takes
the newlines on one of its sides along, and leaves the wider gap: two paragraphs stay two paragraphs.
"""

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Literal

from lmpipe.text.segment import PARAGRAPH_END, UNSPACED, lines, trimmed

Spans = Sequence[tuple[int, int]]
"""(start, end) in characters, in order and apart, without blanks at the edges."""

SENTENCE_CLOSED = re.compile(r"""[.!?।॥؟۔։።…。！？．｡][”’»›」』）】\])"'*_]*\Z""")
"""The end of a line that ends a sentence."""
FIRST_WORD = re.compile(f"[{UNSPACED}]|[^\\s{UNSPACED}]+")
"""What a wrapping program moves to the next line: a word, or a character where blanks part no words."""


def passages(text: str, unit: Literal["line", "paragraph"]) -> Spans:
    """Find the lines or paragraphs of `text` that begin and end with a sentence, a heading or a list item."""
    parts = [trimmed(text, *span) for span in lines(text)] if unit == "line" else paragraphs(text)
    torn = [tear for block in blocks(text, parts) for tear in tears(text, block)]
    return [span for span, before, after in zip(parts, [False, *torn], torn, strict=False) if not (before or after)]


def paragraphs(text: str) -> list[tuple[int, int]]:
    """Find the paragraphs of `text`, which empty lines part."""
    ends = [0, *(place for match in PARAGRAPH_END.finditer(text) for place in match.span()), len(text)]
    found = [trimmed(text, *span) for span in zip(ends[::2], ends[1::2], strict=True)]
    return [(start, end) for start, end in found if start < end]


def blocks(text: str, parts: Spans) -> Iterator[list[tuple[int, int]]]:
    """Gather the parts that no empty line parts."""
    block: list[tuple[int, int]] = []
    for start, end in parts:
        if block and text.count("\n", block[-1][1], start) > 1:
            yield block
            block = []
        block.append((start, end))
    yield block


def tears(text: str, block: Spans) -> list[bool]:
    """Say of each line of a block whether a sentence goes on from it to the next; of the last one it never does.

    It does where no stop ends the line and the next begins in lower case, or where the whole block is filled
    up to one width, as a program fills it: no line had room for the first word of the next.
    """
    width = max((end - start for start, end in block), default=0)
    wrapped = all(
        end - start + 1 + len(FIRST_WORD.match(text, after)[0]) > width  # type: ignore[index]
        for (start, end), (after, _) in pairwise(block)
    )
    torn = [
        (wrapped or text[after].islower()) and not SENTENCE_CLOSED.search(text, max(start, end - 8), end)
        for (start, end), (after, _) in pairwise(block)
    ]
    return [*torn, False]


def without(text: str, cuts: Spans) -> str:
    """Take passages out; of the gaps around what is taken out the one with most newlines stays."""
    pieces, position = [], 0
    for gaps in runs(text, cuts):
        (start, _), (_, end) = gaps[0], gaps[-1]
        inner = [text[slice(*gap)] for gap in gaps]
        at_edge = start == 0 or end == len(text)
        pieces += [text[position:start], "" if at_edge else max(inner, key=lambda gap: gap.count("\n"))]
        position = end
    return "".join([*pieces, text[position:]])


def runs(text: str, cuts: Spans) -> Iterator[list[tuple[int, int]]]:
    """Yield, for each run of cuts with nothing but blanks between, the gaps before, between and behind them."""
    gaps: list[tuple[int, int]] = []
    for start, end in cuts:
        before = start
        while before and text[before - 1].isspace():
            before -= 1
        behind = end
        while behind < len(text) and text[behind].isspace():
            behind += 1
        if gaps and gaps[-1] == (before, start):
            gaps.append((end, behind))
        else:
            if gaps:
                yield gaps
            gaps = [(before, start), (end, behind)]
    if gaps:
        yield gaps
