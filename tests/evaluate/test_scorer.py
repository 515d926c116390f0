"""The one door to models: the same numbers as a plain loop, whatever stands beside a text."""

from pathlib import Path

import numpy as np
import pytest
import torch
from evaluate.test_perplexity import plain_nats, scored_run
from train.test_ngram import Plain
from train.token_dataset import END_OF_TEXT, LSTM, TRANSFORMER, make_documents, small_settings, tokens_dataset

from lmpipe.errors import TrainingError
from lmpipe.evaluate.scorer import open_scorer
from lmpipe.settings import Model, NgramSettings
from lmpipe.train.counting import count
from lmpipe.train.run import load_run, prepare_run

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


@torch.no_grad()
def test_cached_keys_and_values_change_nothing_but_rounding(tmp_path: Path) -> None:
    run, built = scored_run(tmp_path)
    text = TEXTS[2][:16] + TEXTS[0]
    (nats,) = open_scorer(run, context=64).score([text])
    state, before = built.begin(1), END_OF_TEXT
    for token, expected in zip(text, nats.tolist(), strict=True):
        logits, state = built.next_logits(torch.tensor([[before]]), state)
        assert -float(logits[0].double().log_softmax(0)[token]) == pytest.approx(expected, abs=1e-5)
        before = token


def test_an_ngram_model_opens_through_the_same_door(tmp_path: Path) -> None:
    settings = small_settings(NgramSettings(kind="ngram", order=3))
    run = prepare_run(tokens_dataset(tmp_path), settings, "demo", tmp_path)
    assert count(load_run(run), lambda: None) is None
    scorer = open_scorer(run, context=1000)
    whole = scorer.score(TEXTS)
    assert [len(nats) for nats in whole] == [len(text) for text in TEXTS]
    plain = Plain([*make_documents(40, 1), *make_documents(30, 2)], 3)
    for text, nats in zip(TEXTS, whole, strict=True):
        assert nats.tolist() == pytest.approx(plain.nats(text), abs=1e-9)
