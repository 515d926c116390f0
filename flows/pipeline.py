"""Pipeline: the whole way of a recipe, from raw bytes to perplexities in the warehouse and the report.

lmpipe run flows/recipes/demo.toml --data data/demo
"""

import base64
from pathlib import Path
from typing import NamedTuple

from prefect import flow, task
from prefect.artifacts import (
    create_image_artifact,
    create_link_artifact,
    create_markdown_artifact,
    create_table_artifact,
)

from flows.evaluate import evaluate
from flows.ingest import ingest
from flows.prepare import prepare
from flows.probe import probe
from flows.record import RECORDED, finish
from flows.train import Where, train_where
from flows.watch import Workers, run_name
from lmpipe import report, warehouse
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
        if samples := report.samples_markdown(run):
            create_markdown_artifact(samples, key=f"samples-{load_run(run).name}", description=f"Written by {run.name}")
    page = report.build_report(results, data / "report.html")
    create_link_artifact(page.resolve().as_uri(), link_text="report.html", key="report")
    return page


@flow(name="pipeline", flow_run_name=run_name, **RECORDED)
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
    documents = ingest(recipe, data, workers)
    tokens = prepare(recipe, data, documents, workers)
    show_funnel(data)
    names = [training.name for training in load_recipe(recipe).train]
    runs = [train_where(where, recipe, data, tokens, name) for name in names]
    for run in runs:
        evaluate(recipe, data, run)
        if wants_probes(recipe):
            probe(recipe, data, run, workers)
    finish(recipe, data)
    return Outcome(show_results(data, runs), tokens, runs)


def wants_probes(recipe: Path) -> bool:
    """Say whether a recipe asks for more of its models than their perplexity."""
    settings = load_recipe(recipe)
    return bool(settings.pairs) or settings.audit is not None
