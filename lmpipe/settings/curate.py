"""Settings of the curation stages: clean, decide, dedup and split."""

from dataclasses import dataclass, field
from typing import Literal


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
