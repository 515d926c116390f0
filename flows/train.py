"""Train: one model on token shards, as a process of its own.

python -m flows.train flows/recipes/demo.toml data data/tokens/demo-... lstm
"""

import sys
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from prefect import flow, get_run_logger, task
from prefect.client.schemas.objects import FlowRun
from prefect.deployments import run_deployment

from flows.record import RECORDED, finish, record, record_training
from flows.tidings import tell_of_checkpoint
from flows.watch import run_name, watching
from lmpipe import launch
from lmpipe.dataset import open_dataset
from lmpipe.errors import TrainingError
from lmpipe.recipe import load_recipe
from lmpipe.settings import TrainSettings
from lmpipe.tokens.marks import marks_of
from lmpipe.train.run import prepare_run

LOG_SECONDS = 5.0
"""Between two lines of a training in Prefect's log (1.45 ms of server each)."""

TELL_SECONDS = 600.0
"""At least between two checkpoints that are told of, and so evaluated; the last one always is."""

Where = Literal["here", "gpu"]
"""Train in the flow's own process group, or by the deployment train/gpu, whose pool takes one training at a time."""


@task(task_run_name="prepare run {training.name}")
def make_run(training: TrainSettings, recipe: str, data: Path, tokens: Path) -> Path:
    """Make the run directory: settings and hard links to the shards, enough to train on any machine."""
    dataset = open_dataset(tokens)
    return prepare_run(dataset, training, recipe, data, marks_of(dataset, training))


def named_training(recipe: Path, name: str, start: Path | None) -> TrainSettings:
    """Find one [[train]] entry of a recipe, and let it begin with the weights of another run."""
    (training,) = [training for training in load_recipe(recipe).train if training.name == name]
    return training if start is None else replace(training, init=start.name)


@task(task_run_name="train {name}")
def train_model(run: Path, name: str, steps: int, recipe: Path | None = None) -> dict[str, Any]:
    """Start the training process, or continue a killed one from its last checkpoint, and watch it.

    With `recipe`, the server is told of checkpoints, which its automation has evaluated.
    """
    logger = get_run_logger()
    last, saved = time.monotonic(), Saved(run, recipe)

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
                    saved.look()

        result = launch.start(run, on_metric=on_metric)
    saved.look(at_last=True)
    return result


@dataclass(slots=True)
class Saved:
    """Which checkpoints of a training were told of."""

    run: Path
    recipe: Path | None
    told: str = ""
    """The newest one's folder."""
    last: float = field(default_factory=time.monotonic)

    def look(self, *, at_last: bool = False) -> None:
        """Tell of the newest checkpoint, unless that was done, or another one told of is too young."""
        pointer = self.run / "checkpoints" / "latest"
        if self.recipe is None or not pointer.exists() or not (at_last or time.monotonic() - self.last > TELL_SECONDS):
            return
        newest = pointer.read_text(encoding="utf-8").strip()
        if newest != self.told:
            self.told, self.last = newest, time.monotonic()
            data = self.run.parent.parent
            tell_of_checkpoint(self.recipe, data, self.run, int(newest.removeprefix("step-")))


@flow(name="train", flow_run_name=run_name, **RECORDED)
def train(recipe: Path, data: Path, tokens: Path, name: str, start: Path | None = None) -> Path:
    """Train one model of the recipe; a killed training goes on from its last checkpoint.

    The training is a process of its own: its log is RUN/train.log, its steps are told here every few seconds. Cancel
    the run, and it saves a checkpoint before it ends.

    Args:
        recipe: the recipe's TOML file
        data: the folder that holds all datasets
        tokens: the packed tokens, as the prepare flow returns them
        name: which [[train]] entry of the recipe
        start: the run directory of an earlier training whose weights are begun with; fresh weights otherwise
    """
    training = named_training(recipe, name, start)
    run = make_run(training, load_recipe(recipe).name, data, tokens)
    train_model(run, name, training.steps, recipe)
    record(data, [tokens])  # commands of their own may have made them
    record_training(data, run)
    finish(recipe, data)
    return run


def train_where(where: Where, recipe: Path, data: Path, tokens: Path, name: str, start: Path | None = None) -> Path:
    """Train here, or wait for a training in the pool gpu; return the run directory.

    Raises TrainingError when that one does not complete.
    """
    if where == "here":
        return train(recipe, data, tokens, name, start)
    given = {"recipe": str(recipe), "data": str(data), "tokens": str(tokens), "name": name}
    parameters = given | {"start": str(start) if start is not None else None}
    trained = run_deployment("train/gpu", parameters=parameters)
    assert isinstance(trained, FlowRun), "flows are synchronous"
    if trained.state is None or not trained.state.is_completed():
        state = trained.state.name if trained.state is not None else "nowhere"
        message = trained.state.message if trained.state is not None else ""
        raise TrainingError(f"training {name} in the pool gpu ended {state}: {message} See its run {trained.name}.")
    return make_run(named_training(recipe, name, start), load_recipe(recipe).name, data, tokens)


if __name__ == "__main__":
    train(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4])
