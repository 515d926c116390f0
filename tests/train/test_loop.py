"""Training: it learns, and a run that was killed anywhere ends as an undisturbed one does."""

import json
import logging
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from train.processes import metrics_of, start_training, wait_until, weights_of
from train.token_dataset import LSTM, TRANSFORMER, VOCABULARY, make_documents, small_settings, tokens_dataset

from lmpipe.errors import TrainingError
from lmpipe.settings import Model
from lmpipe.train import loop, memory
from lmpipe.train.__main__ import train_alone
from lmpipe.train.checkpoint import find_checkpoint, load_training
from lmpipe.train.loop import train
from lmpipe.train.parallel import Ranks
from lmpipe.train.run import load_run, prepare_run, training_lock

MANY = replace(
    LSTM, layers=2, embedding=12, weight_drop=0.3, locked=True, dropout_embedding=0.1, activation_penalty=1.0
)
WAYS: dict[str, tuple[Model, dict[str, object]]] = {
    "muon-ema": (TRANSFORMER, {"optimizer": "muon", "average": "ema", "ema_decay": 0.9, "micro_batch": 3}),
    "carried-asgd": (
        MANY,
        {"order": "in_order", "optimizer": "sgd", "momentum": 0.0, "lr": 1.0, "average": "asgd", "stalled": 1}
        | {"valid_every": 5, "decay": 0.0},
    ),
    "bf16-smoothed": (
        TRANSFORMER,
        {"precision": "bf16", "label_smoothing": 0.1, "schedule": "cosine", "recompute": True},
    ),
}
"""Ways to train, each with state of its own that a checkpoint has to keep."""
ALONE = Ranks(rank=0, size=1, device=torch.device("cpu"))


def never() -> None:
    return None


def prepared(tmp_path: Path, model: Model = TRANSFORMER, **changes: object) -> Path:
    return prepare_run(tokens_dataset(tmp_path), small_settings(model, **changes), "demo", tmp_path)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Model], Path]:
    """Train to the end in one go; the same run is handed out each time."""
    finished: dict[Model, Path] = {}

    def finish(model: Model) -> Path:
        if model not in finished:
            finished[model] = prepared(tmp_path_factory.mktemp("undisturbed"), model)
            train(load_run(finished[model]), ALONE, never)
        return finished[model]

    return finish


def interrupted(run: Path, step: int) -> None:
    """Train until the given step asks to stop."""
    calls = iter(range(1, 10_000))
    train(load_run(run), ALONE, lambda: signal.SIGTERM if next(calls) >= step else None)


@pytest.mark.parametrize("model", [LSTM, TRANSFORMER])
def test_loss_falls(undisturbed: Callable[[Model], Path], model: Model) -> None:
    losses = [line["loss"] for line in metrics_of(undisturbed(model)) if line["split"] == "valid"]
    assert len(losses) == 4
    assert losses[-1] < losses[0] - 0.02


def test_result_tells_what_was_trained(undisturbed: Callable[[Model], Path]) -> None:
    run = load_run(undisturbed(TRANSFORMER))
    result = run.result
    assert result is not None
    lines = metrics_of(run.folder)
    assert (result["steps"], result["tokens"], result["threads"]) == (40, 40 * 4 * 16, 1)
    assert (result["train_loss"], result["valid_loss"]) == (lines[-2]["loss"], lines[-1]["loss"])
    assert result["checkpoint"] == "checkpoints/step-00000040"
    record = json.loads((run.folder / result["checkpoint"] / "checkpoint.json").read_text())
    assert result["checkpoint_sha256"] == record["files"]["model.safetensors"]["sha256"]


@pytest.mark.parametrize("model", [LSTM, TRANSFORMER])
def test_resumed_run_is_the_undisturbed_one_bit_for_bit(
    undisturbed: Callable[[Model], Path], model: Model, tmp_path: Path
) -> None:
    run = prepared(tmp_path, model)
    for step in (3, 9):
        interrupted(run, step)
    assert not (run / "result.json").exists()
    train(load_run(run), ALONE, never)
    assert weights_of(run) == weights_of(undisturbed(model))
    assert metrics_of(run) == metrics_of(undisturbed(model))


