"""A real server and real workers: up, down, kill -9 of each part, a training that is cancelled, killed and resumed."""

import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any, ClassVar

import httpx
import pytest

from flows import processes
from flows.automations import ZOMBIE_SECONDS
from tests.conftest import ROOT
from tests.flows.test_pipeline import RECIPE
from tests.operation import Operation, running, wait

pytestmark = pytest.mark.slow

ENDLESS = RECIPE.replace("steps = 6\n", "steps = 1000000\n").replace("save_every = 3", "save_every = 1000000")
"""A training that ends only when it is stopped, and saves only then."""


PLANTED = "correct-horse-battery"
"""A secret that must be found nowhere."""


class Hook(BaseHTTPRequestHandler):
    """Keeps what is posted."""

    posted: ClassVar[list[str]] = []

    def do_POST(self) -> None:
        self.posted.append(self.rfile.read(int(self.headers["content-length"])).decode())
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def operation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operation]:
    receiver = HTTPServer(("127.0.0.1", 0), Hook)
    threading.Thread(target=receiver.serve_forever, daemon=True).start()
    folder = tmp_path_factory.mktemp("operation")
    hook = f"http://127.0.0.1:{receiver.server_port}/{PLANTED}"
    notices = "--webhook", hook, "--mail-to", "ops@example.org"
    try:
        with running(folder, ENDLESS, *notices, LMPIPE_SMTP=f"smtp://lmpipe:{PLANTED}@127.0.0.1:9") as made:
            yield made
    finally:
        receiver.shutdown()
        receiver.server_close()


def test_the_server_wants_its_password(operation: Operation) -> None:
    base = (operation.home / "up/url").read_text()
    assert base.startswith("http://127.0.0.1:")
    assert httpx.get(f"{base}/work_pools/gpu").status_code == 401
    assert operation.api("GET", "/work_pools/gpu")["concurrency_limit"] == 1


def test_schedules_make_runs(operation: Operation) -> None:
    """With SQLAlchemy 2.1 Prefect 3.8.8 makes none, and says so in the server's log alone."""
    wait(lambda: scheduled(operation) >= {"news-hourly", "news-daily", "train-weekly", "backup-nightly"}, 120)


def scheduled(operation: Operation) -> set[str]:
    """Names of the deployments that have runs to come."""
    names = {found["id"]: found["name"] for found in operation.api("POST", "/deployments/filter", limit=50)}
    runs = operation.api("POST", "/flow_runs/filter", flow_runs={"state": {"type": {"any_": ["SCHEDULED"]}}}, limit=200)
    return {names[run["deployment_id"]] for run in runs if run["auto_scheduled"]}


def test_a_backlog_of_overdue_runs_locks_nobody_out(operation: Operation) -> None:
    """Prefect marks them as late, all at once, and by itself finds its SQLite locked hundreds of times."""
    operation.api("PATCH", "/work_pools/cpu", concurrency_limit=0)
    runs = operation.schedule("ingest/wikipedia-monthly", 40)
    wait(lambda: all(operation.api("GET", f"/flow_runs/{run}")["state"]["name"] == "Late" for run in runs))
    for run in runs:
        operation.api("DELETE", f"/flow_runs/{run}")
    operation.api("PATCH", "/work_pools/cpu", concurrency_limit=None)
    assert "database is locked" not in (operation.home / "server.log").read_text(errors="replace")


def test_up_again_leaves_what_is_up_and_starts_what_was_killed(operation: Operation) -> None:
    server, cpu = operation.pid("server"), operation.pid("worker-cpu")
    operation.kill("worker-gpu")
    operation.lmpipe("up", "--port", "0")
    assert (operation.pid("server"), operation.pid("worker-cpu")) == (server, cpu)
    assert operation.pid("worker-gpu") is not None


def test_a_failed_run_is_posted_with_the_sentence_that_says_what_to_do(operation: Operation) -> None:
    run = operation.start("download/news-hourly")
    wait(lambda: operation.state(run) == "FAILED")
    wait(lambda: any("no source has a download table of kind feeds. Add one." in text for text in Hook.posted))


