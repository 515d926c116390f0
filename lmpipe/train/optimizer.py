"""Optimizers, and the learning rate and weight decay of each step.

They are written out here because torch.optim imports the compiler (torch._dynamo, sympy) at its first
use: 2 s at every start of a training, for some dozen lines; a test holds them against it.
Weight decay is decoupled (Loshchilov and Hutter 2019, algorithm 2) and falls on matrices only:
biases have no scale to keep small.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from lmpipe.settings import TrainSettings
from lmpipe.train.sharding import slice_of, spread_like, whole

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

TOGETHER = 1 << 22
"""Values of equally shaped matrices that Muon works on at once: what they need beside the weights stays bounded."""

GPU_TOGETHER = 1 << 25
"""The same on a GPU, which one matrix of 768 does not fill: 12 blocks of that width take 4 batches, not some 30."""

Update = Callable[[Tensor, Tensor, Sequence[Tensor], float, float, int], None]
"""Shrinks one parameter, then moves it along its gradient: (parameter, gradient, averages, lr, decay, step counted from
1)."""


@dataclass(frozen=True, slots=True)
class Optimizer:
    """Updates the parameters of a model; its averages are what a checkpoint has to keep."""

    parameters: dict[str, nn.Parameter]
    """By name; tied ones once."""
    update: Update
    """Moves what Muon does not."""
    kept: tuple[str, ...]
    """Names of the averages that `update` needs."""
    groups: list[list[str]]
    """The parameters that Muon moves, those that it works on at once side by side."""
    averages: dict[str, dict[str, Tensor]] = field(default_factory=dict)
    """Parameter name to its averages by name; empty before the first step."""

    @torch.no_grad()
    def step(self, lr: float, weight_decay: float, step: int) -> None:
        """Do one step, counted from 0, with the gradients that lie ready; shrink matrices first."""
        by_muon = {name for names in self.groups for name in names}
        for name, parameter in self.parameters.items():
            if name not in by_muon:
                averages = [slice_of(self.average(name, part)) for part in self.kept]
                decay = weight_decay if parameter.ndim >= 2 else 0.0
                self.update(slice_of(parameter), slice_of(self.gradient(name)), averages, lr, decay, step + 1)
        for names in self.groups:
            self.muon_step(names, lr, weight_decay)

    def gradient(self, name: str) -> Tensor:
        """Return a parameter's gradient."""
        gradient = self.parameters[name].grad
        assert gradient is not None, f"{name} took no part in the loss"
        return gradient

    def average(self, name: str, part: str) -> Tensor:
        """Return an average of a parameter, zeros at first."""
        averages = self.averages.setdefault(name, {})
        if part not in averages:
            averages[part] = torch.zeros_like(self.parameters[name])
        return averages[part]

    def muon_step(self, names: list[str], lr: float, weight_decay: float) -> None:
        """Take one step of Muon (Jordan et al. 2024): along the momentum, with all singular values near one.

        A spread matrix is gathered, and every process does the same work on it: cheaper than to send the result
        around, as long as the step is long.
        """
        ahead = [wide_parts(name, self.look_ahead(name)) for name in names]
        changes = torch.split(orthogonalised(torch.cat(ahead)), [len(parts) for parts in ahead])
        for name, change in zip(names, changes, strict=True):
            parameter = self.parameters[name]
            scale = MUON_SCALE * max(change.shape[1:]) ** 0.5
            back = (change.mT if is_tall(name, parameter) else change).reshape(parameter.shape)
            parameter.mul_(1 - lr * weight_decay).add_(spread_like(back, parameter), alpha=-lr * scale)

    def look_ahead(self, name: str) -> Tensor:
        """Move a matrix's momentum on; return Nesterov's next one, whole."""
        gradient = self.gradient(name)
        first = self.average(name, "first").lerp_(gradient, 1 - MUON_MOMENTUM)
        return whole(gradient.lerp(first, MUON_MOMENTUM))

    def clear(self) -> None:
        """Forget the gradients."""
        for parameter in self.parameters.values():
            parameter.grad = None


def make_optimizer(model: nn.Module, settings: TrainSettings) -> Optimizer:
    """Make the optimizer that the settings name; every parameter has exactly one way to move."""
    parameters = dict(model.named_parameters())
    matrices = {name: p for name, p in parameters.items() if settings.optimizer == "muon" and is_matrix(name, p)}
    groups = muon_groups(matrices)
    if settings.optimizer == "sgd":
        kept = ("first",) if settings.momentum else ()
        return Optimizer(parameters, momentum_update(settings.momentum), kept, groups)
    return Optimizer(parameters, adam_update, ("first", "second"), groups)


