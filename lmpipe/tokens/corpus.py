"""Read the chosen documents: cleaned shards and their outcomes, side by side, row by row, without what was cut."""

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lmpipe.dataset import Manifest, inputs_of, read_batches
from lmpipe.text.paragraphs import without


class CorpusShard(NamedTuple):
    """One cleaned shard and the outcomes of its documents, in the same order."""

    documents: Path
    outcomes: Path
    cuts: Path | None
    """The passages to leave out, where the recipe has such a stage."""


def corpus_shards(chosen: Manifest) -> list[CorpusShard]:
    """Pair the cleaned shards of all sources, in order, with the outcomes of the split, or of a stage behind it."""
    cleaned = [c for decided in inputs_of(chosen, "decide") for c in inputs_of(decided, "clean")]
    documents = [path for manifest in cleaned for path in manifest.paths("documents")]
    outcomes = chosen.paths("outcomes")
    assert len(documents) == len(outcomes), f"{len(documents)} cleaned shards, {len(outcomes)} shards of outcomes"
    cuts: list[Path | None] = [path for cut in cuts_of(chosen) for path in cut.paths("cuts")]
    return [CorpusShard(*shard) for shard in zip(documents, outcomes, cuts or [None] * len(documents), strict=True)]


def cuts_of(chosen: Manifest) -> list[Manifest]:
    """Open the cuts that were made before the documents were chosen, if any."""
    return [cut for manifest in (chosen, *inputs_of(chosen, "split")) for cut in inputs_of(manifest, "cuts")]


def chosen_batches(shard: CorpusShard) -> Iterator[pa.RecordBatch]:
    """Stream the kept documents of a shard: id, source, lang, domain (null for none), text, split, bytes, words."""
    outcomes = pq.read_table(shard.outcomes, columns=["id", "source", "lang", "split", "bytes", "words"])
    start = 0
    for batch in cleaned_batches(shard):
        beside = outcomes.slice(start, batch.num_rows)
        start += batch.num_rows
        assert beside["id"].combine_chunks().equals(batch.column("id")), f"{shard}: rows do not match"
        table = beside.append_column("text", batch.column("text"))
        table = table.append_column("domain", pc.map_lookup(batch.column("meta"), "domain", "first"))
        yield from table.filter(pc.is_valid(table["split"])).combine_chunks().to_batches()


def cleaned_batches(shard: CorpusShard) -> Iterator[pa.RecordBatch]:
    """Stream id, text and meta of all documents of a cleaned shard, without what was cut."""
    cuts = read_cuts(shard.cuts) if shard.cuts is not None else {}
    start = 0
    for batch in read_batches(shard.documents, ["id", "text", "meta"]):
        if cuts:
            texts = [
                without(text, cuts[row]) if row in cuts else text
                for row, text in enumerate(batch.column("text").to_pylist(), start)
            ]
            batch = batch.set_column(1, "text", pa.array(texts, pa.string()))
        start += batch.num_rows
        yield batch


def read_cuts(path: Path) -> dict[int, list[tuple[int, int]]]:
    """Read a shard's cuts: row to spans."""
    spans = defaultdict(list)
    for row, *span in zip(*pq.read_table(path, columns=["row", "start", "end"]).to_pydict().values(), strict=True):
        spans[row].append((span[0], span[1]))
    return spans
