"""Read books as text files and cut them into chapters; one file is one unit.

A chapter is a document, because a book is too long for one and the split needs the book's name
(meta "work") to keep all chapters on one side. The Project Gutenberg header and licence are cut by
their markers only, never by a guess at the wording (gutenbergr deleted a whole French book that
way): without the markers, or when cutting would leave little, the file is a BadRecord. Every character
of the body ends up in a document or in a counted skip.
"""

import itertools
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from lmpipe.document import RAW_BYTES, BadRecord, Document, Origin, Record, Skipped
from lmpipe.settings import NovelsSource
from lmpipe.sources.encoding import UndecodableError, check_encoding, decode, file_name

MAX_FILE_BYTES = 64 << 20
"""The largest book; War and Peace has 3 MB, so a larger file is no single book."""

MIN_KEPT = 0.2
"""Share of a file that must be left after the cut; Gutenberg's licence has 19 kB."""

MIN_CHAPTER_CHARS = 200
"""Text a heading needs before the next one; less is a line of a table of contents."""

PART_CHARS = 100_000
"""A book without headings that is longer is cut into parts of about this length, at paragraph ends."""

START = re.compile(
    r"^[ \t]*\*+[ \t]*START OF (?:THE|THIS) (?:COPYRIGHTED )?PROJECT GUTENBERG E-?(?:BOOK|TEXT)"
    r"[^*]{0,300}?(?:\*+[ \t\r]*$|\r?\n\r?\n)"
    r"|^[ \t]*\*END[ *]*THE SMALL PRINT![^\n]*$",
    re.MULTILINE | re.IGNORECASE,
)
END = re.compile(
    r"^[ \t]*\*+[ \t]*END OF (?:THE|THIS) (?:COPYRIGHTED )?PROJECT GUTENBERG E-?(?:BOOK|TEXT)"
    r"|^[ \t]*End of (?:the |this )?Project Gutenberg(?:'s|’s)?\b",
    re.MULTILINE | re.IGNORECASE,
)
"""All spellings since 1993, "THIS" and "THE"; the oldest files end their header with the small print."""

HEADER_FIELD = re.compile(
    r"^(Title|Author|Language|Release Date):[ \t]*(.+(?:\r?\n[ \t]+\S.*)*)", re.MULTILINE | re.IGNORECASE
)
LANGUAGES = {
    "english": "en", "chinese": "zh", "french": "fr", "german": "de", "dutch": "nl", "spanish": "es", "italian": "it",
    "portuguese": "pt", "finnish": "fi", "swedish": "sv", "danish": "da", "greek": "el", "latin": "la", "russian": "ru",
    "japanese": "ja", "hungarian": "hu", "polish": "pl", "esperanto": "eo",
}  # fmt: skip
"""Gutenberg's names of the languages with most books; another one keeps the source's language."""

NUMBER = (
    r"(?:[IVXLC]+|\d{1,3}|THE (?:FIRST|LAST)|ONE|TWO|THREE|FOUR|FIVE|SIX|SEVEN|EIGHT|NINE|TEN|ELEVEN|TWELVE"
    r"|(?:THIR|FOUR|FIF|SIX|SEVEN|EIGH|NINE)TEEN|(?:TWEN|THIR|FOR|FIF)TY(?:[- ]\w+)?)"
)
ORDINAL = "(?:FIRST|SECOND|THIRD|FOURTH|FIFTH|SIXTH|SEVENTH|EIGHTH|NINTH|TENTH|ELEVENTH|TWELFTH|LAST)"
DIVISION = "(?:CHAPTER|BOOK|PART|ACT|VOLUME|LETTER|STAVE|CANTO|ADVENTURE|SECTION)"
ENGLISH = re.compile(
    rf"(?i:(?:THE )?{DIVISION} {NUMBER})(?=$|[.:,;\]—–-]|\s+[\"“‘'(_]?[A-Z0-9])"
    rf"|(?:THE )?{ORDINAL} {DIVISION}(?=$|[.:])"
    r"|(?=[IVXLC])(?:X{0,3}|XL|LX{0,3}|XC|C{1,3})(?:IX|IV|V?I{0,3})(?=\.?$|\. [A-Z][^a-z]*$)"
    r"|(?i:PROLOGUE|EPILOGUE|PREFACE|INTRODUCTION|FOREWORD|AFTERWORD|CONCLUSION|APPENDIX)(?=[.:]?$)"
    r"|APPENDIX(?: [A-Z0-9]{1,4})?(?=$|[.:] [A-Z])"
)
"""CHAPTER I., Chapter 1, BOOK THE FIRST, SECOND ACT, LETTER 1, STAVE ONE; VII alone or before a title in
capitals; PREFACE and its like alone. Matched from the start of a line after a blank one or another heading."""

