"""The clean stage: normalise every document, identify its language, redact it, measure its signals.

One unit is a run of row groups of an ingested shard (about UNIT_BYTES), written as two shards with
the same rows in the same order: documents-N (the normalised text) and signals-N; where the recipe
asks for it also content-N (the words that are no stop words, row for row) and pii-N (one row per
piece of personal data). All later stages work on the small signals; only encoding reads the text
again.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from lmpipe.curate.quality import QualityModel, load
from lmpipe.curate.signals import SIGNALS, measure, signals_batch
from lmpipe.dataset import (
    Execution,
    Manifest,
    Plan,
    UnitOutput,
    build,
    read_groups,
    settings_dict,
    unit_keys,
)
from lmpipe.document import DOCUMENTS
from lmpipe.settings import CleanSettings
from lmpipe.storage import file_input, file_sha256
from lmpipe.text import pii
from lmpipe.text.language import identify
from lmpipe.text.normalize import normalize
from lmpipe.text.stopwords import content_words
from lmpipe.text.unwrap import unwrap

VERSION = 3
UNIT_BYTES = 32 << 20
"""Uncompressed Parquet bytes per unit: some seconds of work, so that a kill loses no more."""

PII = pa.schema([("id", pa.string()), ("kind", pa.string()), ("start", pa.int64()), ("end", pa.int64())])
"""One row per piece of personal data, in characters of the normalised text before it is redacted."""
CONTENT = pa.schema([("id", pa.string()), ("content", pa.string())])
"""One row per document, in the order of the documents: its words that are no stop words, parted by one blank."""
ROLES = {"documents": DOCUMENTS, "signals": SIGNALS, "pii": PII, "content": CONTENT}


class CleanUnit(NamedTuple):
    """One unit's arguments."""

    shard: Path
    groups: tuple[int, ...]
    """Row groups of the shard."""
    settings: CleanSettings
    unwrap: bool
    quality_model: Path | None


def clean(
    documents: Manifest, data: Path, settings: CleanSettings, execution: Execution, base: Path = Path()
) -> Manifest:
    """Clean and measure one ingested source into DATA/clean/<source>-<fingerprint8>/.

    settings.quality_model is relative to `base`, the recipe's folder. Raises InputError when it is no model.
    """
    model = base / settings.quality_model if settings.quality_model is not None else None
    if model is not None:
        load(model)  # a bad model is refused here, not in a worker
    plan = Plan(
        stage="clean",
        name=documents.name,
        version=VERSION,
        settings=settings_dict(settings) | {"quality_model": model is not None},
        inputs=(documents.reference, *([file_input(model)] if model is not None else [])),
    )
    wrapped = documents.settings["kind"] in settings.unwrap
    units = [
        CleanUnit(shard, groups, settings, wrapped, model)
        for shard in documents.paths("documents")
        for groups in group_runs(shard)
    ]
    scored_by = file_sha256(model) if model is not None else None
    keys = unit_keys([documents], [(unit.shard, unit.groups, wrapped, scored_by) for unit in units])
    return build(plan, data, clean_unit, units, execution, keys=keys)


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
    """Write the unit's shards side by side, one batch in memory at a time."""
    model = load(unit.quality_model) if unit.quality_model is not None else None
    left_out = {"pii": unit.settings.pii == "off", "content": not unit.settings.content_words}
    with ExitStack() as stack:
        append = {
            role: stack.enter_context(output.writing(role, schema))
            for role, schema in ROLES.items()
            if not left_out.get(role, False)
        }
        for batch in read_groups(unit.shard, unit.groups):
            for role, rows in clean_batch(batch, unit, model, output).items():
                if role in append:
                    append[role](rows)
            output.count("in", batch.num_rows)


