"""Other people's trainings read the same batches in the same order: PyTorch, Hugging Face, TensorFlow, Keras."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch.utils.data import DataLoader
from train.token_dataset import small_settings, tokens_dataset

from lmpipe.train.adapters import RowSettings, TokenBatches
from lmpipe.train.batches import make_batch
from lmpipe.train.run import prepare_run
from lmpipe.train.stream import open_stream
from tests.conftest import ROOT

ROWS = RowSettings(context=16, batch=4)


def expected(folder: Path, steps: range) -> list[list[list[int]]]:
    stream = open_stream(sorted(folder.glob("tokens-train-*.arrow")), 61)
    return [make_batch(stream, small_settings(), step).ids_BS[:, :-1].tolist() for step in steps]


@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=pytest.mark.slow)])  # torch imported twice
def test_any_number_of_loader_workers_gives_the_batches_in_order(tmp_path: Path, workers: int) -> None:
    folder = tokens_dataset(tmp_path).folder
    batches = TokenBatches.of(folder, "train", ROWS, first=2, steps=7)
    loader = DataLoader(
        batches, batch_size=None, num_workers=workers, multiprocessing_context="spawn" if workers else None
    )
    assert [ids_BT.tolist() for ids_BT, _ in loader] == expected(folder, range(2, 9))


def test_ranks_share_each_batch_in_its_order(tmp_path: Path) -> None:
    folder = tokens_dataset(tmp_path).folder
    for ranks in (1, 2, 3, 4):
        shares = [TokenBatches.of(folder, "train", ROWS, steps=5, rank=rank, ranks=ranks) for rank in range(ranks)]
        joined = [torch.cat([ids_BT for ids_BT, _ in parts]).tolist() for parts in zip(*shares, strict=True)]
        assert joined == expected(folder, range(5))


def test_targets_are_the_inputs_one_token_later(tmp_path: Path) -> None:
    for ids_BT, targets_BT in TokenBatches.of(tokens_dataset(tmp_path).folder, "train", ROWS, steps=3):
        assert torch.equal(ids_BT[:, 1:], targets_BT[:, :-1])


def test_run_directory_is_read_as_its_dataset_is(tmp_path: Path) -> None:
    tokens = tokens_dataset(tmp_path)
    run = prepare_run(tokens, small_settings(), "demo", tmp_path)
    one, other = (TokenBatches.of(folder, "valid", ROWS, steps=2) for folder in (run, tokens.folder))
    assert [ids_BT.tolist() for ids_BT, _ in one] == [ids_BT.tolist() for ids_BT, _ in other]


HUGGING_FACE = """
import json, sys
from pathlib import Path
from lmpipe.train.adapters import RowSettings, TokenBatches, hugging_face
rows = hugging_face(TokenBatches.of(Path(sys.argv[1]), "train", RowSettings(context=16, batch=4), steps=3))
print(json.dumps([row["input_ids"] for row in rows]))
"""

TENSORFLOW = """
import json, sys
from pathlib import Path
from lmpipe.train.adapters import RowSettings, TokenBatches, tf_data
batches = tf_data(TokenBatches.of(Path(sys.argv[1]), "train", RowSettings(context=16, batch=4), steps=3))
print(json.dumps([[*ids, int(targets[-1])] for x, y in batches for ids, targets in zip(x.numpy().tolist(), y.numpy())]))
"""


@pytest.mark.parametrize(
    ("package", "program"),
    [("datasets", HUGGING_FACE), pytest.param("tensorflow", TENSORFLOW, marks=pytest.mark.slow)],
)
def test_other_libraries_see_the_same_rows(tmp_path: Path, package: str, program: str) -> None:
    folder = tokens_dataset(tmp_path).folder
    rows = run_python([package], "-c", program, str(folder))
    stream = open_stream(sorted(folder.glob("tokens-train-*.arrow")), 61)
    assert rows.strip() == str(
        [row for s in range(3) for row in make_batch(stream, small_settings(), s).ids_BS.tolist()]
    )


@pytest.mark.parametrize("backend", ["torch", pytest.param("tensorflow", marks=pytest.mark.slow)])
def test_textbook_keras_model_learns_from_the_batches(tmp_path: Path, backend: str) -> None:
    folder = tokens_dataset(tmp_path).folder
    out = run_python(
        ["keras", backend], str(ROOT / "examples" / "keras_lstm.py"), str(folder), "2", "10", backend=backend
    )
    losses = [float(loss) for loss in re.findall(r"epoch \d: ([\d.]+) nats", out)]
    assert len(losses) == 2
    assert losses[1] < losses[0] < 4.2  # a uniform guess of 61 tokens: 4.11


def run_python(packages: list[str], *command: str, backend: str = "torch") -> str:
    """Run Python in a process of its own, as these libraries set up the whole process; skip without the packages."""
    if missing := [package for package in packages if importlib.util.find_spec(package) is None]:
        pytest.skip(f"{missing} not installed: pip install -e '.[dev]', or '.[tensorflow]'")
    env = os.environ | {
        "KERAS_BACKEND": backend,
        "PYTHONPATH": str(ROOT),
        "HF_DATASETS_OFFLINE": "1",
        "OMP_NUM_THREADS": "1",
        "CUDA_VISIBLE_DEVICES": "",
    }
    done = subprocess.run([sys.executable, *command], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
