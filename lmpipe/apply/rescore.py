"""Choose among hypotheses by a weighted sum of scores, and tune the weights on other utterances than are tested.

    score = acoustic + weight x LM + insertion weight x words (+ weight x any further score)

An n-gram, LSTM or Transformer adds its score `model` (ln of the probability of the words) to lists that come with
others. Weights are tuned by a full grid only, for the fewest word errors; with K folds each utterance is rescored
by weights that were tuned on the K - 1 folds that it is not in, so that every utterance is held out once.

Shape letters: N hypotheses, F scores, G points of the grid, U utterances.
"""

import hashlib
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from lmpipe.apply.nbest import NBest, Scores
from lmpipe.errors import InputError
from lmpipe.evaluate.scorer import Scorer

Weights = Mapping[str, float]
"""Weight by name of score; names left out weigh nothing."""

Grid = Mapping[str, Sequence[float]]
"""The values to try for each weight that is tuned."""

MAX_POINTS = 200_000
"""Of a grid: some minutes for 100 utterances of 2,000 hypotheses."""

POINTS = 512
"""Points of the grid that are looked at together: 8 MB for 2,000 hypotheses."""

STEPS = (0.0, 0.03, 0.06, 0.1, 0.15, 0.2, 0.3, 0.4, 0.55, 0.75, 1.0, 1.4, 2.0, 3.0, 4.5)
"""The grid where none is named, times the ratio of the spreads of the main score and this one."""


def clean_words(lists: Iterable[NBest], noise: frozenset[str], lower: bool) -> Iterator[NBest]:
    """Take pauses and noises out of the hypotheses, and write them small where the model knows only that."""
    for nbest in lists:
        texts = [" ".join(word for word in text.split() if word not in noise) for text in nbest.texts]
        yield replace(nbest, texts=[text.lower() for text in texts] if lower else texts)


def first(lists: Iterable[NBest], number: int) -> Iterator[NBest]:
    """Keep so many hypotheses of each list."""
    for nbest in lists:
        scores = {name: column[:number] for name, column in nbest.scores.items()}
        yield replace(nbest, texts=nbest.texts[:number], scores=scores)


def score_lists(lists: Iterable[NBest], scorer: Scorer, *, end: bool) -> Iterator[NBest]:
    """Add the score `model`, ln p of each hypothesis; of hypotheses with the same words once.

    `end` counts the end-of-text token behind the words too: right for a model of single sentences, wrong for one of
    long documents.
    """
    for nbest in lists:
        distinct = list(dict.fromkeys(nbest.texts))
        closing = [scorer.run.end_of_text] if end else []
        nats = scorer.score([[*ids, *closing] for ids in scorer.encode(distinct)])
        known = {text: -float(values.sum()) for text, values in zip(distinct, nats, strict=True)}
        yield replace(nbest, scores=nbest.scores | {"model": np.array([known[text] for text in nbest.texts])})


def totals(nbest: NBest, weights: Weights) -> Scores:
    """Compute the weighted sum of each hypothesis; raises InputError for a score that the list has not."""
    check_names(nbest, weights)
    return sum((weight * nbest.scores[name] for name, weight in weights.items()), np.zeros(len(nbest.texts)))


def choose(nbest: NBest, weights: Weights) -> int:
    """Find the best hypothesis, of equals the first."""
    return int(totals(nbest, weights).argmax())


def check_names(nbest: NBest, names: Iterable[str]) -> None:
    """Refuse a weight without its score."""
    for name in names:
        if name not in nbest.scores:
            raise InputError(
                f"utterance {nbest.utterance}: no score {name!r}; the list has {sorted(nbest.scores)}."
                " Correct the weight's name, or add the score with --scores or --run."
            )


def default_grid(lists: Sequence[NBest], main: str, names: Sequence[str]) -> dict[str, list[float]]:
    """Spread STEPS around the weight at which a score matters as much as `main`; the number of words both ways."""
    grid = {}
    for name in names:
        scale = spread(lists, main) / (spread(lists, name) or 1.0)
        steps = [scale * step for step in STEPS]
        grid[name] = sorted({-step for step in steps} | set(steps)) if name == "words" else steps
    return grid


def spread(lists: Sequence[NBest], name: str) -> float:
    """Measure how much a score differs within the lists: the root of the mean variance."""
    for nbest in lists:
        check_names(nbest, [name])
    return float(np.sqrt(np.mean([nbest.scores[name].var() for nbest in lists])))


def tune(lists: Sequence[NBest], errors: Sequence[Scores], fixed: Weights, grid: Grid) -> dict[str, float]:
    """Find the weights of the grid with the fewest errors; `errors` are those of each hypothesis of each list.

    Of equally good points the one nearest to their mean is taken, the middle of a plateau and not its edge.
    Raises InputError for a grid of more than MAX_POINTS points.
    """
    names = [*fixed, *grid]
    num_points = int(np.prod([len(values) for values in grid.values()]))
    if num_points > MAX_POINTS:
        raise InputError(f"a grid of {num_points:,} points; expected at most {MAX_POINTS:,}. Tune fewer weights.")
    points = np.array(list(itertools.product(*([fixed[name]] for name in fixed), *grid.values())))
    costs_G = np.zeros(len(points))
    for nbest, errors_N in zip(lists, errors, strict=True):
        check_names(nbest, names)
        scores_NF = np.stack([nbest.scores[name] for name in names], axis=1)
        for start in range(0, len(points), POINTS):
            chosen_G = (scores_NF @ points[start : start + POINTS].T).argmax(axis=0)
            costs_G[start : start + POINTS] += errors_N[chosen_G]
    best = points[costs_G == costs_G.min()]
    scale = points.std(axis=0)
    distance = np.square((best - best.mean(axis=0)) / np.where(scale > 0, scale, 1)).sum(axis=1)
    return dict(zip(names, map(float, best[distance.argmin()]), strict=True))


def fold_of(utterance: str, folds: int, seed: int) -> int:
    """Give an utterance its fold, by hash: the same whatever else is there."""
    key = hashlib.md5(f"fold:{seed}:{utterance}".encode(), usedforsecurity=False).digest()
    return int.from_bytes(key[:8], "big") % folds


def tune_folds(
    lists: Sequence[NBest], errors: Sequence[Scores], fixed: Weights, grid: Grid, folds: Sequence[int]
) -> dict[int, dict[str, float]]:
    """Tune the weights for each fold on all other folds; raises InputError when there is no other."""
    tuned = {}
    for fold in sorted(set(folds)):
        others = [number for number, own in enumerate(folds) if own != fold]
        if not others:
            raise InputError(
                f"expected utterances in at least two folds, found {len(folds)} in one. Give more utterances, or fixed"
                " weights."
            )
        tuned[fold] = tune([lists[n] for n in others], [errors[n] for n in others], fixed, grid)
    return tuned
