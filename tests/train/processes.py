"""Start real training processes and read what they leave behind."""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

PATIENCE = 60.0
"""Seconds after which a process that does nothing is a failure, on a very busy machine."""


def start_training(run: Path, *options: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, *options, "-m", "lmpipe.train", str(run)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def wait_until(true: Callable[[], bool]) -> None:
    """Look until something is true; a millisecond between looks leaves the CPU to the training."""
    give_up = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < give_up, "nothing happened"
        time.sleep(0.001)


def metrics_of(run: Path) -> list[dict[str, Any]]:
    """Read metrics.jsonl without what the clock wrote into it."""
    path = run / "metrics.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines() if line.endswith("}")] if path.exists() else []
    return [
        {key: line[key] for key in line.keys() - {"time", "seconds", "tokens_per_s", "eta", "memory"}} for line in lines
    ]


def weights_of(run: Path) -> list[bytes]:
    """Read the final weights and the optimizer's averages."""
    return [
        (run / "checkpoints/step-00000040" / name).read_bytes()
        for name in ("model.safetensors", "training.safetensors")
    ]