def is_matrix(name: str, parameter: Tensor) -> bool:
    """Say whether a parameter is a matrix between vectors, for Muon, and not a table of vectors."""
    return parameter.ndim >= 2 and not ("embedding" in name or "positions" in name or name == "head_VW")


def muon_groups(matrices: Mapping[str, Tensor]) -> list[list[str]]:
    """Put matrices of one shape side by side, turned where they are tall, up to the limit of their device."""
    groups: dict[tuple[int, ...], list[list[str]]] = {}
    for name, matrix in matrices.items():
        shape = tuple(sorted((matrix.shape[0] // num_parts(name), matrix.shape[1])))
        groups.setdefault(shape, [[]])
        most = GPU_TOGETHER if matrix.is_cuda else TOGETHER
        if sum(matrices[other].numel() for other in groups[shape][-1]) + matrix.numel() > most:
            groups[shape].append([])
        groups[shape][-1].append(name)
    return [names for same in groups.values() for names in same if names]


def num_parts(name: str) -> int:
    """Count the matrices that are stacked in one parameter: queries, keys and values, or one."""
    return 3 if name.endswith("attention_in.weight") else 1


def is_tall(name: str, matrix: Tensor) -> bool:
    """Say whether a parameter's matrices have more rows than columns."""
    return matrix.shape[0] // num_parts(name) > matrix.shape[1]


def wide_parts(name: str, matrix: Tensor) -> Tensor:
    """Take stacked matrices apart, (parts, m, n) with m <= n."""
    parts = matrix.view(num_parts(name), -1, matrix.shape[1])
    return parts.mT if is_tall(name, matrix) else parts


def adam_update(
    parameter: Tensor, gradient: Tensor, averages: Sequence[Tensor], lr: float, decay: float, step: int
) -> None:
    """Take one step of AdamW (Loshchilov and Hutter 2019, algorithm 2), in one pass over all five tensors.

    By torch's own kernel: arithmetic written out reads and writes the tensors ten times.
    """
    first, second = averages
    steps = torch.full((), step, dtype=torch.float32, device=first.device)
    torch._fused_adamw_(
        [parameter], [gradient], [first], [second], [], [steps],
        lr=lr, beta1=BETAS[0], beta2=BETAS[1], weight_decay=decay, eps=EPSILON, amsgrad=False, maximize=False,
    )  # fmt: skip


def momentum_update(momentum: float) -> Update:
    """Make the step of SGD with heavy-ball momentum (Sutskever et al. 2013, equation 1); plain SGD for 0."""

    def update(
        parameter: Tensor, gradient: Tensor, averages: Sequence[Tensor], lr: float, decay: float, step: int
    ) -> None:
        for first in averages:
            gradient = first.mul_(momentum).add_(gradient)
        parameter.mul_(1 - lr * decay).add_(gradient, alpha=-lr)

    return update


def orthogonalised(matrices: Tensor) -> Tensor:
    """Bring the singular values of (N, m, n), best with m <= n, near one by Newton and Schulz's iteration.

    A GPU takes all at once in bf16. A CPU takes one after the other, which then stays in its cache, and iterates on
    the small side of wide ones: for 24 of (192, 192) and 12 of (192, 768) four fifths of the time of all at once.
    """
    if matrices.is_cuda:
        return iterated(matrices.bfloat16()).to(matrices.dtype)
    wide = matrices.shape[2] >= 2 * matrices.shape[1]
    return torch.stack([iterated_square(matrix) if wide else iterated(matrix) for matrix in matrices])


def unit(matrices: Tensor) -> Tensor:
    """Divide matrices by their Frobenius norm: no singular value is above one then."""
    norms: Tensor = matrices.norm(dim=(-2, -1), keepdim=True)
    return matrices / (norms + 1e-7)


def iterated(matrices: Tensor) -> Tensor:
    """Iterate on matrices (..., m, n) themselves."""
    x, add_product = unit(matrices), torch.addmm if matrices.ndim == 2 else torch.baddbmm
    for a, b, c in NEWTON_SCHULZ:
        square = x @ x.mT
        x = add_product(x, add_product(square, square, square, beta=b, alpha=c), x, beta=a)
    return x


def iterated_square(matrix: Tensor) -> Tensor:
    """Iterate on x x^T alone: each step multiplies x by a polynomial p of it, and it by p on both sides.

    All of them commute, so that x is multiplied once, by the product of all p. Needs float32: small singular values
    are squared.
    """
    x, whole_p = unit(matrix), torch.eye(len(matrix), device=matrix.device)
    square = x @ x.mT
    for a, b, c in NEWTON_SCHULZ:
        p = torch.addmm(square, square, square, beta=b, alpha=c)
        p.diagonal().add_(a)
        whole_p, square = p @ whole_p, p @ square @ p
    return whole_p @ x


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
