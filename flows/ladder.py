"""Ladder: several sizes and budgets of one model, and the scaling law of their losses.

lmpipe ladder recipe.toml --data data/demo
"""

import base64
from pathlib import Path

from prefect import flow, task
from prefect.artifacts import create_image_artifact, create_table_artifact

from flows.ingest import ingest
from flows.prepare import prepare
from flows.record import RECORDED, finish, record, record_training
from flows.train import train_model
from flows.watch import Workers, run_name
from lmpipe import report, warehouse
from lmpipe.dataset import Execution, open_dataset
from lmpipe.errors import RecipeError
from lmpipe.ladder.rungs import ladder as fit
from lmpipe.ladder.rungs import rungs
from lmpipe.recipe import load_recipe
from lmpipe.settings import LadderSettings, TrainSettings
from lmpipe.tokens.marks import marks_of
from lmpipe.train.run import load_run, prepare_run


@task(task_run_name="prepare run {settings.name}")
def make_rung(settings: TrainSettings, recipe: str, data: Path, tokens: Path, trunk: Path | None) -> Path:
    """Make a run directory, to begin where the next shorter training stood before its learning rate fell."""
    from lmpipe.train.trunk import branch  # imports torch

    dataset = open_dataset(tokens)
    run = prepare_run(dataset, settings, recipe, data, marks_of(dataset, settings))
    if trunk is not None:
        branch(load_run(trunk), load_run(run))
    return run


@task(task_run_name="fit the scaling law")
def fit_law(recipe: Path, data: Path, runs: list[Path]) -> Path:
    """Fit L = E + A / N^alpha + B / D^beta to all trainings, with intervals from resampled trainings."""
    settings = load_recipe(recipe)
    return fit(runs, settings.name, data, ladder_of(recipe), settings.seed, Execution()).folder


@task(task_run_name="show ladder")
def show_ladder(data: Path, name: str) -> Path:
    """Put the law and its chart beside the run in the UI, and build the report."""
    results = data / "warehouse" / warehouse.PUBLISHED
    create_table_artifact(key=f"ladder-{name}", table=report.ladder_rows(results), description="Scaling laws")
    picture = base64.b64encode(report.ladder_png(results, name)).decode()
    create_image_artifact(f"data:image/png;base64,{picture}", key=f"ladder-chart-{name}", description="Loss by tokens")
    return report.build_report(results, data / "report.html")


def ladder_of(recipe: Path) -> LadderSettings:
    """Return a recipe's ladder, or say that it has none."""
    found = load_recipe(recipe).ladder
    if found is None:
        raise RecipeError(f"{recipe}: has no table [ladder]. Add one with train, sizes and budgets.")
    return found


@flow(name="ladder", flow_run_name=run_name, **RECORDED)
def ladder(recipe: Path, data: Path, workers: Workers = 2) -> Path:
    """Train every size of the recipe's ladder for every budget, and fit the law that their losses follow.

    All budgets of one size share a trunk: each training goes on from where the shorter one's learning rate began to
    fall, so that they cost little more than the longest. What is finished is found and not done again. Look at the
    Artifacts tab for the law, the best size for more compute, and the chart.

    Args:
        recipe: the recipe's TOML file, with a table [ladder]
        data: the folder that holds all datasets, runs, the warehouse and the report
        workers: processes that work side by side in the stages before training
    """
    sizes = rungs(ladder_of(recipe), load_recipe(recipe).train)
    tokens = prepare(recipe, data, ingest(recipe, data, workers), workers)
    runs: list[Path] = []
    for budgets in sizes:
        trunk = None
        for settings in budgets:
            trunk = make_rung(settings, load_recipe(recipe).name, data, tokens, trunk)
            train_model(trunk, settings.name, settings.steps)
            runs.append(record_training(data, trunk))
    fitted = fit_law(recipe, data, runs)
    record(data, [fitted])
    finish(recipe, data)
    show_ladder(data, load_recipe(recipe).name)
    return fitted
