"""Records of a local corpus on their way to documents: bytes from a stream, fields from a mapping.

What every format shares: opening (.gz, .bz2, .xz, .zst), lines, and the rules by which fields become a document.
"""

import bz2
import gzip
import io
import itertools
import lzma
import re
import zlib
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, time
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import IO, Any, NamedTuple, cast

import pyarrow as pa

from lmpipe.document import RAW_BYTES, BadRecord, Document, Origin, Record, Skipped
from lmpipe.sources.encoding import UndecodableError, decode, file_name

MAX_RECORD_BYTES = 64 << 20
"""The largest record (file, zip member, line or tagged record), decompressed."""

CHUNK = 1 << 20
"""Bytes read at once."""

SURROGATE = re.compile("[\ud800-\udfff]")
"""Half characters, which neither Arrow nor UTF-8 can hold."""

DATE_FORMS = ("iso", "%d-%b-%Y %H:%M:%S.%f", "%Y/%m/%d", "%Y%m%d", "%Y/%m/%d %H:%M:%S", "%d %B %Y", "%B %d, %Y", "mail")
"""ISO 8601, Reuters (26-FEB-1987 15:01:01.79), Chinese sites, and RFC 2822."""


COMPRESSIONS = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd")
"""First bytes of gzip, bzip2, xz and zstd."""

DAMAGE = (OSError, EOFError, zlib.error, lzma.LZMAError)
"""What reading damaged compression raises."""


class Raw(NamedTuple):
    """The bytes of one record, or (error set) bytes that are none."""

    origin: Origin
    name: str
    """The record's name where the mapping gives no id: a path, or file#number."""
    data: bytes
    error: str | None = None
    declared: str | None = None
    """The codec of the file, as far as its first lines tell."""


class BadFieldError(Exception):
    """Why a record's fields make no document."""


def make(columns: dict[str, str], raw: Raw, get: Callable[[str], Any], meta: dict[str, str]) -> Record:
    """Make a document of a record's fields; `get` returns the value of a column or tag, None when absent.

    `columns` maps document fields to columns; without an id among them the record's own name is the id.
    """
    try:
        values = {field: get(column) for field, column in columns.items()}
        text = string("text", joined(values["text"])).strip()
        if not text:
            return Skipped(reason="empty")
        native_id = string("id", values["id"], numbers=True).strip() if "id" in columns else raw.name
        if not native_id:
            raise BadFieldError(f"id: expected a value in {columns['id']!r}, found none")
        domain = string("domain", values.get("domain"), numbers=True).strip()
        return Document(
            native_id=native_id,
            title=" ".join(string("title", values.get("title"), numbers=True).split()),
            text=text,
            origin=raw.origin,
            url=string("url", values.get("url")).strip() or None,
            created=parse_date(values.get("created")),
            meta=meta | ({"domain": domain} if domain else {}),
        )
    except BadFieldError as error:
        return bad(raw, str(error))


def lookup(values: dict[str, Any]) -> Callable[[str], Any]:
    """Give a function that finds a column by its name, or inside others by a dotted path such as meta.title."""

    def get(column: str) -> Any:
        if column in values or "." not in column:
            return values.get(column)
        found: Any = values
        for part in column.split("."):
            found = found.get(part) if isinstance(found, dict) else None
        return found

    return get


def joined(value: Any) -> Any:
    """Put a list of strings, such as an article's paragraphs, together as lines; anything else stays."""
    if isinstance(value, list) and all(isinstance(part, str) for part in value):
        return "\n".join(value)
    return value


def bad(raw: Raw, error: str) -> BadRecord:
    """Set a record aside with its name and the reason."""
    return BadRecord(origin=raw.origin, error=f"{raw.name}: {error}", raw=raw.data)


def decode_raw(raw: Raw, encoding: str | None) -> tuple[str, str] | BadRecord:
    """Decode a record's bytes into its text and the codec used, or set it aside."""
    if raw.error is not None:
        return bad(raw, raw.error)
    try:
        return decode(raw.data, encoding, raw.declared, mixed=True)
    except UndecodableError as error:
        return bad(raw, str(error))


