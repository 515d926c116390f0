"""Processes that outlive the command that started them: started detached, found again, stopped with all they started.

A part's file holds its process id and the kernel's time of its start, so that a number which the kernel has given to
another process since is not taken for it. All that a part starts inherits MARK in its environment: by that even a
flow run whose worker was killed with -9 is found.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from lmpipe.storage import write_json

MARK = "LMPIPE_UP"
"""Variable in the environment of every process of ours; its value is the folder of its operation."""

POLL_SECONDS = 0.2
"""Between two looks whether processes are gone."""

DETACHED = """
import os, signal, sys
log = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
pid = os.fork()
if pid:
    print(pid)
    sys.exit()
os.setsid()
os.dup2(log, 1)
os.dup2(log, 2)
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, signal.SIG_DFL)
os.execv(sys.argv[2], sys.argv[2:])
"""
"""Becomes a child of nobody, so that who starts it need not wait for it, and undoes what a shell's & does: its jobs
ignore SIGINT, children inherit that, and a Prefect worker, whose SIGTERM handler sends itself SIGINT, could then not
be stopped."""


def start(file: Path, command: Sequence[str], environment: Mapping[str, str], log: Path) -> int:
    """Start a part in a session of its own, its output in `log`; write `file`, by which it is found again."""
    detached = [sys.executable, "-I", "-S", "-c", DETACHED, str(log), *command]
    with Path(os.devnull).open("rb") as nothing:
        pid = int(subprocess.check_output(detached, env=environment, stdin=nothing))
    write_json(file, {"pid": pid, "started": start_time(pid)})
    return pid


def find(file: Path) -> int | None:
    """Return the id of a part's process, or None where it has ended."""
    try:
        body = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    pid: int = body["pid"]
    return pid if body["started"] is not None and start_time(pid) == body["started"] else None


def session(file: Path, home: Path) -> list[int]:
    """List the living processes of a part and of what stayed in its session, though the part itself was killed."""
    if not file.exists():
        return []
    leader = json.loads(file.read_text(encoding="utf-8"))["pid"]
    return [pid for pid in marked(home) if session_of(pid) == leader]


def session_of(pid: int) -> int | None:
    """Return the session of a process, or None where it has ended."""
    try:
        return os.getsid(pid)
    except ProcessLookupError:
        return None


def start_time(pid: int) -> int | None:
    """Read when a process started, in clock ticks since boot (proc(5), field 22); None where it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return int(fields[19]) if fields[0] not in ("Z", "X") else None


def marked(home: Path) -> dict[int, dict[str, str]]:
    """Find all living processes of an operation: their ids, with their environments."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            raw = (folder / "environ").read_bytes()
        except (FileNotFoundError, ProcessLookupError, PermissionError):  # gone since, or another user's
            continue
        environment = dict(pair.split("=", 1) for pair in os.fsdecode(raw).split("\0") if "=" in pair)
        pid = int(folder.name)
        if environment.get(MARK) == str(home) and pid != os.getpid() and start_time(pid) is not None:
            found[pid] = environment
    return found


def end(pids: Callable[[], Iterable[int]], grace: float) -> None:
    """Send SIGTERM to processes, and SIGKILL to those that are still there after `grace` seconds."""
    tell(pids(), signal.SIGTERM)
    if not gone(pids, grace):
        tell(pids(), signal.SIGKILL)
        gone(pids, grace)


def tell(pids: Iterable[int], number: signal.Signals) -> None:
    """Send a signal to processes; one that has ended meanwhile needs none."""
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue


def gone(pids: Callable[[], Iterable[int]], patience: float) -> bool:
    """Wait until no process is left."""
    deadline = time.monotonic() + patience
    while any(True for _ in pids()):
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True
