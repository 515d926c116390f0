"""Lines or paragraphs that several documents share: one copy is kept, the others are cut. Off unless a recipe asks.

Three committed datasets between deduplication and the split, so that a kill costs little:

passages   per source: a 128-bit hash of every line or paragraph that is long enough, of every kept document
repeats    per partition of the hashes: the copies to cut, over all sources
cuts       per cleaned shard: the same, row by row, and what is left of each document that loses something

No text is written again: who reads the chosen documents (tokens/corpus.py) leaves the cuts out. The copy that is
kept is that of the first document in the total order of deduplication (longest, newest, smallest id), all of it:
a refrain within one document is nobody's duplicate. Texts are compared as they are, since a line that differs in
its figures is another line, and by 128 bits, so that no collision among 10^12 passages is to be expected.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from lmpipe.curate.clean import plain_language
from lmpipe.curate.engine import engine, names, rows
from lmpipe.curate.signals import measure
from lmpipe.dataset import (
    Execution,
    Manifest,
    Plan,
    UnitOutput,
    build,
    inputs_of,
    read_batches,
    settings_dict,
    unit_keys,
)
from lmpipe.errors import GuardError
from lmpipe.settings import PassageSettings
from lmpipe.text.paragraphs import passages as passages_of
from lmpipe.text.paragraphs import without
from lmpipe.text.segment import UNSPACED_LANGUAGES

VERSION = 1
PARTITION_ROWS = 4_000_000
"""Passages per partition of the hashes: 160 MB of keys in the engine."""
PASSAGES = pa.schema(
    [(name, pa.int64()) for name in ("row", "start", "end")] + [(name, pa.uint64()) for name in ("high", "low")]
)
"""One row per passage: its document's row in the cleaned shard, its characters, its hash."""
REPEATS = pa.schema(
    [(name, pa.int64()) for name in ("shard", "row", "start", "end")]
    + [("kept_by", pa.string())]
    + [(name, pa.int64()) for name in ("kept_shard", "kept_row", "documents")]
)
"""One row per copy to cut: where it stands (shards count over all sources), the document that keeps its copy
(null where none does), and how many documents have it."""
CUTS = pa.schema(
    [
        ("row", pa.int64()),
        ("id", pa.string()),
        ("start", pa.int64()),
        ("end", pa.int64()),
        ("kept_by", pa.string()),
        ("documents", pa.int64()),
    ]
)
"""One row per cut passage, in characters of the cleaned text."""
REMAINS = pa.schema(
    [
        ("row", pa.int64()),
        ("id", pa.string()),
        ("bytes", pa.int64()),
        ("words", pa.int64()),
        ("reason", pa.string()),
        ("value", pa.float64()),
        ("threshold", pa.float64()),
    ]
)
"""One row per document that loses something: what is left of it, and why it is dropped if that is too little."""
TOO_LITTLE = "chars_left.min"

COPIES = """
with
places as (select unnest($passages) as filename, generate_subscripts($passages, 1) - 1 as shard),
own as (
    select high, low, shard, "row", "start", "end"
    from read_parquet($passages, filename = true) inner join places using (filename)
    where high % $partitions = $partition
),
standing as (from own anti join (select shard, "row" from read_parquet($duplicates)) as gone using (shard, "row")),
frequent as (select high, low from standing group by all having count(*) >= $min_documents),
holders as (select distinct high, low, shard, "row" from standing semi join frequent using (high, low)),
decisions as (select unnest($decisions) as filename, generate_subscripts($decisions, 1) - 1 as shard),
documents as (
    select shard, file_row_number as "row", id, bytes, created
    from read_parquet($decisions, filename = true, file_row_number = true) inner join decisions using (filename)
    where reason is null
),
ranked as (
    select high, low, shard, "row", row_number() over first_of_all as place,
        count(*) over (partition by high, low) as documents, first_value(id) over first_of_all as kept_by,
        first_value(shard) over first_of_all as kept_shard, first_value("row") over first_of_all as kept_row
    from holders inner join documents using (shard, "row")
    window first_of_all as (partition by high, low order by bytes desc, created desc nulls last, id)
)
select shard, "row", "start", "end", documents, if($keep_first, kept_by, null) as kept_by,
    if($keep_first, kept_shard, null) as kept_shard, if($keep_first, kept_row, null) as kept_row
from standing inner join ranked using (high, low, shard, "row")
where documents >= $min_documents and (place > 1 or not $keep_first)
order by shard, "row", "start"
"""
KEPT_BYTES = """
select coalesce(sum(bytes), 0)
from read_parquet($decisions, file_row_number = true) as decisions
    anti join (select "row" from read_parquet($duplicates) where shard = $shard) as gone
    on gone."row" = decisions.file_row_number
where reason is null
"""


class PassageUnit(NamedTuple):
    """One unit's arguments."""

    documents: Path
    decisions: Path
    settings: PassageSettings


