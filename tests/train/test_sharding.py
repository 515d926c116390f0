"""FSDP2: any number of processes computes the curve of one, and goes on from what another number left."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from train.processes import metrics_of
from train.token_dataset import LSTM, TRANSFORMER, small_settings, tokens_dataset

from lmpipe.errors import TrainingError
from lmpipe.settings import Model
from lmpipe.train.checkpoint import find_checkpoint, load_training
from lmpipe.train.loop import train
from lmpipe.train.parallel import Ranks
from lmpipe.train.run import load_run, prepare_run
from lmpipe.train.session import is_sharded

ALONE = Ranks(rank=0, size=1, device=torch.device("cpu"))
WAYS: dict[str, tuple[Model, dict[str, object]]] = {
    "transformer": (
        replace(TRANSFORMER, dropout=0.0, value_embeddings=True, tied=False),
        {"optimizer": "muon", "average": "ema", "ema_decay": 0.9, "micro_batch": 1, "sample_every": 10}
        | {"valid_rows": 6},
    ),
    "lstm": (
        replace(LSTM, layers=2, embedding=12, dropout=0.0, activation_penalty=1.0),
        {"order": "in_order", "optimizer": "sgd", "lr": 1.0, "average": "asgd", "stalled": 1, "valid_every": 5},
    ),
}


def prepared(tmp_path: Path, model: Model, **changes: object) -> Path:
    return prepare_run(tokens_dataset(tmp_path), small_settings(model, **changes), "demo", tmp_path)


def with_processes(number: int, run: Path, last: int) -> None:
    """Train up to a step with so many processes on gloo."""
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(number)]
    ranks = Path(__file__).with_name("ranks.py")
    done = subprocess.run([*torchrun, str(ranks), str(run), str(last)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_two_and_four_sharded_processes_and_one_after_another_train_the_curve_of_one(tmp_path: Path, way: str) -> None:
    model, changes = WAYS[way]
    whole = prepared(tmp_path / "whole", model, **changes)
    train(load_run(whole), ALONE, lambda: None)
    run = prepared(tmp_path / "data", model, parallel="fsdp", **changes)
    with_processes(2, run, 13)
    with_processes(4, run, 22)
    train(load_run(run), ALONE, lambda: None)
    one, many = metrics_of(whole), metrics_of(run)
    assert [line.get("batch") for line in many] == [line.get("batch") for line in one]
    assert [line["loss"] for line in many] == pytest.approx([line["loss"] for line in one], abs=2e-4)
    norms = [[line["grad_norm"] for line in lines if line["split"] == "train"] for lines in (one, many)]
    assert norms[1] == pytest.approx(norms[0], rel=1e-2)
    found = [dict(load_training(kept, ALONE.device)) for folder in (whole, run) if (kept := find_checkpoint(folder))]
    assert found[0].keys() == found[1].keys()
    for name, tensor in found[0].items():
        torch.testing.assert_close(found[1][name], tensor, rtol=1e-2, atol=2e-3)


def test_sharding_is_no_part_of_a_run(tmp_path: Path) -> None:
    assert prepared(tmp_path, TRANSFORMER) == prepared(tmp_path, TRANSFORMER, parallel="fsdp")


def test_sharded_processes_are_refused_when_they_cannot_share_a_batch_evenly(tmp_path: Path) -> None:
    run = load_run(prepared(tmp_path, TRANSFORMER, parallel="fsdp"))
    assert is_sharded(run, replace(ALONE, size=4))
    assert not is_sharded(run, ALONE)
    with pytest.raises(TrainingError, match="found 4 rows for 3 processes"):
        is_sharded(run, replace(ALONE, size=3))
