"""Run units of work in this process or on a pool of spawned processes.

Spawn, not fork: a forked child would inherit Prefect's signal handlers, open locks and threads.
Each worker asks the kernel to be killed with its parent (PR_SET_PDEATHSIG), so that a killed run
leaves no orphan that goes on writing.
"""

import ctypes
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import Any

from lmpipe.errors import LmpipeError

PR_SET_PDEATHSIG = 1
"""prctl(2): the signal to receive when the parent dies."""

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


def run_units(function: Callable[[Any], Any], units: Sequence[Any], workers: int) -> Iterator[Any]:
    """Yield function(unit) for every unit, in the order in which they finish.

    Units always run in a main thread, here or in a worker process, so that a timer's signal can interrupt them.
    Raises LmpipeError when a worker process is killed from outside (for memory, most often).
    """
    alone = workers <= 1 or len(units) <= 1
    if alone and threading.current_thread() is threading.main_thread():
        yield from map(function, units)
        return
    context = get_context("spawn")
    with ProcessPoolExecutor(
        max(1, min(workers, len(units))), mp_context=context, initializer=die_with, initargs=(os.getpid(),)
    ) as pool:
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


def die_with(parent: int) -> None:
    """Have the kernel kill this process when `parent` dies (Linux; elsewhere orphans end with their pipe)."""
    if hasattr(ctypes.CDLL(None), "prctl"):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            os.kill(os.getpid(), signal.SIGKILL)
