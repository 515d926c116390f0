"""Cut the main text out of an HTML page, with trafilatura or resiliparse.

The result depends on the page's characters only: no network, no clock (htmldate would otherwise refuse
dates after "today"), no cache between pages. Paragraphs are lines; readers' comments are left out.
"""

import re
from datetime import UTC, datetime
from html import unescape
from typing import Literal, NamedTuple

from resiliparse.extract.html2text import extract_plain_text
from resiliparse.parse.html import HTMLTree

from lmpipe.sources import article
from lmpipe.sources.limits import PARSER_FAILURES

Library = Literal["trafilatura", "resiliparse"]

META_CHARSET = re.compile(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?\s*([A-Za-z0-9_:.-]+)", re.IGNORECASE)
XML_CHARSET = re.compile(rb"<\?xml[^>]{0,200}?encoding\s*=\s*[\"']([A-Za-z0-9_:.-]+)")
CHARSET_BYTES = 4096
"""Where a page may declare its charset: HTML says the first 1024 bytes, real pages need more."""

XML_ILLEGAL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")
"""Characters that lxml refuses and no text needs."""

MAX_CHARS = 10 << 20
"""The longest page; news pages have 0.05-2 MB."""

MAX_TAGS = 100_000
"""Tags of a page at most: trafilatura takes 50 us for each, so this bounds a page to seconds. Measured on 487
news pages: at most 5,280."""

MAX_DEPTH = 2000
"""Open elements at most: resiliparse is quadratic in them (4,000: 0.7 s, 100,000: minutes)."""

TAG = re.compile(r"<(/?)([A-Za-z][A-Za-z0-9]*)")
NOT_NESTING = frozenset(
    {
        *("area", "base", "br", "col", "dd", "dt", "embed", "hr", "img", "input", "li", "link", "meta", "option"),
        *("p", "param", "source", "tbody", "td", "tfoot", "th", "thead", "tr", "track", "wbr"),
    }
)
"""Elements that are void or closed by their next sibling, so that no end tag is needed."""


VALUE = r"[\"']([^\"'<>]{1,300})[\"']"
LICENCES = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"<(?:a|link)\b[^>]{{0,500}}?\brel\s*=\s*[\"']?[a-z ]{{0,40}}\blicen[cs]e\b[^>]{{0,500}}?\bhref\s*=\s*{VALUE}"
        rf"|<(?:a|link)\b[^>]{{0,500}}?\bhref\s*=\s*{VALUE}[^>]{{0,99}}?\brel\s*=\s*[\"']?[a-z ]{{0,40}}\blicen[cs]e\b",
        r"(https?://creativecommons\.org/(?:licenses|publicdomain)/[a-z0-9./+-]{2,40})",
        rf"<meta\b[^>]{{0,200}}?name\s*=\s*[\"']?(?:dc|dcterms)\.(?:rights|license)[\"']?[^>]{{0,200}}?content\s*=\s*{VALUE}",
        r"\"license\"\s*:\s*\"([^\"<>]{1,300})\"",
    )
)
"""The surest first; quantifiers are bounded, so that no page is searched in more than linear time."""


class BadPageError(Exception):
    """Why a page cannot be read."""


class Page(NamedTuple):
    """What a page holds besides its furniture; empty strings and None mean absent."""

    title: str
    text: str
    date: datetime | None
    """Day of publication as the page tells it, UTC."""
    author: str
    site: str
    canonical: str
    """URL the page names as its own."""
    lang: str
    """Language the page declares (html lang), which is often wrong."""
    licence: str
    """What the page says of its licence: a URL or a line; a hint, no legal advice."""


def extract(html: str, library: Library, latest: datetime | None = None) -> Page:
    """Extract the main text and its metadata; the text is empty when none was found.

    `latest` bounds the date (a page is not published after its capture).
    Raises BadPageError for a page on which extraction would take minutes.
    """
    html = XML_ILLEGAL.sub("", html)
    check_size(html)
    return with_trafilatura(html, latest) if library == "trafilatura" else with_resiliparse(html)


def with_trafilatura(html: str, latest: datetime | None) -> Page:
    """Extract with trafilatura's balanced rules and our guard (article.py): F1 0.929 on 487 real pages
    (tests/bench/html.py)."""
    try:
        tree = article.parse(html)
        if tree is None:
            return Page("", "", None, "", "", "", "", "")
        said, text = article.said(tree, latest or datetime(2100, 1, 1, tzinfo=UTC)), article.main_text(tree)
    except PARSER_FAILURES as error:
        raise BadPageError(f"trafilatura fails: {error!r}") from error
    title, author = clean_line(said.title), clean_line(said.author)
    return Page(
        title=title,
        text=without_headline(clean_text(text), title, author),
        date=parse_day(said.date),
        author=author,
        site=clean_line(said.sitename),
        canonical=clean_line(said.url),
        lang=declared_language(html),
        licence=licence_hint(html),
    )


