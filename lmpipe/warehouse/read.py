"""Ask the published copy: read-only, cut off from files and network, stopped after a time.

SQL from outside is code, so the connection is locked down before it runs: no file but the copy (and the
Parquet files or folders that are named beforehand), no extension, no setting can be changed, one select
at a time. Selects only: in DuckDB a file that may be read may be written too, by COPY or ATTACH. Memory
is bounded by DuckDB's own count, which does not see everything: SQL from strangers needs a process of its
own with a limit by the operating system.
"""

import contextlib
import logging
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from lmpipe.errors import WarehouseError
from lmpipe.warehouse.door import PUBLISHED, damaged
from lmpipe.warehouse.migrate import sql_files
from lmpipe.warehouse.saved import SavedQuery, saved_query
from lmpipe.warehouse.sound import NO_EXTENSIONS, quoted

log = logging.getLogger(__name__)

LOCKED_DOWN = NO_EXTENSIONS | {"python_enable_replacements": "false", "memory_limit": "2GB", "temp_directory": ""}
"""python_enable_replacements off: a query must not reach this process's own variables."""

TIMEOUT = 60.0
"""Seconds that a query may take; the saved ones take under one."""


def query(
    folder: Path,
    sql: str,
    parameters: Mapping[str, Any] | None = None,
    *,
    timeout: float = TIMEOUT,
    open_to: Sequence[Path] = (),
) -> pa.Table:
    """Run one select on the published copy of the warehouse in `folder`; it may read what is in `open_to` too.

    Raises WarehouseError when there is no database yet, for an error in the SQL, an attempt to write
    or to read another file, and when it runs for more than `timeout` seconds. KeyboardInterrupt ends the query.
    """
    return query_file(folder / PUBLISHED, sql, parameters, timeout=timeout, open_to=open_to)


def query_file(
    results: Path,
    sql: str,
    parameters: Mapping[str, Any] | None = None,
    *,
    timeout: float = TIMEOUT,
    open_to: Sequence[Path] = (),
) -> pa.Table:
    """Do the same on a published copy that lies anywhere."""
    with asking(results, timeout, open_to) as con:
        return interruptible(con, sql, parameters)


@contextlib.contextmanager
def asking(results: Path, timeout: float, open_to: Sequence[Path] = ()) -> Iterator[duckdb.DuckDBPyConnection]:
    """Give a locked connection for at most `timeout` seconds; DuckDB's errors leave it as WarehouseError."""
    if not results.exists():
        raise WarehouseError(f"{results}: no results yet. Run a recipe first, for example: lmpipe run demo.toml")
    con = duckdb.connect(":memory:", config=LOCKED_DOWN)
    alarm = threading.Timer(timeout, con.interrupt)
    alarm.start()
    try:
        lock_down(con, results, open_to)
        yield con
    except duckdb.InterruptException as error:
        raise WarehouseError(f"the query was stopped after {timeout:g} s. Narrow it, or give it more time.") from error
    except duckdb.Error as error:
        raise WarehouseError(f"{results}: {error}. {advice(error, results)}") from error
    finally:
        alarm.cancel()
        con.close()


def lock_down(con: duckdb.DuckDBPyConnection, results: Path, open_to: Sequence[Path]) -> None:
    """Attach the copy (typed, like every file here) and close everything else."""
    con.execute(f"attach {quoted(results)} as results (type duckdb, read_only)")
    con.execute("use results")
    for setting, paths in (
        ("allowed_paths", [str(path.resolve()) for path in open_to if path.is_file()]),
        ("allowed_directories", [str(path.resolve()) for path in open_to if path.is_dir()]),
    ):
        con.execute(f"set {setting} = {paths}")  # takes no parameter; a Python list of strings is one of SQL too
    con.execute("set enable_external_access = false")
    con.execute("set lock_configuration = true")


def interruptible(con: duckdb.DuckDBPyConnection, sql: str, parameters: Mapping[str, Any] | None) -> pa.Table:
    """Run in a second thread: DuckDB 2.0.0 looks at no signal while it works, so Ctrl-C would wait for its end."""
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(run, con, sql, parameters)
        try:
            return answer.result()
        except KeyboardInterrupt:
            con.interrupt()
            raise


def run(con: duckdb.DuckDBPyConnection, sql: str, parameters: Mapping[str, Any] | None) -> pa.Table:
    """Run exactly one select: DuckDB would run all of several, and show the last."""
    statements = con.extract_statements(sql)
    if len(statements) != 1:
        raise WarehouseError(f"expected one SQL statement, found {len(statements)}. Send them one by one.")
    if statements[0].type != duckdb.StatementType.SELECT:
        kind = statements[0].type.name.lower()
        raise WarehouseError(
            f"expected a statement that only reads, found {kind}. The results are read-only;"
            " write a select, show or describe."
        )
    relation = con.sql(sql, params=dict(parameters or {}))
    if relation is None:
        raise WarehouseError("expected a statement that returns rows, such as select. The results are read-only.")
    return relation.to_arrow_table()


def advice(error: duckdb.Error, results: Path) -> str:
    """Say what to do about a DuckDB error."""
    if "read-only mode" in str(error) or isinstance(error, duckdb.PermissionException):
        return "The results are read-only and no other file can be reached from them; write a select."
    if damaged(error):
        return f"If the file is damaged: lmpipe warehouse restore --data {results.parent.parent}"
    return "Look at the tables with: show tables"


def run_query(
    folder: Path, name: str, parameters: Mapping[str, Any] | None = None, *, timeout: float = TIMEOUT
) -> pa.Table:
    """Run a saved query on the published copy, and on the Parquet files under DATA that it names.

    Raises WarehouseError for a parameter that is unknown or missing, and when none of its files is there any more.
    """
    saved = saved_query(name)
    given = saved.complete(parameters or {})
    lists = {key: existing(folder, saved, sql, given) for key, sql in saved.files.items()}
    files = {key: [str(path) for path in paths] for key, paths in lists.items()}
    open_to = [path for paths in lists.values() for path in paths]
    return query(folder, saved.sql, used(given | files, saved.sql), timeout=timeout, open_to=open_to)


def existing(folder: Path, saved: SavedQuery, sql: str, parameters: Mapping[str, Any]) -> list[Path]:
    """List the files that a query asks for; say which are gone, and refuse when all are."""
    places = query(folder, sql, used(parameters, sql)).column("place").to_pylist()
    paths = [folder.resolve().parent / place for place in places]
    found = [path for path in paths if path.exists()]
    if not found:
        looked = f"found none of {len(paths)} under {folder.parent}" if paths else "found none recorded"
        raise WarehouseError(
            f"query {saved.name}: expected Parquet files to read, {looked}. Run the recipe again, or check --data"
            " and the fingerprint that you gave."
        )
    for path in sorted(set(paths) - set(found)):
        log.warning("%s: gone, so the answer leaves it out", path)
    return found


def used(parameters: Mapping[str, Any], sql: str) -> dict[str, Any]:
    """Keep the parameters that a statement names: DuckDB refuses others."""
    names = set(re.findall(r"\$(\w+)", sql))
    return {name: value for name, value in parameters.items() if name in names}


def checks(folder: Path) -> list[tuple[str, pa.Table]]:
    """Run every check on the published copy; each gives the rows that are wrong, none when all is well."""
    with asking(folder / PUBLISHED, TIMEOUT) as con:
        return [(path.stem, run(con, path.read_text(encoding="utf-8"), {})) for path in sql_files("checks")]
