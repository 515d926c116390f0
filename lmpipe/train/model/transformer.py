"""A decoder-only Transformer whose parts are fields of the recipe: from GPT-2 to what the speed-run records kept.

With the document mask a position attends to its own document only; rotary embedding enters attention
through differences of positions alone, so a document scores the same wherever it lies in a row.

Shape letters: B rows, T positions, P positions before them (in the state), R positions of a block, S positions up to
its last, W width, H heads, D head width, V vocabulary.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lmpipe.settings import TransformerSettings
from lmpipe.train.model import pieces
from lmpipe.train.model.base import LanguageModel, Linear, State

BASE = 10_000.0
"""Slowest rotary wavelength over 2 pi, in positions (Su et al. 2021, section 3.2.2)."""

BLOCK = 128
"""Positions at a time in attention_in_blocks."""

SHORT = 256
"""Longest rows that it serves: the memory grows with their square."""

Turn = tuple[Tensor, Tensor]
"""What rotates positions, shape (T, D) each, or (T, 1, D) for all heads of a position: the cosines of d and d + D / 2,
and their sines, with a minus for d."""

KeysValues = tuple[Tensor, Tensor]
"""A layer's state, shape (B, H, P, D) each."""


def rotary(first: int, length: int, width: int, device: torch.device) -> Turn:
    """Compute the turn of positions first ... first + length - 1 (Su et al. 2021, equation 15)."""
    frequency = BASE ** (-torch.arange(0, width, 2, dtype=torch.float32, device=device) / width)
    angle_TD = torch.arange(first, first + length, dtype=torch.float32, device=device)[:, None] * frequency
    cos_TD, sin_TD = angle_TD.cos(), angle_TD.sin()
    return torch.cat((cos_TD, cos_TD), dim=-1), torch.cat((-sin_TD, sin_TD), dim=-1)


def rotate(x: Tensor, turn: Turn) -> Tensor:
    """Turn pairs (d, d + D / 2) of the last dimension by the angle of their position.

    Whole vectors at a time: out of halves, a compiler makes more passes.
    """
    cos, sin = (values.to(x.dtype) for values in turn)
    swapped = x.view(*x.shape[:-1], 2, -1).flip(-2).flatten(-2)
    return x * cos + swapped * sin


def rms_norm(x: Tensor) -> Tensor:
    """RMSNorm over the last dimension, without gain (Zhang and Sennrich 2019)."""
    if pieces.in_pieces(x):
        y: Tensor = pieces.RmsNorm.apply(x)  # type: ignore[no-untyped-call]  # torch leaves apply untyped
        return y
    return F.rms_norm(x, (x.shape[-1],))


class Packed(NamedTuple):
    """The documents of a batch, row after row, as FlashAttention takes sequences of different lengths."""

    bounds_N: Tensor
    """int32: position of the first token of each among all positions of the batch, and their number."""
    longest: int
    """Tokens that the longest can have."""


def packed(documents_BT: Tensor) -> Packed:
    """Find where documents begin: at the start of a row, and where the number changes."""
    rows, length = documents_BT.shape
    first_BT = torch.ones_like(documents_BT, dtype=torch.bool)
    first_BT[:, 1:] = documents_BT[:, 1:] != documents_BT[:, :-1]
    starts_N = first_BT.flatten().nonzero().flatten()
    return Packed(F.pad(starts_N, (0, 1), value=rows * length).to(torch.int32), length)


def packed_attention(q_BHTD: Tensor, k_BHTD: Tensor, v_BHTD: Tensor, documents: Packed) -> Tensor:
    """Attend within each document alone, without a mask to read or a masked product to make: y_BHTD."""
    from torch.nn.attention.varlen import varlen_attn  # half a second of imports that only a GPU pays

    q, k, v = (x_BHTD.transpose(1, 2).flatten(0, 1) for x_BHTD in (q_BHTD, k_BHTD, v_BHTD))
    bounds = documents.bounds_N, documents.bounds_N, documents.longest, documents.longest
    y = varlen_attn(q, k, v, *bounds, window_size=(-1, 0))
    assert isinstance(y, Tensor), "what else it computes was not asked for"
    return y.view(*q_BHTD.transpose(1, 2).shape).transpose(1, 2)


def in_blocks(k_BHTD: Tensor, length: int) -> bool:
    """Say whether attention_in_blocks serves so many new positions under an additive mask."""
    return torch.compiler.is_compiling() and k_BHTD.is_cpu and k_BHTD.shape[2] == length <= SHORT


