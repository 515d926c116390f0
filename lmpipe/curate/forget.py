"""Take-down: a list of documents that no later dataset may hold, and where earlier ones still hold them.

DATA/forgotten.jsonl has one line per document: id, when, reason. The decide stage reads it and drops
those ids, so that everything behind it (splits, tokens, runs) is free of them at the next run. What was
committed before is never rewritten in silence: `sightings` lists it, and a person deletes it.
"""

import json
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from lmpipe.curate.committed import committed
from lmpipe.curate.engine import engine, names
from lmpipe.dataset import Manifest
from lmpipe.errors import InputError
from lmpipe.storage import locked, replacing, storage_errors

FORGOTTEN = "forgotten"
"""The reason with which such a document is dropped."""
LIST = "forgotten.jsonl"
TEXT_ROLES = {
    "ingest": ("documents",),
    "clean": ("documents", "content"),
    "heldout": ("records",),
    "decontaminate": ("hits",),
}
"""Datasets that hold a document's text or pieces of it, by stage; these roles name the documents."""
TOKEN_ROLES = {"encode": ("index",), "tokens": ("documents-train", "documents-valid", "documents-test")}
"""Datasets that hold its tokens, by stage; these roles name the documents."""


class Sighting(NamedTuple):
    """A committed dataset or a run that holds one of the documents."""

    what: str
    """text, tokens, or a run that learnt from it or held it out."""
    folder: Path
    documents: int
    """How many of them."""


def forgotten(data: Path) -> list[dict[str, Any]]:
    """Read DATA/forgotten.jsonl; none where there is no such file."""
    path = data / LIST
    if not path.exists():
        return []
    entries = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            entry = json.loads(line)
            entries.append({key: entry[key] for key in ("id", "when", "reason")})
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"{path}: line {number}: expected an object with id, when and reason ({error!r}). Mend the line."
            ) from None
    return entries


def forgotten_ids(data: Path, source: str) -> list[str]:
    """List the ids of one source that were taken down, sorted."""
    return sorted({entry["id"] for entry in forgotten(data) if entry["id"].startswith(f"{source}:")})


def forget(ids: Sequence[str], data: Path, reason: str, when: datetime | None = None) -> list[str]:
    """Add documents to DATA/forgotten.jsonl and return those that were not in it.

    The file is replaced as a whole, under a lock; ids that are in it already stay as they are.
    """
    with storage_errors(data), locked(data):
        entries = forgotten(data)
        known = {entry["id"] for entry in entries}
        new = [id for id in dict.fromkeys(ids) if id not in known]
        stamp = (when or datetime.now(UTC)).isoformat(timespec="seconds")
        entries += [{"id": id, "when": stamp, "reason": reason} for id in new]
        if new:
            with replacing(data / LIST) as temporary:
                lines = [json.dumps(entry, ensure_ascii=False, sort_keys=True) + "\n" for entry in entries]
                temporary.write_text("".join(lines), encoding="utf-8")
    return new


def sightings(ids: Sequence[str], data: Path) -> list[Sighting]:
    """List every committed dataset, old versions too, and every run that holds one of the documents."""
    found, tokens = [], []
    for what, stages in (("text", TEXT_ROLES), ("tokens", TOKEN_ROLES)):
        for stage, roles in stages.items():
            for manifest in committed(data, stage, every_version=True):
                number = count_ids(manifest, roles, ids)
                if number:
                    found.append(Sighting(what, manifest.folder, number))
                    tokens.append(manifest)
    return [*found, *runs_of(tokens, ids, data)]


def count_ids(manifest: Manifest, roles: Iterable[str], ids: Sequence[str]) -> int:
    """Count how many of some documents a dataset holds."""
    paths = [path for role in roles for path in manifest.paths(role)]
    if not paths:
        return 0
    sql = "select count(distinct id) from read_parquet($paths, union_by_name = true) where list_contains($ids, id)"
    with engine(Path(tempfile.gettempdir())) as connection:
        ((number,),) = connection.execute(sql, {"paths": names(paths), "ids": list(ids)}).fetchall()
    return int(number)


def runs_of(tokens: Sequence[Manifest], ids: Sequence[str], data: Path) -> Iterator[Sighting]:
    """List the runs over some tokens datasets: those that learnt from the documents, and those that held them out."""
    by_fingerprint = {manifest.fingerprint: manifest for manifest in tokens}
    for path in sorted((data / "runs").glob("*/run.json")):
        manifest = by_fingerprint.get(json.loads(path.read_text(encoding="utf-8"))["tokens"]["fingerprint"])
        if manifest is not None:
            learnt = count_ids(manifest, ["documents-train"], ids)
            held = count_ids(manifest, TOKEN_ROLES["tokens"], ids) - learnt
            found = (("run, learnt from", learnt), ("run, held out", held))
            yield from (Sighting(what, path.parent, number) for what, number in found if number)


def copies(ids: Sequence[str], data: Path) -> list[dict[str, Any]]:
    """List the documents that were found to be duplicates of one of these, or the other way round."""
    sql = """
        select distinct if(list_contains($ids, id), duplicate_of, id) as document,
            if(list_contains($ids, id), id, duplicate_of) as alike, similarity
        from read_parquet($paths)
        where (list_contains($ids, id) <> list_contains($ids, duplicate_of)) and similarity is not null
        order by all
    """
    manifests = [*committed(data, "dedup"), *committed(data, "near")]
    paths = [path for manifest in manifests for path in manifest.paths("duplicates")]
    if not paths:
        return []
    with engine(Path(tempfile.gettempdir())) as connection:
        found = connection.execute(sql, {"paths": names(paths), "ids": list(ids)}).fetchall()
    return [dict(zip(("document", "like", "similarity"), row, strict=True)) for row in found]
