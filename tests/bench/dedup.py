"""Two million documents through exact and near deduplication: time, and peak memory of the whole process tree.

python -m tests.bench.dedup DATA [DOCUMENTS] [WORKERS]
Documents of 60 words are made up; of every 20 one is an exact copy of another, one a near copy, one a page of a
template that is no duplicate (similarity 0.7: they crowd the buckets), one a page of a template that differs in
digits alone. DATA should be empty: what is there already is not measured.
"""

import hashlib
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lmpipe.cli.tables import print_rows
from lmpipe.curate.decide import DECISIONS
from lmpipe.curate.dedup import dedup
from lmpipe.curate.near import candidates, near, sign
from lmpipe.dataset import Execution, Manifest, Plan, UnitOutput, build
from lmpipe.settings import DedupSettings

DOCUMENTS = 2_000_000
UNIT = 50_000
BATCH = 512
WORDS = 60
KINDS = 20
TEXTS = pa.schema([("id", pa.string()), ("lang", pa.string()), ("text", pa.string())])
Numbers = npt.NDArray[np.uint64]


class Made(NamedTuple):
    """One unit's arguments."""

    start: int
    end: int
    total: int
    role: str


def word_numbers(contents: Numbers) -> Numbers:
    """Draw the words of documents from what they are about (splitmix64)."""
    mixed = contents[:, None] * np.uint64(1000) + np.arange(WORDS, dtype=np.uint64)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    return (mixed ^ (mixed >> np.uint64(31))) % np.uint64(26**4)


def texts(numbers: npt.NDArray[np.int64], total: int) -> list[str]:
    """Write the documents of these numbers."""
    kind = numbers % KINDS
    originals = (numbers * 31 % (total // KINDS)) * KINDS  # whose kind is 0
    contents = np.where((kind == 16) | (kind == 17), originals, numbers).astype(np.uint64)
    words = word_numbers(contents)
    template = word_numbers(np.array([total + 1, total + 2], np.uint64))
    words[kind == 18, :50] = template[0, :50]
    words[kind == 19] = template[1]
    words[kind == 17, -1] = (numbers[kind == 17] % 26**4).astype(np.uint64)
    letters = (words[..., None] // np.array([26**3, 26**2, 26, 1], np.uint64) % np.uint64(26) + np.uint64(97)).astype(
        "u1"
    )
    lines = np.concatenate([letters, np.full((*words.shape, 1), 32, np.uint8)], axis=2).reshape(len(numbers), -1)
    found = [line.tobytes().decode() for line in lines]
    return [f"{text}{n}" if k == 19 else text for text, n, k in zip(found, numbers, kind, strict=True)]


def make(unit: Made, output: UnitOutput) -> None:
    """Write one unit of cleaned texts, or of the decisions to keep them."""
    schema = TEXTS if unit.role == "documents" else DECISIONS
    with output.writing(unit.role, schema) as append:
        for start in range(unit.start, unit.end, BATCH):
            numbers = np.arange(start, min(start + BATCH, unit.end))
            columns = {"id": [f"local:{n}" for n in numbers], "text": texts(numbers, unit.total)}
            columns |= {"lang": ["en"] * len(numbers), "source": ["local"] * len(numbers), "work": columns["id"]}
            encoded = [text.encode() for text in columns["text"]]
            columns |= {"text_sha256": [hashlib.sha256(data).digest() for data in encoded]}
            columns |= {"bytes": list(map(len, encoded))}
            arrays = [pa.array(columns.get(f.name, [None] * len(numbers)), f.type) for f in schema]
            append(pa.record_batch(arrays, schema=schema))
    output.count("kept", unit.end - unit.start)


def made(data: Path, total: int, run: Execution) -> Manifest:
    """Write the cleaned and the decided dataset."""
    inputs: tuple[dict[str, object], ...] = ()
    for stage, role in (("clean", "documents"), ("decide", "decisions")):
        units = [Made(start, min(start + UNIT, total), total, role) for start in range(0, total, UNIT)]
        manifest = build(
            Plan(stage=stage, name="local", version=1, settings={"n": total}, inputs=inputs), data, make, units, run
        )
        inputs = (manifest.reference,)
    return manifest


class Peak:
    """Watches the resident memory of this process and all below it, pages that they share counted each time."""

    def __init__(self) -> None:
        self.bytes = 0
        threading.Thread(target=self.watch, daemon=True).start()

    def watch(self) -> None:
        """Look five times a second."""
        while True:
            self.bytes = max(self.bytes, sum(map(resident, family(os.getpid()))))
            time.sleep(0.2)


def family(process: int) -> list[int]:
    """List a process and all below it."""
    try:
        children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
        for thread in Path(f"/proc/{process}/task").iterdir():
            children += (thread / "children").read_text().split()
    except OSError:
        return []
    return [process, *(p for child in set(map(int, children)) for p in family(child))]


def resident(process: int) -> int:
    """Read a process's resident memory in bytes; 0 where it has just ended."""
    try:
        return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def main() -> None:
    """Run the stages and print what each took."""
    data = Path(sys.argv[1])
    total, workers = (int(a) for a in (*sys.argv[2:], *(str(DOCUMENTS), "2")[len(sys.argv) - 2 :]))
    run, settings = Execution(workers=workers), DedupSettings(guard=1.0)
    decided = made(data, total, run)
    peak, rows = Peak(), []

    def timed(stage: Callable[..., Manifest], *arguments: object) -> Manifest:
        peak.bytes, started = 0, time.time()
        manifest = stage(*arguments)
        rows.append({"stage": manifest.stage, "wall s": time.time() - started, "peak MB": peak.bytes / 1e6})
        print(rows[-1], manifest.counts, flush=True)
        return manifest

    exact = timed(dedup, [decided], "synthetic", data, settings, run)
    signed = [timed(sign, decided, data, settings, run)]
    proposed = timed(candidates, exact, signed, data, settings, run)
    timed(near, exact, signed, proposed, data, settings, run)
    print_rows(f"{total:,} documents, {workers} workers, load {os.getloadavg()[0]:.1f}", rows)


if __name__ == "__main__":
    main()
