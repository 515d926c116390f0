"""Averages of the weights over training: what is validated, kept and evaluated where the settings say so.

ema    exponential: mean <- d * mean + (1 - d) * weights, with d rising to its value over the first steps
       (d = min(decay, (1 + n) / (10 + n)), as TensorFlow's ExponentialMovingAverage), so that it forgets the start
asgd   the plain mean since the validation loss first stalled (NT-ASGD: Merity et al. 2018, algorithm 1)
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from lmpipe.settings import TrainSettings
from lmpipe.train.progress import Progress


@dataclass(frozen=True, slots=True)
class Average:
    """The mean of a model's parameters."""

    parameters: dict[str, nn.Parameter]
    means: dict[str, Tensor] = field(default_factory=dict)
    """By parameter name; empty while there is no average."""

    @torch.no_grad()
    def update(self, settings: TrainSettings, progress: Progress) -> None:
        """Take in the weights after a step."""
        if settings.average == "ema":
            done = progress.step
            self.move(1 - min(settings.ema_decay, (1 + done) / (10 + done)))
        elif settings.average == "asgd" and progress.averaged_since is not None:
            self.move(1 / (progress.step - progress.averaged_since))

    def move(self, share: float) -> None:
        """Move the means towards the weights."""
        for name, parameter in self.parameters.items():
            if name in self.means:
                self.means[name].lerp_(parameter, share)
            else:
                self.means[name] = parameter.detach().clone()

    @contextlib.contextmanager
    def in_place(self) -> Iterator[None]:
        """Put the average, where there is one, into the model for as long as the block lasts."""
        self.swap()
        try:
            yield
        finally:
            self.swap()

    @torch.no_grad()
    def swap(self) -> None:
        """Exchange weights and means."""
        for name, mean in self.means.items():
            parameter = self.parameters[name]
            trained = parameter.detach().clone()
            parameter.copy_(mean)
            mean.copy_(trained)

    def chosen(self) -> dict[str, Tensor]:
        """Return what a checkpoint offers as the model's weights."""
        return dict(self.means or self.parameters)
