"""Read Wikipedia pages-articles dumps: one record for every page, its wikitext rendered as plain text.

Every <page> is parsed by itself (wikipedia_stream.py cuts them out), so that a broken page harms
only itself, a missing root or end does not matter, and a DTD never reaches the XML parser: no
entity can be defined, much less expanded. All export formats from 0.3 to 0.11 are read; of a page
with many revisions the newest counts.
"""

import hashlib
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import lru_cache
from html import unescape
from pathlib import Path
from urllib.parse import quote

from lxml import etree

from lmpipe.document import RAW_BYTES, BadRecord, Document, Origin, Record, Redirect, Skipped
from lmpipe.errors import InputError
from lmpipe.settings import WikipediaSource
from lmpipe.sources import holes, wikipedia_index, wikitext
from lmpipe.sources.limits import RecordTimeoutError, time_limit
from lmpipe.sources.reuse import Earlier, Rendering
from lmpipe.sources.wikipedia_stream import Page, Unit, pages, pieces, units

__all__ = ["read", "read_page", "tally", "units"]

REDIRECT = re.compile(
    r"\s*#\s*(?:redirect|redirection|weiterleitung|redirección|перенаправление|重定向|转向|重新導向|転送|넘겨주기)\b",
    re.I,
)
"""Redirects of dumps from before 2011 (export format 0.5), which lack the <redirect> element."""
REDIRECT_TARGET = re.compile(r"\s*#[^\[\n]*\[\[[\s:]*([^\[\]|#]+)")
"""Where a redirect leads, for dumps from before 2012, whose <redirect> has no title."""

NAMESPACE = re.compile(r'<namespace key="(-?\d+)"[^>]*>([^<]+)</namespace>')
HEAD_BYTES = 64 << 10
"""Bytes of a dump in which <siteinfo> lies; English Wikipedia's takes 2 kB."""

OWN_ID = re.compile(rb"<id>\s*(\d+)\s*</id>")
"""The first number of a page is its own; revisions and authors come later."""
MAX_DIGITS = 18
"""Of a page id: what a 64-bit number holds."""
MAX_WIKITEXT = 4 << 20
"""Characters of a page at most; Wikimedia's own limit is 2 MiB (wgMaxArticleSize)."""
LONG_TEXT = 4000
"""Characters of text from which on an article is long: holes are told of these alone too, since stubs have few."""

XML = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=True, remove_comments=True)
"""huge_tree lifts libxml2's 10 MB limit on a text; MAX_PAGE bounds it instead."""


def read(source: WikipediaSource, unit: Unit, earlier: Earlier | None = None) -> Iterator[Record]:
    """Yield one record for every page that begins in `unit`, and one for every damage to the file.

    Pages that the dataset `earlier` has in the same revision are taken from there, not rendered again.
    """
    found = False
    for page in pages(unit):
        found = True
        yield parse(source, unit, page, earlier) if isinstance(page, Page) else page
    if not found and unit.streams[0] == 0 and b"<mediawiki" not in (head := head_of(unit)):
        error = f"expected <page> elements, found {head[:40]!r}. Check that the file is a pages-articles dump."
        yield BadRecord(origin=Origin(unit.file.name, 0, len(head)), error=error, raw=head)


def read_page(source: WikipediaSource, dump: Path, *, title: str | None = None, page_id: int | None = None) -> Record:
    """Read one page of a multistream dump by decompressing the one stream that holds it.

    Either title or page_id is given. Raises InputError when no index lies beside the dump, or the page
    is not in it.
    """
    assert (title is None) != (page_id is None), "either title or page_id"
    index = wikipedia_index.index_beside(dump)
    if index is None:
        names = wikipedia_index.index_names(dump) or ("NAME-multistream-index.txt.bz2",)
        raise InputError(
            f"{dump}: expected its index beside it, as {names[0]}, found none. Fetch it from the same place."
        )
    wanted = None if title is None else capitalised(title)
    entry = wikipedia_index.find(index, wanted, None if page_id is None else str(page_id))
    if entry is None:
        raise InputError(f"{index}: no page {wanted or page_id}. Check the spelling; titles differ in capitals.")
    wikipedia_index.check_offsets(dump, index, [entry.offset])
    unit = Unit(dump, (entry.offset,), entry.offset + 1, "bz2")
    for page in pages(unit):
        own_id = OWN_ID.search(page.raw)
        if own_id is not None and own_id[1].decode() == entry.page_id:
            return parse(source, unit, page) if isinstance(page, Page) else page
    raise InputError(f"{index}: page {entry.page_id} is not in the stream at byte {entry.offset}. Fetch both again.")


