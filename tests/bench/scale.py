"""What more workers give: units timed one by one on real files, then all Wikipedias and a year of CC-NEWS simulated.

make bench-scale
The stages that look at single documents are timed on the English sample and the real news pages; those that look at
all documents at once (dedup) on made-up ones, with few and many partitions and shards, because their units read the
whole corpus: seconds = a + b * documents + c * documents / partitions + d * shards. Seconds are of CPU, in one process.
The simulation hands units to workers as run_units does, no sooner than one process can hand them out, with a barrier
behind every stage. It leaves out the disk and the network, which all workers share.
"""

import heapq
import math
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from lmpipe.cli.tables import print_rows
from lmpipe.curate import dedup as exactly
from lmpipe.curate import near as nearly
from lmpipe.curate.alike import alike
from lmpipe.curate.clean import clean
from lmpipe.curate.decide import decide
from lmpipe.curate.near import sign
from lmpipe.curate.standing import gather_corpus
from lmpipe.dataset import Execution, Manifest, Plan, UnitOutput, build, inputs_of, open_dataset
from lmpipe.settings import CleanSettings, DedupSettings, NewsSource, ProfileSettings, Source, WikipediaSource
from lmpipe.sources.ingest import ingest
from lmpipe.storage import file_sha256
from tests.bench import dedup as synthetic
from tests.bench.harness import corpora, finish
from tests.bench.sources import Waits, multistream

WORKERS = (1, 2, 8, 64, 256, 1000)
HASHING = 16
"""Cores of the machine that hands out, which hashes raw files side by side (file_inputs)."""
COPIES = 8
"""Of the sample of Wikipedia: 77 MB of XML."""
ARCHIVES = 2
"""Copies of the archive of news pages, 14 MB each."""
TURNS = 3
"""Of one worker and two."""
HANDED_OUT = 2000
"""Units that do nothing, to see what each costs the process that hands them out."""
CUTS = ((2_000, 2, 1), (30_000, 2, 1), (30_000, 2, 4), (30_000, 150, 1))
"""Made-up documents, shards and partitions with which the stages that look at all documents are timed."""
PARTITION_ROWS = nearly.PARTITION_ROWS
"""Documents of a partition in the product, before it is made small here."""
FITTED = ("dedup", "candidates", "near")
BANDS = DedupSettings().bands


class Corpus(NamedTuple):
    """What is simulated."""

    bytes: float
    """As downloaded."""
    documents: float
    unit_bytes: int
    """Of the ingest; all later stages have a unit for each of its shards."""


WIKIPEDIAS = Corpus(96e9, 65e6, 8 << 20)
"""English is 24 GB (Wikipedia:Size of Wikipedia, October 2024), and taken as a quarter of all languages."""
NEWS = Corpus(140e6 * 29e3, 140e6, 16 << 20)
"""1.35 billion articles from August 2016 to early 2026 (arXiv 2605.18337), at the 29 kB of our real pages."""


class Shared(NamedTuple):
    """Seconds of one unit of a stage that looks at all documents: at all, per document, per own one, per shard."""

    fixed: float
    scanned: float
    own: float
    shard: float

    def seconds(self, documents: float, partitions: int, shards: int) -> float:
        """Foretell one unit."""
        return self.fixed + self.scanned * documents + self.own * documents / partitions + self.shard * shards


class Stage(NamedTuple):
    """What is simulated of a stage."""

    name: str
    units: list[float]
    serial: float
    """Seconds of the process that hands out, before the first unit."""


def timed(run: Callable[[Execution], Manifest]) -> tuple[Manifest, list[float]]:
    """Run a stage in this process; return the CPU seconds of each of its units."""
    marks: list[float] = []
    manifest = run(Execution(cluster=None, progress=lambda done, total: marks.append(time.process_time())))
    return manifest, np.diff(marks).tolist()


def way(source: Source, base: Path, data: Path) -> list[Callable[[list[Manifest], Execution], Manifest]]:
    """List the stages that look at single documents; each takes the manifests before it."""
    return [
        lambda made, run: ingest(source, base, data, run),
        lambda made, run: clean(made[-1], data, CleanSettings(), run),
        lambda made, run: decide(made[-1], data, ProfileSettings(guard=1.0), run),
        lambda made, run: sign(made[-1], data, DedupSettings(), run),
    ]


def unit_seconds(source: Source, base: Path) -> dict[str, list[float]]:
    """Time every unit of the way of one source."""
    made: list[Manifest] = []
    seconds = {}
    with tempfile.TemporaryDirectory() as data:
        for stage in way(source, base, Path(data)):
            manifest, units = timed(partial(stage, made))
            made.append(manifest)
            seconds[manifest.stage] = units
            print(manifest.stage, len(units), f"units, {sum(units):.1f} s", manifest.counts, flush=True)
    return seconds


