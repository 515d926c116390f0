"""Read RSS, Atom and CDF feeds: each entry is a document.

feedparser gets bytes, never a name, so that it opens neither files nor URLs. Ill-formed XML is the rule
in feeds, so a feed that gives entries is read however broken it is; a file that is none is one bad record.
"""

import hashlib
import io
import re
import time
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import feedparser

from lmpipe.document import RAW_BYTES, BadRecord, Document, Origin, Record, Skipped
from lmpipe.sources.encoding import DOUBTFUL, file_name
from lmpipe.sources.html import XML_ILLEGAL, BadPageError, clean_line, fragment_text
from lmpipe.sources.limits import PARSER_FAILURES, RecordTimeoutError, time_limit

MAX_FEED_BYTES = 16 << 20
"""The largest feed; feedparser reads 0.3 MB/s and holds the whole some ten times over."""

CHANNEL = re.compile(rb"<channel[\s>]", re.IGNORECASE)
"""The root of CDF, by which feedparser knows such a feed only once it has an entry."""

HALVES = re.compile(rb"(?:&#(?:x0*d[89a-f][0-9a-f]{2}|5[5-7][0-9]{3});)+", re.IGNORECASE)
"""References to halves of characters beyond U+FFFF, as programs that think in UTF-16 write emoji; XML has none, and
feedparser fails on them."""


class BadFeedError(Exception):
    """Why a feed cannot be parsed."""


class Entry(NamedTuple):
    """One entry as its feed gives it; what is absent is empty."""

    id: str
    link: str
    title: str
    """With markup, as the next two."""
    html: str
    """The longest content, else the summary."""
    author: str
    published: str
    """ISO 8601."""


def read_feed(path: Path) -> Iterator[Record]:
    """Yield one record per entry, or one bad record when the file is no feed."""
    size = path.stat().st_size
    origin = Origin(file_name(path), 0, size)
    with path.open("rb") as file:
        data = file.read(MAX_FEED_BYTES if size <= MAX_FEED_BYTES else RAW_BYTES)
    if size > MAX_FEED_BYTES:
        yield BadRecord(origin=origin, error=f"feed of {size} bytes; at most {MAX_FEED_BYTES} are read", raw=data)
        return
    try:
        with time_limit():
            feed = parse(data)
    except (RecordTimeoutError, BadFeedError) as error:
        yield BadRecord(origin=origin, error=str(error), raw=data[:RAW_BYTES])
        return
    entries = feed.get("entries", [])
    if not entries:
        yield no_entries(feed, data, origin)
    for number, entry in enumerate(entries, start=1):
        yield read_entry(entry_of(entry), f"{origin.file}#{number}", origin)


def parse(data: bytes) -> Any:
    """Parse a feed's bytes; raises BadFeedError for what feedparser cannot."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # feedparser and its sgmllib warn about their own use of Python
        try:
            return feedparser.parse(io.BytesIO(HALVES.sub(put_together, data)))
        except PARSER_FAILURES as error:
            raise BadFeedError(f"feedparser fails: {error!r}") from error


def put_together(halves: re.Match[bytes]) -> bytes:
    """Write a run of references to halves as references to whole characters; a single half is U+FFFD."""
    numbers = halves[0].decode("ascii").lower().removesuffix(";").split(";")
    units = [int(number[3:], 16) if number[2] == "x" else int(number[2:]) for number in numbers]
    whole = "".join(map(chr, units)).encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return "".join(f"&#{ord(character)};" for character in whole).encode("ascii")


def no_entries(feed: Any, data: bytes, origin: Origin) -> Record:
    """Tell an empty feed, which is in order, from a file that is no feed."""
    if is_feed(feed, data):
        return Skipped(reason="empty")
    found = "an empty file" if not data.strip() else f"{data.lstrip()[:40]!r}"
    return BadRecord(origin=origin, error=f"expected a WARC file or an RSS or Atom feed, found {found}", raw=data)


def is_feed(feed: Any, data: bytes) -> bool:
    """Tell a feed that has no entry now from what is no feed."""
    return bool(feed.get("version")) or CHANNEL.search(data) is not None


def entries_of(data: bytes) -> list[Entry] | None:
    """List the entries of a feed's bytes, each with an id; None when they are no feed.

    Raises BadFeedError.
    """
    feed = parse(data)
    if not feed.get("entries") and not is_feed(feed, data):
        return None
    return [identified(entry_of(entry)) for entry in feed.get("entries", [])]


def entry_of(entry: Any) -> Entry:
    """Take what is kept of a parsed entry."""
    published = entry_date(entry)
    return Entry(
        id=plain(entry.get("id")),
        link=plain(entry.get("link")),
        title=entry.get("title") or "",
        html=entry_html(entry),
        author=plain(entry.get("author")),
        published=published.isoformat() if published else "",
    )


def identified(entry: Entry) -> Entry:
    """Give an entry without id and link the hash of what it says as its id."""
    said = f"{entry.title}\n{entry.html}".encode("utf-8", "replace")
    return entry._replace(id=entry.id or entry.link or hashlib.sha256(said).hexdigest()[:24])


def plain(value: str | None) -> str:
    """Put an id, a link or a name on one line of legal characters."""
    return clean_line(XML_ILLEGAL.sub("", value or ""))


def read_entry(entry: Entry, number: str, origin: Origin) -> Record:
    """Make an entry a document; `number` is its id when it has neither id nor link."""
    try:
        with time_limit():
            text = fragment_text(entry.html)
            title = clean_line(fragment_text(entry.title))
    except (BadPageError, RecordTimeoutError) as error:
        raw = entry.html.encode("utf-8", "replace")
        return BadRecord(origin=origin, error=f"{number}: {error}", raw=raw[:RAW_BYTES])
    if not text:
        return Skipped(reason="empty")
    num_doubtful = len(DOUBTFUL.findall(text))
    if num_doubtful > 2 + 0.01 * len(text):
        reason = f"{number}: wrong encoding: {num_doubtful} of {len(text)} characters would be control characters"
        return BadRecord(origin=origin, error=reason, raw=text.encode("utf-8", "replace"))
    return Document(
        native_id=entry.id or entry.link or number,
        title=title,
        text=text,
        origin=origin,
        url=entry.link or None,
        created=datetime.fromisoformat(entry.published) if entry.published else None,
        meta={"author": entry.author} if entry.author else {},
    )


def entry_html(entry: Any) -> str:
    """Take an entry's longest content, else its summary."""
    contents = [content.get("value") or "" for content in entry.get("content", [])]
    return max(contents, key=len, default="") or entry.get("summary") or ""


def entry_date(entry: Any) -> datetime | None:
    """Read when an entry was published, else updated; None for dates out of range."""
    # dict.get, because feedparser's own answers "updated" with "published", and warns
    parsed: time.struct_time | None = dict.get(entry, "published_parsed") or dict.get(entry, "updated_parsed")
    if parsed is None:
        return None
    try:
        return datetime(*parsed[:6], tzinfo=UTC)
    except ValueError:
        return None
