"""Run units of work on a Ray cluster; the same units give the same bytes there as on this machine's processes.

    ray start --head                            # on one machine; on the others: ray start --address=HEAD:6379
    LMPIPE_RAY=HEAD:6379 lmpipe run RECIPE --data DATA --workers 64     # on any of them

Only paths and settings travel: the nodes must have the same lmpipe installed and see the same files under the same
paths. Ray runs a unit again whose node or process is lost; units write by rename, so that a second run of one, even
beside a first that was only cut off, changes nothing.
"""

import logging
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Any

from lmpipe.errors import LmpipeError

RETRIES = 5
"""How often a unit is run again whose process was lost: after six it is the unit, for its memory, and not the nodes."""
CONNECTING = threading.Lock()
"""Prefect runs tasks in threads, and a process has one connection."""


def run_on_cluster(function: Callable[[Any], Any], units: Sequence[Any], workers: int, address: str) -> Iterator[Any]:
    """Yield function(unit) for every unit in the order in which they finish, `workers` at a time on a core each.

    Raises what a unit raises, and LmpipeError when there is no cluster or it cannot finish a unit.
    """
    ray = connected(address)
    remote = ray.remote(num_cpus=1, max_retries=RETRIES)(run_there)
    tasks = (remote.remote(str(Path.cwd()), function, unit) for unit in units)
    running = list(islice(tasks, workers))
    try:
        while running:
            (done,), running = ray.wait(running)
            yield outcome(ray, done)
            running += islice(tasks, 1)
    finally:
        for task in running:
            ray.cancel(task)
        if running:
            ray.wait(running, num_returns=len(running))  # the folder's lock is ours until nobody writes there


def run_there(folder: str, function: Callable[[Any], Any], unit: Any) -> Any:
    """Run a unit on a node, from the folder in which the command was started: its paths may be relative."""
    try:
        os.chdir(folder)
    except FileNotFoundError:
        raise LmpipeError(
            f"{os.uname().nodename}: expected the folder {folder}, found none. All nodes of a cluster must see the same"
            " files under the same paths."
        ) from None
    return function(unit)


def outcome(ray: Any, task: Any) -> Any:
    """Return what a finished task returned; raise its own exception as if it had run here."""
    try:
        return ray.get(task)
    except ray.exceptions.RayError as error:
        cause = error.cause if isinstance(error, ray.exceptions.RayTaskError) else error
        if not isinstance(cause, ray.exceptions.RayError):
            raise cause from error
        raise LmpipeError(
            f"Ray could not finish a unit: {str(cause).splitlines()[0]} Look at the nodes, whether they have the memory"
            " and the same lmpipe installed, and run the same command again: finished units are kept."
        ) from error


def connected(address: str) -> Any:
    """Return Ray, connected to the cluster at `address` ("auto": the one that runs on this machine)."""
    try:
        ray = import_module("ray")
    except ImportError as error:
        raise LmpipeError(f"LMPIPE_RAY needs Ray ({error}). Install it: pip install 'lmpipe[ray]'.") from error
    with CONNECTING:
        if not ray.is_initialized():
            stopped_by = signal.getsignal(signal.SIGTERM)
            join(ray, address)
            if threading.current_thread() is threading.main_thread():
                signal.signal(signal.SIGTERM, stopped_by)  # Ray has put its own in place
    return ray


def join(ray: Any, address: str) -> None:
    """Connect Ray; raises LmpipeError where no cluster is."""
    try:
        if address != "auto":
            host, _, port = address.rpartition(":")
            socket.create_connection((host, int(port)), timeout=5).close()  # Ray itself tries for two minutes
        ray.init(address=address, logging_level=logging.ERROR)
    except (OSError, ValueError) as error:
        raise LmpipeError(
            f"LMPIPE_RAY={address}: expected auto or the HOST:PORT of a Ray cluster, found none there ({error})."
            " Make this machine one of its nodes with `ray start`, or unset LMPIPE_RAY."
        ) from error
