"""Read the index of a multistream dump: which page lies in which bz2 stream.

Wikimedia publishes NAME-multistream-index.txt.bz2 beside NAME-multistream.xml.bz2: a line
offset:page id:title for every page, ordered by offset, 100 pages a stream. With it a dump is cut into
units without being searched, and one page is read by decompressing one stream. The index names neither
the first stream (the site's description) nor the last (</mediawiki>); both ends are searched.

The file is streamed: English Wikipedia's has 22 million lines. An index named in the recipe must fit
its dump; one that merely lies beside it and does not fit is told in the log and left alone.
"""

import bz2
import itertools
import logging
import re
from collections.abc import Iterable, Iterator, Sequence
from html import unescape
from pathlib import Path
from typing import NamedTuple

from lmpipe.errors import InputError

log = logging.getLogger(__name__)

STREAM_START = re.compile(rb"BZh[1-9]1AY&SY")
"""Header of a bz2 stream with the magic of its first block: 80 bits, so chance does not make one."""
MAGIC_BYTES = 10
"""Bytes that STREAM_START matches."""
SEARCH_BYTES = 8 << 20
"""Bytes searched at once."""

DUMP_NAME = re.compile(r"(.*multistream)(\d*)\.xml((?:-p\d+p\d+)?)\.bz2")
INDEX_NAME = re.compile(r".*multistream-index\d*\.txt(?:-p\d+p\d+)?(?:\.bz2)?")
"""The parts of a large dump are called ...-multistream1.xml-p1p41242.bz2, ...-index1.txt-p1p41242.bz2."""
ADVICE = "Fetch it again, or leave it out: the dump is then searched for its streams."


class Entry(NamedTuple):
    """One line of an index."""

    offset: int
    """Where the page's stream starts in the dump."""
    page_id: str
    title: str
    """As in the dump: & is written &amp;."""


def is_index(file: Path) -> bool:
    """Say by its name whether a file is the index of a dump."""
    return INDEX_NAME.fullmatch(file.name) is not None


def index_names(dump: Path) -> tuple[str, ...]:
    """Say what the index of a dump is called; empty for a dump that is not called multistream."""
    match = DUMP_NAME.fullmatch(dump.name)
    if match is None:
        return ()
    stem, part, pages = match.groups()
    return (f"{stem}-index{part}.txt{pages}.bz2", f"{stem}-index{part}.txt{pages}")


def index_beside(dump: Path) -> Path | None:
    """Find the index that lies in a dump's folder."""
    return next((path for path in map(dump.with_name, index_names(dump)) if path.is_file()), None)


def paired(source: str, files: Sequence[Path]) -> list[tuple[Path, Path | None]]:
    """Put every dump of `files` together with its index among them, or None.

    Raises InputError for an index whose dump is not there.
    """
    indexes = [file for file in files if is_index(file)]
    pairs: list[tuple[Path, Path | None]] = []
    for dump in (file for file in files if not is_index(file)):
        fitting = [index for index in indexes if index.name in index_names(dump)]
        # Snapshots of the same name may lie in two folders.
        fitting.sort(key=lambda index: index.parent != dump.parent)
        pairs.append((dump, fitting[0] if fitting else None))
    used = {index for _, index in pairs}
    for index in indexes:
        if index not in used:
            raise InputError(
                f"source {source}: {index}: expected the dump of this index among the paths, found none."
                " Name the dump too, under the name it was published with, or leave the index out."
            )
    return pairs


def entries(index: Path) -> Iterator[Entry]:
    """Stream the lines of an index, .bz2 or not; raises InputError where it is damaged or out of order."""
    with index.open("rb") as file:
        packed = file.read(3) == b"BZh"
    try:
        with bz2.open(index) if packed else index.open("rb") as lines:
            yield from parsed(index, lines)
    except (EOFError, OSError) as error:
        raise InputError(f"{index}: the index is damaged or cut off ({error}). {ADVICE}") from error


def parsed(index: Path, lines: Iterable[bytes]) -> Iterator[Entry]:
    """Read the lines of an index."""
    last = 0
    for number, line in enumerate(lines, start=1):
        offset, _, rest = line.partition(b":")
        page_id, _, title = rest.partition(b":")
        if not offset.isdigit() or not page_id.isdigit() or not title.endswith(b"\n"):
            raise InputError(f"{index}: expected offset:page id:title in line {number}, found {line[:60]!r}. {ADVICE}")
        if int(offset) < last:
            raise InputError(
                f"{index}: expected growing offsets, found {int(offset)} after {last} in line {number}. {ADVICE}"
            )
        last = int(offset)
        yield Entry(last, page_id.decode(), title[:-1].decode("utf-8", "replace"))


def find(index: Path, title: str | None, page_id: str | None) -> Entry | None:
    """Find the first page with the title or the id."""
    for entry in entries(index):
        if entry.page_id == page_id or title in (entry.title, unescape(entry.title)):
            return entry
    return None


def stream_starts(dump: Path, index: Path | None) -> list[int]:
    """List the offsets at which a dump's bz2 streams start: from its index, else by searching the dump.

    `index` is the one that the recipe names; without it, one that lies beside the dump is used if it fits.
    Raises InputError when a named index does not fit.
    """
    if index is not None:
        return indexed_starts(dump, index)
    beside = index_beside(dump)
    if beside is not None:
        try:
            return indexed_starts(dump, beside)
        except InputError as error:
            log.warning("%s lies beside the dump, but is not used: %s", beside.name, error)
    return list(searched_starts(dump, 0, dump.stat().st_size))


def indexed_starts(dump: Path, index: Path) -> list[int]:
    """Read the offsets of an index, see that streams start there, and search what lies outside of them."""
    offsets = [offset for offset, _ in itertools.groupby(entry.offset for entry in entries(index))]
    check_offsets(dump, index, offsets)
    size = dump.stat().st_size
    first, last = (offsets[0], offsets[-1]) if offsets else (size, size)
    return [
        *searched_starts(dump, 0, first),
        *offsets[:-1],
        *searched_starts(dump, last, size),
    ]


def check_offsets(dump: Path, index: Path, offsets: Sequence[int]) -> None:
    """Refuse an index of another dump, or of a whole one where the dump was cut off."""
    size = dump.stat().st_size
    with dump.open("rb") as file:
        for offset in offsets:
            file.seek(offset)
            if not STREAM_START.match(file.read(MAGIC_BYTES)):
                found = f"a dump of {size} bytes" if offset >= size else "none there"
                raise InputError(
                    f"{index}: expected a bz2 stream at byte {offset} of {dump.name}, found {found}."
                    " Fetch dump and index of the same date again, or leave the index out."
                )


def searched_starts(dump: Path, start: int, end: int) -> Iterator[int]:
    """Find the bz2 streams that start in [start, end) by the magic of their first block."""
    with dump.open("rb") as file:
        file.seek(start)
        kept, base = b"", start
        while base < end and (data := file.read(SEARCH_BYTES)):
            window = kept + data
            found = (base + match.start() for match in STREAM_START.finditer(window))
            yield from itertools.takewhile(lambda place: place < end, found)
            kept = window[1 - MAGIC_BYTES :]  # one byte less than the pattern: no match is found twice
            base += len(window) - len(kept)
