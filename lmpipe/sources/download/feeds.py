"""Poll news feeds and keep what is new since the last poll.

DATA/download/<name>-feeds/ holds one file of entries a poll that found any (entries-00001.jsonl.gz: an entry a
line, its HTML as it came) and state.json, which is replaced last and thus is the commit: an entries file that
it does not list never happened. The state keeps for each feed its ETag and date, so that an unchanged feed
costs the server nothing, the ids seen, and how long to leave a dead feed alone.

Hosts are asked side by side, each one thing at a time, and the entries are put down in the order of the feeds'
list. No feed can harm another: one that is dead, slow, huge, redirecting for ever or no feed at all costs its
host's thread some minutes, is counted and written down in the state with the reason, and is no bad record.
"""

import base64
import gzip
import hashlib
import json
import logging
import shutil
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from lxml import etree

from lmpipe.dataset import Execution
from lmpipe.errors import DownloadError, InputError
from lmpipe.settings import NewsFeeds, NewsSource
from lmpipe.sources.download.http import PERMANENT, Client, Response, asked_again_with, checked_url
from lmpipe.sources.download.robots import Robots
from lmpipe.sources.download.threads import MainThread, side_by_side
from lmpipe.sources.feeds import MAX_FEED_BYTES, BadFeedError, Entry, entries_of
from lmpipe.sources.limits import RecordTimeoutError, time_limit
from lmpipe.storage import locked, replacing, storage_errors, write_json
from lmpipe.workers import run_units

log = logging.getLogger(__name__)

SEEN = 5_000
"""Ids remembered of a feed beyond those in its last answer; large feeds show 500 at once."""
FIRST_PAUSE, LONGEST_PAUSE = 3600.0, 7 * 86400.0
"""Seconds a dead feed is left alone: an hour, then twice as long each time, up to a week."""
MAX_PAGE_BYTES = 8 << 20
"""Bytes of an article's page."""
THREADS = 16
"""Hosts asked at once: they are waited for, and what they send is at most 16 feeds in memory."""
RETRIES = 1
"""Further attempts at most within a poll: the next poll is the next attempt."""
HOST_SECONDS = 1800.0
"""How long one poll stays with a host; entries whose pages had no turn by then are new in the next poll."""


@dataclass(slots=True, kw_only=True)
class FeedState:
    """What is known of one feed."""

    address: str
    """Where it lies now: permanent redirects are remembered."""
    etag: str = ""
    modified: str = ""
    sha256: str = ""
    """Of the last answer, for servers without ETag."""
    seen: list[str] = field(default_factory=list)
    said: dict[str, str] = field(default_factory=dict)
    """What the entries of the last answer said, by id, as a short hash: one that says something else has changed."""
    failures: int = 0
    """Polls in a row that failed."""
    next: float = 0.0
    """Seconds since 1970 before which it is left alone."""
    gone: bool = False
    """Answered 410: never asked again."""
    error: str = ""
    """Why the last poll failed; empty when it did not."""


class Poll(NamedTuple):
    """The arguments of one poll; it runs in a main thread, so that parsing has a time limit (workers.py)."""

    source: NewsSource
    base: Path
    folder: Path


