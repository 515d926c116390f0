"""Read books in any form and cut them into chapters; one file (or a range of a zip's members) is one unit.

A chapter is a document, because a book is too long for one and the split needs the book's name
(meta "work") to keep all chapters on one side. Every character of the body ends up in a document or in a
counted skip. Rows of Project Gutenberg's catalogue among the files (catalogue-*.jsonl, *.rdf) are no books: they
tell title, author, language and rights of the books whose number they name.
"""

import itertools
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from lmpipe.document import RAW_BYTES, BadRecord, Document, Origin, Record, Skipped
from lmpipe.errors import InputError
from lmpipe.settings import NovelsSource
from lmpipe.sources.archives import Archive, ArchiveError, is_zip
from lmpipe.sources.books import BOOK_SUFFIXES, Book, is_epub, kind_of, open_book
from lmpipe.sources.catalogue import number_in, read_rows
from lmpipe.sources.chapters import MIN_CHAPTER_CHARS, Chapter, chapters
from lmpipe.sources.encoding import UndecodableError, check_encoding, file_name
from lmpipe.sources.facts import Facts
from lmpipe.sources.gutenberg import CREDIT, LICENCE_INSIDE, NOTE, BadBookError, Span
from lmpipe.sources.headings import is_division
from lmpipe.sources.limits import RecordTimeoutError, time_limit

MAX_FILE_BYTES = 64 << 20
"""The largest book; War and Peace has 3 MB, so a larger file is no single book. A zip of many may be larger."""

MEMBERS_PER_UNIT = 50
"""Members of a zip in a unit: some 30 MB of text."""

CATALOGUE = re.compile(r"catalogue-\d+\.jsonl|.*\.rdf", re.IGNORECASE)

NOTE_HEADING = re.compile(NOTE, re.IGNORECASE)
MAX_NOTE_CHARS = 20_000
"""A transcriber's note is shorter: more text under such a heading is the book itself."""


class NovelUnit(NamedTuple):
    """One file, or some members of a zip."""

    path: str
    label: str
    """What the book is called in ids: the file's name without its ending, with more where two are the same."""
    facts: Facts
    """What the catalogue knows of the book."""
    error: str | None = None
    """Why the file cannot be read at all."""
    members: tuple[int, ...] | None = None
    """Which members of a zip that is no EPUB."""


class Item(NamedTuple):
    """The bytes of one book."""

    label: str
    data: bytes
    origin: Origin
    facts: Facts


class Piece(NamedTuple):
    """What becomes a document."""

    heading: str
    number: int
    text: str
    origin: Origin


def units(source: NovelsSource, files: list[Path]) -> list[NovelUnit]:
    """Make every book file a unit, a zip of many books several; raises InputError for an unknown encoding."""
    check_encoding(source.encoding, source.name)
    books = [file for file in files if not CATALOGUE.fullmatch(file.name)]
    known: dict[int, Facts] = {}
    broken: list[NovelUnit] = []
    for file in files:
        if CATALOGUE.fullmatch(file.name):
            try:
                known |= {row.number: row.facts for row in read_rows(file)}
            except InputError as error:
                broken.append(NovelUnit(str(file), file.stem, Facts(), str(error)))
    labels = unique_labels(books)
    return [unit for file in books for unit in file_units(file, labels[file], known)] + broken


def unique_labels(files: list[Path]) -> dict[Path, str]:
    """Call each file by its stem; those that share one by their ending too, and by folders as far as needed."""
    labels = {file: file_name(file.with_suffix("")) for file in files}
    for depth in range(1, max((len(file.parts) for file in files), default=0) + 1):
        numbers = Counter(labels.values())
        for file in files:
            if numbers[labels[file]] > 1:
                labels[file] = "/".join(file.parts[-depth:]).encode("utf-8", "backslashreplace").decode()
    return labels


def file_units(file: Path, label: str, known: dict[int, Facts]) -> Iterator[NovelUnit]:
    """Make one unit of a file, or of each range of a zip's members."""
    number = number_in(file.name)
    unit = NovelUnit(str(file), label, known.get(number, Facts()) if number is not None else Facts())
    with file.open("rb") as stream:
        head = stream.read(4)
    if not is_zip(head):
        yield unit
        return
    try:
        with Archive.open(file) as archive:
            members = tuple(i for i, member in enumerate(archive.members) if not member.is_dir())
            if is_epub(archive):
                yield unit
                return
    except ArchiveError as error:
        yield unit._replace(error=str(error))
        return
    for at in range(0, max(len(members), 1), MEMBERS_PER_UNIT):
        yield unit._replace(members=members[at : at + MEMBERS_PER_UNIT])


def read(source: NovelsSource, unit: NovelUnit) -> Iterator[Record]:
    """Yield the chapters of a unit's books, a BadRecord for what is no book, and skips for what is beside them."""
    path = Path(unit.path)
    for found in items(unit, path):
        if not isinstance(found, Item):
            yield found
            continue
        try:
            with time_limit():
                made = list(records(source, open_book(source, found.data), found))
        except (BadBookError, UndecodableError, RecordTimeoutError) as error:
            made = [BadRecord(origin=found.origin, error=f"{found.label}: {error}", raw=found.data[:RAW_BYTES])]
        yield from made


