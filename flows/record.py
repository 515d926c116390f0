"""What every flow leaves in the warehouse: datasets, trainings, its own state, what its tasks did; and the checks.

    @flow(name="ingest", **RECORDED)
    def ingest(...):
        ...
        finish(recipe, data)

Only a flow that no other flow called enters itself; the flows below it count as its parts.
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any, TypedDict
from uuid import UUID

from prefect import Flow, State, task
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId, FlowRunFilterParentFlowRunId
from prefect.client.schemas.objects import FlowRun, TaskRun
from prefect.flows import FlowStateHook
from prefect.runtime import flow_run as this_flow_run

from lmpipe import __version__, warehouse
from lmpipe.dataset import made, open_dataset, upstream
from lmpipe.errors import WarehouseError
from lmpipe.recipe import load_recipe
from lmpipe.train.run import load_run

PAGE = 200
"""Task runs that a Prefect server gives at once."""


@task(task_run_name="record datasets")
def record(data: Path, folders: list[Path]) -> Path:
    """Enter committed datasets, and all that they were made from, into the warehouse; what is known changes nothing."""
    found = upstream(folders)
    warehouse.record_datasets(data / "warehouse", found)
    used = [used_dataset(folder) for folder in found]
    warehouse.record_used(data / "warehouse", str(this_flow_run.get_root_flow_run_id()), datasets=used)
    return data / "warehouse"


@task(task_run_name="record training")
def record_training(data: Path, run: Path) -> Path:
    """Enter a training's settings, metrics and checkpoints into the warehouse."""
    warehouse.record_training(data / "warehouse", run)
    root = str(this_flow_run.get_root_flow_run_id())
    warehouse.record_used(data / "warehouse", root, trainings=[used_training(run)])
    return run


@task(task_run_name="check the warehouse")
def check_warehouse(data: Path) -> None:
    """Ask the questions whose answer must be no row; fail with the rows that were found."""
    bad = [(name, rows.to_pylist()) for name, rows in warehouse.checks(data / "warehouse") if rows.num_rows]
    if bad:
        raise WarehouseError(f"{data / 'warehouse'}: checks found rows that must not be: {bad}. Report them as a bug.")


@task(task_run_name="record the end")
def record_end(recipe: Path, data: Path) -> None:
    """Enter this flow run as completed, so that a report made by it says so."""
    with get_client(sync_client=True) as client:
        run = client.read_flow_run(UUID(this_flow_run.get_id()))
    name = str(this_flow_run.get_flow_name())
    warehouse.record_flow_run(data / "warehouse", flow_row(name, recipe, run, "completed", datetime.now(UTC), None))


def finish(recipe: Path, data: Path) -> None:
    """End a flow that no other called: see that the warehouse adds up, and enter the run as completed."""
    if this_flow_run.get_parent_flow_run_id() is None:
        check_warehouse(data)
        record_end(recipe, data)


