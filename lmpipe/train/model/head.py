"""The output layer and its loss, in pieces that stay small.

A plain cross-entropy keeps several (tokens, vocabulary) matrices between forward and backward: with 4096
tokens and 8192 words that is 134 MB each, and the layer is bound by memory traffic. Here the loss and its
gradient are computed piece by piece in one pass and only the gradients of the inputs are kept
(the idea of "Cut Your Losses", Wijmans et al. 2024, section 4, and of Liger-Kernel, Hsu et al. 2024);
measured about twice as fast on 2 busy CPU threads (3.6 s against 1.5 to 1.7 s, 2026-11).

Products are made in the precision of x, everything else in float32.

Shape letters: N tokens, W width, V vocabulary.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor

PIECE = 512
"""Tokens at a time: pieces of 512 and 1024 did best; smaller ones touch the whole gradient too often."""

GPU_PIECE = 1 << 29
"""Logits at a time on a GPU, where a piece has to fill the chip: 1 GB in bf16, and the gradient by them as much."""

SAFE = 60.0
"""Logits below this can be summed after exp as they are: e^60 times a million words is a float32."""


def logits(x_NW: Tensor, head_VW: Tensor, cap: float | None) -> Tensor:
    """Compute the float32 logits of each token; `cap` bends them smoothly into (-cap, cap) (Gemma 2, section 2)."""
    return capped((x_NW @ head_VW.to(x_NW.dtype).mT).float(), cap)


def capped(logits_NV: Tensor, cap: float | None) -> Tensor:
    """Bend logits into (-cap, cap)."""
    return logits_NV if cap is None else cap * torch.tanh(logits_NV / cap)


@torch.no_grad()
def token_nll(x_NW: Tensor, head_VW: Tensor, targets_N: Tensor, cap: float | None) -> Tensor:
    """Compute -log p(target) of each token in nats, in float32; not differentiable.

    In place, as in loss_and_gradient: with a cap of 15, half the time of a log_softmax of new tensors (2 CPU threads).
    """
    cast_head_VW, nll_N = head_VW.to(x_NW.dtype), x_NW.new_empty(len(x_NW), dtype=torch.float32)
    size = piece_size(x_NW, head_VW)
    room_NV = head_VW.new_empty(min(size, len(x_NW)), len(head_VW), dtype=torch.float32)
    for x, targets, nll in zip(*(torch.split(t, size) for t in (x_NW, targets_N, nll_N)), strict=True):
        logits_NV = room_NV[: len(x)]
        product(x if cap is None else x * (2 / cap), cast_head_VW.mT, logits_NV)
        if cap is not None:
            logits_NV.sigmoid_().mul_(2 * cap)
        at_target_N1, largest_N1 = logits_NV.gather(1, targets[:, None]), logits_NV.amax(1, keepdim=True)
        log_sum_N1 = logits_NV.sub_(largest_N1).exp_().sum(1, keepdim=True).log_().add_(largest_N1)
        torch.sub(log_sum_N1, at_target_N1, out=nll[:, None])
    return nll_N


def piece_size(x_NW: Tensor, head_VW: Tensor) -> int:
    """Say how many tokens to take at a time."""
    return max(PIECE, GPU_PIECE // len(head_VW)) if x_NW.is_cuda else PIECE


class SummedLoss(torch.autograd.Function):
    """Sum of the loss over all tokens, with both gradients computed on the way."""

    @staticmethod
    def forward(
        ctx: Any, x_NW: Tensor, head_VW: Tensor, targets_N: Tensor, cap: float | None, smoothing: float, compiled: bool
    ) -> tuple[Tensor, Tensor]:
        loss = at_once(cap, smoothing, compiled) if x_NW.is_cuda else in_place(x_NW, head_VW, cap, smoothing)
        totals, grad_x_NW, grad_head_VW = sum_pieces(x_NW, head_VW, targets_N, loss)
        ctx.save_for_backward(grad_x_NW, grad_head_VW)
        objective, nats = totals.unbind()
        ctx.mark_non_differentiable(nats)
        return objective, nats

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        grad_x_NW, grad_head_VW = ctx.saved_tensors
        return grad_x_NW * grads[0].to(grad_x_NW.dtype), grad_head_VW * grads[0].float(), None, None, None, None


PieceLoss = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor | None, Tensor]]
"""Takes the vectors of some tokens, the output matrix in their precision and targets; returns the gradient by the
logits before the cap, perhaps a factor of each token still to be applied to it, and two sums (see loss_and_gradient).
"""


def sum_pieces(x_NW: Tensor, head_VW: Tensor, targets_N: Tensor, loss: PieceLoss) -> tuple[Tensor, Tensor, Tensor]:
    """Return the two sums over all tokens, and the gradients by vectors and output matrix."""
    grad_x_NW, grad_head_VW = torch.empty_like(x_NW), torch.zeros_like(head_VW)
    cast_head_VW, size = head_VW.to(x_NW.dtype), piece_size(x_NW, head_VW)
    totals = torch.zeros(2, dtype=torch.float64, device=x_NW.device)
    for x, targets, grad_x in zip(*(torch.split(t, size) for t in (x_NW, targets_N, grad_x_NW)), strict=True):
        grad_NV, factor_N1, sums = loss(x, cast_head_VW, targets)
        totals += sums
        torch.mm(grad_NV, cast_head_VW, out=grad_x)
        if factor_N1 is not None:
            grad_x.mul_(factor_N1)
            x = x * factor_N1.to(x.dtype)
        add_product(grad_head_VW, grad_NV.mT, x)
    return totals, grad_x_NW, grad_head_VW


def in_place(x_NW: Tensor, head_VW: Tensor, cap: float | None, smoothing: float) -> PieceLoss:
    """Make what a CPU takes: few passes over rooms that all pieces use."""
    rooms = head_VW.new_empty(1 if cap is None else 2, min(PIECE, len(x_NW)), len(head_VW))

    def loss(x: Tensor, cast_head_VW: Tensor, targets: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        factor_N1 = x.new_empty(len(x), 1, dtype=torch.float32)
        product(x if cap is None else x * (2 / cap), cast_head_VW.mT, rooms[0, : len(x)])
        sums = loss_and_gradient(rooms[:, : len(x)], targets, cap, smoothing, factor_N1)
        return rooms[-1, : len(x)].to(x.dtype), factor_N1, sums

    return loss


def at_once(cap: float | None, smoothing: float, compiled: bool) -> PieceLoss:
    """Make what a GPU takes: all between the products in one function, which a compiler turns into two passes."""
    between = compiled_loss() if compiled else loss_at_once

    def loss(x: Tensor, cast_head_VW: Tensor, targets: Tensor) -> tuple[Tensor, None, Tensor]:
        grad_NV, sums = between(x @ cast_head_VW.mT, targets, cap, smoothing)
        return grad_NV, None, sums

    return loss


def loss_at_once(logits_NV: Tensor, targets_N: Tensor, cap: float | None, smoothing: float) -> tuple[Tensor, Tensor]:
    """Compute what loss_and_gradient does, in new tensors.

    Capped logits need no maximum taken off before exp, as long as that of the cap is finite; nor a true tanh.
    """
    z_NV, slope_NV = logits_NV.float(), None
    if cap is not None:
        share_NV = (z_NV * (2 / cap)).sigmoid()
        z_NV, slope_NV = (2 * cap) * share_NV - cap, 4 * share_NV * (1 - share_NV)
    if cap is not None and cap < SAFE:
        weight_NV = z_NV.exp()
        total_N1 = weight_NV.sum(1, keepdim=True)
        log_sum_N1, p_NV = total_N1.log(), weight_NV * total_N1.reciprocal()
    else:
        log_sum_N1 = z_NV.logsumexp(1, keepdim=True)
        p_NV = (z_NV - log_sum_N1).exp()
    at_target_N1 = z_NV.gather(1, targets_N[:, None])
    nats_N1 = objective_N1 = log_sum_N1 - at_target_N1
    hit_NV = torch.arange(z_NV.shape[1], device=z_NV.device) == targets_N[:, None]
    grad_NV = torch.where(hit_NV, p_NV - (1 - smoothing), p_NV)
    if smoothing:
        objective_N1 = nats_N1 + smoothing * (at_target_N1 - z_NV.mean(1, keepdim=True))
        grad_NV = grad_NV - smoothing / z_NV.shape[1]
    if slope_NV is not None:
        grad_NV = grad_NV * slope_NV
    return grad_NV.to(logits_NV.dtype), torch.cat((objective_N1, nats_N1), 1).sum(0, dtype=torch.float64)


@cache
def compiled_loss() -> Callable[[Tensor, Tensor, float | None, float], tuple[Tensor, Tensor]]:
    """Compile loss_at_once, once a process, with the GPU's own exp: 2 units in the last place, far below bf16's."""
    return torch.compile(loss_at_once, options={"use_fast_math": True})


def product(a: Tensor, b: Tensor, out: Tensor) -> None:
    """Write a @ b into a float32 matrix."""
    if a.dtype == out.dtype:
        torch.mm(a, b, out=out)
    else:
        out.copy_(torch.mm(a, b))


def add_product(total: Tensor, a: Tensor, b: Tensor) -> None:
    """Add a @ b to a float32 matrix."""
    if a.dtype == total.dtype:
        total.addmm_(a, b)
    else:
        total += a @ b


def loss_and_gradient(
    rooms: Tensor, targets_N: Tensor, cap: float | None, smoothing: float, factor_N1: Tensor
) -> Tensor:
    """Turn logits into the gradient by them, and return two sums over these tokens (float64).

    rooms[0] holds the logits, those to be capped times 2 / cap; rooms[-1] receives the gradient but for a factor of
    each token, left for `factor_N1` as it is cheaper to apply to vectors than to whole rows. The sums are those of the
    smoothed loss (1 - s) * -log p(target) + s / V * sum of -log p, and of -log p(target); the gradient of the first is
    softmax - (1 - s) * onehot - s / V, times that of the cap. c tanh(z / c) is 2c sigmoid(2z / c) - c, of which
    softmax does not see the last term: sigmoid takes a quarter of tanh's time. No maximum is taken off before exp where
    the cap keeps logits SAFE.
    """
    logits_NV, grad_NV = rooms[0], rooms[-1]
    targets_N1 = targets_N[:, None]
    if cap is not None:
        torch.mul(logits_NV.sigmoid_(), 2 * cap, out=grad_NV)
    if cap is None or 2 * cap > SAFE:
        grad_NV.sub_(grad_NV.amax(dim=1, keepdim=True))
    at_target_N1 = grad_NV.gather(1, targets_N1)
    mean_N1 = grad_NV.mean(dim=1, keepdim=True) if smoothing else at_target_N1
    sum_N1 = grad_NV.exp_().sum(dim=1, keepdim=True)
    nats_N1 = sum_N1.log() - at_target_N1
    objective_N1 = nats_N1 + smoothing * (at_target_N1 - mean_N1)
    grad_NV.scatter_add_(1, targets_N1, (smoothing - 1) * sum_N1)
    if smoothing:
        grad_NV.sub_(sum_N1 * (smoothing / grad_NV.shape[1]))
    torch.reciprocal(sum_N1, out=factor_N1)
    if cap is not None:
        torch.ops.aten.sigmoid_backward.grad_input(grad_NV, logits_NV, grad_input=grad_NV)
        factor_N1.mul_(4)
    return torch.cat((objective_N1, nats_N1), dim=1).sum(dim=0, dtype=torch.float64)


def summed_nll(
    x_NW: Tensor,
    head_VW: Tensor,
    targets_N: Tensor,
    cap: float | None,
    smoothing: float = 0.0,
    compiled: bool = False,
) -> tuple[Tensor, Tensor]:
    """Sum the smoothed loss, differentiable by x and head, and -log p(target) alone, in nats (float64).

    `compiled` compiles what lies between the products, on a GPU.
    """
    sums: tuple[Tensor, Tensor] = SummedLoss.apply(x_NW, head_VW, targets_N, cap, smoothing, compiled)  # type: ignore[no-untyped-call]  # torch leaves apply untyped
    return sums