def items(unit: NovelUnit, path: Path) -> Iterator[Item | Record]:
    """Yield the bytes of a unit's books, one after another."""
    size = path.stat().st_size
    origin = Origin(file_name(path), 0, size)
    if unit.members is not None:
        yield from zip_items(unit, path)
        return
    with path.open("rb") as file:
        data = file.read(MAX_FILE_BYTES if size <= MAX_FILE_BYTES else RAW_BYTES)
    error = unit.error
    if size > MAX_FILE_BYTES:
        error = f"expected a book of at most {MAX_FILE_BYTES} bytes, found {size}"
    if error is not None:
        yield BadRecord(origin=origin, error=error, raw=data[:RAW_BYTES])
    elif (kind := kind_of(path.name, data[:4])) in ("image", "other"):
        yield Skipped(reason=kind)
    else:
        yield Item(unit.label, data, origin, unit.facts)


def zip_items(unit: NovelUnit, path: Path) -> Iterator[Item | Record]:
    """Yield the books among a zip's members; pictures and what else lies there are skips."""
    assert unit.members is not None, "only zips have members"
    with Archive.open(path) as archive:
        labels = member_labels(unit.label, archive)
        if not unit.members:
            yield BadRecord(origin=Origin(file_name(path), 0, path.stat().st_size), error="an empty zip", raw=b"")
        for index in unit.members:
            member, name = archive.members[index], archive.names[index]
            origin = Origin(file_name(path), member.header_offset, member.compress_size)
            kind = kind_of(name, b"PK\x03\x04" if name.lower().endswith(".zip") else b"")
            if kind != "book":
                yield Skipped(reason="image" if kind == "image" else "other")
                continue
            try:
                yield Item(labels[index], archive.read(member), origin, unit.facts)
            except ArchiveError as error:
                yield BadRecord(origin=origin, error=f"{labels[index]}: {error}", raw=b"")


def member_labels(label: str, archive: Archive) -> dict[int, str]:
    """Call a zip's only book by the zip, one of several by its path inside too."""
    names = {i: name for i, name in enumerate(archive.names) if PurePosixPath(name.lower()).suffix in BOOK_SUFFIXES}
    stems = {i: name.rpartition(".")[0] for i, name in names.items()}
    twice = Counter(stems.values())
    labels = {i: f"{label}/{stem if twice[stem] == 1 else names[i]}" for i, stem in stems.items()}
    again = Counter(labels.values())  # a zip may hold one name twice
    labels = {i: text if again[text] == 1 else f"{text}@{i}" for i, text in labels.items()}
    others = {i: f"{label}/{name}" for i, name in enumerate(archive.names) if i not in labels}
    return dict.fromkeys(labels, label) | others if len(labels) == 1 else labels | others


def records(source: NovelsSource, book: Book, item: Item) -> Iterator[Record]:
    """Yield front matter (number 00) and chapters (from 01) as documents, and the rest as skips."""
    if book.facts.copyrighted or item.facts.copyrighted:
        yield Skipped(reason="copyrighted")
        return
    facts = item.facts.filled(book.facts).filled(Facts(title=PurePosixPath(item.label).name))
    for piece in pieces(book, item.origin):
        yield piece if isinstance(piece, Skipped) else document(source, book, item, facts, piece)


def pieces(book: Book, origin: Origin) -> Iterator[Piece | Skipped]:
    """Cut a book into its chapters; what stands before the first of them is number 00."""
    number = itertools.count(1)
    for span in book.spans:
        for chapter, place in located(book, span, origin):
            text = LICENCE_INSIDE.sub(
                "", book.raw[chapter.start : chapter.end].replace("\r\n", "\n").replace("\r", "\n")
            )
            if not chapter.heading:
                yield from front_matter(text, place, 0 if span is book.spans[0] else next(number))
            elif NOTE_HEADING.match(chapter.heading) and len(text) < MAX_NOTE_CHARS:
                yield Skipped(reason="transcriber_note")
            else:
                yield Piece(chapter.heading, next(number), text.strip("\n"), place)


def located(book: Book, span: Span, origin: Origin) -> Iterator[tuple[Chapter, Origin]]:
    """Yield the chapters of a span with their places in the file: in bytes, where the text is the file."""
    offset = book.mark + len(book.raw[: span.start].encode(book.codec)) if book.plain else 0
    for chapter in chapters(book.raw, span.start, span.end, book.marked):
        if book.plain and origin.offset == 0:
            length = len(book.raw[chapter.start : chapter.end].encode(book.codec))
            yield chapter, Origin(origin.file, offset, length)
            offset += length
        else:
            yield chapter, origin


def front_matter(text: str, place: Origin, number: int) -> Iterator[Piece | Skipped]:
    """Keep the prose of what stands before the first chapter; count the rest as a skip."""
    prose, rest = split_front_matter(text)
    if len(prose) > MIN_CHAPTER_CHARS:
        yield Piece("front matter", number, prose, place)
    if rest or len(prose) <= MIN_CHAPTER_CHARS:
        yield Skipped(reason="front_matter")


def document(source: NovelsSource, book: Book, item: Item, facts: Facts, piece: Piece) -> Document:
    """Make one chapter a document; the language of catalogue or header wins over the source's."""
    meta = {"work": f"{source.name}:{item.label}", "book": facts.title, "chapter": str(piece.number)}
    if book.codec != "utf-8":
        meta["encoding"] = book.codec
    meta |= {
        name: value
        for name, value in (("author", facts.authors), ("translator", facts.translators), ("rights", facts.rights))
        if value
    }
    return Document(
        native_id=f"{item.label}#{piece.number:02d}",
        title=f"{facts.title} - {piece.heading}",
        text=piece.text,
        origin=piece.origin,
        lang=facts.lang or None,
        created=facts.created,
        meta=meta,
    )


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
    return not (is_division(text) or CREDIT.match(text))
