"""Checkpoints: durable, verified, and never trusted by name."""

import json
import logging
from pathlib import Path

import pytest
import torch
from torch import Tensor

from lmpipe.errors import TrainingError
from lmpipe.settings import TransformerSettings
from lmpipe.train.checkpoint import (
    Checkpoint,
    find_checkpoint,
    load_model,
    load_training,
    need_checkpoint,
    prune,
    save_checkpoint,
)
from lmpipe.train.model import LanguageModel, build_model
from lmpipe.train.progress import Progress

CPU = torch.device("cpu")
SETTINGS = TransformerSettings(kind="transformer", layers=2, width=16, heads=2)


def model_of(seed: int, width: int = 16) -> LanguageModel:
    torch.manual_seed(seed)
    return build_model(TransformerSettings(kind="transformer", layers=2, width=width, heads=2), 61)


def moments(seed: int) -> dict[str, Tensor]:
    return {"moment:head_VW:first": torch.full((3, 2), float(seed))}


def saved(run: Path, step: int, seed: int = 1, losses: tuple[float, ...] = ()) -> Checkpoint:
    progress = Progress(step=step, seconds=1.5, valid_step=step, valid_losses=list(losses or (9.0, 8.0, 9.0)))
    return save_checkpoint(run, progress, dict(model_of(seed).named_parameters()), moments(seed))


def test_checkpoint_gives_back_what_was_saved(tmp_path: Path) -> None:
    checkpoint = saved(tmp_path, 5)
    assert find_checkpoint(tmp_path) == checkpoint
    other = model_of(2)
    load_model(checkpoint, other, CPU)
    assert all(torch.equal(a, b) for a, b in zip(model_of(1).parameters(), other.parameters(), strict=True))
    assert torch.equal(dict(load_training(checkpoint, CPU))["moment:head_VW:first"], moments(1)["moment:head_VW:first"])


def test_weights_have_the_same_sha256_when_saved_twice(tmp_path: Path) -> None:
    sums = [saved(tmp_path / str(n), 5).sha256 for n in range(2)]
    assert sums[0] == sums[1]


@pytest.mark.parametrize("name", ["model.safetensors", "training.safetensors", "checkpoint.json"])
def test_damaged_checkpoint_is_passed_over_with_a_word(
    tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    older, newest = saved(tmp_path, 5), saved(tmp_path, 10, 2)
    path = newest.folder / name
    path.write_bytes(path.read_bytes()[:-20])
    with caplog.at_level(logging.WARNING):
        assert find_checkpoint(tmp_path) == older
    assert "step-00000010 is damaged and is passed over" in caplog.text


def test_checkpoint_without_a_file_is_passed_over(tmp_path: Path) -> None:
    (saved(tmp_path, 5).folder / "model.safetensors").unlink()
    assert find_checkpoint(tmp_path) is None


def test_half_written_checkpoint_is_not_seen(tmp_path: Path) -> None:
    (tmp_path / "checkpoints/.step-00000005.tmp").mkdir(parents=True)
    assert find_checkpoint(tmp_path) is None


def test_prune_keeps_the_newest_and_the_best_and_drops_leftovers(tmp_path: Path) -> None:
    for step, loss in ((5, 3.0), (10, 2.0), (15, 2.5), (20, 2.4)):
        saved(tmp_path, step, losses=(2.0, loss))
    (tmp_path / "checkpoints/.step-00000020.tmp").mkdir()
    prune(tmp_path, 2)
    names = sorted(p.name for p in (tmp_path / "checkpoints").iterdir())
    assert names == ["best", "latest", "step-00000010", "step-00000015", "step-00000020"]
    assert (tmp_path / "checkpoints/latest").read_text() == "step-00000020\n"
    best = find_checkpoint(tmp_path, "best")
    assert best is not None
    assert best.step == 10


def test_damaged_best_checkpoint_is_an_error(tmp_path: Path) -> None:
    folder = saved(tmp_path, 5, losses=(1.0,)).folder
    saved(tmp_path, 10, losses=(1.0, 2.0))
    (folder / "model.safetensors").write_bytes(b"")
    with pytest.raises(TrainingError, match="the best checkpoint is damaged"):
        find_checkpoint(tmp_path, "best")


def test_a_finished_run_is_not_judged_by_an_earlier_checkpoint(tmp_path: Path) -> None:
    """The last one was damaged, and the one before it was evaluated in its name."""
    saved(tmp_path, 5, seed=1)
    last = saved(tmp_path, 10, seed=2)
    (tmp_path / "result.json").write_text(json.dumps({"checkpoint_sha256": last.sha256}))
    assert need_checkpoint(tmp_path) == last
    (last.folder / "model.safetensors").write_bytes(b"")
    with pytest.raises(TrainingError, match=r"found step-00000005 to be .* Delete result.json and start the run again"):
        need_checkpoint(tmp_path)


def test_damaged_checkpoint_is_replaced_when_its_step_is_saved_again(tmp_path: Path) -> None:
    first = saved(tmp_path, 5)
    (first.folder / "model.safetensors").write_bytes(b"")
    saved(tmp_path, 5)
    assert find_checkpoint(tmp_path) == first


def test_record_names_size_and_sha256_of_each_file(tmp_path: Path) -> None:
    folder = saved(tmp_path, 5).folder
    files = json.loads((folder / "checkpoint.json").read_text())["files"]
    assert sorted(files) == ["model.safetensors", "training.safetensors"]
    assert files["model.safetensors"]["bytes"] == (folder / "model.safetensors").stat().st_size


def test_weights_of_another_model_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"expected .* of shape .*found.*belong to another model"):
        load_model(saved(tmp_path, 5), model_of(1, width=32), CPU)
