"""Beam search: the most probable continuation that a bounded search finds.

A beam is finished by the end-of-text token. Finished ones compete by log probability / length ** penalty; the search
ends when no live beam can overtake the worst of the `beams` best finished ones at its present length (transformers'
early_stopping = False).

Shape letters: B beams, V vocabulary.
"""

import heapq
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from lmpipe.apply.decoder import Decoder
from lmpipe.apply.decoding import Decoding, penalise


class Beam(NamedTuple):
    """A continuation that is followed."""

    score: float
    """Sum of log probabilities, after the repetition penalty."""
    ids: tuple[int, ...]
    nats: tuple[float, ...]
    """-ln p of each token by the model itself."""
    row: int
    """Where the decoder holds what it goes on from."""

    def ranked(self, penalty: float) -> tuple[float, tuple[int, ...], tuple[float, ...]]:
        """The form that finished beams are compared in."""
        return self.score / len(self.ids) ** penalty, self.ids, self.nats


def search(
    decoder: Decoder, logits_BV: Tensor, prompt: Sequence[int], decoding: Decoding, end_of_text: int
) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """Search from a decoder that holds the prompt once a beam; return tokens and their nats, the end included."""
    size, penalty = decoding.beams, decoding.length_penalty
    live = [Beam(0.0, (), (), 0)]
    finished: list[tuple[float, tuple[int, ...], tuple[float, ...]]] = []
    for number in range(decoding.max_tokens):
        last = number + 1 == decoding.max_tokens
        candidates = extensions(logits_BV, live, prompt, decoding)
        ended = [beam for beam in candidates[:size] if last or beam.ids[-1] == end_of_text]
        finished = heapq.nlargest(size, [*finished, *(beam.ranked(penalty) for beam in ended)])
        live = [beam for beam in candidates if beam.ids[-1] != end_of_text][:size]
        if last or (len(finished) == size and finished[-1][0] >= live[0].ranked(penalty)[0]):
            break
        decoder.keep(torch.tensor([beam.row for beam in live], device=logits_BV.device))
        logits_BV = decoder.step(torch.tensor([beam.ids[-1] for beam in live], device=logits_BV.device))
        live = [beam._replace(row=row) for row, beam in enumerate(live)]
    _, ids, nats = finished[0]
    return ids, nats


def extensions(logits_BV: Tensor, live: Sequence[Beam], prompt: Sequence[int], decoding: Decoding) -> list[Beam]:
    """List the best continuations of all beams by one token, twice as many as beams, so that enough go on."""
    plain_BV = logits_BV[: len(live)].log_softmax(-1)
    # On log probabilities, as transformers' beam search has it, not on logits.
    log_p_BV = penalise(plain_BV, [[*prompt, *beam.ids] for beam in live], decoding.repetition_penalty)
    scores_BV = log_p_BV.double() + torch.tensor([[beam.score] for beam in live], device=logits_BV.device).double()
    best = scores_BV.flatten().topk(min(2 * decoding.beams, scores_BV.numel()))
    grown = []
    for score, place in zip(best.values.tolist(), best.indices.tolist(), strict=True):
        row, token = divmod(place, scores_BV.shape[1])
        old = live[row]
        grown.append(Beam(score, (*old.ids, token), (*old.nats, -float(plain_BV[row, token])), row))
    return grown
