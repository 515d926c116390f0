"""Read Wikipedia pages-articles dumps: one record for every page, its wikitext rendered as plain text.

Every <page> is parsed by itself (wikipedia_stream.py cuts them out), so that a broken page harms
only itself, a missing root or end does not matter, and a DTD never reaches the XML parser: no
entity can be defined, much less expanded.
"""

import re
from collections.abc import Iterator
from datetime import datetime
from urllib.parse import quote

from lxml import etree

from lmpipe.document import RAW_BYTES, BadRecord, Document, Origin, Record, Skipped
from lmpipe.settings import WikipediaSource
from lmpipe.sources import wikitext
from lmpipe.sources.wikipedia_stream import UNIT_BYTES, Page, Piece, Unit, pages, pieces, units

__all__ = ["read", "units"]

REDIRECT = re.compile(
    r"\s*#\s*(?:redirect|redirection|weiterleitung|redirección|перенаправление|重定向|转向|重新導向|転送|넘겨주기)\b",
    re.I,
)
"""Redirects of dumps from before 2011 (export format 0.5), which lack the <redirect> element."""

XML = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=True, remove_comments=True)
"""huge_tree lifts libxml2's 10 MB limit on a text; MAX_PAGE bounds it instead."""


def read(source: WikipediaSource, unit: Unit) -> Iterator[Record]:
    """Yield one record for every page that begins in `unit`, and one for every damage to the file."""
    found = False
    for page in pages(unit):
        found = True
        yield parse(source, unit, page) if isinstance(page, Page) else page
    # A dump has pages in its first unit, unless that is cut absurdly small.
    if not found and unit.streams[0] == 0 and unit.end >= min(UNIT_BYTES, unit.file.stat().st_size):
        yield no_pages(unit)


def no_pages(unit: Unit) -> BadRecord:
    """Report a file that is no dump."""
    head = next(pieces(unit), Piece(0, 0, b"")).data
    error = f"expected <page> elements, found {head[:40]!r}. Check that the file is a pages-articles dump."
    return BadRecord(origin=Origin(unit.file.name, 0, len(head)), error=error, raw=head[:RAW_BYTES])


def parse(source: WikipediaSource, unit: Unit, page: Page) -> Record:
    """Turn the bytes of one <page> element into a record."""
    try:
        page.raw.decode("utf-8")
        return record(source, unit, page, etree.fromstring(page.raw, XML))
    except UnicodeDecodeError as error:
        problem = f"expected UTF-8, found byte {error.object[error.start]:#04x} at byte {error.start} of the page"
    except etree.XMLSyntaxError as error:
        problem = f"expected well-formed XML, found: {error.msg}"
    except ValueError as error:
        problem = str(error)
    return BadRecord(origin=page.origin, error=problem, raw=page.raw[:RAW_BYTES])


def record(source: WikipediaSource, unit: Unit, page: Page, root: etree._Element) -> Record:
    """Decide what a well-formed page is; raises ValueError when a part is missing or wrong."""
    native_id, title = required(root, "id"), required(root, "title")
    namespace = str(root.findtext("ns", "0")).strip()
    if not native_id.isdecimal() or not namespace.lstrip("-").isdecimal():
        raise ValueError(f"expected numbers in <id> and <ns>, found {native_id[:20]!r} and {namespace[:20]!r}")
    if namespace not in map(str, source.namespaces):
        return Skipped(reason="namespace")
    revisions = root.findall("revision")
    text = revisions[-1].find("text") if revisions else None
    if text is None:
        raise ValueError("expected <revision> with <text>, found none: pages of a stub dump have no text")
    wikicode = text.text or ""
    if root.find("redirect") is not None or REDIRECT.match(wikicode):
        return Skipped(reason="redirect")
    if revisions[-1].findtext("model", "wikitext") != "wikitext":
        return Skipped(reason="model")
    rendered = wikitext.render(wikicode, variant=source.variant, lang=source.lang, title=title)
    if not rendered:
        return Skipped(reason="empty")
    return Document(
        native_id=native_id,
        title=title,
        text=rendered,
        origin=page.origin,
        url=url(source.lang, title),
        created=created(revisions[-1]),
        revision=revisions[-1].findtext("id"),
        meta=meta(unit, page, namespace, wikicode),
    )


def required(root: etree._Element, tag: str) -> str:
    """Return the text of a child that every page must have."""
    text = str(root.findtext(tag, "")).strip()
    if not text:
        raise ValueError(f"expected <{tag}>, found none")
    return text


def created(revision: etree._Element) -> datetime | None:
    """Return the revision's time; dumps give it in UTC, as 2014-12-03T04:50:06Z."""
    stamp = revision.findtext("timestamp")
    return datetime.fromisoformat(stamp) if stamp else None


def meta(unit: Unit, page: Page, namespace: str, wikicode: str) -> dict[str, str]:
    """Gather what has no column of its own."""
    meta = {"stream": str(page.stream)} if unit.packing == "bz2" else {}
    if namespace != "0":
        meta["namespace"] = namespace
    if categories := wikitext.categories(wikicode):
        meta["categories"] = "|".join(categories)
    return meta


def url(lang: str, title: str) -> str:
    """Return the article's address; the wiki is named by the primary language (zh-Hant is on zh)."""
    wiki = lang.partition("-")[0].lower()
    return f"https://{wiki}.wikipedia.org/wiki/{quote(title.replace(' ', '_'), safe=';@$!*(),/~:')}"
