"""Turn a file's bytes into a book: plain text, HTML, EPUB, and zips of them, told apart by what they hold.

Whatever the form, the result is one text with the place of its body and of its marked headings, so that
markers are cut and chapters found by the same code.
"""

import io
import re
from pathlib import PurePosixPath
from typing import NamedTuple

from lmpipe.settings import NovelsSource
from lmpipe.sources.archives import Archive, ArchiveError, is_mac_metadata, is_zip
from lmpipe.sources.chapters import Marked
from lmpipe.sources.encoding import BOMS, decode
from lmpipe.sources.epub import CONTAINER, read_epub
from lmpipe.sources.facts import Facts, header_facts
from lmpipe.sources.gutenberg import BadBookError, Span, body_spans
from lmpipe.sources.html import declared_charset
from lmpipe.sources.language_names import language_code
from lmpipe.sources.markup import MarkupError, Page, read_html

IMAGES = (b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"II*\0", b"MM\0*")
BOOK_SUFFIXES = frozenset({".txt", ".text", ".htm", ".html", ".xhtml", ".epub"})
IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".gif", ".svg", ".webp", ".bmp", ".tif", ".tiff"})
OTHER_SUFFIXES = frozenset(
    {
        *(".css", ".js", ".json", ".xml", ".opf", ".ncx", ".yaml", ".yml", ".pdf", ".mobi", ".prc", ".tex", ".ly"),
        *(".mid", ".midi", ".mp3", ".ogg", ".wav", ".mus", ".py", ".log", ".db", ".ini", ".asciidoc"),
    }
)
"""What lies beside books and is none that this module reads."""
IS_HTML = re.compile(
    r"\s*(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*)*<(?:!doctype\s+html|html|head|body)\b", re.IGNORECASE | re.DOTALL
)
TITLE_NOISE = re.compile(
    r"^The Project Gutenberg e-?(?:book|text) of "
    r"|,? (?:a|The) Project Gutenberg e-?(?:book|text)\.?$|\s*\| Project Gutenberg$",
    re.IGNORECASE,
)
"""What Gutenberg adds to the <title> of its HTML."""


class Book(NamedTuple):
    """A readable book: its text and where its body lies."""

    raw: str
    codec: str
    mark: int
    """Bytes of the byte order mark."""
    plain: bool
    """Whether raw is the file as it is, so that offsets in it are places in the file."""
    spans: list[Span]
    """Where the body lies; more than one for several books or volumes in a file."""
    marked: list[Marked]
    """Headings as the markup says."""
    facts: Facts


def kind_of(name: str, head: bytes) -> str:
    """Tell "image", "other", "book" and "unknown" by a name and the first bytes."""
    suffix = PurePosixPath(name.lower()).suffix
    if is_mac_metadata(name):
        return "other"
    if suffix in IMAGE_SUFFIXES or head.startswith(IMAGES):
        return "image"
    if suffix in BOOK_SUFFIXES or is_zip(head):
        return "book"
    return "other" if suffix in OTHER_SUFFIXES else "unknown"


def is_epub(archive: Archive) -> bool:
    """Tell an EPUB from another zip."""
    return CONTAINER in archive.names


def open_book(source: NovelsSource, data: bytes) -> Book:
    """Read a book of any form and find its body; raises BadBookError or UndecodableError."""
    if is_zip(data):
        try:
            with Archive.open(io.BytesIO(data)) as archive:
                return open_epub(source, archive)
        except ArchiveError as error:
            raise BadBookError(str(error)) from None
    raw, codec = decode(data, source.encoding, declared_charset(data) if source.encoding is None else None)
    if IS_HTML.match(raw[:10_000]):
        try:
            page = read_html(raw)
        except MarkupError as error:
            raise BadBookError(str(error)) from None
        title = TITLE_NOISE.sub("", TITLE_NOISE.sub("", page.title))
        return from_markup(source, page, codec, Facts(title=title, lang=language_code(page.lang)))
    if "\n" not in raw:
        raw = raw.replace("\r", "\n")  # old Macintosh files; the length stays, so offsets hold
    if not raw.strip():
        raise BadBookError("expected a book, found no text")
    spans = body_spans(raw, required=source.markers == "required")
    mark = next((len(mark) for mark, _ in BOMS if data.startswith(mark)), 0)
    return Book(raw, codec, mark, True, spans, [], header_facts(raw[: spans[0].start], raw[spans[-1].end :]))


def open_epub(source: NovelsSource, archive: Archive) -> Book:
    """Read an EPUB; raises BadBookError, for another zip too."""
    if not is_epub(archive):
        raise BadBookError("expected a book, found a zip inside a zip. Unpack the outer one")
    page, facts = read_epub(archive)
    return from_markup(source, page, "utf-8", facts.filled(Facts(title=page.title, lang=language_code(page.lang))))


def from_markup(source: NovelsSource, page: Page, codec: str, facts: Facts) -> Book:
    """Find the body in a text that came out of markup; raises BadBookError."""
    raw = page.text
    if not raw.strip():
        raise BadBookError("expected a book, found markup without text")
    spans = body_spans(raw, required=source.markers == "required")
    own = header_facts(raw[: spans[0].start], raw[spans[-1].end :])
    return Book(raw, codec, 0, False, spans, page.headings, own.filled(facts))
