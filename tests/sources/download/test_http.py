"""The HTTP client against a real server that misbehaves."""

import contextlib
import gzip
import hashlib
import itertools
import os
import signal
import socket
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

from lmpipe.errors import DownloadError
from lmpipe.settings import HttpSettings
from lmpipe.sources.download import connection
from lmpipe.sources.download.connection import is_public
from lmpipe.sources.download.http import Client, retry_after
from tests.conftest import ROOT
from tests.sources.download.server import File, serve

BODY = bytes(range(256)) * 4096
SHA1 = ("sha1", hashlib.sha1(BODY).hexdigest())


def settings(**changes: Any) -> HttpSettings:
    given: dict[str, Any] = {"contact": "mail@example.org", "requests_per_second": 1000.0, "private": True}
    return HttpSettings(**(given | {"timeout": 5.0, "retries": 2} | changes))


def test_get_says_who_asks_and_returns_any_answer() -> None:
    with serve({"/a": b"text", "/gone": File(status=410)}) as server, Client(settings()) as client:
        answer = client.get(server.url + "/a", max_bytes=10)
        assert (answer.status, answer.body, answer.url) == (200, b"text", server.url + "/a")
        assert client.get(server.url + "/gone", max_bytes=10).status == 410
        assert client.get(server.url + "/none", max_bytes=10).status == 404
        agent = server.requests[0].headers["user-agent"]
    assert agent.startswith("lmpipe/")
    assert "mail@example.org" in agent


def test_a_client_without_contact_is_refused() -> None:
    with pytest.raises(DownloadError, match="contact"):
        Client(settings(contact=" "))


@pytest.mark.parametrize("contact", ["a@b\r\nX-Evil: 1", "\n"])
def test_a_contact_cannot_add_headers(contact: str) -> None:
    with pytest.raises(DownloadError, match="contact"):
        Client(settings(contact=contact))


def test_a_busy_server_is_asked_again_and_told_time_is_kept() -> None:
    busy = File(b"x", failures=[(503, {"Retry-After": "1"}), (429, {})])
    with serve({"/a": busy}) as server, Client(settings()) as client:
        assert client.get(server.url + "/a", max_bytes=10).body == b"x"
        first, second, _ = (request.time for request in server.asked("/a"))
    assert second - first >= 1


def test_a_server_that_stays_busy_is_given_up() -> None:
    with serve({"/a": File(failures=[(503, {})] * 9)}) as server, Client(settings()) as client:
        with pytest.raises(DownloadError, match="after 3 attempts: status 503"):
            client.get(server.url + "/a", max_bytes=10)
        assert len(server.requests) == 3


def test_requests_to_a_host_keep_their_distance() -> None:
    with serve({"/a": b"x"}) as server, Client(settings(requests_per_second=10)) as client:
        for _ in range(3):
            client.get(server.url + "/a", max_bytes=10)
        times = [request.time for request in server.requests]
    assert times[2] - times[0] >= 0.19


def test_a_body_and_a_decompression_bomb_are_bounded() -> None:
    bomb = File(gzip.compress(bytes(50_000_000)), headers={"Content-Encoding": "gzip"})
    with serve({"/bomb": bomb, "/large": bytes(5000)}) as server, Client(settings()) as client:
        for path in ("/bomb", "/large"):
            with pytest.raises(DownloadError, match="at most 1000 bytes"):
                client.get(server.url + path, max_bytes=1000)


def test_gzip_is_decompressed_and_damage_is_told() -> None:
    packed = gzip.compress(b"hello")
    files = {
        "/a": File(packed, headers={"Content-Encoding": "gzip"}),
        "/b": File(b"none", headers={"Content-Encoding": "gzip"}),
        "/c": File(b"none", headers={"Content-Encoding": "br"}),
        "/d": File(packed[:-9], headers={"Content-Encoding": "gzip"}),
        "/e": File(packed + b"more", headers={"Content-Encoding": "gzip"}),
    }
    with serve(files) as server, Client(settings()) as client:
        assert client.get(server.url + "/a", max_bytes=10).body == b"hello"
        for path in ("/b", "/d", "/e"):
            with pytest.raises(DownloadError, match="damaged gzip"):
                client.get(server.url + path, max_bytes=10)
        with pytest.raises(DownloadError, match="'br'"):
            client.get(server.url + "/c", max_bytes=10)


