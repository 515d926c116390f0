"""The clean stage: normalise every document, identify its language, measure its signals.

One unit is a run of row groups of an ingested shard (about UNIT_BYTES), written as two shards with
the same rows in the same order: documents-N (the normalised text) and signals-N. All later stages
work on the small signals; only encoding reads the text again.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from lmpipe.curate.signals import SIGNALS, measure, signals_batch
from lmpipe.dataset import Execution, Manifest, Plan, UnitOutput, build, read_groups, settings_dict
from lmpipe.document import DOCUMENTS
from lmpipe.settings import CleanSettings
from lmpipe.text.language import identify
from lmpipe.text.normalize import normalize, unwrap

VERSION = 1
UNIT_BYTES = 32 << 20
"""Uncompressed Parquet bytes per unit: some seconds of work, so that a kill loses no more."""


class CleanUnit(NamedTuple):
    """One unit's arguments."""

    shard: Path
    groups: tuple[int, ...]
    """Row groups of the shard."""
    settings: CleanSettings
    unwrap: bool


def clean(documents: Manifest, data: Path, settings: CleanSettings, execution: Execution) -> Manifest:
    """Clean and measure one ingested source into DATA/clean/<source>-<fingerprint8>/."""
    plan = Plan(
        stage="clean",
        name=documents.name,
        version=VERSION,
        settings=settings_dict(settings),
        inputs=(documents.reference,),
    )
    wrapped = documents.settings["kind"] in settings.unwrap
    units = [
        CleanUnit(shard, groups, settings, wrapped)
        for shard in documents.paths("documents")
        for groups in group_runs(shard)
    ]
    return build(plan, data, clean_unit, units, execution)


def group_runs(shard: Path) -> Iterator[tuple[int, ...]]:
    """Cut a shard's row groups into runs of about UNIT_BYTES."""
    metadata = pq.read_metadata(shard)
    run: list[int] = []
    size = 0
    for group in range(metadata.num_row_groups):
        run.append(group)
        size += metadata.row_group(group).total_byte_size
        if size >= UNIT_BYTES:
            yield tuple(run)
            run, size = [], 0
    if run:
        yield tuple(run)


def clean_unit(unit: CleanUnit, output: UnitOutput) -> None:
    """Write the unit's documents and signals side by side, one batch in memory at a time."""
    with output.writing("documents", DOCUMENTS) as documents, output.writing("signals", SIGNALS) as signals:
        for batch in read_groups(unit.shard, unit.groups):
            cleaned, measured = clean_batch(batch, unit, output)
            documents(cleaned)
            signals(measured)
            output.count("in", batch.num_rows)


def clean_batch(batch: pa.RecordBatch, unit: CleanUnit, output: UnitOutput) -> tuple[pa.RecordBatch, pa.RecordBatch]:
    """Normalise and measure one batch of documents; count how many each rule changed."""
    texts, languages, rows = [], [], []
    for document in batch.select(["id", "source", "lang", "text", "created", "meta"]).to_pylist():
        text = unwrap(document["text"]) if unit.unwrap else document["text"]
        text, changed = normalize(text, unicode=unit.settings.unicode, whitespace=unit.settings.whitespace)
        for rule in changed:
            output.count(f"repaired.{rule}")
        found, score = identify(text)
        language = document["lang"] or found
        texts.append(text)
        languages.append(language)
        rows.append(signal_row(document, text, language, score if found == language else 0.0))
    columns = {"text": pa.array(texts, pa.string()), "lang": pa.array(languages, pa.string())}
    arrays = [columns.get(name, batch.column(name)) for name in DOCUMENTS.names]
    return pa.RecordBatch.from_arrays(arrays, schema=DOCUMENTS), signals_batch(rows)


def signal_row(document: dict[str, object], text: str, language: str, score: float) -> dict[str, object]:
    """Join what identifies a document with what was measured of it."""
    meta = dict(document["meta"] or [])  # type: ignore[call-overload]
    return {
        "id": document["id"],
        "source": document["source"],
        "lang": language,
        "lang_score": score,
        "created": document["created"],
        "work": meta.get("work", document["id"]),
        **measure(text, language),
    }
