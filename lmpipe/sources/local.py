"""Read any corpus on disk: text files, lines, JSONL, Parquet, CSV and SGML-like tagged records.

The recipe maps document fields to columns or tags; nothing is guessed but the encoding, and that only
where a recipe names none. Every format is streamed: what is held at once is one record (a row group's
batch for Parquet), of at most MAX_RECORD_BYTES. What a record lacks makes it a bad record or a
skip; what the recipe gets wrong for the whole file (a column that is not there) is an InputError.
"""

import json
from codecs import BOM_UTF8
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from lmpipe.document import BadRecord, Document, Record, Skipped
from lmpipe.errors import InputError
from lmpipe.settings import LocalSource
from lmpipe.sources import tagged
from lmpipe.sources.archives import is_mac_metadata
from lmpipe.sources.detection import utf16
from lmpipe.sources.encoding import BOMS, UndecodableError, check_encoding, decode
from lmpipe.sources.records import (
    DAMAGE,
    Raw,
    bad,
    codec_meta,
    decode_raw,
    is_compressed,
    lines,
    lookup,
    make,
    open_stream,
)
from lmpipe.sources.tables import (
    MAX_COLUMNS,
    GroupUnit,
    check_columns,
    mapping,
    parquet_units,
    read_csv,
    read_parquet,
)
from lmpipe.sources.textfiles import TextUnit, file_is_zip, text_units, texts

UNIT_BYTES = 64 << 20
"""Bytes of lines in a unit: 1 to 3 s of work."""

HEAD_BYTES = 1 << 14
"""Of each file looked at before anything is read."""

MIN_NULS = 0.3
"""Share of NULs from which a file without a mark may be UTF-16; European text has half, and a stray one is damage."""

COUNT_BYTES = 8 << 20
"""Read at once while lines are counted."""

FIELDS = ("id", "title", "text", "url", "created", "domain")


class FileUnit(NamedTuple):
    """A file, or its lines that begin in [start, end)."""

    path: str
    start: int = 0
    end: int | None = None
    line: int = 1
    """Number of the first line, or of the one that holds the byte before `start`."""


LocalUnit = TextUnit | GroupUnit | FileUnit


def units(source: LocalSource, files: list[Path]) -> list[LocalUnit]:
    """Cut the files into units: zip members, row groups and long files of lines by ranges, any other file whole.

    Raises InputError for settings that do not fit the format, or a file that is not of it.
    """
    check_encoding(source.encoding, source.name)
    check_fields(source)
    if source.encoding is not None and source.format != "text" and "<\n".encode(source.encoding) != b"<\n":
        raise InputError(
            f"source {source.name}: format {source.format} cannot be read as {source.encoding}."
            " Convert the files to UTF-8."
        )
    if source.format == "text":
        return list(text_units(source, files))
    for file in files:
        if file_is_zip(file):
            raise InputError(
                f"source {source.name}: {file.name} is a zip; expected {source.format}, plain or as .gz, .bz2, .xz or"
                " .zst. Unpack it."
            )
    if source.format == "parquet":
        return [unit for file in files for unit in parquet_units(source, file)]
    for file in files:
        check_head(source, file)
    if source.format in ("lines", "jsonl"):
        return [unit for file in files for unit in line_units(file)]
    return [FileUnit(str(file)) for file in files]


