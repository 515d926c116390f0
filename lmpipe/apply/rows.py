"""Write results as the name of a file asks: .jsonl, .parquet, .tsv, or anything else and standard output as text."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TextIO

import pyarrow as pa
import pyarrow.parquet as pq

from lmpipe.apply.files import STANDARD, format_of, in_batches
from lmpipe.storage import replacing, storage_errors

BATCH = 4096
"""Rows per row group of Parquet."""


def write_rows(
    rows: Iterable[Mapping[str, Any]], out: Path | None, text: str = "{text}", schema: pa.Schema | None = None
) -> None:
    """Write rows to `out`, which appears whole or not at all, or each at once to standard output.

    `text` is the template of a line of plain text; `schema` that of Parquet, where the first rows do not tell.
    """
    if out is None or out == STANDARD:
        for row in rows:
            print(text.format(**row), flush=True)  # noqa: T201 (standard output is what was asked for)
        return
    with storage_errors(out.parent):
        out.parent.mkdir(parents=True, exist_ok=True)
    with storage_errors(out.parent), replacing(out) as temporary:
        if format_of(out) == "parquet":
            write_parquet(rows, temporary, schema)
            return
        with temporary.open("w", encoding="utf-8", newline="\n") as file:
            if out.suffix.lower() == ".tsv":
                write_tsv(rows, file)
            elif format_of(out) == "jsonl":
                file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
            else:
                file.writelines(text.format(**row) + "\n" for row in rows)


def write_tsv(rows: Iterable[Mapping[str, Any]], file: TextIO) -> None:
    """Write a header and one line a row; tabs and line ends in a value become blanks."""
    for number, row in enumerate(rows):
        if not number:
            file.write("\t".join(row) + "\n")
        file.write("\t".join(" ".join(str(value).split()) for value in row.values()) + "\n")


def write_parquet(rows: Iterable[Mapping[str, Any]], path: Path, schema: pa.Schema | None) -> None:
    """Write row groups of BATCH rows; without a schema, the first of them tells it."""
    groups = in_batches(rows, BATCH)
    first = pa.Table.from_pylist(list(next(groups, ())), schema=schema)
    with pq.ParquetWriter(path, first.schema, compression="zstd") as writer:
        writer.write_table(first)
        for group in groups:
            writer.write_table(pa.Table.from_pylist(list(group), schema=first.schema))
