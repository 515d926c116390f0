"""Read any corpus on disk: text files, lines, JSONL, Parquet, CSV and SGML-like tagged records.

The recipe maps document fields to columns or tags; nothing is guessed but the encoding, and that only
where a recipe names none. Every format is streamed: what is held at once is one record (a row group's
batch for Parquet), of at most MAX_RECORD_BYTES. What a record lacks makes it a bad record or a
skip; what the recipe gets wrong for the whole file (a column that is not there) is an InputError.
"""

import csv
import json
import os
import zipfile
import zlib
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from lmpipe.document import BATCH_ROWS, RAW_BYTES, BadRecord, Document, Origin, Record, Skipped
from lmpipe.errors import InputError
from lmpipe.settings import LocalSource
from lmpipe.sources import tagged
from lmpipe.sources.encoding import UndecodableError, check_encoding, decode, file_name
from lmpipe.sources.records import MAX_RECORD_BYTES, Raw, bad, codec_meta, decode_raw, lines, make

FILES_PER_UNIT = 1000
"""Text files, or members of a zip, in a unit."""

MAX_COLUMNS = 100
"""Columns remembered and named in a message; data used as keys must not fill memory."""

FIELDS = ("id", "title", "text", "url", "created")


class LocalUnit(NamedTuple):
    """A file, its zip members or Parquet row groups [start, end), or `end` text files."""

    paths: tuple[str, ...]
    start: int
    end: int


def units(source: LocalSource, files: list[Path]) -> list[LocalUnit]:
    """Cut the files into units: zip members and row groups by ranges, any other file whole.

    Raises InputError for settings that do not fit the format, or a file that is not of it.
    """
    check_encoding(source.encoding, source.name)
    check_fields(source)
    if source.encoding is not None and source.format != "text" and "<\n".encode(source.encoding) != b"<\n":
        raise InputError(
            f"source {source.name}: format {source.format} cannot be read as {source.encoding}."
            " Convert the files to UTF-8."
        )
    if source.format == "parquet":
        return [unit for file in files for unit in parquet_units(source, file)]
    if source.format == "text":
        return text_units(files)
    return [LocalUnit((str(file),), 0, file.stat().st_size) for file in files]


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
    path = Path(unit.paths[0])
    if source.format == "text":
        yield from (text_document(source, raw) for raw in texts(source, unit))
    elif source.format == "lines":
        yield from (text_document(source, raw) for raw in lines(path))
    elif source.format == "jsonl":
        yield from read_jsonl(source, path)
    elif source.format == "parquet":
        yield from read_parquet(source, unit)
    elif source.format == "csv":
        yield from read_csv(source, path)
    else:
        yield from tagged.read_tagged(source, path)


def mapping(source: LocalSource) -> dict[str, str]:
    """Return the recipe's mapping; one that names no text finds it under its own name."""
    return {"text": "text", **source.fields}


def text_document(source: LocalSource, raw: Raw) -> Record:
    """Make a document of a record that is nothing but text."""
    decoded = decode_raw(raw, source.encoding)
    if isinstance(decoded, BadRecord):
        return decoded
    text, codec = decoded
    title = Path(raw.name).stem if source.format == "text" else ""
    if not text.strip():
        return Skipped(reason="empty")
    text = text.replace("\r\n", "\n").replace("\r", "\n").strip()
    return Document(native_id=raw.name, title=title, text=text, origin=raw.origin, meta=codec_meta(codec))


# Text files and zips of them


def text_units(files: list[Path]) -> list[LocalUnit]:
    """Cut zips into ranges of their members, and gather other files: a unit costs a commit, a text is small."""
    found = [unit for file in files if is_zip(file) for unit in zip_units(file)]
    plain = [str(file) for file in files if not is_zip(file)]
    groups = [tuple(plain[i : i + FILES_PER_UNIT]) for i in range(0, len(plain), FILES_PER_UNIT)]
    return found + [LocalUnit(group, 0, len(group)) for group in groups]


