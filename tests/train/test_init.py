"""Beginning with the weights of an earlier training (train.init)."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from train.processes import metrics_of
from train.token_dataset import LSTM, small_settings, tokens_dataset

from lmpipe import launch
from lmpipe.errors import TrainingError
from lmpipe.train.checkpoint import find_checkpoint
from lmpipe.train.run import prepare_run


def trained(tmp_path: Path) -> Path:
    run = prepare_run(tokens_dataset(tmp_path), small_settings(LSTM, steps=4), "demo", tmp_path)
    launch.start(run)
    return run


def test_a_training_goes_on_from_the_weights_of_another(tmp_path: Path) -> None:
    old, settings = trained(tmp_path), small_settings(LSTM, steps=4, name="next")
    run = prepare_run(tokens_dataset(tmp_path), replace(settings, init=old.name), "demo", tmp_path)
    launch.start(run)
    assert [line["step"] for line in metrics_of(run) if line["split"] == "train"] == [1, 2, 3, 4]
    fresh = prepare_run(tokens_dataset(tmp_path), settings, "demo", tmp_path)
    assert fresh != run  # what it began with is a part of its identity


def test_the_first_step_sees_the_earlier_weights(tmp_path: Path) -> None:
    old = trained(tmp_path)
    settings = small_settings(LSTM, steps=1, lr=1e-12, weight_decay=0.0)
    run = prepare_run(tokens_dataset(tmp_path), replace(settings, init=old.name), "demo", tmp_path)
    launch.start(run)
    before, after = find_checkpoint(old), find_checkpoint(run)
    assert before is not None
    assert after is not None
    ours = load_file(after.folder / "model.safetensors")
    for name, tensor in load_file(before.folder / "model.safetensors").items():
        torch.testing.assert_close(ours[name], tensor, atol=1e-6, rtol=0)


def test_weights_of_another_model_are_refused(tmp_path: Path) -> None:
    old = trained(tmp_path)
    settings = small_settings(replace(LSTM, width=LSTM.width * 2))
    with pytest.raises(TrainingError, match="its model has width"):
        prepare_run(tokens_dataset(tmp_path), replace(settings, init=old.name), "demo", tmp_path)


def test_a_run_without_checkpoint_is_refused(tmp_path: Path) -> None:
    old = prepare_run(tokens_dataset(tmp_path), small_settings(LSTM), "demo", tmp_path)
    with pytest.raises(TrainingError, match="has no checkpoint"):
        prepare_run(tokens_dataset(tmp_path), small_settings(LSTM, name="next", init=old.name), "demo", tmp_path)
