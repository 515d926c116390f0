"""Looks runs of words up in everything that is held out (heldout.py): a Bloom filter first, then sorted hashes.

The parts of the index are mapped files that all workers share; a process holds the filter only, of some bytes a run.
"""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from lmpipe.curate.heldout import MOST, Record, Sizes, among, indexed, run_lengths
from lmpipe.curate.ngrams import Codes, cut
from lmpipe.curate.shingles import Hashes
from lmpipe.dataset import open_dataset
from lmpipe.text.segment import Ints, bounds


class Part(NamedTuple):
    """A part of the index, mapped."""

    hashes: Hashes
    record: npt.NDArray[np.int32]
    place: npt.NDArray[np.int32]
    starts: Ints
    codes: Codes
    records: pa.Table
    words: Ints
    """Of each record."""
    run: Ints
    """The length of each record's runs."""
    first: Ints
    """Number of each record's first word."""


class Found(NamedTuple):
    """Where runs that were looked up stand; arrays of one length."""

    query: Ints
    """Which of the hashes that were looked up."""
    part: Ints
    record: Ints
    place: Ints


class Filter:
    """A Bloom filter with two probes: passes what was added, and of 300 others about one."""

    def __init__(self, number: int) -> None:
        self.bits = min(max((16 * number).bit_length() + 1, 16), 31)
        self.bytes = np.zeros(1 << (self.bits - 3), np.uint8)

    def places(self, hashes: Hashes, probe: int) -> tuple[Hashes, npt.NDArray[np.uint8]]:
        """Give byte and bit of each hash: its high bits for the first probe, the bits below for the second."""
        place = (hashes >> np.uint64(64 - (probe + 1) * self.bits)) & np.uint64((1 << self.bits) - 1)
        return place >> np.uint64(3), (place & np.uint64(7)).astype(np.uint8)

    def add(self, hashes: Hashes) -> None:
        """Set the bits of some hashes."""
        for probe in range(2):
            byte, bit = self.places(hashes, probe)
            np.bitwise_or.at(self.bytes, byte, np.uint8(1) << bit)

    def maybe(self, hashes: Hashes) -> Ints:
        """List which hashes may have been added."""
        left = np.arange(len(hashes))
        for probe in range(2):
            byte, bit = self.places(hashes[left], probe)
            left = left[(self.bytes[byte] >> bit & 1).astype(bool)]
        return left


class Index:
    """Looks runs up in everything that is held out."""

    def __init__(self, parts: list[Part]) -> None:
        self.parts = parts
        self.sizes = sorted({int(size) for part in self.parts for size in np.unique(part.run[part.run > 0])})
        total = sum(len(part.hashes) for part in self.parts)
        self.filter = Filter(total)
        for part in self.parts:
            self.filter.add(part.hashes)

    def holds(self, hashes: Hashes) -> npt.NDArray[np.bool_]:
        """Tell which hashes are those of a run that is held out."""
        maybe = self.filter.maybe(hashes)
        asked, known = hashes[maybe], np.zeros(len(maybe), bool)
        for part in self.parts:
            if len(part.hashes):
                place = np.searchsorted(part.hashes, asked)
                known |= part.hashes[np.minimum(place, len(part.hashes) - 1)] == asked
        held = np.zeros(len(hashes), bool)
        held[maybe[known]] = True
        return held

    def find(self, hashes: Hashes, size: int) -> Found:
        """Say where runs of `size` words stand, by their hashes: in at most MOST places, the first ones."""
        parts = [self.find_in(number, hashes, size) for number in range(len(self.parts))]
        found = Found(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))
        order = np.argsort(found.query, kind="stable")
        order = order[among(found.query[order]) < MOST]
        return Found(*(array[order] for array in found))

    def find_in(self, number: int, hashes: Hashes, size: int) -> Found:
        """Say where they stand in one part."""
        part = self.parts[number]
        low, high = (np.searchsorted(part.hashes, hashes, side=side) for side in ("left", "right"))
        query = np.repeat(np.arange(len(hashes)), high - low)
        entry = np.arange(len(query)) - np.repeat(bounds(high - low)[:-1] - low, high - low)
        same = part.run[part.record[entry]] == size
        query, entry = query[same], entry[same]
        record, place = part.record[entry].astype(np.int64), part.place[entry].astype(np.int64)
        return Found(query, np.full(len(query), number), record, place)

    def name(self, part: int, record: int) -> tuple[str, str]:
        """Name a record: its set and its id."""
        records = self.parts[part].records
        return records["set"][record].as_py(), records["id"][record].as_py()


@lru_cache(maxsize=1)
def open_index(manifest_folder: Path) -> Index:
    """Open an index once in a process, for all its units."""
    manifest = open_dataset(manifest_folder)
    roles = ("runs", "starts", "codes", "records")
    return Index([open_part(*paths) for paths in zip(*(manifest.paths(role) for role in roles), strict=True)])


def index_texts(records: Sequence[Record], sizes: Sizes) -> Index:
    """Index a few texts in memory, as heldout.py does many on disk."""
    words = cut([record.text for record in records])
    lengths = np.diff(words.offsets)
    run = run_lengths(words, lengths, sizes)
    rows = pa.table({"set": [record.set for record in records], "id": [record.id for record in records]})
    hashes, record, place = indexed(words, run)
    return Index([Part(hashes, record, place, words.starts, words.marked, rows, lengths, run, words.offsets[:-1])])


def open_part(runs: Path, starts: Path, codes: Path, records: Path) -> Part:
    """Map one part into memory."""
    hashes, record, place = columns(runs)
    rows = pq.read_table(records)
    return Part(
        hashes,
        record,
        place,
        columns(starts)[0],
        columns(codes)[0],
        rows.select(["set", "id"]),
        rows["words"].to_numpy(),
        rows["run"].to_numpy(),
        bounds(rows["words"].to_numpy())[:-1],
    )


def columns(path: Path) -> list[npt.NDArray[Any]]:
    """Map the columns of an Arrow file of a single batch."""
    batch = pa.ipc.open_file(pa.memory_map(str(path))).get_batch(0)
    return [column.to_numpy(zero_copy_only=True) for column in batch.columns]