def clean_batch(
    batch: pa.RecordBatch, unit: CleanUnit, model: QualityModel | None, output: UnitOutput
) -> dict[str, pa.RecordBatch]:
    """Clean and measure one batch of documents; return the rows of each role."""
    ids = batch.column("id").to_pylist()
    texts = normalized(batch.column("text").to_pylist(), unit, output)
    spans = personal_data(texts, unit.settings, output)
    if unit.settings.pii == "redact":
        texts = [pii.redact(text, found) for text, found in zip(texts, spans, strict=True)]
    languages = language_columns(batch.column("lang").to_pylist(), texts)
    plain = [plain_language(language) for language in languages["lang"]]
    signals = {
        **{name: batch.column(name) for name in ("id", "source", "created")},
        "work": works(ids, batch.column("meta").to_pylist()),
        **languages,
        **measure(texts, plain),
        "pii_spans": [None if unit.settings.pii == "off" else len(found) for found in spans],
        "quality": model.score(texts) if model is not None else [None] * len(ids),
    }
    content = content_words(texts, plain) if unit.settings.content_words else [None] * len(ids)
    return {
        "documents": replaced(batch, {"text": texts, "lang": languages["lang"]}),
        "signals": signals_batch(signals),
        "pii": pii_rows(ids, spans),
        "content": pa.RecordBatch.from_pydict({"id": ids, "content": content}, schema=CONTENT),
    }


def normalized(texts: Sequence[str], unit: CleanUnit, output: UnitOutput) -> list[str]:
    """Repair texts; count how many each rule changed."""
    repaired = []
    for text in texts:
        text = unwrap(text) if unit.unwrap else text
        text, changed = normalize(text, unicode=unit.settings.unicode, whitespace=unit.settings.whitespace)
        for rule in changed:
            output.count(f"repaired.{rule}")
        repaired.append(text)
    return repaired


def personal_data(texts: Sequence[str], settings: CleanSettings, output: UnitOutput) -> list[list[pii.Span]]:
    """Find the personal data of each text, and count it by kind."""
    if settings.pii == "off":
        return [[] for _ in texts]
    spans = [pii.find(text, settings.pii_kinds) for text in texts]
    for found in spans:
        for span in found:
            output.count(f"pii.{span.kind}")
    return spans


def language_columns(declared: Sequence[str | None], texts: Sequence[str]) -> dict[str, list[Any]]:
    """Identify each text's language; what the source declares comes first, and the rest says how well it fits."""
    columns: dict[str, list[Any]] = {name: [] for name in ("lang", "lang_score", "script", "second_lang", "lang_share")}
    for language, text in zip(declared, texts, strict=True):
        found = identify(text)
        lang = language or found.lang
        plain = plain_language(lang)
        columns["lang"].append(lang)
        columns["lang_score"].append(found.score if found.lang == plain else 0.0)
        columns["script"].append(found.script)
        columns["second_lang"].append(next((other for other in found.shares if other != plain), None))
        columns["lang_share"].append(found.shares.get(plain, 0.0))
    return columns


def plain_language(language: str) -> str:
    """Take the language out of a BCP 47 tag: pt-BR is measured as pt."""
    return language.partition("-")[0].lower()


def works(ids: Sequence[str], metas: Sequence[Any]) -> list[str]:
    """Say what each document is split together with: the book of a chapter, else itself alone."""
    return [dict(meta or []).get("work", native) for native, meta in zip(ids, metas, strict=True)]


def replaced(batch: pa.RecordBatch, columns: dict[str, list[Any]]) -> pa.RecordBatch:
    """Put new columns into a batch of documents."""
    arrays = [pa.array(columns[f.name], f.type) if f.name in columns else batch.column(f.name) for f in DOCUMENTS]
    return pa.RecordBatch.from_arrays(arrays, schema=DOCUMENTS)


def pii_rows(ids: Sequence[str], spans: Sequence[Sequence[pii.Span]]) -> pa.RecordBatch:
    """Lay out the personal data of a batch as rows of PII."""
    rows = [{"id": owner, **span._asdict()} for owner, found in zip(ids, spans, strict=True) for span in found]
    return pa.RecordBatch.from_pylist(rows, schema=PII)
