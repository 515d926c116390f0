"""Find how many rows fit into memory at once, with forward and backward passes before a long run.

Rows are doubled as long as the next doubling has room. A CPU gives no second chance, too much ends in the
kernel's killer: there the growth of the last doubling foretells that of the next. On a GPU it is simply tried.
"""

import logging
import resource
from collections.abc import Callable
from pathlib import Path

import torch

from lmpipe.errors import TrainingError
from lmpipe.train.session import Training

log = logging.getLogger(__name__)

SHARE = 0.8
"""Of free memory that may be taken: the rest is for the optimizer's moments and for other programs."""


def fit_micro_batch(training: Training, attempt: Callable[[int], object]) -> int | None:
    """Return the rows that a process takes through the model at once, or None for all of its share.

    `attempt(rows)` does forward and backward with so many rows. What the recipe says, and what an earlier session
    found, is not tried again. Raises TrainingError when not even one row fits.
    """
    settings, progress, ranks = training.run.settings, training.progress, training.ranks
    if settings.micro_batch is not None or progress.step:
        return settings.micro_batch or progress.micro_batch
    share = -(-settings.batch // ranks.size)
    sizes = sorted({share, *(1 << n for n in range(share.bit_length()))})
    fits = try_on_gpu(sizes, attempt) if ranks.device.type == "cuda" else try_on_cpu(sizes, attempt, free_memory())
    training.optimizer.clear()
    training.state = None
    if not fits:
        raise TrainingError(
            f"{training.run.folder}: expected room for one row of {settings.context} tokens, found none."
            " Shorten context, take a smaller model, or set recompute = true."
        )
    if fits == share:
        return None
    log.info("a step's %d rows do not fit into memory at once: they go %d at a time, and gradients add up", share, fits)
    progress.micro_batch = fits
    return fits


def try_on_gpu(sizes: list[int], attempt: Callable[[int], object]) -> int:
    """Return the largest size that does not run out of the GPU's memory, or 0."""
    fits = 0
    for rows in sizes:
        try:
            attempt(rows)
        except torch.OutOfMemoryError:
            torch.cuda.empty_cache()
            break
        fits = rows
    return fits


def try_on_cpu(sizes: list[int], attempt: Callable[[int], object], free: int) -> int:
    """Return the largest size whose growth of the process is foretold to fit into `free` bytes, or 0."""
    start, fits, growth = peak_rss(), 0, 0
    for rows in sizes:
        foretold = growth * rows // fits if fits else 0
        if foretold > SHARE * free:
            break
        attempt(rows)
        growth, fits = peak_rss() - start, rows
    return fits


def peak_rss() -> int:
    """Return the most bytes that this process has ever held in memory."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def free_memory() -> int:
    """Return the bytes that may still be taken: of the machine (Linux), or of our control group where it has less."""
    lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    machine = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    group = Path("/sys/fs/cgroup")
    limit, used = group / "memory.max", group / "memory.current"
    if limit.exists() and (most := limit.read_text(encoding="ascii").strip()) != "max":
        return min(machine, int(most) - int(used.read_text(encoding="ascii")))
    return machine
