"""The one door to models: the same numbers as a plain loop, whatever stands beside a text."""

from pathlib import Path

import numpy as np
import pytest
from evaluate.test_perplexity import plain_nats, scored_run
from train.token_dataset import LSTM, TRANSFORMER

from lmpipe.errors import TrainingError
from lmpipe.evaluate.scorer import open_scorer
from lmpipe.settings import Model
from lmpipe.train.run import load_run

TEXTS = [[5, 9, 2, 7, 1], [3], [4] * 40, [], [8, 6]]


@pytest.mark.parametrize("model", [LSTM, TRANSFORMER])
def test_each_token_is_scored_once_as_a_plain_loop_scores_it(tmp_path: Path, model: Model) -> None:
    run, built = scored_run(tmp_path, model)
    for text, nats in zip(TEXTS, open_scorer(run, context=16, batch=3).score(TEXTS), strict=True):
        assert len(nats) == len(text)
        assert nats.sum() == pytest.approx(plain_nats(built, text, 16), abs=1e-4)


def test_what_stands_beside_a_text_changes_nothing_but_rounding(tmp_path: Path) -> None:
    run, _ = scored_run(tmp_path)
    scorer = open_scorer(run, batch=3)
    for text, nats in zip(TEXTS, scorer.score(TEXTS), strict=True):
        np.testing.assert_allclose(scorer.score([text])[0], nats, atol=1e-5)


def test_a_run_without_checkpoint_is_refused(tmp_path: Path) -> None:
    run, _ = scored_run(tmp_path)
    for folder in (run / "checkpoints").iterdir():
        folder.rename(folder.with_name(f"not-{folder.name}"))
    with pytest.raises(TrainingError, match="no usable checkpoint"):
        open_scorer(load_run(run).folder)
