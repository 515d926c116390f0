"""Read an EPUB: container.xml names the package, the package the metadata and the order of reading.

Only what the spine lists is read, in its order, by the HTML reader of all books; a page that is listed but not
there, or locked by a scheme for rights, makes the whole a bad book, since a hole would pass unseen. XML is read
without entities, document types and network.
"""

import posixpath
from typing import Any, NamedTuple
from urllib.parse import unquote

from lxml import etree

from lmpipe.sources.archives import Archive, ArchiveError
from lmpipe.sources.chapters import Marked
from lmpipe.sources.encoding import UndecodableError, decode
from lmpipe.sources.facts import Facts, release_date
from lmpipe.sources.gutenberg import BadBookError
from lmpipe.sources.html import declared_charset
from lmpipe.sources.language_names import language_code
from lmpipe.sources.markup import MarkupError, Page, read_html

CONTAINER = "META-INF/container.xml"
LOCKS = "META-INF/encryption.xml"
PAGES = frozenset(
    {
        *("application/xhtml+xml", "text/html", "application/x-dtbook+xml", "text/x-oeb1-document"),
        *("text/xml", "application/xml", "text/xhtml", "application/html", ""),
    }
)
"""Media types of the spine that are text, and what careless makers write instead."""

MAX_PAGES = 20_000
MAX_BOOK_CHARS = 64 << 20


class Package(NamedTuple):
    """What the package document says."""

    facts: Facts
    pages: list[str]
    """Members in the order of reading."""


def read_epub(archive: Archive) -> tuple[Page, Facts]:
    """Read a whole book; raises BadBookError saying what is missing or damaged."""
    try:
        package = read_package(archive)
        locked = lockers(archive)
        pages = []
        for name in package.pages:
            if name in locked:
                raise BadBookError(f"EPUB: {name} is encrypted (DRM); expected an open book")
            pages.append(read_page(archive.find(name)))
            if sum(len(page.text) for page in pages) > MAX_BOOK_CHARS:
                raise BadBookError(f"EPUB: more than {MAX_BOOK_CHARS} characters")
    except (ArchiveError, UndecodableError, MarkupError) as error:
        raise BadBookError(f"EPUB: {error}") from None
    return joined(pages), package.facts


def read_page(data: bytes) -> Page:
    """Read one page of the spine."""
    return read_html(decode(data, None, declared_charset(data))[0])


def joined(pages: list[Page]) -> Page:
    """Put pages one after another, and move their headings along."""
    headings = list[Marked]()
    pieces = []
    size = 0
    for page in pages:
        if not page.text.strip():
            continue
        headings += [heading._replace(start=size + heading.start) for heading in page.headings]
        pieces.append(page.text)
        size += len(page.text) + 2
    title = next((page.title for page in pages if page.title), "")
    lang = next((page.lang for page in pages if page.lang), "")
    return Page("\n\n".join(pieces), headings, title, lang)


def read_package(archive: Archive) -> Package:
    """Find and read the package document."""
    container = parse(archive.find(CONTAINER), CONTAINER)
    name = unquote(next((e.get("full-path") or "" for e in named(container, "rootfile")), ""))
    root = parse(archive.find(name), name)
    items = {e.get("id"): e for e in named(root, "item")}
    pages = []
    for reference in named(root, "itemref"):
        item = items.get(reference.get("idref"))
        if item is None:
            raise BadBookError(f"EPUB: the spine names {reference.get('idref')!r}, which {name} does not list")
        kind = (item.get("media-type") or "").strip().lower()
        if kind in PAGES and "nav" not in (item.get("properties") or "").split():
            pages.append(member(name, item.get("href") or ""))
        elif kind not in PAGES and not kind.startswith("image/"):  # a picture alone is a page without text
            raise BadBookError(f"EPUB: the spine names {item.get('href')!r} of type {kind!r}; expected XHTML")
    if not 0 < len(pages) <= MAX_PAGES:
        raise BadBookError(f"EPUB: expected 1 to {MAX_PAGES} pages in the spine, found {len(pages)}")
    return Package(facts(root), pages)


def member(package: str, href: str) -> str:
    """Name the member that a link in the package means; only ever looked up among the members."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(package), unquote(href.partition("#")[0])))


def facts(root: Any) -> Facts:
    """Read the Dublin Core of the package."""
    return Facts(
        title=first(root, "title"),
        authors="; ".join(filter(None, (words(e) for e in named(root, "creator")))),
        lang=language_code(first(root, "language")),
        rights=first(root, "rights"),
        created=release_date(first(root, "date")),
    )


def lockers(archive: Archive) -> set[str]:
    """List the members that are encrypted; fonts often are, and nobody reads them."""
    if LOCKS not in archive.names:
        return set()
    root = parse(archive.find(LOCKS), LOCKS)
    return {posixpath.normpath(unquote(e.get("URI") or "")) for e in named(root, "CipherReference")}


def parse(data: bytes, name: str) -> Any:
    """Parse XML that nobody vouches for; raises BadBookError when there is none."""
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, recover=True, huge_tree=False)
    try:
        root = etree.fromstring(data, parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        raise BadBookError(f"EPUB: {name}: expected XML: {error}") from None
    if root is None:
        raise BadBookError(f"EPUB: {name}: expected XML, found none")
    return root


def named(root: Any, name: str) -> list[Any]:
    """List the elements of a local name, in whatever namespace (and prefix) the maker put them."""
    return [e for e in root.iter() if isinstance(e.tag, str) and e.tag.rpartition("}")[2] == name]


def words(element: Any) -> str:
    """Return an element's text on one line."""
    return " ".join("".join(element.itertext()).split())


def first(root: Any, name: str) -> str:
    """Return the first non-empty text of a name; "" for none."""
    return next(filter(None, (words(e) for e in named(root, name))), "")
