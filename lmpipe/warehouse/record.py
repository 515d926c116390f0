"""Record what stages, trainings and flows left on disk: read their files, write rows, once.

Every row hangs on a fingerprint, so recording the same thing again changes nothing. A dataset never
changes and is inserted once; a run directory grows, so its rows are replaced as a whole.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import duckdb
import pyarrow as pa

from lmpipe.dataset import Manifest, made, open_dataset
from lmpipe.errors import WarehouseError
from lmpipe.storage import file_sha256
from lmpipe.warehouse.door import write
from lmpipe.warehouse.resample import add_slices

LOADS = {
    "funnel": "insert into funnel by name select $dataset as dataset, * from read_parquet($paths)",
    "token_stats": "insert into token_stats by name select $dataset as dataset, * from read_parquet($paths)",
    "ladder_points": "insert into ladder_points by name select $dataset as dataset, * from read_parquet($paths)",
    "ladder_fits": "insert into ladder_fits by name select $dataset as dataset, * from read_parquet($paths)",
    "ablation_runs": "insert into ablation_runs by name select $dataset as ablation, * from read_parquet($paths)",
    "document_dates": """
        insert or replace into document_dates by name select $dataset as dataset, * from read_parquet($paths)
    """,
    "evaluations": """
        insert into evaluation_documents by name
        select $dataset as evaluation, * from read_parquet($paths)
    """,
    "recognitions": """
        insert into recognitions by name
        select $dataset as evaluation, * exclude (hypothesis) from read_parquet($paths)
    """,
    "rescore-weights": "insert into rescore_weights by name select $dataset as evaluation, * from read_parquet($paths)",
    "translation-scores": """
        insert into translation_scores by name select $dataset as evaluation, * from read_parquet($paths)
    """,
    "pairs": "insert into pair_scores by name select $dataset as dataset, * from read_parquet($paths)",
    "extractions": "insert into extractions by name select $dataset as dataset, * from read_parquet($paths)",
    "exposures": "insert into canaries by name select $dataset as dataset, * from read_parquet($paths)",
    "hits": """
        insert into leaks by name
        select
            $dataset as dataset, set, record, id as document, source, count(*) as spans, sum(runs)::bigint as runs,
            sum(common)::bigint as common, max(share) as share, bool_or(contaminated) as contaminated
        from read_parquet($paths)
        group by all
    """,
}
"""Shard role to the statement that loads its rows."""

EVALUATIONS = """
insert into evaluations by name
select
    evaluation, run, checkpoint, set, protocol,
    count(*) as documents, sum(tokens) as tokens, sum(words) as words, sum(bytes) as bytes, sum(nats) as nats
from evaluation_documents
where evaluation = $dataset
group by all
"""

METRICS = ("step", "split", "loss", "lr", "grad_norm", "tokens", "tokens_per_s")
"""Keys of a metrics line with a column of their own; the others are kept as JSON."""

RESULTS = ("steps", "tokens", "parameters", "wall_seconds", "device", "threads")
"""Keys of result.json that are recorded; null while the run is not finished."""

Existing = Literal["", "or ignore", "or replace"]

Rows = dict[str, list[dict[str, Any]]]
"""Rows by table."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Benchmark:
    """One measured number."""

    name: str
    value: float
    unit: str
    """MB/s, ratio, seconds, ..."""
    measured: datetime
    """With time zone."""
    machine: Mapping[str, Any]
    """Name, CPU, memory, accelerator."""


def record_dataset(folder: Path, dataset: Path) -> bool:
    """Record a committed dataset in the warehouse at `folder`; False when it was recorded before.

    Raises DatasetError when `dataset` is not committed or damaged.
    """
    return record_datasets(folder, [dataset]) == 1


def record_datasets(folder: Path, datasets: Sequence[Path]) -> int:
    """Record committed datasets in one transaction; return how many were not recorded before."""
    manifests = [open_dataset(dataset) for dataset in datasets]
    with write(folder, f"recording {len(manifests)} datasets") as con:
        return sum(insert_dataset(con, manifest) for manifest in manifests)


def insert_dataset(con: duckdb.DuckDBPyConnection, manifest: Manifest) -> bool:
    """Insert the rows of one dataset, unless they are there."""
    if con.execute("select 1 from datasets where dataset = $1", [manifest.fingerprint]).fetchall():
        return False
    key = {"dataset": manifest.fingerprint}
    insert(con, "datasets", [dataset_row(manifest)])
    insert(con, "dataset_inputs", [key | input_columns(item) for item in manifest.inputs], "or ignore")
    insert(con, "shards", [key | asdict(shard) for shard in manifest.shards])
    insert(con, "counts", [key | {"key": name, "number": number} for name, number in manifest.counts.items()])
    load_rows(con, manifest)
    return True


def dataset_row(manifest: Manifest) -> dict[str, Any]:
    """Lay out a manifest and the note of its making as a row of datasets."""
    note = made(manifest)
    return {
        "dataset": manifest.fingerprint,
        "stage": manifest.stage,
        "name": manifest.name,
        "settings": to_json(manifest.settings),
        "folder": str(manifest.folder.resolve()),
        "version": note["version"],
        "host": note["host"],
        "started": utc(datetime.fromtimestamp(note["started"], UTC)),
        "finished": utc(datetime.fromtimestamp(note["finished"], UTC)),
    }


