"""Read the chosen documents: cleaned shards and their outcomes, side by side, row by row."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lmpipe.dataset import Manifest, inputs_of, read_batches


class CorpusShard(NamedTuple):
    """One cleaned shard and the outcomes of its documents, in the same order."""

    documents: Path
    outcomes: Path


def corpus_shards(chosen: Manifest) -> list[CorpusShard]:
    """Pair the cleaned shards of all sources, in order, with the shards of the split."""
    cleaned = [c for decided in inputs_of(chosen, "decide") for c in inputs_of(decided, "clean")]
    documents = [path for manifest in cleaned for path in manifest.paths("documents")]
    outcomes = chosen.paths("outcomes")
    assert len(documents) == len(outcomes), f"{len(documents)} cleaned shards, {len(outcomes)} shards of outcomes"
    return [CorpusShard(*pair) for pair in zip(documents, outcomes, strict=True)]


def chosen_batches(shard: CorpusShard) -> Iterator[pa.RecordBatch]:
    """Stream the kept documents of a shard: id, source, lang, text, split, bytes, words."""
    outcomes = pq.read_table(shard.outcomes, columns=["id", "source", "lang", "split", "bytes", "words"])
    start = 0
    for batch in read_batches(shard.documents, ["id", "text"]):
        beside = outcomes.slice(start, batch.num_rows)
        start += batch.num_rows
        assert beside["id"].combine_chunks().equals(batch.column("id")), f"{shard}: rows do not match"
        table = beside.append_column("text", batch.column("text"))
        yield from table.filter(pc.is_valid(table["split"])).combine_chunks().to_batches()
