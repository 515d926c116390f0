"""Optimizers and the learning rate of each step.

They are written out here because torch.optim imports the compiler (torch._dynamo, sympy) at its first
use: 2 s at every start of a training, for a dozen lines of arithmetic; a test holds them against it.
Weight decay is decoupled (Loshchilov and Hutter 2019, algorithm 2) and falls on matrices only:
biases have no scale to keep small.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from lmpipe.settings import TrainSettings

BETAS = (0.9, 0.95)
"""Decay of AdamW's two averages; 0.95 as in GPT-3 (Brown et al. 2020, appendix B)."""

EPSILON = 1e-8
"""Added to the root of AdamW's second average (Kingma and Ba 2015, section 2)."""

MOMENTUM = 0.9
"""Of SGD."""


@dataclass(frozen=True, slots=True)
class Optimizer:
    """Updates the parameters of a model; its averages are what a checkpoint has to keep."""

    parameters: dict[str, nn.Parameter]
    """By name; tied ones once."""
    weight_decay: float
    update: Callable[[Tensor, dict[str, Tensor], float, int], None]
    """Moves one parameter along its gradient: (parameter, averages, lr, step counted from 1)."""
    averages: dict[str, dict[str, Tensor]] = field(default_factory=dict)
    """Parameter name to its averages by name; empty before the first step."""

    @torch.no_grad()
    def step(self, lr: float, step: int) -> None:
        """Do one step, counted from 0, with the gradients that lie ready; shrink matrices first."""
        for name, parameter in self.parameters.items():
            if parameter.ndim >= 2:
                parameter.mul_(1 - lr * self.weight_decay)
            self.update(parameter, self.averages.setdefault(name, {}), lr, step + 1)

    def clear(self) -> None:
        """Forget the gradients."""
        for parameter in self.parameters.values():
            parameter.grad = None


def make_optimizer(model: nn.Module, settings: TrainSettings) -> Optimizer:
    """Make the optimizer that the settings name."""
    update = {"adamw": adam_update, "sgd": momentum_update}[settings.optimizer]
    return Optimizer(dict(model.named_parameters()), settings.weight_decay, update)


def adam_update(parameter: Tensor, averages: dict[str, Tensor], lr: float, step: int) -> None:
    """Take one step of Adam (Kingma and Ba 2015, algorithm 1)."""
    gradient = gradient_of(parameter)
    for name in ("first", "second"):
        averages.setdefault(name, torch.zeros_like(parameter))
    averages["first"].lerp_(gradient, 1 - BETAS[0])
    averages["second"].mul_(BETAS[1]).addcmul_(gradient, gradient, value=1 - BETAS[1])
    root = averages["second"].sqrt().div_((1 - BETAS[1] ** step) ** 0.5).add_(EPSILON)
    parameter.addcdiv_(averages["first"], root, value=-lr / (1 - BETAS[0] ** step))


def momentum_update(parameter: Tensor, averages: dict[str, Tensor], lr: float, step: int) -> None:
    """Take one step of SGD with heavy-ball momentum (Sutskever et al. 2013, equation 1)."""
    averages.setdefault("first", torch.zeros_like(parameter)).mul_(MOMENTUM).add_(gradient_of(parameter))
    parameter.add_(averages["first"], alpha=-lr)


def gradient_of(parameter: Tensor) -> Tensor:
    """Return a parameter's gradient; every parameter of our models has one after each backward pass."""
    assert parameter.grad is not None, "a parameter took no part in the loss"
    return parameter.grad


def learning_rate(settings: TrainSettings, step: int) -> float:
    """Return the learning rate of a step, counted from 0.

    Linear warm-up, constant, then linear decay that would reach zero one step after the last
    (warmup-stable-decay: Hu et al. 2024, section 4; Hägele et al. 2024, section 3).
    """
    decay_steps = round(settings.decay * settings.steps)
    warm = (step + 1) / settings.warmup if step < settings.warmup else 1.0
    cool = min(1.0, (settings.steps - step) / decay_steps) if decay_steps else 1.0
    return settings.lr * min(warm, cool)
