"""A Prefect server of one's own for one run, on loopback, with its database beside the data.

`make demo` runs against it, so that the run can be looked at; it is stopped again unless asked to stay.
"""

import atexit
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

import httpx

from lmpipe.errors import LmpipeError
from lmpipe.workers import dying_with_us

START_SECONDS = 300.0
"""A server on an empty SQLite is up after 14 s here; with a load of 25 on two cores after more than 120."""
QUIET = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
}
"""No telemetry, from server or client."""


def start_server(home: Path, *, keep: bool = False) -> str:
    """Start a server with its files in `home` and return its API URL; it stops with this process unless `keep`.

    Call it before Prefect is imported: the server is then stopped after Prefect's own clean-up, which
    still sends it the last lines of log. Raises LmpipeError when the server does not come up.
    """
    home.mkdir(parents=True, exist_ok=True)
    port = preferred_port()
    environment = os.environ | QUIET | {"PREFECT_HOME": str(home.resolve())}
    environment.pop("PREFECT_API_URL", None)
    command = server_command("127.0.0.1", port)
    with (home / "server.log").open("ab") as log:
        bound = command if keep else dying_with_us(command)
        server = subprocess.Popen(bound, env=environment, stdout=log, stderr=log, start_new_session=keep)
    if not keep:
        atexit.register(stop, server)
    url = f"http://127.0.0.1:{port}/api"
    try:
        wait_until_healthy(lambda: server.poll() is None, url, home)
    except LmpipeError:
        server.kill()
        raise
    return url


def server_command(host: str, port: int) -> list[str]:
    """Compose the command line of a server."""
    program = [sys.executable, "-m", "flows.patched_prefect"]
    return [*program, "server", "start", "--host", host, "--port", str(port)]


def stop(server: subprocess.Popen[bytes]) -> None:
    """End the server and wait for it."""
    server.terminate()
    server.wait()


def wait_until_healthy(alive: Callable[[], bool], url: str, home: Path) -> None:
    """Wait for the server's health page as long as its process lives."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and alive():
        if answers(url):
            return
        time.sleep(0.2)
    raise LmpipeError(f"the Prefect server did not come up. Read {home / 'server.log'}; `lmpipe doctor` may know why.")


def answers(url: str) -> bool:
    """Say whether a server's health page is there."""
    try:
        return client().get(f"{url}/health").status_code == httpx.codes.OK
    except httpx.TransportError:
        return False


@cache
def client() -> httpx.Client:
    """Make what asks servers, once: it loads the certificates of all authorities. No connection is kept."""
    return httpx.Client(timeout=2, limits=httpx.Limits(max_keepalive_connections=0))


def preferred_port() -> int:
    """Take 4200, Prefect's own port, or any other that is free."""
    try:
        return free_port(4200)
    except LmpipeError:
        return free_port(0)


def free_port(port: int) -> int:
    """Return a port of loopback that is free: this one, or for 0 any.

    Raises LmpipeError when it is taken.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            raise LmpipeError(
                f"port {port} of 127.0.0.1 is taken by another program. Stop it, or choose another with --port."
            ) from None
        number: int = probe.getsockname()[1]
        return number
