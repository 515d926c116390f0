"""A run that learnt targets alone is scored on those alone, given their prompts."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from evaluate.test_perplexity import SETTINGS, plain_nats, rows_of
from torch import nn
from train.token_dataset import LSTM, TRANSFORMER, VOCABULARY, small_settings, tokens_dataset

from lmpipe.dataset import Execution
from lmpipe.errors import TrainingError
from lmpipe.evaluate.perplexity import evaluate
from lmpipe.settings import Model
from lmpipe.train.checkpoint import save_checkpoint
from lmpipe.train.model import LanguageModel, build_model
from lmpipe.train.progress import Progress
from lmpipe.train.run import Marks, prepare_run

LINE = 59
PROMPT, TARGET = [1, 2, 3, 4, 5, LINE], [7, 8, 9]
LETTERS = {chr(ord("A") + number): number for number in range(VOCABULARY)}
TOKENIZER = json.dumps({"version": "1.0", "model": {"type": "WordLevel", "vocab": LETTERS, "unk_token": "A"}})


def scored_pairs(folder: Path, model: Model = TRANSFORMER) -> tuple[Path, LanguageModel]:
    """Lay out a run over pairs, with random weights; one held-out document has no mark."""
    shards = {"train": [[PROMPT + TARGET] * 20], "test": [[PROMPT + TARGET, TARGET]]}
    tokens = tokens_dataset(folder, shards, TOKENIZER)
    settings = small_settings(model, learn_after="\n")
    run = prepare_run(tokens, settings, "demo", folder, Marks(after=(LINE,), until=()))
    torch.manual_seed(1)
    built = build_model(model, VOCABULARY).eval()
    for parameter in built.parameters():
        nn.init.normal_(parameter, std=0.3)
    save_checkpoint(run, Progress(step=7), dict(built.named_parameters()), {})
    return run, built


@pytest.mark.parametrize("model", [LSTM, TRANSFORMER])
def test_only_targets_count_and_they_see_their_prompts(tmp_path: Path, model: Model) -> None:
    run, built = scored_pairs(tmp_path, model)
    manifest = evaluate(run, SETTINGS, tmp_path, Execution())
    alone, pair = rows_of(manifest)
    expected = plain_nats(built, PROMPT + TARGET, 16) - plain_nats(built, PROMPT, 16)
    assert pair["nats"] == pytest.approx(expected, abs=1e-4)
    assert (pair["tokens"], alone["tokens"], alone["nats"]) == (3, 0, 0.0)
    assert manifest.counts["tokens"] == 3


def test_words_and_bytes_are_those_of_the_targets_and_the_protocol_says_so(tmp_path: Path) -> None:
    run, _ = scored_pairs(tmp_path)
    alone, pair = rows_of(evaluate(run, SETTINGS, tmp_path, Execution()))
    assert (pair["bytes"], pair["words"], alone["bytes"]) == (len("H I J"), 3, 0)
    assert "|text:targets|count:targets|" in pair["protocol"]


def test_the_closing_token_is_scored_where_it_was_learnt(tmp_path: Path) -> None:
    run, _ = scored_pairs(tmp_path)
    alone, pair = rows_of(evaluate(run, replace(SETTINGS, end=True), tmp_path, Execution()))
    assert (pair["tokens"], pair["bytes"], alone["tokens"]) == (4, len("H I J"), 0)


def test_a_carried_state_is_refused(tmp_path: Path) -> None:
    run, _ = scored_pairs(tmp_path, LSTM)
    with pytest.raises(TrainingError, match="this run learnt targets"):
        evaluate(run, replace(SETTINGS, carry=True), tmp_path, Execution())
