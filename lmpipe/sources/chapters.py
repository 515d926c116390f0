"""Find the chapters of a book: in plain text by the look of lines, in HTML by its heading elements.

A line is a heading when it says so (CHAPTER I., 第一回, VII), or when the book's own table of contents lists it
and it stands alone again later: that finds tales and essays with names of their own, in any language. What
lies between two headings is a chapter; the pieces follow each other without a gap. A heading stays in its
chapter's text: it was written to be read there, and the text is then exactly the bytes of its origin.
"""

import itertools
import re
from collections.abc import Iterable
from typing import NamedTuple

MIN_CHAPTER_CHARS = 200
"""Text a heading needs before the next one; less is a line of a table of contents, or BOOK I before CHAPTER I."""

PART_CHARS = 100_000
"""A book without headings that is longer is cut into parts of about this length, at paragraph ends."""

MAX_HEADING_CHARS = 120
"""A longer line is a paragraph."""

NUMBER = (
    r"(?:[IVXLC]+|\d{1,3}|THE (?:FIRST|LAST)|ONE|TWO|THREE|FOUR|FIVE|SIX|SEVEN|EIGHT|NINE|TEN|ELEVEN|TWELVE"
    r"|(?:THIR|FOUR|FIF|SIX|SEVEN|EIGH|NINE)TEEN|(?:TWEN|THIR|FOR|FIF)TY(?:[- ]\w+)?)"
)
ORDINAL = "(?:FIRST|SECOND|THIRD|FOURTH|FIFTH|SIXTH|SEVENTH|EIGHTH|NINTH|TENTH|ELEVENTH|TWELFTH|LAST)"
DIVISION = (
    "(?:CHAPTER|BOOK|PART|ACT|VOLUME|LETTER|STAVE|CANTO|ADVENTURE|SECTION"
    "|CHAPITRE|LIVRE|PARTIE|KAPITEL|TEIL|HOOFDSTUK|DEEL|CAP[IÍ]TULO|CAPITOLO|PARTE|LUKU|KAPITTEL|ROZDZIAŁ|ГЛАВА|ЧАСТЬ)"
)
LATIN = re.compile(
    rf"(?i:(?:THE )?{DIVISION} {NUMBER})(?=$|[.:,;\]—–-]|\s+[\"“‘'(_]?[A-Z0-9])"
    rf"|(?:THE )?{ORDINAL} {DIVISION}(?=$|[.:])"
    r"|(?=[IVXLC])(?:X{0,3}|XL|LX{0,3}|XC|C{1,3})(?:IX|IV|V?I{0,3})(?=\.?$|\. [A-Z][^a-z]*$)"
    r"|(?i:PROLOGUE|EPILOGUE|PREFACE|INTRODUCTION|FOREWORD|AFTERWORD|CONCLUSION|APPENDIX)(?=[.:]?$)"
    r"|(?:APPENDIX|INDEX)(?: [A-Z0-9]{1,4}| OF [A-Z]+)?(?=$|[.:] [A-Z]|\.$)"
)
"""CHAPTER I., Kapitel 1, BOOK THE FIRST, SECOND ACT, LETTER 1, STAVE ONE; VII alone or before a title in
capitals; PREFACE and its like alone. Matched from the start of a line after a blank one or another heading."""

CHINESE = re.compile(
    r"第\s*[零〇○一二三四五六七八九十百千两兩廿卅0-9０-９]+\s*[回章節节卷部篇集折](?=$|[\s:：、]|[^。，,！!？?；;．]{1,24}$)"
    r"|卷[之第]?[一二三四五六七八九十百上中下]+(?=$|[\s:：])"
    r"|(?:楔\s*子|引\s*子|序\s*[言幕章]?|自\s*序|前\s*言|尾\s*[声聲]|[后後]\s*[记記]|附\s*[录錄表]|番\s*外|跋)(?=$|[\s:：][^。，]{0,30}$)"
)
"""第一回 and the like, 卷一, 楔子, 序, 附录, from the start of a line. A sentence that begins with 第四回中
is no heading: it holds punctuation."""

CHINESE_TITLE = re.compile("[^。，、：:！!？?；;．-]{1,24}")
"""A line under 第一回 that still belongs to the heading."""

LATIN_TITLE = re.compile(f".{{1,{MAX_HEADING_CHARS}}}")
"""A line under CHAPTER I. that still belongs to the heading, when no blank line stands between."""

CONTENTS = re.compile(
    r"(?:(?:TABLE OF )?CONTENTS|INHOUD|INHALT(?:SVERZEICHNIS)?|TABLE(?: DES MATI[EÈ]RES)?|[IÍ]NDICE|INDHOLD|INNEHÅLL"
    r"|SISÄLTÖ|SISÄLLYS|SPIS TREŚCI|СОДЕРЖАНИЕ|ОГЛАВЛЕНИЕ|目[录錄次])[.:：]?",
    re.IGNORECASE,
)
"""The heading of a table of contents."""