CHINESE = re.compile(
    r"第\s*[零〇○一二三四五六七八九十百千两兩廿卅0-9０-９]+\s*[回章节節卷部篇集折](?=$|[\s:：、]|[^。，,！!？?；;．]{1,24}$)"
    r"|卷[之第]?[一二三四五六七八九十百上中下]+(?=$|[\s:：])"
    r"|(?:楔\s*子|引\s*子|序\s*[言幕章]?|自\s*序|前\s*言|尾\s*[声聲]|[后後]\s*[记記]|附\s*[录錄表]|番\s*外|跋)(?=$|[\s:：][^。，]{0,30}$)"
)
"""第一回 and the like, 卷一, 楔子, 序, 附录, from the start of a line. A sentence that begins with 第四回中
is no heading: it holds punctuation."""

MAX_HEADING_CHARS = 120
"""A longer line is a paragraph."""

CHINESE_TITLE = re.compile("[^。，、：:！!？?；;．-]{1,24}")
"""A line under 第一回 that still belongs to the heading."""

ENGLISH_TITLE = re.compile(f".{{1,{MAX_HEADING_CHARS}}}")
"""A line under CHAPTER I. that still belongs to the heading, when no blank line stands between."""

CREDIT = re.compile("Produced by|Transcribe[dr]|This e?text was|E-?text prepared", re.IGNORECASE)
"""How Gutenberg's volunteers begin the paragraph about themselves."""


class NovelUnit(NamedTuple):
    """One book."""

    path: str


class Line(NamedTuple):
    """A line's place in the text, its end without the line break."""

    start: int
    end: int


class Book(NamedTuple):
    """A decoded book: its text as in the file and where its body lies."""

    raw: str
    codec: str
    start: int
    end: int
    header: dict[str, str]


class Chapter(NamedTuple):
    """A piece of a book's body; heading is empty for what stands before the first one."""

    heading: str
    start: int
    end: int


class BadBookError(Exception):
    """Why a file cannot be read as a book."""


def units(source: NovelsSource, files: list[Path]) -> list[NovelUnit]:
    """Make every file a unit; raises InputError for an unknown encoding."""
    check_encoding(source.encoding, source.name)
    return [NovelUnit(str(file)) for file in files]


def read(source: NovelsSource, unit: NovelUnit) -> Iterator[Record]:
    """Yield the chapters of a book, or one BadRecord saying why there are none."""
    path = Path(unit.path)
    size = path.stat().st_size
    with path.open("rb") as file:
        data = file.read(MAX_FILE_BYTES if size <= MAX_FILE_BYTES else RAW_BYTES)
    try:
        if size > MAX_FILE_BYTES:
            raise BadBookError(f"expected a book of at most {MAX_FILE_BYTES} bytes, found {size}")
        book = open_book(source, data)
    except (BadBookError, UndecodableError) as error:
        yield BadRecord(origin=Origin(file_name(path), 0, size), error=str(error), raw=data[:RAW_BYTES])
        return
    yield from records(source, book, path)


