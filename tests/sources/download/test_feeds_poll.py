"""Polls of feeds on a local server: only what is new, and no feed harms another."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import feedparser
import pytest

from lmpipe.dataset import Execution
from lmpipe.document import Document, Record
from lmpipe.errors import InputError
from lmpipe.settings import HttpSettings, NewsFeeds, NewsSource
from lmpipe.sources import news
from lmpipe.sources.download import feeds
from lmpipe.sources.download.fetch import fetch
from tests.sources.download.server import File, Server, serve

PAGE = "<html><head><title>Harbour</title></head><body><article><h1>Harbour</h1>" + "".join(
    f"<p>Paragraph {n} tells at some length how the new harbour was planned, paid for and built.</p>" for n in range(9)
)


def rss(*ids: str) -> bytes:
    items = "".join(
        f"<item><guid>{i}</guid><link>http://host/{i}</link><title>T {i}</title>"
        f"<description>News {i}.</description></item>"
        for i in ids
    )
    return f'<?xml version="1.0"?><rss version="2.0"><channel><title>Bay</title>{items}</channel></rss>'.encode()


def source(server: Server, *paths: str, **changes: Any) -> NewsSource:
    http = HttpSettings(contact="mail@example.org", requests_per_second=1000, private=True, timeout=0.5, retries=0)
    given: dict[str, Any] = {"kind": "feeds", "urls": tuple(server.url + path for path in paths), "http": http}
    return NewsSource(kind="news", name="bay", download=NewsFeeds(**(given | changes)))


def poll(source: NewsSource, data: Path) -> list[Path]:
    return fetch(source, data, data, Execution())


def records(source: NewsSource, files: list[Path]) -> list[Record]:
    return [record for unit in news.units(source, files) for record in news.read(source, unit)]


def texts(source: NewsSource, files: list[Path]) -> list[str]:
    return [record.text for record in records(source, files) if isinstance(record, Document)]


def state(data: Path) -> dict[str, Any]:
    return json.loads((data / "download" / "bay-feeds" / "state.json").read_text())["feeds"]


def test_a_second_poll_takes_only_what_is_new(tmp_path: Path) -> None:
    with serve({"/a": rss("1", "2")}) as server:
        asked = source(server, "/a")
        first = poll(asked, tmp_path)
        server.files["/a"] = File(rss("2", "3"))
        second = poll(asked, tmp_path)
        assert poll(asked, tmp_path) == second
    assert texts(asked, first) == ["News 1.", "News 2."]
    assert second[:-1] == first
    assert texts(asked, second) == ["News 1.", "News 2.", "News 3."]


def test_an_unchanged_feed_is_asked_with_its_etag_and_sends_nothing(tmp_path: Path) -> None:
    feed = File(rss("1"), headers={"ETag": '"v1"', "Last-Modified": "Tue, 04 May 2021 10:00:00 GMT"})
    with serve({"/a": feed}) as server:
        first = poll(source(server, "/a"), tmp_path)
        server.files["/a"] = File(status=304)
        assert poll(source(server, "/a"), tmp_path) == first
        asked = server.asked("/a")[-1].headers
    assert (asked["if-none-match"], asked["if-modified-since"]) == ('"v1"', "Tue, 04 May 2021 10:00:00 GMT")
    assert len(first) == 1


@pytest.mark.parametrize("etag", ['"\xe9"', '"' + "x" * 9000 + '"'])
def test_an_etag_that_cannot_be_sent_back_stops_no_later_poll(tmp_path: Path, etag: str) -> None:
    with serve({"/a": File(rss("1"), headers={"ETag": etag})}) as server:
        asked = source(server, "/a")
        poll(asked, tmp_path)
        server.files["/a"] = File(rss("2"))
        assert texts(asked, poll(asked, tmp_path)) == ["News 1.", "News 2."]


def test_an_entry_with_half_a_character_is_kept(tmp_path: Path) -> None:
    with serve({"/a": rss("1").replace(b"News 1.", b"News &#xD83D; 1.")}) as server:
        asked = source(server, "/a")
        assert len(texts(asked, poll(asked, tmp_path))) == 1


def test_numbers_as_ids_stay_apart_by_feed(tmp_path: Path) -> None:
    with serve({"/a": rss("1"), "/b": rss("1")}) as server:
        found = records(source(server), poll(source(server, "/a", "/b"), tmp_path))
        assert [r.native_id for r in found if isinstance(r, Document)] == [server.url + "/a#1", server.url + "/b#1"]


BAD: dict[str, Callable[[], File]] = {
    "dead": lambda: File(status=500, failures=[(500, {})] * 9),
    "missing": lambda: File(status=404),
    "dripping": lambda: File(rss("x") * 100, drip=0.05),
    "huge": lambda: File(bytes(17 << 20)),
    "redirecting for ever": lambda: File(status=302, headers={"Location": "/bad"}),
    "redirecting to a file": lambda: File(status=302, headers={"Location": "file:///etc/passwd"}),
    "redirecting to nowhere": lambda: File(status=302, headers={"Location": "http://[broken"}),
    "gzip bomb": lambda: File(b"\x1f\x8b" + bytes(100), headers={"Content-Encoding": "gzip"}),
    "no feed": lambda: File(b"<html>login</html>"),
    "empty": lambda: File(b""),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_feed_harms_no_other_and_is_left_alone_for_a_while(tmp_path: Path, kind: str) -> None:
    """It is no bad record either: those are counted against max_quarantine."""
    with serve({"/bad": BAD[kind](), "/good": rss("1")}) as server:
        asked = source(server, "/bad", "/good")
        files = poll(asked, tmp_path)
        before = len(server.asked("/bad"))
        assert poll(asked, tmp_path) == files
        assert len(server.asked("/bad")) == before
        bad = state(tmp_path)[server.url + "/bad"]
    (good,) = records(asked, files)
    assert isinstance(good, Document)
    assert (bad["failures"], bad["error"] != "") == (1, True)
    assert state(tmp_path)[server.url + "/good"]["error"] == ""


@pytest.mark.parametrize(
    "address", ["no address", "ftp://host/feed", "http://[broken", "http://", "http://127.0.0.1:1/a"]
)
def test_an_address_that_leads_nowhere_harms_no_other(tmp_path: Path, address: str) -> None:
    with serve({"/good": rss("1")}) as server:
        asked = source(server, urls=(address, server.url + "/good"))
        assert texts(asked, poll(asked, tmp_path)) == ["News 1."]
    assert state(tmp_path)[address]["failures"] == 1


def test_hosts_are_asked_side_by_side_and_their_entries_stand_in_the_order_of_the_list(tmp_path: Path) -> None:
    with serve({"/a": File(rss("1"), drip=0.001), "/c": rss("3")}) as slow, serve({"/b": rss("2")}) as quick:
        urls = (slow.url + "/a", quick.url.replace("127.0.0.1", "localhost") + "/b", slow.url + "/c")
        asked = source(slow, urls=urls)
        found = records(asked, poll(asked, tmp_path))
        assert quick.asked("/b")[0].time < slow.asked("/c")[0].time, "the quick host did not wait for the slow one"
    assert [r.text for r in found if isinstance(r, Document)] == ["News 1.", "News 2.", "News 3."]
    assert not (tmp_path / "download" / "bay-feeds" / "poll").exists()


def test_a_feed_that_makes_its_parser_fail_harms_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = feedparser.parse

    def failing(file: io.BytesIO) -> Any:
        if b"<guid>bad</guid>" in file.getvalue():
            raise RecursionError("too deep")
        return real(file)

    monkeypatch.setattr(feedparser, "parse", failing)
    with serve({"/bad": rss("bad"), "/good": rss("1")}) as server:
        asked = source(server, "/bad", "/good")
        assert texts(asked, poll(asked, tmp_path)) == ["News 1."]
        assert "too deep" in state(tmp_path)[server.url + "/bad"]["error"]


def test_a_host_that_takes_too_long_goes_on_in_the_next_poll(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeds, "HOST_SECONDS", 0.15)
    with serve({"/robots.txt": b"User-agent: *\nCrawl-delay: 0.1\n"}) as server:
        ids = [f"{server.url}/{n}" for n in range(4)]
        server.files["/a"] = File(rss(*ids).replace(b"http://host/", b""))
        asked = source(server, "/a", pages=True)
        first = poll(asked, tmp_path)
        assert 0 < len(texts(asked, first)) < 4
        monkeypatch.setattr(feeds, "HOST_SECONDS", 60.0)
        assert texts(asked, poll(asked, tmp_path)) == [f"News {i}." for i in ids]


def test_robots_txt_is_honoured(tmp_path: Path) -> None:
    with serve({"/robots.txt": b"User-agent: *\nDisallow: /a\n", "/a": rss("1"), "/b": rss("2")}) as server:
        asked = source(server, "/a", "/b")
        assert texts(asked, poll(asked, tmp_path)) == ["News 2."]
        assert server.asked("/a") == []


def test_a_moved_feed_is_asked_at_its_new_place_and_a_gone_one_never_again(tmp_path: Path) -> None:
    moved = File(status=301, headers={"Location": "/new"})
    with serve({"/old": moved, "/new": rss("1"), "/gone": File(status=410)}) as server:
        asked = source(server, "/old", "/gone")
        poll(asked, tmp_path)
        body = json.loads((tmp_path / "download" / "bay-feeds" / "state.json").read_text())
        for feed in body["feeds"].values():
            feed["next"] = 0.0
        (tmp_path / "download" / "bay-feeds" / "state.json").write_text(json.dumps(body))
        poll(asked, tmp_path)
        assert (len(server.asked("/old")), len(server.asked("/new")), len(server.asked("/gone"))) == (1, 2, 1)


def test_pages_behind_entries_are_fetched_where_robots_allows(tmp_path: Path) -> None:
    feed = rss("1", "2").replace(b"http://host", b"{}")
    with serve({"/robots.txt": b"User-agent: *\nDisallow: /2\n"}) as server:
        server.files["/a"] = File(feed.replace(b"{}", server.url.encode()))
        server.files["/1"] = File(PAGE.encode(), headers={"Content-Type": "text/html; charset=utf-8"})
        asked = source(server, "/a", pages=True)
        first, second = texts(asked, poll(asked, tmp_path))
        assert server.asked("/2") == []
    assert "Paragraph 3 tells" in first
    assert second == "News 2."


def test_a_poll_killed_before_its_state_never_happened(tmp_path: Path) -> None:
    with serve({"/a": rss("1")}) as server:
        asked = source(server, "/a")
        (path,) = poll(asked, tmp_path)
        (path.parent / "state.json").unlink()
        orphan = path.with_name("entries-00007.jsonl.gz")
        orphan.write_bytes(b"half")
        assert [found.name for found in poll(asked, tmp_path)] == ["entries-00001.jsonl.gz"]
        assert not orphan.exists()
        assert texts(asked, [path]) == ["News 1."]


@pytest.mark.parametrize(
    "content",
    ["# mine\n{0}/a\n\n{0}/b\n", '<opml><body><outline xmlUrl="{0}/a"/><outline xmlUrl="{0}/b"/></body></opml>'],
)
def test_feeds_can_be_listed_in_a_file(tmp_path: Path, content: str) -> None:
    with serve({"/a": rss("1"), "/b": rss("2")}) as server:
        (tmp_path / "list").write_text(content.format(server.url))
        asked = source(server, feed_list="list")
        assert texts(asked, poll(asked, tmp_path)) == ["News 1.", "News 2."]


def test_no_feed_at_all_is_a_mistake(tmp_path: Path) -> None:
    with serve({}) as server, pytest.raises(InputError, match="at least one feed"):
        poll(source(server), tmp_path)


def test_an_entry_that_says_something_else_than_before_is_taken_again(tmp_path: Path) -> None:
    changed = rss("1", "2").replace(b"News 1.", b"News 1, corrected.")
    with serve({"/a": rss("1", "2")}) as server:
        poll(source(server, "/a"), tmp_path)
        server.files["/a"] = File(changed)
        files = poll(source(server, "/a"), tmp_path)
        assert poll(source(server, "/a"), tmp_path) == files
    documents = [record for record in records(source(server, "/a"), files) if isinstance(record, Document)]
    assert [document.text for document in documents] == ["News 1.", "News 2.", "News 1, corrected."]
    assert documents[0].native_id == documents[2].native_id
