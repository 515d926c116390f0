"""Record flow runs: their state, the datasets and trainings they made or found, and what their tasks did.

A flow run's row is replaced whenever its state changes; what it used is entered once, by whichever of
its flows recorded it first, since that one knows whether it was made or found.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import lmpipe
from lmpipe.warehouse.door import write
from lmpipe.warehouse.record import insert, to_json, utc


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowRun:
    """One run of a flow that no other flow called."""

    flow_run: str
    """Prefect's id of the run."""
    kind: str
    """What the flow is for: ingest, prepare, train, evaluate, pipeline, ..."""
    flow: str
    """Its name in Prefect."""
    recipe: str
    """Name of the recipe."""
    settings: Mapping[str, Any]
    """The whole recipe."""
    status: str
    """running, completed, failed, cancelled or crashed."""
    started: datetime
    """With time zone."""
    ended: datetime | None = None
    """With time zone; None while it runs."""
    host: Mapping[str, Any]
    """Name, CPU, memory, accelerator."""
    version: str
    """Of lmpipe."""
    code: str
    """What `code_sha256` says: two runs of one version may have run different code."""
    attempts: int
    """How often Prefect ran it."""
    error: str | None = None
    """The sentence of the error that ended it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowTask:
    """One task of a flow run, or of a flow below it."""

    task_run: str
    """Prefect's id."""
    flow: str
    """Name of the flow that called it."""
    name: str
    status: str
    """completed, failed, crashed, ..."""
    attempts: int
    """1 where nothing was tried again."""
    started: datetime | None
    """With time zone; None where it never began."""
    seconds: float
    """Time spent running, over all attempts."""
    error: str | None
    """The sentence that ended it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UsedDataset:
    """A dataset as a flow run met it."""

    dataset: str
    """Fingerprint."""
    seconds: float
    """Wall time its stage took."""
    reused: bool
    """It was already made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UsedTraining:
    """A training as a flow run met it."""

    run: str
    """Fingerprint."""
    seconds: float
    """Wall time it took."""
    reused: bool
    """It was already finished."""


def record_flow_run(folder: Path, flow_run: FlowRun) -> None:
    """Record the state of a flow run, in place of the one that was there.

    Where the clock was put back meanwhile, it ends when it began: a check refuses a negative time, and all later runs.
    """
    row = asdict(flow_run) | {
        "settings": to_json(flow_run.settings),
        "host": to_json(flow_run.host),
        "started": utc(flow_run.started),
        "ended": utc(max(flow_run.started, flow_run.ended)) if flow_run.ended else None,
    }
    with write(folder, f"recording flow run {flow_run.flow_run}") as con:
        insert(con, "flow_runs", [row], "or replace")


def record_tasks(folder: Path, flow_run: str, tasks: Sequence[FlowTask]) -> None:
    """Record what the tasks of a flow run did, in place of what was there."""
    rows = [
        {"flow_run": flow_run, **asdict(task), "started": utc(task.started) if task.started else None} for task in tasks
    ]
    with write(folder, f"recording tasks of flow run {flow_run}") as con:
        insert(con, "flow_tasks", rows, "or replace")


def record_used(
    folder: Path, flow_run: str, *, datasets: Sequence[UsedDataset] = (), trainings: Sequence[UsedTraining] = ()
) -> None:
    """Record what a flow run made or found; what it has entered before stays."""
    with write(folder, f"recording what flow run {flow_run} used") as con:
        insert(con, "flow_run_datasets", [{"flow_run": flow_run, **asdict(used)} for used in datasets], "or ignore")
        insert(con, "flow_run_trainings", [{"flow_run": flow_run, **asdict(used)} for used in trainings], "or ignore")


def code_sha256() -> str:
    """sha256 over the sources of lmpipe, flows and warehouse: what a git commit says, with or without git."""
    root = Path(lmpipe.__file__).parents[1]
    sources = sorted(
        path
        for folder in ("lmpipe", "flows", "warehouse")
        for path in (root / folder).rglob("*")
        if path.suffix in (".py", ".sql", ".toml")
    )
    digest = hashlib.sha256()
    for path in sources:
        digest.update(str(path.relative_to(root)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()
