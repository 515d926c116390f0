"""Cut the bytes of a Wikipedia dump into pages: bz2 (multistream or not), gz, xz, zstd or plain XML, unit by unit.

A dump is never parsed as one XML document: its bytes are decompressed piece by piece and cut at
<page ... </page> by searching. Memory is bounded by MAX_PAGE, whatever the file holds.

A unit is a run of bz2 streams (Wikimedia's multistream files hold 100 pages in each) or a range of
a plain file. A page belongs to the unit in which its first byte lies, and a unit reads on beyond
its end to finish its last page. No page is thus lost or doubled, even in files whose streams are
cut anywhere (pbzip2). A file of one bz2, gz, xz or zstd stream can only be read from its start: it is one
unit, for one worker, and a kill begins it again.
"""

import bz2
import gzip
import itertools
import logging
import lzma
import zlib
from codecs import getincrementaldecoder
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, Literal, NamedTuple

import pyarrow as pa

from lmpipe.document import RAW_BYTES, BadRecord, Origin
from lmpipe.errors import InputError
from lmpipe.settings import WikipediaSource
from lmpipe.sources.wikipedia_index import paired, stream_starts

log = logging.getLogger(__name__)

UNITS = 32
"""Units of a small dump: the last of them, on which other workers may wait, is 3 % of the work."""
MIN_UNIT_BYTES = 256 << 10
"""Compressed bytes per unit at least: a tenth of a second of work, ten times what its commit takes."""
MAX_UNIT_BYTES = 8 << 20
"""Compressed bytes per unit at most, if its streams are smaller: three seconds of work to lose by a kill."""
PLAIN = 4
"""An uncompressed dump's units are so many times larger: bz2 brings them to about the same."""
UNIT_STREAMS = 100
"""Streams per unit at most."""
MAX_PAGE = 16 << 20
"""Bytes of one page at most, all its revisions together; what bounds memory, with MAX_WIKITEXT of wikipedia.py."""
PIECE = 1 << 20
"""Decompressed bytes per step."""
INPUT = 1 << 14
"""Compressed bytes per step: what is lost in front of damage is at most what one step makes."""

UNSUPPORTED = {b"7z\xbc\xaf\x27\x1c": "7z", b"PK\x03\x04": "zip"}
"""First bytes of archives whose members have no one order in which to stream them."""
UTF16 = {b"\xff\xfe": "utf-16-le", b"<\0": "utf-16-le", b"\xfe\xff": "utf-16-be", b"\0<": "utf-16-be"}
"""First two bytes of XML in UTF-16, with and without a byte order mark."""

OPEN, CLOSE, ROOT_CLOSE = b"<page", b"</page>", b"</mediawiki>"
TAIL = 64
"""Bytes in which </mediawiki> and white space behind it must lie."""
AFTER_OPEN = b"> \t\r\n"
"""What tells <page> from <pages>."""


Packing = Literal["bz2", "gz", "xz", "zstd", "plain", "utf-16"]


class Unit(NamedTuple):
    """A run of streams of one file, or a range of a plain one."""

    file: Path
    streams: tuple[int, ...]
    """Offset of each bz2 stream in the file; of anything else, where the range begins."""
    end: int
    """Offset behind the last stream; pages that begin there are another unit's."""
    packing: Packing


class Piece(NamedTuple):
    """Consecutive decompressed bytes of one stream."""

    stream: int
    """Offset of the stream in the file."""
    offset: int
    """Of `data` in the decompressed stream."""
    data: bytes
    damage: str | None = None
    """Why nothing more can be had of this stream."""


class Page(NamedTuple):
    """The bytes of one <page> element and where they lay."""

    origin: Origin
    stream: int
    raw: bytes


def units(source: WikipediaSource, files: Sequence[Path]) -> list[Unit]:
    """Cut dumps into units; the order is that of files and bytes. Indexes among the files only help to cut.

    Raises InputError for archives that cannot be streamed, and for an index that does not fit its dump.
    """
    return [unit for dump, index in paired(source.name, files) for unit in file_units(source, dump, index)]