class RepeatUnit(NamedTuple):
    """One unit's arguments."""

    passages: list[str]
    decisions: list[str]
    duplicates: list[str]
    partitions: int
    partition: int
    min_documents: int
    keep_first: bool


class CutUnit(NamedTuple):
    """One unit's arguments."""

    source: str
    shard: int
    """Its number among those of all sources."""
    documents: Path
    decisions: str
    duplicates: list[str]
    repeats: list[str]
    settings: PassageSettings


def passages(decided: Manifest, data: Path, settings: PassageSettings, execution: Execution) -> Manifest:
    """Hash the passages of the kept documents of one source into DATA/passages/<source>-<fingerprint8>/."""
    (cleaned,) = inputs_of(decided, "clean")
    plan = Plan(
        stage="passages",
        name=decided.name,
        version=VERSION,
        settings={key: getattr(settings, key) for key in ("unit", "min_chars", "min_chars_unspaced")},
        inputs=(decided.reference,),
    )
    pairs = list(zip(cleaned.paths("documents"), decided.paths("decisions"), strict=True))
    keys = unit_keys([cleaned, decided], pairs)
    return build(plan, data, passage_unit, [PassageUnit(*pair, settings) for pair in pairs], execution, keys=keys)


def passage_unit(unit: PassageUnit, output: UnitOutput) -> None:
    """Hash the passages of one shard."""
    decisions = pq.read_table(unit.decisions, columns=["reason", "lang"])
    reasons, languages = decisions["reason"].to_pylist(), decisions["lang"].to_pylist()
    with output.writing("passages", PASSAGES) as append:
        start = 0
        for batch in read_batches(unit.documents, ["text"]):
            found = [
                (row, *passage)
                for row, text in enumerate(batch.column("text").to_pylist(), start)
                if reasons[row] is None
                for passage in hashed(text, languages[row], unit.settings)
            ]
            start += batch.num_rows
            output.count("in", batch.num_rows)
            output.count("passages", len(found))
            append(pa.RecordBatch.from_arrays(list(map(pa.array, columns(found), PASSAGES.types)), schema=PASSAGES))


def columns(found: Sequence[tuple[int, ...]]) -> list[Sequence[int]]:
    """Turn rows of PASSAGES into columns."""
    return list(zip(*found, strict=True)) if found else [()] * len(PASSAGES)


def hashed(text: str, language: str, settings: PassageSettings) -> Iterator[tuple[int, int, int, int]]:
    """Yield start, end and both halves of the hash of every passage that is long enough."""
    unspaced = plain_language(language) in UNSPACED_LANGUAGES
    least = settings.min_chars_unspaced if unspaced else settings.min_chars
    if len(text) < least:
        return
    for start, end in passages_of(text, settings.unit):
        if end - start >= least:
            digest = hashlib.blake2b(text[start:end].encode(), digest_size=16).digest()
            yield start, end, int.from_bytes(digest[:8], "little"), int.from_bytes(digest[8:], "little")


def repeats(
    duplicates: Manifest, found: Sequence[Manifest], data: Path, settings: PassageSettings, execution: Execution
) -> Manifest:
    """Find the copies to cut into DATA/repeats/<recipe>-<fingerprint8>/, one unit per partition of the hashes.

    `found` holds the passages of all sources in the recipe's order.
    """
    decided = inputs_of(duplicates, "decide")
    body = {"min_documents": settings.min_documents, "keep_first": settings.keep_first}
    inputs = (duplicates.reference, *(manifest.reference for manifest in found))
    plan = Plan(stage="repeats", name=duplicates.name, version=VERSION, settings=body, inputs=inputs)
    partitions = 1 + sum(shard.rows for manifest in found for shard in manifest.shards) // PARTITION_ROWS
    unit = RepeatUnit(
        names([path for manifest in found for path in manifest.paths("passages")]),
        names([path for manifest in decided for path in manifest.paths("decisions")]),
        names(duplicates.paths("duplicates")),
        partitions,
        0,
        settings.min_documents,
        settings.keep_first,
    )
    return build(plan, data, repeat_unit, [unit._replace(partition=i) for i in range(partitions)], execution)


def repeat_unit(unit: RepeatUnit, output: UnitOutput) -> None:
    """Write the copies of one partition."""
    with engine(output.folder) as connection:
        output.write("repeats", REPEATS, rows(connection, COPIES, unit._asdict(), REPEATS))