def capitalised(title: str) -> str:
    """Write a title as the dump does: spaces, and a capital at the beginning."""
    title = title.replace("_", " ").strip()
    return title[:1].upper() + title[1:]


def head_of(unit: Unit) -> bytes:
    """Read the first bytes of a unit's file."""
    head = b""
    for piece in pieces(unit._replace(streams=(0,))):
        head += piece.data
        if len(head) >= HEAD_BYTES:
            break
    return head[:HEAD_BYTES]


def parse(source: WikipediaSource, unit: Unit, page: Page, earlier: Earlier | None = None) -> Record:
    """Turn the bytes of one <page> element into a record, in limited time."""
    try:
        with time_limit():
            return well_formed(source, unit, page, earlier)
    except RecordTimeoutError as error:
        return BadRecord(origin=page.origin, error=str(error), raw=page.raw[:RAW_BYTES])


def well_formed(source: WikipediaSource, unit: Unit, page: Page, earlier: Earlier | None) -> Record:
    """Parse the XML of one page; what is wrong with it makes a bad record."""
    try:
        page.raw.decode("utf-8")
        return record(source, unit, page, etree.fromstring(page.raw, XML), earlier)
    except UnicodeDecodeError as error:
        problem = f"expected UTF-8, found byte {error.object[error.start]:#04x} at byte {error.start} of the page"
    except etree.XMLSyntaxError as error:
        problem = f"expected well-formed XML, found: {error.msg}"
    except (ValueError, OverflowError) as error:  # OverflowError: a time before the year 1 in UTC
        problem = str(error)
    return BadRecord(origin=page.origin, error=problem, raw=page.raw[:RAW_BYTES])


def record(source: WikipediaSource, unit: Unit, page: Page, root: etree._Element, earlier: Earlier | None) -> Record:
    """Decide what a well-formed page is; raises ValueError when a part is missing or wrong."""
    native_id, title = required(root, "id"), required(root, "title")
    namespace = namespace_of(unit, root, title)
    if not (native_id.isascii() and native_id.isdecimal() and len(native_id) <= MAX_DIGITS):
        raise ValueError(f"expected a number in <id>, found {native_id[:20]!r}")
    if namespace not in source.namespaces:
        return Skipped(reason="namespace")
    revision = newest(root)
    text = revision.find("text")
    if text is None:
        raise ValueError("expected <text> in <revision>, found none: pages of a stub dump have no text")
    if text.get("deleted") is not None:
        return Skipped(reason="deleted")
    wikicode = str(text.text or "")
    if not wikicode and text.get("bytes", "0") != "0":
        raise ValueError(f"expected {text.get('bytes')} bytes of text, found none: the file is a stub dump")
    if root.find("redirect") is not None or REDIRECT.match(wikicode):
        return redirect(source, root, native_id, title, revision, wikicode)
    if revision.findtext("model", "wikitext") != "wikitext":
        return Skipped(reason="model")
    rendering = rendered(source, native_id, title, revision.findtext("id"), wikicode, earlier)
    if not rendering.text:
        return Skipped(reason="empty")
    return Document(
        native_id=native_id,
        title=title,
        text=rendering.text,
        origin=page.origin,
        url=url(source, title),
        created=created(revision),
        revision=revision.findtext("id"),
        meta=meta(unit, page, namespace) | rendering.meta,
    )


def required(root: etree._Element, tag: str) -> str:
    """Return the text of a child that every page must have."""
    text = str(root.findtext(tag, "")).strip()
    if not text:
        raise ValueError(f"expected <{tag}>, found none")
    return text


def namespace_of(unit: Unit, root: etree._Element, title: str) -> int:
    """Return a page's namespace; before 2012 (export format 0.6) only its title's prefix told it."""
    namespace = root.findtext("ns")
    if namespace is None:
        prefix, colon, _ = title.partition(":")
        return namespaces(unit).get(prefix, 0) if colon else 0
    if not re.fullmatch(r"-?[0-9]{1,9}", namespace.strip()):
        raise ValueError(f"expected a number in <ns>, found {namespace[:20]!r}")
    return int(namespace)