class Turn(NamedTuple):
    """One feed's turn in a poll."""

    url: str
    feed: FeedState
    lines: Path
    """Where its new entries go, a line each, until all are put together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """What one poll asks with."""

    client: Client
    robots: Robots
    pages: bool


def fetch(source: NewsSource, base: Path, data: Path, execution: Execution) -> list[Path]:
    """Poll the feeds once; return the entries files of all polls so far, in order.

    Raises InputError when no feed is named. What goes wrong with a feed is logged and kept in its state.
    """
    folder = data / "download" / f"{source.name}-feeds"
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with locked(folder):
            (files,) = run_units(poll, [Poll(source, base, folder)], 1)
    return [folder / name for name in files]


def poll(arguments: Poll) -> list[str]:
    """Ask every feed that is due, write the new entries, commit the state; return the committed files."""
    source, base, folder = arguments
    download = source.download
    assert isinstance(download, NewsFeeds), "chosen by the kind of its table"
    state = read_state(folder)
    files: list[str] = state["files"]
    for leftover in {path.name for path in folder.glob("*entries-*")} - set(files):
        (folder / leftover).unlink()
    known: dict[str, FeedState] = state["feeds"]
    path, spool = folder / f"entries-{len(files) + 1:05d}.jsonl.gz", folder / "poll"
    shutil.rmtree(spool, ignore_errors=True)  # of a poll that was killed
    spool.mkdir()
    turns = [
        Turn(url, known.setdefault(url, FeedState(address=url)), spool / f"{number:06d}")
        for number, url in enumerate(addresses(download, base))
    ]
    http = replace(download.http, retries=min(download.http.retries, RETRIES))
    with Client(http) as client:
        asking = Asking(client=client, robots=Robots(client), pages=download.pages)
        side_by_side(lambda host, main: poll_host(host, asking, main), by_host(turns), THREADS)
    num_lines = gather(turns, path)
    if num_lines:
        files.append(path.name)
    write_json(folder / "state.json", {"files": files, "feeds": {url: asdict(feed) for url, feed in known.items()}})
    shutil.rmtree(spool)
    failed = [turn.url for turn in turns if turn.feed.error]
    log.info("%s: %d new entries, %d of %d feeds failed", source.name, num_lines, len(failed), len(turns))
    return files


def by_host(turns: list[Turn]) -> list[list[Turn]]:
    """Put the feeds of a host together, so that no thread waits for another's turn; in the order of the list."""
    hosts: dict[str, list[Turn]] = {}
    for turn in turns:
        try:
            host = checked_url(turn.feed.address).host
        except DownloadError:
            host = ""  # no address: asking will say so
        hosts.setdefault(host, []).append(turn)
    return list(hosts.values())


def gather(turns: list[Turn], path: Path) -> int:
    """Put the lines of all feeds together, in the order of the list; return their number, without a file for none."""
    num_lines = 0
    with replacing(path) as temporary, gzip.GzipFile(temporary, "wb", mtime=0) as out:
        for turn in turns:
            if turn.lines.exists():
                with turn.lines.open("rb") as lines:
                    for line in lines:
                        out.write(line)
                        num_lines += 1
    if not num_lines:
        path.unlink()
    return num_lines


