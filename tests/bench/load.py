"""make bench-load: a thousand scheduled runs of a recipe that is built, eight at a time, while others read the results.

make bench-load RUNS=1000 DATABASE=postgres
A real operation (`lmpipe up`, `lmpipe deploy`): server, workers, and the deployment of the flow `ingest`, all of whose
runs are due at once. Each finds its dataset, so that it costs a start of Python, some four tasks and five transactions
of the warehouse. Four readers ask the published copy all the while. Memory and file handles of server, worker and
readers are sampled; flat is what the last fifth of the samples shows against the first. What a run costs is told too.
The server keeps its runs in SQLite, or in a PostgreSQL that is started for it.
"""

import contextlib
import shutil
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

from flows import processes
from lmpipe import warehouse
from lmpipe.cli.tables import print_rows
from tests.bench.harness import finish
from tests.flows.test_pipeline import RECIPE
from tests.operation import Operation, begin, wait
from tests.postgres import postgres

AT_ONCE, READERS = 8, 4

DEPLOYMENT = "ingest/wikipedia-monthly"
"""Deployed with the limit of one at a time, which is lifted here: the pool's is in its place."""

PAUSE_SECONDS = 0.5
"""Between two questions of a reader, and of ours to the server."""

SAMPLE_SECONDS = 5.0

STUCK_SECONDS = 900.0
"""Without a run that ends, the operation hangs."""

PAGE = 200
"""Flow runs that the server gives at once."""

FINAL = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")


@dataclass(frozen=True, slots=True)
class Reader:
    """A process that asks for results again and again."""

    process: BaseProcess
    answers: Connection


def read(folder: Path, stopped: Event, answers: Connection) -> None:
    """Count the flow runs of the published copy until stopped; tell how often, and how often they had become fewer."""
    questions, fewer, last = 0, 0, 0
    while not stopped.wait(PAUSE_SECONDS):
        (row,) = warehouse.query(folder, "select count(*) as runs from flow_runs").to_pylist()
        questions, fewer, last = questions + 1, fewer + (row["runs"] < last), row["runs"]
        if questions == 1:
            answers.send("I have begun")
    answers.send((questions, fewer))


def start_readers(folder: Path, stopped: Event) -> list[Reader]:
    """Start the processes that read, and wait for the first answer of each: before it they only grow."""
    readers, context = [], get_context("spawn")
    for _ in range(READERS):
        ours, theirs = context.Pipe()
        process = context.Process(target=read, args=(folder, stopped, theirs), daemon=True)
        process.start()
        readers.append(Reader(process, ours))
    for reader in readers:
        reader.answers.recv()
    return readers


def footprint(pids: Iterable[int]) -> tuple[float, int]:
    """Sum resident memory in MB, and open files, of processes."""
    memory, handles = 0.0, 0
    for pid in pids:
        fields = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
        memory += int(fields["VmRSS"].split()[0]) / 1024
        handles += sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())
    return memory, handles


def measure(parts: dict[str, Callable[[], Iterable[int]]]) -> dict[str, float]:
    """Take one sample of every part."""
    sample: dict[str, float] = {}
    for part, pids in parts.items():
        sample[f"{part} MB"], sample[f"{part} handles"] = footprint(pids())
    return sample


