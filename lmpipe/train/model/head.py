"""The output layer and its loss, in pieces that stay small.

A plain cross-entropy keeps several (tokens, vocabulary) matrices between forward and backward: with 4096
tokens and 8192 words that is 134 MB each, and the layer is bound by memory traffic. Here the loss and its
gradient are computed piece by piece in one pass and only the gradients of the inputs are kept
(the idea of "Cut Your Losses", Wijmans et al. 2024, section 4, and of Liger-Kernel, Hsu et al. 2024);
measured about twice as fast on 2 busy CPU threads (3.6 s against 1.5 to 1.7 s, 2026-11).

Shape letters: N tokens, W width, V vocabulary.
"""

from typing import Any

import torch
from torch import Tensor

PIECE = 512
"""Tokens at a time: pieces of 512 and 1024 did best; smaller ones touch the whole gradient too often."""


def logits(x_NW: Tensor, head_VW: Tensor, cap: float | None) -> Tensor:
    """Compute the logits of each token; `cap` bends them smoothly into (-cap, cap) (Gemma 2, 2024, section 2)."""
    logits_NV = x_NW @ head_VW.mT
    return logits_NV if cap is None else cap * torch.tanh(logits_NV / cap)


def token_nll(x_NW: Tensor, head_VW: Tensor, targets_N: Tensor, cap: float | None) -> Tensor:
    """Compute -log p(target) of each token in nats, in float32; not differentiable on its own."""
    pieces = []
    for x, targets in zip(torch.split(x_NW, PIECE), torch.split(targets_N, PIECE), strict=True):
        log_p = torch.log_softmax(logits(x, head_VW, cap).float(), dim=-1)
        pieces.append(-log_p.gather(1, targets[:, None]).squeeze(1))
    return torch.cat(pieces)


class SummedLoss(torch.autograd.Function):
    """Sum of -log p(target) over all tokens, with both gradients computed on the way."""

    @staticmethod
    def forward(ctx: Any, x_NW: Tensor, head_VW: Tensor, targets_N: Tensor, cap: float | None) -> Tensor:
        grad_x_NW, grad_head_VW = torch.empty_like(x_NW), torch.zeros_like(head_VW)
        total = torch.zeros((), dtype=torch.float64, device=x_NW.device)
        rooms = x_NW.new_empty(2, min(PIECE, len(x_NW)), len(head_VW))
        for start in range(0, len(x_NW), PIECE):
            piece = slice(start, start + PIECE)
            nll, grad_NV = loss_and_gradient(x_NW[piece], head_VW, targets_N[piece], cap, rooms)
            total += nll
            torch.mm(grad_NV, head_VW, out=grad_x_NW[piece])
            grad_head_VW.addmm_(grad_NV.mT, x_NW[piece])
        ctx.save_for_backward(grad_x_NW, grad_head_VW)
        return total

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        grad_x_NW, grad_head_VW = ctx.saved_tensors
        scale = grads[0].to(grad_x_NW.dtype)
        return grad_x_NW * scale, grad_head_VW * scale, None, None


def loss_and_gradient(
    x_NW: Tensor, head_VW: Tensor, targets_N: Tensor, cap: float | None, rooms: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the summed loss of a piece (float64) and its gradient by the uncapped logits.

    d loss / d logit = softmax - onehot, times 1 - tanh^2 where the logits are capped. All work is done in
    `rooms`, two matrices that the pieces share: with fresh memory, page faults cost as much as the products.
    """
    logits_NV, grad_NV = rooms[:, : len(x_NW)]
    torch.mm(x_NW, head_VW.mT, out=logits_NV)
    if cap is not None:
        logits_NV.div_(cap).tanh_()
        torch.mul(logits_NV, cap, out=grad_NV)
    torch.log_softmax(grad_NV if cap is not None else logits_NV, dim=-1, out=grad_NV)
    targets_N1 = targets_N[:, None]
    nll = -grad_NV.gather(1, targets_N1).sum(dtype=torch.float64)
    grad_NV.exp_().scatter_add_(1, targets_N1, torch.full_like(targets_N1, -1, dtype=grad_NV.dtype))
    if cap is not None:
        grad_NV.mul_(logits_NV.square_().neg_().add_(1))
    return nll, grad_NV


def summed_nll(x_NW: Tensor, head_VW: Tensor, targets_N: Tensor, cap: float | None) -> Tensor:
    """Sum -log p(target) over all tokens in nats (float64), differentiable by x and head."""
    loss: Tensor = SummedLoss.apply(x_NW, head_VW, targets_N, cap)  # type: ignore[no-untyped-call]  # torch leaves apply untyped
    return loss
