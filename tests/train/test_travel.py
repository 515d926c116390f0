"""A run that leaves home trains with four packages, and what comes back is checked before it is believed."""

import json
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
import torch
from train.processes import metrics_of, weights_of
from train.token_dataset import small_settings, tokens_dataset
from typer.testing import CliRunner

from lmpipe import warehouse
from lmpipe.cli import app
from lmpipe.dataset import Execution
from lmpipe.errors import TrainingError
from lmpipe.evaluate.perplexity import evaluate
from lmpipe.settings import EvaluateSettings
from lmpipe.train.loop import train
from lmpipe.train.parallel import Ranks
from lmpipe.train.run import load_run, prepare_run, training_lock
from lmpipe.train.travel import collect, pack
from tests.conftest import ROOT

ALONE = Ranks(rank=0, size=1, device=torch.device("cpu"))


def trained(data: Path, steps: int, **changes: object) -> Path:
    """Prepare the run and train it up to a step; to its end for 40."""
    run = prepare_run(tokens_dataset(data), small_settings(**changes), "demo", data)
    calls = iter(range(1, 1000))
    if steps:
        train(load_run(run), ALONE, lambda: signal.SIGTERM if next(calls) >= steps else None)
    return run


def site_of_packages(folder: Path, *wanted: str) -> Path:
    """Link what these packages install, and what they require, into a folder of their own."""
    todo, done = list(wanted), set[str]()
    while todo:
        name = re.split(r"[^\w.-]", todo.pop())[0].lower().replace("_", "-")
        if name in done:
            continue
        done.add(name)
        found = metadata.distribution(name)
        todo += [line for line in found.requires or () if ";" not in line]
        for top in {file.parts[0] for file in found.files or () if file.parts[0] not in ("..", "__pycache__")}:
            if not (folder / top).exists():
                (folder / top).symlink_to(str(found.locate_file(top)))
    return folder


