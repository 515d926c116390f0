"""The parts of a block on a CPU in float32, in pieces that stay in its caches.

Between matrix products a Transformer passes over its activations again and again. From main memory such a pass costs
as much as a good share of the products; from the cache next to nothing. Here each part works through some rows or
tokens at a time, forward and backward, computes again what is cheaper than to keep, and reuses its rooms: fresh memory
has to be zeroed by the kernel first. Other devices, and compiled blocks, have fused kernels of their own.

Shape letters: W width, I inner width, N tokens, R tokens of a piece.
"""

from typing import Any

import torch
from torch import Tensor

TOKENS = 1024
"""Tokens at once in the perceptron: 3 MB at an inner width of 768."""

Grads = tuple[Tensor | None, ...]


def in_pieces(x: Tensor) -> bool:
    """Say whether these functions serve this input."""
    return x.is_cpu and x.dtype == torch.float32 and not torch.compiler.is_compiling()


class RmsNorm(torch.autograd.Function):
    """x / sqrt(mean(x^2)) over the last dimension (Zhang and Sennrich 2019)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        scale = inverse_size(x)
        y = x * scale
        ctx.save_for_backward(y, scale)
        return y

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        y, scale = ctx.saved_tensors
        return along_sphere(grads[0], y, (grads[0] * y).mean(-1, keepdim=True)).mul_(scale)


def inverse_size(x: Tensor) -> Tensor:
    """Compute 1 / sqrt(mean(x^2)) of vectors in the last dimension, which is kept."""
    norm = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
    scale: Tensor = norm.square_().div_(x.shape[-1]).add_(torch.finfo(x.dtype).eps).rsqrt_()
    return scale


def along_sphere(grad: Tensor, y: Tensor, share: Tensor) -> Tensor:
    """Take from a gradient its share along y."""
    return torch.addcmul(grad, y, share, value=-1)


class Relu2(torch.autograd.Function):
    """The perceptron relu(x @ in)^2 @ out (So et al. 2021); it keeps relu(x @ in) alone."""

    @staticmethod
    def forward(ctx: Any, x_NW: Tensor, in_IW: Tensor, out_WI: Tensor) -> Tensor:
        kept_NI, y_NW = x_NW.new_empty(len(x_NW), len(in_IW)), torch.empty_like(x_NW)
        room_RI = x_NW.new_empty(min(TOKENS, len(x_NW)), len(in_IW))
        for x, kept, y in zip(*(torch.split(t, TOKENS) for t in (x_NW, kept_NI, y_NW)), strict=True):
            torch.mm(x, in_IW.mT, out=kept).relu_()
            torch.mm(torch.mul(kept, kept, out=room_RI[: len(x)]), out_WI.mT, out=y)
        ctx.save_for_backward(x_NW, in_IW, out_WI, kept_NI)
        return y_NW

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Grads:
        x_NW, in_IW, out_WI, kept_NI = ctx.saved_tensors
        grad_x_NW, grad_in_IW, grad_out_WI = (
            torch.empty_like(x_NW),
            torch.zeros_like(in_IW),
            torch.zeros_like(out_WI),
        )
        room_RI = x_NW.new_empty(min(TOKENS, len(x_NW)), len(in_IW))
        pieces = zip(*(torch.split(t, TOKENS) for t in (x_NW, kept_NI, grads[0].contiguous(), grad_x_NW)), strict=True)
        for x, kept, grad, grad_x in pieces:
            room = room_RI[: len(x)]
            grad_out_WI.addmm_(grad.mT, torch.mul(kept, kept, out=room))
            torch.mm(grad * 2, out_WI, out=room).mul_(kept)
            grad_in_IW.addmm_(room.mT, x)
            torch.mm(room, in_IW, out=grad_x)
        return grad_x_NW, grad_in_IW, grad_out_WI
