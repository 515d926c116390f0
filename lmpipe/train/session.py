"""What lives as long as a session of training, and how it goes into a checkpoint and comes out of one."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from lmpipe.errors import TrainingError
from lmpipe.store import Store
from lmpipe.train import parallel
from lmpipe.train.average import Average
from lmpipe.train.checkpoint import Checkpoint, load_model, load_training, load_weights, save_checkpoint
from lmpipe.train.model import LanguageModel, State, Transformer, build_model
from lmpipe.train.optimizer import Optimizer, make_optimizer
from lmpipe.train.parallel import Ranks
from lmpipe.train.progress import Progress
from lmpipe.train.run import INIT, Run
from lmpipe.train.sharding import shard, spread_like
from lmpipe.train.stream import TokenStream, open_stream
from lmpipe.train.tensors import help_write

MOMENT, WEIGHT, CARRIED = "moment", "weight", "carried"
"""What a tensor in training.safetensors is, before the first colon of its name."""


@dataclass(slots=True, kw_only=True)
class Training:
    """The model and all that moves with it."""

    run: Run
    ranks: Ranks
    model: LanguageModel
    optimizer: Optimizer
    average: Average
    train: TokenStream
    valid: TokenStream
    stop: Callable[[], int | None]
    """Returns the signal that asked to stop, or None."""
    store: Store | None = None
    """The object store that keeps the checkpoints too."""
    progress: Progress = field(default_factory=Progress)
    state: State | None = None
    """order = in_order: of this process's rows, after the last step."""
    micro_batch: int | None = None
    """Rows at once, or None for all."""

    @property
    def sharded(self) -> bool:
        """Say whether the processes need each other for every pass through the model."""
        return is_sharded(self.run, self.ranks)

    def split_state(self, rows: int, sizes: Sequence[int]) -> list[State | None]:
        """Cut the carried state into those of the pieces of a batch."""
        if self.run.settings.order != "in_order":
            return [None] * len(sizes)
        state = self.state if self.state is not None else self.model.begin(rows)
        layers = [zip(torch.split(h, list(sizes)), torch.split(c, list(sizes)), strict=True) for h, c in state]
        return [list(piece) for piece in zip(*layers, strict=True)]

    def join_state(self, after: Sequence[State | None]) -> None:
        """Keep the states of the pieces for the next step, cut off from their history."""
        if self.run.settings.order == "in_order":
            kept = [state for state in after if state is not None]
            self.state = [
                (torch.cat([h for h, _ in layer]).detach(), torch.cat([c for _, c in layer]).detach())
                for layer in zip(*kept, strict=True)
            ]


def is_sharded(run: Run, ranks: Ranks) -> bool:
    """Say whether the model is to be spread over processes.

    Raises TrainingError when those would not all have the same number of rows, and so of passes.
    """
    if ranks.size == 1 or run.settings.parallel != "fsdp":
        return False
    if run.settings.batch % ranks.size:
        raise TrainingError(
            f"{run.name}: fsdp needs a batch that its processes can share evenly, found {run.settings.batch} rows for"
            f" {ranks.size} processes. Change batch, or start another number."
        )
    return True


def begin(run: Run, ranks: Ranks, stop: Callable[[], int | None], store: Store | None = None) -> Training:
    """Build model and optimizer from the seed and map the data."""
    settings = run.settings
    torch.manual_seed(settings.seed)
    model = build_model(settings.model, run.vocabulary)
    model.precision = {"fp32": torch.float32, "bf16": torch.bfloat16}[settings.precision]
    if isinstance(model, Transformer):
        model.recompute = settings.recompute
    if settings.compile:
        model.compile_parts()
    if is_sharded(run, ranks):
        shard(model, ranks)
    else:
        model.to(ranks.device)
    for path in run.paths(INIT):
        load_weights(path, model, ranks.device)
    return Training(
        run=run,
        ranks=ranks,
        model=model,
        optimizer=make_optimizer(model, settings),
        average=Average(dict(model.named_parameters())),
        train=open_stream(run.paths("train"), run.vocabulary),
        valid=open_stream(run.paths("valid"), run.vocabulary),
        stop=stop,
        store=store,
    )


@torch.no_grad()
def restore(training: Training, checkpoint: Checkpoint) -> None:
    """Put a checkpoint back into the training that goes on from it."""
    load_model(checkpoint, training.model, training.ranks.device)
    training.progress = checkpoint.progress
    layers: dict[str, dict[str, Tensor]] = {}
    for key, tensor in load_training(checkpoint, training.ranks.device):
        what, name, part = key.split(":")
        if what == MOMENT:
            parameter = training.optimizer.parameters[name]
            training.optimizer.averages.setdefault(name, {})[part] = spread_like(tensor, parameter)
        elif what == WEIGHT:  # the model file holds the average: that is its place
            parameter = training.average.parameters[name]
            training.average.means[name] = parameter.detach().clone()
            parameter.copy_(spread_like(tensor, parameter))
        else:
            layers.setdefault(name, {})[part] = tensor
    if layers:
        share = [parallel.my_rows(tensor, training.ranks) for tensor in ordered(layers)]
        training.state = list(zip(share[::2], share[1::2], strict=True))


def ordered(layers: dict[str, dict[str, Tensor]]) -> list[Tensor]:
    """List carried tensors by layer, then part."""
    return [layers[name][part] for name in sorted(layers, key=int) for part in sorted(layers[name])]


def save(training: Training) -> Checkpoint | None:
    """Write a checkpoint in the first process; the others help to gather what is spread over them."""
    carried = gathered_state(training)
    weights = training.average.chosen()
    kept = {
        f"{MOMENT}:{name}:{part}": tensor
        for name, parts in training.optimizer.averages.items()
        for part, tensor in parts.items()
    }
    if training.average.means:
        kept |= {f"{WEIGHT}:{name}:": parameter for name, parameter in training.average.parameters.items()}
    kept |= {f"{CARRIED}:{layer}:{part}": t for layer, pair in enumerate(carried) for part, t in enumerate(pair)}
    if not training.ranks.first:
        help_write(weights)
        help_write(kept)
        return None
    return save_checkpoint(training.run.folder, training.progress, weights, kept)


def gathered_state(training: Training) -> State:
    """Put the carried states of all processes together, in the order of the batch's rows."""
    if training.state is None:
        return []
    rows, ranks = training.run.settings.batch, training.ranks
    return [(parallel.gather_rows(h, rows, ranks), parallel.gather_rows(c, rows, ranks)) for h, c in training.state]
