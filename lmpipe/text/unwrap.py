"""Undo the line breaks that a program put into prose, and keep those that an author put into verse.

A program fills its lines: the next line's first word would not have fitted any more. Whoever breaks lines by hand
leaves room. So the width to which a text is filled is measured first, over the whole text; then each paragraph is
prose where its lines are full, and verse, a list, an address or a table where they are not. Chinese and Japanese
have no blanks between words: there a line is full when it reaches the width, and lines are joined without a blank.
"""

import math
import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

from lmpipe.text.normalize import line_ends

PARAGRAPH = re.compile(r"\n[ \t]*\n")
INDENTED = re.compile(r"  |\t|\u3000")
"""One blank at the start of a line is what is left of the two behind a full stop, where the line was broken."""

WRAPPED_WIDTH = 45
"""Characters: prose is wrapped to 65 to 75 columns, so a shorter line that is not a paragraph's last was broken by
hand."""

MAX_WIDTH = 130
"""A text whose long lines are longer has its paragraphs on a line each: nothing to undo."""

PERCENTILE = 0.95
"""Share of a text's lines that are no longer than its width; a few are tables, rules and titles."""

SHORT_BLOCK = 0.75
"""A paragraph that never comes nearer to the width was broken by hand, or is set narrower: both are kept."""

ROOM = 3
"""Blanks beyond the next word by which a line was broken too early for a program that fills lines to that width."""

ROOMY = 1 / 3
"""Share of such lines from which a paragraph is verse. Of 4,419 paragraphs of four or more lines in nine real books
none reaches it; of two such lines both must have room."""

SLACK = 12
"""The same for a paragraph of two lines, against the width of the whole text."""

COLUMNS = re.compile(r"\S {3,}\S|(?<![. ])(?: ?\.){4,} ?\d+$|^\||^(?:[»•*–-]|\(?\d{1,3}[.)]|N[º°o]\.) ")
"""What the lines of a table or a list hold."""

MIN_BLOCK_LINES = 6
"""Lines without a blank one between from which a Chinese block's own width is measured: some books change it."""

EAST = "\u2e80-\u303e\u3041-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff01-\uff60"
IS_EAST = re.compile(f"[{EAST}]")
MIN_EAST = 0.5
"""Share of such characters from which a text is wrapped by them."""

EAST_WIDTH = 15
"""Characters: narrower columns are verse."""

EAST_SLACK = 3
"""A line may end so much earlier, because no line begins with a mark."""

EAST_FULL = 0.3
"""Share of full lines in a text that a program has wrapped; where each paragraph is a line it is near 0.05."""

OPEN_ENDED = 0.3
"""Share of full lines that end without a mark: the lines of verse of equal length all end with one."""

EAST_MARK = re.compile('[。，、；：！？．,.!?…—」』”’）】》"]$')
HYPHEN = re.compile(r"(?P<head>[^\W\d_]{2,})-$")
MAX_WORD = 40
"""Characters at the end of a line in which its last word is looked for."""

WORD = re.compile(r"[^\W\d_]+")


class Layout(NamedTuple):
    """How a text is wrapped."""

    width: int
    east: bool
    words: frozenset[str]
    """The words of the text, in small letters, when lines end in hyphens: they tell what a hyphen is."""


def unwrap(text: str) -> str:
    """Join the hard-wrapped lines of prose paragraphs; leave verse, lists, tables and headings alone."""
    text = line_ends(text)
    layout = measure(text)
    if layout is None:
        return text
    blocks = PARAGRAPH.split(text)
    return "\n\n".join(unwrap_block(block, layout) for block in (over_pages(blocks, layout) if layout.east else blocks))


def measure(text: str) -> Layout | None:
    """Find the width to which a text is wrapped; None when it is not."""
    lines = [line.rstrip() for line in text.split("\n") if line.strip()]
    if not lines:
        return None
    width = sorted(map(len, lines))[math.ceil(PERCENTILE * len(lines)) - 1]
    if len(IS_EAST.findall(text)) > MIN_EAST * sum(map(len, lines)):
        full = [line for line in lines if width - EAST_SLACK <= len(line) <= width + EAST_SLACK]
        is_open = sum(not EAST_MARK.search(line) for line in full) > OPEN_ENDED * len(full)
        wrapped = EAST_WIDTH <= width <= MAX_WIDTH and len(full) > EAST_FULL * len(lines) and is_open
        return Layout(width, True, frozenset()) if wrapped else None
    hyphens = any(HYPHEN.search(line[-MAX_WORD:]) for line in lines)
    words = frozenset(map(str.lower, WORD.findall(text))) if hyphens else frozenset[str]()
    return Layout(width, False, words) if WRAPPED_WIDTH <= width <= MAX_WIDTH else None


