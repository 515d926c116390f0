"""The training loop: from a run directory to its result.json.

Order within a step: batch, forward and backward, sum over processes, clip, learning rate, optimizer, log.
Validation, checkpoints and the wish to stop are looked at between steps only. A step depends on
nothing but the weights, the optimizer's moments and its own number: the generator is seeded anew
from (seed, step, rank), so a resumed run goes on bit for bit (on one kind of machine, with the same
number of threads and processes).

Shape letters: B rows, S context + 1, T context.
"""

import contextlib
import logging
import math
import platform
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_

from lmpipe.errors import TrainingError
from lmpipe.storage import digest, write_json
from lmpipe.train import metrics as measure
from lmpipe.train import parallel
from lmpipe.train.batches import documents_of, make_batch, num_rows, read_row, valid_rows
from lmpipe.train.checkpoint import Checkpoint, find_checkpoint, load_model, load_optimizer, prune, save_checkpoint
from lmpipe.train.metrics import Metrics
from lmpipe.train.model import LanguageModel, build_model
from lmpipe.train.optimizer import Optimizer, learning_rate, make_optimizer
from lmpipe.train.parallel import Ranks
from lmpipe.train.run import Run
from lmpipe.train.stream import TokenStream, open_stream

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """What lives as long as a session of training."""

    run: Run
    ranks: Ranks
    model: LanguageModel
    optimizer: Optimizer
    train: TokenStream
    valid: TokenStream
    stop: Callable[[], int | None]
    """Returns the signal that asked to stop, or None."""


def train(run: Run, ranks: Ranks, stop: Callable[[], int | None]) -> int | None:
    """Train the run to its end from its newest checkpoint; return the signal that stopped it before, or None.

    Raises TrainingError when loss or gradient are no longer finite.
    """
    set_up_torch(run.settings.threads, ranks.device)
    training = begin(run, ranks, stop)
    checkpoint = find_checkpoint(run.folder)
    if checkpoint is not None:
        load_model(checkpoint, training.model, ranks.device)
        load_optimizer(checkpoint, training.optimizer, ranks.device)
    parallel.wait_for_all(ranks)  # nobody may still read a checkpoint that the first process is about to prune
    done = checkpoint.step if checkpoint is not None else 0
    announce(training, done)
    with measure.open_metrics(run.folder, done) if ranks.first else contextlib.nullcontext() as metrics:
        return run_steps(training, metrics, checkpoint)


def set_up_torch(threads: int, device: torch.device) -> None:
    """Fix what decides the order of float sums; on a GPU allow TF32, where the same bits are not promised."""
    torch.set_num_threads(threads)
    if device.type == "cuda":
        torch.set_float32_matmul_precision("high")
        return
    # Not use_deterministic_algorithms: it imports the compiler's settings, 2 s at every start, for a GPU's sake.
    torch.set_deterministic_debug_mode("error")
    # A debugging aid that writes every buffer twice; the module is a property holder that mypy does not know.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


def begin(run: Run, ranks: Ranks, stop: Callable[[], int | None]) -> Training:
    """Build model and optimizer from the seed and map the data."""
    torch.manual_seed(run.settings.seed)
    model = build_model(run.settings.model, run.vocabulary).to(ranks.device)
    return Training(
        run=run,
        ranks=ranks,
        model=model,
        optimizer=make_optimizer(model, run.settings),
        train=open_stream(run.paths("train"), run.vocabulary),
        valid=open_stream(run.paths("valid"), run.vocabulary),
        stop=stop,
    )


def announce(training: Training, done: int) -> None:
    """Log what is about to be trained, from where, and on what."""
    run, ranks = training.run, training.ranks
    log.info(
        "%s: %s, %d parameters, %d training tokens, %d rows of %d tokens a step; "
        "steps %d to %d on %s, %d processes, %d threads",
        run.name,
        run.settings.model.kind,
        measure.num_parameters(training.model),
        training.train.num_tokens,
        run.settings.batch,
        run.settings.context,
        done + 1,
        run.settings.steps,
        ranks.device,
        ranks.size,
        torch.get_num_threads(),
    )
    if training.valid.num_tokens <= run.settings.context:
        log.warning("%s: no validation loss, the split valid is shorter than one row", run.name)


def run_steps(training: Training, metrics: Metrics | None, checkpoint: Checkpoint | None) -> int | None:
    """Do all steps after `checkpoint`, with validations and checkpoints between them, then write the result."""
    settings = training.run.settings
    first = checkpoint.step if checkpoint is not None else 0
    clock = time.monotonic() - (checkpoint.seconds if checkpoint is not None else 0.0)
    for step in range(first, settings.steps):
        line, signum = train_step(training, step)
        write(metrics, line)
        done = step + 1
        if done % settings.valid_every == 0 or done == settings.steps:
            write(metrics, validate(training, done))
        if done % settings.save_every == 0 or done == settings.steps or signum is not None:
            checkpoint = save(training, metrics, done, time.monotonic() - clock) or checkpoint
        if signum is not None and done < settings.steps:
            log.warning("signal %d: checkpoint saved at step %d; the same command goes on from there", signum, done)
            return signum
    if checkpoint is not None and training.ranks.first:
        write_result(training, checkpoint)
    return None


def write(metrics: Metrics | None, line: dict[str, Any] | None) -> None:
    """Append a line to metrics.jsonl and to the log, in the process that does so."""
    if metrics is not None and line is not None:
        metrics.write(line)
        log.info("step %(step)d %(split)s loss %(loss).4f nats a token", line)


