"""The one door to the private file: lock, open typed, one transaction, close, publish, unlock.

DuckDB 2.0.0 reads a file's header before it takes the file's lock and not again after, so that two
processes which open it one after the other lose committed transactions; a retry on its lock does
not help. Two things do, and both are done: a lock of our own around open and close, and an explicit
`type duckdb`, which leaves the early read out. The kernel frees our lock when its holder is killed.
"""

import contextlib
import errno
import fcntl
import json
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import duckdb

from lmpipe.errors import WarehouseError
from lmpipe.storage import storage_errors, sync_folder
from lmpipe.warehouse.migrate import migrate
from lmpipe.warehouse.sound import NO_EXTENSIONS, check_sound, quoted

PRIVATE = "lm.duckdb"
"""Opened by `write` alone; a reader that opened it would stop every writer."""

PUBLISHED = "results.duckdb"
"""A whole copy for everybody; never written in place, only replaced by rename."""

DAMAGE = (duckdb.IOException, duckdb.SerializationException, duckdb.FatalException, duckdb.InternalException)
"""What DuckDB raises for a file that is locked, cut or corrupt; for a header's checksum it is a plain duckdb.Error."""

DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
"""What DuckDB tells in words alone, under whatever kind of error: the disk is at fault and not the file."""

POLL_SECONDS = 0.01
"""Between two tries for the lock; a transaction takes about 50 ms."""


@contextlib.contextmanager
def write(folder: Path, holder: str = "lmpipe", wait: float = 60.0) -> Iterator[duckdb.DuckDBPyConnection]:
    """Give a connection inside one transaction on the private file, migrated to date.

    The transaction is committed and published when the block ends, rolled back when it raises. Keep
    the block short: compute first, then write rows. `holder` is told to whoever waits for the lock.
    Raises WarehouseError when the lock is not free within `wait` seconds, or the file is damaged.
    """
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with exclusive(folder / f"{PRIVATE}.lock", holder, wait):
            check_sound(folder / PRIVATE, folder / PUBLISHED)
            with opened(folder / PRIVATE) as con:
                migrate(con)
                con.execute("begin")
                yield con
                con.execute("commit")
                con.execute("checkpoint lm")
            publish(folder)


@contextlib.contextmanager
def exclusive(path: Path, holder: str, wait: float) -> Iterator[None]:
    """Hold the lock file, which names its holder for those who wait."""
    with path.open("a+", encoding="utf-8") as file:
        acquire(file, path, wait)
        file.truncate(0)
        since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        json.dump({"pid": os.getpid(), "holder": holder, "since": since}, file)
        file.flush()
        yield


def acquire(file: TextIO, path: Path, wait: float) -> None:
    """Take the lock within `wait` seconds, or say who has it."""
    deadline = time.monotonic() + wait
    while True:
        try:
            return fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                found = path.read_text(encoding="utf-8") or "another process"
                raise WarehouseError(
                    f"{path}: expected the lock to be free within {wait:g} s, found it held by {found}."
                    " Wait for that process or end it, then run the same command again."
                ) from None
        time.sleep(POLL_SECONDS)


@contextlib.contextmanager
def opened(path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open the private file as the default schema; what is not committed at the end is rolled back."""
    con = duckdb.connect(":memory:", config=NO_EXTENSIONS)
    try:
        # storage_version keeps the file readable by DuckDB 1.5, which most other tools still carry
        con.execute(f"attach {quoted(path)} as lm (type duckdb, storage_version 'v1.5.0')")
        con.execute("use lm")
        yield con
    except duckdb.Error as error:
        for number in DISK:
            if os.strerror(number) in str(error):
                raise OSError(number, os.strerror(number), str(path)) from error  # storage_errors says what to do
        if not damaged(error):
            raise
        raise WarehouseError(
            f"{path}: cannot be read or written: {error}. If another program holds it, close that program and open"
            f" {PUBLISHED} with it instead. If the file is damaged: lmpipe warehouse restore --data"
            f" {path.parent.parent}"
        ) from error
    finally:
        con.close()


def damaged(error: duckdb.Error) -> bool:
    """Tell whether an error is about the file, not about the SQL."""
    return isinstance(error, DAMAGE) or "Corrupt" in str(error)


def publish(folder: Path) -> None:
    """Replace the published copy by the private file, which is closed and checkpointed.

    The file must be closed: reading it while this process has it open would drop DuckDB's own lock.
    """
    if (folder / f"{PRIVATE}.wal").exists():
        raise WarehouseError(f"{folder / PRIVATE}: its log was not emptied on closing. Run the same command again.")
    temporary = folder / f"{PUBLISHED}.tmp"
    shutil.copyfile(folder / PRIVATE, temporary)
    with temporary.open("rb") as file:
        os.fsync(file.fileno())
    temporary.replace(folder / PUBLISHED)
    sync_folder(folder)
