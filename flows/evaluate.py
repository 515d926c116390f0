"""Evaluate: score every held-out document with a trained model, and every document of the recipe's sets.

python -m flows.evaluate flows/recipes/demo.toml data data/runs/demo-lstm-...
"""

import sys
from pathlib import Path

from prefect import flow, task

from flows.record import RECORDED, finish, record
from flows.watch import Workers, run_name, watching
from lmpipe.dataset import Execution, open_dataset
from lmpipe.recipe import load_recipe


@task(task_run_name="score held-out documents")
def score_documents(recipe: Path, data: Path, run: Path, workers: int) -> Path:
    """Write nats, tokens, words and bytes of every held-out document."""
    from lmpipe.evaluate.perplexity import evaluate as score  # imports torch, which only this task needs

    with watching(f"evaluate {run.name}") as tell:
        return score(run, load_recipe(recipe).evaluate, data, Execution(workers=workers, progress=tell)).folder


@task(task_run_name="read set {number} of the recipe")
def read_set(recipe: Path, data: Path, number: int) -> Path:
    """Read an evaluation set from its files, fetched where need be, and check that it is the published one."""
    from lmpipe.evaluate.sets import evaluation_set

    return evaluation_set(load_recipe(recipe).evaluate.sets[number], data, recipe.parent, Execution()).folder


@task(task_run_name="score set {chosen.name}")
def score_set(recipe: Path, data: Path, run: Path, chosen: Path, workers: int) -> Path:
    """Write nats, tokens, words and bytes of every document of an evaluation set."""
    from lmpipe.evaluate.perplexity import evaluate_set

    settings = load_recipe(recipe).evaluate
    with watching(f"evaluate {run.name} on {chosen.name}") as tell:
        execution = Execution(workers=workers, progress=tell)
        return evaluate_set(run, open_dataset(chosen), settings, data, execution).folder


@flow(name="evaluate", flow_run_name=run_name, **RECORDED)
def evaluate(recipe: Path, data: Path, run: Path, workers: Workers = 1) -> list[Path]:
    """Score the held-out split and the recipe's evaluation sets; perplexity itself is a view over the rows.

    Args:
        recipe: the recipe's TOML file
        data: the folder that holds all datasets
        run: the run directory of a finished training
        workers: processes that score side by side
    """
    scored = [score_documents(recipe, data, run, workers)]
    for number in range(len(load_recipe(recipe).evaluate.sets)):
        scored.append(score_set(recipe, data, run, read_set(recipe, data, number), workers))
    record(data, scored)
    finish(recipe, data)
    return scored


if __name__ == "__main__":
    evaluate(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]))
