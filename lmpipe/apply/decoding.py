"""How the next token is chosen from a model's logits: greedily, or drawn from what filters leave.

The order is that of transformers: repetition penalty, temperature, top-k, top-p, min-p. All filters look at the
distribution that the ones before them left.

Shape letters: B rows, V vocabulary.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lmpipe.errors import InputError


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoding:
    """How texts are continued."""

    max_tokens: int = 128
    """Longest continuation; it ends earlier at the end-of-text token or a stop sequence."""
    temperature: float | None = 1.0
    """Divides the logits before a token is drawn; None takes the most probable token."""
    top_k: int | None = None
    """Draw among so many most probable tokens (Fan et al. 2018, section 5.1)."""
    top_p: float | None = None
    """Draw among the fewest tokens that have this probability together (Holtzman et al. 2020, section 3.1)."""
    min_p: float | None = None
    """Draw among tokens with at least this share of the best one's probability (Nguyen et al. 2024)."""
    repetition_penalty: float = 1.0
    """Positive logits of tokens that the text has are divided by it, negative ones multiplied (Keskar et al. 2019)."""
    beams: int = 1
    """Beams of the search for the most probable continuation; above 1 nothing is drawn."""
    length_penalty: float = 1.0
    """Beams are compared by log probability / length ** length_penalty; 0 for the sum (Wu et al. 2016 divide too)."""
    stop: tuple[str, ...] = ()
    """Texts at which a continuation ends; they are not part of it."""
    seed: int = 1
    """Of the draws; the n-th prompt has the same ones whatever stands beside it."""


def check_decoding(decoding: Decoding) -> None:
    """Raise InputError for a value outside its range."""
    bounds = {
        "max_tokens": decoding.max_tokens >= 1,
        "temperature": decoding.temperature is None or decoding.temperature > 0,
        "top_k": decoding.top_k is None or decoding.top_k >= 1,
        "top_p": decoding.top_p is None or 0 < decoding.top_p <= 1,
        "min_p": decoding.min_p is None or 0 <= decoding.min_p <= 1,
        "repetition_penalty": decoding.repetition_penalty > 0,
        "beams": decoding.beams >= 1,
        "stop": all(decoding.stop),
    }
    for name, good in bounds.items():
        if not good:
            found = getattr(decoding, name)
            raise InputError(f"{name}: {found!r} is out of range. Give {RANGES[name]}.")


RANGES = {
    "max_tokens": "at least 1",
    "temperature": "a number above 0, or 0 on the command line for the most probable token",
    "top_k": "at least 1",
    "top_p": "a number above 0, at most 1",
    "min_p": "a number from 0 to 1",
    "repetition_penalty": "a number above 0; 1 changes nothing",
    "beams": "at least 1",
    "stop": "texts that are not empty",
}
"""What a user may give."""


def penalise(logits_BV: Tensor, texts: Sequence[Sequence[int]], penalty: float) -> Tensor:
    """Make the tokens of each row's text less probable; the penalty falls once, however often a token is there."""
    if penalty == 1:
        return logits_BV
    punished_BV = logits_BV.clone()
    for row, text in enumerate(texts):
        ids = torch.tensor(sorted(set(text)), dtype=torch.long, device=logits_BV.device)
        values = logits_BV[row, ids]
        punished_BV[row, ids] = torch.where(values > 0, values / penalty, values * penalty)
    return punished_BV


def distribution(logits_BV: Tensor, decoding: Decoding) -> Tensor:
    """Compute the probabilities to draw from, float64; what a filter removes has none."""
    assert decoding.temperature is not None, "greedy decoding draws nothing"
    p_BV = (logits_BV.double() / decoding.temperature).softmax(-1)
    if decoding.top_k is not None and decoding.top_k < p_BV.shape[1]:
        least_B1 = p_BV.topk(decoding.top_k, dim=-1).values[:, -1:]
        p_BV = kept(p_BV, p_BV >= least_B1)
    if decoding.top_p is not None and decoding.top_p < 1:
        sorted_BV, order_BV = p_BV.sort(dim=-1, descending=True, stable=True)
        inside_BV = sorted_BV.cumsum(-1) - sorted_BV < decoding.top_p
        p_BV = kept(p_BV, torch.zeros_like(inside_BV).scatter(1, order_BV, inside_BV))
    if decoding.min_p is not None:
        p_BV = kept(p_BV, p_BV >= decoding.min_p * p_BV.max(dim=-1, keepdim=True).values)
    return p_BV


def kept(p_BV: Tensor, keep_BV: Tensor) -> Tensor:
    """Leave out what is not kept, and let the rest sum to 1."""
    p_BV = p_BV * keep_BV
    return p_BV / p_BV.sum(-1, keepdim=True)


def choose(logits_BV: Tensor, decoding: Decoding, generators: Sequence[torch.Generator]) -> Tensor:
    """Choose the next token of each row; each row draws from a generator of its own."""
    if decoding.temperature is None:
        return logits_BV.argmax(-1)
    cumulated_BV = distribution(logits_BV, decoding).cumsum(-1)
    drawn = [torch.rand((), dtype=torch.float64, generator=generator) for generator in generators]
    at_B1 = torch.stack(drawn)[:, None].to(logits_BV.device) * cumulated_BV[:, -1:]
    return torch.searchsorted(cumulated_BV, at_B1, right=True).squeeze(1).clamp(max=logits_BV.shape[1] - 1)
