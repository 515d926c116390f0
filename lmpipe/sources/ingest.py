"""The ingest stage: read one source of a recipe into a dataset of documents and one of bad records.

Every source module offers the same two functions: `units(source, files)` cuts its files into
pieces that can be read independently, and `read(source, unit)` yields one Document, BadRecord or
Skipped for every record of a piece, without ever raising for the record's content. What comes in
is thus always documents + quarantined + skipped.

A wiki's next snapshot takes over what an earlier one has of unchanged pages (reuse.py); that saves
time and changes no byte.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, Generic, NamedTuple, TypeVar

import pyarrow as pa

from lmpipe.dataset import Execution, Manifest, Plan, UnitOutput, build, settings_dict
from lmpipe.document import (
    DOCUMENTS,
    QUARANTINE,
    REDIRECTS,
    BadRecord,
    Document,
    Record,
    Redirect,
    document_batches,
    quarantine_batch,
    redirect_batch,
)
from lmpipe.errors import InputError, QuarantineError
from lmpipe.recipe import source_files
from lmpipe.settings import Source
from lmpipe.sources.reuse import Earlier, earlier_dataset
from lmpipe.storage import digest, file_inputs

log = logging.getLogger(__name__)

VERSION = 3
KINDS = ("wikipedia", "news", "novels", "local", "parallel")
"""Kinds of sources: each is read by the module of its name."""
QUARANTINE_ROWS = 64
"""Bad records per row group: 64 x 1 MiB bounds what is held."""
REDIRECT_ROWS = 4096
"""Redirects per row group, of some 100 bytes each."""

Row = TypeVar("Row")


def reader(kind: str) -> ModuleType:
    """Import the module that reads a kind of source: each worker pays only for the parsers that it needs."""
    assert kind in KINDS, f"no reader for {kind}"
    return import_module(f"lmpipe.sources.{kind}")


class IngestUnit(NamedTuple):
    """One unit's arguments."""

    source: Source
    unit: object
    """What the source module's `units` returned."""
    earlier: Path | None
    """Folder of the earlier dataset whose renderings may be taken over."""


def ingest(source: Source, base: Path, data: Path, execution: Execution, downloaded: Sequence[Path] = ()) -> Manifest:
    """Read `source` (paths relative to `base`, then `downloaded`) into DATA/ingest/<name>-<fingerprint8>/.

    Raises InputError for missing or empty input, QuarantineError above the recipe's rate.
    """
    files = list(dict.fromkeys([*source_files(source, base), *downloaded]))
    inputs = file_inputs(files)
    plan = Plan(stage="ingest", name=source.name, version=VERSION, settings=settings_dict(source), inputs=inputs)
    earlier = earlier_dataset(plan, data) if source.kind == "wikipedia" else None
    units = [IngestUnit(source, unit, earlier) for unit in reader(source.kind).units(source, files)]

    def check(counts: dict[str, int], folder: Path) -> None:
        check_counts(source, files, counts, folder)
        if earlier is not None:
            log.info(
                "source %s: %d of %d documents taken over from %s",
                source.name,
                num_reused(folder),
                counts["kept"],
                earlier,
            )

    keys = [news_key(unit.unit, files, inputs) for unit in units] if source.kind == "news" else None
    return build(plan, data, ingest_unit, units, execution, check, keys)


def news_key(unit: Any, files: Sequence[Path], inputs: Sequence[dict[str, Any]]) -> str:
    """Stand for what a unit of news (NewsUnit) reads: only new archives and polls of feeds are read again."""
    known = dict(zip(map(str, files), inputs, strict=True))
    return digest([[known[path] for path in unit.paths], unit.kind, unit.start, unit.end])