def train_step(training: Training, step: int) -> tuple[dict[str, Any], int | None]:
    """Do one optimizer step; return its line for metrics.jsonl and the signal that asks all processes to stop."""
    started = time.monotonic()
    ranks, settings = training.ranks, training.run.settings
    torch.manual_seed(int(digest([settings.seed, step, ranks.rank])[:15], 16))
    batch = make_batch(training.train, settings, step)
    num_tokens = settings.batch * settings.context
    loss = backward(training, parallel.my_rows(batch.ids_BS, ranks), num_tokens)
    loss, signum = agree(training, loss)
    grad_norm = float(clip_grad_norm_(training.model.parameters(), settings.clip))
    check_finite(step + 1, loss, grad_norm)
    lr = learning_rate(settings, step)
    training.optimizer.step(lr, step)
    tokens_per_s = num_tokens / (time.monotonic() - started)
    flops_per_s = tokens_per_s * measure.flops_per_token(training.model, settings.model, settings.context)
    line = {
        "step": step + 1,
        "epoch": batch.epoch,
        "split": "train",
        "loss": loss,
        "lr": lr,
        "grad_norm": grad_norm,
        "tokens": (step + 1) * num_tokens,
        "tokens_per_s": round(tokens_per_s, 1),
        "mfu": measure.utilisation(flops_per_s, ranks.device, ranks.size),
        "batch": batch.sha256,
    }
    return line, signum


def backward(training: Training, ids_BS: Tensor, num_tokens: int) -> float:
    """Compute this process's share of the mean loss over `num_tokens`, and the gradients summed over all processes."""
    ids_BS = ids_BS.to(training.ranks.device)
    ids_BT, targets_BT = ids_BS[:, :-1], ids_BS[:, 1:]
    loss = training.model.loss(ids_BT, targets_BT, documents_of(ids_BT, training.run.end_of_text)) / num_tokens
    training.optimizer.clear()
    loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
    parallel.sum_gradients(training.model.parameters(), training.ranks)
    return loss.item()


def agree(training: Training, loss: float) -> tuple[float, int | None]:
    """Sum the loss over all processes and stop all when one has been asked to, at the same step."""
    asked = training.stop()
    values = torch.tensor([loss, float(asked is not None)], dtype=torch.float64, device=training.ranks.device)
    total, num_asked = parallel.sum_values(values, training.ranks).tolist()
    return total, (asked or signal.SIGTERM) if num_asked else None


def check_finite(step: int, loss: float, grad_norm: float) -> None:
    """Stop before a broken step reaches the weights; the last checkpoint stays good."""
    if not (math.isfinite(loss) and math.isfinite(grad_norm)):
        raise TrainingError(
            f"step {step}: expected a finite loss and gradient, found loss {loss} and gradient norm {grad_norm}."
            " Lower lr or clip, or lengthen warmup, in the recipe."
        )


@torch.no_grad()
def validate(training: Training, done: int) -> dict[str, Any] | None:
    """Compute the loss over the validation rows, shared among the processes; None without a validation row."""
    started = time.monotonic()
    settings = training.run.settings
    rows = valid_rows(training.valid, settings)
    if not rows:
        return None
    training.model.eval()
    total = torch.zeros(1, dtype=torch.float64, device=training.ranks.device)
    for first in range(training.ranks.rank * settings.batch, len(rows), training.ranks.size * settings.batch):
        total += score_rows(training, rows[first : first + settings.batch])
    training.model.train()
    loss = float(parallel.sum_values(total, training.ranks)) / (len(rows) * settings.context)
    return {
        "step": done,
        "epoch": (done - 1) * settings.batch // num_rows(training.train, settings.context),
        "split": "valid",
        "loss": loss,
        "tokens": done * settings.batch * settings.context,
        "seconds": round(time.monotonic() - started, 3),
    }


def score_rows(training: Training, rows: list[int]) -> Tensor:
    """Sum the loss of some validation rows, in nats."""
    ids_BS = torch.stack([read_row(training.valid, row, training.run.settings.context) for row in rows])
    ids_BS = ids_BS.to(training.ranks.device)
    ids_BT, targets_BT = ids_BS[:, :-1], ids_BS[:, 1:]
    documents_BT = documents_of(ids_BT, training.run.end_of_text)
    return training.model.nll(ids_BT, targets_BT, documents_BT).sum(dtype=torch.float64)


def save(training: Training, metrics: Metrics | None, done: int, seconds: float) -> Checkpoint | None:
    """Save a checkpoint from the first process; the others hold the same weights and go on."""
    if metrics is None:
        return None
    metrics.sync()
    checkpoint = save_checkpoint(training.run.folder, done, seconds, training.model, training.optimizer)
    prune(training.run.folder, training.run.settings.keep)
    log.info("step %d: checkpoint %s", done, checkpoint.folder)
    return checkpoint


def write_result(training: Training, checkpoint: Checkpoint) -> None:
    """Write result.json, which says that the run is finished."""
    run, ranks = training.run, training.ranks
    result = {
        "run": run.name,
        "fingerprint": run.fingerprint,
        "steps": checkpoint.step,
        "tokens": checkpoint.step * run.settings.batch * run.settings.context,
        "train_loss": measure.last_loss(run.folder, "train"),
        "valid_loss": measure.last_loss(run.folder, "valid"),
        "parameters": measure.num_parameters(training.model),
        "wall_seconds": round(checkpoint.seconds, 3),
        "device": device_name(ranks.device),
        "processes": ranks.size,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "checkpoint": str(checkpoint.folder.relative_to(run.folder)),
        "checkpoint_sha256": checkpoint.sha256,
    }
    write_json(run.folder / "result.json", result)
    log.info("%s: finished after %d steps, %.1f s", run.name, checkpoint.step, checkpoint.seconds)


def device_name(device: torch.device) -> str:
    """Name the device as a reader of the result knows it."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or platform.machine()