def unwrap_block(block: str, layout: Layout) -> str:
    """Join what is prose between two blank lines."""
    lines = block.strip("\n").split("\n")
    if len(lines) < 2:
        return block
    if layout.east:
        own = measure(block) if len(lines) >= MIN_BLOCK_LINES else None
        return "\n".join(join_east(lines, (own or layout).width))
    indented = sum(bool(INDENTED.match(line)) for line in lines[1:])
    if 2 * max(indented, sum(bool(COLUMNS.search(line.strip())) for line in lines)) >= len(lines):
        return block
    joined = [join_prose(part, layout) for part in split_at_indents(lines)]
    return block if len(joined) == len(lines) else "\n".join(joined)


def over_pages(blocks: Sequence[str], layout: Layout) -> Iterator[str]:
    """Put blocks together that a page's end parted: a full line without a mark, and one that is not indented."""
    text = blocks[0]
    for block in blocks[1:]:
        last = text.rsplit("\n", 1)[-1].rstrip()
        is_open = layout.width - EAST_SLACK <= len(last) <= layout.width + EAST_SLACK and not EAST_MARK.search(last)
        if is_open and IS_EAST.match(block) and len(block) >= layout.width:
            text = f"{text.rstrip()}\n{block}"
        else:
            yield text
            text = block
    yield text


def join_east(lines: Sequence[str], width: int) -> Iterator[str]:
    """Join each full line to the next, unless that one begins a paragraph."""
    text = lines[0]
    for line, following in pairwise(lines):
        is_full = width - EAST_SLACK <= len(line.rstrip()) <= width + EAST_SLACK
        if is_full and not following[:1].isspace() and IS_EAST.search(line):
            blank = " " if line[-1:].isascii() and line[-1:].isalnum() and following[:1].isascii() else ""
            text = f"{text.rstrip()}{blank}{following}"
        else:
            yield text
            text = following
    yield text


def split_at_indents(lines: Sequence[str]) -> Iterator[list[str]]:
    """Part a block into paragraphs that are told apart by the indentation of their first line only."""
    part: list[str] = []
    for line in lines:
        if part and INDENTED.match(line):
            yield part
            part = []
        part.append(line)
    yield part


def join_prose(lines: list[str], layout: Layout) -> str:
    """Make a paragraph one line where it is prose; otherwise its lines stay."""
    if len(lines) < 2 or not is_prose(lines, layout.width):
        return "\n".join(lines)
    text = lines[0].rstrip()
    for line in lines[1:]:
        text = glued(text, line.strip(), layout.words)
    return text


def is_prose(lines: Sequence[str], width: int) -> bool:
    """Tell a paragraph whose lines a program has filled."""
    sizes = [len(line.rstrip()) for line in lines]
    widest = max(sizes)
    if min(sizes[:-1]) < WRAPPED_WIDTH or widest < SHORT_BLOCK * width:
        return False
    rooms = [widest - room_taken(line, after) for line, after in pairwise(lines)]
    if len(lines) == 2:
        return width - room_taken(lines[0], lines[1]) < SLACK
    if all(line.lstrip("\"'“‘«»„(_ ")[:1].isupper() for line in lines) and max(rooms) >= 0:
        return False
    return sum(room >= ROOM for room in rooms) < max(ROOMY * len(rooms), min(len(rooms), 2))


def room_taken(line: str, following: str) -> int:
    """Return how long a line would be with the next one's first word."""
    word = following.split(None, 1)
    return len(line.rstrip()) + 1 + len(word[0] if word else "")


def glued(text: str, line: str, words: frozenset[str]) -> str:
    """Put a line behind a text: no blank behind a dash, nor behind the hyphen of a compound.

    A hyphen goes where the text elsewhere has the word in one, and not its second half alone.
    """
    if text.endswith(("--", "—")):
        return text + line
    hyphen, tail = HYPHEN.search(text[-MAX_WORD:]), WORD.match(line)
    if hyphen is None or tail is None or not line[:1].islower():
        return f"{text} {line}"
    whole = (hyphen["head"] + tail[0]).lower()
    return text[:-1] + line if whole in words and tail[0].lower() != whole else text + line
