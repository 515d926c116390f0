"""A Prefect server of one's own for one run, on loopback, with its database beside the data.

`make demo` runs against it, so that the run can be looked at; it is stopped again unless asked to stay.
"""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from lmpipe.errors import LmpipeError
from lmpipe.workers import dying_with_us

START_SECONDS = 120.0
"""A server on an empty SQLite is up after 14 s here; on a loaded machine later."""
QUIET = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
}
"""No telemetry, from server or client."""


@contextmanager
def local_server(home: Path, *, keep: bool = False) -> Iterator[str]:
    """Start a server with its files in `home`; yield its API URL, and stop it at the end unless `keep`.

    Raises LmpipeError when the server does not come up; its log is home/server.log.
    """
    home.mkdir(parents=True, exist_ok=True)
    port = free_port()
    url = f"http://127.0.0.1:{port}/api"
    environment = os.environ | QUIET | {"PREFECT_HOME": str(home.resolve())}
    environment.pop("PREFECT_API_URL", None)
    with (home / "server.log").open("ab") as log:
        command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
        bound = command if keep else dying_with_us(command)
        server = subprocess.Popen(bound, env=environment, stdout=log, stderr=log, start_new_session=keep)
    try:
        wait_until_healthy(server, url, home)
        yield url
    finally:
        if not keep:
            server.terminate()
            server.wait()


def wait_until_healthy(server: subprocess.Popen[bytes], url: str, home: Path) -> None:
    """Wait for the server's health page."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        try:
            if httpx.get(f"{url}/health", timeout=2).status_code == httpx.codes.OK:
                return
        except httpx.TransportError:
            time.sleep(0.2)
    server.kill()
    raise LmpipeError(f"the Prefect server did not come up. Read {home / 'server.log'}; `lmpipe doctor` may know why.")


def free_port() -> int:
    """Take 4200, Prefect's own port, or any other that is free."""
    for port in (4200, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            number: int = probe.getsockname()[1]
            return number
    raise LmpipeError("no free port on 127.0.0.1. Stop another server and try again.")
