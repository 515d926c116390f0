"""Train an n-gram model: count the training split once, and leave a run directory like any other.

There is nothing to go on from: a count that was killed begins anew (the Penn Treebank takes two seconds).
"""

import logging
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from lmpipe.storage import write_json
from lmpipe.train.checkpoint import Checkpoint, save_checkpoint
from lmpipe.train.loop import device_name
from lmpipe.train.metrics import open_metrics
from lmpipe.train.model import Ngram
from lmpipe.train.ngram import count_ngrams
from lmpipe.train.progress import Progress
from lmpipe.train.run import Run
from lmpipe.train.stream import open_stream

log = logging.getLogger(__name__)

PIECE = 1 << 16
"""Tokens scored at once for the validation loss."""


class StoppedError(Exception):
    """A signal has asked the counting to end."""


def count(run: Run, stop: Callable[[], int | None]) -> int | None:
    """Count the run's n-grams, write its checkpoint and result; return the signal that stopped it before, or None."""
    model = run.settings.model
    assert model.kind == "ngram", "other models are trained"
    torch.set_num_threads(run.settings.threads)
    started = time.monotonic()

    def told(order: int, size: int) -> None:
        log.info("%s: %d n-grams of order %d, %.1f s", run.name, size, order, time.monotonic() - started)
        if stop() is not None:
            raise StoppedError

    stream = open_stream(run.paths("train"), run.vocabulary)
    try:
        with tempfile.TemporaryDirectory(dir=run.folder, prefix=".counting-") as folder:
            tables = count_ngrams(stream, run.end_of_text, model.order, Path(folder), told)
    except StoppedError:
        return stop()
    loss = valid_loss(run, tables)
    progress = Progress(step=1, seconds=time.monotonic() - started)
    checkpoint = keep(run, tables, loss, progress, stream.num_tokens)
    write_result(run, tables, loss, checkpoint, stream.num_tokens)
    return None


def keep(run: Run, tables: dict[str, Tensor], loss: float | None, progress: Progress, tokens: int) -> Checkpoint:
    """Write metrics.jsonl, with the one loss there is, and the checkpoint."""
    with open_metrics(run.folder / "metrics.jsonl", 0) as metrics:
        if loss is not None:
            progress.valid_step, progress.valid_losses = 1, [loss]
            line = {"step": 1, "epoch": 0, "split": "valid", "loss": loss, "tokens": tokens}
            metrics.write(line | {"seconds": round(progress.seconds, 3)})
        metrics.sync()
    return save_checkpoint(run.folder, progress, tables, {})


@torch.no_grad()
def valid_loss(run: Run, tables: dict[str, Tensor]) -> float | None:
    """Score the whole validation split, in nats per token; None where there is none."""
    stream = open_stream(run.paths("valid"), run.vocabulary)
    model = Ngram(tables, run.vocabulary, run.end_of_text)
    state, last, nats = model.begin(1), torch.tensor([run.end_of_text]), 0.0
    for start in range(0, stream.num_tokens, PIECE):
        ids = torch.cat((last, stream.read(start, PIECE)))
        nll_BT, state = model.nll_after(ids[None, :-1], ids[None, 1:], None, state)
        nats, last = nats + float(nll_BT.sum()), ids[-1:]
    return nats / stream.num_tokens if stream.num_tokens else None


def write_result(run: Run, tables: dict[str, Tensor], loss: float | None, checkpoint: Checkpoint, tokens: int) -> None:
    """Write result.json, which says that the run is finished; its parameters are the counts."""
    num_counts = sum(int(table.count_nonzero()) for name, table in tables.items() if name.startswith("counts."))
    result = {
        "run": run.name,
        "fingerprint": run.fingerprint,
        "steps": 1,
        "stopped_by": "steps",
        "tokens": tokens,
        "train_loss": None,
        "valid_loss": loss,
        "best_valid_loss": loss,
        "parameters": num_counts,
        "discounts": tables["discounts"].tolist(),
        "wall_seconds": round(checkpoint.progress.seconds, 3),
        "device": device_name(torch.device("cpu")),
        "processes": 1,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "checkpoint": str(checkpoint.folder.relative_to(run.folder)),
        "checkpoint_sha256": checkpoint.sha256,
    }
    write_json(run.folder / "result.json", result)
    log.info("%s: finished, %d counts, %.1f s", run.name, num_counts, checkpoint.progress.seconds)