def with_resiliparse(html: str) -> Page:
    """Extract with resiliparse: some 10 times faster; what its page says of itself is taken from <meta>."""
    tree = HTMLTree.parse(html)
    text = extract_plain_text(
        tree, main_content=True, alt_texts=False, list_bullets=False, comments=False, skip_elements=["table"]
    )
    said = meta_tags(tree)
    stamp = said.get("article:published_time") or said.get("date") or said.get("dc.date") or ""
    return Page(
        title=clean_line(said.get("og:title") or tree.title),
        text=clean_text(text),
        date=parse_day(stamp[:10]),
        author=clean_line(said.get("author") or said.get("article:author")),
        site=clean_line(said.get("og:site_name")),
        canonical=clean_line(said.get("og:url")),
        lang=declared_language(html),
        licence=licence_hint(html),
    )


def meta_tags(tree: HTMLTree) -> dict[str, str]:
    """Read the <meta> elements of a page's head, the first of each name."""
    found: dict[str, str] = {}
    if tree.head is not None:
        for element in tree.head.get_elements_by_tag_name("meta"):
            name = (element.getattr("property") or element.getattr("name") or "").lower()
            found.setdefault(name, element.getattr("content") or "")
    return found


def licence_hint(html: str) -> str:
    """Find what a page says of its licence: rel=license, a Creative Commons address, a meta element, JSON-LD."""
    if "licen" not in html and "rights" not in html and "creativecommons" not in html:
        return ""
    for pattern in LICENCES:
        if found := pattern.search(html):
            return clean_line(unescape(next(group for group in found.groups() if group is not None)))[:300]
    return ""


def fragment_text(html: str) -> str:
    """Strip the markup of a piece of HTML, such as a feed entry's summary; every text of it is kept.

    Raises BadPageError like `extract`.
    """
    html = XML_ILLEGAL.sub("", html)
    check_size(html)
    return clean_text(extract_plain_text(html, alt_texts=False, list_bullets=False))


def check_size(html: str) -> None:
    """Raise BadPageError for a page on which extraction would take minutes."""
    num_tags = html.count("<")
    if len(html) > MAX_CHARS or num_tags > MAX_TAGS:
        raise BadPageError(
            f"page of {len(html)} characters and {num_tags} tags; at most {MAX_CHARS} and {MAX_TAGS} are read"
        )
    depth = 0
    for tag in TAG.finditer(html):
        if tag[2].lower() not in NOT_NESTING:
            depth = max(depth - 1, 0) if tag[1] else depth + 1
        if depth > MAX_DEPTH:
            raise BadPageError(f"page with more than {MAX_DEPTH} elements nested in each other")


def declared_charset(data: bytes) -> str | None:
    """Read the charset from a page's <meta> or XML declaration."""
    head = data[:CHARSET_BYTES]
    found = META_CHARSET.search(head) or XML_CHARSET.search(head)
    if found is None:
        return None
    label = found[1].decode("ascii")
    # Bytes in which "charset" can be read as ASCII are not UTF-16 (WHATWG HTML, 13.2.3.2).
    return "utf-8" if label.lower().startswith("utf-16") else label


def declared_language(html: str) -> str:
    """Read the lang attribute of <html>."""
    found = re.search(r"<html[^>]{0,1000}?\slang\s*=\s*[\"']?([A-Za-z-]{2,20})", html[:20_000], re.IGNORECASE)
    return found[1] if found else ""


def clean_line(value: str | None) -> str:
    """Put a title or a name on one line."""
    return " ".join((value or "").split())


def clean_text(text: str) -> str:
    """Strip every line, and keep those that hold something."""
    return "\n".join(line for line in (raw.strip() for raw in text.splitlines()) if line)


def without_headline(text: str, title: str, author: str = "") -> str:
    """Drop first lines that only repeat the title or the author: some layouts have them inside the article, some
    outside, and the same story would not be found to be the same."""
    first, _, rest = text.partition("\n")
    while first and first in (title, author):
        first, _, rest = rest.partition("\n")
    return f"{first}\n{rest}" if rest else first


def parse_day(value: str | None) -> datetime | None:
    """Read YYYY-MM-DD as midnight UTC; None for anything else."""
    try:
        return datetime.strptime(value or "", "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        return None