def file_units(source: WikipediaSource, file: Path, index: Path | None) -> list[Unit]:
    """Cut one file, whose first bytes, not its name, say what it is."""
    packing = packing_of(source, file)
    size = file.stat().st_size
    if index is not None and packing != "bz2":
        raise InputError(f"{index}: expected a dump in bz2, found {file.name} to be {packing}. Leave the index out.")
    if packing == "bz2":
        found = list(bz2_units(file, stream_starts(file, index), size))
    elif packing == "plain":
        step = PLAIN * unit_bytes(size // PLAIN)
        starts = range(0, max(size, 1), step)
        found = [Unit(file, (start,), min(start + step, size), packing) for start in starts]
    else:
        # UTF-16 is not cut: its offsets are counted in UTF-8, so nobody could say where a range begins.
        found = [Unit(file, (0,), size, packing)]
    if packing in ("gz", "xz", "zstd") or (packing == "bz2" and sum(len(unit.streams) for unit in found) == 1):
        log.info("%s: one %s stream of %d bytes, so one unit for one worker", file.name, packing, size)
    return found


def packing_of(source: WikipediaSource, file: Path) -> Packing:
    """Tell by its first bytes how a file is packed; raises InputError for archives that cannot be streamed."""
    with file.open("rb") as opened:
        head = opened.read(8)
    for magic, name in UNSUPPORTED.items():
        if head.startswith(magic):
            raise InputError(f"source {source.name}: {file}: {name} cannot be read in a stream. Recompress it as bz2.")
    if head.startswith(b"BZh"):
        return "bz2"
    if head.startswith(b"\x1f\x8b"):
        return "gz"
    if head.startswith(b"\xfd7zXZ"):
        return "xz"
    if head.startswith(b"(\xb5/\xfd"):
        return "zstd"
    return "utf-16" if head[:2] in UTF16 else "plain"


def unit_bytes(size: int) -> int:
    """Say how large the units of a dump of `size` compressed bytes are; by its size alone, so always the same."""
    return max(MIN_UNIT_BYTES, min(size // UNITS, MAX_UNIT_BYTES))


def bz2_units(file: Path, found: Sequence[int], size: int) -> Iterator[Unit]:
    """Group the streams of a bz2 file into units."""
    # Byte 0 starts a stream whatever follows: an empty or damaged one has no block magic.
    starts = [0, *(start for start in found if start > 0)]
    group: list[int] = []
    for start, end in zip(starts, [*starts[1:], size], strict=True):
        group.append(start)
        if end - group[0] >= unit_bytes(size) or len(group) == UNIT_STREAMS or end == size:
            yield Unit(file, tuple(group), end, "bz2")
            group = []


def pieces(unit: Unit) -> Iterator[Piece]:
    """Decompress a unit and, as long as the caller goes on, what follows it, as UTF-8."""
    with unit.file.open("rb") as file:
        file.seek(unit.streams[0])
        if unit.packing == "bz2":
            yield from transcoded(bz2_pieces(file, unit))
        elif unit.packing == "gz":
            with gzip.GzipFile(fileobj=file) as unzipped:
                yield from transcoded(stream_pieces(unzipped, file))
        elif unit.packing == "xz":
            with lzma.LZMAFile(file) as opened:
                yield from transcoded(stream_pieces(opened, file))
        elif unit.packing == "zstd":
            with pa.CompressedInputStream(file, "zstd") as decompressed:
                yield from transcoded(stream_pieces(decompressed, file, INPUT))
        else:
            yield from transcoded(plain_pieces(file, unit.streams[0]))


def plain_pieces(file: BinaryIO, start: int) -> Iterator[Piece]:
    """Read a plain file from `start` on; its one stream is the file, so offsets are the file's."""
    while data := file.read(PIECE):
        yield Piece(0, start, data)
        start += len(data)


def stream_pieces(
    opened: gzip.GzipFile | lzma.LZMAFile | pa.NativeFile, file: BinaryIO, step: int = PIECE
) -> Iterator[Piece]:
    """Decompress gz, xz or zstd from the start; zstd in small steps, for a step that meets damage is lost whole."""
    offset = 0
    try:
        while data := opened.read1(step):
            yield Piece(0, offset, data)
            offset += len(data)
    except (EOFError, OSError, zlib.error, lzma.LZMAError) as error:
        yield Piece(
            0, offset, b"", f"compressed data is damaged or ends early near byte {file.tell()} of the file: {error}"
        )


def bz2_pieces(file: BinaryIO, unit: Unit) -> Iterator[Piece]:
    """Decompress bz2 stream after stream; behind damage, go on with the unit's next stream."""
    start: int | None = unit.streams[0]
    while start is not None:
        file.seek(start)
        end = yield from bz2_stream(file, start)
        if end is None:
            end = next((stream for stream in unit.streams if stream > start), None)
        start = end


def bz2_stream(file: BinaryIO, start: int) -> Generator[Piece, None, int | None]:
    """Decompress one stream; return where the next one starts, or None for the end or damage."""
    decompressor, offset, data = bz2.BZ2Decompressor(), 0, b""
    try:
        while not decompressor.eof:
            if decompressor.needs_input and not (data := file.read(INPUT)):
                break
            made = decompressor.decompress(data, PIECE)
            data = b""
            if made:
                yield Piece(start, offset, made)
                offset += len(made)
    except OSError as error:
        yield Piece(
            start, offset, b"", f"bz2 stream at byte {start} is damaged before byte {file.tell()} of the file: {error}"
        )
        return None
    if not decompressor.eof:
        if file.tell() > start:
            yield Piece(start, offset, b"", f"bz2 stream at byte {start} ends early, at byte {file.tell()} of the file")
        return None
    return file.tell() - len(decompressor.unused_data)


def transcoded(source: Iterator[Piece]) -> Iterator[Piece]:
    """Pass UTF-8 through; turn UTF-16 into UTF-8, to which all offsets then refer."""
    first = next(source, None)
    if first is None:
        return
    encoding = UTF16.get(first.data[:2]) if first.offset == 0 else None
    everything = itertools.chain([first], source)
    yield from everything if encoding is None else utf16_pieces(everything, encoding)


def utf16_pieces(source: Iterator[Piece], encoding: str) -> Iterator[Piece]:
    """Transcode to UTF-8; a lone surrogate stays one, so that its page is refused as invalid UTF-8."""
    decoder, offset = getincrementaldecoder(encoding)("surrogatepass"), 0
    for piece in source:
        data = decoder.decode(piece.data).encode("utf-8", "surrogatepass")
        yield piece._replace(offset=offset, data=data)
        offset += len(data)


def pages(unit: Unit) -> Iterator[Page | BadRecord]:
    """Yield the pages that begin in `unit`, and what is wrong between them."""
    cutter = Cutter(unit)
    for piece in pieces(unit):
        cutter.append(piece)
        yield from cutter.cut()
        if piece.damage is not None and (cutter.inside or cutter.limit is None):
            yield cutter.bad(len(cutter.buffer), piece.damage)
        if cutter.finished:
            return
    if cutter.inside:
        yield cutter.bad(len(cutter.buffer), "expected </page>, found the end of the data: the file was cut off")
    elif not cutter.tail.rstrip().endswith(ROOT_CLOSE):
        log.warning("%s does not end with </mediawiki>: pages behind the last one may be missing", unit.file.name)


def find_open(data: bytearray, start: int, end: int) -> int:
    """Find <page (and not <pages) in data[start:end], or return -1."""
    place = data.find(OPEN, start, end)
    while place >= 0 and data[place + len(OPEN) : place + len(OPEN) + 1] not in AFTER_OPEN:
        place = data.find(OPEN, place + 1, end)
    return place


class Cutter:
    """The window over decompressed bytes in which pages are found; it holds at most MAX_PAGE + PIECE.

    Positions count decompressed bytes from the unit's start; places count from the window's.
    """

    def __init__(self, unit: Unit) -> None:
        self.unit = unit
        self.buffer = bytearray()
        self.base = 0
        """Position of the window's first byte."""
        self.inside = False
        """Whether the window begins with an open page."""
        self.scanned = 0
        """No end of the open page lies before this place."""
        self.runs: list[tuple[int, int, int]] = []
        """(position, stream, offset in the stream) of the streams in the window."""
        self.limit = unit.end - unit.streams[0] if unit.packing == "plain" else None
        """Position at which the next unit begins; of bz2, once it is reached."""
        self.tail = b""
        """The last bytes that were taken in."""

    @property
    def finished(self) -> bool:
        """Whether all pages that begin in the unit have been seen."""
        return self.limit is not None and not self.inside and self.base >= self.limit

    def append(self, piece: Piece) -> None:
        """Take in the next bytes."""
        position = self.base + len(self.buffer)
        if not self.runs or self.runs[-1][1] != piece.stream:
            self.runs.append((position, piece.stream, piece.offset))
        if self.unit.packing == "bz2" and self.limit is None and piece.stream >= self.unit.end:
            self.limit = position
        self.buffer += piece.data
        self.tail = (self.tail + piece.data[-TAIL:])[-TAIL:]

    def cut(self) -> Iterator[Page | BadRecord]:
        """Yield all that is complete in the window, and drop it."""
        while self.enter():
            close = self.buffer.find(CLOSE, self.scanned)
            following = find_open(self.buffer, self.scanned, close if close >= 0 else len(self.buffer))
            if following >= 0:
                yield self.bad(following, "expected </page>, found another <page>")
            elif close >= 0:
                yield self.take(close + len(CLOSE))
            elif len(self.buffer) > MAX_PAGE:
                yield self.bad(len(self.buffer), f"expected </page> within {MAX_PAGE} bytes, found a longer page")
            else:
                self.scanned = max(len(OPEN), len(self.buffer) - len(CLOSE))
                return

    def enter(self) -> bool:
        """Move the window to the next page, if it holds the beginning of one."""
        if self.inside:
            return True
        place = find_open(self.buffer, 0, len(self.buffer))
        # <page and what tells it from <pages may be split between two pieces.
        self.drop(place if place >= 0 else max(0, len(self.buffer) - len(OPEN)))
        self.inside = place >= 0 and (self.limit is None or self.base < self.limit)
        self.scanned = len(OPEN)
        return self.inside

    def origin(self, length: int) -> Origin:
        """Say where the window begins in its stream."""
        position, _, offset = self.runs[0]
        return Origin(self.unit.file.name, self.base - position + offset, length)

    def take(self, length: int) -> Page:
        """Cut the page off the window's front."""
        page = Page(self.origin(length), self.runs[0][1], bytes(self.buffer[:length]))
        self.drop(length)
        self.inside = False
        return page

    def bad(self, length: int, error: str) -> BadRecord:
        """Cut what is no page off the window's front."""
        record = BadRecord(origin=self.origin(length), error=error, raw=bytes(self.buffer[: min(length, RAW_BYTES)]))
        self.drop(length)
        self.inside = False
        return record

    def drop(self, length: int) -> None:
        """Move the window forward."""
        del self.buffer[:length]
        self.base += length
        while len(self.runs) > 1 and self.runs[1][0] <= self.base:
            self.runs.pop(0)