def input_columns(reference: Mapping[str, Any]) -> dict[str, Any]:
    """Lay out one input of a dataset: a raw file, a run's checkpoint or another dataset."""
    if "sha256" in reference:
        file = {"name": reference["file"], "bytes": reference["bytes"]}
        return {"kind": "file", "input": reference["sha256"], **file}
    if "run" in reference:
        return {"kind": "run", "input": reference["run"], "name": reference["checkpoint"], "bytes": None}
    name = f"{reference['stage']}/{reference['name']}"
    return {"kind": "dataset", "input": reference["fingerprint"], "name": name, "bytes": None}


def load_rows(con: duckdb.DuckDBPyConnection, manifest: Manifest) -> None:
    """Load the shards whose rows the warehouse keeps, straight from their files."""
    for role, sql in LOADS.items():
        paths = [str(path) for path in manifest.paths(role)]
        if paths:
            con.execute(sql, {"dataset": manifest.fingerprint, "paths": paths})
            if role == "evaluations":
                con.execute(EVALUATIONS, {"dataset": manifest.fingerprint})
                add_slices(con)


def record_training(folder: Path, run: Path) -> None:
    """Record a run directory: the run, its metrics and its checkpoints, in place of what was there.

    A run that is not finished is recorded as far as it got. Raises WarehouseError when `run` is no
    run directory or one of its files cannot be read.
    """
    rows = training_rows(run)
    with write(folder, f"recording run {run.name}") as con:
        insert_training(con, rows)


def training_rows(run: Path) -> Rows:
    """Lay out a run directory as rows by table."""
    training = training_row(run)
    fingerprint = training["run"]
    return {
        "trainings": [training],
        "training_metrics": metric_rows(run, fingerprint),
        "checkpoints": checkpoint_rows(run, fingerprint),
    }


def insert_training(con: duckdb.DuckDBPyConnection, rows: Rows) -> None:
    """Insert the rows of one run in place of what was there."""
    con.execute("delete from training_metrics where run = $1", [rows["trainings"][0]["run"]])
    insert(con, "trainings", rows["trainings"], "or replace")
    insert(con, "training_metrics", rows["training_metrics"])
    insert(con, "checkpoints", rows["checkpoints"], "or replace")


def training_row(run: Path) -> dict[str, Any]:
    """Lay out run.json, and result.json once there is one, as a row of trainings."""
    body = read_json(run / "run.json")
    result = read_json(run / "result.json") if (run / "result.json").exists() else {}
    return {
        "run": body["fingerprint"],
        "name": body["name"],
        "recipe": body["recipe"],
        "model": body["settings"]["model"]["kind"],
        "vocabulary": body["vocabulary"],
        "dataset": body["tokens"]["fingerprint"],
        "settings": to_json(body["settings"]),
        "folder": str(run.resolve()),
        **{key: result.get(key) for key in RESULTS},
    }


def metric_rows(run: Path, fingerprint: str) -> list[dict[str, Any]]:
    """Lay out the whole lines of metrics.jsonl; a kill may have cut the last one."""
    path = run / "metrics.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True) if path.exists() else []
    return [
        metric_row(line, fingerprint, f"{path}:{number}") for number, line in enumerate(lines, 1) if line.endswith("\n")
    ]


def metric_row(line: str, fingerprint: str, where: str) -> dict[str, Any]:
    """Lay out one line of metrics.jsonl."""
    try:
        body = json.loads(line)
    except ValueError as error:
        raise WarehouseError(f"{where}: expected JSON: {error}. Resume the run, then record it.") from None
    extra = {key: value for key, value in body.items() if key not in METRICS}
    return {"run": fingerprint, **{key: body.get(key) for key in METRICS}, "extra": to_json(extra)}


def checkpoint_rows(run: Path, fingerprint: str) -> list[dict[str, Any]]:
    """Lay out the files of every checkpoint that is there; checkpoint.json, which vouches for them, is one."""
    rows = []
    for path in sorted(run.glob("checkpoints/step-*/checkpoint.json")):
        step = int(path.parent.name.removeprefix("step-"))
        sums = {name: file["sha256"] for name, file in read_json(path)["files"].items()}
        sums[path.name] = file_sha256(path)
        rows += [{"run": fingerprint, "step": step, "file": name, "sha256": value} for name, value in sums.items()]
    return rows


def record_benchmarks(folder: Path, rows: Iterable[Benchmark]) -> None:
    """Record measured numbers; one that is there under the same name and time stays as it is."""
    laid_out = [asdict(row) | {"measured": utc(row.measured), "machine": to_json(row.machine)} for row in rows]
    with write(folder, "recording benchmarks") as con:
        insert(con, "benchmarks", laid_out, "or ignore")


def insert(con: duckdb.DuckDBPyConnection, table: str, rows: list[dict[str, Any]], existing: Existing = "") -> None:
    """Insert rows by the names of their keys; `existing` says what happens to a row whose key is there."""
    if not rows:
        return
    con.register("incoming", pa.Table.from_pylist(rows))
    con.execute(f"insert {existing} into {table} by name from incoming")
    con.unregister("incoming")


def read_json(path: Path) -> dict[str, Any]:
    """Read one of a run directory's JSON files."""
    try:
        body: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise WarehouseError(f"{path}: not found, so this is no run directory. Name a training's folder.") from None
    except ValueError as error:
        raise WarehouseError(f"{path}: not readable as JSON ({error}). Resume the run, then record it.") from None
    return body


def to_json(value: Any) -> str:
    """Write a value for a JSON column."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, default=dict)


def utc(time: datetime) -> datetime:
    """Give the time in UTC and leave the zone out, as the tables hold it."""
    return time.astimezone(UTC).replace(tzinfo=None)
