"""Read news pages out of web archives and feeds into documents.

What a file is, its bytes say, not its name. An archive is cut into units of gzip members, or of records where
it is plain; one compressed as a whole is one unit, and feeds share units. A response with status 200 and HTML
becomes a document: its main text (html.py), its URL as id, and the page's own date or else the time of capture.
"""

import io
import logging
import re
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, NamedTuple

from fastwarc.warc import ArchiveIterator, WarcRecord

from lmpipe.document import BadRecord, Document, Origin, Record, Skipped
from lmpipe.settings import NewsSource
from lmpipe.sources import entries, feeds, warc
from lmpipe.sources.encoding import UndecodableError, decode, file_name
from lmpipe.sources.html import BadPageError, Page, declared_charset, extract
from lmpipe.sources.limits import RecordTimeoutError, time_limit
from lmpipe.sources.records import codec_meta

log = logging.getLogger(__name__)

UNIT_BYTES = 16 << 20
"""Compressed bytes of a unit: about 30 s of extraction, which is what a kill can cost."""

FEED_BYTES = 4 << 20
"""Bytes of the feeds that share a unit; feedparser reads 0.3 MB/s."""

HEAD_BYTES = 64 << 10
"""Bytes of a file that tell what it is."""

MAX_HTML_BYTES = 10 << 20
"""The largest page, decoded from chunks and content codings; see html.MAX_CHARS."""

HTML_TYPES = frozenset({"text/html", "application/xhtml+xml"})
SKIPPED_TYPES = frozenset({"warcinfo", "request", "metadata", "revisit", "continuation", "unknown"})
"""WARC record types that hold no page."""


UNREADABLE = (BadPageError, UndecodableError, RecordTimeoutError, OSError, ValueError)
"""What reading one record can raise for its content; FastWARC raises OSError."""


class NewsUnit(NamedTuple):
    """The records (or gzip members) of an archive that begin in [start, end); or feeds, of `end` bytes together."""

    paths: tuple[str, ...]
    kind: Literal["members", "stream", "feed", "entries"]
    start: int
    end: int


class Response(NamedTuple):
    """What the server sent, decoded from chunks and content codings."""

    status: int
    media_type: str
    charset: str | None
    body: bytes


def units(source: NewsSource, files: list[Path]) -> list[NewsUnit]:
    """Cut the files into units, in order; archives, unless compressed as a whole, into about UNIT_BYTES each.

    Feeds are small and many, and every unit costs a commit, so neighbours share one.
    """
    found: list[NewsUnit] = []
    for unit in (unit for file in files for unit in file_units(file)):
        last = found[-1] if found else None
        if last and last.kind == unit.kind == "feed" and last.end + unit.end <= FEED_BYTES:
            found[-1] = last._replace(paths=last.paths + unit.paths, end=last.end + unit.end)
        else:
            found.append(unit)
    return found


def file_units(path: Path) -> list[NewsUnit]:
    """Cut one file into units by what its first bytes are."""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
        packed = head.startswith(warc.GZIP)
        if packed and warc.inflate_head(head).startswith(entries.START):
            return [NewsUnit((str(path),), "entries", 0, size)]
        if packed and not warc.is_archive(warc.inflate_head(head)):
            packed = warc.find_member(file, 1, min(size, UNIT_BYTES)) < min(size, UNIT_BYTES)
            head = b""
    if packed and warc.is_row_of_members(path):
        return [NewsUnit((str(path),), "members", *span) for span in warc.member_ranges(path, UNIT_BYTES)]
    if packed:
        return [NewsUnit((str(path),), "stream", 0, size)]
    if warc.is_archive(head):
        return [NewsUnit((str(path),), "stream", *span) for span in warc.record_ranges(path, UNIT_BYTES)]
    return [NewsUnit((str(path),), "feed", 0, size)]


def read(source: NewsSource, unit: NewsUnit) -> Iterator[Record]:
    """Yield a record for every archive record or feed entry of a unit; log one line of what they were."""
    tally: Counter[str] = Counter()
    for record in records(source, unit):
        tally[record.reason if isinstance(record, Skipped) else type(record).__name__] += 1
        yield record
    log.info("%s [%d, %d): %s", file_name(Path(unit.paths[0])), unit.start, unit.end, dict(tally))


