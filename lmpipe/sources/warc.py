"""Take WARC and ARC archives apart, record by record, so that damage costs only where it lies.

A .warc.gz is a row of gzip members, normally one a record. Each is inflated by itself with a limit; when
one is broken, reading goes on at the next gzip header that inflates to the start of a record. A plain
archive (and one compressed as a whole) is a stream: there, the next record is found by its first line.
Framing is done here because a library that stops at the first damage loses the rest of a 1 GB file;
what is inside a record, WARC and HTTP headers, chunks and content codings, is FastWARC's business.
"""

import gzip
import io
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple, Protocol

GZIP = b"\x1f\x8b\x08"
CHUNK = 1 << 20
"""Bytes read at once."""

MAX_RECORD_BYTES = 64 << 20
"""The largest record, inflated; a gzip member that gives more is a decompression bomb or a film."""

MAX_HEADER_BYTES = 32 << 10
"""The longest block of WARC headers."""

FIRST_LINE_BYTES = 64
"""A record's first line and the start of its second."""

WARC_LINE = re.compile(rb"^WARC/\d\.\d+[ \t]*\r?\n", re.MULTILINE)
ARC_LINE = re.compile(
    rb"^([a-z][a-z0-9+.-]*:\S.*) (\d+\.\d+\.\d+\.\d+|[0-9a-f:]+) (\d{12,18}) (\S+) (\d+)\r?\n", re.MULTILINE
)
"""URL (spaces occur), address, date, type, length (Internet Archive, ARC file format version 1)."""

NEXT_RECORD = re.compile(rb"(\r?\n\r?\n)(?=WARC/\d\.\d+[ \t]*\r?\nWARC-|WARC/\d\.\d+[ \t]*\r?\nContent-)")
"""Where a record begins inside another whose length is wrong."""

CONTENT_LENGTH = re.compile(rb"^content-length[ \t]*:[ \t]*(\d{1,18})[ \t]*\r?$", re.MULTILINE | re.IGNORECASE)
HEADERS_END = re.compile(rb"\r?\n\r?\n")


NO_RECORD = "expected a WARC or ARC record, found other bytes"


class Readable(Protocol):
    """What records are read from."""

    def read(self, size: int, /) -> bytes:
        """Read at most `size` bytes; none at the end."""


class Piece(NamedTuple):
    """One record as bytes, or (error set) bytes that are none."""

    offset: int
    """In the compressed file for a row of gzip members, else in the stream."""
    length: int
    data: bytes
    error: str | None = None


class ByteRange(NamedTuple):
    """Gzip members that begin in [start, end)."""

    start: int
    end: int


def is_archive(head: bytes) -> bool:
    """Tell whether inflated bytes hold the start of a WARC or ARC record."""
    return bool(WARC_LINE.search(head) or ARC_LINE.search(head))


def inflate_head(data: bytes, limit: int = 4096) -> bytes:
    """Inflate the first bytes of a gzip member; what is readable before any damage."""
    try:
        return zlib.decompressobj(wbits=31).decompress(data, limit)
    except zlib.error:
        return b""


def find_member(file: BinaryIO, position: int, end: int) -> int:
    """Find the first gzip member in [position, end) that inflates to a record's start; `end` when there is none."""
    while position < end:
        file.seek(position)
        block = file.read(CHUNK + 2)  # two bytes over, for a magic number across the border
        at = block.find(GZIP)
        while 0 <= at < CHUNK:
            if position + at >= end:
                return end
            file.seek(position + at)
            head = inflate_head(file.read(4096))
            if WARC_LINE.match(head) or ARC_LINE.match(head):
                return position + at
            at = block.find(GZIP, at + 1)
        position += CHUNK
    return end


def is_row_of_members(path: Path) -> bool:
    """Tell an archive compressed record by record from one compressed as a whole.

    In the second, more than one record comes out of the first member.
    """
    with path.open("rb") as file:
        member = inflate_member(file, 0)
    if member.error is not None and not member.data:
        return True
    return sum(1 for _ in zip(range(2), frame(io.BytesIO(member.data)), strict=False)) < 2


def member_ranges(path: Path, size: int) -> list[ByteRange]:
    """Cut a file into ranges of about `size` compressed bytes that begin at members."""
    total = path.stat().st_size
    edges = [0]
    with path.open("rb") as file:
        for target in range(size, total, size):
            found = find_member(file, max(target, edges[-1] + 1), total)
            if edges[-1] < found < total:
                edges.append(found)
    return [ByteRange(start, end) for start, end in zip(edges, [*edges[1:], total], strict=True)]


def members(path: Path, span: ByteRange) -> Iterator[Piece]:
    """Yield the records of the gzip members in a range, and a bad piece for each stretch of damage."""
    with path.open("rb") as file:
        position = span.start
        while position < span.end:
            member = inflate_member(file, position)
            if member.error is None:
                for piece in frame(io.BytesIO(member.data)):
                    yield piece._replace(offset=position, length=member.length)
                position += member.length
            else:
                following = find_member(file, position + 1, span.end)
                yield member._replace(length=following - position)
                position = following


