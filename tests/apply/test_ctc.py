"""The prefix beam search finds what trying all alignments finds."""

from itertools import groupby, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from lmpipe.apply.ctc import CtcSettings, decode_ctc
from lmpipe.errors import InputError

LABELS = ["_", "a", "b", " "]


def language(texts: list[str]) -> list[float]:
    """Prefer words that end in b, by a lot."""
    return [sum(-0.1 if word.endswith("b") else -2.5 for word in text.split()) for text in texts]


def brute_force(log_p_TV: NDArray[np.float64], chosen: CtcSettings) -> dict[str, float]:
    """Add up every alignment, then add the language model."""
    sums: dict[str, float] = {}
    for alignment in product(range(len(LABELS)), repeat=len(log_p_TV)):
        text = " ".join("".join(LABELS[label] for label, _ in groupby(alignment) if label).split())
        log_p = sum(float(frame[label]) for frame, label in zip(log_p_TV, alignment, strict=True))
        sums[text] = float(np.logaddexp(sums.get(text, -np.inf), log_p))
    weighed = dict(zip(sums, language(list(sums)), strict=True))
    return {
        text: acoustic + chosen.weight * weighed[text] + chosen.bonus * len(text.split())
        for text, acoustic in sums.items()
    }


def frames(seed: int, length: int) -> NDArray[np.float64]:
    logits = np.random.default_rng(seed).normal(size=(length, len(LABELS))) * 2
    return logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)


@settings(max_examples=20)
@given(st.integers(0, 10_000), st.integers(1, 5), st.sampled_from([0.0, 0.7]), st.sampled_from([0.0, 0.4]))
def test_a_wide_beam_is_all_alignments(seed: int, length: int, weight: float, bonus: float) -> None:
    chosen = CtcSettings(beam=10_000, cut=1e-30, weight=weight, bonus=bonus)
    found = decode_ctc(frames(seed, length), LABELS, chosen, language)
    wanted = brute_force(frames(seed, length), chosen)
    totals = found.scores["acoustic"] + weight * found.scores["model"] + bonus * found.scores["words"]
    assert set(found.texts) == set(wanted)
    np.testing.assert_allclose(totals, [wanted[text] for text in found.texts], atol=1e-9)
    assert list(totals) == sorted(totals, reverse=True)


def test_a_language_model_turns_a_near_tie() -> None:
    log_p = np.log(np.array([[0.02, 0.5, 0.46, 0.02], [0.94, 0.02, 0.02, 0.02]]))
    assert decode_ctc(log_p, LABELS, CtcSettings()).texts[0] == "a"
    assert decode_ctc(log_p, LABELS, CtcSettings(weight=1.0), language).texts[0] == "b"


def test_chinese_needs_no_blanks_between_words() -> None:
    labels = ["_", "他", "她", "们"]
    log_p = np.log(np.array([[0.01, 0.5, 0.48, 0.01], [0.01, 0.01, 0.01, 0.97]]))

    def model(texts: list[str]) -> list[float]:
        return [0.0 if text.startswith("她") else -1.0 for text in texts]

    found = decode_ctc(log_p, labels, CtcSettings(beam=1, unit="characters", weight=1.0), model)
    assert found.texts == ["她们"], "the model has its say at each character, before a beam of one is cut"
    assert found.scores["words"][0] == 2


def test_labels_of_another_model_are_refused() -> None:
    with pytest.raises(InputError, match=r"utterance u1: expected numbers of shape \(frames, 3\)"):
        decode_ctc(frames(0, 2), LABELS[:3], CtcSettings(), utterance="u1")
    with pytest.raises(InputError, match="and 8 NaN"):
        decode_ctc(frames(0, 2) * np.nan, LABELS, CtcSettings())


def test_logits_are_decoded_as_their_log_probabilities() -> None:
    chosen = CtcSettings(weight=0.5)
    log_p, logits = (decode_ctc(frames(7, 5) + shift, LABELS, chosen, language) for shift in (0.0, 12.5))
    assert logits.texts == log_p.texts
    np.testing.assert_allclose(logits.scores["acoustic"], log_p.scores["acoustic"])
