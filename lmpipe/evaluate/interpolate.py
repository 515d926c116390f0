"""Several models with one tokenizer as one: their probabilities mixed, with weights fitted on texts of one's own.

    mixture = fit([open_scorer(lstm), open_scorer(kn5)], texts)    # of the validation split, never of the test split
    nats = mixture.score(mixture.encode(["To be, or not to be"]))[0].sum()

A counted and a learnt model err on different words, so a mixture is better than both (Mikolov et al. 2011).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lmpipe.errors import TrainingError
from lmpipe.evaluate.scorer import Scorer
from lmpipe.evaluate.windows import Nats
from lmpipe.train.run import TOKENIZER

ROUNDS = 100
"""Of expectation maximisation at most; a handful of weights settles in some twenty."""

SETTLED = 1e-6
"""Change of a weight below which the rounds end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mixture:
    """Scores texts by the weighted mean of the probabilities that its parts give to each token."""

    parts: tuple[Scorer, ...]
    weights: tuple[float, ...]
    """One of each part; they sum to one."""

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """See Scorer."""
        return self.parts[0].encode(texts)

    def decode(self, ids: Sequence[int]) -> str:
        """See Scorer."""
        return self.parts[0].decode(ids)

    def score(self, texts: Sequence[Sequence[int]]) -> list[Nats]:
        """See Scorer."""
        scored = zip(*(part.score(texts) for part in self.parts), strict=True)
        return [mixed(np.stack(nats), np.array(self.weights)) for nats in scored]


def mixed(nats: NDArray[np.float64], weights: NDArray[np.float64]) -> Nats:
    """Compute -ln of the weighted mean of probabilities, given as nats by part and token."""
    best = nats.min(axis=0)
    mean: Nats = best - np.log(weights @ np.exp(best - nats))
    return mean


def fit(parts: Sequence[Scorer], texts: Sequence[Sequence[int]]) -> Mixture:
    """Find the weights that give `texts` the highest probability, by expectation maximisation.

    Raises TrainingError for models whose tokenizers differ.
    """
    check_one_tokenizer(parts)
    nats = np.stack([np.concatenate(part.score(texts)) for part in parts])
    weights = np.full(len(parts), 1 / len(parts))
    for _ in range(ROUNDS):
        shares = weights[:, None] * np.exp(nats.min(axis=0) - nats)
        renewed = (shares / shares.sum(axis=0)).mean(axis=1)
        change, weights = np.abs(renewed - weights).max(), renewed
        if change < SETTLED:
            break
    return Mixture(parts=tuple(parts), weights=tuple(weights.tolist()))


def check_one_tokenizer(parts: Sequence[Scorer]) -> None:
    """Refuse to mix probabilities of different tokens."""
    hashes = {file.sha256 for part in parts for file in part.run.files if file.role == TOKENIZER}
    if len(hashes) != 1:
        names = [part.run.name for part in parts]
        raise TrainingError(f"{names}: expected one tokenizer, found {len(hashes)}. Mix runs on the same tokens.")
