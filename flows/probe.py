"""Probe: what a trained model prefers, what it knows by heart, and which scores it had help with.

python -m flows.probe flows/recipes/demo.toml data data/runs/demo-lstm-...
"""

import sys
from pathlib import Path

from prefect import flow, task

from flows.record import RECORDED, finish, record, record_training
from flows.watch import run_name, watching
from lmpipe.dataset import Execution
from lmpipe.recipe import load_recipe, source_files


@task(task_run_name="pairs of {name}")
def ask_pairs(recipe: Path, data: Path, run: Path, name: str, workers: int) -> Path:
    """Write the probability of both sentences of every pair of one set."""
    from lmpipe.evaluate.minimal_pairs import score_pairs  # imports torch, which only these tasks need

    chosen = next(some for some in load_recipe(recipe).pairs if some.name == name)
    with watching(f"pairs of {name}") as tell:
        execution = Execution(workers=workers, progress=tell)
        return score_pairs(run, chosen, source_files(chosen, recipe.parent), data, execution).folder


@task(task_run_name="audit what is known by heart")
def audit_memory(recipe: Path, data: Path, run: Path, workers: int) -> Path:
    """Let the model go on from training passages, and rank the secrets that were planted."""
    from lmpipe.evaluate.memorization import audit

    settings = load_recipe(recipe).audit
    assert settings is not None, "probe asks only where the recipe has the table"
    with watching(f"audit {run.name}") as tell:
        return audit(run, settings, data, Execution(workers=workers, progress=tell)).folder


@task(task_run_name="search held-out text in training")
def search_leaks(recipe: Path, data: Path, run: Path, workers: int) -> list[Path]:
    """Find held-out documents that share text with the documents the model was trained on."""
    from lmpipe.evaluate.leaks import leaks
    from lmpipe.settings import DecontaminateSettings

    settings = load_recipe(recipe).decontaminate or DecontaminateSettings()
    with watching("search held-out text in training") as tell:
        found = leaks(run, settings, recipe.parent, data, Execution(workers=workers, progress=tell))
        return [manifest.folder for manifest in found]


@flow(name="probe", flow_run_name=run_name, **RECORDED)
def probe(recipe: Path, data: Path, run: Path, workers: int = 1) -> list[Path]:
    """Ask a trained model the recipe's [[pairs]] and [audit], and search its scores for help from training text.

    Args:
        recipe: the recipe's TOML file
        data: the folder that holds all datasets
        run: the run directory of a finished training
        workers: processes that work side by side
    """
    settings = load_recipe(recipe)
    made = [ask_pairs(recipe, data, run, chosen.name, workers) for chosen in settings.pairs]
    if settings.audit is not None:
        made.append(audit_memory(recipe, data, run, workers))
    made += search_leaks(recipe, data, run, workers)
    record_training(data, run)
    record(data, made)
    finish(recipe, data)
    return made


if __name__ == "__main__":
    probe(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]))
