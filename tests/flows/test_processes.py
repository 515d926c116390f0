"""Processes that outlive their command: found again, not confused with others, and stopped with all they started."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from flows import processes

SLEEP = [sys.executable, "-c", "import time; time.sleep(600)"]


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    processes.end(lambda: processes.marked(tmp_path), 0.0)


def begin(home: Path, command: list[str] = SLEEP) -> int:
    environment = os.environ | {processes.MARK: str(home)}
    return processes.start(home / "part.json", command, environment, home / "log")


def test_a_part_is_found_by_its_file_until_it_ends(home: Path) -> None:
    pid = begin(home)
    assert processes.find(home / "part.json") == pid
    os.kill(pid, signal.SIGKILL)
    assert processes.gone(lambda: [p for p in [processes.find(home / "part.json")] if p], 10)
    assert processes.find(home / "part.json") is None


def test_a_number_that_another_process_has_now_is_not_taken_for_the_part(home: Path) -> None:
    begin(home)
    body = json.loads((home / "part.json").read_text())
    (home / "part.json").write_text(json.dumps(body | {"started": body["started"] - 1}))
    assert processes.find(home / "part.json") is None


def test_children_of_a_killed_part_are_found_and_ended(home: Path) -> None:
    code = f"import subprocess, time; subprocess.Popen({SLEEP!r}); time.sleep(600)"
    pid = begin(home, [sys.executable, "-c", code])
    deadline = time.monotonic() + 20
    while len(processes.marked(home)) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    os.kill(pid, signal.SIGKILL)
    processes.gone(lambda: [p for p in processes.marked(home) if p == pid], 10)
    assert len(processes.marked(home)) == 1
    processes.end(lambda: processes.marked(home), 10)
    assert processes.marked(home) == {}


def test_who_ignores_sigterm_is_killed(home: Path) -> None:
    code = "import signal, time; signal.signal(15, signal.SIG_IGN); print('ready', flush=True); time.sleep(600)"
    begin(home, [sys.executable, "-c", code])
    while not (home / "log").exists() or "ready" not in (home / "log").read_text():
        time.sleep(0.05)
    processes.end(lambda: processes.marked(home), 0.3)
    assert processes.marked(home) == {}


def test_a_part_listens_to_sigint_though_its_starter_ignores_it(home: Path) -> None:
    """A shell's & gives its jobs SIGINT ignored; a Prefect worker that inherits that cannot be stopped."""
    code = (
        "import os, signal, sys; from pathlib import Path; from flows import processes\n"
        "signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        f"home = Path({str(home)!r})\n"
        "environment = os.environ | {processes.MARK: str(home)}\n"
        f"processes.start(home / 'part.json', {SLEEP!r}, environment, home / 'log')\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    pid = processes.find(home / "part.json")
    assert pid is not None
    deadline = time.monotonic() + 20
    while SLEEP[2] not in Path(f"/proc/{pid}/cmdline").read_text().split("\0") and time.monotonic() < deadline:
        time.sleep(0.05)
    ignored = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("SigIgn"))
    assert not int(ignored.split()[1], 16) >> (signal.SIGINT - 1) & 1
