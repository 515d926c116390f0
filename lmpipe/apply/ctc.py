"""Decode CTC outputs by a prefix beam search, with a language model that has its say as words are finished.

A prefix is scored by the sum over all its alignments (Graves et al. 2006; the search: Hannun et al. 2014), plus
weight x ln p of its finished words, plus a bonus for each (shallow fusion). Of the libraries for it, pyctcdecode has
had no release since 2023 and asks for numpy below 2, flashlight-text takes KenLM or C++ models only: hence this one.

Shape letters: T frames, V labels.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from lmpipe.apply.nbest import NBest
from lmpipe.errors import InputError

LanguageScores = Callable[[list[str]], list[float]]
"""ln p of each text."""

Prefix = tuple[int, ...]

NEVER = -np.inf


@dataclass(frozen=True, slots=True, kw_only=True)
class CtcSettings:
    """How to search."""

    beam: int = 64
    """Prefixes kept after each frame."""
    cut: float = 1e-4
    """Labels less probable than this in a frame are not tried there, unless it is the likeliest."""
    unit: Literal["words", "characters"] = "words"
    """What the language model waits for: a blank between words, or (Chinese) nothing."""
    weight: float = 0.0
    """Of the language model's ln p."""
    bonus: float = 0.0
    """For each unit: a language model prefers short texts."""


@dataclass(slots=True)
class Language:
    """Scores of texts by the language model, each asked for once."""

    settings: CtcSettings
    scores: LanguageScores | None
    known: dict[str, float]

    def learn(self, texts: Sequence[str]) -> None:
        """Ask for texts that are not known yet, all together."""
        new = [text for text in dict.fromkeys(texts) if text and text not in self.known]
        if new and self.scores is not None and self.settings.weight:
            self.known |= zip(new, self.scores(new), strict=True)

    def score(self, text: str) -> float:
        """Weigh a text of whole units."""
        bonus = self.settings.bonus * num_units(text, self.settings)
        return self.settings.weight * self.known.get(text, 0.0) + bonus


def num_units(text: str, settings: CtcSettings) -> int:
    """Count words, or characters without blanks."""
    return len(text.split()) if settings.unit == "words" else len(text.replace(" ", ""))


def finished(text: str, settings: CtcSettings) -> str:
    """Cut a word off that may go on."""
    if settings.unit == "characters":
        return text
    return " ".join(text.rpartition(" ")[0].split())


def decode_ctc(
    logits_TV: NDArray[np.floating],
    labels: Sequence[str],
    settings: CtcSettings,
    scores: LanguageScores | None = None,
    *,
    blank: int = 0,
    utterance: str = "",
) -> NBest:
    """List the texts of the beam, best first, with the scores `acoustic` (ln p by CTC), `model` and `words`.

    Logits are normalised, which leaves log probabilities as they are; labels are joined as they stand, " " (or "|" or
    "▁") parts words. Raises InputError for another number of labels, and for NaN.
    """
    if logits_TV.ndim != 2 or logits_TV.shape[1] != len(labels) or np.isnan(logits_TV).any():
        raise InputError(
            f"utterance {utterance}: expected numbers of shape (frames, {len(labels)}), found shape {logits_TV.shape}"
            f" and {np.isnan(logits_TV).sum()} NaN. Name the outputs and labels of one model."
        )
    logits_TV = np.asarray(logits_TV, np.float64)
    log_p_TV = logits_TV - np.logaddexp.reduce(logits_TV, axis=1, keepdims=True)
    letters = [" " if label in ("|", "<space>") else label.replace("▁", " ") for label in labels]
    language = Language(settings, scores, {})
    beams: dict[Prefix, tuple[float, float]] = {(): (0.0, NEVER)}
    for frame in log_p_TV:
        beams = pruned(advance(beams, frame, blank, settings), letters, language)
    return ranked(beams, letters, language, utterance)


def advance(
    beams: dict[Prefix, tuple[float, float]], frame: NDArray[np.float64], blank: int, settings: CtcSettings
) -> dict[Prefix, tuple[float, float]]:
    """Take one frame: a prefix stays by a blank or by its last label again, or grows by a label.

    The two numbers are ln p of all alignments that end in a blank, and of those that do not.
    """
    tried = np.flatnonzero((frame >= np.log(settings.cut)) | (frame == frame.max())).tolist()
    after: dict[Prefix, list[float]] = defaultdict(lambda: [NEVER, NEVER])
    for prefix, (in_blank, in_label) in beams.items():
        whole = np.logaddexp(in_blank, in_label)
        for label in tried:
            log_p = float(frame[label])
            if label == blank:
                after[prefix][0] = float(np.logaddexp(after[prefix][0], whole + log_p))
            elif prefix and label == prefix[-1]:
                after[prefix][1] = float(np.logaddexp(after[prefix][1], in_label + log_p))
                grown = after[*prefix, label]
                grown[1] = float(np.logaddexp(grown[1], in_blank + log_p))
            else:
                grown = after[*prefix, label]
                grown[1] = float(np.logaddexp(grown[1], whole + log_p))
    return {prefix: (both[0], both[1]) for prefix, both in after.items() if max(both) > NEVER}


def pruned(
    beams: dict[Prefix, tuple[float, float]], letters: Sequence[str], language: Language
) -> dict[Prefix, tuple[float, float]]:
    """Keep the best prefixes; equals in the order of their labels, so that nothing hangs on the dict's."""
    texts = {prefix: finished("".join(letters[i] for i in prefix), language.settings) for prefix in beams}
    language.learn(list(texts.values()))
    worth = {prefix: np.logaddexp(*both) + language.score(texts[prefix]) for prefix, both in beams.items()}
    kept = sorted(beams, key=lambda prefix: (-worth[prefix], prefix))[: language.settings.beam]
    return {prefix: beams[prefix] for prefix in kept}


def ranked(
    beams: dict[Prefix, tuple[float, float]], letters: Sequence[str], language: Language, utterance: str
) -> NBest:
    """Score whole texts, last words included; prefixes that spell the same text are added up."""
    acoustic: dict[str, float] = defaultdict(lambda: NEVER)
    for prefix, both in beams.items():
        text = " ".join("".join(letters[i] for i in prefix).split())
        acoustic[text] = float(np.logaddexp(acoustic[text], np.logaddexp(*both)))
    language.learn(list(acoustic))
    texts = sorted(acoustic, key=lambda text: (-(acoustic[text] + language.score(text)), text))
    scores = {
        "words": np.array([float(num_units(text, language.settings)) for text in texts]),
        "acoustic": np.array([acoustic[text] for text in texts]),
        "model": np.array([language.known.get(text, 0.0) for text in texts]),
    }
    return NBest(utterance=utterance, texts=texts, scores=scores)
