"""Find the chapters of a book: in plain text by the look of lines, in HTML by its heading elements.

A line is a heading when it says so (CHAPTER I., 第一回, VII), or when the book's own table of contents lists it
and it stands alone again later: that finds tales and essays with names of their own, in any language. What
lies between two headings is a chapter; the pieces follow each other without a gap. A heading stays in its
chapter's text: it was written to be read there, and the text is then exactly the bytes of its origin.
"""

import itertools
import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from lmpipe.sources.headings import (
    CHINESE,
    CHINESE_TITLE,
    LATIN,
    LATIN_TITLE,
    MAX_HEADING_CHARS,
    begins_paragraph,
    is_division,
    label,
    number_of,
)

MIN_CHAPTER_CHARS = 200
"""Text a heading needs before the next one; less is a line of a table of contents, or BOOK I before CHAPTER I."""

PART_CHARS = 100_000
"""A book without headings that is longer is cut into parts of about this length, at paragraph ends."""

MIN_CHAPTER_TEXT = 10
"""Characters of a chapter of one sentence."""

SENTENCE = re.compile(r"[a-zà-ÿа-яα-ω\u4e00-\u9fff].*[.!?。！？…][\"'”’」』)\]_]*$", re.DOTALL)

CONTENTS = re.compile(
    r"(?:(?:TABLE OF )?CONTENTS|INHOUD|INHALT(?:SVERZEICHNIS)?|TABLE(?: DES MATI[EÈ]RES)?|[IÍ]NDICE|INDHOLD|INNEHÅLL"
    r"|SISÄLTÖ|SISÄLLYS|SPIS TREŚCI|СОДЕРЖАНИЕ|ОГЛАВЛЕНИЕ|目[录錄次])[.:：]?",
    re.IGNORECASE,
)
"""The heading of a table of contents."""

PROSE_LINE = 55
"""Characters: the first paragraph with two such lines after it, or a longer line than a heading's, or one that ends
a sentence in Chinese, is no longer part of it."""

MIN_LISTED = 3
"""Entries that must come again as lines of their own; two may be chance."""

LOOK_AHEAD = 15
"""Lines within which prose follows an entry that comes again as a heading: there the table has ended."""

MIN_NUMBERED_CHARS = 1_000
"""Mean text under numbers in a row, below which they number paragraphs or stanzas, not chapters."""

MIN_PAGES_CHARS = 4_000
"""The same for Arabic numbers alone, which may be those of pages."""

PAGE_NUMBER = re.compile(r"(?:[\s.·…_]+(?:\d{1,4}|[ivxlc]+))?[\s.]*$", re.IGNORECASE)
COLUMN_HEADS = frozenset(
    {"", "page", "pag", "p", "bladz", "blz", "seite", "página", "pagina", "sida", "chapter", "chap", "頁", "页"}
)
"""Words over the columns of a table of contents."""

FOOTNOTE = re.compile(r"\[\w{1,3}\]")


class Marked(NamedTuple):
    """A heading as the markup says: its place in the text, its words, and 1 to 6 for <h1> to <h6>."""

    start: int
    words: str
    level: int


class Line(NamedTuple):
    """A line's place in the text, its end without the line break."""

    start: int
    end: int


class Chapter(NamedTuple):
    """A piece of a book's body; heading is empty for what stands before the first one."""

    heading: str
    start: int
    end: int


def chapters(raw: str, start: int, end: int, marked: Iterable[Marked] = ()) -> list[Chapter]:
    """Cut the body at its headings: those that the file marks as such, with their places, else those found.

    Without headings the body is one piece, or parts when it is longer than PART_CHARS.
    """
    headings = marked_headings(raw, [heading for heading in marked if start <= heading.start < end], end)
    headings = merge_short(raw, headings if len(headings) > 1 else find_headings(raw, start, end))
    if not headings:
        return parts(raw, start, end)
    edges = [*(h.start for h in headings), end]
    found = [Chapter(h.heading, edges[i], edges[i + 1]) for i, h in enumerate(headings)]
    return [Chapter("", start, edges[0]), *found] if raw[start : edges[0]].strip() else found


def spans(headings: list[tuple[int, str]], end: int) -> list[Chapter]:
    """Let each heading reach to the next."""
    edges = [*(at for at, _ in headings[1:]), end]
    return [Chapter(text[:MAX_HEADING_CHARS], at, edges[i]) for i, (at, text) in enumerate(headings)]


