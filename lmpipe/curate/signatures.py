"""The signatures stage: the MinHash band hashes of a source's kept documents, made once.

A source's signatures depend on its own decisions only, so they are reused when other sources of the recipe
change, and new documents are compared with what exists without reading its texts.
"""

from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lmpipe.curate.minhash import Signer, WordHashes, shingles
from lmpipe.dataset import Execution, Manifest, Plan, UnitOutput, build, inputs_of, read_batches
from lmpipe.settings import DedupSettings

VERSION = 2
SIGNATURES = pa.schema(
    [
        ("row", pa.int64()),
        ("id", pa.string()),
        ("source", pa.string()),
        ("created", pa.timestamp("s", tz="UTC")),
        ("bytes", pa.int64()),
        ("lang", pa.string()),
        ("shingles", pa.int64()),
        ("bands", pa.list_(pa.uint64())),
    ]
)
"""One row per kept document with words; row counts within its cleaned shard, shingles the distinct ones."""
KEPT = ["id", "source", "created", "bytes", "lang"]


class SignUnit(NamedTuple):
    """One unit's arguments."""

    documents: Path
    decisions: Path
    settings: DedupSettings


def sign(decided: Manifest, data: Path, settings: DedupSettings, execution: Execution) -> Manifest:
    """Sign the kept documents of one source into DATA/signatures/<source>-<fingerprint8>/."""
    (cleaned,) = inputs_of(decided, "clean")
    plan = Plan(
        stage="signatures",
        name=decided.name,
        version=VERSION,
        settings={key: getattr(settings, key) for key in ("shingle", "shingle_chinese", "bands", "rows")},
        inputs=(decided.reference,),
    )
    pairs = zip(cleaned.paths("documents"), decided.paths("decisions"), strict=True)
    return build(plan, data, sign_unit, [SignUnit(*pair, settings) for pair in pairs], execution)


def sign_unit(unit: SignUnit, output: UnitOutput) -> None:
    """Sign one shard."""
    signer, hashes = Signer(unit.settings), WordHashes()
    decisions = pq.read_table(unit.decisions, columns=[*KEPT, "reason"]).combine_chunks()
    start = 0
    with output.writing("signatures", SIGNATURES) as append:
        for batch in read_batches(unit.documents, ["text"]):
            decided = decisions.slice(start, batch.num_rows).append_column("text", batch.column("text"))
            decided = decided.append_column("row", pa.array(range(start, start + batch.num_rows), pa.int64()))
            start += batch.num_rows
            signed = signatures(decided.filter(pc.is_null(decided["reason"])), unit.settings, signer, hashes)
            output.count("in", batch.num_rows)
            output.count("signed", signed.num_rows)
            append(signed)


def signatures(kept: pa.Table, settings: DedupSettings, signer: Signer, hashes: WordHashes) -> pa.RecordBatch:
    """Sign a batch of documents; those without letters or digits have no signature."""
    sets = shingles(kept["text"].to_pylist(), kept["lang"].to_pylist(), settings, hashes)
    signed = [place for place, hashed in enumerate(sets) if len(hashed)]
    bands = signer.bands([sets[place] for place in signed])
    kept = kept.take(pa.array(signed, pa.int64()))
    ends = pa.array(range(0, bands.size + 1, settings.bands), pa.int32())
    columns = {name: kept[name].combine_chunks() for name in ("row", *KEPT)} | {
        "shingles": pa.array([len(sets[place]) for place in signed], pa.int64()),
        "bands": pa.ListArray.from_arrays(ends, pa.array(bands.reshape(-1))),
    }
    return pa.RecordBatch.from_arrays([columns[name] for name in SIGNATURES.names], schema=SIGNATURES)