def attention_in_blocks(q_BHTD: Tensor, k_BHTD: Tensor, v_BHTD: Tensor, mask_B1TT: Tensor) -> Tensor:
    """Attend from BLOCK positions at a time to all up to them: y_BHTD.

    What torch.compile makes of it on a CPU takes nine tenths of the time of torch's own kernel, for the memory of the
    weights of three quarters of the pairs of positions (rows of 256, heads of 32).
    """
    q_BHTD, mixed = q_BHTD * q_BHTD.shape[-1] ** -0.5, []
    for first in range(0, q_BHTD.shape[2], BLOCK):
        new, seen = slice(first, first + BLOCK), slice(first + BLOCK)
        scores_BHRS = q_BHTD[:, :, new] @ k_BHTD[:, :, seen].mT + mask_B1TT[:, :, new, seen]
        mixed.append(scores_BHRS.softmax(-1) @ v_BHTD[:, :, seen])
    return torch.cat(mixed, dim=2)


def attention_mask(documents_BT: Tensor) -> Tensor:
    """Build the additive mask (B, 1, T, T): 0 where a position may look, -inf elsewhere.

    Additive and built once per batch: a boolean one is turned into this again in every layer.
    """
    length = documents_BT.shape[1]
    same_BTT = documents_BT[:, :, None] == documents_BT[:, None, :]
    allowed_BTT = same_BTT & torch.ones(length, length, dtype=torch.bool, device=same_BTT.device).tril()
    return torch.zeros(allowed_BTT.shape, device=same_BTT.device).masked_fill_(~allowed_BTT, float("-inf"))[:, None]


Mask = Tensor | Packed | None
"""Where a position may look: an additive mask (B, 1, T, P + T) or a boolean one (T, P + T); within its document; or
anywhere before it."""