def marked_headings(raw: str, marked: list[Marked], end: int) -> list[Chapter]:
    """Leave out of the marked headings the title page and the table of contents with what stands below it."""
    contents = next((i for i, heading in enumerate(marked) if CONTENTS.fullmatch(heading.words)), None)
    if contents is not None:
        level = marked[contents].level
        below = itertools.takewhile(lambda heading: heading.level > level, marked[contents + 1 :])
        marked = marked[contents + 1 + sum(1 for _ in below) :]
    headings = spans([(heading.start, heading.words) for heading in marked], end)
    if contents is not None:
        return headings
    return list(itertools.dropwhile(lambda h: is_short(raw, h) and not is_division(h.heading), headings))


def find_headings(raw: str, start: int, end: int) -> list[Chapter]:
    """List the lines that look like headings; a heading's text goes on over wrapped lines."""
    lines = [Line(m.start(), m.end()) for m in re.compile(r"[^\r\n]+|(?<=\n)(?=\r?\n)").finditer(raw, start, end)]
    texts = [raw[line.start : line.end].strip() for line in lines]
    listed = listed_headings(texts)
    found = list(heading_lines(texts, listed))
    if len(found) < MIN_LISTED:
        found = sorted({*found, *numbered_headings(texts)})
    return spans([(lines[index].start, heading_text(texts[index : index + 4])) for index in found], end)


def heading_lines(texts: list[str], listed: set[int]) -> Iterator[int]:
    """Yield the numbers of the lines that say that they are headings, or that a table of contents lists."""
    may_start = True
    for index, text in enumerate(texts):
        is_heading = len(text) <= MAX_HEADING_CHARS and bool(
            (may_start and (index in listed or (LATIN.match(text) and not begins_paragraph(text, after(texts, index)))))
            or CHINESE.match(text)
        )
        if is_heading:
            yield index
        may_start = is_heading or not text or text.endswith("]")  # [Illustration: The quay]


def after(texts: list[str], index: int) -> str:
    """Return the next line, empty at the end."""
    return texts[index + 1] if index + 1 < len(texts) else ""


def is_alone(texts: list[str], index: int) -> bool:
    """Tell a line between blank ones."""
    return bool(texts[index]) and not (index and texts[index - 1]) and not after(texts, index)


def numbered_headings(texts: list[str]) -> list[int]:
    """Find the longest row of lines standing alone that are numbered 1, 2, 3 ... and have text enough between."""
    row: list[int] = []
    for index, text in enumerate(texts):
        if is_alone(texts, index) and number_of(text) == len(row) + 1:
            row.append(index)
    if len(row) < MIN_LISTED:
        return []
    size = sum(map(len, texts[row[0] :])) / len(row)
    bare = all(text.strip(".").isdigit() for text in (texts[index] for index in row))
    return row if size >= (MIN_PAGES_CHARS if bare else MIN_NUMBERED_CHARS) else []


def listed_headings(texts: list[str]) -> set[int]:
    """Find the lines standing alone that a table of contents before them lists; none below MIN_LISTED."""
    begin = next((i for i, text in enumerate(texts) if CONTENTS.fullmatch(text)), len(texts))
    entries = table_of_contents(texts, begin + 1)
    found = {
        i for i in range(begin + 1, len(texts)) if is_alone(texts, i) and entries.get(entry(texts[i]), len(texts)) < i
    }
    last = max((entries[entry(texts[i])] for i in found), default=0)
    kept: set[int] = set()
    first: dict[str, int] = {}
    for i in sorted(i for i in found if i > last):  # the list itself may say a word twice
        same = first.setdefault(entry(texts[i]), i)
        if texts[same].isupper() == texts[i].isupper():  # a listed title may be quoted in the text, or be a refrain
            kept.add(i)
    return kept if len(kept) >= MIN_LISTED else set()


def table_of_contents(texts: list[str], begin: int) -> dict[str, int]:
    """Gather the entries of a table that begins there, each with its line; it ends where prose begins."""
    entries: dict[str, int] = {}
    for i, text in enumerate(texts[begin:], begin):
        if is_prose_line(texts, i) or text.endswith(("。", "！", "？", "”", "」")):
            break
        key = entry(text)
        if key in COLUMN_HEADS:
            continue
        if key in entries and any(is_prose_line(texts, j) for j in range(i + 1, min(i + LOOK_AHEAD, len(texts)))):
            break
        if any(map(str.isalpha, text)):
            entries.setdefault(key, i)
    return entries


