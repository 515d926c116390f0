"""A file that arrives in pieces: what is there, what to ask for, and whether the whole is the right one.

Two things make sure that pieces of two versions are never taken for one file: If-Range, with which the server
sends everything anew when its file has changed, and the digest, where one is known, of the whole.
"""

import hashlib
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import httpx

from lmpipe.errors import DownloadError
from lmpipe.storage import write_json

SPARE_DISK = 1 << 30
"""Bytes that must stay free on the disk."""
CONTENT_RANGE = re.compile(r"bytes (?:(\d+)-\d+|\*)/(\d+|\*)", re.ASCII)
"""RFC 9110, section 14.4: "bytes 100-199/200", "bytes */200", "bytes 100-199/*"."""


class CutError(Exception):
    """A transfer ended early; what came is kept."""

    def __init__(self, reason: str, after: str | None = None) -> None:
        super().__init__(reason)
        self.after = after
        """The server's Retry-After."""


class Expected(NamedTuple):
    """What is known of a file before it comes."""

    url: str
    size: int | None
    digest: tuple[str, str] | None
    """Algorithm and hexadecimal digest."""
    max_bytes: int | None


class Version(NamedTuple):
    """Which version of a file a transfer was begun with."""

    url: str | None = None
    validator: str | None = None
    """ETag or date, for If-Range (RFC 9110, section 13.1.5)."""
    total: int | None = None
    """Bytes of the whole."""


class Part(NamedTuple):
    """The file that is being transferred, NAME.part, and beside it NAME.part.json with its Version."""

    path: Path
    note: Path

    @property
    def size(self) -> int:
        """Bytes that are there."""
        return self.path.stat().st_size if self.path.exists() else 0

    def version(self) -> Version:
        """Read which version is there; an empty one when that cannot be told."""
        try:
            return Version(**json.loads(self.note.read_text(encoding="utf-8")))
        except (FileNotFoundError, ValueError, TypeError):
            return Version()

    def begin(self, version: Version) -> None:
        """Forget what is there and begin another version."""
        self.path.unlink(missing_ok=True)
        write_json(self.note, version._asdict())

    def discard(self) -> None:
        """Remove both files."""
        self.path.unlink(missing_ok=True)
        self.note.unlink(missing_ok=True)


def part_of(path: Path) -> Part:
    """Name the pieces of the file that will be `path`."""
    return Part(path.with_name(f"{path.name}.part"), path.with_name(f"{path.name}.part.json"))


def range_headers(have: int, begun: Version, expected: Expected) -> dict[str, str]:
    """Ask for what is missing where that is safe: in the same version, or when a digest will tell."""
    if not have or (expected.size is not None and have > expected.size):
        return {}
    if begun.url == expected.url and begun.validator:
        return {"Range": f"bytes={have}-", "If-Range": begun.validator}
    return {"Range": f"bytes={have}-"} if expected.digest else {}


def goes_on(headers: httpx.Headers, have: int, begun: Version, expected: Expected) -> bool:
    """Tell whether a partial answer goes on from what is there, in that version; If-Range may have been ignored.

    What another server began is judged by its size alone; the digest decides in the end.
    """
    start, total = content_range(headers)
    if start != have:
        return False
    if begun.url != expected.url:
        return total in (None, expected.size)
    return total in (None, begun.total or total) and version_of(headers) in (None, begun.validator)


def receive(blocks: Iterator[bytes], part: Part, have: int, total: int | None, expected: Expected) -> None:
    """Append what comes to a part of `have` bytes; raises CutError when it ends before `total` bytes.

    Raises DownloadError for more bytes than are expected, or than the disk has room for.
    """
    total = expected.size if total is None else total
    free = shutil.disk_usage(part.path.parent).free - SPARE_DISK
    limit = min(number for number in (expected.size, expected.max_bytes, have + free) if number is not None)
    with part.path.open("ab") as file:
        for block in blocks if (total or 0) <= limit else ():
            have += len(block)
            if have > limit:
                break
            file.write(block)
    found = max(have, total or 0)
    if found > limit:
        part.discard()
        raise DownloadError(
            f"{expected.url}: expected at most {limit} bytes, found {found} or more. Try another mirror, or make room."
        )
    if total is not None and have < total:
        raise CutError(f"cut off after {have} of {total} bytes")


def version_of(headers: httpx.Headers) -> str | None:
    """Return what names this version of a file for If-Range: a strong ETag, else the date."""
    etag: str = headers.get("ETag", "")
    modified: str | None = headers.get("Last-Modified")
    return etag if etag.startswith('"') else modified


def content_length(headers: httpx.Headers) -> int | None:
    """Return how many bytes an answer promises."""
    length: str = headers.get("Content-Length", "")
    return int(length) if length.isascii() and length.isdecimal() else None


def content_range(headers: httpx.Headers) -> tuple[int | None, int | None]:
    """Return where a partial answer begins, and how many bytes the whole has."""
    found = CONTENT_RANGE.fullmatch(headers.get("Content-Range", ""))
    if found is None:
        return None, None
    start, total = found.groups()
    return int(start) if start else None, int(total) if total != "*" else None


def difference(path: Path, expected: Expected) -> str | None:
    """Say how a file differs from what was announced; None when it does not."""
    found = path.stat().st_size
    if expected.size is not None and found != expected.size:
        return f"expected {expected.size} bytes, found {found}"
    if expected.digest is not None:
        algorithm, hexadecimal = expected.digest
        with path.open("rb") as file:
            sum_found = hashlib.file_digest(file, algorithm).hexdigest()
        if sum_found != hexadecimal.lower():
            return f"expected {algorithm} {hexadecimal}, found {sum_found}"
    return None


def check_disk(folder: Path, size: int) -> None:
    """Refuse transfers that would fill the disk."""
    free = shutil.disk_usage(folder).free
    if size + SPARE_DISK > free:
        raise DownloadError(
            f"{folder}: {size} bytes are to come and {SPARE_DISK} must stay free, but only {free} are."
            " Make room, or name another data folder."
        )
