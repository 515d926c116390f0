"""Read SGML-like corpora: records between tags, fields between tags inside (Reuters-21578, Sogou).

No parser of XML or SGML reads such files whole: they have no root element, undeclared entities, control
characters and broken bytes. So records are cut out of the byte stream by their tags, and each stands
or falls by itself: bytes that its codec forbids cost one record, not the file.
"""

import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import IO, NamedTuple

from lmpipe.document import RAW_BYTES, BadRecord, Origin, Record
from lmpipe.settings import LocalSource
from lmpipe.sources.encoding import file_name
from lmpipe.sources.limits import RecordTimeoutError, time_limit
from lmpipe.sources.records import (
    CHUNK,
    DAMAGE,
    MAX_RECORD_BYTES,
    Raw,
    bad,
    codec_meta,
    decode_raw,
    make,
    open_stream,
    sample_codec,
)

TAG_BYTES = 256
"""A record tag is shorter; as much is searched again when more bytes have come."""

INNER_TAG = re.compile(r"</?[A-Za-z][A-Za-z0-9_.:-]*(?:\s[^<>]*)?/?>")
CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
"""What is left of the wire's own signals (Reuters is full of &#2; and &#22;) once entities are decoded."""


class Cut(NamedTuple):
    """A stretch of a stream from a record tag to its end tag, or to where it breaks off."""

    start: int
    length: int
    data: bytes
    error: str | None


def read_tagged(source: LocalSource, path: Path) -> Iterator[Record]:
    """Yield a record for every record tag of a file; one bad record when it has none."""
    assert source.record is not None, "units() refuses a tagged source without record"
    name = file_name(path)
    tag = re.escape(source.record.encode())
    edge = re.compile(rb"<" + tag + rb"(?=[\s>])|</" + tag + rb"\s*>", re.IGNORECASE)
    number = 0
    with open_stream(path) as stream:
        codec = sample_codec(stream)
    with open_stream(path) as stream:
        for piece in cut(stream, edge):
            number += 1
            raw = Raw(Origin(name, piece.start, piece.length), f"{name}#{number}", piece.data, piece.error, codec)
            yield read_record(source, raw)
    if not number:
        origin = Origin(name, 0, path.stat().st_size)
        yield bad(Raw(origin, name, b""), f"no <{source.record}> in the file. Correct record in the recipe")


def cut(stream: IO[bytes], edge: re.Pattern[bytes]) -> Iterator[Cut]:
    """Cut a stream at its record tags, holding at most MAX_RECORD_BYTES.

    What lies outside of records (a document type, a root element) belongs to no record.
    """
    buffer, base, scan = b"", 0, 0
    start: int | None = None
    head = b""  # of a record that has grown too large to be held
    error: str | None = None
    while True:
        try:
            block = stream.read(CHUNK)
        except DAMAGE as damage:
            block, error = b"", f"damaged compression: {damage}; the rest of the file is lost"
        if not block:
            break
        buffer += block
        for found in edge.finditer(buffer, scan):
            closing = found[0].startswith(b"</")
            if start is not None:
                stop = base + (found.end() if closing else found.start())
                yield finish(start, stop, head or buffer[start - base : stop - base], closing)
            start = None if closing else base + found.start()
            head, scan = b"", found.end()
        if start is not None and len(buffer) - (start - base) > MAX_RECORD_BYTES:
            head = head or buffer[start - base :][:RAW_BYTES]
        scan = max(scan, len(buffer) - TAG_BYTES)
        dropped = scan if start is None or head else start - base
        buffer, base, scan = buffer[dropped:], base + dropped, scan - dropped
    if start is not None or error:
        first = base if start is None else start
        error = error or "record cut off at the end of the file"
        yield Cut(first, base + len(buffer) - first, head or buffer[first - base :], error)


def finish(start: int, stop: int, data: bytes, closing: bool) -> Cut:
    """Judge a record whose end, or the next one's start, was found."""
    error = None
    if stop - start > MAX_RECORD_BYTES:
        error = f"record of {stop - start} bytes; at most {MAX_RECORD_BYTES} are read"
    elif not closing:
        error = "no end tag before the next record"
    return Cut(start, stop - start, data, error)


def read_record(source: LocalSource, raw: Raw) -> Record:
    """Make a record's bytes a document."""
    decoded = decode_raw(raw, source.encoding)
    if isinstance(decoded, BadRecord):
        return decoded
    text, codec = decoded
    try:
        with time_limit():
            return make(source.fields, raw, lambda name: field(text, name), codec_meta(codec))
    except RecordTimeoutError as error:
        return bad(raw, str(error))


def field(record: str, name: str) -> str | None:
    """Return the content of the first tag `name`, or of the record tag's attribute @name; None when absent.

    Tags inside are taken out, entities decoded, control characters dropped.
    """
    if name.startswith("@"):
        start_tag = record[: record.find(">") + 1]
        value = r"(?:\"([^\"]*)\"|'([^']*)'|([^\s>]+))"
        found = re.search(rf"\s{re.escape(name[1:])}\s*=\s*{value}", start_tag, re.IGNORECASE)
        return None if found is None else clean(next(value for value in found.groups() if value is not None))
    opening = re.search(rf"<{re.escape(name)}(?:\s[^<>]*)?>", record, re.IGNORECASE)
    if opening is None:
        return None
    # two searches: one pattern over both tags would be quadratic where end tags are missing
    closing = re.compile(rf"</{re.escape(name)}\s*>", re.IGNORECASE).search(record, opening.end())
    return None if closing is None else clean(INNER_TAG.sub("", record[opening.end() : closing.start()]))


def clean(value: str) -> str:
    """Decode entities, drop control characters however they are written, make line ends uniform."""
    return CONTROL.sub("", unescape(value)).replace("\r\n", "\n").replace("\r", "\n")
