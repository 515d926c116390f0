"""metrics.jsonl: one line per step and one per validation, appended as training goes on; samples.jsonl beside it.

A line of a step:        step (done so far), epoch, split "train", loss (nats per token), lr, grad_norm,
                         tokens (seen so far), tokens_per_s, mfu, memory (peak bytes), eta (seconds), batch
                         (sha256 of the rows), time; loss and grad_norm are null where they were not finite
A line of a validation:  step, epoch, split "valid", loss, tokens, seconds, time

samples.jsonl holds a line per sample: step, ids, time.

Clocks and memory aside, a resumed run writes the very lines of an undisturbed one.
"""

import json
import os
import resource
import time
from dataclasses import dataclass
from io import TextIOWrapper
from pathlib import Path
from typing import Any, Self

import torch
from torch import nn

from lmpipe.settings import LstmSettings, Model, TransformerSettings
from lmpipe.storage import replacing

PEAK_FLOPS = {
    "A100": {"fp32": 156e12, "bf16": 312e12},
    "H100": {"fp32": 494.7e12, "bf16": 989.4e12},
    "H200": {"fp32": 494.7e12, "bf16": 989.4e12},
}
"""Dense peak of devices by a part of their name (NVIDIA data sheets): bf16, and TF32 for what is called fp32."""


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


def open_metrics(path: Path, step: int) -> Metrics:
    """Open metrics.jsonl or samples.jsonl to go on after `step`, without what a killed session wrote beyond it.

    The kept lines go to a new file, by rename: a watcher sees by its inode that a new session began.
    """
    kept = [line for line in read_lines(path) if json.loads(line)["step"] <= step]
    with replacing(path) as temporary:
        temporary.write_text("".join(kept), encoding="utf-8")
    return Metrics(path.open("a", encoding="utf-8"))


def read_lines(path: Path) -> list[str]:
    """Read the whole lines of a file of them; a kill may have cut the last one."""
    if not path.exists():
        return []
    return [line for line in path.read_text(encoding="utf-8").splitlines(keepends=True) if line.endswith("\n")]


def last_loss(run: Path, split: str) -> float | None:
    """Return the newest loss of a split, or None when there is none."""
    lines = [line for line in map(json.loads, read_lines(run / "metrics.jsonl")) if line["split"] == split]
    return lines[-1]["loss"] if lines else None


def num_parameters(model: nn.Module) -> int:
    """Count the weights; tied ones count once."""
    return sum(p.numel() for p in model.parameters())


def flops_per_token(model: nn.Module, settings: Model, context: int) -> float:
    """Count multiplications and additions per trained token, forward and backward.

    6 per weight of a matrix product, and attention's 12 * layers * width * context
    (Chowdhery et al. 2022, appendix B). A tied matrix is used as product once, an untied embedding never.
    """
    assert settings.kind != "ngram", "an n-gram model is counted, not trained in steps"
    products = sum(p.numel() for name, p in model.named_parameters() if p.ndim >= 2 and not is_table(name, settings))
    attention = 12 * settings.layers * settings.width * context if settings.kind == "transformer" else 0
    return 6.0 * products + attention


def is_table(name: str, settings: LstmSettings | TransformerSettings) -> bool:
    """Say whether a matrix is only looked up, never multiplied with."""
    tables = ("positions.weight", "value_embedding.weight", *(() if settings.tied else ("embedding.weight",)))
    return name.endswith(tables)


def utilisation(flops_per_s: float, device: torch.device, size: int, precision: str) -> float | None:
    """Return the share of the devices' peak (MFU), or None where the peak is not known: no guess is made."""
    if device.type != "cuda":
        return None
    name = torch.cuda.get_device_name(device)
    peak = next((peaks[precision] for part, peaks in PEAK_FLOPS.items() if part in name), None)
    return None if peak is None else flops_per_s / (peak * size)


def peak_memory(device: torch.device) -> int:
    """Return the most bytes that the training has held: of the GPU, or of this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
