"""Main text of real news pages: which library keeps what it must and drops what it must not, and how fast.

make bench-html

Each of the 487 pages has strings that its main text must and must not hold. As in trafilatura's own evaluation,
precision is found / (found + furniture kept) and recall found / (found + lost), over all strings.
"""

import json
import logging
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from fastwarc.warc import ArchiveIterator
from lxml.etree import ParserError
from lxml.html import fromstring
from readability import Document as Readable

from lmpipe.sources.encoding import UndecodableError, decode
from lmpipe.sources.html import BadPageError, declared_charset, extract
from tests.bench.harness import corpora, finish

Extractor = Callable[[str], str]


class Figures(NamedTuple):
    """How one library did."""

    precision: float
    recall: float
    f1: float
    pages_per_s: float


def main() -> None:
    """Compare the libraries on all pages."""
    found = figures()
    rates = {f"{name} {key}": value for name, row in found.items() for key, value in row._asdict().items()}
    finish(rates, "share or pages/s", {"html_f1": found["trafilatura"].f1}, Path(sys.argv[1]))


def figures() -> dict[str, Figures]:
    """Measure every library: F1 over the strings of expected.json, pages per second of CPU time."""
    for noisy in ("trafilatura", "readability"):
        logging.getLogger(noisy).setLevel(logging.CRITICAL)
    pages = load_pages()
    libraries: dict[str, Extractor] = {
        "trafilatura": lambda html: extract(html, "trafilatura").text,
        "resiliparse": lambda html: extract(html, "resiliparse").text,
        "readability": with_readability,
    }
    return {name: measure(extractor, pages) for name, extractor in libraries.items()}


def load_pages() -> list[tuple[str, list[str], list[str]]]:
    """Read the pages as (html, strings that must occur, strings that must not)."""
    folder = corpora() / "news" / "pages"
    expected = json.loads((folder / "expected.json").read_text(encoding="utf-8"))
    pages = []
    with (folder / "news-pages.warc.gz").open("rb") as file:
        for record in ArchiveIterator(file, parse_http=True):
            strings = expected.get(record.headers.get("WARC-Target-URI", ""))
            if strings is not None:
                body = record.reader.read()
                try:
                    html, _ = decode(body, None, record.http_charset or declared_charset(body), mixed=True)
                except UndecodableError:
                    html = ""  # what ingest would quarantine counts as lost
                pages.append((html, strings["with"], strings["without"]))
    return pages


def measure(extractor: Extractor, pages: list[tuple[str, list[str], list[str]]]) -> Figures:
    """Run one library over all pages."""
    found = lost = kept = 0
    started = time.process_time()
    texts = [text_of(extractor, html) for html, _, _ in pages]
    seconds = time.process_time() - started
    for text, (_, wanted, unwanted) in zip(texts, pages, strict=True):
        hits = sum(string in text for string in wanted)
        found, lost = found + hits, lost + len(wanted) - hits
        kept += sum(string in text for string in unwanted)
    precision, recall = found / (found + kept), found / (found + lost)
    return Figures(precision, recall, 2 * precision * recall / (precision + recall), len(pages) / seconds)


def text_of(extractor: Extractor, html: str) -> str:
    """Extract one page; one that a library refuses gives nothing."""
    try:
        return extractor(html)
    except (BadPageError, ParserError, ValueError):
        return ""


def with_readability(html: str) -> str:
    """Extract with readability-lxml, the Python port of what browsers' reading views use."""
    return str(fromstring(Readable(html).summary()).text_content())


if __name__ == "__main__":
    main()
