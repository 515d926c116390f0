"""Wikipedia pages to text: our renderer against mwparserfromhell's strip_code, one core, the same wikitext.

make bench-wikipedia
"""

import bz2
import re
import sys
from html import unescape
from pathlib import Path

import mwparserfromhell

from lmpipe.sources.wikitext import render
from tests.bench.harness import corpora, finish, median_seconds

NUM_PAGES = 12
"""mwparserfromhell takes seconds for more."""


def main() -> None:
    """Render the same long articles with both."""
    dump = bz2.decompress((corpora() / "wikipedia" / "enwiki-sample-2.xml.bz2").read_bytes()).decode()
    texts = [unescape(text) for text in re.findall(r"<text[^>]*>(.*?)</text>", dump, re.DOTALL)]
    pages = [text for text in texts if not text.lower().startswith("#redirect")][:NUM_PAGES]
    size = sum(len(page.encode()) for page in pages) / 1e6
    seconds = median_seconds(
        {
            "lmpipe": lambda: [render(page, variant="zh-hans", lang="en", title="") for page in pages],
            "mwparserfromhell": lambda: [mwparserfromhell.parse(page).strip_code() for page in pages],
        }
    )
    ratios = {"wikitext_vs_mwparserfromhell": seconds["mwparserfromhell"] / seconds["lmpipe"]}
    finish({name: size / taken for name, taken in seconds.items()}, "MB/s", ratios, Path(sys.argv[1]))


if __name__ == "__main__":
    main()
