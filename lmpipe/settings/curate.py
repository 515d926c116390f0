"""Settings of the curation stages: clean, decide, dedup, passages and split."""

from dataclasses import dataclass, field
from typing import Literal

from lmpipe.settings.ranges import Count, Natural, Share

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
    guard: Share = 0.5
    """Share of a source's or a language's documents that may be dropped before the run stops."""
    guard_documents: Natural = 100
    """A language of a source with fewer documents is not guarded: three misread pages say nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DedupSettings:
    """Exact duplicates by the hash of the normalised text, near ones by MinHash and true Jaccard similarity."""

    near: bool = True
    """Look for near duplicates too."""
    shingle: Count = 5
    """Words per shingle; characters where a text has fewer than ten times as many words."""
    shingle_chinese: Count = 3
    """The same for Chinese, whose words are shorter: two editions of one novel agree in 191 of 204 chapters by 3,
    in 158 by 5."""
    bands: Count = 14
    """Bands of the signature; 14 x 8 is FineWeb's choice and finds 92 % of pairs at 0.8."""
    rows: Count = 8
    """MinHash values per band."""
    similarity: Share = 0.8
    """Jaccard similarity of the shingle sets from which two documents are near duplicates."""
    guard: Share = 0.5
    """Share of a source's documents that may be duplicates before the run stops."""
    against: tuple[str, ...] = ()
    """Recipes whose survivors in DATA stand already: a document like one of theirs is a duplicate of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PassageSettings:
    """Lines or paragraphs that several documents share: all copies but one are cut. A recipe has to ask for it."""

    unit: Literal["line", "paragraph"] = "line"
    """What is compared; paragraphs are parted by empty lines."""
    min_chars: Count = 100
    """Characters of a passage that may be cut: verses, headings and "Yes." are shorter, and so are the lines of
    hard-wrapped text."""
    min_chars_unspaced: Count = 40
    """The same where blanks part no words (Chinese, Japanese, Thai): a character says more there."""
    min_documents: Count = 2
    """Documents in which it has to stand."""
    keep_first: bool = True
    """Keep the copy of the first document (longest, newest, smallest id); else nobody keeps one."""
    min_chars_left: Natural = 1
    """Characters that have to be left of a document; it is dropped otherwise, unless it keeps a copy for others."""
    guard: Share = 0.5
    """Share of a source's bytes that may be cut before the run stops."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitSettings:
    """Held-out documents by hash, never by position."""

    valid: Share = 0.05
    """Share of works for validation during training."""
    test: Share = 0.05
    """Share of works for evaluation."""
    by: dict[str, Literal["work", "document"]] = field(default_factory=dict)
    """Source name to grain; work (all chapters of a book together) unless said otherwise."""
    given: dict[str, Literal["train", "valid", "test"]] = field(default_factory=dict)
    """Document id or source name to its split, such as a benchmark's own; what is not named is drawn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationSet:
    """Something models are evaluated on: files of records, none of which training may have seen."""

    name: str
    """Short and unique; the reason of a document that is removed for it is contaminated.<name>."""
    paths: tuple[str, ...]
    """Files, globs or zips of files, relative to the recipe; $NAME from the environment."""
    format: Literal["text", "lines", "jsonl", "parquet", "csv", "tagged", "wikitext"]
    """As of a local source (text: a record a file; lines: one a line); wikitext: one an article, as in WikiText-2."""
    members: str = "*"
    """Of a zip: a pattern for the names of the members to read, such as data/*.jsonl; their folders count."""
    text: tuple[str, ...] = ("text",)
    """Columns or tags of jsonl, parquet, csv, tagged whose text is compared; each is a record of its own."""
    id: str | None = None
    """Column or tag that names a record; its file and number otherwise."""
    record: str | None = None
    """tagged: the tag that encloses one record."""
    encoding: str | None = None
    """Python codec of the files, or None for BOM, then UTF-8, then detection."""
    without: str | None = None
    """Regular expression of what is cut out of a text before it is compared, such as the tags /[^ ]+ of Brown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DecontaminateSettings:
    """Training documents that share runs of words with what models are evaluated on."""

    sets: tuple[EvaluationSet, ...] = ()
    """Evaluation sets from outside."""
    own: bool = True
    """Compare with the recipe's own valid and test documents too."""
    remove: bool = True
    """Remove what is contaminated from training, or only write down the overlaps."""
    words: Count = 13
    """Words of a run that two texts must share (GPT-3, appendix C)."""
    characters: Count = 18
    """The same in scripts without blanks: 1.4 Han characters stand for a word (3,960 sentences of WMT18, 1.41;
    20,294 of Tatoeba, 1.35)."""
    shortest_words: Count = 8
    """A record shorter than a run is compared as a whole; one shorter than this says nothing and is only counted."""
    shortest_characters: Count = 11
    """The same in scripts without blanks."""
    common: Count = 10
    """A run that stands in more training documents than this is a phrase, a licence, a template, and counts for
    nothing (GPT-3)."""
    least_runs: Count = 1
    """Distinct runs of one record from which a document is contaminated; GPT-3 takes a single one."""
    least_share: Share = 0.0
    """Share of the record's words that the runs must cover too, 0 to 1."""
    certain: Share = 0.8
    """From this share of a record of at least two runs' length a document is contaminated however common the runs
    are: one question of MMLU stood in 311 documents of a crawl (marin #5519)."""
    guard: Share = 0.2
    """Share of a source's training documents that may be contaminated before the run stops."""