def test_packed_run_trains_with_four_packages_and_comes_home(tmp_path: Path) -> None:
    whole = trained(tmp_path / "whole", 40)
    run = trained(tmp_path / "data", 13)
    packed = pack(run, tmp_path / "usb" / "packed")
    assert not (packed / "data/tokenizer.json").samefile(run / "data/tokenizer.json")
    (tmp_path / "site").mkdir()
    site = site_of_packages(tmp_path / "site", "torch", "pyarrow", "numpy", "safetensors")
    paths = f"import runpy, sys; sys.path[:0] = ['.', {str(site)!r}]"
    code = f"{paths}; runpy.run_module('lmpipe.train', alter_sys=True, run_name='__main__')"
    python = [sys.executable, "-I", "-S", "-c", code]
    done = subprocess.run([*python, "."], cwd=packed, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "steps 14 to 40" in done.stderr
    assert collect(packed, tmp_path / "data") == run
    assert weights_of(run) == weights_of(whole)
    assert metrics_of(run) == metrics_of(whole)
    assert load_run(run).result == load_run(packed).result
    assert (run / "checkpoints/latest").read_text() == "step-00000040\n"
    scored = evaluate(run, EvaluateSettings(context=16, batch=4), tmp_path / "data", Execution())
    assert scored.counts["documents"] == 17


def test_readme_asks_for_the_versions_that_we_test_with(tmp_path: Path) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    text = (pack(trained(tmp_path, 0), tmp_path / "packed") / "README.txt").read_text()
    wanted = [line for line in project if re.match("(torch|pyarrow|safetensors|numpy)[<>]", line)]
    assert len(wanted) == 4
    assert all(f"'{line}'" in text for line in wanted)


def test_tar_holds_the_same_files_as_the_folder(tmp_path: Path) -> None:
    run = trained(tmp_path, 6)
    folder = pack(run, tmp_path / "packed")
    with tarfile.open(pack(run, tmp_path / "packed.tar")) as tar:
        tar.extractall(tmp_path, filter="data")
        assert all(entry.name.startswith(f"{run.name}/") for entry in tar)
    shutil.move(tmp_path / run.name, tmp_path / "unpacked")
    names = [
        sorted(str(p.relative_to(f)) for p in f.rglob("*") if p.is_file()) for f in (folder, tmp_path / "unpacked")
    ]
    assert names[0] == names[1]
    assert "python -m lmpipe.train ." in (folder / "README.txt").read_text()
    assert load_run(tmp_path / "unpacked").fingerprint == load_run(run).fingerprint


def test_pack_leaves_nothing_half_done(tmp_path: Path) -> None:
    run = trained(tmp_path, 0)
    shard = run / "data/tokens-train-00000.arrow"
    damaged = bytearray(shard.read_bytes())
    damaged[300] ^= 1
    shard.unlink()
    shard.write_bytes(damaged)
    with pytest.raises(TrainingError, match=r"tokens-train-00000\.arrow: its sha256 is not that of run\.json"):
        pack(run, tmp_path / "packed")
    (tmp_path / "there").mkdir()
    with pytest.raises(TrainingError, match="there: is there already"):
        pack(run, tmp_path / "there")
    assert not list(tmp_path.glob("*packed*"))


def test_run_that_is_being_trained_stays(tmp_path: Path) -> None:
    run = trained(tmp_path / "data", 6)
    packed = pack(run, tmp_path / "packed")
    with training_lock(run, 0):
        with pytest.raises(TrainingError, match="another process is training this run"):
            pack(run, tmp_path / "again")
        with pytest.raises(TrainingError, match="another process is training this run"):
            collect(packed, tmp_path / "data")
    assert not (tmp_path / "again").exists()


def test_collect_refuses_a_run_that_is_not_ours(tmp_path: Path) -> None:
    packed = pack(trained(tmp_path / "data", 6), tmp_path / "packed")
    with pytest.raises(TrainingError, match=r"is not a run of .*elsewhere"):
        collect(packed, tmp_path / "elsewhere")
    body = json.loads((packed / "run.json").read_text())
    body["settings"]["lr"] = 1.0
    (packed / "run.json").write_text(json.dumps(body))
    with pytest.raises(TrainingError, match=r"its settings differ from those of .*so it is another run"):
        collect(packed, tmp_path / "data")


def test_collect_refuses_what_is_not_newer(tmp_path: Path) -> None:
    run = trained(tmp_path, 6)
    packed = pack(run, tmp_path / "packed")
    assert collect(packed, tmp_path) == run
    trained(tmp_path, 4)
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    with pytest.raises(TrainingError, match="has come to step 6, the run at home to 10"):
        collect(packed, tmp_path)
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


def test_collect_refuses_other_weights_of_the_same_step(tmp_path: Path) -> None:
    run = trained(tmp_path / "data", 6)
    other = pack(trained(tmp_path / "other", 6, seed=2), tmp_path / "packed")
    shutil.copyfile(run / "run.json", other / "run.json")
    with pytest.raises(TrainingError, match="There is nothing newer"):
        collect(other, tmp_path / "data")


def test_collect_passes_over_damaged_checkpoints(tmp_path: Path) -> None:
    home = trained(tmp_path, 0)
    packed = pack(home, tmp_path / "packed")
    train(load_run(packed), ALONE, lambda: None)
    newest = packed / "checkpoints/step-00000040/model.safetensors"
    newest.write_bytes(newest.read_bytes()[:-4])
    with pytest.raises(TrainingError, match=r"result\.json tells of a checkpoint"):
        collect(packed, tmp_path)
    (packed / "result.json").unlink()
    collect(packed, tmp_path)
    assert [path.name for path in (home / "checkpoints").glob("step-*")] == ["step-00000035"]


def test_collect_refuses_a_run_without_a_checkpoint(tmp_path: Path) -> None:
    packed = pack(trained(tmp_path, 0), tmp_path / "packed")
    with pytest.raises(TrainingError, match="no usable checkpoint to bring home"):
        collect(packed, tmp_path)


def test_commands_pack_collect_and_record(tmp_path: Path) -> None:
    run = trained(tmp_path / "data", 6)
    packed, data = str(tmp_path / "packed"), str(tmp_path / "data")
    assert CliRunner().invoke(app, ["pack", str(run), "--out", packed]).stdout == f"{packed}\n"
    assert CliRunner().invoke(app, ["collect", packed, "--data", data]).stdout == f"{run}\n"
    sql = "select name, max(step) as step from checkpoints join trainings using (run) group by name"
    rows = warehouse.query(tmp_path / "data/warehouse", sql)
    assert rows.to_pylist() == [{"name": "demo-tiny", "step": 6}]
