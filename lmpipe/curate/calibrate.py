"""Learn a profile from a corpus that is trusted: for each language the range in which nearly all of it lies.

FineWeb2 set its thresholds so, language by language, from Wikipedia and similar text (Penedo et al. 2025,
section 4.3: quantiles of a trusted corpus). A bound is a quantile of the reference, rounded outwards; which
side a signal is bounded on follows from what it means: too many repetitions are bad, too few are not.
"""

import math
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from lmpipe.curate.decide import DecideUnit, decisions
from lmpipe.curate.engine import engine, names
from lmpipe.curate.profiles import MEASURED, Profile, to_toml
from lmpipe.dataset import Manifest
from lmpipe.errors import InputError
from lmpipe.settings import Bounds

MIN_DOCUMENTS = 100
"""Fewer documents of a language give no 1 % quantile worth the name."""
DIGITS = 4
"""Significant digits of a bound: enough to tell documents apart, few enough to read."""

BOTH_SIDES = ("words", "mean_word_chars", "unigram_entropy", "compression_ratio")
FROM_BELOW = ("alpha_segments", "stop_words", "stop_word_share", "punctuated_lines")
FROM_ABOVE = (
    "digit_chars", "hash_words", "ellipsis_words", "bullet_lines", "ellipsis_lines", "short_lines",
    "newlines_per_word", "duplicate_lines", "duplicate_line_chars", "duplicate_paragraphs",
    "duplicate_paragraph_chars", "char_duplicate_ratio", "javascript_lines", "policy_lines",
    *(f"top_{n}gram_chars" for n in range(2, 5)), *(f"duplicate_{n}gram_chars" for n in range(5, 11)),
)  # fmt: skip
"""Which side of a signal is the bad one; a signal that is in none of these is not calibrated."""


class Calibrated(NamedTuple):
    """A learnt profile and how it fits what it was learnt from."""

    profile: Profile
    documents: dict[str, int]
    """Documents of the reference by language; only those of MIN_DOCUMENTS and more have rules."""
    dropped: dict[str, int]
    """How many of them the whole profile drops: each rule alone drops its quantile, all together more."""


def calibrate(reference: Manifest, low: float = 0.01, high: float = 0.99) -> Calibrated:
    """Learn bounds for every language of a cleaned dataset from its quantiles `low` and `high`.

    Raises InputError when no language has MIN_DOCUMENTS documents, or 0 <= low < high <= 1 does not hold.
    """
    if not 0 <= low < high <= 1:
        raise InputError(f"calibrate: expected 0 <= low < high <= 1, found low {low:g} and high {high:g}.")
    paths = reference.paths("signals")
    if not paths:
        raise InputError(f"{reference.folder}: holds no signals. Name a dataset of the clean stage.")
    with engine(Path(tempfile.gettempdir())) as connection:
        sql = "select lang, count(*) from read_parquet($paths) group by lang order by lang nulls last"
        found = connection.execute(sql, {"paths": names(paths)}).fetchall()
        documents = {language: number for language, number in found if language is not None}
        profile: Profile = {}
        for language, number in documents.items():
            if number >= MIN_DOCUMENTS:
                parameters = {"paths": names(paths), "lang": language}
                (row,) = connection.execute(quantiles(low, high), parameters).fetchall()
                profile[language] = bounds(row)
        if not profile:
            raise InputError(
                f"{reference.folder}: no language has {MIN_DOCUMENTS} documents, found {documents}. Name a larger"
                " dataset."
            )
        dropped = dict.fromkeys(profile, 0)
        for path in paths:
            for batch in decisions(connection, DecideUnit(path, profile, ())):
                count_dropped(batch, dropped)
    return Calibrated(profile, documents, dropped)


def quantiles(low: float, high: float) -> str:
    """Write the query for both quantiles of every signal of one language."""
    signals = sorted({*BOTH_SIDES, *FROM_BELOW, *FROM_ABOVE}, key=MEASURED.index)
    columns = ", ".join(f"quantile_disc({s}, [{low!r}, {high!r}])" for s in signals)
    return f"select {columns} from read_parquet($paths) where lang = $lang"


def bounds(row: tuple[list[float] | None, ...]) -> dict[str, Bounds]:
    """Turn one language's quantiles into bounds; a signal that is null throughout has none."""
    signals = sorted({*BOTH_SIDES, *FROM_BELOW, *FROM_ABOVE}, key=MEASURED.index)
    return {
        signal: Bounds(
            min=None if signal in FROM_ABOVE else outwards(pair[0], math.floor),
            max=None if signal in FROM_BELOW else outwards(pair[1], math.ceil),
        )
        for signal, pair in zip(signals, row, strict=True)
        if pair is not None
    }


def outwards(value: float, direction: Callable[[float], int]) -> float:
    """Round to DIGITS significant digits, away from the middle."""
    if value == 0:
        return 0.0
    scale = 10.0 ** (DIGITS - 1 - math.floor(math.log10(abs(value))))
    return float(direction(value * scale) / scale)


def count_dropped(batch: pa.RecordBatch, dropped: dict[str, int]) -> None:
    """Add up the dropped documents of a batch of decisions by language."""
    lost = batch.filter(pc.is_valid(batch.column("reason")))
    for entry in lost.column("lang").value_counts().to_pylist():
        dropped[entry["values"]] += entry["counts"]


def calibrated_toml(reference: Manifest, calibrated: Calibrated, low: float, high: float) -> str:
    """Write a learnt profile as a file, with what it was learnt from on top."""
    lines = [
        f"Learnt by `lmpipe calibrate` from {reference.stage}/{reference.folder.name}: each bound is the {low:g} or",
        f"{high:g} quantile of one signal.",
    ]
    for language, number in calibrated.documents.items():
        if language in calibrated.profile:
            lost = calibrated.dropped[language]
            lines.append(
                f"{language}: {number} documents, of which all rules together drop {lost} ({lost / number:.1%})"
            )
        else:
            lines.append(f"{language}: {number} documents are fewer than {MIN_DOCUMENTS}, so no rules")
    return to_toml(calibrated.profile, "\n".join(lines))
