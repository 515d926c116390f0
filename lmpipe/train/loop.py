"""The training loop: from a run directory to its result.json.

Order within a step: batch, forward and backward, sum over processes, clip, learning rate, optimizer,
average, log. Validation, checkpoints and the wish to stop are looked at between steps only. A step depends on
nothing but the weights, the optimizer's moments, a carried state and its own number: the generator is seeded
anew from (seed, step, rank), so a resumed run goes on bit for bit (on one kind of machine, with the same
number of threads and processes).

Shape letters: B rows, S context + 1, T context.
"""

import contextlib
import logging
import math
import platform
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_

from lmpipe.errors import TrainingError
from lmpipe.storage import digest, write_json
from lmpipe.store import Store
from lmpipe.train import metrics as measure
from lmpipe.train import parallel
from lmpipe.train.afar import send_run
from lmpipe.train.batches import documents_of, make_batch
from lmpipe.train.checkpoint import Checkpoint, find_checkpoint, point, prune
from lmpipe.train.hosts import check_same_step
from lmpipe.train.memory import fit_micro_batch
from lmpipe.train.metrics import Metrics
from lmpipe.train.optimizer import learning_rate, trunk_step, weight_decay
from lmpipe.train.parallel import Ranks
from lmpipe.train.private import check_private, draw_batch, private_gradient, spent
from lmpipe.train.run import Run
from lmpipe.train.session import Training, begin, restore, save
from lmpipe.train.sharding import whole
from lmpipe.train.targets import check_marks, num_targets, targets_of
from lmpipe.train.validation import sample, validate

log = logging.getLogger(__name__)


class Logs(NamedTuple):
    """The files that grow with the training."""

    metrics: Metrics
    samples: Metrics


def train(run: Run, ranks: Ranks, stop: Callable[[], int | None], store: Store | None = None) -> int | None:
    """Train the run to its end from its newest checkpoint; return the signal that stopped it before, or None.

    `store` is sent every checkpoint.

    Raises TrainingError when loss or gradient stay without a finite value.
    """
    set_up_torch(run.settings.threads, ranks.device)
    if run.settings.private is not None:
        check_private(run, ranks)
    training = begin(run, ranks, stop, store)
    check_marks(run, training.train)
    checkpoint = find_checkpoint(run.folder)
    check_same_step(run, checkpoint, ranks)
    if checkpoint is not None:
        restore(training, checkpoint)
        mark_trunk(training, checkpoint)  # a kill may have come just before
    parallel.wait_for_all(ranks)  # nobody may still read a checkpoint that the first process is about to prune
    training.micro_batch = fit_micro_batch(training, lambda rows: backward(training, first_rows(training, rows), 1))
    announce(training)
    with open_logs(training) if ranks.first else contextlib.nullcontext() as logs:
        return run_steps(training, logs, checkpoint)


@contextlib.contextmanager
def open_logs(training: Training) -> Iterator[Logs]:
    """Open what the first process writes as it goes on."""
    folder, step = training.run.folder, training.progress.step
    with (
        measure.open_metrics(folder / "metrics.jsonl", step) as metrics,
        measure.open_metrics(folder / "samples.jsonl", step) as samples,
    ):
        yield Logs(metrics, samples)


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


def announce(training: Training) -> None:
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
        training.progress.step + 1,
        run.settings.steps,
        ranks.device,
        ranks.size,
        torch.get_num_threads(),
    )
    if training.valid.num_tokens <= run.settings.context:
        log.warning("%s: no validation loss, the split valid is shorter than one row", run.name)


def run_steps(training: Training, logs: Logs | None, checkpoint: Checkpoint | None) -> int | None:
    """Do all steps after `checkpoint`, with validations and checkpoints between them, then write the result."""
    settings, progress = training.run.settings, training.progress
    clock = time.monotonic() - progress.seconds
    ending = why_stop(training)
    while ending is None:
        line, signum = train_step(training)
        write(logs, line)
        progress.seconds = time.monotonic() - clock
        ending = why_stop(training)
        if progress.step % settings.valid_every == 0 or ending is not None:
            write(logs, validate(training))
            ending = ending or why_stop(training)
        if settings.sample_every is not None and progress.step % settings.sample_every == 0:
            line = sample(training)
            if logs is not None:
                logs.samples.write(line)
        if progress.step % settings.save_every == 0 or ending is not None or signum is not None or to_keep(training):
            progress.seconds = time.monotonic() - clock
            checkpoint = keep(training, logs) or checkpoint
        if signum is not None and ending is None:
            log.warning(
                "signal %d: checkpoint saved at step %d; the same command goes on from there", signum, progress.step
            )
            return signum
    if checkpoint is not None and training.ranks.first:
        write_result(training, checkpoint, ending)
    return None


