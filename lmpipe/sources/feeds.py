"""Read RSS, Atom and CDF feeds: each entry is a document.

feedparser gets bytes, never a name, so that it opens neither files nor URLs. Ill-formed XML is the rule
in feeds, so a feed that gives entries is read however broken it is; a file that is none is one bad record.
"""

import io
import time
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import feedparser

from lmpipe.document import RAW_BYTES, BadRecord, Document, Origin, Record, Skipped
from lmpipe.sources.encoding import DOUBTFUL, file_name
from lmpipe.sources.html import XML_ILLEGAL, BadPageError, clean_line, fragment_text

MAX_FEED_BYTES = 16 << 20
"""The largest feed; feedparser reads 0.3 MB/s and holds the whole some ten times over."""


def read_feed(path: Path) -> Iterator[Record]:
    """Yield one record per entry, or one bad record when the file is no feed."""
    size = path.stat().st_size
    origin = Origin(file_name(path), 0, size)
    with path.open("rb") as file:
        data = file.read(MAX_FEED_BYTES if size <= MAX_FEED_BYTES else RAW_BYTES)
    if size > MAX_FEED_BYTES:
        yield BadRecord(origin=origin, error=f"feed of {size} bytes; at most {MAX_FEED_BYTES} are read", raw=data)
        return
    feed = parse(data)
    entries = feed.get("entries", [])
    if not entries:
        yield no_entries(feed, data, origin)
    for number, entry in enumerate(entries, start=1):
        yield read_entry(entry, f"{origin.file}#{number}", origin)


def parse(data: bytes) -> Any:
    """Parse a feed's bytes."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # feedparser and its sgmllib warn about their own use of Python
        return feedparser.parse(io.BytesIO(data))


def no_entries(feed: Any, data: bytes, origin: Origin) -> Record:
    """Tell an empty feed, which is in order, from a file that is no feed."""
    if feed.get("version"):
        return Skipped(reason="empty")
    found = "an empty file" if not data.strip() else f"{data.lstrip()[:40]!r}"
    return BadRecord(origin=origin, error=f"expected a WARC file or an RSS or Atom feed, found {found}", raw=data)


def read_entry(entry: Any, number: str, origin: Origin) -> Record:
    """Make an entry a document; `number` is its id when it has neither id nor link."""
    try:
        text = fragment_text(entry_html(entry))
        title = clean_line(fragment_text(entry.get("title") or ""))
    except BadPageError as error:
        raw = entry_html(entry).encode("utf-8", "replace")
        return BadRecord(origin=origin, error=f"{number}: {error}", raw=raw[:RAW_BYTES])
    if not text:
        return Skipped(reason="empty")
    num_doubtful = len(DOUBTFUL.findall(text))
    if num_doubtful > 2 + 0.01 * len(text):
        reason = f"{number}: wrong encoding: {num_doubtful} of {len(text)} characters would be control characters"
        return BadRecord(origin=origin, error=reason, raw=text.encode("utf-8", "replace"))
    link = clean_line(XML_ILLEGAL.sub("", entry.get("link") or ""))
    return Document(
        native_id=clean_line(XML_ILLEGAL.sub("", entry.get("id") or "")) or link or number,
        title=title,
        text=text,
        origin=origin,
        url=link or None,
        created=entry_date(entry),
        meta=entry_meta(entry),
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


def entry_meta(entry: Any) -> dict[str, str]:
    """Keep an entry's author."""
    author = clean_line(XML_ILLEGAL.sub("", entry.get("author") or ""))
    return {"author": author} if author else {}
