"""Count the errors of hypotheses against references by jiwer, and compare systems over the same utterances.

What is compared is chosen by the language: words between white space, or (Chinese) every Chinese character by
itself and everything else in runs, so that "我用 GPT" has three units however it is spaced. Character errors leave
white space out in Chinese and count it in other languages, as jiwer does.

Sums are kept, rates are derived: a rate over a set is the sum of errors through the sum of units.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import jiwer
import numpy as np
from numpy.typing import NDArray

Script = Literal["words", "chinese"]
"""What a unit is."""

UNIT = re.compile(
    r"[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]|[^\s\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]+"
)
"""A Chinese character, or a run of anything else."""

RESAMPLES = 10_000
"""Of the bootstrap (Bisani and Ney 2004, 'Bootstrap estimates for confidence intervals in ASR')."""


class Errors(NamedTuple):
    """Errors and units of one utterance or of many."""

    words: int
    word_errors: int
    characters: int
    character_errors: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One system's rate less another's, in error points of 0 to 1, over resampled utterances."""

    mean: float
    low: float
    high: float
    """95 % of the resamples lie between low and high."""
    p: float
    """Share of resamples in which the sign turns, times two."""


def units(text: str, script: Script) -> str:
    """Put one blank between the units of a text."""
    return " ".join(UNIT.findall(text) if script == "chinese" else text.split())


def word_errors(reference: str, hypotheses: Sequence[str], script: Script) -> NDArray[np.int64]:
    """Count substitutions, deletions and insertions of each hypothesis; equal ones are compared once."""
    spaced = [units(text, script) for text in hypotheses]
    distinct = list(dict.fromkeys(spaced))
    found = jiwer.process_words([units(reference, script)] * len(distinct), distinct)
    counts = {text: num_errors(chunks) for text, chunks in zip(distinct, found.alignments, strict=True)}
    return np.array([counts[text] for text in spaced])


def num_errors(chunks: Sequence[jiwer.AlignmentChunk]) -> int:
    """Add up the edits of one alignment."""
    return sum(
        max(chunk.ref_end_idx - chunk.ref_start_idx, chunk.hyp_end_idx - chunk.hyp_start_idx)
        for chunk in chunks
        if chunk.type != "equal"
    )


def count_errors(reference: str, hypothesis: str, script: Script) -> Errors:
    """Count word and character errors of one hypothesis."""
    reference, hypothesis = units(reference, script), units(hypothesis, script)
    words = jiwer.process_words(reference, hypothesis)
    plain = (text.replace(" ", "") if script == "chinese" else text for text in (reference, hypothesis))
    reference_characters, hypothesis_characters = plain
    characters = jiwer.process_characters(reference_characters, hypothesis_characters)
    return Errors(
        len(reference.split()),
        num_errors(words.alignments[0]),
        len(reference_characters),
        num_errors(characters.alignments[0]),
    )


def resampled(errors: NDArray[np.int64], lengths: NDArray[np.int64], seed: int) -> NDArray[np.float64]:
    """Draw the error rates of RESAMPLES sets of as many utterances; the same seed draws the same sets."""
    draw = np.random.default_rng(seed)
    rates = np.empty(RESAMPLES)
    for start in range(0, RESAMPLES, 1000):  # 1,000 sets of 10,000 utterances are 80 MB
        chosen = draw.integers(len(errors), size=(1000, len(errors)))
        rates[start : start + 1000] = errors[chosen].sum(axis=1) / np.maximum(lengths[chosen].sum(axis=1), 1)
    return rates


def interval(rates: NDArray[np.float64]) -> tuple[float, float]:
    """Give the bounds of the middle 95 %."""
    low, high = np.quantile(rates, (0.025, 0.975))
    return float(low), float(high)


def compare(ours: NDArray[np.float64], theirs: NDArray[np.float64]) -> Difference:
    """Compare two systems by their rates over the same resampled sets."""
    differences = ours - theirs
    low, high = interval(differences)
    p = 2 * min(float((differences >= 0).mean()), float((differences <= 0).mean()))
    return Difference(mean=float(differences.mean()), low=low, high=high, p=min(1.0, p))