def wall_seconds(source: Source, base: Path) -> dict[int, float]:
    """Time the way with one worker and two, in turns, without the time they stood in line for a core; medians."""
    seconds: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(TURNS):
        for workers, times in seconds.items():
            made: list[Manifest] = []
            with tempfile.TemporaryDirectory() as data, Waits() as waits:
                started = time.perf_counter()
                for stage in way(source, base, Path(data)):
                    made.append(stage(made, Execution(workers=workers, cluster=None)))
                times.append(time.perf_counter() - started)
            times[-1] -= waits.total()
    return {workers: float(np.median(times)) for workers, times in seconds.items()}


def nothing(unit: int, output: UnitOutput) -> None:
    """Write a row, as the smallest unit does."""
    output.write("numbers", pa.schema([("n", pa.int64())]), [pa.record_batch({"n": [unit]})])


def handing_out() -> float:
    """Return the seconds that one unit costs this process: sending, hearing, its record, the manifest."""
    plan = Plan(stage="nothing", name="n", version=1, settings={}, inputs=())
    with tempfile.TemporaryDirectory() as data:
        started = time.process_time()
        open_dataset(build(plan, Path(data), nothing, range(HANDED_OUT), Execution(workers=2, cluster=None)).folder)
        return (time.process_time() - started) / HANDED_OUT


def hashing(file: Path) -> float:
    """Return the seconds that a byte of a raw file costs this process."""
    started = time.process_time()
    file_sha256(file)
    return (time.process_time() - started) / file.stat().st_size


def looked_at_together(data: Path, documents: int, shards: int, partitions: int) -> dict[str, float]:
    """Time the stages that look at all documents; return the mean seconds of their units."""
    synthetic.UNIT = documents // shards
    exactly.PARTITION_ROWS = nearly.PARTITION_ROWS = documents // partitions + 1
    nearly.TOGETHER_ROWS = 0  # one band a unit, as with many documents
    settings, alone = DedupSettings(guard=1.0), Execution(cluster=None)
    decided = synthetic.made(data, documents, alone)
    exact, seconds = timed(lambda run: exactly.dedup([decided], "n", data, settings, run))
    found = {"dedup": seconds}
    signed = [sign(decided, data, settings, alone)]
    proposed, found["candidates"] = timed(lambda run: nearly.candidates(exact, signed, data, settings, run))
    corpus = gather_corpus(inputs_of(exact, "decide"), [], exact.paths("duplicates"))
    started = time.process_time()
    alike(proposed, corpus, data, settings, alone)
    found["alike"] = [time.process_time() - started]
    near, found["near"] = timed(lambda run: nearly.near(exact, signed, proposed, data, settings, run))
    means = {name: sum(seconds) / len(seconds) for name, seconds in found.items()}
    print(
        f"{documents} documents, {shards} shards, {partitions} partitions: {means} s a unit, {near.counts}", flush=True
    )
    return means


def shared_stages() -> dict[str, Shared]:
    """Fit a unit of each stage that looks at all documents; alike (with its shingles) has a unit a shard."""
    measured = []
    for cut in CUTS:
        with tempfile.TemporaryDirectory() as data:
            measured.append(looked_at_together(Path(data), *cut))
    small, whole, split, sharded = (np.array([seconds[name] for name in FITTED]) for seconds in measured)
    (few, _, _), (many, shards, _), (_, _, partitions), (_, more, _) = CUTS
    shard = np.maximum(0, sharded - whole) / (more - shards)
    own = np.maximum(0, whole - split) / (1 - 1 / partitions) / many
    own[FITTED.index("near")] = 0.0  # it has one unit, however many partitions the others have
    document = np.maximum(0, whole - small) / (many - few)
    scanned = np.maximum(0, document - own)
    fixed = np.maximum(0, small - few * document - shards * shard)
    rows = np.stack([fixed, scanned, own, shard], axis=1).tolist()
    alike_shard = (measured[3]["alike"] - measured[1]["alike"]) / (more - shards)
    found = {name: Shared(*row) for name, row in zip(FITTED, rows, strict=True)}
    return found | {"alike": Shared(0.0, 0.0, measured[1]["alike"] / many, alike_shard)}


