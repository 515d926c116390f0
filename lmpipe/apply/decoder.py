"""Step models token by token: prompts in, then one token a row and step, with what came before kept.

A step of a small batch is bound by reading weights and by Python, so the Transformer's is written for it: weights
laid out once for products with few rows, keys and values in memory taken once, no module calls. On 2 cores of an
AMD EPYC, one thread, 12 layers of 768 (2026-11): one row reads transposed weights (a product of 768 x 3072 in 0.27 ms,
by the training's layout 0.71), several take oneDNN's packed weights (8 rows by the head of 50,257: 23 ms against 56).

Shape letters: B rows, T positions, W width, H heads, D head width, N outputs, V vocabulary.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lmpipe.train.model import LanguageModel, State, Transformer, head
from lmpipe.train.model.transformer import Attention, Block, Mlp, rms_norm, rotary, rotate

Map = Callable[[Tensor], Tensor]
"""From vectors (B, W) to vectors."""


class Decoder(Protocol):
    """Some texts that grow side by side."""

    def start(self, prompts: Sequence[Sequence[int]]) -> Tensor:
        """Take the prompts, each of one token or more; return the logits (B, V) behind each."""
        ...

    def step(self, ids_B: Tensor) -> Tensor:
        """Append a token to each row; return the logits (B, V) behind it."""
        ...

    def keep(self, rows_B: Tensor) -> None:
        """Go on with these rows, in this order; a row may be kept several times."""
        ...


class StateDecoder:
    """Any model through its own `next_logits`: the LSTM's decoder, and the yardstick of the Transformer's."""

    def __init__(self, model: LanguageModel) -> None:
        self.model, self.state = model, model.begin(0)

    @torch.inference_mode()
    def start(self, prompts: Sequence[Sequence[int]]) -> Tensor:
        """See Decoder."""
        logits_BV, states = prefill(self.model, prompts)
        self.state = [
            (torch.cat([first for first, _ in layer]), torch.cat([second for _, second in layer]))
            for layer in zip(*states, strict=True)
        ]
        return logits_BV

    @torch.inference_mode()
    def step(self, ids_B: Tensor) -> Tensor:
        """See Decoder."""
        logits_BV, self.state = self.model.next_logits(ids_B[:, None], self.state)
        return logits_BV

    @torch.inference_mode()
    def keep(self, rows_B: Tensor) -> None:
        """See Decoder."""
        self.state = [(first[rows_B], second[rows_B]) for first, second in self.state]


def prefill(model: LanguageModel, prompts: Sequence[Sequence[int]]) -> tuple[Tensor, list[State]]:
    """Run prompts through a model, those of one length together; return logits (B, V) and a state for each."""
    rooms: dict[int, Tensor] = {}
    states: dict[int, State] = {}
    for length in sorted({len(prompt) for prompt in prompts}):
        rows = [row for row, prompt in enumerate(prompts) if len(prompt) == length]
        ids_BT = torch.tensor([list(prompts[row]) for row in rows], device=model.head_VW.device)
        logits_BV, state = model.next_logits(ids_BT, model.begin(len(rows)))
        for place, row in enumerate(rows):
            rooms[row] = logits_BV[place]
            states[row] = [(first[place : place + 1], second[place : place + 1]) for first, second in state]
    return torch.stack([rooms[row] for row in range(len(prompts))]), [states[row] for row in range(len(prompts))]


class Layer:
    """A block's weights as a step uses them."""

    def __init__(self, block: Block, rows: int) -> None:
        attention, mlp = block.attention, block.mlp
        self.attention_norm, self.mlp_norm = norm(block.attention_norm), norm(block.mlp_norm)
        self.attention_in = product(attention.attention_in.weight, attention.attention_in.bias, rows)
        self.attention_out = product(attention.attention_out.weight, attention.attention_out.bias, rows)
        self.mlp_in = product(mlp.mlp_in.weight, mlp.mlp_in.bias, rows)
        self.mlp_out = product(mlp.mlp_out.weight, mlp.mlp_out.bias, rows)
        self.bend, self.extra = activation(mlp), extra_values(attention)


class Weights:
    """A Transformer laid out for steps of one row, or of several; made once, used by many decoders."""

    @torch.inference_mode()
    def __init__(self, model: Transformer, rows: int) -> None:
        self.model = model
        self.layers = [Layer(block, rows) for block in blocks_of(model)]
        self.input_norm, self.output_norm = norm(model.input_norm), norm(model.output_norm)
        self.head = product(model.head_VW, None, rows)


def blocks_of(model: Transformer) -> list[Block]:
    """List a model's blocks under their type, which torch's list of modules does not keep."""
    return [block for block in model.blocks if isinstance(block, Block)]


def product(weight_NW: Tensor, bias: Tensor | None, rows: int) -> Map:
    """Lay out a linear map for few rows on a CPU; the numbers are those of F.linear up to rounding."""
    weight_NW, bias = weight_NW.detach(), None if bias is None else bias.detach()
    if weight_NW.device.type != "cpu" or not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return lambda x: F.linear(x, weight_NW, bias)
    if rows == 1:
        weight_WN = weight_NW.t().contiguous()
        bias_1N = None if bias is None else bias[None]  # of the result's shape, or each product expands it
        return lambda x: x @ weight_WN if bias_1N is None else torch.addmm(bias_1N, x, weight_WN)
    packed = torch.ops.mkldnn._reorder_linear_weight(weight_NW, rows)
    linear = torch.ops.mkldnn._linear_pointwise.default  # what torch.compile makes of a linear map on CPUs
    return lambda x: linear(x, packed, bias, "none", [], "")


