"""An operation to try things on: `lmpipe up` in a folder of its own, its processes, and its server's API."""

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

from flows import processes
from tests.conftest import ROOT
from tests.flows.test_pipeline import WORDS
from tests.road import walk

PATIENCE = 240.0
"""Seconds; a busy machine takes long to start a run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """A folder of data with its server, workers and deployments."""

    data: Path
    recipe: Path
    environment: dict[str, str] = field(default_factory=dict)
    """Variables besides our own for each command."""

    @property
    def home(self) -> Path:
        return self.data / ".prefect"

    def lmpipe(self, *arguments: str) -> str:
        command = [sys.executable, "-m", "lmpipe.cli", *arguments, "--data", str(self.data)]
        environment = {key: value for key, value in os.environ.items() if not key.startswith("PREFECT_")}
        environment |= self.environment
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def end(self) -> None:
        """Leave no process behind, whatever state they are in."""
        processes.end(lambda: processes.marked(self.home), 5)

    def pid(self, part: str) -> int | None:
        return processes.find(self.home / f"up/{part}.json")

    def kill(self, part: str) -> None:
        pid = self.pid(part)
        assert pid is not None
        os.kill(pid, signal.SIGKILL)

    def api(self, method: str, path: str, **body: Any) -> Any:
        """Ask the server, with its password and a token against forged requests."""
        base, password = (self.home / "up/url").read_text(), (self.home / "auth").read_text()
        user, _, secret = password.partition(":")
        with httpx.Client(base_url=base, auth=(user, secret), timeout=300) as client:
            token = client.get("/csrf-token", params={"client": "test"}).json()["token"]
            headers = {"Prefect-Csrf-Token": token, "Prefect-Csrf-Client": "test"}
            answer = client.request(method, path, json=body or None, headers=headers)
            while answer.status_code == httpx.codes.SERVICE_UNAVAILABLE:  # locked SQLite; Prefect's client asks again
                time.sleep(1)
                answer = client.request(method, path, json=body or None, headers=headers)
            assert answer.status_code < 300, answer.text
            return answer.json() if answer.content else None

    def deployment(self, name: str) -> str:
        """Find the id of a deployment."""
        return str(self.api("GET", f"/deployments/name/{name}")["id"])

    def start(self, deployment: str, **parameters: str | None) -> str:
        found = self.deployment(deployment)
        return str(self.api("POST", f"/deployments/{found}/create_flow_run", parameters=parameters)["id"])

    def schedule(self, deployment: str, runs: int, **parameters: str | None) -> list[str]:
        """Ask for runs that are due now; return their ids."""
        due = {"type": "SCHEDULED", "state_details": {"scheduled_time": datetime.now(UTC).isoformat()}}
        path = f"/deployments/{self.deployment(deployment)}/create_flow_run"
        return [str(self.api("POST", path, parameters=parameters, state=due)["id"]) for _ in range(runs)]

    def state(self, run: str) -> str:
        return str(self.api("GET", f"/flow_runs/{run}")["state"]["type"])

    def process(self, run: str) -> int:
        """The process of a flow run, which has a session of its own."""
        mine = [p for p, e in processes.marked(self.home).items() if e.get("PREFECT__FLOW_RUN_ID") == run]
        (leader,) = [pid for pid in mine if processes.session_of(pid) == pid]
        return leader

    def training(self) -> list[int]:
        """Processes that train."""
        found = []
        for pid in processes.marked(self.home):
            line = Path(f"/proc/{pid}/cmdline").read_bytes() if Path(f"/proc/{pid}").exists() else b""
            if b"lmpipe.train" in line:
                found.append(pid)
        return found

    def train(self) -> str:
        """Start a training in the pool gpu and wait until it makes steps; return the id of its flow run."""
        tokens = walk(self.recipe, self.data, 1)[-1].folder
        for old in self.data.glob("runs/*/metrics.jsonl"):
            old.unlink()
        run = self.start("train/gpu", tokens=str(tokens), name="lstm")
        wait(lambda: any(path.stat().st_size for path in self.data.glob("runs/*/metrics.jsonl")))
        return run

    def saved(self) -> int:
        """The step of the newest checkpoint, 0 without any."""
        folders = self.data.glob("runs/tiny-lstm-*/checkpoints/step-*")
        return max((int(folder.name.removeprefix("step-")) for folder in folders), default=0)


def begin(folder: Path, recipe: str, **environment: str) -> Operation:
    """Write a recipe and its text into a folder; nothing is started."""
    lines = [f"On the quay {' '.join(random.Random(n).sample(WORDS, 30))} and that was all." for n in range(120)]
    (folder / "notes.txt").write_text("\n".join(lines))
    (folder / "tiny.toml").write_text(recipe)
    return Operation(data=folder / "data", recipe=folder / "tiny.toml", environment=environment)


@contextlib.contextmanager
def running(folder: Path, recipe: str, *deploy: str, **environment: str) -> Iterator[Operation]:
    """Begin, start all parts and deploy the recipe; leave nothing behind."""
    made = begin(folder, recipe, **environment)
    try:
        made.lmpipe("up", "--port", "0")
        made.lmpipe("deploy", str(made.recipe), *deploy)
        yield made
    finally:
        made.end()


def wait(condition: Callable[[], object], patience: float = PATIENCE) -> None:
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.3)