def test_resumed_run_is_the_undisturbed_one_when_its_newest_checkpoint_is_damaged(
    undisturbed: Callable[[Model], Path], tmp_path: Path
) -> None:
    run = prepared(tmp_path)
    interrupted(run, 13)
    newest = max((run / "checkpoints").glob("step-*"))
    (newest / "model.safetensors").write_bytes(b"torn")
    train(load_run(run), ALONE, never)
    assert weights_of(run) == weights_of(undisturbed(TRANSFORMER))
    assert metrics_of(run) == metrics_of(undisturbed(TRANSFORMER))


@pytest.mark.parametrize("way", WAYS)
def test_resumed_run_is_the_undisturbed_one_whatever_it_keeps(tmp_path: Path, way: str) -> None:
    model, changes = WAYS[way]
    whole, run = (prepared(tmp_path / name, model, **changes) for name in ("whole", "cut"))
    train(load_run(whole), ALONE, never)
    for step in (12, 9):
        interrupted(run, step)
    train(load_run(run), ALONE, never)
    assert weights_of(run) == weights_of(whole)
    assert metrics_of(run) == metrics_of(whole)
    record = json.loads((run / "checkpoints/step-00000040/checkpoint.json").read_text())["progress"]
    assert (record["averaged_since"] is not None) == (way == "carried-asgd")


@pytest.mark.parametrize("num_kills", [1, pytest.param(4, marks=pytest.mark.slow)])
def test_killed_run_ends_as_the_undisturbed_one(
    undisturbed: Callable[[Model], Path], tmp_path: Path, num_kills: int
) -> None:
    run = prepared(tmp_path)
    draw = random.Random()
    for _ in range(num_kills):
        before = len(metrics_of(run))
        lines = draw.randint(1, 12)
        process = start_training(run)
        wait_until(lambda: len(metrics_of(run)) >= before + lines or process.poll() is not None)  # noqa: B023 (called at once)
        process.kill()
        process.wait()
    assert start_training(run).wait() == 0
    assert weights_of(run) == weights_of(undisturbed(TRANSFORMER))
    assert metrics_of(run) == metrics_of(undisturbed(TRANSFORMER))


def test_sigterm_saves_a_checkpoint_and_exits_with_143(tmp_path: Path) -> None:
    run = prepared(tmp_path, steps=4000, save_every=4000, valid_every=4000)
    process = start_training(run)
    wait_until(lambda: len(metrics_of(run)) >= 3)
    process.terminate()
    assert process.wait() == 143
    (checkpoint,) = (run / "checkpoints").glob("step-*")
    assert checkpoint.name == f"step-{len(metrics_of(run)):08d}"
    assert "signal 15: checkpoint saved" in (run / "train.log").read_text()


def test_finished_run_is_left_alone(undisturbed: Callable[[Model], Path], caplog: pytest.LogCaptureFixture) -> None:
    run = load_run(undisturbed(TRANSFORMER))
    before = (run.folder / "metrics.jsonl").stat()
    with caplog.at_level(logging.INFO):
        assert train_alone(run, ALONE, never) is None
    assert "already finished, nothing to do" in caplog.text
    assert (run.folder / "metrics.jsonl").stat() == before


def test_training_stops_when_the_loss_is_not_finite(tmp_path: Path) -> None:
    run = prepared(tmp_path, LSTM, lr=1e30, clip=1e30, optimizer="sgd", max_skipped=2)
    with pytest.raises(TrainingError, match=r"expected a finite loss and gradient.*the 3\. in a row.*Lower lr"):
        train(load_run(run), ALONE, never)
    assert not (run / "result.json").exists()


