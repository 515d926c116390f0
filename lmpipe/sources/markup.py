"""Turn a book's HTML into text as a reader sees it, with its headings' places.

A news page is mostly furniture, so html.py looks for the main text; a book is all main text, and what counts is
that nothing is lost: paragraphs part by a blank line, verse keeps its lines, headings are remembered with their
offsets. Only page and line numbers in the margin go. The tree is walked without recursion, and a page that the
parser gives up on is refused, since it would end in the middle.
"""

import re
from typing import Any, NamedTuple

from lxml import etree

from lmpipe.sources.chapters import Marked

MAX_CHARS = 64 << 20
"""The longest book in HTML; War and Peace has 4 MB."""

XML_ILLEGAL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")
DECLARATION = re.compile(r"\s*<\?xml[^>]*>")
BLANKS = re.compile(r"[ \t\r\n\f]+")

SKIPPED = frozenset({"head", "script", "style", "template", "noscript", "svg", "object", "iframe"})
HEADINGS = frozenset({"h1", "h2", "h3", "h4", "h5", "h6"})
LINES = frozenset({"li", "tr", "dt", "dd", "option", "caption"})
"""Elements that begin a line."""
INLINE = frozenset(
    {
        *("a", "abbr", "acronym", "b", "bdi", "bdo", "big", "cite", "code", "del", "dfn", "em", "font", "i", "img"),
        *("ins", "kbd", "mark", "q", "rp", "rt", "ruby", "s", "samp", "small", "span", "strike", "strong", "sub"),
        *("sup", "time", "tt", "u", "var", "wbr", "label", "input", "map", "area", "nobr"),
    }
)
"""Elements inside a line; any other begins a paragraph."""
VERSE = frozenset({"line", "verse", "l", "vers"})
"""Classes of a <div> or <span> that is one line of verse."""
NUMBERS = frozenset({"pagenum", "pageno", "pagenumber", "page", "pb", "linenum", "lineno", "ln"})
"""Classes of page and line numbers in the margin."""

MANY_TAGS = 3_000_000
"""Tags at most; lxml takes 1 us for each, the walk 3."""


class MarkupError(Exception):
    """Why a page cannot be read whole."""


class Page(NamedTuple):
    """The text of a page and what its markup says about it."""

    text: str
    headings: list[Marked]
    title: str
    lang: str


class Writer:
    """Puts text and breaks together; blanks and breaks that meet become one."""

    def __init__(self) -> None:
        self.pieces: list[str] = []
        self.size = 0
        self.pending = 0
        """Newlines due before the next text."""
        self.blank = False
        """Whether a blank is due before the next text."""

    def break_lines(self, number: int) -> None:
        """Ask for at least `number` newlines."""
        self.pending = max(self.pending, number)

    def new_line(self) -> None:
        """End the line here: <br>; two of them leave a blank line."""
        self.pending = min(self.pending + 1, 2)

    def put(self, text: str) -> None:
        """Add text that is ready."""
        self.pieces.append(text)
        self.size += len(text)

    def text(self, text: str, verbatim: bool) -> None:
        """Add text of an element, with its blanks folded unless it is preformatted."""
        if not verbatim:
            self.blank |= text[:1] in (" ", "\t", "\r", "\n", "\f")
            words = BLANKS.sub(" ", text).strip(" ")
        else:
            words = text.replace("\r\n", "\n").strip("\n") if self.pending or not self.size else text
        if not words:
            return
        if self.pending and self.size:
            self.put("\n" * self.pending)
        elif self.blank and self.size:
            self.put(" ")
        self.pending, self.blank = 0, False
        self.put(words)
        self.blank = not verbatim and text[-1:] in (" ", "\t", "\r", "\n", "\f")


def read_html(html: str) -> Page:
    """Read a page; raises MarkupError for one that is too large, or nested so deeply that the parser stops."""
    if len(html) > MAX_CHARS or html.count("<") > MANY_TAGS:
        raise MarkupError(f"page of {len(html)} characters; at most {MAX_CHARS} and {MANY_TAGS} tags are read")
    html = XML_ILLEGAL.sub("", DECLARATION.sub("", html, count=1))
    parser = etree.HTMLParser(encoding="utf-8", no_network=True, huge_tree=True, remove_comments=True, remove_pis=True)
    root = etree.fromstring(html.encode("utf-8", "replace"), parser) if html.strip() else None
    if root is None:
        return Page("", [], "", "")
    stopped = [entry.message for entry in parser.error_log if entry.level_name == "FATAL"]
    if stopped:
        raise MarkupError(f"page that cannot be read to its end: {stopped[0]}")
    writer, headings = Writer(), list[Marked]()
    walk(root, writer, headings)
    title = root.find(".//title")
    lang = root.get("lang") or root.get("{http://www.w3.org/XML/1998/namespace}lang") or ""
    return Page(
        "".join(writer.pieces), headings, " ".join("".join(title.itertext()).split()) if title is not None else "", lang
    )


def walk(root: Any, writer: Writer, headings: list[Marked]) -> None:
    """Write a tree's text, element by element."""
    skipping: Any = None
    verbatim = 0
    heading: tuple[int, int] | None = None  # first piece, offset
    for event, element in etree.iterwalk(root, events=("start", "end")):
        tag = element.tag if isinstance(element.tag, str) else "?"
        if skipping is None and event == "start":
            if is_skipped(tag, element):
                skipping = element
                continue
            verbatim += tag in ("pre", "xmp", "listing")
            begin(tag, element, writer)
            if tag in HEADINGS and heading is None:
                heading = len(writer.pieces), writer.size
            writer.text(element.text or "", bool(verbatim))
        elif event == "end":
            if skipping is None:
                verbatim -= tag in ("pre", "xmp", "listing")
                if tag in HEADINGS and heading is not None:
                    add_heading(writer, headings, heading, int(tag[1]))
                    heading = None
                finish(tag, element, writer)
            elif skipping is element:
                skipping = None
            if skipping is None and element is not root:
                writer.text(element.tail or "", bool(verbatim))


def add_heading(writer: Writer, headings: list[Marked], begun: tuple[int, int], level: int) -> None:
    """Remember a heading that has ended; one without words (a picture) is none."""
    text = "".join(writer.pieces[begun[0] :])
    if text.strip():
        headings.append(Marked(begun[1] + len(text) - len(text.lstrip()), " ".join(text.split()), level))


def is_skipped(tag: str, element: Any) -> bool:
    """Tell what no reader reads as text: scripts, styles, numbers in the margin."""
    if tag in SKIPPED:
        return True
    classes = (element.get("class") or "").lower().split()
    return tag == "span" and not NUMBERS.isdisjoint(classes)


def begin(tag: str, element: Any, writer: Writer) -> None:
    """Break before an element as its kind asks for."""
    if tag == "br":
        writer.new_line()
    elif tag in ("td", "th"):
        writer.blank = True
    elif tag in LINES or is_verse(element):
        writer.break_lines(1)
    elif tag not in INLINE:
        writer.break_lines(2)


def finish(tag: str, element: Any, writer: Writer) -> None:
    """Break after an element as its kind asks for."""
    if tag in LINES or is_verse(element):
        writer.break_lines(1)
    elif tag not in INLINE and tag not in ("br", "td", "th", "hr"):
        writer.break_lines(2)


def is_verse(element: Any) -> bool:
    """Tell a line of verse by its class."""
    return element.tag == "div" and not VERSE.isdisjoint((element.get("class") or "").lower().split())