def zip_units(path: Path) -> list[LocalUnit]:
    """Cut a zip into ranges of its members; raises InputError when its directory is damaged."""
    try:
        with zipfile.ZipFile(path) as archive:
            total = len(archive.infolist())
    except zipfile.BadZipFile as error:
        raise InputError(f"{path}: a damaged zip ({error}). Fetch it again, or unpack what can be saved.") from None
    ranges = ((i, min(i + FILES_PER_UNIT, total)) for i in range(0, total, FILES_PER_UNIT))
    return [LocalUnit((str(path),), start, end) for start, end in ranges]


def is_zip(path: Path) -> bool:
    """Tell a zip by its first bytes."""
    with path.open("rb") as file:
        return file.read(4) in (b"PK\x03\x04", b"PK\x05\x06")


def texts(source: LocalSource, unit: LocalUnit) -> Iterator[Raw]:
    """Yield text files, or the files in a range of a zip's members; nothing is written to disk."""
    for path in map(Path, unit.paths):
        if not is_zip(path):
            yield text_file(source, path)
            continue
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist()[unit.start : unit.end]:
                if not member.is_dir():
                    yield zip_member(archive, member, file_name(path))


def text_file(source: LocalSource, path: Path) -> Raw:
    """Read one file, never more than MAX_RECORD_BYTES of it."""
    size = path.stat().st_size
    with path.open("rb") as file:
        data = file.read(MAX_RECORD_BYTES + 1)
    error = f"file of {size} bytes; at most {MAX_RECORD_BYTES} are read" if len(data) > MAX_RECORD_BYTES else None
    return Raw(Origin(file_name(path), 0, size), inner_path(source, path), data, error)


def zip_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, file: str) -> Raw:
    """Read one member, never more than MAX_RECORD_BYTES of it, whatever the zip's directory says."""
    origin = Origin(file, member.header_offset, member.compress_size)
    name = member.filename.encode("utf-8", "backslashreplace").decode()
    try:
        with archive.open(member) as stream:
            data = stream.read(MAX_RECORD_BYTES + 1)
    # RuntimeError: encrypted; NotImplementedError: a compression that Python has not
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, RuntimeError, NotImplementedError) as error:
        return Raw(origin, name, b"", f"zip member cannot be read: {error}")
    if len(data) > MAX_RECORD_BYTES:
        return Raw(origin, name, data[:RAW_BYTES], f"zip member of more than {MAX_RECORD_BYTES} bytes")
    return Raw(origin, name, data)


def inner_path(source: LocalSource, file: Path) -> str:
    """Say where a file lies inside the folder that the recipe names: a name that is stable and unique."""
    for pattern in source.paths:
        given = Path(os.path.expandvars(pattern))
        for root in (given.parts, given.parent.parts):
            for i in range(len(file.parts) - len(root)):
                if root and file.parts[i : i + len(root)] == root:
                    return "/".join(file.parts[i + len(root) :]).encode("utf-8", "backslashreplace").decode()
    return file_name(file)


# JSONL and CSV


def read_jsonl(source: LocalSource, path: Path) -> Iterator[Record]:
    """Yield a record per line; raises InputError for a mapped column that no object has."""
    seen: set[str] = set()
    for raw in lines(path):
        found = json_object(source, raw)
        if not isinstance(found, dict):
            yield found
            continue
        check_columns(source, path, found if not seen else seen | found.keys(), only_text=not seen)
        if len(seen) < MAX_COLUMNS:
            seen.update(found)
        yield make(mapping(source), raw, found.get, {})
    if seen:
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


def check_columns(source: LocalSource, path: Path, found: Collection[str], only_text: bool = False) -> None:
    """Raise InputError when a mapped column is not among those found."""
    columns = mapping(source)
    for field, column in columns.items():
        if column not in found and (field == "text" or not only_text):
            raise InputError(
                f"source {source.name}: {path.name}: no column {column!r} for {field};"
                f" found {sorted(found)[:MAX_COLUMNS]}. Correct fields in the recipe."
            )


