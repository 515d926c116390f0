"""Settings of evaluation sets from outside: benchmarks by their name, or any file of records."""

from dataclasses import dataclass
from typing import Literal

from lmpipe.settings.sources import HttpSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class SetDownload:
    """One file of an evaluation set on a server."""

    url: str
    """The file itself: text, JSONL, Parquet, or a zip of it."""
    http: HttpSettings
    """How its server is asked."""
    sha256: str | None = None
    """What the file must be, where that is known; the counts of published sets are checked in any case."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SetSettings:
    """A set that every run of the recipe is evaluated on, beside its own held-out split."""

    name: str
    """ptb, wikitext-2, wikitext-103, wikitext-2-raw, wikitext-103-raw, text8, enwik8, lambada or brown: their published
    protocol (evaluate/published.py). Any other name: records of a JSONL or Parquet file."""
    path: str
    """The file, a zip or a folder with it, relative to the recipe; $NAME from the environment."""
    download: SetDownload | None = None
    """Where `path` is fetched from when it is not there."""
    split: Literal["valid", "test"] = "test"
    """Which part of a benchmark that has several."""
    text: str = "text"
    """Records: the column that is scored."""
    id: str | None = None
    """Records: the column that names one; its number otherwise."""
    domain: str | None = None
    """Records: a column such as genre or topic, by which results are told apart."""
    lang: str | None = None
    """Of all documents; None to identify it record by record (published sets are English)."""
