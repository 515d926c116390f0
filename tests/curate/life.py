"""Committed datasets of every stage in which a few documents live, written by hand with the stages' schemas."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa

from lmpipe.curate.decide import decide
from lmpipe.curate.dedup import DUPLICATES
from lmpipe.curate.split import OUTCOMES
from lmpipe.dataset import Execution, Manifest, Plan, UnitOutput, build
from lmpipe.document import DOCUMENTS, QUARANTINE
from lmpipe.settings import Bounds, ProfileSettings
from lmpipe.sources.snapshot import CHANGES
from lmpipe.tokens.pack import DOCUMENTS as PACKED
from tests.curate.cleaned import cleaned

PII = pa.schema([("id", pa.string()), ("kind", pa.string()), ("start", pa.int64()), ("end", pa.int64())])
EVALUATIONS = pa.schema(
    [("run", pa.string()), ("set", pa.string()), ("document", pa.string()), ("nats", pa.float64()),
     ("tokens", pa.int64())]
)  # fmt: skip
Roles = dict[str, tuple[pa.Schema, list[dict[str, Any]]]]


def write(roles: Roles, output: UnitOutput) -> None:
    """A unit of work that writes one shard per role."""
    for role, (schema, rows) in roles.items():
        output.write(role, schema, [pa.RecordBatch.from_pylist(rows, schema=schema)])


def commit(data: Path, stage: str, name: str, roles: Roles, version: int = 1) -> Manifest:
    """Commit a dataset of ready rows."""
    plan = Plan(stage=stage, name=name, version=version, settings={"roles": sorted(roles)}, inputs=())
    return build(plan, data, write, [roles], Execution())


def live(data: Path) -> Manifest:
    """Commit wiki:1 (trained on), wiki:2 (its duplicate), wiki:3 (too short), wiki:4 (test) and one bad record.

    Returns the tokens dataset.
    """
    commit(data, "ingest", "wiki", ingested(4))
    commit(
        data, "ingest", "news", {"documents": (DOCUMENTS, [{"id": "news:1", "source": "news", "origin": origin(0)}])}
    )
    rows = [{"words": words, "lang_score": 0.9} for words in (50, 50, 3, 60)]
    rows = [{"id": f"wiki:{n}"} | row for n, row in enumerate(rows, start=1)]
    rules = {"any": {"words": Bounds(min=20)}}
    settings = ProfileSettings(name="fineweb2-jpn_Jpan", rules=rules)
    decide(cleaned(data, rows, source="wiki"), data, settings, Execution())
    copy = {"id": "wiki:2", "source": "wiki", "shard": 0, "row": 1, "duplicate_of": "wiki:1", "similarity": 1.0}
    commit(data, "dedup", "demo", {"duplicates": (DUPLICATES, [copy | {"cluster": 2}])})
    near = {"id": "wiki:9", "source": "wiki", "shard": 0, "row": 8, "duplicate_of": "wiki:1", "similarity": 0.85}
    commit(data, "near", "demo", {"duplicates": (DUPLICATES, [copy | {"cluster": 2}, near | {"cluster": 2}])})
    commit(data, "split", "demo", {"outcomes": (OUTCOMES, outcomes())})
    commit(
        data, "changes", "wiki", {"changes": (CHANGES, [{"id": "wiki:4", "change": "deleted", "revision_before": "8"}])}
    )
    scored = {"run": "ab12cd34ef", "set": "demo-test", "document": "wiki:4", "nats": 123.4, "tokens": 80}
    commit(data, "evaluate", "demo-lstm", {"evaluations": (EVALUATIONS, [scored])})
    tokens = commit(data, "tokens", "demo", packed("wiki:1", "wiki:4"))
    train(data, "demo-lstm-12345678", tokens)
    return tokens


def ingested(number: int) -> Roles:
    """Documents wiki:1 ... and a record that could not be read."""
    rows = [
        {"id": f"wiki:{n}", "source": "wiki", "title": f"Page {n}", "text": "x", "licence": "CC BY-SA", "revision": "8",
         "origin": origin(1000 * n)}
        for n in range(1, number + 1)
    ]  # fmt: skip
    bad = {"source": "wiki", "origin": origin(77), "error": "expected a page, found none", "raw": b"<page>"}
    return {"documents": (DOCUMENTS, rows), "quarantine": (QUARANTINE, [bad])}


def origin(offset: int) -> dict[str, Any]:
    return {"file": "dump.xml.bz2", "offset": offset, "length": 900}


def outcomes() -> list[dict[str, Any]]:
    """Rows of the split."""
    said: list[dict[str, Any]] = [
        {"outcome": "kept", "split": "train"},
        {"outcome": "duplicate", "duplicate_of": "wiki:1"},
        {"outcome": "dropped", "reason": "words.min", "value": 3.0, "threshold": 20.0},
        {"outcome": "kept", "split": "test"},
    ]
    return [{"id": f"wiki:{n}", "source": "wiki", "words": 50} | row for n, row in enumerate(said, start=1)]


def packed(trained: str, tested: str) -> Roles:
    """Indexes of token shards."""
    row = {"source": "wiki", "lang": "en", "start": 4096, "length": 70, "bytes": 10, "words": 50}
    return {
        "documents-train": (PACKED, [row | {"id": trained}]),
        "documents-test": (PACKED, [row | {"id": tested}]),
    }


def train(data: Path, name: str, tokens: Manifest) -> None:
    """Lay out what a run directory says of its tokens."""
    folder = data / "runs" / name
    folder.mkdir(parents=True)
    run = {"name": name, "tokens": tokens.reference, "settings": {"model": {"kind": "lstm"}}}
    (folder / "run.json").write_text(json.dumps(run))
