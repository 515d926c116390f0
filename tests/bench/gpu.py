"""What a GPU can do, and how much of it a training uses.

    python -m lmpipe.train RUN && python -m tests.bench.gpu RUN

The ceilings are measured in the same call: a copy within the device's memory, counting bytes read and written, and a
product of two matrices of 8192 in bf16 on random numbers. Of the training, the median over its steps behind the first
twenty, in which it is compiled. The last line is one JSON object.
"""

import itertools
import json
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median

import torch

from lmpipe.train.metrics import flops_per_token, num_parameters
from lmpipe.train.model import build_model
from lmpipe.train.run import load_run

COLD = 20
"""Steps that do not count."""

SIDE, COPIED = 8192, 1 << 32
"""Rows and columns of the matrices; bytes that are copied."""


def main(folder: Path) -> None:
    """Measure the ceilings, read what the training wrote, and print both."""
    run = load_run(folder)
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    steps = [line for line in lines if line["split"] == "train"][COLD:]
    valid = [line["loss"] for line in lines if line["split"] == "valid"]
    with torch.device("meta"):
        model = build_model(run.settings.model, run.vocabulary)
    tokens_per_s, peak = median(line["tokens_per_s"] for line in steps), matrix_rate()
    found = {
        "device": torch.cuda.get_device_name(),
        "copy_tb_per_s": round(copy_rate() / 1e12, 2),
        "matrix_tflops": round(peak / 1e12),
        "parameters": num_parameters(model),
        "tokens_per_s": round(tokens_per_s),
        "mfu": round(median(line["mfu"] for line in steps), 3),
        "of_measured_matrix_rate": round(
            tokens_per_s * flops_per_token(model, run.settings.model, run.settings.context) / peak, 3
        ),
        "memory_gb": round(max(line["memory"] for line in steps) / 1e9, 1),
        "train_loss": round(steps[-1]["loss"], 3),
        "best_valid_loss": round(min(valid), 3),
    }
    print(json.dumps(found))


def copy_rate() -> float:
    """Bytes read and written a second."""
    source = torch.empty(COPIED, dtype=torch.uint8, device="cuda").random_()
    target = torch.empty_like(source)
    return 2 * COPIED / seconds(lambda: target.copy_(source))


def matrix_rate() -> float:
    """Multiplications and additions a second, dense, bf16."""
    a, b = (torch.randn(SIDE, SIDE, device="cuda", dtype=torch.bfloat16) for _ in range(2))
    return 2 * SIDE**3 / seconds(lambda: a @ b)


def seconds(work: Callable[[], object], times: int = 20) -> float:
    """Median of the device's own clock, after three rounds to warm up."""
    events = [torch.cuda.Event(enable_timing=True) for _ in range(times + 1)]
    for _ in range(3):
        work()
    for event in events[:-1]:
        event.record()
        work()
    events[-1].record()
    torch.cuda.synchronize()
    return median(a.elapsed_time(b) for a, b in itertools.pairwise(events)) / 1e3


if __name__ == "__main__":
    main(Path(sys.argv[1]))
