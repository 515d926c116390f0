"""Settings from documents to a number: tokenizer, token shards, models, training, evaluation."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenizerSettings:
    """Byte-level BPE trained on the training split, or a ready tokenizer.json."""

    vocabulary: int = 8192
    """Number of tokens, the end-of-text token included."""
    sample_bytes: int = 200_000_000
    """UTF-8 bytes of training text to learn from, taken in hash order."""
    path: str | None = None
    """A tokenizer.json to use instead of training one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokensSettings:
    """Encoding and packing into token shards."""

    shard_tokens: int = 16_777_216
    """Tokens per shard at most, unless one document is longer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LstmSettings:
    """An LSTM language model (Zaremba et al. 2014) with tied weights."""

    kind: Literal["lstm"]
    layers: int = 2
    """Stacked LSTM layers."""
    width: int = 256
    """Embedding and hidden width; equal, so that input and output matrices can be tied."""
    dropout: float = 0.1
    """Between layers and before the output (Zaremba et al. 2014, section 3.1)."""
    tied: bool = True
    """Share the embedding with the output projection (Press and Wolf 2017)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TransformerSettings:
    """A decoder-only Transformer: RoPE, RMSNorm, QK-norm, ReLU^2, zero-initialised projections."""

    kind: Literal["transformer"]
    layers: int = 4
    """Blocks."""
    width: int = 192
    """Model width."""
    heads: int = 6
    """Attention heads; width / heads is even, for rotary embedding."""
    dropout: float = 0.0
    """On residual branches; useful when a corpus is seen several times."""
    tied: bool = True
    """Share the embedding with the output projection."""
    document_mask: bool = True
    """A position attends only to its own document of a packed row."""


Model = LstmSettings | TransformerSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainSettings:
    """One training: a model and its loop."""

    name: str
    """Name of the run, unique in the recipe."""
    model: Model
    """Architecture."""
    seed: int = 1
    """Of initialisation, dropout and data order."""
    context: int = 256
    """Tokens per row."""
    batch: int = 16
    """Rows per step, over all processes."""
    steps: int = 300
    """Optimizer steps."""
    optimizer: Literal["adamw", "sgd"] = "adamw"
    """AdamW (betas 0.9, 0.95) or SGD with momentum 0.9."""
    lr: float = 2e-3
    """Peak learning rate."""
    weight_decay: float = 0.1
    """Decoupled, on matrices only."""
    warmup: int = 20
    """Steps of linear warm-up."""
    decay: float = 0.4
    """Last share of the steps, over which the learning rate falls linearly to zero (WSD)."""
    clip: float = 1.0
    """Largest global gradient norm."""
    save_every: int = 100
    """Steps between checkpoints."""
    valid_every: int = 50
    """Steps between validation losses."""
    valid_rows: int = 64
    """Rows of the validation split per validation."""
    keep: int = 2
    """Newest checkpoints to keep."""
    threads: int = 2
    """CPU threads; part of the identity, because it changes the order of float sums."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluateSettings:
    """Scoring of held-out documents."""

    split: Literal["valid", "test"] = "test"
    """Which held-out split."""
    context: int = 256
    """Window in tokens; disjoint windows, the state reset at each document."""
    batch: int = 16
    """Windows scored together; changes nothing beyond float rounding."""
