"""Read what polls of feeds have kept (download/feeds.py): lines of JSON, one new entry each.

An entry whose page was fetched is read from the page, else from its own HTML.
"""

import base64
import binascii
import json
import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from lmpipe.document import RAW_BYTES, BadRecord, Document, Record
from lmpipe.settings import NewsSource
from lmpipe.sources.encoding import UndecodableError, decode
from lmpipe.sources.feeds import Entry, read_entry
from lmpipe.sources.html import BadPageError, declared_charset, extract
from lmpipe.sources.limits import RecordTimeoutError, time_limit
from lmpipe.sources.records import Raw, codec_meta, lines

CHARSET = re.compile(r"charset\s*=\s*[\"']?([\w:.-]+)", re.IGNORECASE)
START = b'{"feed": "'
"""How every line begins, by which a file of entries is known."""


def read_entries(source: NewsSource, path: Path) -> Iterator[Record]:
    """Yield one record per line."""
    for raw in lines(path):
        if raw.error is not None:
            yield BadRecord(origin=raw.origin, error=f"{raw.name}: {raw.error}", raw=raw.data)
            continue
        try:
            yield read_line(source, raw, json.loads(raw.data))
        except (BadPageError, UndecodableError, RecordTimeoutError, ValueError, KeyError, TypeError) as error:
            yield BadRecord(origin=raw.origin, error=f"{raw.name}: {error!r}", raw=raw.data[:RAW_BYTES])


def read_line(source: NewsSource, raw: Raw, line: dict[str, Any]) -> Record:
    """Make one line a record; raises for a line that no poll wrote."""
    entry = Entry(**{name: str(line[name]) for name in Entry._fields})
    # An id such as 1234 is unique in its feed only; an address is unique everywhere.
    if not urlsplit(entry.id).scheme:
        entry = entry._replace(id=f"{line['feed']}#{entry.id}")
    page = read_page(source, raw, entry, line) if "page" in line else None
    found: Record = page or read_entry(entry, raw.name, raw.origin)
    if isinstance(found, Document):
        found.meta["feed"] = line["feed"]
    return found


def read_page(source: NewsSource, raw: Raw, entry: Entry, line: dict[str, Any]) -> Document | None:
    """Make the page behind an entry its document; None when it holds no main text or cannot be read."""
    try:
        body = base64.b64decode(line["page"], validate=True)
        charset = CHARSET.search(line["page_type"])
        html, codec = decode(body, None, charset[1] if charset else declared_charset(body), mixed=True)
        with time_limit():
            page = extract(html, source.html, datetime.fromisoformat(line["fetched"]))
    except (BadPageError, UndecodableError, RecordTimeoutError, binascii.Error):
        return None
    if not page.text:
        return None
    published = datetime.fromisoformat(entry.published) if entry.published else page.date
    meta = {"author": page.author or entry.author, "site": page.site, "canonical": page.canonical}
    meta |= {"licence_hint": page.licence, **codec_meta(codec)}
    return Document(
        native_id=entry.id,
        title=page.title or entry.title,
        text=page.text,
        origin=raw.origin,
        url=line["page_url"],
        created=published,
        meta={key: value for key, value in (meta | {"declared_lang": page.lang}).items() if value},
    )
