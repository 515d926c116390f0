"""The dates stage: when the held-out documents were written, for perplexity over time.

Text is left out of what training and evaluation read, and so is its date; a small table of (document, day) beside
them is enough to see by month how well a model foretells news that it has not seen.
"""

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lmpipe.dataset import Execution, Manifest, Plan, UnitOutput, build, inputs_of, unit_keys
from lmpipe.tokens.corpus import CorpusShard, corpus_shards

VERSION = 1
DATES = pa.schema([("document", pa.string()), ("source", pa.string()), ("created", pa.timestamp("us"))])
"""One row per held-out document that has a date; UTC, as in the warehouse."""


def dates(chosen: Manifest, data: Path, execution: Execution) -> Manifest:
    """Write the dates of valid and test documents into DATA/dates/<recipe>-<fingerprint8>/, role "document_dates"."""
    plan = Plan(stage="dates", name=chosen.name, version=VERSION, settings={}, inputs=(chosen.reference,))
    shards = corpus_shards(chosen)
    read = [chosen, *(c for decided in inputs_of(chosen, "decide") for c in inputs_of(decided, "clean"))]
    keys = unit_keys(read, [(shard.documents, shard.outcomes) for shard in shards])
    return build(plan, data, dates_unit, shards, execution, keys=keys)


def dates_unit(shard: CorpusShard, output: UnitOutput) -> None:
    """Write the dates of one shard's held-out documents."""
    outcomes = pq.read_table(shard.outcomes, columns=["id", "source", "split"])
    table = outcomes.append_column("created", pq.read_table(shard.documents, columns=["created"])["created"])
    held_out = pc.is_in(table["split"], value_set=pa.array(["valid", "test"]))
    table = table.filter(pc.and_(held_out, pc.is_valid(table["created"])))
    rows = table.select(["id", "source", "created"]).rename_columns(["document", "source", "created"]).cast(DATES)
    output.write("document_dates", DATES, rows.combine_chunks().to_batches())
    output.count("documents", rows.num_rows)
