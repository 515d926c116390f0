"""Settings from documents to a number: tokenizer, token shards, training, evaluation."""

from dataclasses import dataclass, field
from typing import Literal

from lmpipe.settings.evaluate import SetSettings
from lmpipe.settings.models import Model
from lmpipe.settings.probes import PrivacySettings
from lmpipe.settings.ranges import Count, Natural, NonNegative, Positive, Share


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenizerSettings:
    """A tokenizer learnt from the training split, or a ready one."""

    kind: Literal["bpe", "unigram", "char", "word"] = "bpe"
    """bpe and unigram work on bytes and lose nothing; char and word have a closed vocabulary with <unk>."""
    vocabulary: Count = 8192
    """Number of tokens, the end-of-text token included; above 65,536 the shards hold 32-bit ids."""
    sample_bytes: Count = 200_000_000
    """UTF-8 bytes of training text to learn from, taken by hash."""
    weights: dict[str, NonNegative] = field(default_factory=dict)
    """How much a source's text counts against that of others in the sample, by source; 1 where not named."""
    end_of_text: str = "<|endoftext|>"
    """The token that closes a document; a ready tokenizer may call it </s> or <eos>."""
    path: str | None = None
    """A ready tokenizer instead: a tokenizer.json, or a folder with one or with vocab.json and merges.txt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokensSettings:
    """Encoding and packing into token shards. Mixtures shape the training split only."""

    shard_tokens: Count = 16_777_216
    """Tokens per shard at most, unless one document is longer."""
    epochs: dict[str, NonNegative] = field(default_factory=dict)
    """How often a source's documents are seen in one pass over the shards; 1 where not named, fractions by hash."""
    weights: dict[str, NonNegative] = field(default_factory=dict)
    """Instead of epochs: each source's share of the training tokens; all sources are named, any scale."""
    append_to: str | None = None
    """Folder name of an earlier tokens dataset, such as demo-1a2b3c4d: its shards are kept as they are, and new ones
    hold the documents that it lacks or has in another version."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainSettings:
    """One training: a model and its loop."""

    name: str
    """Name of the run, unique in the recipe."""
    model: Model
    """Architecture; `preset` among its keys names one of settings/models.py."""
    init: str | None = None
    """Folder name of a run under DATA/runs, such as gpt2-1a2b3c4d, whose newest weights to start from; None for fresh
    ones. Which weights they are is part of the identity, where they lie is not."""
    seed: int = 1
    """Of initialisation, dropout and data order."""
    context: Count = 256
    """Tokens per row."""
    batch: Count = 16
    """Rows per step, over all processes."""
    micro_batch: Count | None = None
    """Rows that a process takes through the model at once, gradients adding up; None for as many as memory holds."""
    steps: Natural = 300
    """Optimizer steps; a recipe has one or more, an imported model 0."""
    max_tokens: Count | None = None
    """Stop after so many tokens; the schedules still count `steps`."""
    max_seconds: Positive | None = None
    """Stop after so much wall time of training; the schedules still count `steps`."""
    patience: Count | None = None
    """Stop after so many validations in a row without a new best loss."""
    order: Literal["shuffled", "in_order"] = "shuffled"
    """Rows of a keyed permutation per epoch, or lanes of the stream that go on from step to step, the LSTM's state
    carried over (Zaremba et al. 2014, section 4.1)."""
    optimizer: Literal["adamw", "muon", "sgd"] = "adamw"
    """AdamW; Muon for the matrices of blocks and AdamW for the rest; or SGD."""
    momentum: Share = 0.9
    """Of SGD: heavy ball; 0 for plain descent."""
    lr: Positive = 2e-3
    """Peak learning rate."""
    schedule: Literal["wsd", "cosine", "linear"] = "wsd"
    """Constant with a linear end (Hu et al. 2024), half a cosine (Loshchilov and Hutter 2017), or straight down."""
    warmup: Natural = 20
    """Steps of linear warm-up."""
    decay: Share = 0.4
    """wsd: last share of the steps, over which the learning rate falls."""
    lr_end: Share = 0.0
    """Share of the peak that the learning rate falls to."""
    weight_decay: NonNegative = 0.1
    """Decoupled, on matrices only."""
    weight_decay_schedule: Literal["constant", "linear"] = "constant"
    """Or falling linearly to zero over the whole training (nanochat)."""
    clip: Positive = 1.0
    """Largest global gradient norm."""
    label_smoothing: Share = 0.0
    """Share of each target spread over the vocabulary (Szegedy et al. 2016, section 7); validation stays plain."""
    learn_after: str | None = None
    """Learn, and validate by, only what follows this text in a document: the line break that a parallel source puts
    before the translation, or "\\nAssistant:". None learns every token."""
    learn_until: str | None = None
    """With learn_after: this text ends what is learnt, such as "\\nUser:"; None leaves it to the document's end."""
    average: Literal["none", "ema", "asgd"] = "none"
    """Weights that are validated, kept and evaluated: the trained ones; their exponential average; or their mean
    since the validation loss first stalled (NT-ASGD: Merity et al. 2018, algorithm 1)."""
    ema_decay: Share = 0.999
    """ema: what a step keeps of the average."""
    stalled: Count = 5
    """asgd: averaging begins when a validation is no better than the best of those so many before."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """Of activations and products; weights, loss and averages stay fp32."""
    compile: bool = False
    """Compile a Transformer's blocks, and on a GPU the loss (torch.compile): worth its minute there."""
    parallel: Literal["ddp", "fsdp"] = "ddp"
    """Among several processes: each holds the whole model, or a slice of every weight, gradient and moment (FSDP2).
    No part of the identity: both, with any number of processes, compute the same steps (dropout's masks aside), and
    each goes on from what another left."""
    recompute: bool = False
    """Compute the activations of blocks again in the backward pass instead of keeping them: a third more work, a
    fraction of the memory; the same bits."""
    private: PrivacySettings | None = None
    """None trains without a bound on what the weights can tell of one row."""
    max_skipped: Natural = 5
    """Steps in a row without finite loss and gradient that are passed over before the training gives up."""
    save_every: Count = 100
    """Steps between checkpoints."""
    valid_every: Count = 50
    """Steps between validation losses."""
    valid_rows: Count = 64
    """Rows of the validation split per validation; with order = in_order the whole split."""
    sample_every: Count | None = None
    """Steps between samples of what the model writes, in samples.jsonl; None for no samples."""
    keep: Count = 2
    """Newest checkpoints to keep, beside the one of the best validation."""
    keep_trunk: bool = False
    """wsd: keep the checkpoint from which the learning rate falls: a training that is the same but longer can begin
    there, and has the very weights that it would have had from the start (Hägele et al. 2024, section 3)."""
    threads: Count = 2
    """CPU threads; part of the identity, because it changes the order of float sums."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LadderSettings:
    """Trainings of several sizes and budgets, and the law that their losses follow."""

    train: str
    """Name of the [[train]] entry that lends everything but model and steps; its schedule is wsd."""
    sizes: tuple[Model, ...]
    """At least three; three exponents and offsets cannot be told from fewer."""
    budgets: tuple[Count, ...]
    """Tokens of training, rising, at least three; all of one size cost little more than the longest."""
    compute: tuple[Positive, ...] = ()
    """FLOPs for which the best size is foretold; none: 10 and 100 times those of the dearest training here."""
    resamples: Count = 400
    """Bootstrap resamples of the trainings, for the 95 % intervals."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluateSettings:
    """Scoring of held-out documents."""

    split: Literal["valid", "test"] = "test"
    """Which held-out split."""
    checkpoint: Literal["latest", "best"] = "latest"
    """The last weights of a run, or those of its best validation."""
    context: Count = 256
    """Window in tokens."""
    strides: tuple[Literal["disjoint", "half"], ...] = ("disjoint", "half")
    """Windows that follow each other, or that begin half a window after each other, so that a token has at least half
    a window before it. Each is a protocol with rows of its own; half costs twice what disjoint costs."""
    sets: tuple[SetSettings, ...] = ()
    """Sets from outside, scored beside the recipe's own split."""
    carry: bool = False
    """Begin a window with the state that the one before it left, as most closed-vocabulary results do (Zaremba et al.
    2014, section 4.1), and not afresh; only within a document, not for Transformers, and without strides."""
    end: bool = False
    """Score the token that closes a document too, as published results on closed vocabularies count it."""
    batch: Count = 16
    """Windows scored together; changes nothing beyond float rounding."""
