"""Every setting of a recipe as frozen, typed dataclasses: pure data, no reading, no defaults by environment.

The line under a field gives its unit and why it is as it is. Fields named in NOT_OUTPUT change how
a stage runs, not what it writes, and stay outside the fingerprint (dataset.py).
"""

from dataclasses import dataclass, field
from typing import Literal

NOT_OUTPUT = frozenset({"paths", "path", "max_quarantine", "guard"})
"""Where the input lies and when to stop are not part of an output's identity: its bytes are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WikipediaSource:
    """A pages-articles XML dump: bz2 (multistream or not), gz, xz or plain."""

    kind: Literal["wikipedia"]
    name: str
    """Short and unique in the recipe; the first part of every document id."""
    paths: tuple[str, ...]
    """Files or globs, relative to the recipe; $NAME is taken from the environment."""
    lang: str
    """BCP 47 language of the wiki, such as en or zh."""
    licence: str = "CC-BY-SA-4.0"
    """Kept with every document, so that a corpus can be cut by licence."""
    namespaces: tuple[int, ...] = (0,)
    """Namespaces to keep; pages of others are counted as skipped."""
    variant: Literal["zh-hans", "zh-hant"] = "zh-hans"
    """Which side of Chinese -{ }- markup readers see."""
    max_quarantine: float = 0.05
    """Share of records that may be quarantined before the stage fails."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewsSource:
    """News pages in WARC files (.warc, .warc.gz) and RSS or Atom feeds (.xml, .rss, .atom)."""

    kind: Literal["news"]
    name: str
    """Short and unique in the recipe; the first part of every document id."""
    paths: tuple[str, ...]
    """Files or globs, relative to the recipe; $NAME is taken from the environment."""
    lang: str | None = None
    """Language of all pages, or None to identify it page by page."""
    licence: str = "unknown"
    """Kept with every document."""
    html: Literal["trafilatura", "resiliparse"] = "trafilatura"
    """Which library cuts the main text out of a page."""
    max_quarantine: float = 0.05
    """Share of records that may be quarantined before the stage fails."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NovelsSource:
    """Books as text files; Project Gutenberg header and footer are cut by their markers."""

    kind: Literal["novels"]
    name: str
    """Short and unique in the recipe; the first part of every document id."""
    paths: tuple[str, ...]
    """Files or globs, relative to the recipe; $NAME is taken from the environment."""
    lang: str
    """Language of the books."""
    licence: str = "public-domain"
    """Kept with every document."""
    encoding: str | None = None
    """Python codec of the files, or None for BOM, then UTF-8, then detection."""
    markers: Literal["required", "optional"] = "required"
    """Whether a book without Gutenberg markers is quarantined or taken whole."""
    max_quarantine: float = 0.05
    """Share of books that may be quarantined before the stage fails."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalSource:
    """Any corpus on disk, by a mapping of its columns or tags."""

    kind: Literal["local"]
    name: str
    """Short and unique in the recipe; the first part of every document id."""
    paths: tuple[str, ...]
    """Files or globs (a .zip of text files too), relative to the recipe; $NAME from the environment."""
    format: Literal["text", "lines", "jsonl", "parquet", "csv", "tagged"]
    """text: one document a file; lines: one a line; tagged: SGML-like records (Reuters, Sogou)."""
    lang: str | None = None
    """Language of all documents, or None to identify it one by one."""
    licence: str = "unknown"
    """Kept with every document."""
    encoding: str | None = None
    """Python codec of the files, or None for BOM, then UTF-8, then detection."""
    record: str | None = None
    """tagged: the tag that encloses one record."""
    fields: dict[str, str] = field(default_factory=dict)
    """Document field (id, title, text, url, created) to column or tag of the file."""
    max_quarantine: float = 0.05
    """Share of records that may be quarantined before the stage fails."""


Source = WikipediaSource | NewsSource | NovelsSource | LocalSource


@dataclass(frozen=True, slots=True, kw_only=True)
class CleanSettings:
    """Text repair before anything is measured; each rule is described in text/normalize.py."""

    unicode: bool = True
    """Repair mojibake and compose to NFC."""
    whitespace: bool = True
    """Uniform line ends, no control or zero-width characters, no runs of blanks."""
    unwrap: tuple[str, ...] = ("novels",)
    """Source kinds whose hard-wrapped lines are joined into paragraphs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """The closed interval a signal has to lie in."""

    min: float | None = None
    """Smallest value that passes, or None."""
    max: float | None = None
    """Largest value that passes, or None."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileSettings:
    """A filter profile: thresholds over signals, by language."""

    name: str = "basic"
    """A file of lmpipe/curate/profiles, without .toml."""
    rules: dict[str, dict[str, Bounds]] = field(default_factory=dict)
    """Language (or any) to signal to bounds; overrides the profile's own."""
    guard: float = 0.5
    """Share of a source's documents that may be dropped before the run stops."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DedupSettings:
    """Exact deduplication by the hash of the normalised text."""

    guard: float = 0.5
    """Share of a source's documents that may be duplicates before the run stops."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitSettings:
    """Held-out documents by hash, never by position."""

    valid: float = 0.05
    """Share of works for validation during training."""
    test: float = 0.05
    """Share of works for evaluation."""
    by: dict[str, Literal["work", "document"]] = field(default_factory=dict)
    """Source name to grain; work (all chapters of a book together) unless said otherwise."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Everything that defines an output; one TOML file."""

    name: str
    """Name of the recipe and of the datasets built from all its sources."""
    seed: int = 1
    """Of the split, the shuffle and the tokenizer's sample."""
    sources: tuple[Source, ...]
    """At least one."""
    clean: CleanSettings = CleanSettings()
    profile: ProfileSettings = ProfileSettings()
    dedup: DedupSettings = DedupSettings()
    split: SplitSettings = SplitSettings()
    tokenizer: TokenizerSettings = TokenizerSettings()
    tokens: TokensSettings = TokensSettings()
    train: tuple[TrainSettings, ...] = ()
    evaluate: EvaluateSettings = EvaluateSettings()