def open_book(source: NovelsSource, data: bytes) -> Book:
    """Decode a book and find its body; raises BadBookError or UndecodableError."""
    raw, codec = decode(data, source.encoding)
    if "\n" not in raw:
        raw = raw.replace("\r", "\n")  # old Macintosh files; the length stays, so offsets hold
    if not raw.strip():
        raise BadBookError("expected a book, found no text")
    if re.match(r"\s*<(?:!doctype html|html|\?xml)", raw, re.IGNORECASE):
        raise BadBookError("expected plain text, found HTML or XML")
    start, end = body_span(raw, required=source.markers == "required")
    header = {m[1].lower(): " ".join(m[2].split()) for m in HEADER_FIELD.finditer(raw[:start])}
    return Book(raw, codec, start, end, header)


def body_span(raw: str, required: bool) -> tuple[int, int]:
    """Find the text between Project Gutenberg's markers.

    Raises BadBookError when `required` markers are missing or hardly anything stands between them.
    """
    starts = [m.end() for m in START.finditer(raw, 0, max(len(raw) // 2, 40_000))]
    start = max(starts, default=0)
    found = END.search(raw, start)
    end = found.start() if found else len(raw)
    if required and (not starts or not found):
        missing = " and ".join(name for name, there in (("START", starts), ("END", found)) if not there)
        raise BadBookError(
            f"no Project Gutenberg {missing} marker; expected both. Set markers = 'optional' for other books"
        )
    if end - start < MIN_KEPT * len(raw):
        raise BadBookError(
            f"less than {MIN_KEPT:.0%} of the file lies between the Project Gutenberg markers:"
            f" {end - start} of {len(raw)} characters"
        )
    return start, end


def records(source: NovelsSource, book: Book, path: Path) -> Iterator[Record]:
    """Yield front matter (number 00) and chapters (from 01) as documents, and the rest as a skip."""
    title = book.header.get("title", path.stem)
    offset = len(book.raw[: book.start].encode(book.codec))
    number = itertools.count(1)
    for chapter in chapters(book.raw, book.start, book.end):
        text = book.raw[chapter.start : chapter.end]
        length = len(text.encode(book.codec))
        origin = Origin(file_name(path), offset, length)
        offset += length
        text = text.replace("\r\n", "\n").replace("\r", "\n")
        if chapter.heading:
            yield document(source, book, path, Piece(title, chapter.heading, next(number), text.strip("\n"), origin))
        else:
            prose, rest = split_front_matter(text)
            if len(prose) > MIN_CHAPTER_CHARS:
                yield document(source, book, path, Piece(title, "front matter", 0, prose, origin))
            if rest or len(prose) <= MIN_CHAPTER_CHARS:
                yield Skipped(reason="front_matter")


class Piece(NamedTuple):
    """What becomes a document."""

    book: str
    heading: str
    number: int
    text: str
    origin: Origin


def document(source: NovelsSource, book: Book, path: Path, piece: Piece) -> Document:
    """Make one chapter a document; the header's language wins over the source's."""
    meta = {"work": f"{source.name}:{path.stem}", "book": piece.book, "chapter": str(piece.number)}
    if book.codec != "utf-8":
        meta["encoding"] = book.codec
    if "author" in book.header:
        meta["author"] = book.header["author"]
    return Document(
        native_id=f"{path.stem}#{piece.number:02d}",
        title=f"{piece.book} - {piece.heading}",
        text=piece.text,
        origin=piece.origin,
        lang=LANGUAGES.get(book.header.get("language", "").lower()),
        created=release_date(book.header.get("release date", "")),
        meta=meta,
    )


def release_date(value: str) -> datetime | None:
    """Read "August 29, 2006 [eBook #844]" or "April, 2001"; None for anything else."""
    value = value.partition("[")[0].strip()
    for form in ("%B %d, %Y", "%B, %Y", "%B %Y", "%Y-%m-%d"):
        try:
            return datetime.strptime(value, form).replace(tzinfo=UTC)
        except ValueError:
            continue
    return None


def chapters(raw: str, start: int, end: int) -> list[Chapter]:
    """Cut the body at its headings; the pieces follow each other without a gap.

    Without headings the body is one piece, or parts when it is longer than PART_CHARS.
    """
    headings = merge_short(raw, find_headings(raw, start, end), end)
    if not headings:
        return parts(raw, start, end)
    edges = [*(h.start for h in headings), end]
    found = [Chapter(h.heading, edges[i], edges[i + 1]) for i, h in enumerate(headings)]
    return [Chapter("", start, edges[0]), *found] if raw[start : edges[0]].strip() else found


def find_headings(raw: str, start: int, end: int) -> list[Chapter]:
    """List the lines that look like headings; each reaches to the next, its heading over wrapped lines."""
    lines = [Line(m.start(), m.end()) for m in re.compile(r"[^\r\n]+|(?<=\n)(?=\r?\n)").finditer(raw, start, end)]
    found = []
    may_start = True
    for index, line in enumerate(lines):
        text = raw[line.start : line.end].strip()
        is_heading = len(text) <= MAX_HEADING_CHARS and bool((may_start and ENGLISH.match(text)) or CHINESE.match(text))
        if is_heading:
            found.append((line.start, heading_text(raw, lines, index)))
        may_start = is_heading or not text
    edges = [*(position for position, _ in found[1:]), end]
    return [Chapter(text, position, edges[i]) for i, (position, text) in enumerate(found)]


def heading_text(raw: str, lines: list[Line], index: int) -> str:
    """Join a heading's own line and the two after it, as far as they still belong to it."""
    texts = [raw[line.start : line.end].strip() for line in lines[index : index + 3]]
    belongs = CHINESE_TITLE if CHINESE.match(texts[0]) else ENGLISH_TITLE
    following = itertools.takewhile(belongs.fullmatch, texts[1:])
    return " ".join(" ".join([texts[0], *following]).split())[:MAX_HEADING_CHARS]


def merge_short(raw: str, headings: list[Chapter], end: int) -> list[Chapter]:
    """Drop tables of contents, and join BOOK I to the CHAPTER I that follows at once."""
    headings = headings[contents_length(raw, headings) :]
    merged: list[Chapter] = []
    waiting: list[Chapter] = []
    for heading in headings:
        waiting.append(heading)
        if len(raw[heading.start : heading.end].strip()) - len(heading.heading) >= MIN_CHAPTER_CHARS:
            title = " - ".join(h.heading for h in waiting)
            merged.append(Chapter(title[:MAX_HEADING_CHARS], waiting[0].start, heading.end))
            waiting = []
    return merged


def contents_length(raw: str, headings: list[Chapter]) -> int:
    """Count the headings at the front that are lines of a table of contents.

    They are at least three with hardly any text, and come again later. The list's last line may be
    followed by a preface, so it is known by its coming again only.
    """
    short = [len(raw[h.start : h.end].strip()) - len(h.heading) < MIN_CHAPTER_CHARS for h in headings]
    run = sum(1 for _ in itertools.takewhile(bool, short))
    labels = [heading_label(h.heading) for h in headings]
    if run < 3 or labels[0] not in labels[run:]:
        return 0
    return run + 1 if labels[run : run + 1] and labels[run] in labels[run + 1 :] else run


def heading_label(heading: str) -> str:
    """Reduce a heading to its kind and number, such as "chapter iv"."""
    found = ENGLISH.match(heading) or CHINESE.match(heading)
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


def split_front_matter(text: str) -> tuple[str, str]:
    """Part the prose of the front (a preface, a notice) from title page, credits and contents before it.

    The prose reaches from the first to the last paragraph that is prose, so that short lines inside stay.
    """
    blocks = [block.strip("\n") for block in re.split(r"\n[ \t]*\n", text) if block.strip()]
    prose = [i for i, block in enumerate(blocks) if is_prose(block)]
    first, last = (prose[0], prose[-1] + 1) if prose else (0, 0)
    return "\n\n".join(blocks[first:last]), "\n\n".join(blocks[:first] + blocks[last:])


def is_prose(block: str) -> bool:
    """Tell a paragraph of sentences (60 characters or more) from a list, a title or a credit."""
    text = block.strip()
    if len(text) < 60 or text[-1] not in ".!?\"'”’。！？」』．":
        return False
    return not (ENGLISH.match(text) or CHINESE.match(text) or CREDIT.match(text))
