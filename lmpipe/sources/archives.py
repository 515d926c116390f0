"""Read zips in memory, and nothing else: no member is ever written to disk, so none can escape its folder.

What a zip's directory says is not believed: bytes are counted as they are inflated, against limits on one
member, on all together and on how far they swell. Names are labels. One damaged or locked member costs itself
only.
"""

import lzma
import struct
import zipfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Self

from lmpipe.sources.encoding import UndecodableError, decode

MAX_MEMBERS = 65_535
"""What a zip of the old kind can hold; books and corpora have fewer."""

MAX_MEMBER_BYTES = 64 << 20
"""The largest member, inflated."""

MAX_TOTAL_BYTES = 4 << 30
"""All that is inflated from one archive: time is bounded by it, memory by the largest member."""

MAX_RATIO = 200
"""Inflated to stored bytes of a member above SMALL_BYTES; text reaches 3 to 20, a bomb 1,000."""

SMALL_BYTES = 1 << 20

UTF8_NAME = 0x800
"""Flag: the name is UTF-8; without it zipfile reads cp437, which is right for no Chinese archive."""

DAMAGE = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error),
    *(OSError, EOFError, ValueError, OverflowError, RuntimeError, NotImplementedError, IndexError),
)
"""What zipfile raises for damaged bytes, for encrypted ones, and for what it cannot inflate."""


class ArchiveError(Exception):
    """Why an archive or a member cannot be read."""


@dataclass(slots=True, kw_only=True)
class Archive:
    """An open zip: its members in the order of the directory, with readable names."""

    zip: zipfile.ZipFile
    members: list[zipfile.ZipInfo]
    names: list[str]
    """One for each member: UTF-8, or the codec that all names together show; "/" between folders."""
    inflated: int = field(default=0)

    @classmethod
    def open(cls, file: Path | IO[bytes]) -> Self:
        """Open a zip; raises ArchiveError when its directory is damaged or too long."""
        try:
            archive = zipfile.ZipFile(file)
        except DAMAGE as error:
            raise ArchiveError(f"expected a zip, found a damaged one: {error}") from None
        members = archive.infolist()
        if len(members) > MAX_MEMBERS:
            archive.close()
            raise ArchiveError(f"expected at most {MAX_MEMBERS} members, found {len(members)}")
        return cls(zip=archive, members=members, names=member_names(members))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.zip.close()

    def read(self, member: zipfile.ZipInfo) -> bytes:
        """Inflate one member; raises ArchiveError saying why it cannot be had."""
        limit = min(MAX_MEMBER_BYTES, MAX_TOTAL_BYTES - self.inflated)
        swollen = max(SMALL_BYTES, MAX_RATIO * member.compress_size)
        try:
            with self.zip.open(member) as stream:
                data = stream.read(min(limit, swollen) + 1)
        except DAMAGE as error:
            raise ArchiveError(f"zip member cannot be read: {error or type(error).__name__}") from None
        self.inflated += len(data)
        if len(data) > limit:
            raise ArchiveError(f"zip member of more than {limit} bytes (at most {MAX_TOTAL_BYTES} in one archive)")
        if len(data) > swollen:
            raise ArchiveError(f"zip member that swells more than {MAX_RATIO} times: a bomb")
        return data

    def find(self, name: str) -> bytes:
        """Inflate the member of this exact name; raises ArchiveError when there is none."""
        if name not in self.names:
            raise ArchiveError(f"expected a member {name!r}, found none")
        return self.read(self.members[self.names.index(name)])


def member_names(members: list[zipfile.ZipInfo]) -> list[str]:
    """Decode the names: those not flagged as UTF-8 by the codec that all of them together show."""
    raws = [m.orig_filename.encode("utf-8" if m.flag_bits & UTF8_NAME else "cp437", "replace") for m in members]
    try:
        codec = decode(b"\n".join(raws), None)[1]
    except UndecodableError:
        codec = "cp437"
    return [
        raw.decode("utf-8" if member.flag_bits & UTF8_NAME else codec, "backslashreplace").replace("\\", "/")
        for member, raw in zip(members, raws, strict=True)
    ]


def is_mac_metadata(name: str) -> bool:
    """Tell what macOS leaves beside files, in zips above all: resource forks and folder settings, never content."""
    *folders, last = name.split("/")
    return "__MACOSX" in folders or last.startswith("._") or last == ".DS_Store"


def is_zip(head: bytes) -> bool:
    """Tell a zip by its first bytes."""
    return head[:4] in (b"PK\x03\x04", b"PK\x05\x06")