def test_validation_and_sample_of_weights_that_blew_up_are_told_and_not_fatal(tmp_path: Path) -> None:
    model = replace(TRANSFORMER, zero_init=False, norm="layer", qk_norm=False, logit_cap=None)
    run = prepared(tmp_path, model, lr=1e36, clip=1e36, optimizer="sgd", warmup=0, steps=1, sample_every=1)
    train(load_run(run), ALONE, never)
    assert [(line["split"], line["loss"] is None) for line in metrics_of(run)] == [("train", False), ("valid", True)]
    assert json.loads((run / "samples.jsonl").read_text())["ids"] == []
    result = load_run(run).result
    assert result is not None
    assert result["valid_loss"] is None


def test_training_goes_without_validation_when_there_is_no_valid_split(tmp_path: Path) -> None:
    tokens = tokens_dataset(tmp_path, {"train": [make_documents(30, 1)]})
    run = prepare_run(tokens, small_settings(steps=4), "demo", tmp_path)
    train(load_run(run), ALONE, never)
    result = load_run(run).result
    assert result is not None
    assert result["valid_loss"] is None


def test_second_process_is_refused_while_the_first_trains(tmp_path: Path) -> None:
    refused = pytest.raises(TrainingError, match="another process is training this run")
    with training_lock(tmp_path, 0), refused, training_lock(tmp_path, 0):
        pass


