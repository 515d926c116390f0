"""Evaluate: score every held-out document once with a trained model.

python -m flows.evaluate flows/recipes/demo.toml data data/runs/demo-lstm-...
"""

import sys
from pathlib import Path

from prefect import flow, task

from flows.record import RECORDED, finish, record
from flows.watch import Workers, run_name, watching
from lmpipe.dataset import Execution
from lmpipe.recipe import load_recipe


@task(task_run_name="score held-out documents")
def score_documents(recipe: Path, data: Path, run: Path, workers: int) -> Path:
    """Write nats, tokens, words and bytes of every held-out document."""
    from lmpipe.evaluate.perplexity import evaluate as score  # imports torch, which only this task needs

    with watching(f"evaluate {run.name}") as tell:
        return score(run, load_recipe(recipe).evaluate, data, Execution(workers=workers, progress=tell)).folder


@flow(name="evaluate", flow_run_name=run_name, **RECORDED)
def evaluate(recipe: Path, data: Path, run: Path, workers: Workers = 1) -> Path:
    """Score the held-out split with a run's last checkpoint; perplexity itself is a view over the rows.

    Args:
        recipe: the recipe's TOML file
        data: the folder that holds all datasets
        run: the run directory of a finished training
        workers: processes that score side by side
    """
    scored = score_documents(recipe, data, run, workers)
    record(data, [scored])
    finish(recipe, data)
    return scored


if __name__ == "__main__":
    evaluate(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]))
