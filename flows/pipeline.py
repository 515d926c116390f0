"""Pipeline: the whole way of a recipe, from raw bytes to perplexities in the warehouse and the report.

lmpipe run flows/recipes/demo.toml --data data/demo
"""

import base64
import os
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from prefect import Flow, State, flow, task
from prefect.artifacts import create_image_artifact, create_link_artifact, create_table_artifact
from prefect.client.schemas.objects import FlowRun
from prefect.runtime import flow_run

from flows.evaluate import evaluate
from flows.ingest import ingest
from flows.prepare import prepare
from flows.train import Where, train_where
from flows.watch import Workers, run_name
from lmpipe import __version__, report, warehouse
from lmpipe.dataset import made, open_dataset
from lmpipe.errors import WarehouseError
from lmpipe.recipe import load_recipe
from lmpipe.train.run import load_run


class Outcome(NamedTuple):
    """Where a finished pipeline left its results."""

    report: Path
    tokens: Path
    runs: list[Path]


@task(task_run_name="show funnel")
def show_funnel(data: Path) -> None:
    """Put the funnel (documents in, dropped by reason, kept, per source) beside the run in the UI."""
    rows = report.funnel_rows(data / "warehouse" / warehouse.PUBLISHED)
    create_table_artifact(key="funnel", table=rows, description="Documents by source and outcome")


@task(task_run_name="show results")
def show_results(data: Path, runs: list[Path]) -> Path:
    """Build the report and put perplexities and loss curves beside the run in the UI."""
    results = data / "warehouse" / warehouse.PUBLISHED
    create_table_artifact(key="perplexity", table=report.perplexity_rows(results), description="By source and model")
    for run in runs:
        picture = base64.b64encode(report.loss_curve_png(results, load_run(run).fingerprint)).decode()
        key = f"loss-{load_run(run).name}"
        create_image_artifact(f"data:image/png;base64,{picture}", key=key, description=f"Loss of {run.name}")
    page = report.build_report(results, data / "report.html")
    create_link_artifact(page.resolve().as_uri(), link_text="report.html", key="report")
    return page


@task(task_run_name="check the warehouse")
def check_warehouse(data: Path) -> None:
    """Ask the questions whose answer must be no row; fail with the rows that were found."""
    bad = [(name, rows.to_pylist()) for name, rows in warehouse.checks(data / "warehouse") if rows.num_rows]
    if bad:
        raise WarehouseError(f"{data / 'warehouse'}: checks found rows that must not be: {bad}. Report them as a bug.")


@task(task_run_name="record flow run as {status}")
def record_run(recipe: Path, data: Path, started: datetime, status: str, folders: list[Path]) -> None:
    """Enter this flow run, and the datasets that it made or found, into the warehouse."""
    row = run_row(recipe, str(flow_run.get_id()), started, status)
    warehouse.record_flow_run(data / "warehouse", row, [used_dataset(folder, started) for folder in folders])


def record_failure(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:
    """Enter a failed run with the sentence that ended it; Prefect calls this."""
    recipe, data = (Path(flow_run.parameters[name]) for name in ("recipe", "data"))
    assert flow_run.start_time is not None, "a failed run has started"
    row = run_row(recipe, str(flow_run.id), flow_run.start_time, "failed")
    warehouse.record_flow_run(data / "warehouse", replace(row, ended=datetime.now(UTC), error=state.message))


def run_row(recipe: Path, name: str, started: datetime, status: str) -> warehouse.FlowRun:
    """Lay out a flow run for the warehouse."""
    settings = load_recipe(recipe)
    return warehouse.FlowRun(
        flow_run=name,
        kind="pipeline",
        flow="pipeline",
        recipe=settings.name,
        settings=asdict(settings),
        status=status,
        started=started,
        ended=datetime.now(UTC) if status == "completed" else None,
        host={"name": os.uname().nodename, "cores": os.cpu_count()},
        version=__version__,
    )


@flow(name="pipeline", flow_run_name=run_name, on_failure=[record_failure])
def pipeline(recipe: Path, data: Path, workers: Workers = 2, where: Where = "here") -> Outcome:
    """From raw dumps to perplexities in DuckDB, and a report: the whole way of one recipe.

    Each step is a run of its own below this one: ingest, prepare, then train and evaluate for every
    model of the recipe. What an earlier run has finished is found by its fingerprint and not done
    again. Look at the Artifacts tab for the funnel, the perplexities, the loss curves and the report.

    Args:
        recipe: the recipe's TOML file
        data: the folder that holds all datasets, runs, the warehouse and the report
        workers: processes that work side by side in a stage
        where: train in this run, or wait for a turn in the pool gpu
    """
    started = datetime.now(UTC)
    record_run(recipe, data, started, "running", [])
    documents = ingest(recipe, data, workers)
    tokens = prepare(recipe, data, documents, workers)
    show_funnel(data)
    names = [training.name for training in load_recipe(recipe).train]
    runs = [train_where(where, recipe, data, tokens, name) for name in names]
    scored = [evaluate(recipe, data, run) for run in runs]
    record_run(recipe, data, started, "completed", [*documents, tokens, *scored])
    check_warehouse(data)
    return Outcome(show_results(data, runs), tokens, runs)


def used_dataset(folder: Path, started: datetime) -> warehouse.UsedDataset:
    """Say of a dataset whether this run made it or found it."""
    manifest = open_dataset(folder)
    times = made(manifest)
    return warehouse.UsedDataset(
        dataset=manifest.fingerprint,
        seconds=times["finished"] - times["started"],
        reused=times["finished"] < started.timestamp(),
    )
