"""Mixtures of models: the mean of probabilities, weights that no others beat, one tokenizer."""

from pathlib import Path

import numpy as np
import pytest
from evaluate.test_perplexity import scored_run
from train.token_dataset import LSTM, NO_TEXT, make_documents, small_settings, tokens_dataset

from lmpipe.errors import TrainingError
from lmpipe.evaluate.interpolate import Mixture, fit
from lmpipe.evaluate.scorer import Scorer, open_scorer
from lmpipe.settings import NgramSettings
from lmpipe.train.counting import count
from lmpipe.train.run import load_run, prepare_run

TEXTS = list(filter(None, make_documents(12, 3)))


def counted(folder: Path, order: int, tokenizer: str = NO_TEXT) -> Scorer:
    settings = small_settings(NgramSettings(kind="ngram", order=order))
    run = prepare_run(tokens_dataset(folder, tokenizer=tokenizer), settings, "demo", folder)
    assert count(load_run(run), lambda: None) is None
    return open_scorer(run)


def test_a_mixture_gives_the_weighted_mean_of_probabilities(tmp_path: Path) -> None:
    parts = (counted(tmp_path, 1), counted(tmp_path, 2))
    mixture = Mixture(parts=parts, weights=(0.25, 0.75))
    for mean, one, two in zip(mixture.score(TEXTS), *(part.score(TEXTS) for part in parts), strict=True):
        np.testing.assert_allclose(np.exp(-mean), 0.25 * np.exp(-one) + 0.75 * np.exp(-two), rtol=1e-12)


def test_fitted_weights_are_better_than_others_and_than_each_part(tmp_path: Path) -> None:
    parts = (counted(tmp_path, 3), open_scorer(scored_run(tmp_path, LSTM)[0]), counted(tmp_path, 0))
    best = fit(parts, TEXTS)
    assert sum(best.weights) == pytest.approx(1)
    total = sum(nats.sum() for nats in best.score(TEXTS))
    for weights in ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0), (0.4, 0.3, 0.3), (0.8, 0.0, 0.2)):
        other = Mixture(parts=parts, weights=weights)
        with np.errstate(divide="ignore"):
            assert total <= sum(nats.sum() for nats in other.score(TEXTS)) + 1e-3


def test_models_with_different_tokenizers_are_not_mixed(tmp_path: Path) -> None:
    parts = (counted(tmp_path / "a", 1), counted(tmp_path / "b", 1, NO_TEXT + " "))
    with pytest.raises(TrainingError, match="expected one tokenizer, found 2"):
        fit(parts, TEXTS)