class LayerNorm(nn.LayerNorm):
    """LayerNorm computed in float32, returned in the precision of its input."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.float()).to(x.dtype)


class RmsNorm(nn.Module):
    """RMSNorm without gain, as a module."""

    def forward(self, x: Tensor) -> Tensor:
        return rms_norm(x)


def make_norm(settings: TransformerSettings) -> nn.Module:
    """Make the norm that the settings name."""
    return RmsNorm() if settings.norm == "rms" else LayerNorm(settings.width)


class Mlp(nn.Module):
    """The perceptron of a block; SwiGLU's two inputs take two thirds of the width each, so that all have one size."""

    def __init__(self, settings: TransformerSettings) -> None:
        super().__init__()
        self.kind, width = settings.mlp, settings.width
        gated = self.kind == "swiglu"
        inner = -(-8 * width // (3 * 8)) * 8 if gated else 4 * width
        self.mlp_in = Linear(width, inner * (2 if gated else 1), bias=settings.bias)
        self.mlp_out = Linear(inner, width, bias=settings.bias)

    def forward(self, x_BTW: Tensor) -> Tensor:
        if self.kind == "relu2" and self.mlp_in.bias is None and pieces.in_pieces(x_BTW):
            weights = self.mlp_in.weight, self.mlp_out.weight
            y_NW: Tensor = pieces.Relu2.apply(x_BTW.flatten(0, 1), *weights)
            return y_NW.view_as(x_BTW)
        x = self.mlp_in(x_BTW)
        if self.kind == "swiglu":
            gate, value = x.chunk(2, dim=-1)
            x = F.silu(gate) * value
        else:
            x = F.relu(x).square() if self.kind == "relu2" else F.gelu(x, approximate="tanh")
        mixed: Tensor = self.mlp_out(x)
        return mixed


class Attention(nn.Module):
    """Causal self-attention over a row, after what the state holds of it."""

    def __init__(self, settings: TransformerSettings, vocabulary: int, with_values: bool) -> None:
        super().__init__()
        width = settings.width
        self.heads, self.qk_norm = settings.heads, settings.qk_norm
        self.attention_in = Linear(width, 3 * width, bias=settings.bias)
        self.attention_out = Linear(width, width, bias=settings.bias)
        self.value_embedding = nn.Embedding(vocabulary, width) if with_values else None
        self.value_scale = nn.Parameter(torch.full((1,), 0.5)) if with_values else None

    def forward(
        self,
        x_BTW: Tensor,
        ids_BT: Tensor,
        turn: Turn | None,
        mask: Mask,
        before: KeysValues | None,
    ) -> tuple[Tensor, KeysValues | None]:
        rows, length, width = x_BTW.shape
        # In the order in which the product leaves them: any other costs a compiler more passes over their gradients.
        parts_BTW = self.attention_in(x_BTW).chunk(3, dim=-1)
        q_BTHD, k_BTHD, v_BTHD = (part_BTW.view(rows, length, self.heads, -1) for part_BTW in parts_BTW)
        if self.qk_norm:
            q_BTHD, k_BTHD = rms_norm(q_BTHD), rms_norm(k_BTHD)
        if turn is not None:
            q_BTHD, k_BTHD = rotate(q_BTHD, turn), rotate(k_BTHD, turn)
        if self.value_embedding is not None and self.value_scale is not None:
            extra_BTW = self.value_embedding(ids_BT).to(x_BTW.dtype) * self.value_scale.to(x_BTW.dtype)
            v_BTHD = v_BTHD + extra_BTW.view_as(v_BTHD)
        q_BHTD, k_BHTD, v_BHTD = (part_BTHD.transpose(1, 2) for part_BTHD in (q_BTHD, k_BTHD, v_BTHD))
        if before is not None:
            k_BHTD, v_BHTD = torch.cat((before[0], k_BHTD), dim=2), torch.cat((before[1], v_BHTD), dim=2)
        if isinstance(mask, Packed):
            y_BHTD = packed_attention(q_BHTD, k_BHTD, v_BHTD, mask)
        elif mask is not None and in_blocks(k_BHTD, length):
            y_BHTD = attention_in_blocks(q_BHTD, k_BHTD, v_BHTD, mask)
        else:
            causal = mask is None and k_BHTD.shape[2] == length > 1
            y_BHTD = F.scaled_dot_product_attention(q_BHTD, k_BHTD, v_BHTD, attn_mask=mask, is_causal=causal)
        kept = None if before is None else (k_BHTD, v_BHTD)  # for what it returns a compiled block gets gradients
        return self.attention_out(y_BHTD.transpose(1, 2).reshape(rows, length, width)), kept


class Block(nn.Module):
    """Attention, then a perceptron, each on a normalised residual branch."""

    def __init__(self, settings: TransformerSettings, vocabulary: int, with_values: bool) -> None:
        super().__init__()
        self.attention_norm, self.mlp_norm = make_norm(settings), make_norm(settings)
        self.attention, self.mlp = Attention(settings, vocabulary, with_values), Mlp(settings)
        self.dropout = nn.Dropout(settings.dropout)

    def forward(
        self,
        x_BTW: Tensor,
        ids_BT: Tensor,
        turn: Turn | None,
        mask: Mask,
        before: KeysValues | None,
    ) -> tuple[Tensor, KeysValues | None]:
        mixed_BTW, after = self.attention(self.attention_norm(x_BTW), ids_BT, turn, mask, before)
        x_BTW = x_BTW + self.dropout(mixed_BTW)
        return x_BTW + self.dropout(self.mlp(self.mlp_norm(x_BTW))), after


class Transformer(LanguageModel):
    """Embedding, blocks, output."""

    recompute = False
    """Whether the backward pass computes the activations of blocks again instead of finding them kept."""

    def __init__(self, settings: TransformerSettings, vocabulary: int) -> None:
        super().__init__()
        self.settings, self.cap = settings, settings.logit_cap
        self.embedding = nn.Embedding(vocabulary, settings.width)
        self.positions = nn.Embedding(settings.positions, settings.width) if settings.positions else None
        self.dropout = nn.Dropout(settings.dropout)
        self.input_norm = make_norm(settings) if settings.embedding_norm else nn.Identity()
        self.blocks = nn.ModuleList(
            Block(settings, vocabulary, settings.value_embeddings and number % 2 == 1)
            for number in range(settings.layers)
        )
        self.output_norm = make_norm(settings)
        self.head_VW = self.embedding.weight if settings.tied else nn.Parameter(torch.empty(vocabulary, settings.width))
        self.initialise()

    @torch.no_grad()
    def initialise(self) -> None:
        """Draw weights: inputs of variance 1 / fan-in and outputs of branches at zero (nanochat), or GPT-2's."""
        width, layers, zero = self.settings.width, self.settings.layers, self.settings.zero_init
        self.embedding.weight.normal_(std=0.02)
        if self.positions is not None:
            self.positions.weight.normal_(std=0.01)
        if not self.settings.tied:
            self.head_VW.zero_() if zero else self.head_VW.normal_(std=0.02)
        bound = (3 / width) ** 0.5
        for name, weight in self.blocks.named_parameters():
            if name.endswith("bias"):
                weight.zero_()
            elif name.endswith("_out.weight"):  # GPT-2 section 2.3: 1 / sqrt(2 * layers)
                weight.zero_() if zero else weight.normal_(std=0.02 / (2 * layers) ** 0.5)
            elif name.endswith(("_in.weight", "value_embedding.weight")):
                weight.uniform_(-bound, bound) if zero else weight.normal_(std=0.02)

    def hidden(
        self, ids_BT: Tensor, documents_BT: Tensor | None = None, state: State | None = None
    ) -> tuple[Tensor, State | None]:
        """Compute x_BTW; with document_mask set, documents of a row do not see each other."""
        past = state[0][0].shape[2] if state else 0
        turn, mask = self.turn(ids_BT, past), self.mask(ids_BT, documents_BT, past)
        x_BTW = self.embedded(ids_BT, past)
        after: State = []
        for number, block in enumerate(self.blocks):
            before = state[number] if state is not None else None
            x_BTW, kept = self.run_block(block, x_BTW, ids_BT, turn, mask, before)
            if kept is not None:
                after.append(kept)
        return self.output_norm(x_BTW), after if state is not None else None

    def run_block(
        self,
        block: nn.Module,
        x_BTW: Tensor,
        ids_BT: Tensor,
        turn: Turn | None,
        mask: Mask,
        before: KeysValues | None,
    ) -> tuple[Tensor, KeysValues | None]:
        """Run one block, with or without keeping its activations for the backward pass."""
        if self.recompute and self.training:
            from torch.utils.checkpoint import checkpoint  # a second of imports that only this way pays

            again: tuple[Tensor, KeysValues | None] = checkpoint(
                block, x_BTW, ids_BT, turn, mask, before, use_reentrant=False
            )
            return again
        ran: tuple[Tensor, KeysValues | None] = block(x_BTW, ids_BT, turn, mask, before)
        return ran

    def packed(self, documents_BT: Tensor) -> Packed:
        """Find the documents; their number changes from batch to batch, for which nothing is to be compiled anew."""
        documents = packed(documents_BT)
        if self.compiled:
            torch._dynamo.maybe_mark_dynamic(documents.bounds_N, 0)
        return documents

    def compile_parts(self) -> None:
        """Compile the blocks, which share one program, and the loss."""
        super().compile_parts()
        for block in self.blocks:
            block.compile()

    def begin(self, rows: int) -> State:
        """Return keys and values of no position, shape (B, H, 0, D) for each layer."""
        shape = rows, self.settings.heads, 0, self.settings.width // self.settings.heads
        return [(torch.zeros(shape, dtype=self.precision, device=self.head_VW.device),) * 2 for _ in self.blocks]

    def embedded(self, ids_BT: Tensor, past: int) -> Tensor:
        """Embed ids and, where they are learned, positions."""
        x_BTW = self.embedding(ids_BT)
        if self.positions is not None:
            places_T = torch.arange(past, past + ids_BT.shape[1], device=ids_BT.device)
            x_BTW = x_BTW + self.positions(places_T)
        dropped: Tensor = self.dropout(self.input_norm(x_BTW.to(self.precision)))
        return dropped

    def turn(self, ids_BT: Tensor, past: int) -> Turn | None:
        """Compute the rotary turn of the positions, where they are rotary."""
        if self.settings.positions is not None:
            return None
        cos_TD, sin_TD = rotary(past, ids_BT.shape[1], self.settings.width // self.settings.heads, ids_BT.device)
        return cos_TD[:, None], sin_TD[:, None]

    def mask(self, ids_BT: Tensor, documents_BT: Tensor | None, past: int) -> Mask:
        """Build the mask where a plain causal one does not do: several documents in a row, or several new positions
        behind old ones."""
        if documents_BT is not None and self.settings.document_mask:
            assert not past, "rows of several documents are scored whole, not in pieces"
            if ids_BT.is_cuda and self.precision == torch.bfloat16:
                return self.packed(documents_BT)
            return attention_mask(documents_BT).to(self.precision)
        length = ids_BT.shape[1]
        if not past or length == 1:
            return None
        return torch.ones(length, past + length, dtype=torch.bool, device=ids_BT.device).tril(past)