def fifths(samples: list[dict[str, float]]) -> list[dict[str, Any]]:
    """Compare the first fifth of the samples with the last, by median."""
    fifth = max(1, len(samples) // 5)
    rows = []
    for what in samples[0]:
        first, last = (statistics.median(s[what] for s in part) for part in (samples[:fifth], samples[-fifth:]))
        rows.append({"what": what, "first fifth": round(first, 1), "last fifth": round(last, 1), "ratio": last / first})
    return rows


def num_ended(operation: Operation, deployment: str) -> int:
    """Count the runs that have come to an end."""
    states = {"state": {"type": {"any_": list(FINAL)}}}
    of_it = {"id": {"any_": [deployment]}}
    return int(operation.api("POST", "/flow_runs/count", flow_runs=states, deployments=of_it))


def states(operation: Operation, deployment: str, runs: int) -> dict[str, dict[str, Any]]:
    """Read the last state of every run."""
    of_it = {"id": {"any_": [deployment]}}
    pages = [
        operation.api("POST", "/flow_runs/filter", deployments=of_it, limit=PAGE, offset=offset, sort="ID_DESC")
        for offset in range(0, runs + PAGE, PAGE)
    ]
    return {run["id"]: run["state"] for page in pages for run in page}


def follow(
    ended: Callable[[], int], runs: int, parts: dict[str, Callable[[], Iterable[int]]]
) -> list[dict[str, float]]:
    """Sample the parts until all runs have ended.

    Raises TimeoutError when none does for long.
    """
    samples, done, since = [], 0, time.monotonic()
    while done < runs:
        samples.append(measure(parts))
        time.sleep(SAMPLE_SECONDS)
        now = ended()
        if now > done:
            done, since = now, time.monotonic()
            print(f"{done} of {runs} runs", file=sys.stderr, flush=True)
        if time.monotonic() - since > STUCK_SECONDS:
            raise TimeoutError(f"no run has ended for {STUCK_SECONDS:g} s; {done} of {runs} have")
    return samples


def open_up(operation: Operation) -> str:
    """Start the operation, build the recipe, and let eight runs go on at once; return the id of the deployment."""
    operation.lmpipe("up", "--port", "0")
    operation.lmpipe("deploy", str(operation.recipe))
    deployment = operation.deployment(DEPLOYMENT)
    first = operation.start(DEPLOYMENT, kinds=None)
    wait(lambda: operation.state(first) == "COMPLETED")
    wait((operation.data / "warehouse/results.duckdb").exists)  # recorded by a hook, after the state is known
    operation.api("PATCH", f"/deployments/{deployment}", concurrency_limit=None)
    operation.api("PATCH", "/work_pools/cpu", concurrency_limit=AT_ONCE)
    return deployment


def load(operation: Operation, runs: int) -> tuple[list[dict[str, Any]], dict[str, float]]:
    """Do all runs; return what was sampled and what was found at the end."""
    deployment, results = open_up(operation), operation.data / "warehouse"
    before = num_ended(operation, deployment)
    stopped = get_context("spawn").Event()
    readers = start_readers(results, stopped)
    parts: dict[str, Callable[[], Iterable[int]]] = {
        "server": lambda: processes.session(operation.home / "up/server.json", operation.home),
        "worker": lambda: [pid for pid in [operation.pid("worker-cpu")] if pid is not None],
        "readers": lambda: [reader.process.pid for reader in readers if reader.process.pid is not None],
    }
    began = time.monotonic()
    asked = operation.schedule(DEPLOYMENT, runs, kinds=None)
    samples = follow(lambda: num_ended(operation, deployment) - before, runs, parts)
    seconds = time.monotonic() - began
    stopped.set()
    read_by = [reader.answers.recv() for reader in readers]
    for reader in readers:
        reader.process.join()
    found = states(operation, deployment, runs)
    return fifths(samples), judge(asked, found, results) | {
        "seconds_a_run": seconds / runs,
        "questions": sum(questions for questions, _ in read_by),
        "answers_with_fewer_rows": sum(fewer for _, fewer in read_by),
        "database_is_locked": (operation.home / "server.log").read_text(errors="replace").count("database is locked"),
    }


def judge(asked: list[str], found: dict[str, dict[str, Any]], results: Path) -> dict[str, float]:
    """Count the runs by what became of them, and the rows that are missing."""
    types = Counter(found[run]["type"] for run in asked)
    bad = [found[run] for run in asked if found[run]["type"] != "COMPLETED"]
    print_rows("Not completed", [{"state": s["name"], "reason": s["message"]} for s in bad]) if bad else None
    rows = warehouse.query(results, "select flow_run, status from flow_runs").to_pylist()
    recorded = {row["flow_run"]: row["status"] for row in rows}
    lost = [run for run in asked if recorded.get(run) != found[run]["type"].lower()]
    return {
        "runs": len(asked),
        "completed": types["COMPLETED"],
        "without_reason": sum(1 for state in bad if not state["message"]),
        "lost_rows": len(lost),
    }


def main(data: Path, runs: int, database: str) -> None:
    """Do the runs in a folder of their own, and record the figures in `data`."""
    place = (data / "bench-load").resolve()
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    with postgres() if database == "postgres" else contextlib.nullcontext() as url:
        operation = begin(place, RECIPE, **({"PREFECT_SERVER_DATABASE_CONNECTION_URL": url} if url is not None else {}))
        try:
            sampled, told = load(operation, runs)
        finally:
            operation.end()
    print_rows("Memory and file handles", sampled)
    seconds = {"a run, of all on this machine": told["seconds_a_run"]}
    finish(seconds, "seconds", told | {row["what"]: row["ratio"] for row in sampled}, data)
    shutil.rmtree(place)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
