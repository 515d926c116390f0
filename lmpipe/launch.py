"""Start a training process, watch it, and stop it with us; imports no torch.

The process stays in our process group, so that what stops a flow (Prefect sends SIGTERM to the group)
reaches it too, and asks the kernel for a SIGTERM should we be killed: an orphan would go on holding
the GPU. Its output goes to its own file, because a pipe to us would break with us and could kill it
before its checkpoint is written.
"""

import contextlib
import fcntl
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BufferedWriter
from pathlib import Path
from typing import Any

from lmpipe.errors import TrainingError
from lmpipe.train.run import load_run
from lmpipe.workers import dying_with_us

GRACE_SECONDS = 25.0
"""From SIGTERM to SIGKILL: Prefect itself kills the group after 30 s."""

POLL_SECONDS = 0.2
"""Between looks at metrics.jsonl."""

LOG_LINES = 20
"""Lines of train.log that an error shows."""

MALLOC = {"MALLOC_MMAP_THRESHOLD_": str(4 << 30), "MALLOC_TRIM_THRESHOLD_": str(8 << 30)}
"""Have glibc keep the large buffers of a step for the next one instead of asking the kernel for fresh pages: on 2 CPU
threads 21 % more tokens/s for the default LSTM, 9 % for the Transformer (best of 4 steps each, one quiet run)."""

OnMetric = Callable[[dict[str, Any]], None]
"""Called with each new line of metrics.jsonl, as a dict (lmpipe/train/metrics.py)."""


def start(run: Path, processes: int = 1, on_metric: OnMetric | None = None) -> dict[str, Any]:
    """Train a run directory in a process of its own, from its newest checkpoint, and return its result.json.

    Raises TrainingError when another launch is at work on the run, or the process ends without a result.
    """
    result = load_run(run).result
    if result is not None:
        return result
    with launch_lock(run), (run / "train.log").open("ab") as output:
        code = watch(run, command(run, processes), output, on_metric or ignore)
    result = load_run(run).result
    if code != 0 or result is None:
        raise TrainingError(explain(run, code))
    return result


def ignore(line: dict[str, Any]) -> None:
    """Take a metric and do nothing."""


def command(run: Path, processes: int) -> list[str]:
    """Build the command line of the training."""
    if processes == 1:
        return [sys.executable, "-m", "lmpipe.train", str(run)]
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    return [*torchrun, "-m", "lmpipe.train", str(run)]


def watch(run: Path, command: list[str], output: BufferedWriter, on_metric: OnMetric) -> int:
    """Run the command to its end, telling of each new metric; stop it when we are interrupted. Return its exit code."""
    tail = Tail(path=run / "metrics.jsonl", since=time.time())
    child = subprocess.Popen(
        dying_with_us(command), env=MALLOC | os.environ, stdin=subprocess.DEVNULL, stdout=output, stderr=output
    )
    try:
        code = None
        while code is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                code = child.wait(POLL_SECONDS)
            for line in tail.new_lines():
                on_metric(line)
        return code
    finally:
        stop(child)


def stop(child: subprocess.Popen[bytes]) -> None:
    """End the child if it still runs: SIGTERM, time to save a checkpoint, SIGKILL."""
    if child.poll() is not None:
        return
    child.terminate()
    try:
        child.wait(GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


@dataclass(slots=True, kw_only=True)
class Tail:
    """Reads metrics.jsonl as it grows."""

    path: Path
    since: float
    """Unix time; older lines belong to earlier sessions and are passed over."""
    inode: int | None = None
    offset: int = 0

    def new_lines(self) -> Iterator[dict[str, Any]]:
        """Yield the lines written since the last call. A new session replaces the file: then read from its start."""
        if not self.path.exists():
            return
        with self.path.open("rb") as file:
            inode = os.fstat(file.fileno()).st_ino
            if inode != self.inode:
                self.inode, self.offset = inode, 0
            file.seek(self.offset)
            for raw in file:
                if not raw.endswith(b"\n"):
                    break
                self.offset += len(raw)
                line = json.loads(raw)
                if line["time"] >= self.since:
                    yield line


@contextlib.contextmanager
def launch_lock(run: Path) -> Iterator[None]:
    """Refuse a second launch of a run. The trainer has a lock of its own, which outlives a killed launch."""
    with (run / ".launch.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise TrainingError(f"{run}: is being trained by another launch. Wait for it, or stop it.") from None
        yield


def explain(run: Path, code: int) -> str:
    """Say how the training ended, with the end of its log and what to do."""
    lines = (run / "train.log").read_text(encoding="utf-8", errors="replace").splitlines()[-LOG_LINES:]
    if lines and " ERROR " in lines[-1]:  # the one sentence of a mistake; a crash shows more
        lines = lines[-1:]
    how = f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
    if code == 143:
        how = "was stopped by SIGTERM and saved a checkpoint"
    return "\n".join(
        [
            f"{run.name}: the training {how}, without a result. The end of {run / 'train.log'}:",
            *(f"  {line}" for line in lines),
            "Mend what it says, then start the same run again: it goes on from its newest checkpoint.",
        ]
    )
