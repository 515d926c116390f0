"""Cleaned datasets made of ready signals, for tests of what stands on signals and not on how they are measured."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from lmpipe.curate.signals import SIGNALS
from lmpipe.dataset import Execution, Manifest, Plan, UnitOutput, build
from lmpipe.document import DOCUMENTS

Row = dict[str, Any]


def cleaned(data: Path, rows: Sequence[Row], *, source: str = "local", units: int = 1) -> Manifest:
    """Commit documents with the signals that `rows` name; what is not named is null. Ids are source:0, source:1 ..."""
    numbered = [{"id": f"{source}:{n}", "source": source} | row for n, row in enumerate(rows)]
    size = -(-len(numbered) // units)
    parts = [numbered[i * size : (i + 1) * size] for i in range(units)]
    settings = {"rows": hashlib.sha256(repr(rows).encode()).hexdigest(), "units": units}
    plan = Plan(stage="clean", name=source, version=1, settings=settings, inputs=())
    return build(plan, data, write, parts, Execution())


def write(rows: list[Row], output: UnitOutput) -> None:
    """A unit of work that writes ready rows, in row groups of 100 so that reading one row has to find its group."""
    documents = [{"title": "", "text": "", "lang": "en"} | only(row, DOCUMENTS) for row in rows]
    signals = [{"lang": "en", "work": row["id"], "bytes": 10, "words": 10} | only(row, SIGNALS) for row in rows]
    for role, schema, laid_out in (("documents", DOCUMENTS, documents), ("signals", SIGNALS, signals)):
        batches = [pa.RecordBatch.from_pylist(laid_out[i : i + 100], schema=schema) for i in range(0, len(rows), 100)]
        output.write(role, schema, batches)
    output.count("in", len(rows))


def only(row: Row, schema: pa.Schema) -> Row:
    """The part of a row that a schema has columns for."""
    return {key: value for key, value in row.items() if key in schema.names}
