"""What every language model of lmpipe offers: hidden vectors, logits, and negative log-likelihoods.

A model may carry a state from one piece of a text to the next: the LSTM its cells, the Transformer the keys and
values of what came before. A text in pieces then scores as it does whole.

Shape letters: B rows, T positions, W width, V vocabulary.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from lmpipe.train.model import head

State = list[tuple[Tensor, Tensor]]
"""Per layer two tensors, the first dimension for rows: (h, c) of an LSTM, (keys, values) of a Transformer."""


class Loss(NamedTuple):
    """What a step learns from, and what it reports."""

    objective: Tensor
    """Differentiable sum over all positions: smoothed loss plus penalties, float64."""
    nats: Tensor
    """Sum of -log p(target) alone, float64."""
    state: State | None
    """To begin the next piece with."""


class LanguageModel(nn.Module):
    """A causal language model: position t sees ids 0 ... t of its row and predicts id t + 1."""

    head_VW: Tensor
    """The output matrix; the embedding's own where weights are tied."""
    cap: float | None = None
    """Largest absolute logit, or None."""
    precision: torch.dtype = torch.float32
    """Of activations and matrix products; weights stay float32."""
    compiled: bool = False
    """Whether what can be compiled is: the loss on a GPU, and a Transformer's blocks."""

    def compile_parts(self) -> None:
        """Compile what the training spends its time in."""
        self.compiled = True

    def hidden(
        self, ids_BT: Tensor, documents_BT: Tensor | None = None, state: State | None = None
    ) -> tuple[Tensor, State | None]:
        """Compute the vectors x_BTW from which the next token is predicted, and the state after them.

        `documents_BT` numbers the documents of packed rows (batches.documents_of); a model that can keep
        documents apart does so, and None means that each row is one document. Without a `state` to go on
        from, a Transformer keeps none.
        """
        raise NotImplementedError

    def begin(self, rows: int) -> State:
        """Return the state before any token."""
        raise NotImplementedError

    def penalty(self, x_BTW: Tensor) -> Tensor | None:
        """Return what the settings add to the loss for the shape of hidden vectors, per position; None for nothing."""
        return None

    def forward(self, ids_BT: Tensor, documents_BT: Tensor | None = None) -> Tensor:
        """Compute logits_BTV, float32."""
        return head.logits(self.hidden(ids_BT, documents_BT)[0], self.head_VW, self.cap)

    def next_logits(self, ids_BT: Tensor, state: State) -> tuple[Tensor, State]:
        """Compute the logits (B, V) behind the last of `ids_BT`, which go on from `state`."""
        x_BTW, after = self.hidden(ids_BT, None, state)
        assert after is not None, "a model that was given a state keeps one"
        return head.logits(x_BTW[:, -1], self.head_VW, self.cap), after

    def nll(self, ids_BT: Tensor, targets_BT: Tensor, documents_BT: Tensor | None = None) -> Tensor:
        """Compute -log p(target) of each position in nats, float32, shape BT; for scoring, not for training."""
        return self.nll_after(ids_BT, targets_BT, documents_BT, None)[0]

    def nll_after(
        self, ids_BT: Tensor, targets_BT: Tensor, documents_BT: Tensor | None, state: State | None
    ) -> tuple[Tensor, State | None]:
        """Compute the same for a piece that goes on from `state`; return the state after it too."""
        x_BTW, after = self.hidden(ids_BT, documents_BT, state)
        nll_N = head.token_nll(x_BTW.flatten(0, 1), self.head_VW, targets_BT.flatten(), self.cap)
        return nll_N.view_as(targets_BT), after

    def loss(
        self,
        ids_BT: Tensor,
        targets_BT: Tensor,
        documents_BT: Tensor | None = None,
        state: State | None = None,
        smoothing: float = 0.0,
        learned_BT: Tensor | None = None,
    ) -> Loss:
        """Sum the training loss over all positions, or those that are to be learnt; `smoothing` of each target is
        spread over the vocabulary."""
        x_BTW, after = self.hidden(ids_BT, documents_BT, state)
        x_NW, targets_N = x_BTW.flatten(0, 1), targets_BT.flatten()
        if learned_BT is not None:
            places_N = learned_BT.flatten().nonzero()[:, 0]
            x_NW, targets_N = x_NW.index_select(0, places_N), targets_N[places_N]
        objective, nats = head.summed_nll(x_NW, self.head_VW, targets_N, self.cap, smoothing, self.compiled)
        penalty = self.penalty(x_BTW)
        if penalty is not None:
            objective = objective + penalty.double() * len(targets_N)
        return Loss(objective, nats, after)


class Linear(nn.Linear):
    """A linear map whose float32 weights are cast to the precision of its input (modded-nanogpt), without autocast."""

    def forward(self, x: Tensor) -> Tensor:
        bias = None if self.bias is None else self.bias.to(x.dtype)
        return nn.functional.linear(x, self.weight.to(x.dtype), bias)