def is_prose_line(texts: list[str], index: int) -> bool:
    """Tell a line that no table of contents holds: a very long one, or one of several long ones of a paragraph."""
    text, following = texts[index], after(texts, index)
    if len(text) < PROSE_LINE or text[-1].isdigit():
        return False
    return len(text) > MAX_HEADING_CHARS or (len(following) >= PROSE_LINE and not following[-1].isdigit())


def entry(text: str) -> str:
    """Reduce a line to what a table of contents and the heading share: words, without page, marks and case."""
    text = FOOTNOTE.sub("", PAGE_NUMBER.sub("", text)).casefold()
    return " ".join(re.findall(r"\w+", text))[:MAX_HEADING_CHARS]


def heading_text(texts: list[str]) -> str:
    """Join a heading's own line and the ones after it, as far as they still belong to it.

    Under a bare CHAPTER I a title in capitals may stand behind a blank line.
    """
    own = texts[0]
    found = CHINESE.match(own)
    if found and found.end() < len(own):
        return " ".join(own.split())
    belongs = CHINESE_TITLE if found else LATIN_TITLE
    following = list(itertools.takewhile(belongs.fullmatch, texts[1:3]))
    if not found and is_title_below(texts):
        following = [texts[2]]
    return " ".join(" ".join([own, *following]).split())


def is_title_below(texts: list[str]) -> bool:
    """Tell whether a title in capitals stands alone behind the blank line under a bare CHAPTER I."""
    found = LATIN.match(texts[0])
    bare = found is not None and found.end() >= len(texts[0].rstrip(".:"))
    title = texts[2] if len(texts) > 3 and not texts[1] and not texts[3] else ""
    return bare and title.isupper() and title[0].isalpha() and not LATIN.match(title)


def merge_short(raw: str, headings: list[Chapter]) -> list[Chapter]:
    """Drop tables of contents, and join BOOK I to the CHAPTER I that follows at once."""
    headings = headings[contents_length(raw, headings) :]
    merged: list[Chapter] = []
    waiting: list[Chapter] = []
    for heading in headings:
        waiting.append(heading)
        if not is_short(raw, heading) or is_sentence(raw, heading) or heading is headings[-1]:
            title = " - ".join(h.heading for h in waiting)
            merged.append(Chapter(title[:MAX_HEADING_CHARS], waiting[0].start, heading.end))
            waiting = []
    return merged


def text_under(raw: str, heading: Chapter) -> str:
    """Return what stands under a heading; an approximation where the heading's words are not the text's."""
    return " ".join(raw[heading.start : heading.end].split())[len(heading.heading) :].strip()


def is_short(raw: str, heading: Chapter) -> bool:
    """Tell a heading with hardly any text under it."""
    return len(raw[heading.start : heading.end].strip()) - len(heading.heading) < MIN_CHAPTER_CHARS


def is_sentence(raw: str, heading: Chapter) -> bool:
    """Tell a chapter of a sentence or two from a heading over other headings."""
    text = text_under(raw, heading)
    return len(text) >= MIN_CHAPTER_TEXT and bool(SENTENCE.search(text)) and is_division(heading.heading)


def contents_length(raw: str, headings: list[Chapter]) -> int:
    """Count the headings at the front that are lines of a table of contents.

    They are at least three with hardly any text, and come again later. The list's last line may be
    followed by a preface, so it is known by its coming again only.
    """
    run = sum(1 for _ in itertools.takewhile(lambda heading: is_short(raw, heading), headings))
    labels = [label(h.heading) for h in headings]
    length = run + (run > 1 and labels[run : run + 1] != [] and labels[run] in labels[run + 1 :])
    return length if length >= MIN_LISTED and labels[0] in labels[length:] else 0


def parts(raw: str, start: int, end: int) -> list[Chapter]:
    """Cut a body without headings after the paragraph in which PART_CHARS are reached."""
    if end - start <= PART_CHARS:
        return [Chapter("whole book", start, end)]
    edges = [start]
    breaks = re.compile(r"\n[ \t\r]*\n|\n(?=[\s　])")
    while end - edges[-1] > PART_CHARS and (found := breaks.search(raw, edges[-1] + PART_CHARS, end)):
        edges.append(found.end())
    edges.append(end)
    return [Chapter(f"part {i}", a, b) for i, (a, b) in enumerate(itertools.pairwise(edges), start=1)]
