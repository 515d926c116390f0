"""Tables of documents: CSV with any separator, and Parquet by row groups."""

import csv
from collections.abc import Collection, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from lmpipe.document import BATCH_ROWS, RAW_BYTES, Origin, Record, Skipped
from lmpipe.errors import InputError
from lmpipe.settings import LocalSource
from lmpipe.sources.encoding import UndecodableError, decode, file_name
from lmpipe.sources.records import CHUNK, MAX_RECORD_BYTES, Raw, bad, codec_meta, lines, lookup, make

MAX_COLUMNS = 100
"""Columns remembered and named in a message; data used as keys must not fill memory."""

SAMPLE_LINES = 200
"""Lines from which a table of tabs tells whether its quotes are quotes."""


class GroupUnit(NamedTuple):
    """One row group of a Parquet file."""

    path: str
    group: int


def mapping(source: LocalSource) -> dict[str, str]:
    """Return the recipe's mapping; one that names no text finds it under its own name."""
    return {"text": "text", **source.fields}


def check_columns(source: LocalSource, path: Path, found: Collection[str], only_text: bool = False) -> None:
    """Raise InputError when a mapped column, or the first part of a dotted one, is not among those found."""
    for field, column in mapping(source).items():
        if column not in found and column.partition(".")[0] not in found and (field == "text" or not only_text):
            raise InputError(
                f"source {source.name}: {path.name}: no column {column!r} for {field};"
                f" found {sorted(found)[:MAX_COLUMNS]}. Correct fields in the recipe."
            )


def check_twice(source: LocalSource, path: Path, columns: list[str]) -> None:
    """Raise InputError when a mapped column is there twice: nobody knows which one is meant."""
    twice = sorted({column for column in mapping(source).values() if columns.count(column) > 1})
    if twice:
        raise InputError(f"source {source.name}: {path.name}: columns {twice} are there twice. Rename one in the file.")


# CSV


def read_csv(source: LocalSource, path: Path) -> Iterator[Record]:
    """Yield a record per row; the first row names the columns, and its commonest separator is the file's."""
    csv.field_size_limit(MAX_RECORD_BYTES)
    fed: list[Raw] = []
    feed = decoded(source, lines(path), fed)
    header = next(feed, "")
    separator = max(",\t;|", key=header.count)
    is_text = separator == "\t" and quotes_are_text(source, path)
    quoting: Literal[0, 3] = csv.QUOTE_NONE if is_text else csv.QUOTE_MINIMAL
    try:
        columns = next(csv.reader([header], delimiter=separator, quoting=quoting), [])
    except csv.Error as error:
        raise InputError(f"source {source.name}: {path.name}: no column names in line 1: {error}. Repair it.") from None
    if fed and fed[0].error is not None:
        yield bad(fed[0], fed[0].error)
    elif columns:
        check_columns(source, path, columns)
        check_twice(source, path, columns)
    fed.clear()
    reader = csv.reader(feed, delimiter=separator, quoting=quoting, strict=True)  # else an open quote ends at the end
    while True:
        try:
            row = next(reader, None)
            if row is None:
                return
            record = csv_record(source, join(fed), columns, row)
        except csv.Error as error:
            record = bad(join(fed), f"not valid CSV: {error}; {len(fed)} lines from here are lost")
        fed.clear()
        yield record


def quotes_are_text(source: LocalSource, path: Path) -> bool:
    """Tell a table of tabs in which a quote is only a character: no line lacks a tab, but fields lack a quote.

    Read the other way, one such field would swallow all rows up to the next quote.
    """
    rows = [line.rstrip("\r\n").split("\t") for line in islice(decoded(source, lines(path), []), SAMPLE_LINES)]
    if any(len(row) != len(rows[0]) for row in rows):
        return False
    return any(field.startswith('"') and (field == '"' or not field.endswith('"')) for row in rows for field in row)


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
    return make(mapping(source), raw, dict(zip(columns, row, strict=True)).get, codec_meta(raw.declared or "utf-8"))


# Parquet


def parquet_units(source: LocalSource, path: Path) -> list[GroupUnit]:
    """Make every row group a unit; raises InputError for other files, missing and non-text columns."""
    try:
        with pq.ParquetFile(path) as file:
            schema, groups = file.schema_arrow, file.num_row_groups
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{path}: not readable as Parquet ({error}). Check format and paths.") from None
    check_columns(source, path, schema.names)
    check_twice(source, path, schema.names)
    check_paths(source, path, schema)
    column = mapping(source)["text"]
    kind = column_type(schema, column)
    assert kind is not None, "check_paths has found it"
    if not holds_text(kind):
        raise InputError(
            f"source {source.name}: {path.name}: column {column!r} is {kind}; expected strings. Map text to another."
        )
    return [GroupUnit(str(path), group) for group in range(groups)]


def column_type(schema: pa.Schema, column: str) -> pa.DataType | None:
    """Find the type of a column, or of the field inside structs that a dotted path names; None for no such field."""
    if column in schema.names:
        return schema.field(column).type
    first, *rest = column.split(".")
    kind = schema.field(first).type
    for part in rest:
        if not pa.types.is_struct(kind) or kind.get_field_index(part) < 0:
            return None
        kind = kind.field(part).type
    return kind


def check_paths(source: LocalSource, path: Path, schema: pa.Schema) -> None:
    """Raise InputError when a dotted path leads nowhere."""
    for field, column in mapping(source).items():
        if column_type(schema, column) is None:
            kind = schema.field(column.partition(".")[0]).type
            raise InputError(
                f"source {source.name}: {path.name}: no column {column!r} for {field}; found {kind}. Correct fields in"
                " the recipe."
            )


def holds_text(kind: pa.DataType) -> bool:
    """Tell strings and lists of strings."""
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        kind = kind.value_type
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def read_parquet(source: LocalSource, unit: GroupUnit) -> Iterator[Record]:
    """Yield a record per row of the unit's row group, reading only the mapped columns."""
    path = Path(unit.path)
    # without these two a row group's column is read as a whole, and some files are one row group
    with pq.ParquetFile(path, buffer_size=CHUNK, pre_buffer=False) as file:
        names = set(file.schema_arrow.names)
        columns = sorted({c if c in names else c.partition(".")[0] for c in mapping(source).values()})
        group = file.metadata.row_group(unit.group)
        number = sum(file.metadata.row_group(i).num_rows for i in range(unit.group))
        start = group.column(0).dictionary_page_offset or group.column(0).data_page_offset
        origin = Origin(file_name(path), start, group.total_byte_size)
        last = number + group.num_rows
        try:
            for batch in file.iter_batches(BATCH_ROWS, row_groups=[unit.group], columns=columns):
                for row in range(batch.num_rows):
                    number += 1
                    yield parquet_record(source, Raw(origin, f"{origin.file}#{number}", b""), batch, row)
        except (pa.ArrowException, OSError) as error:
            for lost in range(number + 1, last + 1):
                yield bad(Raw(origin, f"{origin.file}#{lost}", b""), f"damaged row group: {error}")


def parquet_record(source: LocalSource, raw: Raw, batch: pa.RecordBatch, row: int) -> Record:
    """Make a record of one row of a batch."""
    try:
        values: dict[str, Any] = {name: batch.column(name)[row].as_py() for name in batch.schema.names}
    except UnicodeDecodeError as error:
        return bad(raw, f"not utf-8: {error}")
    return make(mapping(source), raw, lookup(values), {})
