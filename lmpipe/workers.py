"""Run units of work in this process, on a pool of worker processes, or on a cluster.

Workers are forked from a server process that has no threads and has imported what most stages need: a fork of
ourselves would inherit Prefect's signal handlers, open locks and threads, and a spawned Python would import it
all again at every stage (the demo up to its tokens with two workers, on a busy machine: 46 s, now 31). Each
worker watches for our death, so that a killed run leaves no orphan that goes on writing.
"""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context, parent_process
from multiprocessing.connection import wait
from typing import Any

from lmpipe.cluster import run_on_cluster
from lmpipe.errors import LmpipeError

PRELOADED = ("duckdb", "ftfy", "gigatoken", "numpy.typing", "pyarrow.compute", "pyarrow.parquet", "rjieba")
"""What the server imports once for all workers; nothing of it starts a thread."""

DIE_WITH_PARENT = """
import ctypes, os, signal, sys
libc = ctypes.CDLL(None)
if hasattr(libc, "prctl"):
    libc.prctl(1, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != int(sys.argv[1]):
        sys.exit(128 + signal.SIGTERM)
os.execv(sys.argv[2], sys.argv[2:])
"""
"""Asks for PR_SET_PDEATHSIG (Linux), then becomes another program. A program of 20 ms and not Popen's preexec_fn,
which runs Python between fork and exec and can deadlock when the caller has threads, as Prefect has."""


def run_units(
    function: Callable[[Any], Any], units: Sequence[Any], workers: int, cluster: str | None = None
) -> Iterator[Any]:
    """Yield function(unit) for every unit, in the order in which they finish; `cluster` is the address of one.

    Units always run in a main thread, here or in a worker process, so that a timer's signal can interrupt them.
    Raises LmpipeError when a worker process is killed from outside (for memory, most often).
    """
    alone = workers <= 1 or len(units) <= 1
    if alone and threading.current_thread() is threading.main_thread():
        yield from map(function, units)
        return
    if cluster is not None and not alone:
        yield from run_on_cluster(function, units, workers, cluster)
        return
    context = get_context("forkserver")
    context.set_forkserver_preload(list(PRELOADED))
    size = max(1, min(workers, len(units)))
    with ProcessPoolExecutor(size, mp_context=context, initializer=die_with_parent) as pool:
        futures = [pool.submit(function, unit) for unit in units]
        try:
            for future in as_completed(futures):
                yield future.result()
        except BrokenProcessPool as error:
            raise LmpipeError(
                "a worker process was killed, most often for lack of memory. Run the same command again with fewer"
                " workers: finished units are kept."
            ) from error
        finally:
            for future in futures:
                future.cancel()


def dying_with_us(command: Sequence[str]) -> list[str]:
    """Wrap a command line so that its process gets SIGTERM when this process dies, however it dies."""
    return [sys.executable, "-I", "-S", "-c", DIE_WITH_PARENT, str(os.getpid()), *command]


def die_with_parent() -> None:
    """Have this worker killed when the process that asked for it dies, however that dies.

    PR_SET_PDEATHSIG would not do: the kernel's parent of a worker is the server that forked it.
    """
    parent = parent_process()
    assert parent is not None, "a worker has a parent"
    threading.Thread(target=kill_after, args=(parent.sentinel,), daemon=True).start()


def kill_after(sentinel: int) -> None:
    """Wait for a process to end, then end this one at once."""
    wait([sentinel])
    os.kill(os.getpid(), signal.SIGKILL)
