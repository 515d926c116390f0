"""Ingest against its yardsticks, in one run: Wikipedia's text, its holes, two workers, and main text of web pages.

make bench-sources
"""

import bz2
import sys
import tempfile
import time
from pathlib import Path

from lmpipe.dataset import Execution
from lmpipe.settings import WikipediaSource
from lmpipe.sources.ingest import ingest
from tests.bench import html, wikipedia
from tests.bench.harness import corpora, finish

COPIES = 24
"""Of the sample: 230 MB of XML, so that two workers have minutes to share."""
PAGES_PER_STREAM = 20
"""Wikimedia packs 100; the sample's pages are long."""


def main() -> None:
    """Measure everything and print one line of ratios."""
    rates, holes, pages = wikipedia.rates(), wikipedia.hole_figures(), html.figures()
    one, two = (ingest_seconds(workers) for workers in (1, 2))
    figures = {f"{name} MB/s": rate for name, rate in rates.items()}
    figures |= {f"{name} {key}": value for name, row in pages.items() for key, value in row._asdict().items()}
    figures |= holes | {"ingest seconds, 1 worker": one, "ingest seconds, 2 workers": two}
    ratios = {
        "wikipedia_vs_wikiextractor": wikipedia.ratios(rates)["wikitext_vs_wikiextractor"],
        "wikipedia_vs_mwparserfromhell": wikipedia.ratios(rates)["wikitext_vs_mwparserfromhell"],
        "wikipedia_two_cores": one / two,
        "hole_rate": holes["lmpipe: articles with holes"] / 100,
        "template_loss": holes["lmpipe: articles that lost templates"] / 100,
        "html_f1": pages["trafilatura"].f1,
    }
    finish(figures, "MB/s, share, seconds or pages/s", ratios, Path(sys.argv[1]))


def multistream(copies: int) -> bytes:
    """Pack copies of the English sample as Wikimedia packs its dumps: independent bz2 streams of whole pages."""
    xml = bz2.decompress((corpora() / "wikipedia" / "enwiki-sample-2.xml.bz2").read_bytes())
    head, _, rest = xml.partition(b"  <page>")
    pages = [b"  <page>" + page for page in rest.split(b"  <page>")]
    streams = [pages[i : i + PAGES_PER_STREAM] for i in range(0, len(pages), PAGES_PER_STREAM)]
    return bz2.compress(head) + b"".join(bz2.compress(b"".join(stream)) for stream in streams) * copies


def ingest_seconds(workers: int) -> float:
    """Wall seconds of a whole ingest, process start and commits included."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "dump.xml.bz2").write_bytes(multistream(COPIES))
        source = WikipediaSource(kind="wikipedia", name="wiki", lang="en", paths=("dump.xml.bz2",))
        started = time.perf_counter()
        ingest(source, Path(folder), Path(folder) / "data", Execution(workers=workers))
        return time.perf_counter() - started


if __name__ == "__main__":
    main()