def test_a_worse_perplexity_is_posted(operation: Operation) -> None:
    code = (
        "import sys; from pathlib import Path; from flows import operate; operate.join(Path(sys.argv[1]))\n"
        "from flows.tidings import tell_of_worse\n"
        "tell_of_worse(Path('runs/tiny-lstm-2'), 'tiny-lstm-2 is worse: \"+0.1\" bits per byte')"
    )
    subprocess.run([sys.executable, "-c", code, str(operation.data)], cwd=ROOT, check=True)
    wait(lambda: '{"text": "tiny-lstm-2 is worse: \\"+0.1\\" bits per byte"}' in Hook.posted, 60)


def test_a_cancelled_training_saves_a_checkpoint_and_a_killed_flow_leaves_no_orphan(operation: Operation) -> None:
    run = operation.train()
    operation.api("POST", f"/flow_runs/{run}/set_state", state={"type": "CANCELLING"})
    wait(lambda: operation.state(run) == "CANCELLED")
    wait(lambda: not operation.training(), 40)
    saved = operation.saved()
    assert saved > 0

    run = operation.train()
    os.kill(operation.process(run), signal.SIGKILL)
    wait(lambda: operation.state(run) == "CRASHED", 60)
    wait(lambda: not operation.training(), 40)
    assert operation.saved() > saved  # it went on from the first, and saved before it ended
    (log,) = operation.data.glob("runs/tiny-lstm-*/train.log")
    assert "steps 1 to" in log.read_text()
    assert log.read_text().count("steps ") > 1


def test_the_end_of_worker_and_flow_together_is_found_at_the_next_up(operation: Operation) -> None:
    """As at a power cut: Prefect alone shows such a run as running for ever."""
    run = operation.train()
    operation.kill("worker-gpu")
    os.kill(operation.process(run), signal.SIGKILL)
    wait(lambda: not operation.training(), 40)
    assert operation.state(run) == "RUNNING"
    assert "closed" in operation.lmpipe("up", "--port", "0")
    assert operation.state(run) == "CRASHED"


@pytest.mark.parametrize("with_its_flow", [False, True], ids=["worker", "worker and flow"])
def test_a_run_without_a_sign_of_life_is_closed_by_the_server_and_the_next_one_goes_on(
    operation: Operation, with_its_flow: bool
) -> None:
    """Nobody looks, the server is up: without its automation the run would hold the one place of its pool for ever."""
    lost = operation.train()
    operation.kill("worker-gpu")
    if with_its_flow:
        os.kill(operation.process(lost), signal.SIGKILL)
    wait(lambda: operation.state(lost) == "CRASHED", 2 * ZOMBIE_SECONDS)
    wait(lambda: not operation.training(), 40)
    saved = operation.saved()
    assert saved > 0
    operation.lmpipe("up", "--port", "0")
    run = operation.train()
    (log,) = operation.data.glob("runs/tiny-lstm-*/train.log")
    assert f"steps {saved + 1} to" in log.read_text()
    operation.api("POST", f"/flow_runs/{run}/set_state", state={"type": "CANCELLING"})
    wait(lambda: operation.state(run) == "CANCELLED")


def test_a_training_goes_on_while_the_server_is_gone(operation: Operation) -> None:
    run = operation.train()
    (before,) = operation.training()
    operation.kill("server")
    operation.lmpipe("up")
    assert operation.training() == [before]
    assert operation.state(run) == "RUNNING"


def test_down_stops_everything_and_closes_the_runs(operation: Operation) -> None:
    saved = operation.saved()
    assert operation.training()  # of the test before
    operation.kill("worker-cpu")
    operation.lmpipe("down")
    assert processes.marked(operation.home) == {}
    assert operation.saved() > saved
    with sqlite3.connect(operation.home / "prefect.db") as database:
        left = database.execute("select name, state_type from flow_run where state_type in ('RUNNING', 'PENDING')")
        assert left.fetchall() == []
    assert "nothing" not in operation.lmpipe("down")  # again is no error


def test_secrets_are_in_no_file_and_the_password_only_in_its_own(operation: Operation) -> None:
    """Neither in logs, manifests and results, nor in the clear in Prefect's database."""
    secret = (operation.home / "auth").read_text().partition(":")[2]
    holders: dict[str, set[str]] = {PLANTED: set(), secret: set()}
    for path in operation.data.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            for planted, found in holders.items():
                if planted.encode() in content:
                    found.add(path.name)
    assert holders == {PLANTED: set(), secret: {"auth"}}
