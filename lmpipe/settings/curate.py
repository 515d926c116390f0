"""Settings of the curation stages: clean, decide, dedup and split."""

from dataclasses import dataclass, field
from typing import Literal

PiiKind = Literal["email", "phone", "ip", "card", "iban", "ssn", "cn_id", "cn_mobile", "api_key"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CleanSettings:
    """Text repair before anything is measured; each rule is described in text/normalize.py."""

    unicode: bool = True
    """Repair mojibake and compose to NFC."""
    whitespace: bool = True
    """Uniform line ends, no control or zero-width characters, no runs of blanks."""
    unwrap: tuple[str, ...] = ("novels",)
    """Source kinds whose hard-wrapped lines are joined into paragraphs."""
    pii: Literal["off", "count", "redact"] = "count"
    """Personal data: not looked for, found and counted, or replaced by stable placeholders such as <EMAIL>."""
    pii_kinds: tuple[PiiKind, ...] = ("email", "phone", "ip", "card", "iban", "ssn", "cn_id", "cn_mobile", "api_key")
    """Kinds to look for; each is described in text/pii.py."""
    content_words: bool = False
    """Write the words that are no stop words as a column of their own, for n-gram and topic work."""
    quality_model: str | None = None
    """A model made by `lmpipe quality train`, relative to the recipe; its score is the signal `quality`."""


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
    """A file of lmpipe/curate/profiles, without .toml; or a .toml file, relative to the recipe."""
    rules: dict[str, dict[str, Bounds]] = field(default_factory=dict)
    """Language (or any) to signal to bounds; overrides the profile's own."""
    guard: float = 0.5
    """Share of a source's or a language's documents that may be dropped before the run stops."""
    guard_documents: int = 100
    """A language of a source with fewer documents is not guarded: three misread pages say nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DedupSettings:
    """Exact duplicates by the hash of the normalised text, near ones by MinHash and true Jaccard similarity."""

    near: bool = True
    """Look for near duplicates too."""
    shingle: int = 5
    """Words per shingle; characters where a text has fewer than ten times as many words."""
    shingle_chinese: int = 3
    """The same for Chinese, whose words are shorter: two editions of one novel agree in 191 of 204 chapters by 3,
    in 158 by 5."""
    bands: int = 14
    """Bands of the signature; 14 x 8 is FineWeb's choice and finds 92 % of pairs at 0.8."""
    rows: int = 8
    """MinHash values per band."""
    similarity: float = 0.8
    """Jaccard similarity of the shingle sets from which two documents are near duplicates."""
    guard: float = 0.5
    """Share of a source's documents that may be duplicates before the run stops."""
    against: tuple[str, ...] = ()
    """Recipes whose survivors in DATA stand already: a document like one of theirs is a duplicate of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitSettings:
    """Held-out documents by hash, never by position."""

    valid: float = 0.05
    """Share of works for validation during training."""
    test: float = 0.05
    """Share of works for evaluation."""
    by: dict[str, Literal["work", "document"]] = field(default_factory=dict)
    """Source name to grain; work (all chapters of a book together) unless said otherwise."""
