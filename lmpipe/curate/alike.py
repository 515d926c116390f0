"""Compare the candidates truly: the shingle sets of the documents in a pair, and each pair's Jaccard similarity.

shingles   per shard: the shingle set of each document that is in a pair; of no other text is a word read
alike      per part of the pairs: those that reach the recipe's similarity

The sets are Arrow files mapped into memory, so that a worker can look up any document of the corpus and the
kernel may forget its pages again: memory does not grow with the number of documents.
"""

import mmap
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from lmpipe.curate.engine import engine, names, rows
from lmpipe.curate.minhash import jaccards
from lmpipe.curate.shingles import Hashes, shingle_sets
from lmpipe.curate.standing import Corpus
from lmpipe.dataset import Execution, Manifest, Plan, UnitOutput, build
from lmpipe.settings import DedupSettings
from lmpipe.storage import replacing

VERSION = 1
PAIRS_PER_UNIT = 500_000
"""Pairs that one unit compares: some 20 s."""
PAIRS_TOGETHER = 16_384
"""Pairs after which the kernel is told to forget the mapped pages: some 100 MB of ordinary documents."""
SHINGLES = pa.schema([("row", pa.int64()), ("shingles", pa.large_list(pa.uint64()))])
"""One row per compared document, in the order of its shard; hashes sorted and distinct."""
PAIR = ("shard_a", "row_a", "shard_b", "row_b")
ALIKE = pa.schema([*((name, pa.int64()) for name in PAIR), ("similarity", pa.float64())])
"""One row per pair that is alike, the document that comes first in the total order as a."""

Rows = npt.NDArray[np.int64]

WANTED = "select distinct row from read_parquet($ends) where shard = $shard order by row"
PAIRS = """
select distinct shard_a, row_a, shard_b, row_b from read_parquet($candidates)
where (shard_a * 1000003 + row_a) % $parts = $part
order by all
"""


class ShinglesUnit(NamedTuple):
    """One unit's arguments."""

    documents: Path
    shard: int
    ends: list[str]
    settings: DedupSettings


class AlikeUnit(NamedTuple):
    """One unit's arguments."""

    candidates: list[str]
    shingles: dict[int, Path]
    parts: int
    part: int
    similarity: float


def alike(proposed: Manifest, corpus: Corpus, data: Path, settings: DedupSettings, execution: Execution) -> Manifest:
    """Find the pairs of candidates that are truly alike into DATA/alike/<recipe>-<fingerprint8>/."""
    sets = compared(proposed, corpus, data, settings, execution)
    by_shard = {int(path.stem.removeprefix("shingles-")): path for path in sets.paths("shingles")}
    parts = 1 + proposed.counts.get("pairs", 0) // PAIRS_PER_UNIT
    candidates = names(proposed.paths("candidates"))
    units = [AlikeUnit(candidates, by_shard, parts, part, settings.similarity) for part in range(parts)]
    plan = Plan(
        stage="alike",
        name=proposed.name,
        version=VERSION,
        settings={"similarity": settings.similarity},
        inputs=(proposed.reference, sets.reference),
    )
    return build(plan, data, alike_unit, units, execution)


def compared(proposed: Manifest, corpus: Corpus, data: Path, settings: DedupSettings, execution: Execution) -> Manifest:
    """Write the shingle sets of all documents in a pair into DATA/shingles/<recipe>-<fingerprint8>/."""
    chosen = {key: getattr(settings, key) for key in ("shingle", "shingle_chinese")}
    plan = Plan(stage="shingles", name=proposed.name, version=VERSION, settings=chosen, inputs=(proposed.reference,))
    ends = names(proposed.paths("ends"))
    units = [ShinglesUnit(path, shard, ends, settings) for shard, path in enumerate(corpus.documents)]
    return build(plan, data, shingles_unit, units, execution)


