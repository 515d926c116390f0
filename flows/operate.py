"""Operate: what runs all the time - server, CPU worker, GPU worker - started, looked after and stopped.

lmpipe up --data data       # again after any crash: starts what is down, leaves what is up
lmpipe down --data data

Everything lies in DATA/.prefect: the database (unless PostgreSQL is named), logs, the password (`auth`, mode 0600),
and up/*.json, by which the processes are found again. The server listens on loopback and wants the password.
"""

import os
import secrets
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import httpx

from flows import processes
from flows.server import QUIET, answers, free_port, server_command, wait_until_healthy
from lmpipe.errors import LmpipeError
from lmpipe.storage import locked, replacing, storage_errors

POOLS: dict[str, int | None] = {"cpu": None, "gpu": 1}
"""Work pools and how many of their runs go on at once: one training has the GPU (or all cores) to itself."""

HEARTBEAT_SECONDS = 30
"""Between a flow run's signs of life; three missed ones and a little make it a zombie (flows/automations.py).
Prefect's own 180 s go badly with its documentation's window of 90: a healthy run was called crashed."""

WORKER_GRACE, RUN_GRACE, SERVER_GRACE = 45.0, 30.0, 15.0
"""Seconds from SIGTERM to SIGKILL. A worker waits for its runs, and a training saves its checkpoint in under 25."""

LOOK_SECONDS = 10.0
"""Between two looks at the parts, with --stay."""

KEPT_BACK = ("PREFECT_API_KEY", "PREFECT_SERVER_DATABASE_CONNECTION_URL", "LMPIPE_SMTP", "LMPIPE_WEBHOOK")
"""Variables that parts do not inherit: a key would win over the password, and fail; the others are secrets that only
the server needs, as a variable of its own or as blocks."""

RETENTION_SECONDS = 30 * 86_400
"""How long Prefect keeps runs and logs: 19 kB a task run for ever is how its database grows; results are ours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """How the server is started; never part of what a run writes."""

    host: str = "127.0.0.1"
    """Address to listen on; another than loopback shows the UI, behind its password, to the network."""
    port: int = 4200
    """Prefect's own; 0 for any free one."""
    database: str | None = None
    """postgresql+asyncpg://user:password@host/name, or None for SQLite in DATA/.prefect."""


def home_of(data: Path) -> Path:
    """Say where an operation keeps its files."""
    return (data / ".prefect").resolve()


def up(data: Path, settings: ServerSettings, tell: Callable[[str], None]) -> str:
    """Start what is not running and wait until all of it is healthy; return the API's URL.

    Raises LmpipeError when a part does not come up, or the port is taken.
    """
    home = home_of(data)
    with storage_errors(home):
        (home / "up").mkdir(parents=True, exist_ok=True)
        with locked(home / "up"):
            environment = start_server(home, settings, tell)
            client_environment(environment)
            start_workers(home, environment, tell)
            return environment["PREFECT_API_URL"]


def start_server(home: Path, settings: ServerSettings, tell: Callable[[str], None]) -> dict[str, str]:
    """Start the server, or find it; return the environment in which everything else runs."""
    file, address = home / "up/server.json", home / "up/url"
    pid = processes.find(file)
    if pid is None:
        # what listens is a child of the server's first process, and outlives it when that is killed
        processes.end(lambda: processes.session(file, home), SERVER_GRACE)
        # workers and runs that outlived the last server ask at its address
        port = free_port(httpx.URL(address.read_text()).port or 0 if address.exists() else settings.port)
        with replacing(address) as temporary:
            temporary.write_text(f"http://{reachable(settings.host)}:{port}/api")
        environment = part_environment(home) | database_environment(home / "postgresql", settings.database)
        pid = processes.start(file, server_command(settings.host, port), environment, home / "server.log")
        tell(f"server    starting on {settings.host}:{port} (process {pid})")
    environment = part_environment(home)
    wait_until_healthy(lambda: processes.find(file) is not None, environment["PREFECT_API_URL"], home)
    tell(f"server    healthy at {environment['PREFECT_API_URL']} (process {pid})")
    return environment


def reachable(host: str) -> str:
    """Give the address by which this machine reaches a server that listens on `host`."""
    return "127.0.0.1" if host in ("0.0.0.0", "::") else host


def database_environment(mark: Path, database: str | None) -> dict[str, str]:
    """Name the database to the server; `mark` remembers that it was PostgreSQL, without its password.

    Raises LmpipeError when it was and none is named now: an empty SQLite would show neither runs nor schedules.
    """
    if database is not None:
        url = checked_database(database)
        mark.touch()
        return {"PREFECT_SERVER_DATABASE_CONNECTION_URL": url}
    if mark.exists():
        raise LmpipeError(
            "the runs of this operation are in PostgreSQL. Name it again by --database or"
            f" PREFECT_SERVER_DATABASE_CONNECTION_URL; to begin anew with SQLite, delete {mark}."
        )
    return {}


def checked_database(url: str) -> str:
    """Refuse a database that Prefect's server cannot use, without repeating its password."""
    if not url.startswith("postgresql+asyncpg://"):
        raise LmpipeError(
            f"--database: expected postgresql+asyncpg://user:password@host/name, found {url.partition(':')[0]}:..."
            " Leave it out for SQLite."
        )
    return url


