"""Tell a sound database file from a damaged one.

Every block of a DuckDB file has a checksum that is looked at when the block is read; to verify a file is therefore to
read all of it. A backup also carries its sha256, which sees the bytes that no table uses.
"""

import filecmp
import json
from pathlib import Path

import duckdb

from lmpipe.errors import WarehouseError
from lmpipe.storage import file_sha256

NO_EXTENSIONS: dict[str, str | bool | int | float | list[str]] = {
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "allow_community_extensions": "false",
}
"""Without it a missing extension is a download of seconds that fails later and less clearly."""


def quoted(path: Path) -> str:
    """Write a path as a SQL string: ATTACH takes no parameters."""
    return "'" + str(path).replace("'", "''") + "'"


def check_sound(private: Path, published: Path) -> None:
    """Refuse a database that was damaged since it was published, before a writer puts it in place of the sound copy.

    DuckDB opens a file that was cut, as long as it needs nothing behind the cut, and goes on behind it. A file that is
    what was published is as sound as it was then; any other, such as one whose writer was killed, is read through.
    """
    filecmp.clear_cache()  # it knows files by size and time, which a flipped bit leaves as they are
    if private.exists() and not (published.exists() and filecmp.cmp(private, published, shallow=False)):
        verify(private)


def verify(path: Path) -> dict[str, int]:
    """Read the whole of a database file that nobody has open; return the number of rows of each table.

    Raises WarehouseError when any of it is damaged, or differs from the sha256 noted beside it.
    """
    note = noted(path)
    if note.exists() and file_sha256(path) != json.loads(note.read_text())["sha256"]:
        raise WarehouseError(f"{path}: its sha256 is not the one noted in {note.name}. Use another backup.")
    con = duckdb.connect(":memory:", config=NO_EXTENSIONS)
    try:
        con.execute(f"attach {quoted(path)} as lm (type duckdb, read_only)")
        return read_through(con)
    except duckdb.Error as error:
        raise WarehouseError(
            f"{path}: damaged, or held by another program: {error}. Use another: lmpipe warehouse restore takes the"
            " newest sound one."
        ) from error
    finally:
        con.close()


def read_through(con: duckdb.DuckDBPyConnection) -> dict[str, int]:
    """Read every column of every table of the database lm, and count the rows."""
    counts = {}
    for table in tables(con, "lm"):
        sql = f'select count(*), bit_xor(hash("{table}")) from lm."{table}"'
        counts[table] = int(con.execute(sql).fetchall()[0][0])
    return counts


def tables(con: duckdb.DuckDBPyConnection, database: str) -> list[str]:
    """List the tables of a database."""
    sql = "select table_name from duckdb_tables() where database_name = $name and not internal order by table_name"
    return [name for (name,) in con.execute(sql, {"name": database}).fetchall()]


def noted(path: Path) -> Path:
    """Name the file beside a backup that says what it holds."""
    return path.with_suffix(".json")