def check_head(source: LocalSource, file: Path) -> None:
    """Refuse a file that is not made of lines of bytes: UTF-16 and UTF-32, and one JSON array.

    Cut at the bytes of line ends, UTF-16 would give lines that are half right.
    """
    try:
        with open_stream(file) as stream:
            head = stream.read(HEAD_BYTES)
    except DAMAGE:
        return  # the reader says what is damaged
    codec = next((name for mark, name in BOMS if head.startswith(mark)), None)
    if codec is None and head.count(0) > MIN_NULS * len(head):
        codec = utf16(head[: len(head) // 2 * 2])
    if codec not in (None, "utf-8"):
        raise InputError(
            f"source {source.name}: {file.name} is {codec}; format {source.format} reads codecs of which a line end is"
            f" one byte. Convert it: iconv -f {codec} -t utf-8."
        )
    first = head.removeprefix(BOM_UTF8).lstrip().partition(b"\n")[0].rstrip()
    if source.format == "jsonl" and first[:1] == b"[" and first[-1:] in b"[,]":
        raise InputError(
            f"source {source.name}: {file.name} begins with '['; expected one JSON object on each line, found an array."
            " Convert it: jq -c '.[]'."
        )


def line_units(file: Path) -> Iterator[FileUnit]:
    """Cut a long file into ranges of bytes, with line numbers; a compressed one is whole."""
    size = file.stat().st_size
    if size <= UNIT_BYTES or is_compressed(file):
        yield FileUnit(str(file))
        return
    line = 1
    with file.open("rb") as stream:
        for start in range(0, size, UNIT_BYTES):
            end = min(start + UNIT_BYTES, size)
            yield FileUnit(str(file), start, end, line)
            stream.seek(max(start - 1, 0))
            left = end - 1 - stream.tell()
            while left > 0 and (block := stream.read(min(left, COUNT_BYTES))):
                line += block.count(b"\n")
                left -= len(block)


def check_fields(source: LocalSource) -> None:
    """Refuse a mapping that cannot work."""
    unknown = sorted(set(source.fields) - set(FIELDS))
    if unknown:
        raise InputError(
            f"source {source.name}: fields names {unknown}; expected some of {list(FIELDS)}. Fix the spelling."
        )
    if source.fields and source.format in ("text", "lines"):
        raise InputError(
            f"source {source.name}: format {source.format} has no fields. Remove fields, or choose another format."
        )
    if source.format == "tagged" and (source.record is None or "text" not in source.fields):
        raise InputError(f"source {source.name}: format tagged needs record (a tag) and fields.text. Add them.")


def read(source: LocalSource, unit: LocalUnit) -> Iterator[Record]:
    """Yield one Document, BadRecord or Skipped for every record of a unit.

    Raises InputError when a mapped column does not exist.
    """
    if isinstance(unit, TextUnit):
        yield from (text_document(source, raw) for raw in texts(unit))
    elif isinstance(unit, GroupUnit):
        yield from read_parquet(source, unit)
    elif source.format == "lines":
        yield from (text_document(source, raw) for raw in unit_lines(unit))
    elif source.format == "jsonl":
        yield from read_jsonl(source, unit)
    elif source.format == "csv":
        yield from read_csv(source, Path(unit.path))
    else:
        yield from tagged.read_tagged(source, Path(unit.path))


def unit_lines(unit: FileUnit) -> Iterator[Raw]:
    """Yield the lines of a unit."""
    return lines(Path(unit.path), unit.start, unit.end, unit.line)


def text_document(source: LocalSource, raw: Raw) -> Record:
    """Make a document of a record that is nothing but text."""
    if source.format == "text" and is_mac_metadata(raw.name):
        return Skipped(reason="mac_metadata")
    decoded = decode_raw(raw, source.encoding)
    if isinstance(decoded, BadRecord):
        return decoded
    text, codec = decoded
    title = Path(raw.name).stem if source.format == "text" else ""
    if not text.strip():
        return Skipped(reason="empty")
    text = text.replace("\r\n", "\n").replace("\r", "\n").strip()
    domain = {"domain": Path(raw.name).parent.name} if source.domain == "folder" else {}
    return Document(native_id=raw.name, title=title, text=text, origin=raw.origin, meta=codec_meta(codec) | domain)


def read_jsonl(source: LocalSource, unit: FileUnit) -> Iterator[Record]:
    """Yield a record per line; raises InputError for a mapped column that no object of the file's start has."""
    path = Path(unit.path)
    seen: set[str] = set()
    for raw in unit_lines(unit):
        found = json_object(source, raw)
        if not isinstance(found, dict):
            yield found
            continue
        check_columns(source, path, found if not seen else seen | found.keys(), only_text=not seen)
        if len(seen) < MAX_COLUMNS:
            seen.update(found)
        yield make(mapping(source), raw, lookup(found), {})
    if seen and unit.start == 0:
        check_columns(source, path, seen)


def json_object(source: LocalSource, raw: Raw) -> dict[str, Any] | BadRecord | Skipped:
    """Parse a line as one JSON object."""
    if raw.error is not None:
        return bad(raw, raw.error)
    if not raw.data.strip():
        return Skipped(reason="empty")
    try:
        value = json.loads(decode(raw.data, source.encoding, raw.declared)[0])
    except UndecodableError as error:
        return bad(raw, str(error))
    except ValueError as error:
        return bad(raw, f"not valid JSON: {error}")
    except RecursionError:
        return bad(raw, "JSON nested too deeply")
    return value if isinstance(value, dict) else bad(raw, f"expected a JSON object, found {type(value).__name__}")
