"""Launching: metrics as they come, no orphan, no second launch, and errors that show the log."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from train.processes import metrics_of, wait_until
from train.token_dataset import LSTM, small_settings, tokens_dataset

from lmpipe import launch
from lmpipe.errors import TrainingError
from lmpipe.train.run import load_run, prepare_run


def prepared(tmp_path: Path, **changes: object) -> Path:
    return prepare_run(tokens_dataset(tmp_path), small_settings(LSTM, **changes), "demo", tmp_path)


def put_metrics(path: Path, lines: list[dict[str, Any]], more: str = "") -> None:
    """Replace the file, as a new session does."""
    path.with_suffix(".tmp").write_text("".join(json.dumps(line) + "\n" for line in lines) + more)
    path.with_suffix(".tmp").rename(path)


def test_start_trains_tells_of_each_step_and_returns_the_result(tmp_path: Path) -> None:
    run, told = prepared(tmp_path, steps=12), []
    result = launch.start(run, on_metric=told.append)
    assert result == load_run(run).result
    assert [line["step"] for line in told if line["split"] == "train"] == list(range(1, 13))
    assert len(told) == len(metrics_of(run))
    assert "finished after 12 steps" in (run / "train.log").read_text()


def test_start_shows_the_log_when_the_training_fails(tmp_path: Path) -> None:
    run = prepared(tmp_path, lr=1e30, clip=1e30, optimizer="sgd")
    with pytest.raises(TrainingError, match=r"(?s)ended with code 1.*expected a finite loss.*start the same run again"):
        launch.start(run)


def test_start_stops_the_training_when_it_is_interrupted(tmp_path: Path) -> None:
    run = prepared(tmp_path, steps=4000, save_every=4000, valid_every=4000)

    def interrupt(line: dict[str, Any]) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        launch.start(run, on_metric=interrupt)
    (checkpoint,) = (run / "checkpoints").glob("step-*")
    assert checkpoint.name == f"step-{len(metrics_of(run)):08d}"


def test_training_saves_and_ends_when_its_launcher_is_killed(tmp_path: Path) -> None:
    run = prepared(tmp_path, steps=4000, save_every=4000, valid_every=4000)
    code = f"from pathlib import Path; from lmpipe import launch; launch.start(Path({str(run)!r}))"
    launcher = subprocess.Popen([sys.executable, "-c", code])
    wait_until(lambda: len(metrics_of(run)) >= 2)
    launcher.kill()
    launcher.wait()
    wait_until(lambda: "signal 15: checkpoint saved" in (run / "train.log").read_text())
    assert list((run / "checkpoints").glob("step-*"))


def test_second_launch_is_refused_while_the_first_trains(tmp_path: Path) -> None:
    run = prepared(tmp_path)
    with launch.launch_lock(run), pytest.raises(TrainingError, match="is being trained by another launch"):
        launch.start(run)


def test_start_returns_the_result_of_a_finished_run(tmp_path: Path) -> None:
    run = prepared(tmp_path)
    (run / "result.json").write_text('{"steps": 40}')
    assert launch.start(run) == {"steps": 40}
    assert not (run / "train.log").exists()


def test_start_refuses_a_folder_that_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"no run\.json"):
        launch.start(tmp_path)


def test_tail_passes_over_lines_of_earlier_sessions_and_cut_lines(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    tail = launch.Tail(path=path, since=100.0)
    assert list(tail.new_lines()) == []
    put_metrics(path, [{"step": 1, "time": 50}, {"step": 2, "time": 51}])
    assert list(tail.new_lines()) == []
    put_metrics(path, [{"step": 1, "time": 50}, {"step": 2, "time": 101}], '{"step": 3, "ti')
    assert [line["step"] for line in tail.new_lines()] == [2]
    with path.open("a") as file:
        file.write('me": 102}\n')
    assert [line["step"] for line in tail.new_lines()] == [3]


def test_launch_imports_no_torch() -> None:
    code = "import sys; import lmpipe.launch, lmpipe.train.run; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.slow
def test_start_trains_with_two_processes(tmp_path: Path) -> None:
    run = prepared(tmp_path, steps=12)
    shutil.copytree(run, tmp_path / "one")
    one, two = launch.start(tmp_path / "one"), launch.start(run, processes=2)
    assert (one["processes"], two["processes"]) == (1, 2)
    assert [line["step"] for line in metrics_of(run)] == [line["step"] for line in metrics_of(tmp_path / "one")]