def why_stop(training: Training) -> str | None:
    """Say which limit of the settings the training has come to, or None; the same in all processes."""
    settings, progress = training.run.settings, training.progress
    seconds = parallel.first_says(progress.seconds, training.ranks) if settings.max_seconds is not None else 0.0
    limits = {
        "steps": progress.step >= settings.steps,
        "max_tokens": settings.max_tokens is not None
        and progress.step * settings.batch * settings.context >= settings.max_tokens,
        "max_seconds": settings.max_seconds is not None and seconds >= settings.max_seconds,
        "patience": settings.patience is not None and progress.num_since_best() >= settings.patience,
    }
    return next((name for name, reached in limits.items() if reached), None)


def to_keep(training: Training) -> bool:
    """Say whether these weights are wanted later: the best so far where patience may end the training, or a trunk's."""
    return (training.run.settings.patience is not None and training.progress.best) or at_trunk(training)


def at_trunk(training: Training) -> bool:
    """Say whether longer trainings are to go on from here."""
    settings = training.run.settings
    return settings.keep_trunk and training.progress.step == trunk_step(settings)


def mark_trunk(training: Training, checkpoint: Checkpoint) -> None:
    """Let the pointer `trunk` name the checkpoint from which the learning rate falls."""
    if at_trunk(training) and training.ranks.first:
        point(checkpoint.folder.parent / "trunk", checkpoint.folder)


def write(logs: Logs | None, line: dict[str, Any] | None) -> None:
    """Append a line to metrics.jsonl and to the log, in the process that does so."""
    if logs is not None and line is not None:
        logs.metrics.write(line)
        if line["loss"] is not None:
            log.info("step %(step)d %(split)s loss %(loss).4f nats a token", line)


def train_step(training: Training) -> tuple[dict[str, Any], int | None]:
    """Do one optimizer step; return its line for metrics.jsonl and the signal that asks all processes to stop."""
    started = time.monotonic()
    ranks, settings, progress = training.ranks, training.run.settings, training.progress
    step = progress.step
    torch.manual_seed(int(digest([settings.seed, step, ranks.rank])[:15], 16))
    if settings.private is None:
        batch = make_batch(training.train, settings, step)
        if batch.fresh:
            training.state = None
        rows_BS = parallel.my_rows(batch.ids_BS, ranks)
        share: Tensor | float = backward(training, rows_BS, num_targets(batch.ids_BS, training.run))
    else:
        batch = draw_batch(training.train, settings, step)
        share = private_gradient(training, batch.ids_BS, settings.private)
    if not training.sharded:  # else they were summed as they were cut
        parallel.sum_gradients(training.model.parameters(), ranks)
    norm = whole(clip_grad_norm_(training.model.parameters(), settings.clip))
    sha256 = batch.sha256  # while a GPU is at work
    loss, signum = agree(training, share)  # the first to wait for it
    grad_norm = norm.item()
    lr, num_tokens = learning_rate(settings, step), settings.batch * settings.context
    progress.step += 1
    if finite(training, loss, grad_norm):
        training.optimizer.step(lr, weight_decay(settings, step), step)
        training.average.update(settings, progress)
    tokens_per_s = num_tokens / (time.monotonic() - started)
    flops_per_s = tokens_per_s * measure.flops_per_token(training.model, settings.model, settings.context)
    line = {
        "step": progress.step,
        "epoch": batch.epoch,
        "split": "train",
        "loss": loss if math.isfinite(loss) else None,
        "lr": lr,
        "grad_norm": grad_norm if math.isfinite(grad_norm) else None,
        "tokens": progress.step * num_tokens,
        "tokens_per_s": round(tokens_per_s, 1),
        "mfu": measure.utilisation(flops_per_s, ranks.device, ranks.size, settings.precision),
        "memory": measure.peak_memory(ranks.device),
        "eta": round((settings.steps - progress.step) * (time.monotonic() - started), 1),
        "batch": sha256,
    }
    return line, signum


def first_rows(training: Training, rows: int) -> Tensor:
    """Read some rows of the first step, to probe memory with."""
    training.state = None
    return make_batch(training.train, training.run.settings, 0).ids_BS[:rows]


