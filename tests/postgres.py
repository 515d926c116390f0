"""A real PostgreSQL on loopback, with an empty database in a folder of its own."""

import contextlib
import os
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from flows.server import free_port

PASSWORD = secrets.token_urlsafe(12)


@contextlib.contextmanager
def postgres() -> Iterator[str]:
    """Give the URL of a database; PostgreSQL refuses to run as root, so that its own user runs it then."""
    found = shutil.which("postgres")
    assert found is not None, "whoever asks for it has looked"
    programs, user = Path(found).resolve().parent, "postgres" if os.geteuid() == 0 else None
    with tempfile.TemporaryDirectory(prefix="lmpipe-postgres-") as name:
        folder, port = Path(name), free_port(0)
        (folder / "password").write_text(PASSWORD)
        if user is not None:
            for path in (folder, folder / "password"):
                shutil.chown(path, user)

        def run(program: str, *arguments: str) -> None:
            command = [programs / program, "-D", folder / "data", *arguments]
            subprocess.run(command, check=True, user=user, cwd=folder, stdout=subprocess.DEVNULL)

        run("initdb", "--auth=scram-sha-256", f"--pwfile={folder / 'password'}", "--username=lmpipe")
        options = f"-c listen_addresses=127.0.0.1 -p {port} -k {folder}"
        run("pg_ctl", "--wait", "-l", str(folder / "log"), "-o", options, "start")
        try:
            yield f"postgresql+asyncpg://lmpipe:{PASSWORD}@127.0.0.1:{port}/postgres"
        finally:
            run("pg_ctl", "--wait", "--mode=immediate", "stop")
