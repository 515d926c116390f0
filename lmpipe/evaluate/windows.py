"""Score token ids under a protocol: windows one after the other, windows that overlap, or a carried state.

A text stands alone, behind one end-of-text token from which its first token is predicted. Windows of `context`
tokens begin every `stride` tokens and score what no window before them has; each starts from the token before its
first one, and from a zero state. Carried, windows follow each other and go on from the state before. Every token is
scored once, whatever the protocol.

Shape letters: B windows, S window length + 1, T window length.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from lmpipe.errors import TrainingError
from lmpipe.settings import EvaluateSettings, Model
from lmpipe.train.model import LanguageModel, State

Nats = NDArray[np.float64]
"""-ln p of each token of a text, in order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Windows:
    """How much of a text a model sees before a token."""

    context: int
    """Tokens of a window."""
    stride: int
    """Tokens from the start of a window to that of the next."""
    carry: bool = False
    """Each window goes on from the state that the one before it left."""


class Window(NamedTuple):
    """A piece of a text, with the one token before it."""

    owner: int
    """Number of the text."""
    start: int
    """Number of its first target in the text."""
    ids: Tensor
    first: int
    """Targets at its start that an earlier window has scored."""


def protocols(settings: EvaluateSettings, model: Model) -> list[Windows]:
    """List the protocols that the settings ask for: a carried state, or each of the strides.

    Raises TrainingError for a model without a state that could be carried over windows.
    """
    context = settings.context
    if settings.carry and model.kind == "transformer":
        raise TrainingError(
            "evaluate.carry needs a model whose state has one size: an LSTM, an n-gram model. Evaluate without it."
        )
    if settings.carry:
        return [Windows(context=context, stride=context, carry=True)]
    strides = {"disjoint": context, "half": max(1, context // 2)}
    return list(dict.fromkeys(Windows(context=context, stride=strides[name]) for name in settings.strides))


@torch.no_grad()
def text_nats(
    model: LanguageModel, texts: Sequence[Tensor], end_of_text: int, windows: Windows, batch: int
) -> list[float]:
    """Sum -log p of the tokens of each text, in nats, in float64.

    `texts` are int64 ids without end-of-text token. Windows of like length are scored together; padding lies behind
    the text, where a causal model cannot see it.
    """
    if windows.carry:
        return carried_nats(model, texts, end_of_text, windows.context, batch)
    return [float(nats.sum()) for nats in token_nats(model, texts, end_of_text, windows, batch)]


@torch.no_grad()
def token_nats(
    model: LanguageModel, texts: Sequence[Tensor], end_of_text: int, windows: Windows, batch: int
) -> list[Nats]:
    """Compute -log p of every token of each text by windows that carry no state; the rest is as in text_nats."""
    nats = [np.zeros(len(text)) for text in texts]
    pieces = [piece for owner, text in enumerate(texts) for piece in cut(owner, text, end_of_text, windows)]
    pieces.sort(key=lambda piece: -len(piece.ids))
    for first in range(0, len(pieces), batch):
        some = pieces[first : first + batch]
        values_BT = window_nats(model, some, None)[0].numpy()
        for piece, values_T in zip(some, values_BT, strict=True):
            scored = slice(piece.first, len(piece.ids) - 1)
            nats[piece.owner][piece.start :][scored] = values_T[scored]
    return nats


def carried_nats(
    model: LanguageModel, texts: Sequence[Tensor], end_of_text: int, context: int, batch: int
) -> list[float]:
    """Score texts side by side, window after window; the longest first, so that finished ones are the last rows."""
    order = sorted(range(len(texts)), key=lambda owner: -len(texts[owner]))
    nats = [0.0] * len(texts)
    disjoint = Windows(context=context, stride=context)
    for first in range(0, len(order), batch):
        rows = [list(cut(owner, texts[owner], end_of_text, disjoint)) for owner in order[first : first + batch]]
        state: State | None = model.begin(len(rows))
        for number in range(len(rows[0])):
            pieces = [row[number] for row in rows if number < len(row)]
            assert state is not None, "a model that was given a state keeps one"
            state = [(h[: len(pieces)], c[: len(pieces)]) for h, c in state]
            values_BT, state = window_nats(model, pieces, state)
            for piece, values_T in zip(pieces, values_BT, strict=True):
                nats[piece.owner] += float(values_T[: len(piece.ids) - 1].sum())
    return nats


def cut(owner: int, text: Tensor, end_of_text: int, windows: Windows) -> Iterator[Window]:
    """Cut a text into windows of at most `context` targets; none begins where all targets are scored already."""
    ids = torch.cat((torch.tensor([end_of_text]), text))
    overlap = windows.context - windows.stride
    for start in range(0, max(1, len(text) - overlap) if len(text) else 0, windows.stride):
        yield Window(owner, start, ids[start : start + windows.context + 1], overlap if start else 0)


def window_nats(model: LanguageModel, pieces: Sequence[Window], state: State | None) -> tuple[Tensor, State | None]:
    """Score windows side by side; return -log p at each place (B, T), float64 on the CPU, and the state behind them.

    Padding lies behind the text, and its numbers mean nothing: of a row that ends there, the state is of no use either.
    """
    ids_BS = pad_sequence([piece.ids for piece in pieces], batch_first=True).to(model.head_VW.device)
    nll_BT, after = model.nll_after(ids_BS[:, :-1], ids_BS[:, 1:], None, state)
    return nll_BT.to(torch.float64).cpu(), after