def cuts(
    duplicates: Manifest, repeated: Manifest, data: Path, settings: PassageSettings, execution: Execution
) -> Manifest:
    """Lay the copies to cut beside the cleaned shards, in DATA/cuts/<recipe>-<fingerprint8>/; `split` reads it.

    Raises GuardError when a source would lose more than its guard share of bytes.
    """
    decided = inputs_of(duplicates, "decide")
    cleaned = [c for d in decided for c in inputs_of(d, "clean")]
    inputs = (*(d.reference for d in decided), duplicates.reference, repeated.reference)
    plan = Plan(stage="cuts", name=duplicates.name, version=VERSION, settings=settings_dict(settings), inputs=inputs)
    decisions = [(d.name, path) for d in decided for path in d.paths("decisions")]
    documents = [path for manifest in cleaned for path in manifest.paths("documents")]
    gone, copies = names(duplicates.paths("duplicates")), names(repeated.paths("repeats"))
    units = [
        CutUnit(source, shard, text, str(decision), gone, copies, settings)
        for shard, ((source, decision), text) in enumerate(zip(decisions, documents, strict=True))
    ]

    def check(counts: dict[str, int], folder: Path) -> None:
        check_guard([d.name for d in decided], settings, counts)

    return build(plan, data, cut_unit, units, execution, check)


def cut_unit(unit: CutUnit, output: UnitOutput) -> None:
    """Write one shard's cuts and what they leave."""
    with engine(output.folder) as connection:
        copies, keeping = own_copies(connection, unit)
        where = {"decisions": unit.decisions, "duplicates": unit.duplicates, "shard": unit.shard}
        ((size,),) = connection.execute(KEPT_BYTES, where).fetchall()
    output.count(f"kept_bytes.{unit.source}", int(size))
    with output.writing("cuts", CUTS) as append_cuts, output.writing("remains", REMAINS) as append_remains:
        start = 0
        for batch in read_batches(unit.documents, ["id", "lang", "text"]) if copies else ():
            losing = [row for row in range(start, start + batch.num_rows) if row in copies]
            documents = batch.take(pa.array([row - start for row in losing], pa.int64())).to_pylist()
            start += batch.num_rows
            lost = [copy | {"id": d["id"]} for row, d in zip(losing, documents, strict=True) for copy in copies[row]]
            append_cuts(pa.RecordBatch.from_pylist(lost, schema=CUTS))
            left = remains(losing, documents, copies, keeping, unit, output)
            append_remains(pa.RecordBatch.from_pylist(left, schema=REMAINS))


def own_copies(
    connection: duckdb.DuckDBPyConnection, unit: CutUnit
) -> tuple[dict[int, list[dict[str, Any]]], set[int]]:
    """Read a shard's copies to cut, by row, and the rows of the documents that keep one."""
    where = {"repeats": unit.repeats, "shard": unit.shard}
    own = 'from read_parquet($repeats) where shard = $shard order by "row", "start"'
    copies = defaultdict(list)
    for batch in rows(connection, own, where, REPEATS):
        for copy in batch.to_pylist():
            copies[copy["row"]].append(copy)
    keepers = "select distinct kept_row from read_parquet($repeats) where kept_shard = $shard"
    return copies, {row for (row,) in connection.execute(keepers, where).fetchall()}


def remains(
    losing: Sequence[int],
    documents: Sequence[dict[str, Any]],
    copies: dict[int, list[dict[str, Any]]],
    keeping: set[int],
    unit: CutUnit,
    output: UnitOutput,
) -> list[dict[str, Any]]:
    """Measure what is left of some documents; count it. A document that keeps a copy for others is never dropped."""
    spans = [[(copy["start"], copy["end"]) for copy in copies[row]] for row in losing]
    texts = [without(document["text"], cut) for document, cut in zip(documents, spans, strict=True)]
    measured = measure(texts, [plain_language(document["lang"]) for document in documents])
    least = unit.settings.min_chars_left
    left = []
    for row, document, text, size, words in zip(
        losing, documents, texts, measured["bytes"], measured["words"], strict=True
    ):
        fate = {"reason": TOO_LITTLE, "value": float(len(text)), "threshold": float(least)}
        dropped = len(text) < least and row not in keeping
        left.append({"row": row, "id": document["id"], "bytes": size, "words": words} | (fate if dropped else {}))
        output.count(f"cut_bytes.{unit.source}", len(document["text"].encode()) - (0 if dropped else int(size)))
        output.count(f"cut_passages.{unit.source}", len(copies[row]))
        output.count(f"cut_documents.{unit.source}")
        output.count(f"dropped.{unit.source}", int(dropped))
    return left


def check_guard(sources: Sequence[str], settings: PassageSettings, counts: dict[str, int]) -> None:
    """Stop a run in which a source loses more than its guard."""
    for source in sources:
        cut, size = counts.get(f"cut_bytes.{source}", 0), counts.get(f"kept_bytes.{source}", 0)
        if cut > settings.guard * size:
            raise GuardError(
                f"source {source}: {cut} of {size} bytes stand in other documents too, more than passages.guard ="
                f" {settings.guard:g}. Raise passages.min_chars or passages.min_documents, or raise the guard."
            )
