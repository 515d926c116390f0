"""A small corpus with known numbers: hand-written datasets and runs, committed as the stages do it."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa

from lmpipe import warehouse
from lmpipe.dataset import Execution, Manifest, Plan, UnitOutput, build
from lmpipe.storage import digest

TEXT, COUNT, REAL = pa.string(), pa.int64(), pa.float64()
SIZES = [("documents", COUNT), ("bytes", COUNT), ("words", COUNT)]
SCHEMAS = {
    "documents": pa.schema(
        [("id", TEXT), ("source", TEXT), ("origin", pa.struct([("file", TEXT), ("offset", COUNT), ("length", COUNT)]))]
    ),
    "documents-train": pa.schema(
        [(c, TEXT) for c in ("id", "source", "lang")] + [(c, COUNT) for c in ("copy", "start", "length")]
    ),
    "funnel": pa.schema([(c, TEXT) for c in ("source", "lang", "outcome", "reason", "split")] + SIZES),
    "token_stats": pa.schema([(c, TEXT) for c in ("split", "source", "lang")] + [*SIZES, ("tokens", COUNT)]),
    "evaluations": pa.schema(
        [(c, TEXT) for c in ("run", "checkpoint", "set", "document", "source", "lang", "protocol")]
        + [("nats", REAL)]
        + [(c, COUNT) for c in ("tokens", "words", "bytes", "oov")]
    ),
}
PROTOCOL = "ppl|set:test@sha256:ab12|unit:byte|vocab:bpe512|win:256|reset:doc|first:bos|v:1"

FUNNEL = [
    ("wiki", "en", "kept", None, "train", 4, 400, 80),
    ("wiki", "en", "kept", None, "test", 1, 100, 20),
    ("wiki", "en", "dropped", "min_words", None, 1, 5, 1),
    ("wiki", "en", "duplicate", "exact", None, 1, 100, 20),
    ("news", "zh", "kept", None, "train", 2, 200, 40),
    ("news", "zh", "kept", None, "test", 1, 90, 18),
    ("news", "zh", "dropped", "max_digits", None, 1, 50, 9),
]
TOKEN_STATS = [
    ("train", "wiki", "en", 4, 400, 80, 100),
    ("train", "news", "zh", 2, 200, 40, 300),
    ("test", "wiki", "en", 1, 100, 20, 25),
]
TRAINED = [
    ("wiki:0", "wiki", "en", 0, 0, 10),
    ("wiki:1", "wiki", "en", 0, 10, 40),
    ("wiki:1", "wiki", "en", 1, 50, 40),
    ("wiki:2", "wiki", "en", 0, 90, 10),
    ("news:0", "news", "zh", 0, 100, 100),
    ("news:1", "news", "zh", 0, 200, 200),
]
"""id, source, lang, copy, start, length: the training tokens of TOKEN_STATS."""
SCORES = [
    ("wiki:1", "wiki", "en", 10.0, 5, 4, 20),
    ("wiki:2", "wiki", "en", 30.0, 10, 8, 40),
    ("news:1", "news", "zh", 20.0, 5, 5, 15),
]
"""document, source, lang, nats, tokens, words, bytes."""


def work(unit: tuple[dict[str, list[dict[str, Any]]], dict[str, int]], output: UnitOutput) -> None:
    """Write the rows of every role and the counts, as they are given."""
    roles, counts = unit
    for role, rows in roles.items():
        output.write(role, SCHEMAS[role], [pa.RecordBatch.from_pylist(rows, schema=SCHEMAS[role])])
    for key, number in counts.items():
        output.count(key, number)


def dataset(
    data: Path,
    stage: str,
    name: str,
    inputs: list[dict[str, Any]],
    roles: dict[str, list[Any]] | None = None,
    counts: dict[str, int] | None = None,
    version: int = 1,
) -> Manifest:
    """Commit one dataset; rows of a role may be tuples in the order of its schema."""
    laid_out = {
        role: [row if isinstance(row, dict) else dict(zip(SCHEMAS[role].names, row, strict=True)) for row in rows]
        for role, rows in (roles or {}).items()
    }
    plan = Plan(
        stage=stage, name=name, version=version, settings={"rows": digest(repr(laid_out))}, inputs=tuple(inputs)
    )
    return build(plan, data, work, [(laid_out, counts or {})], Execution())


def ids(source: str, number: int) -> dict[str, list[dict[str, Any]]]:
    """Make the documents of a source: nothing but ids and places of 90 bytes in its raw file."""
    places = [{"file": f"{source}.raw", "offset": 100 * i, "length": 90} for i in range(number)]
    return {"documents": [{"id": f"{source}:{i}", "source": source, "origin": p} for i, p in enumerate(places)]}


def corpus(data: Path, wiki: str = "wiki") -> list[Manifest]:
    """Commit the way of two sources from raw file to tokens; `wiki` names the first source."""
    file = {"file": f"{wiki}.xml", "bytes": 1000, "sha256": "aa" * 32}
    feed = {"file": "news.warc", "bytes": 500, "sha256": "bb" * 32}
    read = {"in": 10, "kept": 7, "quarantined": 1, "skipped.redirect": 2}
    read |= {"articles": 8, "articles_with_holes": 2, "long_articles": 4, "templates": 50, "templates_lost": 5}
    made = [dataset(data, "ingest", wiki, [file], ids(wiki, 7), read)]
    made += [dataset(data, "ingest", "news", [feed], ids("news", 4), {"in": 4, "kept": 4})]
    cleaned = [dataset(data, "clean", m.name, [m.reference], ids(m.name, m.shards[0].rows), {"in": 7}) for m in made]
    funnel = [(wiki if row[0] == "wiki" else row[0], *row[1:]) for row in FUNNEL]
    split = dataset(data, "split", "demo", [m.reference for m in cleaned], {"funnel": funnel})
    tokenizer = dataset(data, "tokenizer", "demo", [split.reference])
    stats = [(row[0], wiki if row[1] == "wiki" else row[1], *row[2:]) for row in TOKEN_STATS]
    parts = {"token_stats": stats, "documents-train": TRAINED}
    tokens = dataset(data, "tokens", "demo", [split.reference, tokenizer.reference], parts)
    return [*made, *cleaned, split, tokenizer, tokens]


def training(data: Path, name: str, tokens: Manifest, *, steps: int = 3, vocabulary: int = 512) -> tuple[Path, str]:
    """Write a finished run directory with one checkpoint; return it and its fingerprint."""
    fingerprint = digest([name, tokens.fingerprint])
    folder = data / "runs" / f"{name}-{fingerprint[:8]}"
    checkpoint = folder / "checkpoints" / f"step-{steps:08d}"
    checkpoint.mkdir(parents=True)
    body = {
        "fingerprint": fingerprint,
        "name": name,
        "recipe": "demo",
        "vocabulary": vocabulary,
        "tokens": tokens.reference,
    }
    put(folder / "run.json", body | {"settings": {"model": {"kind": "lstm", "layers": 1}, "seed": 1}})
    lines = [
        {"step": s, "split": "train", "loss": 6 - s, "lr": 0.1, "tokens": 10 * s, "note": "x"}
        for s in range(1, steps + 1)
    ]
    lines += [{"step": steps, "split": "valid", "loss": 5.5}]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    result = {
        "steps": steps,
        "tokens": 10 * steps,
        "parameters": 1234,
        "wall_seconds": 1.5,
        "device": "cpu",
        "threads": 2,
    }
    put(folder / "result.json", result)
    put(
        checkpoint / "checkpoint.json",
        {"step": steps, "files": {"model.safetensors": {"bytes": 3, "sha256": "cc" * 32}}},
    )
    return folder, fingerprint


def evaluation(
    data: Path, run: str, *, scores: list[tuple[Any, ...]] = SCORES, protocol: str = PROTOCOL, set_name: str = "test"
) -> Manifest:
    """Commit the evaluation of a run's checkpoint."""
    rows = [(run, "cc" * 32, set_name, *score[:3], protocol, *score[3:], 0) for score in scores]
    return dataset(data, "evaluate", "demo", [{"run": run, "checkpoint": "cc" * 32}], {"evaluations": rows})


def fill(data: Path, wiki: str = "wiki") -> tuple[Path, dict[str, Any]]:
    """Record the corpus, two runs and their evaluations; return the warehouse and what was made."""
    folder = data / "warehouse"
    made = corpus(data, wiki)
    runs, tokens = {}, made[-1]
    for name, factor in (("lstm", 1.0), ("transformer", 0.9)):
        directory, runs[name] = training(data, name, tokens)
        warehouse.record_training(folder, directory)
        scores = [(d, wiki if s == "wiki" else s, lang, factor * n, *rest) for d, s, lang, n, *rest in SCORES]
        made.append(evaluation(data, runs[name], scores=scores))
    warehouse.record_datasets(folder, [manifest.folder for manifest in made])
    return folder, {"runs": runs, "datasets": made}


def put(path: Path, body: Any) -> None:
    """Write a JSON file."""
    path.write_text(json.dumps(body), encoding="utf-8")


def rows(folder, sql, **parameters):
    """Ask the warehouse and return its rows as dicts."""
    return warehouse.query(folder, sql, parameters).to_pylist()


def numbers_by_check(folder):
    """Count the rows of every check that finds any."""
    return {name: bad.num_rows for name, bad in warehouse.checks(folder) if bad.num_rows}
