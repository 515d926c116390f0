"""Differentially private training: DP-SGD, Abadi et al. 2016, algorithm 1, for any model and optimizer.

Each row of the training split is in a step's batch with chance batch / rows, independently of the others; the gradient
of each row is cut to a norm; noise is added to their sum. What an optimizer, a schedule or an average makes of such
gradients is as private as they are. Epsilon is opacus' account (RDP: Mironov 2017; Mironov et al. 2019) of exactly
this: rows drawn as it assumes, and not a shuffled pass that is called so.

opacus' own hooks are not used: they know the layers of torch.nn and not a loss that is computed in pieces (head.py).
A row goes through the model alone instead, which is slower and right for every architecture.

Draws and noise come from the operating system and not from the recipe's seed: whoever knows the noise can take it
away again. So a private training is the one thing here that no second run repeats bit for bit.

Shape letters: B rows, S context + 1.
"""

import secrets
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_

from lmpipe.errors import TrainingError
from lmpipe.settings import PrivacySettings, TrainSettings
from lmpipe.train.batches import Batch, documents_of, num_rows
from lmpipe.train.parallel import Ranks
from lmpipe.train.run import Run
from lmpipe.train.session import Training
from lmpipe.train.stream import TokenStream


def check_private(run: Run, ranks: Ranks) -> None:
    """Refuse a private training that could not say its epsilon at the end, or whose processes would draw apart."""
    if ranks.size > 1:
        raise TrainingError(f"{run.name}: train.private works in one process, found {ranks.size}. Start one.")
    try:
        import opacus.accountants  # noqa: F401
    except ImportError as error:
        raise TrainingError(
            f"{run.name}: train.private needs opacus ({error}). Install it: pip install 'lmpipe[dp]'."
        ) from None


def draw_batch(stream: TokenStream, settings: TrainSettings, step: int) -> Batch:
    """Draw the rows of a step, each by itself; there are `batch` of them on average, and there may be none."""
    size = num_rows(stream, settings.context)
    generator = torch.Generator().manual_seed(secrets.randbits(63))
    rows = (torch.rand(size, generator=generator, dtype=torch.float64) < sample_rate(size, settings)).nonzero()[:, 0]
    width = settings.context + 1
    ids_BS = stream.read_rows((rows * settings.context).tolist(), width) if len(rows) else torch.empty(0, width).long()
    return Batch(ids_BS=ids_BS, epoch=step * settings.batch // size)


def sample_rate(size: int, settings: TrainSettings) -> float:
    """Give the chance of a row to be in a batch."""
    return min(1.0, settings.batch / size)


def private_gradient(training: Training, ids_BS: Tensor, private: PrivacySettings) -> float:
    """Put the noisy mean of the rows' cut gradients where the optimizer looks, and return their mean loss.

    The mean is over the rows that are expected, not over those that came: how many came is not to be told.
    """
    settings, parameters = training.run.settings, list(training.model.parameters())
    total = [torch.zeros_like(parameter) for parameter in parameters]
    nats = 0.0
    for row_S in ids_BS.to(training.ranks.device):
        training.optimizer.clear()
        nats += row_gradient(training, row_S[None])
        clip_grad_norm_(parameters, private.clip, foreach=False)
        for summed, parameter in zip(total, parameters, strict=True):
            if parameter.grad is not None:
                summed += parameter.grad
    generator = torch.Generator(training.ranks.device).manual_seed(secrets.randbits(63))
    for summed, parameter in zip(total, parameters, strict=True):
        noise = torch.empty_like(summed).normal_(std=private.noise * private.clip, generator=generator)
        parameter.grad = (summed + noise) / settings.batch
    return nats / (max(len(ids_BS), 1) * settings.context)


def row_gradient(training: Training, ids_1S: Tensor) -> float:
    """Compute the gradient of one row's mean loss per token; return its nats."""
    settings = training.run.settings
    ids_1T, targets_1T = ids_1S[:, :-1], ids_1S[:, 1:]
    documents_1T = documents_of(ids_1T, training.run.end_of_text)
    loss = training.model.loss(ids_1T, targets_1T, documents_1T, None, settings.label_smoothing)
    (loss.objective / settings.context).backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
    return loss.nats.item()


def spent(training: Training, private: PrivacySettings) -> dict[str, Any]:
    """Account for what a finished training has told: epsilon at delta, for one row."""
    from opacus.accountants import RDPAccountant

    size = num_rows(training.train, training.run.settings.context)
    accountant = RDPAccountant()
    accountant.history = [(private.noise, sample_rate(size, training.run.settings), training.progress.step)]
    return {
        "epsilon": float(accountant.get_epsilon(delta=private.delta)),
        "delta": private.delta,
        "accountant": "rdp",
        "private_rows": size,
    }