def test_an_answer_that_drips_is_given_up() -> None:
    slow = File(b"x" * 500, drip=0.02)
    with serve({"/a": slow}) as server, Client(settings(timeout=0.1)) as client:
        started = time.monotonic()
        with pytest.raises(DownloadError, match="drips"):
            client.get(server.url + "/a", max_bytes=1000)
        assert time.monotonic() - started < 5


@contextlib.contextmanager
def speaking(*parts: bytes) -> Iterator[str]:
    """Answer every connection with these bytes, then with one every 20 ms for ever; without any, with nothing."""

    class Speaker(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with contextlib.suppress(OSError):
                for part in itertools.chain(parts, itertools.repeat(b"x" if parts else b"")):
                    self.request.sendall(part)
                    time.sleep(0.02)
                    if over.is_set():
                        return

    over = threading.Event()
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Speaker) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_address[1]}"
        finally:
            over.set()
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("head", [(b"HTTP/1.1 200 OK\r\n",), (b"HTTP/1.1 100 Continue\r\n\r\n",) * 1000])
def test_headers_that_drip_are_given_up_at_one_deadline(tmp_path: Path, head: tuple[bytes, ...]) -> None:
    """httpx bounds the time between two bytes only: a byte in every timeout would hold it for ever."""
    with speaking(*head) as place, Client(settings(timeout=0.1)) as client:
        for ask in (
            lambda: client.get(f"http://{place}/", max_bytes=1000),
            lambda: client.save(f"http://{place}/", tmp_path / "f"),
        ):
            started = time.monotonic()
            with pytest.raises(DownloadError, match="drips"):
                ask()
            assert time.monotonic() - started < 3


@pytest.mark.parametrize("parts", [(), (b"\x16\x03\x03\x40\x00",)])
def test_a_handshake_that_never_ends_is_given_up(parts: tuple[bytes, ...]) -> None:
    with speaking(*parts) as place, Client(settings(timeout=0.1, retries=0)) as client:
        started = time.monotonic()
        with pytest.raises(DownloadError, match=r"timed out|drips"):
            client.get(f"https://{place}/", max_bytes=1000)
        assert time.monotonic() - started < 3


def test_a_file_that_drips_is_cut_and_gone_on_with(tmp_path: Path) -> None:
    """A chunk's extension can drip too, where no byte of the body is ever given."""
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n1;"
    with (
        speaking(head) as place,
        Client(settings(timeout=0.2, retries=1)) as client,
        pytest.raises(DownloadError, match=r"5 bytes came.*only \d+ bytes in"),
    ):
        client.save(f"http://{place}/", tmp_path / "f")


