"""Text files as they lie in folders, compressed or not, and in zips: one document each."""

import lzma
import os
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from lmpipe.document import RAW_BYTES, Origin
from lmpipe.errors import InputError
from lmpipe.settings import LocalSource
from lmpipe.sources.archives import Archive, ArchiveError, is_zip
from lmpipe.sources.encoding import file_name
from lmpipe.sources.records import MAX_RECORD_BYTES, Raw, open_stream

FILES_PER_UNIT = 1000
"""Text files, or members of a zip, in a unit: a unit costs a commit, a text is small."""

MAGIC = re.compile(r"[*?\[$]")
"""What makes a part of a path a pattern, or a variable."""


class TextUnit(NamedTuple):
    """Some text files with their names, or the members [start, end) of a zip."""

    paths: tuple[str, ...]
    names: tuple[str, ...]
    start: int = 0
    end: int = 0


def text_units(source: LocalSource, files: list[Path]) -> list[TextUnit]:
    """Cut zips into ranges of their members, and gather other files."""
    found = [unit for file in files if file_is_zip(file) for unit in zip_units(file)]
    plain = [file for file in files if not file_is_zip(file)]
    common = Path(os.path.commonpath([file.parent for file in plain])) if plain else Path()
    names = [inner_path(source, file, common) for file in plain]
    for i in range(0, len(plain), FILES_PER_UNIT):
        some = slice(i, i + FILES_PER_UNIT)
        found.append(TextUnit(tuple(map(str, plain[some])), tuple(names[some])))
    return found


def zip_units(path: Path) -> list[TextUnit]:
    """Cut a zip into ranges of its members; raises InputError when its directory is damaged."""
    try:
        with Archive.open(path) as archive:
            total = len(archive.members)
    except ArchiveError as error:
        raise InputError(f"{path}: a damaged zip ({error}). Fetch it again, or unpack what can be saved.") from None
    ranges = ((i, min(i + FILES_PER_UNIT, total)) for i in range(0, total, FILES_PER_UNIT))
    return [TextUnit((str(path),), (file_name(path),), start, end) for start, end in ranges]


def file_is_zip(path: Path) -> bool:
    """Tell a zip by its first bytes."""
    with path.open("rb") as file:
        return is_zip(file.read(4))


def texts(unit: TextUnit) -> Iterator[Raw]:
    """Yield text files, or the files in a range of a zip's members; nothing is written to disk."""
    for path, name in zip(map(Path, unit.paths), unit.names, strict=True):
        if not file_is_zip(path):
            yield text_file(path, name)
            continue
        with Archive.open(path) as archive:
            for index in range(unit.start, unit.end):
                if not archive.members[index].is_dir():
                    yield zip_member(archive, index, file_name(path))


def text_file(path: Path, name: str) -> Raw:
    """Read one file, inflated, never more than MAX_RECORD_BYTES of it."""
    origin = Origin(file_name(path), 0, path.stat().st_size)
    try:
        with open_stream(path) as stream:
            data = stream.read(MAX_RECORD_BYTES + 1)
    except (EOFError, zlib.error, lzma.LZMAError, OSError) as error:
        return Raw(origin, name, path.read_bytes()[:RAW_BYTES], f"damaged compression: {error}")
    if len(data) > MAX_RECORD_BYTES:
        return Raw(origin, name, data[:RAW_BYTES], f"file of more than {MAX_RECORD_BYTES} bytes")
    return Raw(origin, name, data)


def zip_member(archive: Archive, index: int, file: str) -> Raw:
    """Read one member."""
    member, name = archive.members[index], archive.names[index]
    origin = Origin(file, member.header_offset, member.compress_size)
    try:
        return Raw(origin, name, archive.read(member))
    except ArchiveError as error:
        return Raw(origin, name, b"", str(error))


def inner_path(source: LocalSource, file: Path, common: Path) -> str:
    """Say where a file lies inside the folder that the recipe names: a name that is stable and unique.

    Of a path with patterns it is the part before the first; where that is none of the file's folders, the folder
    that holds all the files.
    """
    for pattern in source.paths:
        given = Path(os.path.expandvars(pattern)).parts
        fixed = given[: next((i for i, part in enumerate(given) if MAGIC.search(part)), len(given))]
        for root in (fixed, fixed[:-1]) if fixed == given else (fixed,):
            for i in range(len(file.parts) - len(root)):
                if root and file.parts[i : i + len(root)] == root:
                    return "/".join(file.parts[i + len(root) :]).encode("utf-8", "backslashreplace").decode()
    return "/".join(file.relative_to(common).parts).encode("utf-8", "backslashreplace").decode()
