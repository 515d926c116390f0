"""Settings from documents to a number: tokenizer, token shards, models, training, evaluation."""

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenizerSettings:
    """A tokenizer learnt from the training split, or a ready one."""

    kind: Literal["bpe", "unigram", "char", "word"] = "bpe"
    """bpe and unigram work on bytes and lose nothing; char and word have a closed vocabulary with <unk>."""
    vocabulary: int = 8192
    """Number of tokens, the end-of-text token included; above 65,536 the shards hold 32-bit ids."""
    sample_bytes: int = 200_000_000
    """UTF-8 bytes of training text to learn from, taken by hash."""
    weights: dict[str, float] = field(default_factory=dict)
    """How much a source's text counts against that of others in the sample, by source; 1 where not named."""
    end_of_text: str = "<|endoftext|>"
    """The token that closes a document; a ready tokenizer may call it </s> or <eos>."""
    path: str | None = None
    """A ready tokenizer instead: a tokenizer.json, or a folder with one or with vocab.json and merges.txt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokensSettings:
    """Encoding and packing into token shards. Mixtures shape the training split only."""

    shard_tokens: int = 16_777_216
    """Tokens per shard at most, unless one document is longer."""
    epochs: dict[str, float] = field(default_factory=dict)
    """How often a source's documents are seen in one pass over the shards; 1 where not named, fractions by hash."""
    weights: dict[str, float] = field(default_factory=dict)
    """Instead of epochs: each source's share of the training tokens; all sources are named, any scale."""
    append_to: str | None = None
    """Folder name of an earlier tokens dataset, such as demo-1a2b3c4d: its shards are kept as they are, and new ones
    hold the documents that it lacks."""


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
    order: Literal["shuffled", "in_order"] = "shuffled"
    """Rows of a keyed permutation per epoch, or lanes of the stream that go on from step to step (carried state)."""
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
