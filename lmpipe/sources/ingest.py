"""The ingest stage: read one source of a recipe into a dataset of documents and one of bad records.

Every source module offers the same two functions: `units(source, files)` cuts its files into
pieces that can be read independently, and `read(source, unit)` yields one Document, BadRecord or
Skipped for every record of a piece, without ever raising for the record's content. What comes in
is thus always documents + quarantined + skipped.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import pyarrow as pa

from lmpipe.dataset import Execution, Manifest, Plan, UnitOutput, build, file_input, settings_dict
from lmpipe.document import DOCUMENTS, QUARANTINE, BadRecord, Document, Record, document_batches, quarantine_batch
from lmpipe.errors import InputError, QuarantineError
from lmpipe.recipe import source_files
from lmpipe.settings import Source
from lmpipe.sources import local, news, novels, wikipedia

VERSION = 1
READERS: dict[str, ModuleType] = {"wikipedia": wikipedia, "news": news, "novels": novels, "local": local}
QUARANTINE_ROWS = 64
"""Bad records per row group: 64 x 1 MiB bounds what is held."""


class IngestUnit(NamedTuple):
    """One unit's arguments."""

    source: Source
    unit: object
    """What the source module's `units` returned."""


def ingest(source: Source, base: Path, data: Path, execution: Execution) -> Manifest:
    """Read `source` (paths relative to `base`) into DATA/ingest/<name>-<fingerprint8>/.

    Raises InputError for missing or empty input, QuarantineError above the recipe's rate.
    """
    files = source_files(source, base)
    inputs = tuple(file_input(file) for file in files)
    plan = Plan(stage="ingest", name=source.name, version=VERSION, settings=settings_dict(source), inputs=inputs)
    units = [IngestUnit(source, unit) for unit in READERS[source.kind].units(source, files)]

    def check(counts: dict[str, int], folder: Path) -> None:
        check_counts(source, files, counts, folder)

    return build(plan, data, ingest_unit, units, execution, check)


def ingest_unit(unit: IngestUnit, output: UnitOutput) -> None:
    """Read one unit, streaming documents out and setting bad records aside."""
    source = unit.source
    records = READERS[source.kind].read(source, unit.unit)
    with Quarantine(source=source.name, output=output) as quarantine:
        documents = kept(records, quarantine, output)
        output.write("documents", DOCUMENTS, document_batches(documents, source.name, source.licence, source.lang))


def kept(records: Iterator[Record], quarantine: "Quarantine", output: UnitOutput) -> Iterator[Document]:
    """Pass documents on, set bad records aside, and count every record once."""
    for record in records:
        output.count("in")
        if isinstance(record, Document):
            output.count("kept")
            yield record
        elif isinstance(record, BadRecord):
            output.count("quarantined")
            quarantine.add(record)
        else:
            output.count(f"skipped.{record.reason}")


@dataclass(slots=True, kw_only=True)
class Quarantine(AbstractContextManager["Quarantine"]):
    """Writes bad records in groups; a unit without any gets no quarantine file."""

    source: str
    output: UnitOutput
    held: list[BadRecord] = field(default_factory=list)
    stack: ExitStack = field(default_factory=ExitStack)
    append: Callable[[pa.RecordBatch], None] | None = None

    def add(self, record: BadRecord) -> None:
        """Hold a record until there are QUARANTINE_ROWS."""
        self.held.append(record)
        if len(self.held) == QUARANTINE_ROWS:
            self.flush()

    def flush(self) -> None:
        """Write what is held."""
        if self.held:
            if self.append is None:
                self.append = self.stack.enter_context(self.output.writing("quarantine", QUARANTINE))
            self.append(quarantine_batch(self.held, self.source))
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