def backward(training: Training, rows_BS: Tensor, num_learned: int) -> Tensor:
    """Compute what this process's rows are of the mean loss of a step, over `num_learned` tokens of all processes, and
    its gradients, in pieces that fit into memory. The loss is a float64 on the device, which may still be at work."""
    settings = training.run.settings
    rows_BS = rows_BS.to(training.ranks.device)
    training.optimizer.clear()
    pieces = torch.split(rows_BS, training.micro_batch or len(rows_BS))
    states = training.split_state(len(rows_BS), [len(piece) for piece in pieces])
    total, after = torch.zeros((), dtype=torch.float64, device=rows_BS.device), []
    for ids_BS, state in zip(pieces, states, strict=True):
        ids_BT, targets_BT = ids_BS[:, :-1], ids_BS[:, 1:]
        documents_BT = documents_of(ids_BT, training.run.end_of_text)
        learned_BT = targets_of(ids_BS, training.run)
        loss = training.model.loss(ids_BT, targets_BT, documents_BT, state, settings.label_smoothing, learned_BT)
        (loss.objective / max(num_learned, 1)).backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        total += loss.nats
        after.append(loss.state)
    training.join_state(after)
    return total / max(num_learned, 1)


def agree(training: Training, loss: Tensor | float) -> tuple[float, int | None]:
    """Sum the loss over all processes and stop all when one has been asked to, at the same step."""
    asked = training.stop()
    values = torch.tensor([float(loss), float(asked is not None)], dtype=torch.float64)
    total, num_asked = parallel.sum_values(values, training.ranks).tolist()
    return total, (asked or signal.SIGTERM) if num_asked else None


def finite(training: Training, loss: float, grad_norm: float) -> bool:
    """Say whether a step may reach the weights; give up after so many in a row that may not.

    Raises TrainingError then; the last checkpoint stays good.
    """
    progress, allowed = training.progress, training.run.settings.max_skipped
    if math.isfinite(loss) and math.isfinite(grad_norm):
        progress.skipped = 0
        return True
    progress.skipped += 1
    found = (
        f"step {progress.step}: expected a finite loss and gradient, found loss {loss} and gradient norm {grad_norm}"
    )
    if progress.skipped > allowed:
        raise TrainingError(
            f"{found}, the {progress.skipped}. in a row. Lower lr or clip, or lengthen warmup, in the recipe."
        )
    log.warning("%s; the step is passed over (%d in a row, at most %d)", found, progress.skipped, allowed)
    training.state = None  # it is not finite either
    return False


def keep(training: Training, logs: Logs | None) -> Checkpoint | None:
    """Save a checkpoint; the first process writes it, the others hold the same weights."""
    if logs is not None:
        logs.metrics.sync()
    checkpoint = save(training)
    if checkpoint is not None:
        mark_trunk(training, checkpoint)
        prune(training.run.folder, training.run.settings.keep)
        log.info("step %d: checkpoint %s", training.progress.step, checkpoint.folder)
        if training.store is not None:
            send_run(training.store, training.run)
    return checkpoint


def write_result(training: Training, checkpoint: Checkpoint, ending: str) -> None:
    """Write result.json, which says that the run is finished."""
    run, ranks = training.run, training.ranks
    result = {
        "run": run.name,
        "fingerprint": run.fingerprint,
        "steps": checkpoint.step,
        "stopped_by": ending,
        "tokens": checkpoint.step * run.settings.batch * run.settings.context,
        "train_loss": measure.last_loss(run.folder, "train"),
        "valid_loss": measure.last_loss(run.folder, "valid"),
        "best_valid_loss": min(training.progress.valid_losses, default=None),
        "parameters": measure.num_parameters(training.model),
        "wall_seconds": round(checkpoint.progress.seconds, 3),
        "device": device_name(ranks.device),
        "processes": ranks.size,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "checkpoint": str(checkpoint.folder.relative_to(run.folder)),
        "checkpoint_sha256": checkpoint.sha256,
        **(spent(training, run.settings.private) if run.settings.private is not None else {}),
    }
    write_json(run.folder / "result.json", result)
    log.info("%s: finished after %d steps, %.1f s", run.name, checkpoint.step, checkpoint.progress.seconds)


def device_name(device: torch.device) -> str:
    """Name the device as a reader of the result knows it."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or platform.machine()
