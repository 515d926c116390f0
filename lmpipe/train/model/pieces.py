"""The parts of a block on a CPU in float32, in pieces that stay in its caches.

Between matrix products a Transformer passes over its activations again and again. From main memory such a pass costs
as much as a good share of the products; from the cache next to nothing. Here each part works through some rows or
tokens at a time, forward and backward, computes again what is cheaper than to keep, and reuses its rooms: fresh memory
has to be zeroed by the kernel first. Other devices, and compiled blocks, have fused kernels of their own.

Shape letters: B rows, T positions, W width, I inner width, H heads, D head width, N tokens, R tokens of a piece.
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


class Heads(torch.autograd.Function):
    """Queries and keys, normalised and turned, and values, from one projection, each in one block of memory: attention
    on a CPU takes half as long again from a view of the projection."""

    @staticmethod
    def forward(ctx: Any, qkv_BT3HD: Tensor, cos_TD: Tensor, sin_TD: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        rows, length, _, heads, width = qkv_BT3HD.shape
        heads_3BHTD = qkv_BT3HD.new_empty(3, rows, heads, length, width)
        scale_2BHT1 = qkv_BT3HD.new_empty(2, rows, heads, length, 1)
        parts_3BHTD = qkv_BT3HD.permute(2, 0, 3, 1, 4)
        for row in range(rows):
            x, y, scale = parts_3BHTD[:, row], heads_3BHTD[:, row], scale_2BHT1[:, row]
            turned(x[:2], cos_TD, sin_TD, y[:2])
            y[:2].mul_(scale.copy_(inverse_size(y[:2])))
            y[2].copy_(x[2])
        q_BHTD, k_BHTD, v_BHTD = heads_3BHTD.unbind()
        ctx.save_for_backward(q_BHTD, k_BHTD, scale_2BHT1, cos_TD, sin_TD)
        return q_BHTD, k_BHTD, v_BHTD

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Grads:
        q_BHTD, k_BHTD, scale_2BHT1, cos_TD, sin_TD = ctx.saved_tensors
        rows, heads, length, width = q_BHTD.shape
        grad_BT3HD = q_BHTD.new_empty(rows, length, 3, heads, width)
        grad_3BHTD = grad_BT3HD.permute(2, 0, 3, 1, 4)
        for row in range(rows):
            for part, y_BHTD in enumerate((q_BHTD, k_BHTD)):
                y_HTD, grad_HTD = y_BHTD[row], grads[part][row]
                flat_HTD = along_sphere(grad_HTD, y_HTD, (grad_HTD * y_HTD).mean(-1, keepdim=True))
                turned(flat_HTD.mul_(scale_2BHT1[part, row]), cos_TD, -sin_TD, grad_3BHTD[part, row])
            grad_3BHTD[2, row].copy_(grads[2][row])
        return grad_BT3HD, None, None


def turned(x: Tensor, cos_TD: Tensor, sin_TD: Tensor, out: Tensor) -> None:
    """Turn pairs (d, d + D / 2) of (..., T, D) by the angle of their position."""
    half = cos_TD.shape[1]
    torch.mul(x[..., :half], cos_TD, out=out[..., :half]).addcmul_(x[..., half:], sin_TD, value=-1)
    torch.mul(x[..., half:], cos_TD, out=out[..., half:]).addcmul_(x[..., :half], sin_TD)