PROSE_LINE = 60
"""Characters: the first longer line after it, or one that ends a sentence in Chinese, is no longer part of it."""

MIN_LISTED = 3
"""Entries that must come again as lines of their own; two may be chance."""

PAGE_NUMBER = re.compile(r"[\s.·…_]*(?:\d{1,4}|[ivxlc]+)?[\s.]*$", re.IGNORECASE)


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


def is_division(text: str) -> bool:
    """Tell a heading that says that it is one."""
    return bool(LATIN.match(text) or CHINESE.match(text))


def find_headings(raw: str, start: int, end: int) -> list[Chapter]:
    """List the lines that look like headings; a heading's text goes on over wrapped lines."""
    lines = [Line(m.start(), m.end()) for m in re.compile(r"[^\r\n]+|(?<=\n)(?=\r?\n)").finditer(raw, start, end)]
    texts = [raw[line.start : line.end].strip() for line in lines]
    listed = listed_headings(texts)
    found = []
    may_start = True
    for index, text in enumerate(texts):
        is_heading = len(text) <= MAX_HEADING_CHARS and bool(
            (may_start and (LATIN.match(text) or index in listed)) or CHINESE.match(text)
        )
        if is_heading:
            found.append((lines[index].start, heading_text(texts[index : index + 3])))
        may_start = is_heading or not text
    return spans(found, end)


def listed_headings(texts: list[str]) -> set[int]:
    """Find the lines standing alone that a table of contents before them lists; none below MIN_LISTED."""
    begin = next((i for i, text in enumerate(texts) if CONTENTS.fullmatch(text)), len(texts))
    entries: dict[str, int] = {}
    for i, text in enumerate(texts[begin + 1 :], begin + 1):
        if (len(text) >= PROSE_LINE and not text[-1].isdigit()) or text.endswith(("。", "！", "？", "”", "」")):
            break
        if any(map(str.isalpha, text)):
            entries.setdefault(entry(text), i)
    entries.pop("", None)
    found = set()
    for i in range(begin + 1, len(texts)):
        alone = texts[i] and not texts[i - 1] and (i + 1 == len(texts) or not texts[i + 1])
        if alone and entries.get(entry(texts[i]), i) < i:
            found.add(i)
    last = max((entries[entry(texts[i])] for i in found), default=0)
    found = {i for i in found if i > last}  # the list itself may say a word twice
    return found if len(found) >= MIN_LISTED else set()


def entry(text: str) -> str:
    """Reduce a line to what a table of contents and the heading share: words, without page and case."""
    return " ".join(PAGE_NUMBER.sub("", text).casefold().split())[:MAX_HEADING_CHARS]


def heading_text(texts: list[str]) -> str:
    """Join a heading's own line and the two after it, as far as they still belong to it."""
    belongs = CHINESE_TITLE if CHINESE.match(texts[0]) else LATIN_TITLE
    following = itertools.takewhile(belongs.fullmatch, texts[1:])
    return " ".join(" ".join([texts[0], *following]).split())


def merge_short(raw: str, headings: list[Chapter]) -> list[Chapter]:
    """Drop tables of contents, and join BOOK I to the CHAPTER I that follows at once."""
    headings = headings[contents_length(raw, headings) :]
    merged: list[Chapter] = []
    waiting: list[Chapter] = []
    for heading in headings:
        waiting.append(heading)
        if not is_short(raw, heading):
            title = " - ".join(h.heading for h in waiting)
            merged.append(Chapter(title[:MAX_HEADING_CHARS], waiting[0].start, heading.end))
            waiting = []
    return merged


def is_short(raw: str, heading: Chapter) -> bool:
    """Tell a heading with hardly any text under it."""
    return len(raw[heading.start : heading.end].strip()) - len(heading.heading) < MIN_CHAPTER_CHARS


def contents_length(raw: str, headings: list[Chapter]) -> int:
    """Count the headings at the front that are lines of a table of contents.

    They are at least three with hardly any text, and come again later. The list's last line may be
    followed by a preface, so it is known by its coming again only.
    """
    run = sum(1 for _ in itertools.takewhile(lambda heading: is_short(raw, heading), headings))
    labels = [heading_label(h.heading) for h in headings]
    if run < 3 or labels[0] not in labels[run:]:
        return 0
    return run + 1 if labels[run : run + 1] and labels[run] in labels[run + 1 :] else run


def heading_label(heading: str) -> str:
    """Reduce a heading to its kind and number, such as "chapter iv"."""
    found = LATIN.match(heading) or CHINESE.match(heading)
    return found[0].lower() if found else heading.lower()


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
