"""A real S3 server: OpenStack Swift with its s3api, all four servers on loopback, one device."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from pyarrow import fs

from flows.server import free_port

BIN = Path(sys.executable).parent
BUCKET = "lmpipe"
ACCOUNT, PASSWORD = "test:tester", "testing"

SERVER = """\
[DEFAULT]
bind_ip = 127.0.0.1
bind_port = {port}
workers = 0
swift_dir = {folder}
user = {user}
"""

STORING = """\
devices = {folder}/devices
mount_check = false
[pipeline:main]
pipeline = {name}-server
[app:{name}-server]
use = egg:swift#{name}
"""

PROXY = """\
[pipeline:main]
pipeline = catch_errors gatekeeper listing_formats s3api tempauth bulk slo dlo proxy-server
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
[filter:catch_errors]
use = egg:swift#catch_errors
[filter:gatekeeper]
use = egg:swift#gatekeeper
[filter:listing_formats]
use = egg:swift#listing_formats
[filter:s3api]
use = egg:swift#s3api
location = us-east-1
[filter:tempauth]
use = egg:swift#tempauth
user_test_tester = testing .admin
[filter:bulk]
use = egg:swift#bulk
[filter:slo]
use = egg:swift#slo
[filter:dlo]
use = egg:swift#dlo
"""


class Swift:
    """The servers' folder, their processes, and a way to kill and start them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "devices" / "d1").mkdir(parents=True)
        (folder / "swift.conf").write_text("[swift-hash]\nswift_hash_path_suffix = x\nswift_hash_path_prefix = x\n")
        self.ports = {name: self.lay_out(name) for name in ("account", "container", "object", "proxy")}
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def lay_out(self, name: str) -> int:
        """Write one server's settings and its ring."""
        port = free_port(0)
        user = Path("/").owner() if os.geteuid() == 0 else os.environ["USER"]
        text = (SERVER + (PROXY if name == "proxy" else STORING)).format(
            name=name, port=port, folder=self.folder, user=user
        )
        (self.folder / f"{name}.conf").write_text(text)
        if name != "proxy":
            for words in (("create", "4", "1", "0"), ("add", f"r1z1-127.0.0.1:{port}/d1", "1"), ("rebalance",)):
                builder = [BIN / "swift-ring-builder", self.folder / f"{name}.builder", *words]
                subprocess.run(builder, check=True, capture_output=True)
        return port

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.ports['proxy']}"

    @property
    def variables(self) -> dict[str, str]:
        """What a user exports."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": ACCOUNT,
            "AWS_SECRET_ACCESS_KEY": PASSWORD,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def start(self) -> None:
        """Start all servers and wait until they listen."""
        environment = os.environ | {"PYTHONWARNINGS": "ignore"}
        for name in self.ports:
            with (self.folder / f"{name}.log").open("ab") as log:
                command = [BIN / f"swift-{name}-server", self.folder / f"{name}.conf"]
                self.processes[name] = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
        for name in self.ports:
            self.wait(name)

    def wait(self, name: str) -> None:
        """Wait for a server to listen; its log says why it does not."""
        while self.processes[name].poll() is None:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.ports[name]), timeout=1):
                return
            time.sleep(0.05)
        raise AssertionError((self.folder / f"{name}.log").read_text()[-2000:])

    def kill(self) -> None:
        """Take all servers away at once, as a power cut does."""
        for process in self.processes.values():
            process.send_signal(signal.SIGKILL)
        for process in self.processes.values():
            process.wait()
        self.processes.clear()

    def files(self) -> fs.S3FileSystem:
        """A client of our own to look behind."""
        return fs.S3FileSystem(
            access_key=ACCOUNT,
            secret_key=PASSWORD,
            endpoint_override=self.url,
            scheme="http",
            region="us-east-1",
            allow_bucket_creation=True,
        )


@contextlib.contextmanager
def running_swift(folder: Path) -> Iterator[Swift]:
    """Start a Swift with one empty bucket, and stop it."""
    swift = Swift(folder)
    swift.start()
    try:
        swift.files().create_dir(BUCKET)
        yield swift
    finally:
        swift.kill()
