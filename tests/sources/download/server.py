"""A real HTTP server on loopback that serves files from memory and misbehaves where it is told to.

with serve({"/a": File(b"...")}) as server: ... server.url, server.requests
"""

import hashlib
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(slots=True)
class File:
    """What one path answers."""

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    cuts: list[int] = field(default_factory=list)
    """Bytes after which the connection is cut, request by request, then no more."""
    failures: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    """Statuses with headers to answer first, request by request."""
    ranges: bool = True
    """Whether Range is honoured."""
    versions: list[bytes] = field(default_factory=list)
    """Bodies that replace `body`, one after each answered request."""
    drip: float = 0.0
    """Seconds between single bytes."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it came."""

    path: str
    headers: dict[str, str]
    time: float


@dataclass(slots=True)
class Server:
    """Where it listens, what it serves, and what it was asked."""

    url: str
    files: dict[str, File]
    requests: list[Request] = field(default_factory=list)

    def asked(self, path: str) -> list[Request]:
        """The requests for one path."""
        return [request for request in self.requests if request.path == path]


@contextmanager
def serve(files: Mapping[str, File | bytes]) -> Iterator[Server]:
    """Serve until the block ends."""
    known = {path: file if isinstance(file, File) else File(file) for path, file in files.items()}

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            server.requests.append(Request(self.path, headers, time.monotonic()))
            file = server.files.get(self.path)
            self.close_connection = True
            if file is None:
                answer(self, 404, {}, b"not here")
            elif file.failures:
                status, extra = file.failures.pop(0)
                answer(self, status, extra, b"")
            else:
                serve_file(self, file, headers)

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        http.daemon_threads = True
        server = Server(f"http://127.0.0.1:{http.server_port}", known)
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            http.shutdown()
            thread.join()


def serve_file(handler: BaseHTTPRequestHandler, file: File, headers: dict[str, str]) -> None:
    """Answer with a file, or the rest of it, as ill as it is told."""
    body = file.body
    etag = f'"{hashlib.sha256(body).hexdigest()[:16]}"'
    wanted = headers.get("range") if file.ranges and headers.get("if-range", etag) == etag else None
    start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
    status, sent = file.status, {"ETag": etag, **file.headers}
    if wanted and start >= len(body):
        answer(handler, 416, {"Content-Range": f"bytes */{len(body)}"}, b"")
        return
    if wanted:
        status, sent = 206, {"Content-Range": f"bytes {start}-{len(body) - 1}/{len(body)}"} | sent
    cut = file.cuts.pop(0) if file.cuts else None
    if file.versions:
        file.body = file.versions.pop(0)
    answer(handler, status, sent, body[start:], cut, file.drip)


def answer(
    handler: BaseHTTPRequestHandler,
    status: int,
    headers: dict[str, str],
    body: bytes,
    cut: int | None = None,
    drip: float = 0.0,
) -> None:
    """Send one answer; a `cut` one promises the whole and ends early."""
    handler.send_response(status)
    for name, value in {"Content-Length": str(len(body)), **headers}.items():
        handler.send_header(name, value)
    handler.end_headers()
    try:
        if drip:
            for byte in body:
                handler.wfile.write(bytes([byte]))
                time.sleep(drip)
        else:
            handler.wfile.write(body if cut is None else body[:cut])
    except (BrokenPipeError, ConnectionResetError):
        pass  # the client has had enough: what these tests are about
