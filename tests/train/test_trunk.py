"""A longer training that begins at a shorter one's trunk has the bits of one from the start."""

import signal
from pathlib import Path

import pytest
import torch
from train.processes import metrics_of, weights_of
from train.token_dataset import small_settings, tokens_dataset

from lmpipe.errors import TrainingError
from lmpipe.train.loop import train
from lmpipe.train.parallel import Ranks
from lmpipe.train.run import Run, load_run, prepare_run
from lmpipe.train.trunk import branch

ALONE = Ranks(rank=0, size=1, device=torch.device("cpu"))


def prepared(data: Path, steps: int, **changes: object) -> Run:
    settings = small_settings(name=f"steps-{steps}", steps=steps, save_every=3, valid_every=4, decay=0.4, **changes)
    return load_run(prepare_run(tokens_dataset(data), settings, "demo", data))


def trained(run: Run) -> Run:
    train(run, ALONE, lambda: None)
    return run


def test_branch_is_the_training_from_the_start_bit_for_bit(tmp_path: Path) -> None:
    whole = trained(prepared(tmp_path / "whole", 40, keep_trunk=True))
    shorter, longer = (prepared(tmp_path / "data", steps, keep_trunk=True) for steps in (20, 40))
    trained(shorter)
    assert (shorter.folder / "checkpoints/trunk").read_text() == "step-00000012\n"
    assert branch(shorter, longer)
    assert [line["step"] for line in metrics_of(trained(longer).folder) if line["split"] == "train"] == [*range(1, 41)]
    assert weights_of(longer.folder) == weights_of(whole.folder)
    assert metrics_of(longer.folder) == metrics_of(whole.folder)


def test_trunk_is_marked_when_a_kill_came_before_its_pointer(tmp_path: Path) -> None:
    run = prepared(tmp_path, 20, keep_trunk=True)
    calls = iter(range(1, 100))
    train(run, ALONE, lambda: signal.SIGTERM if next(calls) == 12 else None)
    (run.folder / "checkpoints/trunk").unlink()
    trained(run)
    assert (run.folder / "checkpoints/trunk").read_text() == "step-00000012\n"


def test_branch_is_left_where_the_run_has_begun_or_no_trunk_was_kept(tmp_path: Path) -> None:
    bare, run = trained(prepared(tmp_path, 20)), prepared(tmp_path, 30)
    assert not (bare.folder / "checkpoints/trunk").exists()
    assert not branch(bare, run)
    trained(run)
    before = sorted(path.name for path in (run.folder / "checkpoints").iterdir())
    assert not branch(trained(prepared(tmp_path, 10, keep_trunk=True)), run)
    assert sorted(path.name for path in (run.folder / "checkpoints").iterdir()) == before


def test_branch_of_another_training_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"differs from .* in more than its steps"):
        branch(prepared(tmp_path, 20), prepared(tmp_path, 30, lr=1e-4))