def part_environment(home: Path) -> dict[str, str]:
    """Lay out the environment of all parts: one server, one password, no telemetry, no server by accident."""
    password = read_or_make_password(home / "auth")
    inherited = {key: value for key, value in os.environ.items() if key not in KEPT_BACK}
    return inherited | QUIET | {
        processes.MARK: str(home),
        "PREFECT_HOME": str(home),
        "PREFECT_API_URL": (home / "up/url").read_text(),
        "PREFECT_SERVER_API_AUTH_STRING": password,
        "PREFECT_API_AUTH_STRING": password,
        "PREFECT_SERVER_API_CSRF_PROTECTION_ENABLED": "true",
        "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "false",
        "PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED": "events,flow_runs",
        "PREFECT_SERVER_SERVICES_DB_VACUUM_RETENTION_PERIOD": str(RETENTION_SECONDS),
        "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": str(HEARTBEAT_SECONDS),
        "PREFECT_LOGGING_EXTRA_LOGGERS": "lmpipe",
    }  # fmt: skip


def read_or_make_password(path: Path) -> str:
    """Read user:password of the API, made once, in a file that only its owner may read."""
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path.read_text(encoding="utf-8")
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(f"lmpipe:{secrets.token_urlsafe(24)}")
    return path.read_text(encoding="utf-8")


def client_environment(environment: dict[str, str]) -> None:
    """Let Prefect in this process, not imported yet, talk to the server that is up."""
    os.environ.pop("PREFECT_API_KEY", None)
    os.environ.update({key: value for key, value in environment.items() if key.startswith("PREFECT_")} | QUIET)


def start_workers(home: Path, environment: dict[str, str], tell: Callable[[str], None]) -> None:
    """Make the pools, close the runs whose process is gone, start the workers that are down, wait until they poll."""
    from flows import pools  # imports Prefect, 2 s, once the server is up

    pools.make_pools(POOLS)
    for name in pools.close_dead_runs(living_runs(home), map(worker_name, POOLS)):
        tell(f"closed    {name}: its process is gone; the next run goes on from what is finished")
    for pool in POOLS:
        file = home / f"up/worker-{pool}.json"
        if processes.find(file) is None:
            command = [sys.executable, "-m", "prefect", "worker", "start", "--pool", pool, "--name", worker_name(pool)]
            processes.start(file, command, environment, home / f"worker-{pool}.log")
    for pool in POOLS:
        file = home / f"up/worker-{pool}.json"
        if not pools.wait_for_worker(pool, worker_name(pool), partial(processes.find, file)):
            raise LmpipeError(f"the {pool} worker did not come up. Read {home / f'worker-{pool}.log'}.")
        tell(f"worker    {pool} polls (process {processes.find(file)})")


def worker_name(pool: str) -> str:
    """Name a pool's worker on this machine."""
    return f"{pool}-{os.uname().nodename}"


def living_runs(home: Path) -> set[str]:
    """List the ids of the flow runs that have a living process here."""
    return {
        environment["PREFECT__FLOW_RUN_ID"]
        for environment in processes.marked(home).values()
        if "PREFECT__FLOW_RUN_ID" in environment
    }


def stay(data: Path, settings: ServerSettings, tell: Callable[[str], None]) -> None:
    """Look after the parts until SIGTERM or SIGINT, then stop them: one service for systemd. `down` ends it too."""
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda signum, frame: stopped.set())
    while not stopped.wait(LOOK_SECONDS):
        if not (home_of(data) / "up/url").exists():
            return
        if not healthy(data):
            tell("a part is down")
            up(data, settings, tell)
    down(data, tell)


def healthy(data: Path) -> bool:
    """Say whether every part has its process and the server answers."""
    home = home_of(data)
    parts = ["server", *(f"worker-{pool}" for pool in POOLS)]
    found = all(processes.find(home / f"up/{part}.json") is not None for part in parts)
    return found and answers((home / "up/url").read_text())


def down(data: Path, tell: Callable[[str], None]) -> None:
    """Stop workers, the runs that go on, and the server, in this order; nothing to do where nothing runs."""
    home = home_of(data)
    if not (home / "up").exists():
        tell("nothing was started here")
        return
    with locked(home / "up"):
        server, workers = home / "up/server.json", [home / f"up/worker-{pool}.json" for pool in POOLS]
        processes.end(lambda: found(workers), WORKER_GRACE)
        tell("workers   stopped")
        processes.end(lambda: set(processes.marked(home)) - set(processes.session(server, home)), RUN_GRACE)
        tell("runs      stopped; trainings saved a checkpoint")
        if processes.find(server) is not None and answers((home / "up/url").read_text()):
            close_runs(home)
        processes.end(lambda: processes.marked(home), SERVER_GRACE)
        tell("server    stopped")
        for file in (server, *workers, home / "up/url"):
            file.unlink(missing_ok=True)


def found(files: list[Path]) -> list[int]:
    """List the processes of parts that are there."""
    return [pid for file in files if (pid := processes.find(file)) is not None]


def close_runs(home: Path) -> None:
    """Tell the server that the runs of this machine have ended: it would show them as running for ever."""
    client_environment(part_environment(home))
    from flows import pools

    pools.close_dead_runs(living_runs(home), map(worker_name, POOLS))


def join(data: Path) -> None:
    """Let Prefect in this process, not imported yet, talk to the operation of `data`, or to what PREFECT_API_URL names.

    Raises LmpipeError where neither is there.
    """
    if not join_if_up(data) and "PREFECT_API_URL" not in os.environ:
        raise LmpipeError(f"no server is up for {data}. Start it with: lmpipe up --data {data}")


def join_if_up(data: Path) -> bool:
    """The same where an operation is up; two servers on one SQLite database would both make its scheduled runs."""
    home = home_of(data)
    there = processes.find(home / "up/server.json") is not None
    if there:
        client_environment(part_environment(home))
    return there