def read_csv(source: LocalSource, path: Path) -> Iterator[Record]:
    """Yield a record per row; the first row names the columns, and its commonest separator is the file's."""
    csv.field_size_limit(MAX_RECORD_BYTES)
    fed: list[Raw] = []
    feed = decoded(source, lines(path), fed)
    header = next(feed, "")
    separator = max(",\t;|", key=header.count)
    try:
        columns = next(csv.reader([header], delimiter=separator), [])
    except csv.Error as error:
        raise InputError(f"source {source.name}: {path.name}: no column names in line 1: {error}. Repair it.") from None
    if fed and fed[0].error is not None:
        yield bad(fed[0], fed[0].error)
    elif columns:
        check_columns(source, path, columns)
    fed.clear()
    reader = csv.reader(feed, delimiter=separator)
    while True:
        try:
            row = next(reader, None)
            if row is None:
                return
            record = csv_record(source, join(fed), columns, row)
        except csv.Error as error:
            record = bad(join(fed), f"not valid CSV: {error}")
        fed.clear()
        yield record


def decoded(source: LocalSource, raws: Iterator[Raw], fed: list[Raw]) -> Iterator[str]:
    """Decode lines for the CSV parser and keep those of the current row in `fed`.

    Bytes that cannot be decoded go through as surrogates, which make their row a bad record.
    """
    for raw in raws:
        fed.append(raw)
        try:
            text = decode(raw.data, source.encoding, raw.declared)[0]
        except UndecodableError:
            text = raw.data.decode("ascii", "surrogateescape")
        yield text + "\n"


def join(fed: list[Raw]) -> Raw:
    """Join the lines of one row."""
    first = fed[0]
    length = sum(raw.origin.length for raw in fed)
    error = next((raw.error for raw in fed if raw.error is not None), None)
    data = b"\n".join(raw.data for raw in fed[:1000])
    return first._replace(origin=first.origin._replace(length=length), data=data[:RAW_BYTES], error=error)


def csv_record(source: LocalSource, raw: Raw, columns: list[str], row: list[str]) -> Record:
    """Make a record of a parsed row."""
    if raw.error is not None:
        return bad(raw, raw.error)
    if not row:
        return Skipped(reason="empty")
    if len(row) != len(columns):
        return bad(raw, f"expected {len(columns)} columns, found {len(row)}")
    return make(mapping(source), raw, dict(zip(columns, row, strict=True)).get, {})


# Parquet


def parquet_units(source: LocalSource, path: Path) -> list[LocalUnit]:
    """Make every row group a unit; raises InputError for other files, missing and non-text columns."""
    try:
        with pq.ParquetFile(path) as file:
            schema, groups = file.schema_arrow, file.num_row_groups
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{path}: not readable as Parquet ({error}). Check format and paths.") from None
    check_columns(source, path, schema.names)
    column = mapping(source)["text"]
    kind = schema.field(column).type
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)):
        raise InputError(
            f"source {source.name}: {path.name}: column {column!r} is {kind}; expected strings. Map text to another."
        )
    return [LocalUnit((str(path),), group, group + 1) for group in range(groups)]


def read_parquet(source: LocalSource, unit: LocalUnit) -> Iterator[Record]:
    """Yield a record per row of the unit's row group, reading only the mapped columns."""
    path = Path(unit.paths[0])
    columns = sorted(set(mapping(source).values()))
    with pq.ParquetFile(path) as file:
        group = file.metadata.row_group(unit.start)
        number = sum(file.metadata.row_group(i).num_rows for i in range(unit.start))
        start = group.column(0).dictionary_page_offset or group.column(0).data_page_offset
        origin = Origin(file_name(path), start, group.total_byte_size)
        last = number + group.num_rows
        try:
            for batch in file.iter_batches(BATCH_ROWS, row_groups=[unit.start], columns=columns):
                for row in range(batch.num_rows):
                    number += 1
                    yield parquet_record(source, Raw(origin, f"{origin.file}#{number}", b""), batch, row)
        except (pa.ArrowException, OSError) as error:
            for lost in range(number + 1, last + 1):
                yield bad(Raw(origin, f"{origin.file}#{lost}", b""), f"damaged row group: {error}")


def parquet_record(source: LocalSource, raw: Raw, batch: pa.RecordBatch, row: int) -> Record:
    """Make a record of one row of a batch."""
    try:
        values = {name: batch.column(name)[row].as_py() for name in batch.schema.names}
    except UnicodeDecodeError as error:
        return bad(raw, f"not utf-8: {error}")
    return make(mapping(source), raw, values.get, {})