def norm(module: nn.Module) -> Map:
    """Read a norm; none for a model that does not normalise there."""
    if isinstance(module, nn.LayerNorm):
        shape, weight, bias, eps = module.normalized_shape, module.weight.detach(), module.bias.detach(), module.eps
        return lambda x: torch.layer_norm(x, shape, weight, bias, eps)
    return (lambda x: x) if isinstance(module, nn.Identity) else rms_norm


def activation(mlp: Mlp) -> Map:
    """Read what a perceptron does between its two maps."""
    if mlp.kind == "swiglu":
        return gated
    return (lambda x: F.relu(x).square()) if mlp.kind == "relu2" else (lambda x: F.gelu(x, approximate="tanh"))


def gated(x: Tensor) -> Tensor:
    """SwiGLU's product."""
    gate, value = x.chunk(2, dim=-1)
    return F.silu(gate) * value


def extra_values(attention: Attention) -> Map | None:
    """Read the embedding that is added to a block's values, where it has one: ids (B) to vectors (B, W)."""
    if attention.value_embedding is None or attention.value_scale is None:
        return None
    table_VW = attention.value_embedding.weight.detach() * attention.value_scale.detach()
    return lambda ids_B: table_VW[ids_B]


class TransformerDecoder:
    """A Transformer step by step; rows of different length stand flush left in their rooms, under a mask."""

    def __init__(self, weights: Weights, length: int) -> None:
        self.weights, self.model, self.length = weights, weights.model, length
        self.settings = self.model.settings
        self.width = self.settings.width // self.settings.heads
        device = self.model.head_VW.device
        self.turn = rotary(0, length, self.width, device) if self.settings.positions is None else None
        self.rooms: State = []
        self.lengths_B = torch.zeros(0, dtype=torch.long, device=device)

    @torch.inference_mode()
    def start(self, prompts: Sequence[Sequence[int]]) -> Tensor:
        """See Decoder."""
        logits_BV, states = prefill(self.model, prompts)
        shape = len(prompts), self.settings.heads, self.length, self.width
        self.rooms = [(logits_BV.new_zeros(shape), logits_BV.new_zeros(shape)) for _ in self.weights.layers]
        self.lengths_B = torch.tensor([len(prompt) for prompt in prompts], device=logits_BV.device)
        for row, state in enumerate(states):
            for rooms, kept in zip(self.rooms, state, strict=True):
                for room, values in zip(rooms, kept, strict=True):
                    room[row, :, : values.shape[2]] = values[0]
        return logits_BV

    @torch.inference_mode()
    def keep(self, rows_B: Tensor) -> None:
        """See Decoder."""
        self.rooms = [(keys[rows_B], values[rows_B]) for keys, values in self.rooms]
        self.lengths_B = self.lengths_B[rows_B]

    @torch.inference_mode()
    def step(self, ids_B: Tensor) -> Tensor:
        """See Decoder."""
        weights, at_B = self.weights, self.lengths_B
        shortest, longest = (int(value) for value in at_B.aminmax())
        place = longest if shortest == longest else None
        mask = None
        if place is None:
            mask = (torch.arange(longest + 1, device=at_B.device) <= at_B[:, None])[:, None, None]
        turn = None
        if self.turn is not None:
            turn = self.turn[0][at_B][:, None, None], self.turn[1][at_B][:, None, None]
        x_BW = self.model.embedding.weight[ids_B]
        if self.model.positions is not None:
            x_BW = x_BW + self.model.positions.weight[at_B]
        x_BW = weights.input_norm(x_BW)
        for layer, rooms in zip(weights.layers, self.rooms, strict=True):
            q_BHD = self.written(layer, rooms, x_BW, ids_B, turn, place)
            keys_BHTD, values_BHTD = rooms[0][:, :, : longest + 1], rooms[1][:, :, : longest + 1]
            y_BH1D = F.scaled_dot_product_attention(q_BHD[:, :, None], keys_BHTD, values_BHTD, attn_mask=mask)
            x_BW = layer.attention_out(y_BH1D.reshape(x_BW.shape)).add_(x_BW)
            x_BW = layer.mlp_out(layer.bend(layer.mlp_in(layer.mlp_norm(x_BW)))).add_(x_BW)
        self.lengths_B = at_B + 1
        return head.capped(weights.head(weights.output_norm(x_BW)), self.model.cap)

    def written(
        self,
        layer: Layer,
        rooms: tuple[Tensor, Tensor],
        x_BW: Tensor,
        ids_B: Tensor,
        turn: tuple[Tensor, Tensor] | None,
        place: int | None,
    ) -> Tensor:
        """Write the new keys and values of a layer at each row's end, or at the `place` of all; return the queries."""
        qkv = layer.attention_in(layer.attention_norm(x_BW)).view(len(x_BW), 3, self.settings.heads, self.width)
        qk, v_BHD = qkv[:, :2], qkv[:, 2]
        if layer.extra is not None:
            v_BHD = v_BHD + layer.extra(ids_B).view_as(v_BHD)
        if self.settings.qk_norm:
            qk = rms_norm(qk)
        if turn is not None:
            qk = rotate(qk, turn)
        for room, new_BHD in zip(rooms, (qk[:, 1], v_BHD), strict=True):
            if place is not None:
                room[:, :, place] = new_BHD
            else:
                room[torch.arange(len(room), device=room.device), :, self.lengths_B] = new_BHD
        return qk[:, 0]
