"""Keep the database whole: back up, restore, and rebuild it from the folders that it tells of."""

import contextlib
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from lmpipe.dataset import open_dataset
from lmpipe.errors import LmpipeError, WarehouseError
from lmpipe.storage import file_sha256, replacing, storage_errors, write_json
from lmpipe.warehouse.door import PRIVATE, PUBLISHED, exclusive, opened, publish, write
from lmpipe.warehouse.record import insert_dataset, insert_training, training_rows
from lmpipe.warehouse.sound import noted, quoted, tables, verify

BACKUPS = "backups"
"""Folder beside the database; one file a backup, named by its time in UTC."""

BOOKKEEPING = ("schema_migrations", "schema_views")
"""What every database writes for itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TableChange:
    """A table before and after a rebuild."""

    table: str
    before: int
    """Rows of the old file; 0 where it could not be read."""
    folders: int
    """Rows that the folders gave."""
    kept: int
    """Rows taken over from the old file, because no folder knows them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebuilt:
    """What a rebuild did."""

    tables: list[TableChange]
    old: Path | None
    """The file that rows were taken over from; None where none could be read."""
    unreadable: list[str]
    """Folders that are no sound dataset or run, each with its sentence."""


def backups(folder: Path) -> list[Path]:
    """List the backups of a warehouse, newest first."""
    return sorted((folder / BACKUPS).glob("lm-*.duckdb"), reverse=True)


def backup(folder: Path, keep: int = 7) -> Path:
    """Copy the database to backups/, verify the copy, and keep the newest `keep`.

    Raises WarehouseError when there is nothing to copy, or the database is damaged; older backups then stay.
    """
    if not (folder / PRIVATE).exists():
        raise WarehouseError(f"{folder / PRIVATE}: no database yet. Run a recipe first.")
    target = folder / BACKUPS / time.strftime("lm-%Y%m%dT%H%M%SZ.duckdb", time.gmtime())
    with storage_errors(target):
        target.parent.mkdir(exist_ok=True)
        with replacing(target) as temporary:
            with exclusive(folder / f"{PRIVATE}.lock", "backup", 60.0):
                fold(folder / PRIVATE)
                shutil.copyfile(folder / PRIVATE, temporary)
            rows = verify(temporary)
            write_json(noted(target), {"sha256": file_sha256(temporary), "rows": rows})
    for old in backups(folder)[max(1, keep) :]:
        old.unlink()
        noted(old).unlink(missing_ok=True)
    return target


def restore(folder: Path, source: Path | None = None) -> Path:
    """Put the newest sound state in place and publish it; return the file that it came from.

    That is the database itself where it is sound (its published copy is made anew), else its published copy, else the
    newest backup that verifies; or `source`, if given. A database that is replaced is kept under another name. Raises
    WarehouseError, with what is wrong with each, when none is sound.
    """
    private = folder / PRIVATE
    with storage_errors(folder), exclusive(folder / f"{PRIVATE}.lock", "restore", 60.0):
        chosen = source or newest_sound([private, folder / PUBLISHED, *backups(folder)])
        if chosen == private:
            fold(private)
        else:
            verify(chosen)
            replace_private(folder, chosen)
        publish(folder)
    return chosen


def newest_sound(candidates: list[Path]) -> Path:
    """Find the first file that is sound."""
    problems = []
    for path in candidates:
        if not path.exists():
            continue
        try:
            verify(path)
        except WarehouseError as error:
            problems.append(str(error))
        else:
            return path
    raise WarehouseError(
        "expected one sound database, found none: "
        + "; ".join(problems or ["there is no file"])
        + ". Run: lmpipe warehouse rebuild"
    )


def fold(path: Path) -> None:
    """Bring a killed writer's log into the file: to open and to close it does that."""
    with opened(path):
        pass


def replace_private(folder: Path, source: Path) -> None:
    """Put a copy of `source` in place of the database, which is kept with its log under another name."""
    private = folder / PRIVATE
    with replacing(private) as temporary:
        shutil.copyfile(source, temporary)
        aside = f"replaced-{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}"  # a second may see two
        for old in (private, folder / f"{PRIVATE}.wal"):
            if old.exists():
                os.link(old, folder / f"{old.name}.{aside}")
        (folder / f"{PRIVATE}.wal").unlink(missing_ok=True)


