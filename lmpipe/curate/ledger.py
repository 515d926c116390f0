"""The ledger: a document's whole life over the committed datasets, one row per decision.

Nothing is written for it: every stage's rows carry the document's id, so that its life is a query over
Parquet, in the order of the way. Only the columns that a row speaks of are read, and only of the datasets
of the document's own source where a stage has one per source.
"""

import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import duckdb

from lmpipe.curate.committed import committed
from lmpipe.curate.engine import engine, names
from lmpipe.curate.forget import forgotten
from lmpipe.dataset import Manifest
from lmpipe.errors import InputError

Row = dict[str, Any]


class Event(NamedTuple):
    """One thing that happened to a document."""

    stage: str
    dataset: str
    """Folder of the dataset or run."""
    what: str
    """In one word: read, cleaned, kept, dropped, duplicate, ..."""
    details: str


class Chapter(NamedTuple):
    """What one role of a stage's datasets says of a document."""

    stage: str
    role: str
    per_source: bool
    """Whether datasets of the stage are named by source, so that others need not be opened."""
    where: str
    """The rows that concern the document $id."""
    tell: Callable[[Row], tuple[str, str]]
    """A row to what happened and the details."""
    columns: str = "*"
    order: str = "order by filename, file_row_number"


def told_ingest(row: Row) -> tuple[str, str]:
    """Where the bytes lay and what they were."""
    origin = row["origin"]
    details = [f"{origin['file']} at {origin['offset']:,}, {origin['length']:,} bytes"]
    details += [f"{key} {row[key]}" for key in ("title", "url", "created", "revision", "licence") if row[key]]
    return "read", "; ".join(details)


def told_signals(row: Row) -> tuple[str, str]:
    """The language and the signals that matter most."""
    shown = [f"lang {row['lang']} ({row['lang_score']:.2f})"]
    shown += [f"{key} {row[key]:,}" for key in ("bytes", "words", "lines") if row.get(key) is not None]
    for key in ("mean_word_chars", "stop_words", "duplicate_lines", "quality"):
        if row.get(key) is not None:
            shown.append(f"{key} {row[key]:.3g}")
    return "measured", ", ".join(shown)


def told_personal(row: Row) -> tuple[str, str]:
    """One span of personal data; its text is not shown."""
    return "personal data", f"{row['kind']} at {row['start']:,}-{row['end']:,}"


def told_decision(row: Row) -> tuple[str, str]:
    """Kept, or dropped by which rule."""
    return ("kept", "") if row["reason"] is None else ("dropped", why(row))


def told_duplicate(row: Row) -> tuple[str, str]:
    """What it is a duplicate of, or what is one of it."""
    alike = "an older version" if row["similarity"] is None else f"similarity {row['similarity']:.3f}"
    if row["asked"] == row["id"]:
        stands = f", which stands in {row['against']}" if row.get("against") else ""
        return "duplicate", f"of {row['duplicate_of']} ({alike}, cluster of {row['cluster']}){stands}"
    return "survivor", f"of its duplicate {row['id']} ({alike})"


def told_cut(row: Row) -> tuple[str, str]:
    """A passage that it loses, or keeps for another document; its text is not shown."""
    where = f"characters {row['start']:,}-{row['end']:,}"
    if row["asked"] != row["id"]:
        return "keeps a passage", f"that {row['id']} loses ({where})"
    keeper = f"kept by {row['kept_by']}" if row["kept_by"] else "kept by none"
    return "passage cut", f"{where}, in {row['documents']:,} documents, {keeper}"


def told_outcome(row: Row) -> tuple[str, str]:
    """The split, or why it has none."""
    if row["outcome"] == "kept":
        return "kept", f"split {row['split']}, {row['words']:,} words"
    return row["outcome"], why(row) if row["reason"] else f"of {row['duplicate_of']}"


