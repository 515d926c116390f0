"""What a GPU can do, and how much of it a training uses.

    python -m tests.bench.gpu RUN

RUN is the directory of a prepared Transformer's training (`lmpipe pack` makes one that travels); nothing is written to
it. The ceilings are measured in the same call: a copy within the device's memory, counting bytes read and written, and
a product of two matrices of 8192 in bf16 on random numbers. Each variant of the training does steps of the very loop;
of those behind the first, in which it is compiled, the median counts. A line of JSON each.
"""

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from statistics import median

import torch

from lmpipe.settings import TrainSettings, TransformerSettings
from lmpipe.train import parallel
from lmpipe.train.loop import set_up_torch, train_step
from lmpipe.train.metrics import flops_per_token, num_parameters
from lmpipe.train.run import Run, load_run
from lmpipe.train.session import begin

COLD, WARM = 4, 16
"""Steps that do not count, and that do; of as many rows as the run's own."""

SIDE, COPIED = 8192, 1 << 32
"""Rows and columns of the matrices; bytes that are copied."""


def main(folder: Path) -> None:
    """Measure the ceilings, then every variant."""
    run = load_run(folder)
    peak = matrix_rate()
    ceilings = {"device": torch.cuda.get_device_name(), "torch": torch.__version__}
    print(json.dumps(ceilings | {"copy_tb_per_s": round(copy_rate() / 1e12, 2), "matrix_tflops": round(peak / 1e12)}))
    for name, settings in variants(run.settings).items():
        print(json.dumps({"variant": name} | measured(replace(run, settings=settings), peak)), flush=True)


def variants(settings: TrainSettings) -> dict[str, TrainSettings]:
    """List what is trained: the run itself, and what each of its choices costs."""
    assert isinstance(settings.model, TransformerSettings), "an LSTM is bound by its steps, not by products"
    plain = replace(settings, model=replace(settings.model, dropout=0.0))
    rows = settings.micro_batch or settings.batch
    large = replace(plain, batch=4 * rows, micro_batch=rows)
    return {
        "without dropout": plain,
        "and four times the rows a step, in four pieces": large,
        "and documents not kept apart": replace(large, model=replace(plain.model, document_mask=False)),
        "as the recipe says": settings,
    }


def measured(run: Run, peak: float) -> dict[str, float | None]:
    """Train some steps and say how fast they were; no mfu where the device's peak is not known."""
    ranks = parallel.connect()
    set_up_torch(run.settings.threads, ranks.device)
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    training = begin(run, ranks, lambda: None)
    training.micro_batch = run.settings.micro_batch
    pieces = run.settings.batch // (training.micro_batch or run.settings.batch)
    lines = [train_step(training)[0] for _ in range(COLD + WARM // pieces)][COLD:]
    tokens_per_s = median(line["tokens_per_s"] for line in lines)
    flops = tokens_per_s * flops_per_token(training.model, run.settings.model, run.settings.context)
    return {
        "parameters": num_parameters(training.model),
        "tokens_per_s": round(tokens_per_s),
        "mfu": None if lines[0]["mfu"] is None else round(median(line["mfu"] for line in lines), 4),
        "of_measured_matrix_rate": round(flops / peak, 3),
        "memory_gb": round(lines[-1]["memory"] / 1e9, 1),
        "loss": round(lines[-1]["loss"], 3),
    }


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
    return median(a.elapsed_time(b) for a, b in pairwise(events)) / 1e3


if __name__ == "__main__":
    main(Path(sys.argv[1]))
