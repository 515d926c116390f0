"""Bring the tables and views of an open database to the state of the folder warehouse/.

A migration runs once and never changes after; a view may change at any time, so all views are made
again whenever the text of any of them differs from the one they were made from.
"""

import graphlib
import hashlib
import re
from pathlib import Path

import duckdb

import lmpipe
from lmpipe.errors import WarehouseError

BOOKKEEPING = """
create table if not exists schema_migrations (
    version varchar primary key, sha256 varchar not null, applied_at timestamp not null
);
create table if not exists schema_views (sha256 varchar not null)
"""


def sql_files(kind: str) -> list[Path]:
    """List the files of warehouse/<kind>, by name.

    Found beside the package, as in the repository so when installed: importlib.resources of Python
    3.11 cannot open a folder without __init__.py in an editable install.
    """
    return sorted((Path(lmpipe.__file__).parents[1] / "warehouse" / kind).glob("*.sql"))


def migrate(con: duckdb.DuckDBPyConnection) -> None:
    """Apply the migrations that are missing, each in a transaction, then the views if any changed.

    Raises WarehouseError when an applied migration is not the one in the folder.
    """
    con.execute(BOOKKEEPING)
    applied = dict(con.sql("select version, sha256 from schema_migrations").fetchall())
    known = {path.stem: path for path in sql_files("migrations")}
    if newer := sorted(applied.keys() - known.keys()):
        raise WarehouseError(f"the database was written by a newer lmpipe (migration {newer[0]}). Update lmpipe.")
    for version, path in known.items():
        text = path.read_text(encoding="utf-8")
        sha256 = hashlib.sha256(text.encode()).hexdigest()
        if version not in applied:
            apply(con, version, text, sha256)
        elif applied[version] != sha256:
            raise WarehouseError(
                f"{path}: changed after it was applied to this database."
                " Restore the file and put the change in a new migration."
            )
    make_views(con, sql_files("views"))


def apply(con: duckdb.DuckDBPyConnection, version: str, text: str, sha256: str) -> None:
    """Run one migration and note it, both or neither; a checkpoint keeps schema changes out of the log."""
    con.execute("begin")
    con.execute(text)
    con.execute("insert into schema_migrations values ($1, $2, now() at time zone 'utc')", [version, sha256])
    con.execute("commit")
    con.execute("checkpoint lm")


def make_views(con: duckdb.DuckDBPyConnection, paths: list[Path]) -> None:
    """Make all views again, unless they were made from these very texts."""
    texts = {path.stem: path.read_text(encoding="utf-8") for path in paths}
    sha256 = hashlib.sha256("\0".join(texts.values()).encode()).hexdigest()
    if con.sql("select sha256 from schema_views").fetchall() == [(sha256,)]:
        return
    con.execute("begin")
    old = con.sql("select view_name from duckdb_views() where database_name = 'lm' and not internal").fetchall()
    for (name,) in old:
        con.execute(f'drop view "{name}"')
    for name in in_order(texts):
        con.execute(texts[name])
    con.execute("delete from schema_views")
    con.execute("insert into schema_views values ($1)", [sha256])
    con.execute("commit")


def in_order(texts: dict[str, str]) -> list[str]:
    """Order views so that each comes after those whose names it uses (comments do not count)."""
    words = {name: set(re.findall(r"\w+", re.sub(r"--.*", "", text))) for name, text in sorted(texts.items())}
    uses = {name: sorted((words[name] & words.keys()) - {name}) for name in words}
    return list(graphlib.TopologicalSorter(uses).static_order())
