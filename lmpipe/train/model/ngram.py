"""An interpolated modified Kneser-Ney model as a language model among the others: counted, not learnt.

    p(w | context) = (count - discount) / total + backoff * p(w | context without its first token)

A state is the last order - 1 tokens, so texts in pieces, beams and carried windows work as with an LSTM.
Tables and variant: lmpipe/train/ngram.py.

Shape letters: B rows, T positions, H history and positions, V vocabulary, N n-grams of an order.
"""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from lmpipe.train.model.base import LanguageModel, State

NOTHING = -1
"""Where a history has no token, and the number of an n-gram that was not seen."""


class Ngram(LanguageModel):
    """Probabilities in float64, from the tables that were counted; on the CPU, where a search is at home."""

    unigram_V: Tensor
    """p of each token without any context."""

    def __init__(self, tables: Mapping[str, Tensor], vocabulary: int, end_of_text: int) -> None:
        super().__init__()
        self.order, self.vocabulary, self.end_of_text = len(tables["discounts"]), vocabulary, end_of_text
        self.register_buffer("head_VW", torch.empty(vocabulary, 0))
        unigram_V = torch.full((vocabulary,), 1 / vocabulary, dtype=torch.float64)
        for n in range(1, self.order + 1):
            counts_N, discounts = (
                tables[f"counts.{n}"],
                torch.cat((torch.zeros(1).double(), tables["discounts"][n - 1])),
            )
            if n == 1:
                counts_N = counts_N[:vocabulary]
                taken_N = discounts[counts_N.clamp(max=3)]
                unigram_V = (counts_N - taken_N + taken_N.sum() / vocabulary) / counts_N.sum()
                continue
            keys_N = tables[f"keys.{n}"]
            sizes = vocabulary + 1 if n == 2 else len(tables[f"keys.{n - 1}"])
            self.lay_out(n, keys_N, counts_N, discounts[counts_N.clamp(max=3)], sizes)
        self.register_buffer("unigram_V", unigram_V)

    def lay_out(self, n: int, keys_N: Tensor, counts_N: Tensor, taken_N: Tensor, num_contexts: int) -> None:
        """Derive an order's parts of p: of each n-gram its share of its context, of each context what is left over."""
        contexts_N = keys_N // (self.vocabulary + 1)
        totals = torch.bincount(contexts_N, counts_N.double(), num_contexts)
        backoffs = torch.bincount(contexts_N, taken_N, num_contexts) / totals
        self.register_buffer(f"keys_{n}", keys_N)
        self.register_buffer(f"shares_{n}", (counts_N - taken_N) / totals[contexts_N])
        self.register_buffer(f"backoffs_{n}", torch.where(totals > 0, backoffs, 1.0))

    def begin(self, rows: int) -> State:
        """Return a history of no token."""
        history = torch.full((rows, max(1, self.order - 1)), NOTHING)
        return [(history, history)]

    def nll_after(
        self, ids_BT: Tensor, targets_BT: Tensor, documents_BT: Tensor | None, state: State | None
    ) -> tuple[Tensor, State]:
        """See LanguageModel; an end-of-text token among the ids begins a sequence, so documents need no numbers."""
        history_BH = self.history(ids_BT, state)
        p_BT = self.unigram_V[targets_BT]
        for n, contexts_BT in self.contexts(history_BH, ids_BT.shape[1]):
            numbers_BT = self.find(n, contexts_BT, targets_BT)
            shares_BT = torch.where(numbers_BT >= 0, self.part("shares", n, numbers_BT), 0.0)
            backoffs_BT = torch.where(contexts_BT >= 0, self.part("backoffs", n, contexts_BT), 1.0)
            p_BT = shares_BT + backoffs_BT * p_BT
        return -p_BT.log(), self.last(history_BH)

    def next_logits(self, ids_BT: Tensor, state: State) -> tuple[Tensor, State]:
        """See LanguageModel; the logits are log probabilities."""
        history_BH = self.history(ids_BT, state)
        p_BV = self.unigram_V.repeat(len(ids_BT), 1)
        for n, contexts_BT in self.contexts(history_BH, 1):
            for p_V, context in zip(p_BV, contexts_BT[:, -1].tolist(), strict=True):
                if context >= 0:
                    self.mix(n, context, p_V)
        return p_BV.log(), self.last(history_BH)

    def forward(self, ids_BT: Tensor, documents_BT: Tensor | None = None) -> Tensor:
        """See LanguageModel; position by position, as there are no hidden vectors."""
        state, logits = self.begin(len(ids_BT)), []
        for ids_B1 in torch.split(ids_BT, 1, dim=1):
            logits_BV, state = self.next_logits(ids_B1, state)
            logits.append(logits_BV)
        return torch.stack(logits, dim=1)

    def mix(self, n: int, context: int, p_V: Tensor) -> None:
        """Interpolate the distribution of the order below with that of a context, in place."""
        keys_N, base = self.table("keys", n), self.vocabulary + 1
        bounds = torch.tensor([context * base, (context + 1) * base])
        first, end = torch.searchsorted(keys_N, bounds).tolist()
        p_V *= self.table("backoffs", n)[context]
        p_V[keys_N[first:end] - context * base] += self.table("shares", n)[first:end]

    def history(self, ids_BT: Tensor, state: State | None) -> Tensor:
        """Put the tokens before a piece before it; an end-of-text token is the <s> of what follows."""
        ((before, _),) = state if state is not None else self.begin(len(ids_BT))
        return torch.cat((before, torch.where(ids_BT == self.end_of_text, self.vocabulary, ids_BT)), dim=1)

    def last(self, history_BH: Tensor) -> State:
        """Keep of a history what the next piece needs."""
        kept = history_BH[:, -max(1, self.order - 1) :]
        return [(kept, kept)]

    def contexts(self, history_BH: Tensor, positions: int) -> list[tuple[int, Tensor]]:
        """Number for each order above 1 the context that ends at each of the last positions, where one was seen."""
        found, numbers_BH = [], history_BH
        for n in range(2, self.order + 1):
            if n > 2:
                longer_BH = self.find(n - 1, numbers_BH[:, :-1], history_BH[:, 1:])
                numbers_BH = torch.nn.functional.pad(longer_BH, (1, 0), value=NOTHING)
            found.append((n, numbers_BH[:, -positions:]))
        return found

    def find(self, n: int, contexts: Tensor, tokens: Tensor) -> Tensor:
        """Look up the numbers of n-grams by context and last token."""
        keys_N = self.table("keys", n)
        wanted = contexts * (self.vocabulary + 1) + tokens
        # numpy, in this thread: torch's wakes its others for 200 numbers, and they wait for each other (15 ms a call)
        places = torch.from_numpy(np.searchsorted(keys_N.numpy(), wanted.numpy())).clamp(max=len(keys_N) - 1)
        seen = (contexts >= 0) & (tokens >= 0) & (keys_N[places] == wanted)
        return torch.where(seen, places, NOTHING)

    def part(self, kind: str, n: int, numbers: Tensor) -> Tensor:
        """Read a table at some numbers; what stands where there is no number is of no use."""
        return self.table(kind, n)[numbers.clamp(min=0)]

    def table(self, kind: str, n: int) -> Tensor:
        """Return one of the tables that `lay_out` made."""
        return self.get_buffer(f"{kind}_{n}")
