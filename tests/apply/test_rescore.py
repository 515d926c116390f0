"""Rescoring: weights come from other utterances than they are tested on, and the table adds up."""

import itertools
import json
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmpipe import warehouse
from lmpipe.apply.nbest import NBest
from lmpipe.apply.recognition import Trial, evaluate_lists, table
from lmpipe.apply.rescore import choose, clean_words, default_grid, fold_of, score_lists, tune, tune_folds
from lmpipe.dataset import Execution
from lmpipe.errors import InputError


def made_list(seed: int, size: int = 6) -> NBest:
    """A list in which the language model's score points at the reference, and the acoustic score misleads."""
    draw = np.random.default_rng(seed)
    words = [" ".join(draw.choice(list("abcd"), 4)) for _ in range(size)]
    right = int(draw.integers(1, size))
    lm = -draw.random(size) - 1
    lm[right] = -0.5
    scores = {"acoustic": -np.arange(size) * 0.1, "lm": lm, "words": np.full(size, 4.0)}
    return NBest(utterance=f"u{seed}", texts=words, scores=scores, reference=words[right])


LISTS = [made_list(seed) for seed in range(12)]


@settings(max_examples=20)
@given(st.integers(0, 1000))
def test_tuning_is_the_best_of_all_points(seed: int) -> None:
    draw = np.random.default_rng(seed)
    lists = [made_list(int(s)) for s in draw.integers(0, 500, 5)]
    errors = [draw.integers(0, 5, len(nbest.texts)).astype(np.float64) for nbest in lists]
    grid = {"lm": [0.0, 0.3, 1.0], "words": [-1.0, 0.0, 1.0]}

    def cost(weights: dict[str, float]) -> float:
        return float(sum(e[choose(nbest, weights)] for nbest, e in zip(lists, errors, strict=True)))

    points = [{"acoustic": 1.0, "lm": a, "words": b} for a, b in itertools.product(*grid.values())]
    found = tune(lists, errors, {"acoustic": 1.0}, grid)
    assert found in points
    assert cost(found) == min(map(cost, points))


def test_weights_of_a_fold_know_nothing_of_its_utterances() -> None:
    folds = [fold_of(nbest.utterance, 2, 1) for nbest in LISTS]
    errors = [np.array([float(text != nbest.reference) for text in nbest.texts]) for nbest in LISTS]
    grid = default_grid(LISTS, "acoustic", ["lm"])
    before = tune_folds(LISTS, errors, {"acoustic": 1.0}, grid, folds)
    spoilt = [errors[n] if fold else 1 - errors[n] for n, fold in enumerate(folds)]
    after = tune_folds(LISTS, spoilt, {"acoustic": 1.0}, grid, folds)
    assert before[0] == after[0], "fold 0 is tuned on fold 1 alone"
    assert before[1] != after[1]


def test_one_fold_alone_cannot_be_tuned() -> None:
    with pytest.raises(InputError, match="at least two folds"):
        tune_folds(LISTS[:1], [np.zeros(6)], {"acoustic": 1.0}, {"lm": [0.0]}, [0])


def test_a_weight_without_its_score_is_refused() -> None:
    with pytest.raises(InputError, match=r"no score 'ln'; the list has \['acoustic', 'lm', 'words'\]"):
        choose(LISTS[0], {"acoustic": 1, "ln": 2})


def test_a_grid_too_large_to_finish_is_refused() -> None:
    grid = {name: [float(i) for i in range(600)] for name in ("lm", "words")}
    with pytest.raises(InputError, match="360,000 points"):
        tune(LISTS, [np.zeros(6)] * 12, {}, grid)


def test_noises_are_no_words() -> None:
    nbest = NBest(utterance="u", texts=["[laugh] So -pau- it", "-pau-"], scores={})
    (found,) = clean_words([nbest], frozenset(("[laugh]", "-pau-")), lower=True)
    assert found.texts == ["so it", ""]


class Counting:
    """A scorer of one nat per token that remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[list[int]] = []

    def encode(self, texts: list[str]) -> list[list[int]]:
        return [[ord(c) for c in text] for text in texts]

    def score(self, texts: list[list[int]]) -> list[Any]:
        self.asked += texts
        return [np.ones(len(text)) for text in texts]


def test_equal_hypotheses_are_scored_once() -> None:
    scorer = Counting()
    nbest = NBest(utterance="u", texts=["ab", "abc", "ab"], scores={})
    (found,) = score_lists([nbest], scorer, end=False)  # type: ignore[arg-type]  # only what is used
    assert found.scores["model"].tolist() == [-2, -3, -2]
    assert len(scorer.asked) == 2


def trial(**changes: Any) -> Trial:
    values: dict[str, Any] = {"name": "small", "script": "words", "given": {"acoustic": 1.0, "lm": 0.1}}
    values |= {"fixed": {"acoustic": 1.0}, "grid": default_grid(LISTS, "acoustic", ["lm"])}
    return Trial(**(values | changes))


def test_the_table_of_systems_adds_up_and_reaches_the_warehouse(tmp_path: Path) -> None:
    manifest = evaluate_lists(LISTS, trial(), [], None, tmp_path, Execution())
    lines = {line.system: line for line in table(pq.read_table(manifest.paths("recognitions")), 1)}
    assert list(lines) == ["first", "given", "tuned", "oracle"]
    assert lines["oracle"].word_errors == 0 < lines["tuned"].word_errors + 1 <= lines["first"].word_errors
    assert all(line.words == 48 for line in lines.values())
    against = lines["tuned"].against_first
    assert against is not None
    assert against.high < 0
    warehouse.record_dataset(tmp_path / "warehouse", manifest.folder)
    with duckdb.connect(tmp_path / "warehouse" / warehouse.PUBLISHED, read_only=True) as con:
        rows = con.sql("select system, word_errors, word_error_rate from error_rates order by all").fetchall()
        assert con.sql("select count(*) from rescore_weights where fold is null and system = 'tuned'").fetchall() == [
            (2,)
        ]
    assert {(r[0], r[1]) for r in rows} == {(line.system, line.word_errors) for line in lines.values()}
    assert all(0 <= r[2] <= 1 for r in rows)


def test_the_same_trial_gives_the_same_bytes(tmp_path: Path) -> None:
    first, second = (evaluate_lists(LISTS, trial(), [], None, tmp_path / name, Execution()) for name in "ab")
    assert json.dumps([s.sha256 for s in first.shards]) == json.dumps([s.sha256 for s in second.shards])


@pytest.mark.parametrize(
    ("lists", "says"),
    [
        ([LISTS[0], LISTS[0]], "u0 is there twice"),
        ([NBest(utterance="x", texts=["a"], scores={})], "x has no reference"),
        ([], "found none"),
    ],
)
def test_lists_that_cannot_be_evaluated_are_refused(tmp_path: Path, lists: list[NBest], says: str) -> None:
    with pytest.raises(InputError, match=says):
        evaluate_lists(lists, trial(), [], None, tmp_path, Execution())
