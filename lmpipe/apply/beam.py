"""Beam search: the most probable continuations that a bounded search finds, of many texts side by side.

A beam is finished by the end-of-text token, or by its length. Finished ones compete by log probability / a divisor of
their length; the search of a text ends when none of its live beams can overtake the worst of its `beams` best finished
ones. What stands beside a text changes nothing beyond float rounding.

Shape letters: B rows (the live beams of all texts), V vocabulary.
"""

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor

from lmpipe.apply.decoder import Decoder
from lmpipe.apply.decoding import penalise


@dataclass(frozen=True, slots=True, kw_only=True)
class Race:
    """By which rules beams compete."""

    beams: int
    """Live ones of a text at most, and finished ones that are kept."""
    longest: int
    """Tokens of a continuation at most."""
    divisor: Callable[[int], float]
    """Of the log probability, by length."""
    patient: bool
    """Whether a live beam is hoped for as if its other tokens up to the longest length cost nothing, which ends no
    search too early; or as it stands now (transformers' early_stopping = False), which ends most much earlier."""
    repetition_penalty: float = 1.0
    """As in Decoding, of log probabilities instead of logits, as transformers' beam search has it."""


class Beam(NamedTuple):
    """A continuation."""

    log_p: float
    """After the repetition penalty."""
    ids: tuple[int, ...] = ()
    nats: tuple[float, ...] = ()
    """-ln p of each token by the model itself."""


@dataclass(slots=True, kw_only=True)
class Search:
    """The search behind one prompt."""

    prompt: Sequence[int]
    live: list[Beam] = field(default_factory=lambda: [Beam(0.0)])
    """Best first; each has a row of the decoder, in this order."""
    finished: list[Beam] = field(default_factory=list)
    """Best first."""


def search(
    decoder: Decoder, logits_BV: Tensor, prompts: Sequence[Sequence[int]], race: Race, end_of_text: int
) -> list[list[Beam]]:
    """Search from a decoder that has taken in the prompts; return the finished beams of each, best first."""
    searches = [Search(prompt=prompt) for prompt in prompts]
    active = searches
    for length in range(1, race.longest + 1):
        grown = extended(active, logits_BV, race, length, end_of_text)
        active = [one for one, rows in grown if rows]
        if not active:
            break
        decoder.keep(torch.tensor([row for _, rows in grown for row in rows], device=logits_BV.device))
        last = [beam.ids[-1] for one in active for beam in one.live]
        logits_BV = decoder.step(torch.tensor(last, device=logits_BV.device))
    return [one.finished for one in searches]


def extended(
    active: Sequence[Search], logits_BV: Tensor, race: Race, length: int, end_of_text: int
) -> list[tuple[Search, list[int]]]:
    """Grow all beams of all texts by one token; return with each the rows to go on from, none where it is done."""
    plain_BV = logits_BV.double().log_softmax(-1)
    log_p_BV = penalise(plain_BV, [[*o.prompt, *beam.ids] for o in active for beam in o.live], race.repetition_penalty)
    best = log_p_BV.topk(min(2 * race.beams, log_p_BV.shape[1]))  # so that enough go on where some end
    nats = (-plain_BV.gather(1, best.indices)).tolist()
    rows = list(zip(best.values.tolist(), best.indices.tolist(), nats, strict=True))
    grown, first = [], 0
    for one in active:
        candidates = [
            (Beam(old.log_p + value, (*old.ids, token), (*old.nats, cost)), row)
            for row, old in enumerate(one.live, first)
            for value, token, cost in zip(*rows[row], strict=True)
        ]
        first += len(one.live)
        candidates.sort(key=lambda candidate: (-candidate[0].log_p, candidate[0].ids))
        grown.append((one, advance(one, candidates[: 2 * race.beams], race, length, end_of_text)))
    return grown


def advance(
    one: Search, candidates: Sequence[tuple[Beam, int]], race: Race, length: int, end_of_text: int
) -> list[int]:
    """Sort the best candidates of a text into finished and live; return the rows of the live, none when it is done."""
    last = length == race.longest
    ended = [beam for beam, _ in candidates[: race.beams] if last or beam.ids[-1] == end_of_text]
    one.finished = heapq.nsmallest(
        race.beams, [*one.finished, *ended], key=lambda beam: (-ranked(beam, race), beam.ids)
    )
    going = [(beam, row) for beam, row in candidates if beam.ids[-1] != end_of_text][: race.beams]
    one.live = [beam for beam, _ in going]
    hope = one.live[0].log_p / race.divisor(race.longest if race.patient else length)
    if last or (len(one.finished) == race.beams and ranked(one.finished[-1], race) >= hope):
        return []
    return [row for _, row in going]


def ranked(beam: Beam, race: Race) -> float:
    """Give the score by which finished beams compete."""
    return beam.log_p / race.divisor(len(beam.ids))
