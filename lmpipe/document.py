"""The shape of a document and of the rows that travel beside it, as Arrow schemas.

A document is a row of an Arrow batch, never a Python object on a hot path. Its id is
"source:native-id" and stays the same across snapshots; only sources make documents. Bytes that
could not become a document are rows of QUARANTINE, so that nothing is lost in silence.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

import pyarrow as pa

ORIGIN = pa.struct([("file", pa.string()), ("offset", pa.int64()), ("length", pa.int64())])
"""Where the bytes lay: file name without folders, offset and length in bytes of the decompressed stream
(of the compressed file, for formats that are compressed record by record)."""

DOCUMENTS = pa.schema(
    [
        ("id", pa.string()),
        ("source", pa.string()),
        ("lang", pa.string()),
        ("title", pa.string()),
        ("text", pa.string()),
        ("url", pa.string()),
        ("created", pa.timestamp("s", tz="UTC")),
        ("revision", pa.string()),
        ("licence", pa.string()),
        ("origin", ORIGIN),
        ("meta", pa.map_(pa.string(), pa.string())),
    ]
)
"""One row per document. lang is null until identified; meta["work"] names the book of a chapter."""

QUARANTINE = pa.schema(
    [
        ("source", pa.string()),
        ("origin", ORIGIN),
        ("error", pa.string()),
        ("raw", pa.binary()),
    ]
)
"""One row per record that could not be read; raw holds its first RAW_BYTES bytes."""

REDIRECTS = pa.schema(
    [
        ("id", pa.string()),
        ("source", pa.string()),
        ("title", pa.string()),
        ("target", pa.string()),
        ("revision", pa.string()),
        ("created", pa.timestamp("s", tz="UTC")),
    ]
)
"""One row per page that only leads to another, where a recipe keeps them; target is a title, without #section."""

RAW_BYTES = 1 << 20
"""Bytes of a bad record that are kept: enough to repair almost any, and a bound on memory."""

BATCH_ROWS = 512
"""Rows per Arrow batch: from here on larger batches gain nothing (marin, lib/dupekit)."""

BATCH_BYTES = 16 << 20
"""UTF-8 bytes of text per Arrow batch at most, so that long novels do not swell it."""


class Origin(NamedTuple):
    """Where the bytes of a record lay (see ORIGIN)."""

    file: str
    offset: int
    length: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One document as a source yields it, on its way into an Arrow batch."""

    native_id: str
    """The id within the source: page id, URL, entry id, book and chapter."""
    title: str
    text: str
    origin: Origin
    lang: str | None = None
    url: str | None = None
    created: datetime | None = None
    """UTC; second precision."""
    revision: str | None = None
    meta: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class BadRecord:
    """A record that could not become a document."""

    origin: Origin
    error: str
    """What was expected and what was found."""
    raw: bytes
    """Its bytes; RAW_BYTES of them are kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """A record that is no document on purpose: a redirect, another namespace, a picture."""

    reason: str
    """One word; counted as skipped.<reason>."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Redirect(Skipped):
    """A skipped redirect that the recipe wants to keep, as a row of REDIRECTS."""

    native_id: str
    title: str
    target: str | None
    """The title it leads to, if it says so."""
    revision: str | None
    created: datetime | None
    """UTC; second precision."""


Record = Document | BadRecord | Skipped
"""What reading a source yields, one for every record of its files."""


def document_batches(
    documents: Iterable[Document], source: str, licence: str, lang: str | None
) -> Iterator[pa.RecordBatch]:
    """Gather documents into batches of at most BATCH_ROWS rows and about BATCH_BYTES of text."""
    rows: list[dict[str, object]] = []
    size = 0
    for document in documents:
        rows.append(document_row(document, source, licence, lang))
        size += 3 * len(document.text)
        if len(rows) == BATCH_ROWS or size > BATCH_BYTES:
            yield pa.RecordBatch.from_pylist(rows, schema=DOCUMENTS)
            rows, size = [], 0
    if rows:
        yield pa.RecordBatch.from_pylist(rows, schema=DOCUMENTS)


def document_row(document: Document, source: str, licence: str, lang: str | None) -> dict[str, object]:
    """Lay out one document as a row of DOCUMENTS."""
    return {
        "id": f"{source}:{document.native_id}",
        "source": source,
        "lang": document.lang or lang,
        "title": document.title,
        "text": document.text,
        "url": document.url,
        "created": document.created,
        "revision": document.revision,
        "licence": licence,
        "origin": document.origin._asdict(),
        "meta": sorted(document.meta.items()),
    }


def quarantine_batch(records: Iterable[BadRecord], source: str) -> pa.RecordBatch:
    """Lay out bad records as rows of QUARANTINE."""
    rows = [
        {"source": source, "origin": r.origin._asdict(), "error": r.error, "raw": r.raw[:RAW_BYTES]} for r in records
    ]
    return pa.RecordBatch.from_pylist(rows, schema=QUARANTINE)


def redirect_batch(records: Iterable[Redirect], source: str) -> pa.RecordBatch:
    """Lay out redirects as rows of REDIRECTS."""
    rows = [
        {
            "id": f"{source}:{r.native_id}",
            "source": source,
            "title": r.title,
            "target": r.target,
            "revision": r.revision,
            "created": r.created,
        }
        for r in records
    ]
    return pa.RecordBatch.from_pylist(rows, schema=REDIRECTS)
