"""A decoder-only Transformer with the parts that the speed-run records kept.

Rotary positions (Su et al. 2021), RMSNorm without gain, QK-norm (Henry et al. 2020), ReLU^2 (So et al. 2021),
output projections that start at zero, logits capped at 15, as in the modded-nanogpt records and nanochat.
With the document mask a position attends to its own document only; rotary embedding enters attention
through differences of positions alone, so a document scores the same wherever it lies in a row.

Shape letters: B rows, T positions, W width, H heads, D head width, V vocabulary.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lmpipe.settings import TransformerSettings
from lmpipe.train.model.base import LanguageModel

CAP = 15.0
"""Largest absolute logit (modded-nanogpt: 30 -> 15 saved 7 % of the steps, n = 80)."""

BASE = 10_000.0
"""Slowest rotary wavelength over 2 pi, in positions (Su et al. 2021, section 3.2.2)."""


def norm(x: Tensor) -> Tensor:
    """RMSNorm over the last dimension, without gain (Zhang and Sennrich 2019)."""
    return F.rms_norm(x, (x.shape[-1],))


def rotary(length: int, width: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Compute cosines and sines of shape (T, D / 2) (Su et al. 2021, equation 15)."""
    frequency = BASE ** (-torch.arange(0, width, 2, dtype=torch.float32, device=device) / width)
    angle_TD = torch.arange(length, dtype=torch.float32, device=device)[:, None] * frequency
    return angle_TD.cos(), angle_TD.sin()


def rotate(x_BHTD: Tensor, turn: tuple[Tensor, Tensor]) -> Tensor:
    """Turn pairs (d, d + D / 2) by the angle of their position."""
    cos_TD, sin_TD = turn
    first, second = x_BHTD.chunk(2, dim=-1)
    return torch.cat((first * cos_TD - second * sin_TD, second * cos_TD + first * sin_TD), dim=-1)


def attention_mask(documents_BT: Tensor) -> Tensor:
    """Build the additive mask (B, 1, T, T): 0 where a position may look, -inf elsewhere.

    Additive and built once per batch: a boolean one is turned into this again in every layer.
    """
    length = documents_BT.shape[1]
    same_BTT = documents_BT[:, :, None] == documents_BT[:, None, :]
    allowed_BTT = same_BTT & torch.ones(length, length, dtype=torch.bool, device=same_BTT.device).tril()
    return torch.zeros(allowed_BTT.shape, device=same_BTT.device).masked_fill_(~allowed_BTT, float("-inf"))[:, None]


class Block(nn.Module):
    """Attention, then a two-layer perceptron, each on a normalised residual branch."""

    def __init__(self, settings: TransformerSettings) -> None:
        super().__init__()
        width = settings.width
        self.heads = settings.heads
        self.attention_in = nn.Linear(width, 3 * width, bias=False)
        self.attention_out = nn.Linear(width, width, bias=False)
        self.mlp_in = nn.Linear(width, 4 * width, bias=False)
        self.mlp_out = nn.Linear(4 * width, width, bias=False)
        self.dropout = nn.Dropout(settings.dropout)

    def forward(self, x_BTW: Tensor, turn: tuple[Tensor, Tensor], mask: Tensor | None) -> Tensor:
        x_BTW = x_BTW + self.dropout(self.attend(norm(x_BTW), turn, mask))
        x_BTW = x_BTW + self.dropout(self.mlp_out(F.relu(self.mlp_in(norm(x_BTW))).square()))
        return x_BTW

    def attend(self, x_BTW: Tensor, turn: tuple[Tensor, Tensor], mask: Tensor | None) -> Tensor:
        """Mix each position with the earlier ones that the mask lets it see."""
        rows, length, width = x_BTW.shape
        qkv = self.attention_in(x_BTW).view(rows, length, 3, self.heads, width // self.heads)
        q_BHTD, k_BHTD, v_BHTD = qkv.permute(2, 0, 3, 1, 4)
        q_BHTD, k_BHTD = rotate(norm(q_BHTD), turn), rotate(norm(k_BHTD), turn)
        y_BHTD = F.scaled_dot_product_attention(q_BHTD, k_BHTD, v_BHTD, attn_mask=mask, is_causal=mask is None)
        mixed: Tensor = self.attention_out(y_BHTD.transpose(1, 2).reshape(rows, length, width))
        return mixed


class Transformer(LanguageModel):
    """Embedding, blocks, output."""

    cap = CAP

    def __init__(self, settings: TransformerSettings, vocabulary: int) -> None:
        super().__init__()
        self.settings = settings
        self.embedding = nn.Embedding(vocabulary, settings.width)
        self.blocks = nn.ModuleList(Block(settings) for _ in range(settings.layers))
        self.head_VW = self.embedding.weight if settings.tied else nn.Parameter(torch.empty(vocabulary, settings.width))
        self.initialise()

    @torch.no_grad()
    def initialise(self) -> None:
        """Uniform inputs of variance 1 / fan-in; outputs of branches, and an untied head, at zero (nanochat)."""
        self.embedding.weight.normal_(std=0.02)
        if not self.settings.tied:
            self.head_VW.zero_()
        bound = (3 / self.settings.width) ** 0.5
        for name, weight in self.blocks.named_parameters():
            if name.endswith("_out.weight"):
                weight.zero_()
            else:
                weight.uniform_(-bound, bound)

    def hidden(self, ids_BT: Tensor, documents_BT: Tensor | None = None) -> Tensor:
        """Compute x_BTW; with document_mask set, documents of a row do not see each other."""
        head_width = self.settings.width // self.settings.heads
        turn = rotary(ids_BT.shape[1], head_width, ids_BT.device)
        masked = documents_BT is not None and self.settings.document_mask
        mask = attention_mask(documents_BT) if masked and documents_BT is not None else None
        x_BTW = norm(self.embedding(ids_BT))
        for block in self.blocks:
            x_BTW = block(x_BTW, turn, mask)
        return norm(x_BTW)
