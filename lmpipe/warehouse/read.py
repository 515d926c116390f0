"""Ask the published copy: read-only, cut off from files and network, stopped after a time.

SQL from outside is code, so the connection is locked down before it runs: no file but the copy, no
extension, no setting can be changed. Memory is bounded by DuckDB's own count, which does not see
everything: SQL from strangers needs a process of its own with a limit by the operating system.
"""

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from lmpipe.errors import WarehouseError
from lmpipe.warehouse.door import NO_EXTENSIONS, PUBLISHED, quoted
from lmpipe.warehouse.migrate import sql_files

LOCKED_DOWN = NO_EXTENSIONS | {"python_enable_replacements": "false", "memory_limit": "2GB", "temp_directory": ""}
"""python_enable_replacements off: a query must not reach this process's own variables."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedQuery:
    """A query of warehouse/queries."""

    name: str
    question: str
    """From its first comment."""
    sql: str


def query(folder: Path, sql: str, parameters: Mapping[str, Any] | None = None, *, timeout: float = 60.0) -> pa.Table:
    """Run one statement on the published copy of the warehouse in `folder`.

    Raises WarehouseError when there is no database yet, for an error in the SQL, an attempt to write
    or to read a file, and when it runs for more than `timeout` seconds.
    """
    return query_file(folder / PUBLISHED, sql, parameters, timeout=timeout)


def query_file(
    results: Path, sql: str, parameters: Mapping[str, Any] | None = None, *, timeout: float = 60.0
) -> pa.Table:
    """Do the same on a published copy that lies anywhere."""
    if not results.exists():
        raise WarehouseError(f"{results}: no results yet. Run a recipe first, for example: lmpipe run demo.toml")
    con = duckdb.connect(":memory:", config=LOCKED_DOWN)
    alarm = threading.Timer(timeout, con.interrupt)
    alarm.start()
    try:
        lock_down(con, results)
        return run(con, sql, parameters)
    except duckdb.InterruptException as error:
        raise WarehouseError(f"the query was stopped after {timeout:g} s. Narrow it, or give it more time.") from error
    except duckdb.Error as error:
        raise WarehouseError(f"{results}: {error}. {advice(error)}") from error
    finally:
        alarm.cancel()
        con.close()


def lock_down(con: duckdb.DuckDBPyConnection, results: Path) -> None:
    """Attach the copy (typed, like every file here) and close everything else."""
    con.execute(f"attach {quoted(results)} as results (type duckdb, read_only)")
    con.execute("use results")
    con.execute("set enable_external_access = false")
    con.execute("set lock_configuration = true")


def run(con: duckdb.DuckDBPyConnection, sql: str, parameters: Mapping[str, Any] | None) -> pa.Table:
    """Run exactly one statement: DuckDB would run all of several, and show the last."""
    statements = con.extract_statements(sql)
    if len(statements) != 1:
        raise WarehouseError(f"expected one SQL statement, found {len(statements)}. Send them one by one.")
    relation = con.sql(sql, params=dict(parameters or {}))
    if relation is None:
        raise WarehouseError("expected a statement that returns rows, such as select. The results are read-only.")
    return relation.to_arrow_table()


def advice(error: duckdb.Error) -> str:
    """Say what to do about a DuckDB error."""
    if "read-only mode" in str(error) or isinstance(error, duckdb.PermissionException):
        return "The results are read-only and no other file can be reached from them; write a select."
    if isinstance(error, duckdb.IOException | duckdb.SerializationException | duckdb.FatalException):
        return "If the file is damaged, delete it and run any recipe again: it is a copy and will be published anew."
    return "Look at the tables with: show tables"


def saved_queries() -> list[SavedQuery]:
    """List the saved queries, by name."""
    return [
        SavedQuery(name=path.stem, question=question(sql), sql=sql)
        for path in sql_files("queries")
        for sql in [path.read_text(encoding="utf-8")]
    ]


def question(sql: str) -> str:
    """Take the question from the first comment of a file."""
    return sql.splitlines()[0].removeprefix("-- question: ")


def saved_sql(name: str) -> str:
    """Give the text of a saved query."""
    known = {saved.name: saved.sql for saved in saved_queries()}
    if name not in known:
        raise WarehouseError(f"no saved query '{name}'; expected one of {', '.join(known)}.")
    return known[name]


def run_query(folder: Path, name: str, parameters: Mapping[str, Any] | None = None) -> pa.Table:
    """Run a saved query on the published copy."""
    return query(folder, saved_sql(name), parameters)


def checks(folder: Path) -> list[tuple[str, pa.Table]]:
    """Run every check on the published copy; each gives the rows that are wrong, none when all is well."""
    return [(path.stem, query(folder, path.read_text(encoding="utf-8"))) for path in sql_files("checks")]