def string(field: str, value: Any, numbers: bool = False) -> str:
    """Take a field as a string, None as the empty one; raises BadFieldError for other types and half characters."""
    if value is None:
        return ""
    if numbers and isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str):
        raise BadFieldError(f"{field}: expected a string, found {type(value).__name__}")
    if SURROGATE.search(value):
        raise BadFieldError(f"{field}: holds bytes or half characters that are no text")
    return value


def parse_date(value: Any) -> datetime | None:
    """Read a date in any of the common forms, UTC where it names no zone; None for anything else."""
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime.combine(value, time())
    if isinstance(value, str):
        value = next((found for form in DATE_FORMS if (found := parse_form(value.strip(), form))), None)
    if not isinstance(value, datetime):
        return None
    try:
        utc = value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    except OverflowError:  # year 1 or 9999, moved over the edge
        return None
    return utc.replace(microsecond=0)


def parse_form(value: str, form: str) -> datetime | None:
    """Read a date in one form: "iso", "mail" or a strptime format."""
    try:
        if form == "mail":
            return parsedate_to_datetime(value)
        return datetime.fromisoformat(value) if form == "iso" else datetime.strptime(value, form)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


def codec_meta(codec: str) -> dict[str, str]:
    """Say in a document's meta which codec was used, when it was not UTF-8."""
    return {} if codec == "utf-8" else {"encoding": codec}


def is_compressed(path: Path) -> bool:
    """Tell a compressed file by its first bytes."""
    with path.open("rb") as file:
        return file.read(6).startswith(COMPRESSIONS)


def open_stream(path: Path) -> IO[bytes]:
    """Open a file for reading, inflating it by its first bytes."""
    with path.open("rb") as file:
        magic = file.read(6)
    if magic.startswith(COMPRESSIONS[0]):
        return cast(IO[bytes], gzip.open(path))
    if magic.startswith(COMPRESSIONS[1]):
        return bz2.open(path)
    if magic.startswith(COMPRESSIONS[2]):
        return lzma.open(path)
    if magic.startswith(COMPRESSIONS[3]):
        return io.BufferedReader(cast(io.RawIOBase, pa.input_stream(path, compression="zstd")))
    return path.open("rb")


def lines(path: Path, start: int = 0, end: int | None = None, first: int = 1) -> Iterator[Raw]:
    """Yield the lines of a file that begin in [start, end), without their line ends.

    An overlong line and damage are bad. `first` is the number of the first line, or of the one that holds the byte
    before `start`.
    """
    name = file_name(path)
    offset = max(start - 1, 0)
    with open_stream(path) as stream:
        codec = sample_codec(stream)
    with open_stream(path) as stream:
        if start:
            stream.seek(offset)
            offset += read_line(stream)[1]  # the line that began before is another unit's
            first += 1
        for number in itertools.count(first):
            if end is not None and offset >= end:
                return
            try:
                data, length = read_line(stream)
            except DAMAGE as error:
                lost = f"damaged compression: {error}; the rest of the file is lost"
                yield Raw(Origin(name, offset, 0), f"{name}#{number}", b"", lost)
                return
            if not length:
                return
            overlong = length > MAX_RECORD_BYTES
            reason = f"line of {length} bytes; at most {MAX_RECORD_BYTES} are read" if overlong else None
            yield Raw(Origin(name, offset, length), f"{name}#{number}", data.rstrip(b"\r\n"), reason, codec)
            offset += length


def read_line(stream: IO[bytes]) -> tuple[bytes, int]:
    """Read a line; of an overlong one the first RAW_BYTES, and its length."""
    data = stream.readline(MAX_RECORD_BYTES + 1)
    length = len(data)
    if length <= MAX_RECORD_BYTES:
        return data, length
    while (more := stream.readline(CHUNK)) and not more.endswith(b"\n"):
        length += len(more)
    return data[:RAW_BYTES], length + len(more)


def sample_codec(stream: IO[bytes]) -> str | None:
    """Find the codec of a whole file from its first lines, so that short lines need no guess; None when unclear."""
    try:
        head = stream.read(CHUNK)
        return decode(head[: head.rfind(b"\n") + 1] or head, None)[1]
    except (UndecodableError, *DAMAGE):
        return None