def ingest_unit(unit: IngestUnit, output: UnitOutput) -> None:
    """Read one unit, streaming documents out and setting bad records and redirects aside."""
    source, module = unit.source, reader(unit.source.kind)
    earlier = Earlier(unit.earlier) if unit.earlier is not None else None
    records = module.read(source, unit.unit, earlier) if earlier is not None else module.read(source, unit.unit)
    with (
        Aside("quarantine", QUARANTINE, QUARANTINE_ROWS, partial(quarantine_batch, source=source.name), output) as bad,
        Aside("redirects", REDIRECTS, REDIRECT_ROWS, partial(redirect_batch, source=source.name), output) as redirects,
    ):
        documents = kept(records, bad, redirects, output)
        if source.kind == "wikipedia":
            documents = tallied(documents, module, output)
        output.write(
            "documents", DOCUMENTS, document_batches(documents, source.name, source.licence, language_of(source))
        )
    if earlier is not None:
        reused_file(output.folder, output.index).write_text(str(earlier.num_found))


def language_of(source: Source) -> str | None:
    """Give the language of documents that name none; a pair's is that of the side that is learnt to be written."""
    return source.langs[1] if source.kind == "parallel" else source.lang


def kept(
    records: Iterator[Record], bad: "Aside[BadRecord]", redirects: "Aside[Redirect]", output: UnitOutput
) -> Iterator[Document]:
    """Pass documents on, set bad records and redirects aside, and count every record once."""
    for record in records:
        output.count("in")
        if isinstance(record, Document):
            output.count("kept")
            yield record
        elif isinstance(record, BadRecord):
            output.count("quarantined")
            bad.add(record)
        else:
            output.count(f"skipped.{record.reason}")
            if isinstance(record, Redirect):
                redirects.add(record)


def tallied(documents: Iterator[Document], wikipedia: ModuleType, output: UnitOutput) -> Iterator[Document]:
    """Count what the rates of holes and lost templates are made of."""
    for document in documents:
        for key, number in wikipedia.tally(document).items():
            output.count(key, number)
        yield document


def reused_file(folder: Path, index: int) -> Path:
    """The file in which a unit says how many renderings it took over: for the log, and gone at the commit."""
    return folder / "units" / f"{index:05d}.reused"


def num_reused(folder: Path) -> int:
    """Add up what the units took over."""
    return sum(int(path.read_text()) for path in folder.glob("units/*.reused"))


@dataclass(slots=True)
class Aside(AbstractContextManager["Aside[Row]"], Generic[Row]):
    """Writes the rows of one role in groups; a unit without any gets no file."""

    role: str
    schema: pa.Schema
    rows: int
    """Rows per group."""
    batch: Callable[[Sequence[Row]], pa.RecordBatch]
    output: UnitOutput
    held: list[Row] = field(default_factory=list)
    stack: ExitStack = field(default_factory=ExitStack)
    append: Callable[[pa.RecordBatch], None] | None = None

    def add(self, row: Row) -> None:
        """Hold a row until there is a group of them."""
        self.held.append(row)
        if len(self.held) == self.rows:
            self.flush()

    def flush(self) -> None:
        """Write what is held."""
        if self.held:
            if self.append is None:
                self.append = self.stack.enter_context(self.output.writing(self.role, self.schema))
            self.append(self.batch(self.held))
            self.held.clear()

    def __exit__(self, *error: Any) -> None:
        if error[0] is None:
            self.flush()
        self.stack.__exit__(*error)


def check_counts(source: Source, files: Sequence[Path], counts: dict[str, int], folder: Path) -> None:
    """Refuse a source without documents, or with more bad records than allowed."""
    total, quarantined = counts.get("in", 0), counts.get("quarantined", 0)
    if total == 0:
        raise InputError(
            f"source {source.name}: no record in {[f.name for f in files]}; expected {source.kind} data."
            " Check the paths."
        )
    if quarantined > source.max_quarantine * total:
        raise QuarantineError(
            f"source {source.name}: {quarantined} of {total} records are bad, more than max_quarantine ="
            f" {source.max_quarantine:g}. Read them: SELECT origin, error FROM"
            f" '{folder}/quarantine-*.parquet'. Repair the input or raise the limit."
        )
    if counts.get("kept", 0) == 0:
        raise InputError(
            f"source {source.name}: {total} records, but not one document: {counts}. Check kind and settings."
        )
