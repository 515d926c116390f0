"""A run that is kept on an object store goes on on another machine, bit for bit, from what a lost one had sent."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from train.processes import metrics_of, weights_of
from train.token_dataset import small_settings, tokens_dataset
from typer.testing import CliRunner

from lmpipe import warehouse
from lmpipe.cli import app
from lmpipe.dataset import open_dataset
from lmpipe.store import Store, open_store, send_dataset
from lmpipe.train.afar import send_run, take_run
from lmpipe.train.loop import train
from lmpipe.train.parallel import Ranks
from lmpipe.train.run import load_run, prepare_run
from tests.conftest import ROOT
from tests.damage import flip

ALONE = Ranks(rank=0, size=1, device=torch.device("cpu"))


def trained(data: Path, steps: int, store: Store | None = None) -> Path:
    """Prepare the run and train it up to a step; to its end for 40."""
    run = prepare_run(tokens_dataset(data), small_settings(), "demo", data)
    calls = iter(range(1, 1000))
    if steps:
        train(load_run(run), ALONE, lambda: signal.SIGTERM if next(calls) >= steps else None, store)
    return run


@pytest.fixture
def disk(tmp_path: Path) -> Store:
    """A store that needs no server."""
    return open_store((tmp_path / "store").as_uri())


def train_by_command(run: Path, store: Store) -> None:
    environment = os.environ | {"LMPIPE_STORE": store.uri}
    subprocess.run([sys.executable, "-m", "lmpipe.train", str(run)], cwd=ROOT, env=environment, check=True)


@pytest.mark.slow
def test_another_machine_goes_on_after_a_kill_with_the_same_weights(store: Store, tmp_path: Path) -> None:
    whole = trained(tmp_path / "whole", 40)
    lost = trained(tmp_path / "lost", 0)
    environment = os.environ | {"LMPIPE_STORE": store.uri}
    child = subprocess.Popen([sys.executable, "-m", "lmpipe.train", str(lost)], cwd=ROOT, env=environment)
    key = f"runs/{lost.name}"
    while not any(name.endswith("checkpoint.json") for name in store.sizes(key)):
        assert child.poll() is None, "ended before it sent a checkpoint"
    child.send_signal(signal.SIGKILL)
    child.wait()
    shutil.rmtree(tmp_path / "lost")
    run = trained(tmp_path / "next", 0)
    train_by_command(run, store)
    assert f"taken from {store.uri}" in (run / "train.log").read_text()
    assert weights_of(run) == weights_of(whole)
    assert metrics_of(run) == metrics_of(whole)
    assert store.has(f"{key}/result.json")


def test_store_keeps_the_checkpoints_that_the_disk_keeps(disk: Store, tmp_path: Path) -> None:
    run = trained(tmp_path / "data", 40, disk)
    send_run(disk, load_run(run))
    steps = {name.split("/")[1] for name in disk.sizes(f"runs/{run.name}") if "/step-" in name}
    assert steps == {folder.name for folder in (run / "checkpoints").glob("step-*")}


def test_nothing_is_taken_when_the_disk_has_come_further(disk: Store, tmp_path: Path) -> None:
    send_run(disk, load_run(trained(tmp_path / "early", 6)))
    run = trained(tmp_path / "late", 13)
    before = sorted(path.name for path in (run / "checkpoints").iterdir())
    take_run(disk, load_run(run))
    assert sorted(path.name for path in (run / "checkpoints").iterdir()) == before


def test_a_damaged_checkpoint_of_the_store_is_passed_over_and_sent_again(disk: Store, tmp_path: Path) -> None:
    run = trained(tmp_path / "here", 13)
    send_run(disk, load_run(run))
    flip(tmp_path / "store" / "runs" / run.name / "checkpoints/step-00000013/model.safetensors")
    there = trained(tmp_path / "there", 0)
    take_run(disk, load_run(there))
    train_by_command(there, disk)
    assert weights_of(there) == weights_of(trained(tmp_path / "whole", 40))
    fresh = trained(tmp_path / "fresh", 0)
    take_run(disk, load_run(fresh))
    assert weights_of(fresh) == weights_of(there)


def test_pull_brings_a_run_with_its_tokens_and_records_it(
    disk: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = trained(tmp_path / "here", 40, disk)
    send_run(disk, load_run(run))
    tokens = open_dataset(next((tmp_path / "here/tokens").iterdir()))
    send_dataset(disk, tokens.folder, [shard.path for shard in tokens.shards])
    monkeypatch.setenv("LMPIPE_STORE", disk.uri)
    data = str(tmp_path / "there")
    listed = CliRunner().invoke(app, ["pull", "--data", data]).stdout.splitlines()
    assert listed == [f"runs/{run.name}", f"tokens/{tokens.folder.name}"]
    pulled = CliRunner().invoke(app, ["pull", f"runs/{run.name}", "--data", data])
    assert pulled.stdout == f"{tmp_path / 'there' / 'runs' / run.name}\n"
    assert weights_of(tmp_path / "there/runs" / run.name) == weights_of(run)
    rows = warehouse.query(tmp_path / "there/warehouse", "select max(step) as step from checkpoints")
    assert rows.to_pylist() == [{"step": 40}]


@pytest.mark.parametrize("name", ["runs/nobody-12345678", "tokens/nothing-12345678"])
def test_pull_of_what_is_not_there_is_one_sentence(
    disk: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("LMPIPE_STORE", disk.uri)
    result = CliRunner().invoke(app, ["pull", name, "--data", str(tmp_path)])
    assert result.exit_code != 0
    assert "found none. `lmpipe pull` lists what there is." in str(result.exception or result.output)