class Inflated:
    """A compressed stream that ends where it is damaged, so that what comes before is not lost; keeps the reason."""

    def __init__(self, file: io.BufferedIOBase) -> None:
        self.file = file
        self.error: str | None = None

    def read(self, size: int) -> bytes:
        """Read up to `size` bytes, fewer when no more are ready; none at the end or at damage."""
        try:
            return self.file.read1(size)  # not read(), which loses what it holds when it fails
        except (OSError, EOFError, zlib.error) as error:
            self.error = f"damaged gzip stream: {error}; what follows cannot be read"
            return b""


class Span:
    """The bytes [start, end) of a file, so that what begins behind them is not read."""

    def __init__(self, file: BinaryIO, span: ByteRange) -> None:
        self.file = file
        self.left = span.end - span.start
        file.seek(span.start)

    def read(self, size: int) -> bytes:
        """Read up to `size` bytes; none at the end of the span."""
        block = self.file.read(min(size, self.left))
        self.left -= len(block)
        return block


def record_ranges(path: Path, size: int) -> list[ByteRange]:
    """Cut a plain archive into ranges of about `size` bytes that begin at records.

    The records are walked by their lengths, so that no text inside a page can pass for one; from the first
    place where no record begins, which only reading can judge, the rest is one range.
    """
    total = path.stat().st_size
    edges, position = [0], 0
    with path.open("rb") as file:
        while position < total:
            file.seek(position)
            head = file.read(MAX_HEADER_BYTES)
            gap = len(head) - len(head.lstrip(b"\r\n"))
            length = record_size(head[gap:])
            if length is None or length > MAX_RECORD_BYTES:
                break
            if position + gap - edges[-1] >= size:
                edges.append(position + gap)
            position += gap + length
    return [ByteRange(start, end) for start, end in zip(edges, [*edges[1:], total], strict=True)]


def stream(path: Path, span: ByteRange) -> Iterator[Piece]:
    """Yield the records of a range of a plain archive, or of one compressed as a whole, which is one range."""
    with path.open("rb") as file:
        packed = file.read(len(GZIP)) == GZIP
        if not packed:
            for piece in frame(Span(file, span)):
                yield piece._replace(offset=span.start + piece.offset)
            return
        file.seek(0)
        inflated = Inflated(gzip.GzipFile(fileobj=file))
        position = 0
        for piece in frame(inflated):
            yield piece
            position = piece.offset + piece.length
        if inflated.error is not None:
            yield Piece(position, 0, b"", inflated.error)


def inflate_member(file: BinaryIO, position: int) -> Piece:
    """Inflate the gzip member at `position`; when it is damaged, the piece says why and holds what came out.

    Memory is bounded by MAX_RECORD_BYTES.
    """
    file.seek(position)
    inflater = zlib.decompressobj(wbits=31)
    out = bytearray()
    consumed = 0
    try:
        while not inflater.eof:
            block = file.read(CHUNK)
            if not block:
                return Piece(position, consumed, bytes(out), "gzip member cut off at the end of the file")
            consumed += len(block)
            out += inflater.decompress(block, MAX_RECORD_BYTES + 1 - len(out))
            if len(out) > MAX_RECORD_BYTES:
                bomb = f"gzip member inflates to more than {MAX_RECORD_BYTES} bytes"
                return Piece(position, consumed, bytes(out[:CHUNK]), bomb)
    except zlib.error as error:
        return Piece(position, consumed, bytes(out), f"damaged gzip member: {error}")
    return Piece(position, consumed - len(inflater.unused_data), bytes(out))


def frame(stream: Readable) -> Iterator[Piece]:
    """Cut an inflated stream into records by their lengths; between records, by their first lines."""
    buffer = b""
    position = 0
    while True:
        buffer = refill(stream, buffer, MAX_HEADER_BYTES)
        gap = len(buffer) - len(buffer.lstrip(b"\r\n"))
        buffer, position = buffer[gap:], position + gap
        if not buffer:
            if gap:
                continue
            return
        size = record_size(buffer)
        piece, buffer = take_garbage(stream, buffer) if size is None else take_record(stream, buffer, size)
        yield piece._replace(offset=position)
        position += piece.length


def refill(stream: Readable, buffer: bytes, size: int) -> bytes:
    """Read on until the buffer has `size` bytes or the stream ends."""
    while len(buffer) < size and (block := stream.read(max(size - len(buffer), 1 << 16))):
        buffer += block
    return buffer


def record_size(buffer: bytes) -> int | None:
    """Read how many bytes the record at the start of `buffer` has; None when no record begins there."""
    if (arc := ARC_LINE.match(buffer)) is not None:
        return arc.end() + int(arc[5])
    end = HEADERS_END.search(buffer, 0, MAX_HEADER_BYTES)
    if not WARC_LINE.match(buffer) or end is None:
        return None
    length = CONTENT_LENGTH.search(buffer, 0, end.start() + 1)
    return None if length is None else end.end() + int(length[1])


