"""What is looked at between steps: the loss on held-out rows, and a sample of what the model writes.

Shape letters: B rows, S context + 1, T context, V vocabulary.
"""

import math
import sys
import time
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from lmpipe.storage import digest
from lmpipe.train import parallel
from lmpipe.train.batches import documents_of, lane_rows, num_rows, read_row, valid_rows
from lmpipe.train.run import Run
from lmpipe.train.session import Training
from lmpipe.train.targets import targets_of

SAMPLE_TOKENS = 64
"""Length of a sample."""


@torch.no_grad()
def validate(training: Training) -> dict[str, Any] | None:
    """Compute the validation loss of the averaged weights, or of the trained ones where none are averaged.

    Notes it in the progress; returns its line for metrics.jsonl, or None without a validation row.
    """
    started = time.monotonic()
    settings, progress = training.run.settings, training.progress
    training.model.eval()
    with training.average.in_place():
        sums = carried_loss(training) if settings.order == "in_order" else row_loss(training)
    training.model.train()
    nats, tokens = parallel.sum_values(sums, training.ranks).tolist()
    if not tokens:
        return None
    loss = nats / tokens
    progress.valid_losses.append(loss if math.isfinite(loss) else sys.float_info.max)  # JSON has no infinity
    progress.valid_step = progress.step
    if settings.average == "asgd" and progress.averaged_since is None and progress.stalled(settings.stalled):
        progress.averaged_since = progress.step
    return {
        "step": progress.step,
        "epoch": (progress.step - 1) * settings.batch // num_rows(training.train, settings.context),
        "split": "valid",
        "loss": loss if math.isfinite(loss) else None,
        "tokens": progress.step * settings.batch * settings.context,
        "seconds": round(time.monotonic() - started, 3),
    }


def row_loss(training: Training) -> Tensor:
    """Sum the loss of this process's share of the validation rows, and count its tokens."""
    settings, ranks = training.run.settings, training.ranks
    rows = valid_rows(training.valid, settings)
    sums = torch.zeros(2, dtype=torch.float64, device=ranks.device)
    for start in range(0, len(rows), ranks.size * settings.batch):
        first = start + ranks.rank * settings.batch
        mine = rows[first : first + settings.batch]
        if mine:
            sums += score_rows(training, mine)
        elif training.sharded:
            score_rows(training, rows[:1])  # counts for nothing; the others need our slices of the weights
    return sums


def score_rows(training: Training, rows: Sequence[int]) -> Tensor:
    """Sum the loss of some validation rows, and count its tokens."""
    ids_BS = torch.stack([read_row(training.valid, row, training.run.settings.context) for row in rows])
    ids_BS = ids_BS.to(training.ranks.device)
    ids_BT, targets_BT = ids_BS[:, :-1], ids_BS[:, 1:]
    documents_BT = documents_of(ids_BT, training.run.end_of_text)
    return summed(training.model.nll(ids_BT, targets_BT, documents_BT), ids_BS, training.run)


def summed(nll_BT: Tensor, ids_BS: Tensor, run: Run) -> Tensor:
    """Sum the loss of the tokens that the training learns, in nats, and count them."""
    learned_BT = targets_of(ids_BS, run)
    nll = nll_BT if learned_BT is None else nll_BT[learned_BT]
    return torch.stack([nll.sum(dtype=torch.float64), nll.new_tensor(nll.numel(), dtype=torch.float64)])


def carried_loss(training: Training) -> Tensor:
    """Sum the loss over the whole validation split, the state carried, and count its tokens; the first process does it
    for all, and the others with it where it needs their slices of the weights."""
    settings, ranks = training.run.settings, training.ranks
    size = num_rows(training.valid, settings.context)
    lanes = max(1, min(settings.batch, size // 4))
    windows = size // lanes
    sums = torch.zeros(2, dtype=torch.float64, device=ranks.device)
    state = training.model.begin(lanes)
    for window in range(windows if ranks.first or training.sharded else 0):
        starts = lane_rows(size, lanes, window) * settings.context
        ids_BS = training.valid.read_rows(starts.tolist(), settings.context + 1).to(ranks.device)
        nll_BT, after = training.model.nll_after(ids_BS[:, :-1], ids_BS[:, 1:], None, state)
        assert after is not None, "a model that was given a state keeps one"
        sums, state = sums + summed(nll_BT, ids_BS, training.run), after
    return sums if ranks.first else torch.zeros_like(sums)


@torch.no_grad()
def sample(training: Training) -> dict[str, Any]:
    """Draw ids from behind an end-of-text token; what runs the training decodes them for people.

    They are SAMPLE_TOKENS, or as many as the model has learned positions for, or finite logits.
    """
    settings, progress = training.run.settings, training.progress
    generator = torch.Generator(training.ranks.device).manual_seed(int(digest([settings.seed, "sample"])[:15], 16))
    training.model.eval()
    state, ids = training.model.begin(1), [training.run.end_of_text]
    with training.average.in_place():
        for _ in range(min(SAMPLE_TOKENS, getattr(settings.model, "positions", None) or SAMPLE_TOKENS)):
            ids_BT = torch.tensor([ids[-1:]], device=training.ranks.device)
            logits_BV, state = training.model.next_logits(ids_BT, state)
            chances_V = logits_BV[0].softmax(-1)
            if not chances_V.isfinite().all():  # the training will find out too, and say so
                break
            ids.append(int(torch.multinomial(chances_V, 1, generator=generator)))
    training.model.train()
    return {"step": progress.step, "ids": ids[1:]}
