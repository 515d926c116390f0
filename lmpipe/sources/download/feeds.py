"""Poll news feeds and keep what is new since the last poll.

DATA/download/<name>-feeds/ holds one file of entries a poll that found any (entries-00001.jsonl.gz: an entry a
line, its HTML as it came) and state.json, which is replaced last and thus is the commit: an entries file that
it does not list never happened. The state keeps for each feed its ETag and date, so that an unchanged feed
costs the server nothing, the ids seen, and how long to leave a dead feed alone. No feed can harm another.
"""

import base64
import gzip
import hashlib
import json
import logging
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from lxml import etree

from lmpipe.dataset import Execution
from lmpipe.errors import DownloadError, InputError
from lmpipe.settings import NewsFeeds, NewsSource
from lmpipe.sources.download.http import PERMANENT, Client, Response
from lmpipe.sources.download.robots import Robots
from lmpipe.sources.feeds import MAX_FEED_BYTES, Entry, entries_of
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
RAW_BYTES = 64 << 10
"""Bytes kept of an answer that is no feed."""


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
    path = folder / f"entries-{len(files) + 1:05d}.jsonl.gz"
    num_lines = 0
    with Client(download.http) as client, replacing(path) as temporary:
        robots = Robots(client)
        with gzip.GzipFile(temporary, "wb", mtime=0) as out:
            for url in addresses(download, base):
                feed = known.setdefault(url, FeedState(address=url))
                for line in poll_feed(feed, client, robots, pages=download.pages):
                    out.write(json.dumps({"feed": url, **line}, ensure_ascii=False).encode() + b"\n")
                    num_lines += 1
    if num_lines:
        files.append(path.name)
    else:
        path.unlink()
    write_json(folder / "state.json", {"files": files, "feeds": {url: asdict(feed) for url, feed in known.items()}})
    failed = sum(1 for feed in known.values() if feed.error)
    log.info("%s: %d new entries, %d of %d feeds failed", source.name, num_lines, failed, len(known))
    return files


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


def poll_feed(feed: FeedState, client: Client, robots: Robots, *, pages: bool) -> Iterator[dict[str, Any]]:
    """Ask one feed if it is due; yield a line for each new entry, or for an answer that is no feed."""
    now = time.time()
    if feed.gone or now < feed.next:
        return
    try:
        answer = asked(feed, client, robots)
        feed.failures, feed.next, feed.error = 0, 0.0, ""
    except DownloadError as error:
        feed.failures += 1
        feed.next = now + min(FIRST_PAUSE * 2 ** (feed.failures - 1), LONGEST_PAUSE)
        feed.error = str(error)
        log.warning("feed %s", error)
        return
    sha256 = hashlib.sha256(answer.body).hexdigest()
    if answer.status == 304 or sha256 == feed.sha256:
        return
    fetched = datetime.fromtimestamp(now, UTC).isoformat(timespec="seconds")
    yield from new_entries(feed, answer, client, robots, fetched, pages=pages)
    feed.sha256 = sha256
    feed.etag, feed.modified = answer.headers.get("etag", ""), answer.headers.get("last-modified", "")


def asked(feed: FeedState, client: Client, robots: Robots) -> Response:
    """Ask a feed for what changed; raises DownloadError for anything but an answer or "not modified"."""
    if not robots.allows(feed.address):
        raise DownloadError(f"{feed.address}: robots.txt does not allow it, or cannot be had.")
    conditions = {"If-None-Match": feed.etag, "If-Modified-Since": feed.modified}
    headers = {name: value for name, value in conditions.items() if value}
    answer = client.get(feed.address, max_bytes=MAX_FEED_BYTES, headers=headers)
    if answer.redirects and all(status in PERMANENT for status, _ in answer.redirects) and answer.status == 200:
        feed.address = answer.url
    if answer.status == 410:
        feed.gone = True
    if answer.status not in (200, 304):
        raise DownloadError(f"{feed.address}: expected a feed, found status {answer.status}.")
    return answer


def new_entries(
    feed: FeedState, answer: Response, client: Client, robots: Robots, fetched: str, *, pages: bool
) -> Iterator[dict[str, Any]]:
    """Yield the entries of an answer that were not seen before, and remember them."""
    try:
        with time_limit():
            entries = entries_of(answer.body)
        problem = "expected an RSS, Atom or CDF feed" if entries is None else ""
    except RecordTimeoutError as error:
        entries, problem = None, str(error)
    if entries is None:
        raw = base64.b64encode(answer.body[:RAW_BYTES]).decode()
        yield {"error": f"{problem}, found {answer.body.lstrip()[:40]!r}", "raw": raw, "fetched": fetched}
        return
    seen = set(feed.seen)
    for entry in entries:
        if entry.id not in seen:
            seen.add(entry.id)
            yield {**entry._asdict(), "fetched": fetched, **(page_of(entry, client, robots) if pages else {})}
    present = [entry.id for entry in entries]
    older = [number for number in feed.seen if number not in set(present)]
    feed.seen = [*older[-SEEN:], *present]


def page_of(entry: Entry, client: Client, robots: Robots) -> dict[str, str]:
    """Fetch the page behind an entry; nothing when it cannot be had, then its summary stands."""
    try:
        if not entry.link or not robots.allows(entry.link):
            return {}
        answer = client.get(entry.link, max_bytes=MAX_PAGE_BYTES)
    except DownloadError as error:
        log.info("page %s", error)
        return {}
    kind = answer.headers.get("content-type", "")
    if answer.status != 200 or "html" not in kind.lower():
        return {}
    return {"page": base64.b64encode(answer.body).decode(), "page_type": kind, "page_url": answer.url}