def shingles_unit(unit: ShinglesUnit, output: UnitOutput) -> None:
    """Write the sets of one shard's compared documents; no file where it has none."""
    with engine(output.folder) as connection:
        found = connection.execute(WANTED, {"ends": unit.ends, "shard": unit.shard}).fetchnumpy()
    wanted = found["row"].astype(np.int64)
    if not len(wanted):
        return
    name = f"shingles-{unit.shard:05d}.arrow"
    with replacing(output.folder / name) as temporary, pa.ipc.new_file(str(temporary), SHINGLES) as writer:
        for place, texts, languages in texts_of(unit.documents, wanted):
            sets = shingle_sets(texts, languages, unit.settings)
            lists = pa.LargeListArray.from_arrays(pa.array(sets.offsets, pa.int64()), pa.array(sets.hashes))
            writer.write_batch(pa.record_batch([pa.array(place), lists], schema=SHINGLES))
    output.add("shingles", name, rows=len(wanted))
    output.count("documents", len(wanted))


def texts_of(
    shard: Path, wanted: npt.NDArray[np.int64]
) -> Iterator[tuple[npt.NDArray[np.int64], list[str], list[str]]]:
    """Stream rows, texts and languages of some documents of a cleaned shard, reading only the groups they are in."""
    with pq.ParquetFile(shard) as file:
        start = 0
        for group in range(file.num_row_groups):
            end = start + file.metadata.row_group(group).num_rows
            mine = wanted[np.searchsorted(wanted, start) : np.searchsorted(wanted, end)]
            if len(mine):
                table = file.read_row_group(group, columns=["text", "lang"]).take(mine - start)
                yield mine, table.column("text").to_pylist(), table.column("lang").to_pylist()
            start = end


def alike_unit(unit: AlikeUnit, output: UnitOutput) -> None:
    """Compare one part of the pairs."""
    parameters = {"candidates": unit.candidates, "parts": unit.parts, "part": unit.part}
    schema = pa.schema([ALIKE.field(name) for name in PAIR])
    sets = AllSets(unit.shingles)
    with engine(output.folder) as connection, output.writing("alike", ALIKE) as append:
        for batch in rows(connection, PAIRS, parameters, schema):
            for start in range(0, batch.num_rows, PAIRS_TOGETHER):
                block = batch.slice(start, PAIRS_TOGETHER)
                similarities = compare(block, sets)
                sets.forget()
                enough = pa.array(similarities >= unit.similarity)
                append(pa.record_batch([*block.columns, pa.array(similarities)], schema=ALIKE).filter(enough))
                output.count("compared", block.num_rows)
                output.count("alike", enough.true_count)


def compare(pairs: pa.RecordBatch, sets: "AllSets") -> npt.NDArray[np.float64]:
    """Return the Jaccard similarity of each pair, comparing the pairs of one first document together."""
    found = []
    columns = zip(*(column.to_pylist() for column in pairs.columns), strict=True)
    for first, members in groupby(columns, key=itemgetter(0, 1)):
        found.append(jaccards(sets.hashes(*first), [sets.hashes(*pair[2:]) for pair in members]))
    return np.concatenate(found)


class AllSets:
    """The sets of all compared documents, mapped from the files of their shards."""

    def __init__(self, paths: dict[int, Path]) -> None:
        self.paths = paths
        self.shards: dict[int, ShardSets] = {}

    def hashes(self, shard: int, row: int) -> Hashes:
        """Return the set of a document."""
        if shard not in self.shards:
            self.shards[shard] = ShardSets(self.paths[shard])
        return self.shards[shard].hashes(row)

    def forget(self) -> None:
        """Let the kernel take the memory of what was read; it is read again when it is asked for."""
        for shard in self.shards.values():
            shard.mapped.madvise(mmap.MADV_DONTNEED)


class ShardSets:
    """The sets of one shard, mapped from its file."""

    def __init__(self, path: Path) -> None:
        with path.open("rb") as file:
            self.mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        reader = pa.ipc.open_file(pa.py_buffer(self.mapped))
        batches = [reader.get_batch(index) for index in range(reader.num_record_batches)]
        self.firsts = [batch.column("row")[0].as_py() for batch in batches]
        self.rows = [batch.column("row").to_numpy() for batch in batches]
        self.offsets = [batch.column("shingles").offsets.to_numpy() for batch in batches]
        self.values: list[Hashes] = [batch.column("shingles").values.to_numpy() for batch in batches]

    def hashes(self, row: int) -> Hashes:
        """Return the set of the document in a row."""
        batch = bisect_right(self.firsts, row) - 1
        place = bisect_left(self.rows[batch], row)
        start, end = self.offsets[batch][place : place + 2]
        return self.values[batch][start:end]