def test_training_needs_nothing_but_torch_and_pyarrow(tmp_path: Path) -> None:
    run = prepared(tmp_path, steps=3)
    foreign = ("prefect", "duckdb", "tokenizers", "gigatoken", "typer", "rich", "lxml", "sympy")
    block = f"import sys; sys.modules.update(dict.fromkeys({foreign!r}))"
    code = f"{block}; from lmpipe.train.__main__ import main; sys.exit(main())"
    done = subprocess.run([sys.executable, "-c", code, str(run)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (run / "result.json").exists()


@pytest.mark.slow
def test_two_processes_train_the_same_curve_as_one(tmp_path: Path) -> None:
    model = type(TRANSFORMER)(kind="transformer", layers=2, width=16, heads=2, dropout=0.0)
    run = prepared(tmp_path, model)
    shutil.copytree(run, tmp_path / "two")
    train(load_run(run), ALONE, never)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    subprocess.run([*torchrun, "-m", "lmpipe.train", str(tmp_path / "two")], check=True, capture_output=True)
    one, two = metrics_of(run), metrics_of(tmp_path / "two")
    assert [line.get("batch") for line in one] == [line.get("batch") for line in two]
    assert [line["loss"] for line in two] == pytest.approx([line["loss"] for line in one], abs=1e-4)


def test_step_without_finite_gradient_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = prepared(tmp_path, steps=6)
    steps = iter(range(1, 100))
    whole = loop.clip_grad_norm_

    def spoiled(parameters: Iterator[torch.nn.Parameter], most: float) -> torch.Tensor:
        norm = whole(parameters, most)
        return norm * float("nan") if next(steps) in (2, 3) else norm

    monkeypatch.setattr(loop, "clip_grad_norm_", spoiled)
    train(load_run(run), ALONE, never)
    lines = [line for line in metrics_of(run) if line["split"] == "train"]
    assert [line["grad_norm"] is None for line in lines] == [False, True, True, False, False, False]


@pytest.mark.parametrize(
    ("changes", "ending", "steps"),
    [
        ({"max_tokens": 4 * 16 * 7}, "max_tokens", 7),
        ({"max_seconds": 1e-9}, "max_seconds", 1),
        ({"patience": 2, "lr": 1e-12, "valid_every": 3}, "patience", 9),
        ({}, "steps", 40),
    ],
)
def test_training_ends_at_its_first_limit(tmp_path: Path, changes: dict[str, object], ending: str, steps: int) -> None:
    run = prepared(tmp_path, LSTM, **changes)
    train(load_run(run), ALONE, never)
    result = load_run(run).result
    assert result is not None
    assert (result["stopped_by"], result["steps"]) == (ending, steps)
    assert train_alone(load_run(run), ALONE, never) is None


def test_patience_leaves_the_best_weights_behind(tmp_path: Path) -> None:
    run = prepared(tmp_path, LSTM, patience=3, valid_every=2, save_every=1000, lr=0.3, optimizer="sgd", steps=60)
    train(load_run(run), ALONE, never)
    losses = {line["step"]: line["loss"] for line in metrics_of(run) if line["split"] == "valid"}
    best = find_checkpoint(run, "best")
    assert best is not None
    assert losses[best.step] == min(losses.values())


def test_rows_in_pieces_learn_what_they_do_at_once(tmp_path: Path) -> None:
    model = replace(TRANSFORMER, dropout=0.0)
    whole, pieces = prepared(tmp_path / "whole", model), prepared(tmp_path / "pieces", model, micro_batch=1)
    for run in (whole, pieces):
        train(load_run(run), ALONE, never)
    one, other = ([line["loss"] for line in metrics_of(run)] for run in (whole, pieces))
    assert other == pytest.approx(one, abs=1e-4)


def test_rows_go_in_pieces_when_memory_is_short(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    run = prepared(tmp_path, steps=2)
    peaks = iter([0, 100, 200])
    monkeypatch.setattr(memory, "peak_memory", lambda device: next(peaks))
    monkeypatch.setattr(memory, "free_memory", lambda device: 300)
    with caplog.at_level(logging.INFO):
        train(load_run(run), ALONE, never)
    assert "4 rows do not fit into memory at once: they go 2 at a time" in caplog.text
    record = json.loads((run / "checkpoints/step-00000002/checkpoint.json").read_text())["progress"]
    assert record["micro_batch"] == 2


def test_rows_go_in_pieces_when_a_run_goes_on_with_less_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    run = prepared(tmp_path, steps=3)
    train(load_run(run), ALONE, lambda: signal.SIGTERM)
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(memory, "free_memory", lambda device: 300)
    for peaks, rows in ((iter([0, 100, 200]), 2), (iter([0, 100, 100]), 2)):
        monkeypatch.setattr(memory, "peak_memory", lambda device, peaks=peaks: next(peaks))
        train(load_run(run), ALONE, lambda: signal.SIGTERM)
        found = find_checkpoint(run)
        assert found is not None
        assert found.progress.micro_batch == rows
    assert "4 rows do not fit into memory at once: they go 2 at a time" in caplog.text


def test_samples_are_ids_of_the_vocabulary(tmp_path: Path) -> None:
    run = prepared(tmp_path, LSTM, steps=6, sample_every=3)
    train(load_run(run), ALONE, never)
    lines = [json.loads(line) for line in (run / "samples.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [3, 6]
    assert all(0 <= token < VOCABULARY for line in lines for token in line["ids"])


def test_samples_end_where_learned_positions_do(tmp_path: Path) -> None:
    run = prepared(tmp_path, replace(TRANSFORMER, positions=16), steps=1, sample_every=1)
    train(load_run(run), ALONE, never)
    (line,) = (run / "samples.jsonl").read_text().splitlines()
    assert len(json.loads(line)["ids"]) == 16


@pytest.mark.slow
def test_carried_state_is_the_same_for_two_processes(tmp_path: Path) -> None:
    run = prepared(tmp_path, replace(LSTM, dropout=0.0), order="in_order", batch=3)
    shutil.copytree(run, tmp_path / "two")
    train(load_run(run), ALONE, never)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    subprocess.run([*torchrun, "-m", "lmpipe.train", str(tmp_path / "two")], check=True, capture_output=True)
    one, two = ([line["loss"] for line in metrics_of(folder)] for folder in (run, tmp_path / "two"))
    assert two == pytest.approx(one, abs=1e-4)
    states = [
        dict(load_training(found, ALONE.device))
        for folder in (run, tmp_path / "two")
        if (found := find_checkpoint(folder))
    ]
    torch.testing.assert_close(states[0]["carried:0:0"], states[1]["carried:0:0"], rtol=1e-3, atol=1e-3)