def records(source: NewsSource, unit: NewsUnit) -> Iterator[Record]:
    """Choose the reader of a unit's kind."""
    if unit.kind == "feed":
        for feed in unit.paths:
            yield from feeds.read_feed(Path(feed))
        return
    path = Path(unit.paths[0])
    if unit.kind == "entries":
        yield from entries.read_entries(source, path)
        return
    taken_apart = warc.members if unit.kind == "members" else warc.stream
    for piece in taken_apart(path, warc.ByteRange(unit.start, unit.end)):
        yield read_piece(source, piece, file_name(path))


def read_piece(source: NewsSource, piece: warc.Piece, file: str) -> Record:
    """Turn the bytes of one archive record into a document, a skip, or a bad record."""
    origin = Origin(file, piece.offset, piece.length)
    if piece.error is not None:
        return BadRecord(origin=origin, error=piece.error, raw=piece.data)
    try:
        record = next(iter(ArchiveIterator(io.BytesIO(warc.as_warc(piece.data)), parse_http=False)), None)
        if record is None:
            raise BadPageError("WARC headers that cannot be parsed")
        with time_limit():
            return read_record(source, record, origin)
    except UNREADABLE as error:
        return BadRecord(origin=origin, error=str(error), raw=piece.data)


def read_record(source: NewsSource, record: WarcRecord, origin: Origin) -> Document | Skipped:
    """Read a parsed WARC record; raises BadPageError, UndecodableError or OSError for what is broken."""
    kind = str(record.record_type)
    if "WARC-Type" not in record.headers:
        raise BadPageError("no WARC-Type in the record's headers")
    if kind in SKIPPED_TYPES:
        return Skipped(reason=kind)
    url = (record.headers.get("WARC-Target-URI") or "").strip("<> ")  # wget writes <URL>
    if not url:
        raise BadPageError("no WARC-Target-URI in the record's headers")
    if kind == "conversion":
        return read_conversion(record, url, origin)
    response = read_response(record)
    if response.status != 200:
        return Skipped(reason="status")
    if response.media_type not in HTML_TYPES:
        return Skipped(reason="not_html")
    html, codec = decode(response.body, None, response.charset or declared_charset(response.body), mixed=True)
    page = extract(html, source.html, record.record_date)
    if not page.text:
        return Skipped(reason="empty")
    return document(page, url, codec, record.record_date, origin)


def read_conversion(record: WarcRecord, url: str, origin: Origin) -> Document | Skipped:
    """Take the text that another tool extracted (Common Crawl's WET) as it is; its first line is the title."""
    if not (record.headers.get("Content-Type") or "").startswith("text/plain"):
        return Skipped(reason="conversion")
    text, _ = decode(record.reader.read(), None, "utf-8")
    title, _, _ = text.strip().partition("\n")
    if not title:
        return Skipped(reason="empty")
    languages = record.headers.get("WARC-Identified-Content-Language") or ""
    captured = record.record_date
    return Document(
        native_id=url,
        title=title.strip(),
        text=text.strip(),
        origin=origin,
        url=url,
        created=captured.astimezone(UTC).replace(microsecond=0) if captured else None,
        meta={"declared_lang": languages} if languages else {},
    )


def read_response(record: WarcRecord) -> Response:
    """Read the HTTP message in a record; a resource is taken as a page served without HTTP."""
    status = 200
    media_type = record.headers.get("Content-Type") or ""
    charset = None
    if record.is_http:
        record.parse_http(auto_decode="all", strict_mode=False)
        found = re.match(r"HTTP/\d\S* (\d{3})", record.http_headers.status_line or "")
        if found is None:
            raise BadPageError("expected an HTTP response, found no status line")
        status, media_type, charset = int(found[1]), record.http_content_type or "", record.http_charset
    media_type = media_type.partition(";")[0].strip().lower()
    body = record.reader.read(MAX_HTML_BYTES + 1) if status == 200 and media_type in HTML_TYPES else b""
    if len(body) > MAX_HTML_BYTES:
        raise BadPageError(f"page of more than {MAX_HTML_BYTES} bytes")
    return Response(status, media_type, charset, body)


def document(page: Page, url: str, codec: str, captured: datetime | None, origin: Origin) -> Document:
    """Make a page a document; its codec is kept where it is not plain UTF-8."""
    created = page.date or (captured.astimezone(UTC).replace(microsecond=0) if captured else None)
    meta = {"author": page.author, "site": page.site, "canonical": page.canonical, "declared_lang": page.lang}
    meta |= {"licence_hint": page.licence, **codec_meta(codec)}
    return Document(
        native_id=url,
        title=page.title,
        text=page.text,
        origin=origin,
        url=url,
        created=created,
        meta={key: value for key, value in meta.items() if value},
    )
