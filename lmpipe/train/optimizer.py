"""Optimizers, and the learning rate and weight decay of each step.

They are written out here because torch.optim imports the compiler (torch._dynamo, sympy) at its first
use: 2 s at every start of a training, for some dozen lines of arithmetic; a test holds them against it.
Weight decay is decoupled (Loshchilov and Hutter 2019, algorithm 2) and falls on matrices only:
biases have no scale to keep small.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from lmpipe.settings import TrainSettings
from lmpipe.train.sharding import spread_like, whole

BETAS = (0.9, 0.95)
"""Decay of AdamW's two averages; 0.95 as in GPT-3 (Brown et al. 2020, appendix B)."""

EPSILON = 1e-8
"""Added to the root of AdamW's second average (Kingma and Ba 2015, section 2)."""

MUON_MOMENTUM = 0.95
"""Of Muon, with Nesterov's look ahead (Jordan et al. 2024)."""

NEWTON_SCHULZ = ((3.4445, -4.7750, 2.0315),) * 5
"""Coefficients of Muon's five iterations x -> ax + bx^3 + cx^5 (Jordan et al. 2024)."""

MUON_SCALE = 0.2
"""Root mean square that a Muon update has, as AdamW's does about: one learning rate then serves both
(Liu et al. 2025, arXiv 2502.16982, section 2.2)."""

Update = Callable[[Tensor, Tensor, dict[str, Tensor], float, int], None]
"""Moves one parameter along its gradient: (parameter, gradient, averages, lr, step counted from 1)."""


@dataclass(frozen=True, slots=True)
class Optimizer:
    """Updates the parameters of a model; its averages are what a checkpoint has to keep."""

    parameters: dict[str, nn.Parameter]
    """By name; tied ones once."""
    updates: dict[str, Update]
    """By the parameter's name."""
    averages: dict[str, dict[str, Tensor]] = field(default_factory=dict)
    """Parameter name to its averages by name; empty before the first step."""

    @torch.no_grad()
    def step(self, lr: float, weight_decay: float, step: int) -> None:
        """Do one step, counted from 0, with the gradients that lie ready; shrink matrices first."""
        for name, parameter in self.parameters.items():
            assert parameter.grad is not None, f"{name} took no part in the loss"
            if parameter.ndim >= 2:
                parameter.mul_(1 - lr * weight_decay)
            self.updates[name](parameter, parameter.grad, self.averages.setdefault(name, {}), lr, step + 1)

    def clear(self) -> None:
        """Forget the gradients."""
        for parameter in self.parameters.values():
            parameter.grad = None


def make_optimizer(model: nn.Module, settings: TrainSettings) -> Optimizer:
    """Make the optimizer that the settings name; every parameter has exactly one update."""
    parameters = dict(model.named_parameters())
    return Optimizer(parameters, {name: update_of(name, p, settings) for name, p in parameters.items()})


def update_of(name: str, parameter: Tensor, settings: TrainSettings) -> Update:
    """Choose a parameter's update: Muon is for the matrices between vectors, not for tables of them."""
    if settings.optimizer == "sgd":
        return momentum_update(settings.momentum)
    table = "embedding" in name or "positions" in name or name == "head_VW"
    if settings.optimizer == "adamw" or parameter.ndim < 2 or table:
        return adam_update
    return muon_update(parts=3 if name.endswith("attention_in.weight") else 1)


def adam_update(parameter: Tensor, gradient: Tensor, averages: dict[str, Tensor], lr: float, step: int) -> None:
    """Take one step of Adam (Kingma and Ba 2015, algorithm 1)."""
    for name in ("first", "second"):
        averages.setdefault(name, torch.zeros_like(parameter))
    averages["first"].lerp_(gradient, 1 - BETAS[0])
    averages["second"].mul_(BETAS[1]).addcmul_(gradient, gradient, value=1 - BETAS[1])
    root = averages["second"].sqrt().div_((1 - BETAS[1] ** step) ** 0.5).add_(EPSILON)
    parameter.addcdiv_(averages["first"], root, value=-lr / (1 - BETAS[0] ** step))


def momentum_update(momentum: float) -> Update:
    """Make the step of SGD with heavy-ball momentum (Sutskever et al. 2013, equation 1); plain SGD for 0."""

    def update(parameter: Tensor, gradient: Tensor, averages: dict[str, Tensor], lr: float, step: int) -> None:
        if momentum:
            gradient = averages.setdefault("first", torch.zeros_like(parameter)).mul_(momentum).add_(gradient)
        parameter.add_(gradient, alpha=-lr)

    return update


def muon_update(parts: int) -> Update:
    """Make the step of Muon (Jordan et al. 2024): along the momentum, with all singular values near one.

    A matrix of several stacked ones (queries, keys, values) is taken apart into `parts`. A spread one is gathered, and
    every process does the same work on it: cheaper than to send the result around, as long as the step is long.
    """

    def update(parameter: Tensor, gradient: Tensor, averages: dict[str, Tensor], lr: float, step: int) -> None:
        first = averages.setdefault("first", torch.zeros_like(parameter)).lerp_(gradient, 1 - MUON_MOMENTUM)
        ahead = whole(gradient.lerp(first, MUON_MOMENTUM)).view(parts, -1, parameter.shape[1])
        scale = MUON_SCALE * max(ahead.shape[1:]) ** 0.5
        change = orthogonalised(ahead).view(parameter.shape)
        parameter.add_(spread_like(change, parameter), alpha=-lr * scale)

    return update


def orthogonalised(matrices: Tensor) -> Tensor:
    """Bring the singular values of (..., m, n) near one by Newton and Schulz's iteration (in bf16 on a GPU)."""
    x = matrices.bfloat16() if matrices.is_cuda else matrices
    tall = x.shape[-2] > x.shape[-1]
    x = x.mT if tall else x
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for a, b, c in NEWTON_SCHULZ:
        square = x @ x.mT
        x = a * x + (b * square + c * square @ square) @ x
    done: Tensor = (x.mT if tall else x).to(matrices.dtype)
    return done


def learning_rate(settings: TrainSettings, step: int) -> float:
    """Return the learning rate of a step, counted from 0: linear warm-up, then what the schedule says.

    wsd: constant, then linear decay that would reach its end one step after the last (Hu et al. 2024, section 4;
    Hägele et al. 2024, section 3); cosine: Loshchilov and Hutter 2017, equation 5; linear: straight down.
    """
    left = (settings.steps - step) / max(1, settings.steps - settings.warmup)  # 1 after warm-up, 0 behind the end
    if settings.schedule == "wsd":
        decay_steps = round(settings.decay * settings.steps)
        height = min(1.0, (settings.steps - step) / decay_steps) if decay_steps else 1.0
    elif settings.schedule == "cosine":
        height = (1 - math.cos(math.pi * min(1.0, left))) / 2
    else:
        height = min(1.0, left)
    warm = (step + 1) / settings.warmup if step < settings.warmup else 1.0
    return settings.lr * min(warm, settings.lr_end + (1 - settings.lr_end) * height)


def trunk_step(settings: TrainSettings) -> int | None:
    """Return the steps after which wsd's learning rate falls, which longer trainings have in common; or None."""
    if settings.schedule != "wsd":
        return None
    return settings.steps - round(settings.decay * settings.steps)


def weight_decay(settings: TrainSettings, step: int) -> float:
    """Return the weight decay of a step, counted from 0."""
    share = 1 - step / settings.steps if settings.weight_decay_schedule == "linear" else 1.0
    return settings.weight_decay * share
