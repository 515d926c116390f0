"""Ingest against its yardsticks, in one run: Wikipedia's text, its holes, two workers, and main text of web pages.

make bench-sources
"""

import bz2
import contextlib
import os
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path

from lmpipe.dataset import Execution
from lmpipe.settings import WikipediaSource
from lmpipe.sources.ingest import ingest
from tests.bench import html, wikipedia
from tests.bench.harness import corpora, finish

COPIES = 48
"""Of the sample: 460 MB of XML, so that the start of the workers is little of it."""
TURNS = 3
"""Of one worker and two."""
SAMPLE_SECONDS = 0.05
"""Between two looks at the workers."""
PAGES_PER_STREAM = 20
"""Wikimedia packs 100; the sample's pages are long."""


def main() -> None:
    """Measure everything and print one line of ratios."""
    rates, holes, pages = wikipedia.rates(), wikipedia.hole_figures(), html.figures()
    one, two = two_cores().values()
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


def two_cores() -> dict[int, float]:
    """Time the ingest with one and with two workers, in turns; of each the median."""
    with tempfile.TemporaryDirectory() as folder:
        dump = Path(folder) / "dump.xml.bz2"
        dump.write_bytes(multistream(COPIES))
        seconds: dict[int, list[float]] = {1: [], 2: []}
        for turn in range(TURNS):
            for workers, times in seconds.items():
                times.append(ingest_seconds(dump, workers, Path(folder) / f"{turn}-{workers}"))
                print(f"ingest, {workers} workers: {times[-1]:.1f} s", flush=True)
    return {workers: statistics.median(times) for workers, times in seconds.items()}


def ingest_seconds(dump: Path, workers: int, data: Path) -> float:
    """Time a whole ingest, start of the workers and commits included, without the time it stood in line for a core.

    That time is the kernel's own account (schedstat): the mean of the workers', and this process's while there are
    none. It is nothing on a machine with nothing else to do, so there the figure is the wall time.
    """
    source = WikipediaSource(kind="wikipedia", name="wiki", lang="en", paths=(dump.name,))
    with Waits() as waits:
        started = time.perf_counter()
        ingest(source, dump.parent, data, Execution(workers=workers))
        seconds = time.perf_counter() - started
    return seconds - waits.total()


class Waits:
    """Watches how long this process's main thread, or those of its workers, stand in line for a core."""

    def __init__(self) -> None:
        self.own = waited("self")
        """Of this process, when last looked at."""
        self.alone = 0.0
        """Seconds waited by this process while it had no workers."""
        self.workers: dict[str, float] = {}
        self.done = threading.Event()
        self.thread = threading.Thread(target=self.watch, daemon=True)

    def __enter__(self) -> "Waits":
        self.thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.done.set()
        self.thread.join()

    def watch(self) -> None:
        """Look again and again, for a worker's account ends with it."""
        while not self.done.wait(SAMPLE_SECONDS):
            self.look()
        self.look()

    def look(self) -> None:
        """Read the accounts."""
        servers = children("self", str(os.getpid()))
        workers = [worker for server in servers for worker in children(server, server)]
        for process in workers:
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                self.workers[process] = waited(process)
        own = waited("self")
        self.alone += 0.0 if workers else own - self.own
        self.own = own

    def total(self) -> float:
        """Return the seconds by which the waiting made the work longer."""
        return self.alone + (statistics.mean(self.workers.values()) if self.workers else 0.0)


def children(process: str, thread: str) -> list[str]:
    """List the processes that a thread has started; workers are those of multiprocessing's server."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{process}/task/{thread}/children").read_text().split()
    return []


def waited(process: str) -> float:
    """Read the seconds that a process's main thread was ready to run and did not."""
    return int(Path(f"/proc/{process}/schedstat").read_text().split()[1]) / 1e9


if __name__ == "__main__":
    main()