def take_record(stream: Readable, buffer: bytes, size: int) -> tuple[Piece, bytes]:
    """Take `size` bytes as a record.

    A length that is too long would swallow the next record: where no record follows and one begins inside,
    only what stands before that is taken, as damaged.
    """
    if size > MAX_RECORD_BYTES:
        return pass_record(stream, buffer, size)
    buffer = refill(stream, buffer, size + MAX_HEADER_BYTES)
    whole = len(buffer) >= size and (not buffer[size:].strip(b"\r\n") or begins_record(buffer[size:]))
    swallowed = None if whole else begins_inside(buffer, size)
    if swallowed is not None:
        error = f"record of {size} bytes, but another begins after {swallowed}"
        return Piece(0, swallowed, buffer[:swallowed], error), buffer[swallowed:]
    cut = None if len(buffer) >= size else f"record of {size} bytes cut off after {len(buffer)}"
    return Piece(0, min(size, len(buffer)), buffer[:size], cut), buffer[size:]


def pass_record(stream: Readable, buffer: bytes, size: int) -> tuple[Piece, bytes]:
    """Read past a record that is too large to hold, to its end or to the first record that begins inside it.

    The second keeps a wrong length (999999999999) from costing the rest of the file.
    """
    kept, passed = buffer[:CHUNK], 0
    while True:
        found = begins_inside(buffer, size - passed)
        block = b"" if found is not None or passed + len(buffer) >= size + FIRST_LINE_BYTES else stream.read(CHUNK)
        if not block:
            end = min(size - passed if found is None else found, len(buffer))
            error = f"record of {size} bytes; at most {MAX_RECORD_BYTES} are read"
            return Piece(0, passed + end, kept[: passed + end], error), buffer[end:]
        done = max(len(buffer) - FIRST_LINE_BYTES, 0)
        buffer, passed = buffer[done:] + block, passed + done


def begins_inside(buffer: bytes, size: int) -> int | None:
    """Find where another record begins within `size` bytes; None when none does.

    Its first line may lie across the end, so that the whole buffer is searched.
    """
    if ARC_LINE.match(buffer):
        arc = ARC_LINE.search(buffer, 1)
        return arc.start() if arc is not None and arc.start() < size else None
    found = NEXT_RECORD.search(buffer)
    return found.end(1) if found is not None and found.end(1) < size else None


def begins_record(after: bytes) -> bool:
    """Tell whether the next record stands behind a record."""
    after = after.lstrip(b"\r\n")
    return (WARC_LINE.match(after) or ARC_LINE.match(after)) is not None


def take_garbage(stream: Readable, buffer: bytes) -> tuple[Piece, bytes]:
    """Take everything up to the next line that starts a record, as one bad piece."""
    kept, length = buffer[:CHUNK], 0
    while True:
        # from 1, because the line at 0 has been tried
        starts = [m.start() for pattern in (WARC_LINE, ARC_LINE) if (m := pattern.search(buffer, 1))]
        if starts:
            cut = min(starts)
            return Piece(0, length + cut, kept[: length + cut], NO_RECORD), buffer[cut:]
        block = stream.read(CHUNK)
        if not block:
            return Piece(0, length + len(buffer), kept, NO_RECORD), b""
        done = max(len(buffer) - MAX_HEADER_BYTES, 0)  # a first line may be across the border
        buffer, length = buffer[done:] + block, length + done


def with_crlf(data: bytes) -> bytes:
    """End the lines of a WARC record's headers, and of the HTTP headers in it, as FastWARC wants them, where they
    are bare newlines."""
    start = HEADERS_END.search(data, 0, MAX_HEADER_BYTES)
    if start is None:
        return data
    headers, body = data[: start.end()], data[start.end() :]
    end = body.find(b"\n\n", 0, MAX_HEADER_BYTES) + 2 if body.startswith(b"HTTP/") else 0
    length = CONTENT_LENGTH.search(headers)
    if end > 1 and b"\r" not in body[:end] and length is not None:
        grown = int(length[1]) + body.count(b"\n", 0, end)
        headers = headers[: length.start(1)] + b"%d" % grown + headers[length.end(1) :]
        body = body[:end].replace(b"\n", b"\r\n") + body[end:]
    return (headers if b"\r" in headers else headers.replace(b"\n", b"\r\n")) + body


def as_warc(data: bytes) -> bytes:
    """Put WARC headers in place of an ARC record's line, so that one reader serves both."""
    found = ARC_LINE.match(data)
    if found is None:
        return with_crlf(data)
    url, date, kind = found[1], found[3].ljust(14, b"0"), found[4]
    is_http = url.lower().startswith((b"http:", b"https:"))
    stamp = b"%s-%s-%sT%s:%s:%sZ" % (date[:4], date[4:6], date[6:8], date[8:10], date[10:12], date[12:14])
    body = data[found.end() :]
    return (
        b"WARC/1.0\r\nWARC-Type: "
        + (b"warcinfo" if url.startswith(b"filedesc:") else b"response" if is_http else b"resource")
        + b"\r\nWARC-Target-URI: " + url + b"\r\nWARC-Date: " + stamp
        + b"\r\nContent-Type: " + (b"application/http; msgtype=response" if is_http else kind)
        + b"\r\nContent-Length: %d\r\n\r\n" % len(body) + body + b"\r\n\r\n"
    )  # fmt: skip
