"""robots.txt of a real server decides what is asked, and how often."""

import pytest

from lmpipe.errors import DownloadError
from lmpipe.sources.download.http import Client
from lmpipe.sources.download.robots import Robots
from tests.sources.download.server import File, serve
from tests.sources.download.test_http import settings


@pytest.mark.parametrize(
    ("file", "path", "allowed"),
    [
        (File(b"User-agent: *\nDisallow: /private/*.html$\n"), "/private/a.html", False),
        (File(b"User-agent: *\nDisallow: /private/*.html$\n"), "/private/a.txt", True),
        (File(b"User-agent: *\nDisallow: /\nAllow: /feeds/\n"), "/feeds/a.xml", True),
        (File(b"User-agent: lmpipe\nDisallow: /\n"), "/a", False),
        (File(status=404), "/a", True),
        (File(failures=[(500, {})] * 9), "/a", False),
        (File(b"x" * 600_000), "/a", False),
    ],
)
def test_robots_txt_decides(file: File, path: str, allowed: bool) -> None:
    with serve({"/robots.txt": file}) as server, Client(settings()) as client:
        robots = Robots(client)
        assert robots.allows(server.url + path) is allowed
        assert robots.allows(server.url + path) is allowed
        assert len({request.path for request in server.requests}) == 1


def test_robots_crawl_delay_is_kept() -> None:
    with (
        serve({"/robots.txt": b"User-agent: *\nCrawl-delay: 0.3\n", "/a": b"x"}) as server,
        Client(settings()) as client,
    ):
        assert Robots(client).allows(server.url + "/a")
        for _ in range(2):
            client.get(server.url + "/a", max_bytes=10)
        first, second = (request.time for request in server.asked("/a"))
    assert second - first >= 0.25  # the server notes its time a little after the first request was sent


@pytest.mark.parametrize("said", ["nan", "-5", "0"])
def test_robots_crawl_delay_that_is_no_delay_is_passed_over(said: str) -> None:
    rules = f"User-agent: *\nCrawl-delay: {said}\n".encode()
    with serve({"/robots.txt": rules, "/a": b"x"}) as server, Client(settings()) as client:
        assert Robots(client).allows(server.url + "/a")
        assert client.get(server.url + "/a", max_bytes=10).body == b"x"


@pytest.mark.parametrize("address", ["javascript:void(0)", "http://[::1", "mailto:a@b"])
def test_robots_of_what_is_no_web_address_is_refused(address: str) -> None:
    with Client(settings()) as client, pytest.raises(DownloadError):
        Robots(client).allows(address)
