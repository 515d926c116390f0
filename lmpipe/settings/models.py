"""Settings of the models: each part is a field, with the paper it is from, so that a recipe can switch it off."""

from dataclasses import dataclass
from typing import Literal

from lmpipe.settings.ranges import Count, DropShare, Natural, NonNegative, Positive


@dataclass(frozen=True, slots=True, kw_only=True)
class LstmSettings:
    """An LSTM language model, from Zaremba et al. (2014) to the AWD-LSTM (Merity et al. 2018, arXiv 1708.02182)."""

    kind: Literal["lstm"]
    layers: Count = 2
    """Stacked LSTM layers."""
    width: Count = 256
    """Hidden width; where weights are tied, the last layer has the embedding's instead."""
    embedding: Count | None = None
    """Width of the embedding; None for `width`."""
    dropout: DropShare = 0.1
    """Between layers, on embedded inputs and before the output (Zaremba et al. 2014, section 3.1)."""
    dropout_input: DropShare | None = None
    """On embedded inputs; None for `dropout`."""
    dropout_output: DropShare | None = None
    """Before the output matrix; None for `dropout`."""
    dropout_embedding: DropShare = 0.0
    """Share of words whose embedding is left out of a step as a whole (Gal and Ghahramani 2016, section 4)."""
    weight_drop: DropShare = 0.0
    """Share of recurrent weights left out of a step (DropConnect: Merity et al. 2018, section 2)."""
    locked: bool = False
    """One dropout mask for all positions of a row (variational dropout: Gal and Ghahramani 2016)."""
    activation_penalty: NonNegative = 0.0
    """Times the mean square of the dropped-out outputs, added to the loss (AR, Merity et al. 2018, section 4.5)."""
    slowness_penalty: NonNegative = 0.0
    """Times the mean square of the change of outputs from one position to the next (TAR, the same section)."""
    tied: bool = True
    """Share the embedding with the output projection (Press and Wolf 2017)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TransformerSettings:
    """A decoder-only Transformer; the defaults are the parts that the speed-run records kept."""

    kind: Literal["transformer"]
    layers: Count = 4
    """Blocks."""
    width: Count = 192
    """Model width."""
    heads: Count = 6
    """Attention heads; width / heads is even, for rotary embedding."""
    mlp: Literal["relu2", "swiglu", "gelu"] = "relu2"
    """Perceptron of a block: ReLU^2 (So et al. 2021), SwiGLU (Shazeer 2020) or GPT-2's GELU by tanh."""
    norm: Literal["rms", "layer"] = "rms"
    """RMSNorm without gain (Zhang and Sennrich 2019), or LayerNorm with gain and bias as GPT-2 has it."""
    embedding_norm: bool = True
    """Normalise the embedded inputs too (nanochat)."""
    positions: Count | None = None
    """Learned positions, as many as the longest context (GPT-2); None for rotary ones (Su et al. 2021)."""
    qk_norm: bool = True
    """Normalise queries and keys (Henry et al. 2020)."""
    logit_cap: Positive | None = 15.0
    """Bends logits smoothly into (-cap, cap) (modded-nanogpt: 30 -> 15 saved 7 % of the steps, n = 80)."""
    value_embeddings: bool = False
    """Add an embedding of its own to the values of every other block (modded-nanogpt: 4.66 -> 4.41 min, n = 40);
    costs layers / 2 tables of parameters, and next to no arithmetic."""
    bias: bool = False
    """Biases in all linear maps of a block, as GPT-2 has them."""
    zero_init: bool = True
    """Output projections of branches, and an untied head, start at zero (muP's reason: nanochat, modded-nanogpt)."""
    dropout: DropShare = 0.0
    """On the embedded input and on residual branches; useful when a corpus is seen several times."""
    tied: bool = True
    """Share the embedding with the output projection."""
    document_mask: bool = True
    """A position attends only to its own document of a packed row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NgramSettings:
    """An interpolated modified Kneser-Ney model (lmpipe/train/ngram.py): the baseline that every other has to beat.

    Of its training's settings only seed and threads say anything; it sees the training split once.
    """

    kind: Literal["ngram"]
    order: Natural = 5
    """Longest n-gram: 5 is usual for words; 1 looks at no context, 0 gives every token the same probability."""


Model = LstmSettings | TransformerSettings | NgramSettings

GPT2 = {
    "mlp": "gelu",
    "norm": "layer",
    "embedding_norm": False,
    "positions": 1024,
    "qk_norm": False,
    "logit_cap": None,
    "bias": True,
    "zero_init": False,
    "document_mask": False,
}
"""What makes a Transformer a GPT-2 (Radford et al. 2019, section 2.3)."""

PRESETS: dict[str, dict[str, object]] = {
    "lstm-zaremba-small": {"kind": "lstm", "layers": 2, "width": 200, "dropout": 0.0, "tied": False},
    "lstm-zaremba-medium": {"kind": "lstm", "layers": 2, "width": 650, "dropout": 0.5, "tied": False},
    "lstm-zaremba-large": {"kind": "lstm", "layers": 2, "width": 1500, "dropout": 0.65, "tied": False},
    "lstm-awd": {"kind": "lstm", "layers": 3, "width": 1150, "embedding": 400, "dropout": 0.25, "dropout_input": 0.4}
    | {"dropout_output": 0.4, "dropout_embedding": 0.1, "weight_drop": 0.5, "locked": True}
    | {"activation_penalty": 2.0, "slowness_penalty": 1.0},
    **{
        f"transformer-{name}": {"kind": "transformer", "layers": layers, "width": width, "heads": heads}
        for name, layers, width, heads in (
            ("1m", 3, 128, 2),
            ("5m", 5, 256, 4),
            ("20m", 6, 512, 4),
            ("60m", 10, 640, 5),
            ("124m", 12, 768, 6),
            ("350m", 24, 1024, 8),
            ("770m", 36, 1280, 10),
            ("1500m", 48, 1600, 25),
        )
    },
    **{
        name: GPT2 | {"kind": "transformer", "layers": layers, "width": width, "heads": heads}
        for name, layers, width, heads in (
            ("gpt2", 12, 768, 12),
            ("gpt2-medium", 24, 1024, 16),
            ("gpt2-large", 36, 1280, 20),
            ("gpt2-xl", 48, 1600, 25),
        )
    },
}
"""Sizes by name, from a million parameters to 1.5 billion. `preset = "gpt2"` in [train.model] fills in these fields;
what the recipe names itself comes first. LSTMs: Zaremba et al. 2014, section 4.1; Merity et al. 2018, section 5, with
their repository's dropouts for the Penn Treebank. Transformers: GPT-2's shapes, with wider heads (nanochat: 128)."""
