"""Processes to be killed: `lmpipe run` in a session of its own, and a Prefect server that outlives it.

What is killed is chosen by what it does: the flow itself, the training below it, a worker process of a stage's pool,
or the server.
"""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from flows.processes import tell
from flows.server import QUIET, free_port, server_command, wait_until_healthy
from lmpipe.workers import dying_with_us
from tests.conftest import ROOT

Victim = Literal["flow", "worker", "training", "server"]

AGE: dict[Victim, float] = {"flow": 0.0, "worker": 0.3, "training": 5.0, "server": 0.0}
"""Seconds for which a process of a kind lives, about, if it has to be waited for: it is killed at any age."""

PATIENCE = 600.0
"""Seconds after which a run is taken to hang: some fifty times what it needs."""

ORPHAN_SECONDS = 40.0
"""A training whose launcher was killed saves its checkpoint, and has 25 s for it."""

HUNG = -1
"""Code of a command that did not end, or left processes behind."""

POLL_SECONDS = 0.05
"""Between two looks at all processes, which take some 3 ms."""


@dataclass(frozen=True, slots=True)
class Done:
    """How a command ended."""

    code: int
    said: str
    """Its error, else its last line."""
    clear: bool
    """Whether it ended with one sentence of ours and no traceback."""


@dataclass(slots=True)
class Command:
    """A command that runs in a session of its own."""

    process: subprocess.Popen[bytes]
    log: Path
    began: float = field(default_factory=time.monotonic)

    @property
    def alive(self) -> bool:
        """Say whether it still runs."""
        return self.process.poll() is None

    def finish(self) -> Done:
        """Wait for its end and for that of all that it started; what hangs or stays is killed and told of."""
        try:
            code = self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            tell(session(self.process.pid), signal.SIGKILL)
            return Done(HUNG, f"hung for {PATIENCE:g} s", False)
        if left := orphans(self.process.pid):
            return Done(HUNG, f"left {left} processes behind", False)
        lines = self.log.read_text(errors="replace").replace("\r", "\n").splitlines()
        errors = [line for line in lines if line.startswith("error: ")]
        clear = code == 1 and len(errors) == 1 and not any(line.startswith("Traceback") for line in lines)
        return Done(code, [*lines, *errors][-1] if lines else "", clear)

    def find(self, victim: Victim) -> int | None:
        """Find a living process of a kind in its session."""
        return next((pid for pid in session(self.process.pid) if self.is_victim(pid, victim)), None)

    def is_victim(self, pid: int, victim: Victim) -> bool:
        """Say whether a process is of a kind; workers are what the pool's server has forked."""
        if victim == "flow":
            return pid == self.process.pid
        if victim == "training":
            return "lmpipe.train" in command_line(pid)
        return all("forkserver" in command_line(each) for each in (pid, parent_of(pid)))


def begin(arguments: Sequence[str], environment: dict[str, str], log: Path) -> Command:
    """Start Python in a session of its own; no setting of Prefect but those of `environment` is left to it."""
    ours = {key: value for key, value in os.environ.items() if not key.startswith("PREFECT_")}
    with log.open("wb") as output:
        process = subprocess.Popen(
            dying_with_us([sys.executable, *arguments]),
            cwd=ROOT,
            env=ours | QUIET | environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    return Command(process, log)


class Server:
    """A Prefect server at an address that stays its own, however often it is killed."""

    def __init__(self, home: Path) -> None:
        home.mkdir(parents=True)
        self.home, self.port = home, free_port(0)
        self.url = f"http://127.0.0.1:{self.port}/api"
        self.start()

    def start(self) -> None:
        """Start it and wait until it answers."""
        arguments = server_command("127.0.0.1", self.port)[1:]
        self.command = begin(arguments, {"PREFECT_HOME": str(self.home)}, self.home / "server.log")
        wait_until_healthy(lambda: self.command.alive, self.url, self.home)

    def kill(self) -> None:
        """Kill it with -9, and its child that listens."""
        tell(session(self.command.process.pid), signal.SIGKILL)
        self.command.process.wait()

    def lose_database(self) -> None:
        """Have it killed, and forget all that it knew."""
        self.kill()
        for path in self.home.glob("prefect.db*"):
            path.unlink()
        self.start()


def kill_one(command: Command, victim: Victim, server: Server, after: float, chance: random.Random) -> bool:
    """Kill a process of a kind some seconds after the start, or the next one that appears; say whether one was."""
    while command.alive and time.monotonic() < command.began + after:
        time.sleep(POLL_SECONDS)
    while command.alive:
        if victim == "server":
            server.kill()
            return True
        if command.find(victim) is not None:
            time.sleep(chance.uniform(0, AGE[victim]))
            if (pid := command.find(victim)) is not None:
                tell([pid], signal.SIGKILL)
                return True
        time.sleep(POLL_SECONDS)
    return False


def session(leader: int) -> list[int]:
    """List the living processes of a session."""
    return [pid for pid in map(int, (p.name for p in Path("/proc").glob("[0-9]*"))) if belongs(pid, leader)]


def belongs(pid: int, leader: int) -> bool:
    """Say whether a process lives and is of a session."""
    fields = status(pid)
    return fields[:1] not in ([], ["Z"], ["X"]) and int(fields[3]) == leader


def parent_of(pid: int) -> int:
    """Read a process's parent, 0 where it has ended."""
    return int([*status(pid), "0", "0"][1])


def status(pid: int) -> list[str]:
    """Read state, parent, group, session and so on of a process (proc(5)); nothing where it has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def command_line(pid: int) -> str:
    """Read a process's command line; empty where it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return ""


def orphans(leader: int) -> int:
    """Wait until all of a session have ended; kill and count those that have not in time."""
    deadline = time.monotonic() + ORPHAN_SECONDS
    while (left := session(leader)) and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
    tell(left, signal.SIGKILL)
    return len(left)
