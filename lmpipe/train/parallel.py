"""One process or many: who we are, and sums over all of us.

Losses and gradients are sums, never averages of averages, so that any number of processes computes the
same step up to float rounding. Gradients travel as one flat buffer: for models of this size a single
all-reduce costs less than the bookkeeping that would overlap several.
"""

import ctypes
import os
import signal
from collections.abc import Iterable
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn

from lmpipe.errors import TrainingError


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranks:
    """This process among all that train the run."""

    rank: int
    size: int
    device: torch.device
    local: int = 0
    """Its number among the processes of this machine."""

    @property
    def first(self) -> bool:
        """Say whether this is the process that writes files."""
        return self.rank == 0

    @property
    def first_here(self) -> bool:
        """Say whether this is the process that looks at the files of its machine."""
        return self.local == 0


def connect() -> Ranks:
    """Join the other processes, as torchrun's environment names them; without it, train alone."""
    rank, size = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    local = int(os.environ.get("LOCAL_RANK", "0"))
    device = torch.device("cpu")
    if torch.cuda.is_available():
        device = torch.device("cuda", local)
        torch.cuda.set_device(device)
    if size > 1:
        stop_with_parent()
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    return Ranks(rank=rank, size=size, device=device, local=local)


def stop_with_parent() -> None:
    """Ask the kernel for a SIGTERM when torchrun dies: killed with -9, it leaves processes that hold the GPUs."""
    libc = ctypes.CDLL(None)
    if hasattr(libc, "prctl"):  # Linux; 1 is PR_SET_PDEATHSIG
        libc.prctl(1, signal.SIGTERM, 0, 0, 0)


def disconnect(ranks: Ranks) -> None:
    """Leave the group in order; without it torch warns of leaked resources."""
    if ranks.size > 1:
        dist.destroy_process_group()


def my_rows(rows: Tensor, ranks: Ranks) -> Tensor:
    """Take this process's slice of a global batch.

    Raises TrainingError when there are more processes than rows.
    """
    if len(rows) < ranks.size:
        raise TrainingError(f"{ranks.size} processes cannot share {len(rows)} rows. Start fewer, or raise batch.")
    return rows.tensor_split(ranks.size)[ranks.rank]


def sum_values(values: Tensor, ranks: Ranks) -> Tensor:
    """Sum a small tensor over all processes, which send it from their devices."""
    if ranks.size == 1:
        return values
    total = values.to(ranks.device)
    dist.all_reduce(total)
    return total


def gather_numbers(mine: int, ranks: Ranks) -> list[int]:
    """List one whole number of every process, in the order of their ranks."""
    numbers = torch.zeros(ranks.size, dtype=torch.int64, device=ranks.device)
    numbers[ranks.rank] = mine
    return [int(number) for number in sum_values(numbers, ranks)]


def gather_rows(mine: Tensor, rows: int, ranks: Ranks) -> Tensor:
    """Put the rows of all processes together, in the order in which `my_rows` dealt them out."""
    if ranks.size == 1:
        return mine
    places = torch.arange(rows, device=mine.device).tensor_split(ranks.size)[ranks.rank]
    whole = mine.new_zeros(rows, *mine.shape[1:]).index_copy_(0, places, mine)
    dist.all_reduce(whole)
    return whole


def first_says(value: float, ranks: Ranks) -> float:
    """Take a number from the first process, so that all decide alike."""
    shared = torch.tensor([value if ranks.first else 0.0], dtype=torch.float64, device=ranks.device)
    return float(sum_values(shared, ranks))


def sum_gradients(parameters: Iterable[nn.Parameter], ranks: Ranks) -> None:
    """Replace each gradient by its sum over all processes."""
    if ranks.size == 1:
        return
    grads = [p.grad for p in parameters if p.grad is not None]
    flat = torch.cat([grad.flatten() for grad in grads])
    dist.all_reduce(flat)
    totals = torch.split(flat, [grad.numel() for grad in grads])
    for grad, total in zip(grads, totals, strict=True):
        grad.copy_(total.view_as(grad))


def wait_for_all(ranks: Ranks) -> None:
    """Wait until every process is here."""
    if ranks.size > 1:
        dist.barrier()