def record_state(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:
    """Enter the state of a run that no other called and, once it has ended, what its tasks did; Prefect calls this."""
    if flow_run.parent_task_run_id is not None:
        return
    recipe, data = (Path(flow_run.parameters[name]) for name in ("recipe", "data"))
    ended = datetime.now(UTC) if state.is_final() else None
    error = None if state.is_running() or state.is_completed() else state.message
    row = flow_row(flow.name, recipe, flow_run, state.type.value.lower(), ended, error)
    warehouse.record_flow_run(data / "warehouse", row)
    if state.is_final():
        warehouse.record_tasks(data / "warehouse", str(flow_run.id), flow_tasks(flow_run))


class Hooks(TypedDict):
    """Keywords of Prefect's `flow`."""

    on_running: list[FlowStateHook[..., Any]]
    on_completion: list[FlowStateHook[..., Any]]
    on_failure: list[FlowStateHook[..., Any]]
    on_crashed: list[FlowStateHook[..., Any]]
    on_cancellation: list[FlowStateHook[..., Any]]


RECORDED: Hooks = {
    "on_running": [record_state],
    "on_completion": [record_state],
    "on_failure": [record_state],
    "on_crashed": [record_state],
    "on_cancellation": [record_state],
}
"""For every flow that a person or a schedule starts; its parameters include recipe and data."""


def flow_row(
    flow: str, recipe: Path, run: FlowRun, status: str, ended: datetime | None, error: str | None
) -> warehouse.FlowRun:
    """Lay out a flow run for the warehouse."""
    settings = load_recipe(recipe)
    return warehouse.FlowRun(
        flow_run=str(run.id),
        kind=flow,
        flow=flow,
        recipe=settings.name,
        settings=asdict(settings),
        status=status,
        started=run.start_time or datetime.now(UTC),
        ended=ended,
        host={"name": os.uname().nodename, "cores": os.cpu_count()},
        version=__version__,
        code=warehouse.code_sha256(),
        attempts=run.run_count,
        error=error,
    )


def flow_tasks(flow_run: FlowRun) -> list[warehouse.FlowTask]:
    """Ask Prefect what became of the tasks of a flow run and of all flows below it."""
    with get_client(sync_client=True) as client:
        runs = {run.id: run for run in flows_below(client, flow_run)}
        callers = {run.parent_task_run_id for run in runs.values()}
        only = FlowRunFilter(id=FlowRunFilterId(any_=list(runs)))
        names = {id: client.read_flow(run.flow_id).name for id, run in runs.items()}
        tasks = list(pages(lambda offset: client.read_task_runs(flow_run_filter=only, limit=PAGE, offset=offset)))
    return [flow_task(run, names[run.flow_run_id]) for run in tasks if run.flow_run_id and run.id not in callers]


def pages(read: Callable[[int], list[TaskRun]]) -> Iterator[TaskRun]:
    """Read page after page, until one is not full."""
    for page in count():
        found = read(page * PAGE)
        yield from found
        if len(found) < PAGE:
            return


def flows_below(client: SyncPrefectClient, flow_run: FlowRun) -> list[FlowRun]:
    """List a flow run and all that it called, directly or not."""
    found, level = [flow_run], [flow_run]
    while level:
        parents = FlowRunFilterParentFlowRunId(any_=[run.id for run in level])
        level = client.read_flow_runs(flow_run_filter=FlowRunFilter(parent_flow_run_id=parents))
        found += level
    return found


def flow_task(run: TaskRun, flow: str) -> warehouse.FlowTask:
    """Lay out a task run for the warehouse."""
    state = run.state
    failed = state is not None and (state.is_failed() or state.is_crashed())
    return warehouse.FlowTask(
        task_run=str(run.id),
        flow=flow,
        name=run.name,
        status=state.type.value.lower() if state else "pending",
        attempts=run.run_count,
        started=run.start_time,
        seconds=run.total_run_time.total_seconds(),
        error=state.message if state is not None and failed else None,
    )


def used_dataset(folder: Path) -> warehouse.UsedDataset:
    """Say of a dataset whether this flow made it or found it."""
    manifest = open_dataset(folder)
    times = made(manifest)
    return warehouse.UsedDataset(
        dataset=manifest.fingerprint,
        seconds=times["finished"] - times["started"],
        reused=times["finished"] < began(),
    )


def used_training(run: Path) -> warehouse.UsedTraining:
    """Say of a training whether this flow made it or found it."""
    loaded = load_run(run)
    assert loaded.result is not None, "a flow records a training when it is finished"
    return warehouse.UsedTraining(
        run=loaded.fingerprint,
        seconds=loaded.result["wall_seconds"],
        reused=(run / "result.json").stat().st_mtime < began(),
    )


def began() -> float:
    """Say when this flow run began, in seconds since 1970."""
    return float(this_flow_run.get_scheduled_start_time().timestamp())
