"""Every setting of a recipe as frozen, typed dataclasses: pure data, no reading, no defaults by environment.

The line under a field gives its unit and why it is as it is. Fields named in NOT_OUTPUT change how
a stage runs, not what it writes, and stay outside the fingerprint (dataset.py).
"""

from dataclasses import dataclass, field

from lmpipe.settings.curate import (
    Bounds,
    CleanSettings,
    DecontaminateSettings,
    DedupSettings,
    EvaluationSet,
    PassageSettings,
    ProfileSettings,
    SplitSettings,
)
from lmpipe.settings.evaluate import SetDownload, SetSettings
from lmpipe.settings.models import LstmSettings, Model, NgramSettings, TransformerSettings
from lmpipe.settings.probes import AuditSettings, CanarySettings, PairSet, PrivacySettings
from lmpipe.settings.sources import (
    CommonCrawlNews,
    Gutenberg,
    HttpSettings,
    LocalSource,
    NewsFeeds,
    NewsSource,
    NovelsSource,
    ParallelSource,
    Source,
    WikimediaDump,
    WikipediaSource,
)
from lmpipe.settings.training import (
    EvaluateSettings,
    LadderSettings,
    TokenizerSettings,
    TokensSettings,
    TrainSettings,
)

__all__ = [
    "NOT_OUTPUT",
    "AuditSettings",
    "Bounds",
    "CanarySettings",
    "CleanSettings",
    "CommonCrawlNews",
    "DecontaminateSettings",
    "DedupSettings",
    "EvaluateSettings",
    "EvaluationSet",
    "Gutenberg",
    "HttpSettings",
    "LadderSettings",
    "LocalSource",
    "LstmSettings",
    "Model",
    "NewsFeeds",
    "NewsSource",
    "NgramSettings",
    "NovelsSource",
    "PairSet",
    "ParallelSource",
    "PassageSettings",
    "PrivacySettings",
    "ProfileSettings",
    "Recipe",
    "SetDownload",
    "SetSettings",
    "Source",
    "SplitSettings",
    "TokenizerSettings",
    "TokensSettings",
    "TrainSettings",
    "TransformerSettings",
    "WikimediaDump",
    "WikipediaSource",
]

NOT_OUTPUT = frozenset(
    (
        "paths",
        "path",
        "download",
        "init",
        "max_quarantine",
        "guard",
        "guard_documents",
        "quality_model",
        "parallel",
        "keep_trunk",
    )
)
"""Where the input lies, how it got there, when to stop and how work is shared out are not part of an output's identity:
its bytes are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Everything that defines an output; one TOML file."""

    name: str
    """Name of the recipe and of the datasets built from all its sources."""
    seed: int = 1
    """Of the split, the shuffle and the tokenizer's sample."""
    sources: tuple[Source, ...]
    """At least one."""
    clean: CleanSettings = field(default_factory=CleanSettings)
    profile: ProfileSettings = field(default_factory=ProfileSettings)
    dedup: DedupSettings = field(default_factory=DedupSettings)
    passages: PassageSettings | None = None
    """None: nothing is cut out of documents."""
    split: SplitSettings = field(default_factory=SplitSettings)
    decontaminate: DecontaminateSettings | None = None
    """None trains on every document of the training split."""
    tokenizer: TokenizerSettings = field(default_factory=TokenizerSettings)
    tokens: TokensSettings = field(default_factory=TokensSettings)
    train: tuple[TrainSettings, ...] = ()
    evaluate: EvaluateSettings = field(default_factory=EvaluateSettings)
    ladder: LadderSettings | None = None
    """What `lmpipe ladder` trains; `lmpipe run` leaves it alone."""
    pairs: tuple[PairSet, ...] = ()
    """Sets of sentence pairs that every model is asked about after its evaluation."""
    audit: AuditSettings | None = None
    """None: nobody asks what the models know by heart."""
    canaries: CanarySettings | None = None
    """None: nothing is planted in the training split."""
