"""Checkpoints: durable, verified, and never trusted by name."""

import json
import logging
from pathlib import Path

import pytest
import torch
from train.token_dataset import TRANSFORMER, VOCABULARY, small_settings

from lmpipe.train.checkpoint import find_checkpoint, load_model, load_optimizer, prune, save_checkpoint
from lmpipe.train.model import LanguageModel, build_model
from lmpipe.train.optimizer import Optimizer, make_optimizer

CPU = torch.device("cpu")


def trained(seed: int) -> tuple[LanguageModel, Optimizer]:
    """A model and an optimizer that have done one step."""
    torch.manual_seed(seed)
    model = build_model(TRANSFORMER, VOCABULARY)
    optimizer = make_optimizer(model, small_settings())
    ids = torch.randint(0, VOCABULARY, (2, 9))
    model.loss(ids[:, :-1], ids[:, 1:]).backward()  # type: ignore[no-untyped-call]
    optimizer.step(0.01, 0)
    return model, optimizer


def test_checkpoint_gives_back_what_was_saved(tmp_path: Path) -> None:
    model, optimizer = trained(1)
    saved = save_checkpoint(tmp_path, 5, 1.5, model, optimizer)
    found = find_checkpoint(tmp_path)
    assert found == saved
    other, other_optimizer = trained(2)
    load_model(saved, other, CPU)
    load_optimizer(saved, other_optimizer, CPU)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), other.parameters(), strict=True))
    for name, averages in optimizer.averages.items():
        assert all(torch.equal(other_optimizer.averages[name][key], value) for key, value in averages.items())


def test_weights_have_the_same_sha256_when_saved_twice(tmp_path: Path) -> None:
    sums = [save_checkpoint(tmp_path / str(n), 5, 1.5, *trained(1)).sha256 for n in range(2)]
    assert sums[0] == sums[1]


@pytest.mark.parametrize("name", ["model.pt", "optimizer.pt", "checkpoint.json"])
def test_damaged_checkpoint_is_passed_over_with_a_word(
    tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    older = save_checkpoint(tmp_path, 5, 1.5, *trained(1))
    newest = save_checkpoint(tmp_path, 10, 3.0, *trained(2))
    path = newest.folder / name
    path.write_bytes(path.read_bytes()[:-40])
    with caplog.at_level(logging.WARNING):
        assert find_checkpoint(tmp_path) == older
    assert "step-00000010 is damaged and is passed over" in caplog.text


def test_checkpoint_without_a_file_is_passed_over(tmp_path: Path) -> None:
    (save_checkpoint(tmp_path, 5, 1.5, *trained(1)).folder / "model.pt").unlink()
    assert find_checkpoint(tmp_path) is None


def test_half_written_checkpoint_is_not_seen(tmp_path: Path) -> None:
    (tmp_path / "checkpoints/.step-00000005.tmp").mkdir(parents=True)
    assert find_checkpoint(tmp_path) is None


def test_prune_keeps_the_newest_and_drops_leftovers(tmp_path: Path) -> None:
    for step in (5, 10, 15):
        save_checkpoint(tmp_path, step, 1.0, *trained(1))
    (tmp_path / "checkpoints/.step-00000020.tmp").mkdir()
    prune(tmp_path, 2)
    assert sorted(p.name for p in (tmp_path / "checkpoints").iterdir()) == ["latest", "step-00000010", "step-00000015"]
    assert (tmp_path / "checkpoints/latest").read_text() == "step-00000015\n"


def test_damaged_checkpoint_is_replaced_when_its_step_is_saved_again(tmp_path: Path) -> None:
    first = save_checkpoint(tmp_path, 5, 1.5, *trained(1))
    (first.folder / "model.pt").write_bytes(b"")
    save_checkpoint(tmp_path, 5, 1.5, *trained(1))
    assert find_checkpoint(tmp_path) == first


def test_record_names_size_and_sha256_of_each_file(tmp_path: Path) -> None:
    saved = save_checkpoint(tmp_path, 5, 1.5, *trained(1))
    files = json.loads((saved.folder / "checkpoint.json").read_text())["files"]
    assert sorted(files) == ["model.pt", "optimizer.pt"]
    assert files["model.pt"]["bytes"] == (saved.folder / "model.pt").stat().st_size