def stages(corpus: Corpus, measured: dict[str, list[float]], measured_bytes: int, hashed: float) -> list[Stage]:
    """Scale the stages that look at single documents up: as many seconds a byte, as uneven units."""
    number = math.ceil(corpus.bytes / corpus.unit_bytes)
    found = []
    for name, seconds in measured.items():
        mean = sum(seconds) / measured_bytes * corpus.unit_bytes
        units = [mean * second / (sum(seconds) / len(seconds)) for second in islice(cycle(seconds), number)]
        found.append(Stage(name, units, hashed * corpus.bytes / HASHING if name == "ingest" else 0.0))
    return found


def later_stages(corpus: Corpus, fitted: dict[str, Shared]) -> list[Stage]:
    """Scale the stages that look at all documents up."""
    shards = math.ceil(corpus.bytes / corpus.unit_bytes)
    partitions = 1 + int(corpus.documents) // PARTITION_ROWS
    units = {"dedup": min(256, partitions), "candidates": BANDS * partitions}
    found = [
        Stage(name, [fitted[name].seconds(corpus.documents, partitions, shards)] * number, 0.0)
        for name, number in units.items()
    ]
    compared = fitted["alike"].seconds(corpus.documents, shards, 1)
    survivors = fitted["near"].seconds(corpus.documents, 1, shards)
    return [*found, Stage("alike", [compared] * shards, 0.0), Stage("near", [survivors], 0.0)]


def makespan(units: Iterable[float], workers: int, handed: float) -> float:
    """Return when the last unit ends, each begun by the first free worker, in order, one every `handed` seconds."""
    free = [0.0] * workers
    for number, seconds in enumerate(units, start=1):
        heapq.heapreplace(free, max(free[0], number * handed) + seconds)
    return max(free)


def simulated(found: Sequence[Stage], workers: int, handed: float) -> dict[str, float]:
    """Return the seconds of each stage."""
    return {stage.name: stage.serial + makespan(stage.units, workers, handed) for stage in found}


def scaled(title: str, found: Sequence[Stage], handed: float) -> dict[int, float]:
    """Print how long a corpus takes with more and more workers, and what is waited for; return the hours."""
    hours, rows = {}, []
    work = sum(sum(stage.units) + stage.serial for stage in found)
    for workers in WORKERS:
        seconds = simulated(found, workers, handed)
        total = sum(seconds.values())
        slowest = max(seconds, key=lambda name: seconds[name])
        hours[workers] = total / 3600
        rows.append({"workers": workers, "hours": hours[workers], "speed-up": work / total, "longest": slowest})
        rows[-1] |= {"its share": seconds[slowest] / total}
    print_rows(f"{title}: {work / 3600:,.1f} core-hours", rows)
    print({name: round(value, 1) for name, value in seconds.items()}, f"seconds with {workers} workers")
    return hours


def main() -> None:
    """Measure, simulate, and print one line of figures."""
    handed, fitted = handing_out(), shared_stages()
    figures = {"ms a unit, of the process that hands out": handed * 1e3}
    ratios: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        (base / "dump.xml.bz2").write_bytes(multistream(COPIES))
        for copy in range(ARCHIVES):
            shutil.copyfile(corpora() / "news" / "pages" / "news-pages.warc.gz", base / f"{copy}.warc.gz")
        wiki = WikipediaSource(kind="wikipedia", name="wiki", lang="en", paths=("dump.xml.bz2",))
        news = NewsSource(kind="news", name="news", paths=("*.warc.gz",))
        hashed = hashing(base / "dump.xml.bz2")
        for source, corpus, title in ((wiki, WIKIPEDIAS, "all Wikipedias"), (news, NEWS, "a year of CC-NEWS")):
            size = sum(path.stat().st_size for path in base.glob(source.paths[0]))
            seconds, walls = unit_seconds(source, base), wall_seconds(source, base)
            found = [*stages(corpus, seconds, size, hashed), *later_stages(corpus, fitted)]
            hours = scaled(title, found, handed)
            two = simulated([Stage(name, units, 0.0) for name, units in seconds.items()], 2, handed)
            one = sum(map(sum, seconds.values()))
            figures |= {f"{source.name}: MB/s, {name}": size / sum(units) / 1e6 for name, units in seconds.items()}
            figures |= {f"{source.name}: seconds with {n} workers": wall for n, wall in walls.items()}
            figures |= {f"{source.name}: hours with {n} workers": hour for n, hour in hours.items()}
            ratios |= {f"{source.name}_two_workers": walls[1] / walls[2]}
            ratios |= {f"{source.name}_two_workers_simulated": one / sum(two.values())}
            ratios |= {f"{source.name}_{n}_workers": hours[1] / hours[n] for n in WORKERS[2:]}
    finish(figures, "value", ratios, Path(sys.argv[1]))


if __name__ == "__main__":
    main()