def told_hit(row: Row) -> tuple[str, str]:
    """An overlap with something models are evaluated on, from either side."""
    if row["asked"] == row["record"]:
        return "overlapped", f"{row['share']:.0%} of it stands in training document {row['id']}"
    what = "contaminated" if row["contaminated"] else "overlaps"
    place = f"characters {row['start']:,}-{row['end']:,}" + (f" in {row['spans']} pieces" if row["spans"] > 1 else "")
    return what, f"shares {place} with {row['set']}: {row['record']} ({row['share']:.0%} of it)"


def told_tokens(row: Row) -> tuple[str, str]:
    """Which tokens are its own."""
    shard = Path(row["filename"]).name.replace("documents-", "tokens-").replace(".parquet", ".arrow")
    return "packed", f"{shard}, tokens {row['start']:,} to {row['start'] + row['length']:,}"


def told_evaluation(row: Row) -> tuple[str, str]:
    """What a model made of it."""
    return "scored", f"{row['nats']:,.1f} nats over {row['tokens']:,} tokens, set {row['set']}, run {row['run'][:8]}"


def told_change(row: Row) -> tuple[str, str]:
    """What became of it from one snapshot to the next."""
    return f"{row['change']} in snapshot", f"revision {row['revision_before']} -> {row['revision_after']}"


def told_quarantine(row: Row) -> tuple[str, str]:
    """Why it is no document."""
    return "quarantined", f"{row['error']}; {len(row['raw']):,} bytes kept"


def why(row: Row) -> str:
    """Reason, value and threshold."""
    missed = "" if row["value"] is None else f": {row['value']:.4g}, threshold {row['threshold']:.4g}"
    return f"by {row['reason']}{missed}"


HIT = """
id, "set", record, count(*) as spans, min(start) as start, max("end") as "end", max(share) as share,
bool_or(contaminated) as contaminated
"""
HITS = 'group by id, "set", record order by share desc, id, "set", record'
LIFE = (
    Chapter("ingest", "documents", True, "id = $id", told_ingest),
    Chapter("changes", "changes", True, "id = $id", told_change),
    Chapter("clean", "signals", True, "id = $id", told_signals),
    Chapter("clean", "pii", True, "id = $id", told_personal),
    Chapter("decide", "decisions", True, "id = $id", told_decision),
    Chapter("dedup", "duplicates", False, "id = $id or duplicate_of = $id", told_duplicate),
    Chapter("near", "duplicates", False, "id = $id or duplicate_of = $id", told_duplicate),
    Chapter("cuts", "cuts", False, "id = $id or kept_by = $id", told_cut),
    Chapter("split", "outcomes", False, "id = $id", told_outcome),
    Chapter("decontaminate", "outcomes", False, "id = $id", told_outcome),
    Chapter("decontaminate", "hits", False, "id = $id or record = $id", told_hit, HIT, HITS),
    Chapter("tokens", "documents-train", False, "id = $id", told_tokens),
    Chapter("tokens", "documents-valid", False, "id = $id", told_tokens),
    Chapter("tokens", "documents-test", False, "id = $id", told_tokens),
    Chapter("evaluate", "evaluations", False, "document = $id", told_evaluation),
)
"""The way of a document, in order."""
UNREAD = {"documents": "exclude (text)"}
"""Columns that no row speaks of and that are large."""
MOST = 50
"""Rows of one role that are told: the survivor of a template has thousands of duplicates."""


def life(id: str, data: Path, *, every_version: bool = False) -> list[Event]:
    """Tell a document's life over the newest dataset of each name, or over every version.

    Raises InputError, naming the nearest id, when nothing knows the document.
    """
    source = id.partition(":")[0]
    with engine(Path(tempfile.gettempdir())) as connection:
        events = [
            event
            for chapter in LIFE
            for manifest in committed(data, chapter.stage, every_version=every_version)
            if not chapter.per_source or manifest.name == source
            for event in told(connection, chapter, manifest, id)
        ]
        if not events:
            raise unknown(connection, id, data)
    exact = {(e.what, e.details) for e in events if e.stage == "dedup"}
    events = [e for e in events if e.stage != "near" or (e.what, e.details) not in exact]  # near repeats those of dedup
    events += [Event("forget", "forgotten.jsonl", "taken down", taken(e)) for e in forgotten(data) if e["id"] == id]
    return [*events, *trained(data, {e.dataset for e in events if e.what == "packed" and "train" in e.details})]


