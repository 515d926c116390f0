"""Train: one model on token shards, as a process of its own.

python -m flows.train flows/recipes/demo.toml data data/tokens/demo-... lstm
"""

import sys
import time
from pathlib import Path
from typing import Any

from prefect import flow, get_run_logger, task

from flows.record import RECORDED, finish, record_training
from flows.watch import run_name, watching
from lmpipe import launch
from lmpipe.dataset import open_dataset
from lmpipe.recipe import load_recipe
from lmpipe.train.run import prepare_run

LOG_SECONDS = 5.0
"""Between two lines of a training in Prefect's log (1.45 ms of server each)."""


@task(task_run_name="prepare run {name}")
def make_run(recipe: Path, data: Path, tokens: Path, name: str) -> Path:
    """Make the run directory: settings and hard links to the shards, enough to train on any machine."""
    settings = load_recipe(recipe)
    (training,) = [t for t in settings.train if t.name == name]
    return prepare_run(open_dataset(tokens), training, settings.name, data)


@task(task_run_name="train {name}")
def train_model(run: Path, name: str, steps: int) -> dict[str, Any]:
    """Start the training process, or continue a killed one from its last checkpoint, and watch it."""
    logger = get_run_logger()
    last = time.monotonic()

    with watching(f"train {name}") as tell:

        def on_metric(metric: dict[str, Any]) -> None:
            nonlocal last
            if metric["split"] == "train":
                loss = "not finite" if metric["loss"] is None else f"{metric['loss']:.3f}"
                note = f"loss {loss}  {metric['tokens_per_s']:,.0f} tokens/s  {metric['eta']:,.0f} s to go"
                tell(metric["step"], steps, note)
                if time.monotonic() - last > LOG_SECONDS:
                    last = time.monotonic()
                    logger.info("%s: step %d of %d, %s", name, metric["step"], steps, note)

        return launch.start(run, on_metric=on_metric)


@flow(name="train", flow_run_name=run_name, **RECORDED)
def train(recipe: Path, data: Path, tokens: Path, name: str) -> Path:
    """Train one model of the recipe; a killed training goes on from its last checkpoint.

    Args:
        recipe: the recipe's TOML file
        data: the folder that holds all datasets
        tokens: the packed tokens, as the prepare flow returns them
        name: which [[train]] entry of the recipe
    """
    (settings,) = [t for t in load_recipe(recipe).train if t.name == name]
    run = make_run(recipe, data, tokens, name)
    train_model(run, name, settings.steps)
    record_training(data, run)
    finish(recipe, data)
    return run


if __name__ == "__main__":
    train(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4])
