"""Write results as the name of a file asks: .jsonl, .parquet, .tsv, or anything else and standard output as text."""

import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TextIO

import pyarrow as pa
import pyarrow.parquet as pq

from lmpipe.storage import replacing, storage_errors

BATCH = 4096
"""Rows per row group of Parquet."""


def write_rows(rows: Iterable[Mapping[str, Any]], out: Path | None, text: str = "{text}") -> None:
    """Write rows to `out`, which appears whole or not at all, or to standard output; `text` is a line of plain text."""
    if out is None or out == Path("-"):
        write_text(rows, sys.stdout, text)
        return
    with storage_errors(out.parent):
        out.parent.mkdir(parents=True, exist_ok=True)
    with storage_errors(out.parent), replacing(out) as temporary:
        if out.suffix == ".parquet":
            write_parquet(rows, temporary)
            return
        with temporary.open("w", encoding="utf-8", newline="\n") as file:
            write = {".jsonl": write_jsonl, ".tsv": write_tsv}.get(out.suffix)
            if write is not None:
                write(rows, file)
            else:
                write_text(rows, file, text)


def write_text(rows: Iterable[Mapping[str, Any]], file: TextIO, text: str) -> None:
    """Write one line a row."""
    for row in rows:
        file.write(text.format(**row) + "\n")


def write_jsonl(rows: Iterable[Mapping[str, Any]], file: TextIO) -> None:
    """Write one JSON object a row."""
    for row in rows:
        file.write(json.dumps(row, ensure_ascii=False) + "\n")


def write_tsv(rows: Iterable[Mapping[str, Any]], file: TextIO) -> None:
    """Write a header and one line a row; tabs and line ends in a value become blanks."""
    for number, row in enumerate(rows):
        if not number:
            file.write("\t".join(row) + "\n")
        file.write("\t".join(" ".join(str(value).split()) for value in row.values()) + "\n")


def write_parquet(rows: Iterable[Mapping[str, Any]], path: Path) -> None:
    """Write row groups of BATCH rows; all columns are in the first row."""
    writer: pq.ParquetWriter | None = None
    held: list[Mapping[str, Any]] = []
    schema: pa.Schema | None = None

    def flush() -> None:
        nonlocal writer, schema
        table = pa.Table.from_pylist(held, schema=schema)
        schema = table.schema
        writer = writer or pq.ParquetWriter(path, schema, compression="zstd")
        writer.write_table(table)
        held.clear()

    for row in rows:
        held.append(row)
        if len(held) == BATCH:
            flush()
    if held or writer is None:
        flush()
    assert writer is not None, "flush has opened it"
    writer.close()