def told(connection: duckdb.DuckDBPyConnection, chapter: Chapter, manifest: Manifest, id: str) -> Iterator[Event]:
    """Tell what one role of a dataset says."""
    paths = names(manifest.paths(chapter.role))
    if not paths:
        return
    sql = f"""
        select {chapter.columns} {UNREAD.get(chapter.role, "")}, $id as asked
        from read_parquet($paths, filename = true, file_row_number = true)
        where {chapter.where} {chapter.order} limit {MOST}
    """
    relation = connection.execute(sql, {"paths": paths, "id": id})
    keys = [column[0] for column in relation.description or ()]
    for values in relation.fetchall():
        what, details = chapter.tell(dict(zip(keys, values, strict=True)))
        yield Event(manifest.stage, manifest.folder.name, what, details)


def taken(entry: Row) -> str:
    """Write one line of the take-down list."""
    return f"{entry['when']}: {entry['reason']}"


def trained(data: Path, tokens: set[str]) -> Iterator[Event]:
    """List the runs that trained on these tokens datasets, named by folder."""
    for path in sorted((data / "runs").glob("*/run.json")):
        run = json.loads(path.read_text(encoding="utf-8"))
        folder = f"{run['tokens']['name']}-{run['tokens']['fingerprint'][:8]}"
        if folder in tokens:
            yield Event("runs", path.parent.name, "trained on it", f"model {run['settings']['model']['kind']}")


def quarantined(file: str, offset: int, data: Path, *, every_version: bool = False) -> list[Event]:
    """Tell about a record that became no document, by the file and the offset where its bytes lay.

    Raises InputError when no quarantine holds it.
    """
    chapter = Chapter("ingest", "quarantine", False, "origin.file || '@' || origin.offset = $id", told_quarantine)
    with engine(Path(tempfile.gettempdir())) as connection:
        events = [
            event
            for manifest in committed(data, "ingest", every_version=every_version)
            for event in told(connection, chapter, manifest, f"{file}@{offset}")
        ]
    if not events:
        raise InputError(f"{data}: no quarantined record of {file} at {offset}. The rows of quarantine-*.parquet tell.")
    return events


def check_known(ids: Sequence[str], data: Path) -> None:
    """Refuse ids that no ingested dataset holds, old versions included.

    Raises InputError, naming the nearest id.
    """
    manifests = committed(data, "ingest", every_version=True)
    with engine(Path(tempfile.gettempdir())) as connection:
        for id in ids:
            paths = names([p for m in manifests if m.name == id.partition(":")[0] for p in m.paths("documents")])
            sql = "select 1 from read_parquet($paths) where id = $id limit 1"
            if not paths or not connection.execute(sql, {"paths": paths, "id": id}).fetchall():
                raise unknown(connection, id, data)


def unknown(connection: duckdb.DuckDBPyConnection, id: str, data: Path) -> InputError:
    """Say that nothing knows an id, and which one was probably meant."""
    manifests = committed(data, "ingest", every_version=True)
    if not manifests:
        return InputError(f"{data}: holds no ingested dataset. Run a recipe first, or name another folder with --data.")
    own = [m for m in manifests if m.name == id.partition(":")[0]] or manifests
    paths = names([path for manifest in own for path in manifest.paths("documents")])
    sql = """
        select id from read_parquet($paths) where levenshtein(id, $id) <= greatest(length($id) // 3, 1)
        order by levenshtein(id, $id), id limit 1
    """
    found = connection.execute(sql, {"paths": paths, "id": id}).fetchall() if paths else []
    meant = f"; did you mean '{found[0][0]}'?" if found else f". Sources: {sorted({m.name for m in manifests})}."
    return InputError(f"{data}: no document '{id}'{meant} An id is source:native-id, as in column id of every dataset.")
