"""Write to disk so that neither a kill, nor a power cut, nor a full disk leaves anything half done.

Temporary name, fsync, rename, fsync of the folder; one writer at a time by a lock that the kernel frees;
canonical JSON, so that the same value has the same bytes.
"""

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

from lmpipe.errors import DatasetError, StorageError


def digest(value: Any) -> str:
    """sha256 of a value's canonical JSON; refuses what JSON cannot hold."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def file_sha256(path: Path) -> str:
    """sha256 of a file, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def file_inputs(paths: Iterable[Path]) -> tuple[dict[str, Any], ...]:
    """Name raw files as inputs, hashed side by side: before a thousand workers one core's hashing is the slowest."""
    with ThreadPoolExecutor() as pool:
        return tuple(pool.map(file_input, paths))


def file_input(path: Path) -> dict[str, Any]:
    """Name a raw file as an input: by what it holds, not by where it lies."""
    return {"file": path.name, "bytes": path.stat().st_size, "sha256": file_sha256(path)}


def check_sha256(path: Path, wanted: str, advice: str) -> None:
    """Refuse a file that was changed since it was written: a flipped bit would go on into all that is made of it.

    Raises DatasetError, with advice.
    """
    found = immutable_sha256(path)
    if found != wanted:
        raise DatasetError(f"{path}: expected sha256 {wanted[:12]}..., found {found[:12]}...: it is damaged. {advice}")


def immutable_sha256(path: Path) -> str:
    """sha256 of a file that nobody changes; this process reads it again only when its time or size is another."""
    found = path.stat()
    return remembered_sha256(path, found.st_ino, found.st_size, found.st_mtime_ns)


@cache
def remembered_sha256(path: Path, *version: int) -> str:
    """sha256 of one version of a file."""
    return file_sha256(path)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary name beside `path`; on success sync it to disk and rename it into place."""
    temporary = path.with_name(f".{path.name}.{os.uname().nodename}.{os.getpid()}.tmp")
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
        sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Make a rename in `folder` survive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_json(path: Path, body: Any) -> None:
    """Write JSON by rename, the same bytes for the same value."""
    with replacing(path) as temporary:
        temporary.write_text(
            json.dumps(body, sort_keys=True, ensure_ascii=False, indent=1, allow_nan=False) + "\n", encoding="utf-8"
        )


def clear_leftovers(folder: Path) -> None:
    """Delete what killed writers have left under temporary names, and what their engines (curate/engine.py) spilled."""
    for spilled in folder.glob(".spill-*"):
        shutil.rmtree(spilled)
    for leftover in folder.rglob("*.tmp"):
        leftover.unlink()


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Let one process at a time build in `folder`; the kernel frees the lock of a killed one."""
    with (folder / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def storage_errors(folder: Path) -> Iterator[None]:
    """Turn a full disk and an unwritable folder into one clear sentence."""
    advice = {
        errno.ENOSPC: "no space left on the disk. Free some, then run the same command again: finished units are kept",
        errno.EDQUOT: "disk quota exceeded. Free some space, then run the same command again",
        errno.EACCES: "permission denied. Check who may read or write it, or choose another data folder",
        errno.EPERM: "permission denied. Check who may read or write it, or choose another data folder",
        errno.EROFS: "the file system is read-only. Choose another data folder",
        errno.ENOTDIR: "a part of the path is a file, not a folder. Choose another data folder",
        errno.EEXIST: "a file is in the way of the folder. Choose another data folder",
    }
    try:
        yield
    except OSError as error:
        if error.errno not in advice:
            raise
        raise StorageError(f"{error.filename or folder}: {advice[error.errno]}.") from error