def read_state(folder: Path) -> dict[str, Any]:
    """Read the state; a first poll has none."""
    try:
        body = json.loads((folder / "state.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {"files": [], "feeds": {}}
    except ValueError as error:
        raise InputError(
            f"{folder / 'state.json'}: not readable as JSON ({error}). Delete the folder to begin anew."
        ) from None
    names = {f.name for f in fields(FeedState)}
    feeds = {url: FeedState(**{k: v for k, v in feed.items() if k in names}) for url, feed in body["feeds"].items()}
    return {"files": list(body["files"]), "feeds": feeds}


def addresses(download: NewsFeeds, base: Path) -> list[str]:
    """List the feeds of a recipe, each once: its urls, and those of its list or OPML file."""
    found = list(download.urls)
    if download.feed_list is not None:
        content = (base / download.feed_list).read_bytes()
        if content.lstrip().startswith(b"<"):
            parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, recover=True)
            root = etree.fromstring(content, parser)
            found += [str(url) for url in root.xpath("//outline/@xmlUrl")] if root is not None else []
        else:
            lines = (line.strip() for line in content.decode("utf-8", "replace").splitlines())
            found += [line for line in lines if line and not line.startswith("#")]
    if not found:
        raise InputError("feeds: expected addresses in urls or feed_list, found none. Name at least one feed.")
    return list(dict.fromkeys(found))


def poll_host(turns: list[Turn], asking: Asking, main: MainThread) -> None:
    """Ask the feeds of one host that are due, one after the other, until the host's time is over."""
    deadline = time.monotonic() + HOST_SECONDS
    for number, turn in enumerate(turns):
        if time.monotonic() > deadline:
            log.warning("%d feeds of the host of %s had no turn in this poll", len(turns) - number, turn.url)
            return
        if not turn.feed.gone and time.time() >= turn.feed.next:
            poll_feed(turn, asking, main, deadline)


def poll_feed(turn: Turn, asking: Asking, main: MainThread, deadline: float) -> None:
    """Ask one feed, put down its new entries, and remember what it said or why it failed."""
    feed, now = turn.feed, time.time()
    try:
        answer = asked(feed, asking)
        sha256 = hashlib.sha256(answer.body).hexdigest()
        unchanged = answer.status == 304 or sha256 == feed.sha256
        entries = [] if unchanged else main.call(parsed, answer)
    except DownloadError as error:
        feed.failures += 1
        feed.next = now + min(FIRST_PAUSE * 2 ** (feed.failures - 1), LONGEST_PAUSE)
        feed.error = str(error)
        log.warning("feed %s", error)
        return
    feed.failures, feed.next, feed.error = 0, 0.0, ""
    if unchanged:
        return
    fetched = datetime.fromtimestamp(now, UTC).isoformat(timespec="seconds")
    with turn.lines.open("wb") as out:
        for entry in fresh_entries(feed, entries):
            if time.monotonic() > deadline:
                log.warning("feed %s: its host's time is over, the next poll goes on", turn.url)
                return
            page = page_of(entry, asking) if asking.pages else {}
            line = {"feed": turn.url, **entry._asdict(), "fetched": fetched, **page}
            out.write(json.dumps(line, ensure_ascii=False).encode("utf-8", "replace") + b"\n")
            feed.seen.append(entry.id)
            feed.said[entry.id] = said(entry)
    present = {entry.id: said(entry) for entry in entries}
    older = [number for number in feed.seen if number not in present]
    feed.seen = [*older[-SEEN:], *present]
    feed.said = present
    feed.sha256 = sha256
    feed.etag = asked_again_with(answer.headers.get("etag"))
    feed.modified = asked_again_with(answer.headers.get("last-modified"))


def fresh_entries(feed: FeedState, entries: list[Entry]) -> Iterator[Entry]:
    """Give each entry whose id was not seen before, or that says something else than last time, once."""
    seen = set(feed.seen)
    for entry in entries:
        changed = entry.id in feed.said and feed.said[entry.id] != said(entry)
        if changed or entry.id not in seen:
            seen.add(entry.id)
            yield entry


def said(entry: Entry) -> str:
    """Stand for what an entry says."""
    text = "\n".join((entry.title, entry.html, entry.published))
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:16]


def parsed(answer: Response) -> list[Entry]:
    """List the entries of an answer; raises DownloadError when it is no feed. For the main thread."""
    try:
        with time_limit():
            entries = entries_of(answer.body)
        problem = "expected an RSS, Atom or CDF feed"
    except (RecordTimeoutError, BadFeedError) as error:
        entries, problem = None, str(error)
    if entries is None:
        raise DownloadError(f"{answer.url}: {problem}, found {answer.body.lstrip()[:40]!r}.")
    return entries


def asked(feed: FeedState, asking: Asking) -> Response:
    """Ask a feed for what changed; raises DownloadError for anything but an answer or "not modified"."""
    if not asking.robots.allows(feed.address):
        raise DownloadError(f"{feed.address}: robots.txt does not allow it, or cannot be had.")
    conditions = {"If-None-Match": feed.etag, "If-Modified-Since": feed.modified}
    headers = {name: value for name, value in conditions.items() if value}
    answer = asking.client.get(feed.address, max_bytes=MAX_FEED_BYTES, headers=headers)
    if answer.redirects and all(status in PERMANENT for status, _ in answer.redirects) and answer.status == 200:
        feed.address = answer.url
    if answer.status == 410:
        feed.gone = True
    if answer.status not in (200, 304):
        raise DownloadError(f"{feed.address}: expected a feed, found status {answer.status}.")
    return answer


def page_of(entry: Entry, asking: Asking) -> dict[str, str]:
    """Fetch the page behind an entry; nothing when it cannot be had, then its summary stands."""
    try:
        if not entry.link or not asking.robots.allows(entry.link):
            return {}
        answer = asking.client.get(entry.link, max_bytes=MAX_PAGE_BYTES)
    except DownloadError as error:
        log.info("page %s", error)
        return {}
    kind = answer.headers.get("content-type", "")
    if answer.status != 200 or "html" not in kind.lower():
        return {}
    return {"page": base64.b64encode(answer.body).decode(), "page_type": kind, "page_url": answer.url}