def rebuild(folder: Path, *, folders_only: bool = False) -> Rebuilt:
    """Make the database anew from the datasets and runs under the data folder, and put it in place of the old one.

    What folders do not know (flow runs, benchmarks, datasets and checkpoints that were deleted) is taken over from the
    old file where that can be read, unless `folders_only`. Writers wait until it is done. The old file is kept.
    """
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with exclusive(folder / f"{PRIVATE}.lock", "rebuild", 60.0), scratch(folder) as temporary:
            old = None if folders_only else readable(folder)
            with write(temporary, "rebuild") as con:
                unreadable = insert_folders(con, folder.resolve().parent)
                changes = take_over(con, old)
            verify(temporary / PRIVATE)
            replace_private(folder, temporary / PRIVATE)
            publish(folder)
    return Rebuilt(tables=changes, old=old, unreadable=unreadable)


@contextlib.contextmanager
def scratch(folder: Path) -> Iterator[Path]:
    """Give an empty folder beside the database."""
    place = folder / ".rebuild"
    shutil.rmtree(place, ignore_errors=True)
    yield place
    shutil.rmtree(place)


def readable(folder: Path) -> Path | None:
    """Find the old database that rows can be taken over from."""
    try:
        found = newest_sound([folder / PRIVATE, folder / PUBLISHED, *backups(folder)])
    except WarehouseError:
        return None
    if found == folder / PRIVATE:
        fold(found)
    return found


def insert_folders(con: duckdb.DuckDBPyConnection, data: Path) -> list[str]:
    """Insert every committed dataset and every run; return the sentences of those that cannot be read."""
    problems = []
    for path in sorted(data.glob("[!.]*/*/manifest.json")):
        try:
            insert_dataset(con, open_dataset(path.parent))
        except LmpipeError as error:
            problems.append(str(error))
    for path in sorted(data.glob("runs/*/run.json")):
        try:
            insert_training(con, training_rows(path.parent))
        except LmpipeError as error:
            problems.append(str(error))
    return problems


def take_over(con: duckdb.DuckDBPyConnection, old: Path | None) -> list[TableChange]:
    """Add the rows that only the old file has; count them by table.

    A table with a key takes every row whose key it lacks. One without takes those whose owner, the dataset or run in
    its first column, has no folder.
    """
    con.execute("create temp table owners as select dataset as id from datasets union select run from trainings")
    known: list[str] = []
    if old is not None:
        con.execute(f"attach {quoted(old)} as old (type duckdb, read_only)")
        known = tables(con, "old")
    changes = []
    for table in [name for name in tables(con, "lm") if name not in BOOKKEEPING]:
        folders, before = number(con, f'lm."{table}"'), 0
        if table in known:
            before = number(con, f'old."{table}"')
            con.execute(take_over_sql(con, table))
        kept = number(con, f'lm."{table}"') - folders
        changes.append(TableChange(table=table, before=before, folders=folders, kept=kept))
    return changes


def take_over_sql(con: duckdb.DuckDBPyConnection, table: str) -> str:
    """Write the statement that takes rows over: of the columns that both files have."""
    shared = [f'"{name}"' for name in columns(con, "lm", table) if name in columns(con, "old", table)]
    select = f'select {", ".join(shared)} from old."{table}"'
    if keyed(con, table):
        return f'insert or ignore into lm."{table}" by name {select}'
    return f'insert into lm."{table}" by name {select} where {shared[0]} not in (select id from owners)'


def columns(con: duckdb.DuckDBPyConnection, database: str, table: str) -> list[str]:
    """List the columns of a table, in order."""
    sql = """
        select column_name from duckdb_columns()
        where database_name = $database and table_name = $name order by column_index
    """
    return [name for (name,) in con.execute(sql, {"database": database, "name": table}).fetchall()]


def keyed(con: duckdb.DuckDBPyConnection, table: str) -> bool:
    """Tell whether a table has a primary key."""
    sql = """
        select 1 from duckdb_constraints()
        where database_name = 'lm' and table_name = $name and constraint_type = 'PRIMARY KEY'
    """
    return bool(con.execute(sql, {"name": table}).fetchall())


def number(con: duckdb.DuckDBPyConnection, table: str) -> int:
    """Count the rows of a table."""
    return int(con.execute(f"select count(*) from {table}").fetchall()[0][0])
