"""An in-memory DuckDB as the engine of the global stages: single-threaded, bounded, never a file of results.

One thread, because units already run side by side and an ordered result is then the same on any
machine; a memory limit with a spill folder, because a corpus is larger than memory.
"""

import contextlib
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

MEMORY_LIMIT = "512MB"
"""Per unit, so that two side by side stay under 2 GB with all else; what does not fit is spilled."""
BATCH_ROWS = 65_536
"""Rows per Arrow batch of a result."""


@contextlib.contextmanager
def engine(spill: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open an engine that spills into a folder of its own under `spill`."""
    with tempfile.TemporaryDirectory(dir=spill, prefix=".spill-") as folder:
        config: dict[str, str | bool | int | float | list[str]] = {
            "threads": 1,
            "memory_limit": MEMORY_LIMIT,
            "temp_directory": folder,
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
        }
        with duckdb.connect(":memory:", config=config) as connection:
            connection.execute("set enable_progress_bar = false")
            yield connection


def rows(
    connection: duckdb.DuckDBPyConnection, sql: str, parameters: dict[str, Any], schema: pa.Schema
) -> Iterator[pa.RecordBatch]:
    """Run a query and stream its rows as batches of `schema`."""
    relation = connection.sql(sql, params=parameters)
    for batch in relation.to_arrow_reader(BATCH_ROWS):
        yield from pa.Table.from_batches([batch]).select(schema.names).cast(schema).combine_chunks().to_batches()


def names(paths: Sequence[Path]) -> list[str]:
    """Write paths as read_parquet wants them."""
    return [str(path) for path in paths]
