"""Score the last words of passages: their nats given what stands before, and whether greedy decoding finds them.

Passages whose prompts, and whose last words, have the same number of tokens go through the model together, so that
nothing is padded. A prompt that is longer than the context loses its beginning.

Shape letters: B passages, V vocabulary.
"""

from collections.abc import Sequence
from itertools import groupby
from typing import NamedTuple

import torch
from torch import Tensor

from lmpipe.train.model import LanguageModel


class Passage(NamedTuple):
    """A text as ids, with the number of its tokens that are only context."""

    ids: Tensor
    prompt: int


class Guess(NamedTuple):
    """How a model did on one passage."""

    nats: float
    correct: bool
    """Each token of the last word was the most probable one."""


@torch.no_grad()
def guess_last_words(
    model: LanguageModel, passages: Sequence[Passage], end_of_text: int, context: int, batch: int
) -> list[Guess]:
    """Score the last word of each passage, in float64 of float32 logits."""

    def shape(number: int) -> tuple[int, int]:
        return passages[number].prompt, len(passages[number].ids)

    guesses: dict[int, Guess] = {}
    for _, same in groupby(sorted(range(len(passages)), key=shape), shape):
        numbers = list(same)
        for first in range(0, len(numbers), batch):
            some = numbers[first : first + batch]
            guesses |= zip(some, guess(model, [passages[n] for n in some], end_of_text, context), strict=True)
    return [guesses[number] for number in range(len(passages))]


def guess(model: LanguageModel, passages: Sequence[Passage], end_of_text: int, context: int) -> list[Guess]:
    """Score passages of one shape side by side, token after token of their last words."""
    device = model.head_VW.device
    ids_BS = torch.stack([passage.ids for passage in passages])
    targets = ids_BS[:, passages[0].prompt :].to(device)
    ends = torch.full((len(passages), 1), end_of_text)
    prompt = torch.cat((ends, ids_BS[:, : passages[0].prompt]), dim=1)
    piece, state = prompt[:, -(max(1, context - targets.shape[1] + 1)) :].to(device), model.begin(len(passages))
    nats_B = torch.zeros(len(passages), dtype=torch.float64, device=device)
    correct_B = torch.ones(len(passages), dtype=torch.bool, device=device)
    for target_B in targets.T:
        logits_BV, state = model.next_logits(piece, state)
        nats_B -= logits_BV.double().log_softmax(-1).gather(1, target_B[:, None])[:, 0]
        correct_B &= logits_BV.argmax(-1) == target_B
        piece = target_B[:, None]
    return [Guess(*pair) for pair in zip(nats_B.tolist(), correct_B.tolist(), strict=True)]
