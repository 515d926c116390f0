"""metrics.jsonl: one line per step and one per validation, appended as training goes on.

A line of a step:        step (done so far), epoch, split "train", loss (nats per token), lr, grad_norm,
                         tokens (seen so far), tokens_per_s, mfu, batch (sha256 of the rows), time
A line of a validation:  step, epoch, split "valid", loss, tokens, seconds, time

`time` (Unix seconds) and the speeds aside, a resumed run writes the very lines of an undisturbed one.
"""

import json
import os
import time
from dataclasses import dataclass
from io import TextIOWrapper
from pathlib import Path
from typing import Any, Self

import torch
from torch import nn

from lmpipe.settings import Model
from lmpipe.storage import replacing

PEAK_FLOPS = {"A100": 156e12, "H100": 494.7e12, "H200": 494.7e12}
"""Dense TF32 peak of devices by a part of their name (NVIDIA data sheets); the arithmetic training uses there."""


@dataclass(slots=True)
class Metrics:
    """The open file."""

    file: TextIOWrapper

    def write(self, line: dict[str, Any]) -> None:
        """Append one line, at once visible to who watches."""
        self.file.write(json.dumps(line | {"time": round(time.time(), 3)}, allow_nan=False) + "\n")
        self.file.flush()

    def sync(self) -> None:
        """Make all lines durable; called before a checkpoint, which promises that they are there."""
        os.fsync(self.file.fileno())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()


def open_metrics(run: Path, step: int) -> Metrics:
    """Open metrics.jsonl to go on after `step`, without the lines that a killed session wrote beyond it.

    The kept lines go to a new file, by rename: a watcher sees by its inode that a new session began.
    """
    path = run / "metrics.jsonl"
    kept = [line for line in read_lines(path) if json.loads(line)["step"] <= step]
    with replacing(path) as temporary:
        temporary.write_text("".join(kept), encoding="utf-8")
    return Metrics(path.open("a", encoding="utf-8"))


def read_lines(path: Path) -> list[str]:
    """Read the whole lines of metrics.jsonl; a kill may have cut the last one."""
    if not path.exists():
        return []
    return [line for line in path.read_text(encoding="utf-8").splitlines(keepends=True) if line.endswith("\n")]


def last_loss(run: Path, split: str) -> float | None:
    """Return the newest loss of a split, or None when there is none."""
    losses = [line["loss"] for line in map(json.loads, read_lines(run / "metrics.jsonl")) if line["split"] == split]
    return losses[-1] if losses else None


def num_parameters(model: nn.Module) -> int:
    """Count the weights; tied ones count once."""
    return sum(p.numel() for p in model.parameters())


def flops_per_token(model: nn.Module, settings: Model, context: int) -> float:
    """Count multiplications and additions per trained token, forward and backward.

    6 per weight of a matrix product, and attention's 12 * layers * width * context
    (Chowdhery et al. 2022, appendix B). A tied matrix is used as product once, an untied embedding never.
    """
    unused = None if settings.tied else "embedding.weight"
    products = sum(p.numel() for name, p in model.named_parameters() if p.ndim >= 2 and name != unused)
    attention = 12 * settings.layers * settings.width * context if settings.kind == "transformer" else 0
    return 6.0 * products + attention


def utilisation(flops_per_s: float, device: torch.device, size: int) -> float | None:
    """Return the share of the devices' peak (MFU), or None where the peak is not known: no guess is made."""
    if device.type != "cuda":
        return None
    name = torch.cuda.get_device_name(device)
    peak = next((peak for part, peak in PEAK_FLOPS.items() if part in name), None)
    return None if peak is None else flops_per_s / (peak * size)