def test_the_next_address_of_a_name_is_tried_when_one_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    real = socket.getaddrinfo

    def two(host: Any, *rest: Any, **more: Any) -> Any:
        if host != "name.example":
            return real(host, *rest, **more)
        return real("127.0.0.2", *rest, **more) + real("127.0.0.1", *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", two)
    with serve({"/a": b"x"}) as server, Client(settings(retries=0)) as client:
        assert client.get(f"http://name.example:{server.url.rpartition(':')[2]}/a", max_bytes=10).body == b"x"


def test_a_host_is_asked_one_thing_at_a_time_by_many_threads() -> None:
    slow = {f"/{n}": File(b"x" * 5, drip=0.01) for n in range(4)}
    with serve(slow) as server, Client(settings()) as client, ThreadPoolExecutor(4) as threads:
        urls = [f"{server.url}/{n}" for n in range(4)]
        assert [answer.body for answer in threads.map(lambda url: client.get(url, max_bytes=9), urls)] == [b"xxxxx"] * 4
        times = sorted(request.time for request in server.requests)
    assert min(after - before for before, after in itertools.pairwise(times)) > 0.03


@pytest.mark.parametrize(
    ("said", "seconds"),
    [("7", 7), ("Thu, 01 Jan 1970 00:00:00 GMT", 0), ("soon", None), ("-3", None), ("\u0664", None), (None, None)],
)
def test_retry_after_is_read_as_seconds_or_date(said: str | None, seconds: float | None) -> None:
    assert retry_after(said) == seconds


def test_retry_after_as_a_date_to_come_is_waited_for() -> None:
    due = format_datetime(datetime.now(UTC) + timedelta(seconds=100), usegmt=True)
    assert 90 < (retry_after(due) or 0) <= 100


def test_save_begins_again_when_the_server_sends_another_part(tmp_path: Path) -> None:
    wrong = File(BODY, cuts=[1000], headers={"Content-Range": "bytes 5-9/10"})
    with serve({"/f": wrong}) as server, Client(settings()) as client:
        client.save(server.url + "/f", tmp_path / "f", size=len(BODY), digest=SHA1)
        assert [request.headers.get("range") for request in server.requests] == [None, "bytes=1000-", None]
    assert (tmp_path / "f").read_bytes() == BODY


def test_redirects_are_followed_and_remembered_but_not_for_ever() -> None:
    files = {f"/{n}": File(status=301 + n % 2, headers={"Location": f"/{n + 1}"}) for n in range(9)} | {"/3": b"end"}
    with serve(files) as server, Client(settings()) as client:
        answer = client.get(server.url + "/0", max_bytes=10)
        assert (answer.body, answer.url) == (b"end", server.url + "/3")
        assert [status for status, _ in answer.redirects] == [301, 302, 301]
        server.files["/3"] = File(status=308, headers={"Location": "/0"})
        with pytest.raises(DownloadError, match="more than 5 redirects"):
            client.get(server.url + "/0", max_bytes=10)


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("file:///etc/passwd", "http or https"),
        ("ftp://example.org/", "http or https"),
        ("http://user:word@example.org/", "user name"),
        ("http://169.254.169.254/latest/meta-data", "private address"),
        ("http://[::1]/", "private address"),
        ("http://[::1", "Invalid URL"),
        ("http://8.8.8.8:99999/", "port"),
    ],
)
def test_a_redirect_is_checked_like_an_address(target: str, reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # only the test's own server counts as public, so that the first hop is allowed and the second is judged
    monkeypatch.setattr(connection, "is_public", lambda address: address == "127.0.0.1")
    redirect = File(status=302, headers={"Location": target})
    with serve({"/a": redirect}) as server, Client(settings(private=False, retries=0)) as client:
        with pytest.raises(DownloadError, match=reason):
            client.get(server.url + "/a", max_bytes=10)
        assert len(server.requests) == 1


def test_private_addresses_are_refused_unless_the_recipe_allows_them() -> None:
    with serve({"/a": b"x"}) as server, Client(settings(private=False)) as client:
        for url in (server.url + "/a", server.url.replace("127.0.0.1", "localhost") + "/a", "http://0x7f.1/"):
            with pytest.raises(DownloadError, match="private address"):
                client.get(url, max_bytes=10)
        assert server.requests == []


def test_no_form_of_a_private_address_is_public() -> None:
    private = ["127.0.0.1", "10.0.0.1", "192.168.1.1", "172.16.0.1", "169.254.169.254", "100.64.0.1", "0.0.0.0"]
    private += ["::1", "fe80::1%eth0", "fc00::1", "::ffff:10.0.0.1", "2002:7f00:1::", "64:ff9b::a00:1", "224.0.0.1"]
    private += ["::127.0.0.1", "fec0::1", "::ffff:0:10.0.0.1", "64:ff9b:1::a00:1", "ff02::1", "2001:db8::1", "::"]
    assert [address for address in private if is_public(address)] == []
    assert all(map(is_public, ("8.8.8.8", "2606:4700:4700::1111", "64:ff9b::808:808")))


def test_the_address_that_was_checked_is_the_one_that_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that answers differently the second time leads nowhere else (DNS rebinding)."""
    real, asked = socket.getaddrinfo, []

    def rebinding(host: Any, *rest: Any, **more: Any) -> Any:
        if host != "name.example":
            return real(host, *rest, **more)
        asked.append(host)
        return real("127.0.0.1" if len(asked) == 1 else "127.0.0.2", *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    with serve({"/a": b"x"}) as server, Client(settings()) as client:
        port = server.url.rpartition(":")[2]
        assert client.get(f"http://name.example:{port}/a", max_bytes=10).body == b"x"
        assert server.requests[0].headers["host"] == f"name.example:{port}"
    assert asked == ["name.example"]


def test_save_goes_on_where_the_connection_was_cut(tmp_path: Path) -> None:
    with serve({"/f": File(BODY, cuts=[300_000, 200_000, 1])}) as server, Client(settings()) as client:
        assert client.save(server.url + "/f", tmp_path / "f", size=len(BODY), digest=SHA1) == len(BODY)
        ranges = [request.headers.get("range") for request in server.requests]
    assert (tmp_path / "f").read_bytes() == BODY
    assert ranges == [None, "bytes=300000-", "bytes=500000-", "bytes=500001-"]
    assert [path.name for path in tmp_path.iterdir()] == ["f"]


def test_save_begins_again_when_the_file_changed_or_ranges_are_not_served(tmp_path: Path) -> None:
    changed = File(b"old" * 100_000, cuts=[200_000], versions=[BODY])
    plain = File(BODY, cuts=[200_000], ranges=False)
    with serve({"/changed": changed, "/plain": plain}) as server, Client(settings()) as client:
        for path in ("/changed", "/plain"):
            client.save(server.url + path, tmp_path / "f", digest=SHA1)
            assert (tmp_path / "f").read_bytes() == BODY


@pytest.mark.parametrize(("size", "digest"), [(5, None), (len(BODY) + 1, None), (None, ("sha1", "0" * 40))])
def test_save_refuses_another_file_and_leaves_nothing(tmp_path: Path, size: int | None, digest: Any) -> None:
    with serve({"/f": BODY}) as server, Client(settings()) as client, pytest.raises(DownloadError, match="expected"):
        client.save(server.url + "/f", tmp_path / "f", size=size, digest=digest)
    assert not (tmp_path / "f").exists()


def test_save_fetches_anew_when_what_was_there_was_wrong(tmp_path: Path) -> None:
    (tmp_path / "f.part").write_bytes(b"rubbish" * 1000)
    with serve({"/f": BODY}) as server, Client(settings()) as client:
        client.save(server.url + "/f", tmp_path / "f", size=len(BODY), digest=SHA1)
        assert [request.headers.get("range") for request in server.requests] == ["bytes=7000-", None]
    assert (tmp_path / "f").read_bytes() == BODY


def test_save_gives_up_on_a_server_that_always_cuts_and_keeps_what_came(tmp_path: Path) -> None:
    with (
        serve({"/f": File(BODY, cuts=[1000, *[0] * 9])}) as server,
        Client(settings()) as client,
        pytest.raises(DownloadError, match="1000 bytes came"),
    ):
        client.save(server.url + "/f", tmp_path / "f", size=len(BODY), digest=SHA1)
    assert (tmp_path / "f.part").stat().st_size == 1000


def test_save_refuses_what_does_not_fit_on_the_disk(tmp_path: Path) -> None:
    with serve({"/f": BODY}) as server, Client(settings()) as client:
        with pytest.raises(DownloadError, match="Make room"):
            client.save(server.url + "/f", tmp_path / "f", size=1 << 60)
        assert server.requests == []


def test_save_bounds_a_file_of_unknown_size(tmp_path: Path) -> None:
    with (
        serve({"/f": BODY}) as server,
        Client(settings()) as client,
        pytest.raises(DownloadError, match="at most 100 "),
    ):
        client.save(server.url + "/f", tmp_path / "f", max_bytes=100)


def test_a_killed_transfer_goes_on_in_the_next_process(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from tests.sources.download.test_http import Client, SHA1, BODY, settings\n"
        "with Client(settings(timeout=60.0)) as client:\n"
        "    client.save(sys.argv[1], Path(sys.argv[2]), size=len(BODY), digest=SHA1)\n"
    )
    with serve({"/f": File(BODY[:1000], headers={"Content-Length": str(len(BODY))}, drip=0.001)}) as server:
        etag = f'"{hashlib.sha256(BODY).hexdigest()[:16]}"'
        server.files["/f"].headers["ETag"] = etag
        child = subprocess.Popen([sys.executable, "-c", code, server.url + "/f", str(tmp_path / "f")], cwd=ROOT)
        part = tmp_path / "f.part"
        while not part.exists() or part.stat().st_size == 0:
            assert child.poll() is None
            os.sched_yield()
        child.send_signal(signal.SIGKILL)
        child.wait()
        have = part.stat().st_size
        assert 0 < have < len(BODY)
        server.files["/f"] = File(BODY)
        with Client(settings()) as client:
            client.save(server.url + "/f", tmp_path / "f", size=len(BODY), digest=SHA1)
        assert server.requests[-1].headers["range"] == f"bytes={have}-"
    assert (tmp_path / "f").read_bytes() == BODY
