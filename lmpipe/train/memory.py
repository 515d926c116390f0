"""Find how many rows fit into memory at once, with forward and backward passes before a long run.

Rows are doubled as long as the next doubling has room. On a GPU it is simply tried. A CPU gives no second chance,
too much ends in the kernel's killer; nor do processes that share one model, where the others would wait forever for
the one that ran out: there the growth of the last doubling foretells that of the next, and all processes agree.
"""

import logging
from collections.abc import Callable
from pathlib import Path

import torch

from lmpipe.errors import TrainingError
from lmpipe.train.metrics import peak_memory
from lmpipe.train.parallel import Ranks, sum_values
from lmpipe.train.session import Training

log = logging.getLogger(__name__)

SHARE = 0.8
"""Of free memory that may be taken: the rest is for the optimizer's moments and for other programs."""


def fit_micro_batch(training: Training, attempt: Callable[[int], object]) -> int | None:
    """Return the rows that a process takes through the model at once, or None for all of its share.

    `attempt(rows)` does forward and backward with so many rows. What the recipe says is not tried. A session that goes
    on tries again, on a machine that may have less room, but no more rows than the one before it took: more would
    change the sums. Raises TrainingError when not even one row fits.
    """
    settings, progress, ranks = training.run.settings, training.progress, training.ranks
    if settings.micro_batch is not None:
        return settings.micro_batch
    share, carried = -(-settings.batch // ranks.size), training.state
    most = min(share, progress.micro_batch or share)
    sizes = sorted({most, *(1 << n for n in range(most.bit_length()))})
    if ranks.device.type == "cuda" and not training.sharded:
        fits = try_on_gpu(sizes, attempt)
    else:
        fits = foretell(sizes, attempt, ranks)
    training.optimizer.clear()
    training.state = carried
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


def foretell(sizes: list[int], attempt: Callable[[int], object], ranks: Ranks) -> int:
    """Return the largest size whose growth is foretold to fit into free memory, in every process, or 0."""
    free = SHARE * free_memory(ranks.device)
    start, fits, growth = peak_memory(ranks.device), 0, 0
    for rows in sizes:
        foretold = growth * rows // fits if fits else 0
        if sum_values(torch.tensor([float(foretold > free)], device=ranks.device), ranks).item():
            break
        attempt(rows)
        growth, fits = peak_memory(ranks.device) - start, rows
    return fits


def free_memory(device: torch.device) -> int:
    """Return the bytes that may still be taken: of the GPU, of the machine (Linux), or of our control group where that
    has less."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0] + torch.cuda.memory_reserved(device)
    lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    machine = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    group = Path("/sys/fs/cgroup")
    limit, used = group / "memory.max", group / "memory.current"
    if limit.exists() and (most := limit.read_text(encoding="ascii").strip()) != "max":
        return min(machine, int(most) - int(used.read_text(encoding="ascii")))
    return machine