@lru_cache(maxsize=1)
def namespaces(unit: Unit) -> dict[str, int]:
    """Read the names of the namespaces in a dump's <siteinfo>."""
    return {unescape(name): int(key) for key, name in NAMESPACE.findall(head_of(unit).decode("utf-8", "replace"))}


def newest(root: etree._Element) -> etree._Element:
    """Return the page's newest revision: by its time, since imported edits get later numbers and places."""
    revisions = root.findall("revision")
    if not revisions:
        raise ValueError("expected <revision>, found none")
    return max(reversed(revisions), key=lambda revision: revision.findtext("timestamp", ""))


def redirect(
    source: WikipediaSource, root: etree._Element, native_id: str, title: str, revision: etree._Element, wikicode: str
) -> Skipped:
    """Skip a redirect; with its row where the recipe keeps redirects."""
    if not source.redirects:
        return Skipped(reason="redirect")
    element, match = root.find("redirect"), REDIRECT_TARGET.match(wikicode)
    named = element.get("title") if element is not None else None
    return Redirect(
        reason="redirect",
        native_id=native_id,
        title=title,
        target=named or (capitalised(match[1]) if match else None),
        revision=revision.findtext("id"),
        created=created(revision),
    )


def rendered(
    source: WikipediaSource, native_id: str, title: str, revision: str | None, wikicode: str, earlier: Earlier | None
) -> Rendering:
    """Render a page's wikitext, or take what an earlier dataset made of the same."""
    if len(wikicode) > MAX_WIKITEXT:
        raise ValueError(f"expected at most {MAX_WIKITEXT} characters of wikitext, found {len(wikicode)}")
    # Eight bytes: a page changed behind the same revision number (by hand) goes unseen once in 10^19.
    digest = hashlib.blake2b(wikicode.encode(), digest_size=8).hexdigest()
    known = earlier.find(native_id, revision, title, digest) if earlier is not None and revision is not None else None
    if known is not None:
        return known
    result = wikitext.render(wikicode, variant=source.variant, lang=source.lang, title=title)
    numbers = {
        "holes": holes.visible_holes(result.text),
        "templates": result.templates,
        "templates_lost": result.templates_lost,
    }
    meta = {"wikitext": digest} | {key: str(number) for key, number in numbers.items() if number}
    if categories := wikitext.categories(wikicode):
        meta["categories"] = "|".join(categories)
    return Rendering(result.text, meta)


def created(revision: etree._Element) -> datetime | None:
    """Return the revision's time; dumps give it in UTC, as 2014-12-03T04:50:06Z."""
    stamp = revision.findtext("timestamp")
    if not stamp:
        return None
    time = datetime.fromisoformat(stamp)
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


def meta(unit: Unit, page: Page, namespace: int) -> dict[str, str]:
    """Gather what has no column of its own and depends on the dump."""
    meta = {"stream": str(page.stream)} if unit.packing == "bz2" else {}
    return meta | ({"namespace": str(namespace)} if namespace else {})


def url(source: WikipediaSource, title: str) -> str:
    """Return the article's address; a wiki is named by its primary language (zh-Hant is on zh) if not by the recipe."""
    wiki = source.wiki or source.lang.partition("-")[0].lower()
    return f"https://{wiki}.wikipedia.org/wiki/{quote(title.replace(' ', '_'), safe=';@$!*(),/~:')}"


def tally(document: Document) -> dict[str, int]:
    """Count what a document adds to its snapshot's rates of holes and lost templates; nothing for no article."""
    if "namespace" in document.meta:
        return {}
    holes, lost = "holes" in document.meta, "templates_lost" in document.meta
    counts = {
        "articles": 1,
        "articles_with_holes": holes,
        "articles_with_lost_templates": lost,
        "templates": int(document.meta.get("templates", 0)),
        "templates_lost": int(document.meta.get("templates_lost", 0)),
    }
    if len(document.text) > LONG_TEXT:
        counts |= {"long_articles": 1, "long_articles_with_holes": holes, "long_articles_with_lost_templates": lost}
    return {key: int(number) for key, number in counts.items() if number}
