"""Measure a machine's ceilings: what no stage can be faster than, so that each stage's distance from it is known.

Decompression and copying are of one core, as one worker's are; matrix products are of the whole machine or its first
GPU, as a training's are. Each figure is the best of some rounds: a ceiling is what a quiet moment allows.
"""

import bz2
import os
import platform
import random
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from lmpipe.warehouse import Benchmark

ROUNDS = 5
TEXT_BYTES = 4_000_000
"""Of text to decompress: a fifth of a second."""
COPY_BYTES = 256_000_000
"""Far more than any cache."""
SIDE = {"cpu": 1024, "cuda": 8192}
"""Rows and columns of the matrices: large enough for full speed, small enough for a second."""


def measure() -> list[Benchmark]:
    """Measure all three; rates in MB/s and GFLOP/s."""
    machine = {"name": os.uname().nodename, "processor": platform.machine(), "cores": os.cpu_count()}
    now = datetime.now(UTC)
    return [
        Benchmark(name=f"ceiling.{name}", value=value, unit=unit, measured=now, machine=machine)
        for name, value, unit in (
            ("decompression", decompression(), "MB/s"),
            ("memory_copy", memory_copy(), "MB/s"),
            ("matrix_rate", matrix_rate(), "GFLOP/s"),
        )
    ]


def decompression() -> float:
    """MB of bz2, compressed, a second: blocks of 900 kB as in Wikimedia's dumps; words frequent as in a language."""
    chance = random.Random(1)
    words = ["".join(chance.choices("etaoinshrdlu", k=chance.randint(1, 9))) for _ in range(20_000)]
    text = " ".join(chance.choices(words, [1 / rank for rank in range(1, 20_001)], k=TEXT_BYTES // 6))
    packed = bz2.compress(text.encode())
    return len(packed) / 1e6 / best(lambda: bz2.decompress(packed), time.process_time)


def memory_copy() -> float:
    """MB a second that one core copies from memory to memory."""
    import numpy as np

    source = np.ones(COPY_BYTES, np.uint8)
    target = np.empty_like(source)
    return COPY_BYTES / 1e6 / best(lambda: np.copyto(target, source), time.process_time)


def matrix_rate() -> float:
    """GFLOP a second of a product of float32 matrices (bfloat16 on a GPU, as trainings use there)."""
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    side = SIDE[device]
    kind = torch.bfloat16 if device == "cuda" else torch.float32
    factor = torch.ones(side, side, device=device, dtype=kind)

    def product() -> None:
        result = factor @ factor
        result[0, 0].item()  # waits for the GPU

    return 2 * side**3 / 1e9 / best(product, time.perf_counter)


def best(work: Callable[[], Any], clock: Callable[[], float]) -> float:
    """Seconds of the fastest round, of this thread's processor or by the wall."""
    times = []
    for _ in range(ROUNDS):
        started = clock()
        work()
        times.append(clock() - started)
    return min(times)
