"""Committed datasets: shards, manifests, and the one way a stage builds them.

A dataset is a folder DATA/<stage>/<name>-<fingerprint8>/ of Parquet (or Arrow) shards with a
manifest.json that is written last, by rename: its presence is the commit. `build` cuts the work
into units; each unit's shards are committed by a small record of their own under units/, so that a
kill at any moment loses at most the units in flight, and the same units give the same bytes on
any number of workers. The manifest holds nothing that differs between two builds of the same
recipe; when, where and with which code it was built stands beside it in made.json.
"""

import contextlib
import dataclasses
import json
import logging
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from lmpipe import __version__
from lmpipe.errors import DatasetError
from lmpipe.known import read_record, take_known_units, unit_record, write_units
from lmpipe.settings import NOT_OUTPUT
from lmpipe.storage import (
    check_sha256,
    clear_leftovers,
    digest,
    file_sha256,
    locked,
    replacing,
    storage_errors,
    write_json,
)
from lmpipe.store import open_store, send_dataset, send_unit, take_dataset, take_units
from lmpipe.workers import run_units

log = logging.getLogger(__name__)

FORMAT = 1
"""Version of the layout below; a manifest of another format is refused."""

Progress = Callable[[int, int], None]
"""Called with (units done, units in all) as a stage goes on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """One immutable file of a dataset."""

    path: str
    """Relative to the dataset's folder; <role>-<unit>.parquet."""
    role: str
    """What its rows are: documents, quarantine, signals, decisions, tokens, ..."""
    rows: int
    """Rows in the file."""
    tokens: int = 0
    """Tokens in the file, for token shards."""
    bytes: int
    """Size of the file."""
    sha256: str
    """Of the file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a committed dataset holds and what it was made from."""

    format: int
    stage: str
    name: str
    fingerprint: str
    """sha256 over stage, version, settings and inputs: the dataset's identity."""
    settings: dict[str, Any]
    inputs: tuple[dict[str, Any], ...]
    """Files ({file, bytes, sha256}) or datasets ({stage, name, fingerprint})."""
    shards: tuple[Shard, ...]
    counts: dict[str, int]
    """Sums over units: in, kept, dropped.<reason>, duplicates, quarantined, skipped.<reason>, ..."""
    folder: Path = field(default=Path(), compare=False)
    """Where it lies; not part of the file."""

    def paths(self, role: str) -> list[Path]:
        """List the files of one role, in unit order."""
        return [self.folder / shard.path for shard in self.shards if shard.role == role]

    @property
    def reference(self) -> dict[str, Any]:
        """Name this dataset as an input of another."""
        return {"stage": self.stage, "name": self.name, "fingerprint": self.fingerprint}


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The identity of a dataset before it is built."""

    stage: str
    name: str
    version: int
    """Raised by hand when the stage's code changes its output."""
    settings: dict[str, Any]
    inputs: tuple[dict[str, Any], ...]

    @property
    def fingerprint(self) -> str:
        """sha256 over everything that defines the output."""
        return digest([FORMAT, self.stage, self.name, self.version, self.settings, self.inputs])

    @property
    def kind(self) -> str:
        """The fingerprint without the inputs: datasets of one kind may share units (known.py)."""
        return digest([FORMAT, self.stage, self.name, self.version, self.settings])

    def folder(self, data: Path) -> Path:
        """Say where the dataset lies under `data`."""
        return data / self.stage / f"{self.name}-{self.fingerprint[:8]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """How a stage is run; never part of what it writes."""

    workers: int = 1
    """Units side by side, each in a process; 1 works in this process."""
    cluster: str | None = field(default_factory=lambda: os.environ.get("LMPIPE_RAY"))
    """Address of the Ray cluster whose processes they are, None for this machine's. From the environment, which
    reaches every command, flow and deployment alike."""
    store: str | None = field(default_factory=lambda: os.environ.get("LMPIPE_STORE") or None)
    """URI of the object store that keeps what is built, and gives what others have built; None for neither."""
    progress: Progress | None = None
    """Told of every finished unit."""


@dataclass(slots=True, kw_only=True)
class UnitOutput:
    """Collects what one unit writes; its `write` makes one file per role, by rename."""

    folder: Path
    index: int
    shards: list[Shard] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)

    def count(self, key: str, number: int = 1) -> None:
        """Add to one of the unit's counts."""
        self.counts[key] = self.counts.get(key, 0) + number

    def write(self, role: str, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> None:
        """Write batches as <role>-<unit>.parquet, one row group each."""
        with self.writing(role, schema) as append:
            for batch in batches:
                append(batch)

    @contextlib.contextmanager
    def writing(self, role: str, schema: pa.Schema) -> Iterator[Callable[[pa.RecordBatch], None]]:
        """Give a function that appends batches to <role>-<unit>.parquet; the file appears at the end."""
        name = f"{role}-{self.index:05d}.parquet"
        rows = 0
        with (
            replacing(self.folder / name) as temporary,
            pq.ParquetWriter(temporary, schema, compression="zstd") as writer,
        ):

            def append(batch: pa.RecordBatch) -> None:
                nonlocal rows
                if batch.num_rows:
                    writer.write_batch(batch, row_group_size=batch.num_rows)
                    rows += batch.num_rows

            yield append
        self.add(role, name, rows=rows)

    def add(self, role: str, name: str, *, rows: int, tokens: int = 0) -> None:
        """Record a file that the unit has put into the folder itself (through `replacing`)."""
        path = self.folder / name
        shard = Shard(
            path=name, role=role, rows=rows, tokens=tokens, bytes=path.stat().st_size, sha256=file_sha256(path)
        )
        self.shards.append(shard)


Work = Callable[[Any, UnitOutput], None]
"""A module-level function: (unit arguments, output) -> None; runs in any process, in any order."""


def build(
    plan: Plan,
    data: Path,
    work: Work,
    units: Sequence[Any],
    execution: Execution,
    check: Callable[[dict[str, int], Path], None] | None = None,
    keys: Sequence[str] | None = None,
) -> Manifest:
    """Build the dataset of `plan` under `data`, or return it when it is already committed.

    `work(unit, output)` is called once for every unit that no earlier, killed run has finished, and whose key, of
    `keys`, no earlier dataset of this kind has: a key stands for all that a unit's output depends on beside the plan.
    `check(counts, folder)` may refuse the whole (by raising) before it is committed.
    """
    folder = plan.folder(data)
    store = open_store(execution.store) if execution.store is not None else None
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with locked(folder):
            if (folder / "manifest.json").exists() or (store is not None and take_dataset(store, folder)):
                shutil.rmtree(folder / "units", ignore_errors=True)
                log.info("%s %s: already built, nothing to do (%s)", plan.stage, plan.name, folder)
                manifest = open_dataset(folder)
            else:
                check_inputs(plan.inputs, data)
                if keys is not None:
                    take_known_units(folder, plan.name, plan.kind, keys)
                if store is not None:
                    take_units(store, folder)
                manifest = build_here(plan, folder, work, units, execution, check, keys)
            if store is not None:
                send_dataset(store, folder, [shard.path for shard in manifest.shards])
            return manifest


def build_here(
    plan: Plan,
    folder: Path,
    work: Work,
    units: Sequence[Any],
    execution: Execution,
    check: Callable[[dict[str, int], Path], None] | None,
    keys: Sequence[str] | None,
) -> Manifest:
    """Do what units are still to do and commit the dataset; see `build`."""
    started = time.time()
    records = finish_units(folder, work, units, execution)
    manifest = merge(plan, folder, records)
    if check is not None:
        check(manifest.counts, folder)
    if keys is not None:
        write_units(folder, plan.kind, keys, records)
    commit(manifest, started)
    log.info("%s %s: %s in %.1f s (%s)", plan.stage, plan.name, manifest.counts, time.time() - started, folder)
    return manifest


def finish_units(folder: Path, work: Work, units: Sequence[Any], execution: Execution) -> list[dict[str, Any]]:
    """Run the units that have no record yet and return the records of all, in unit order."""
    (folder / "units").mkdir(exist_ok=True)
    clear_leftovers(folder)
    finished = {path.name for path in (folder / "units").iterdir()}  # NFS would remember each name it did not find
    todo = [index for index in range(len(units)) if unit_record(folder, index).name not in finished]
    done = len(units) - len(todo)
    if done:
        log.info("%s: %d of %d units were finished before", folder.name, done, len(units))
    tell = execution.progress or (lambda finished, total: None)
    tell(done, len(units))
    arguments = [(work, folder, index, units[index], execution.store) for index in todo]
    for _ in run_units(run_unit, arguments, execution.workers, execution.cluster):
        done += 1
        tell(done, len(units))
    clear_leftovers(folder)  # a cluster goes on without the nodes that it loses
    return [read_record(unit_record(folder, index)) for index in range(len(units))]


def run_unit(arguments: tuple[Work, Path, int, Any, str | None]) -> int:
    """Do one unit and commit it by its record; runs in a worker process."""
    work, folder, index, unit, store = arguments
    output = UnitOutput(folder=folder, index=index)
    with storage_errors(folder):
        work(unit, output)
        record = {"shards": [dataclasses.asdict(s) for s in output.shards], "counts": output.counts}
        write_json(unit_record(folder, index), record)
        if store is not None:
            shards = [shard.path for shard in output.shards]
            send_unit(open_store(store), folder, unit_record(folder, index), shards)
    return index


def merge(plan: Plan, folder: Path, records: list[dict[str, Any]]) -> Manifest:
    """Add up the units' records; sums and unit order make the result independent of who did what."""
    counts: dict[str, int] = {}
    for record in records:
        for key, number in record["counts"].items():
            counts[key] = counts.get(key, 0) + number
    return Manifest(
        format=FORMAT,
        stage=plan.stage,
        name=plan.name,
        fingerprint=plan.fingerprint,
        settings=plan.settings,
        inputs=plan.inputs,
        shards=tuple(Shard(**shard) for record in records for shard in record["shards"]),
        counts=dict(sorted(counts.items())),
        folder=folder,
    )


def commit(manifest: Manifest, started: float) -> None:
    """Write made.json, then manifest.json by rename; from then on the dataset exists."""
    finished = max(started, time.time())  # the clock may have been put back
    made = {"version": __version__, "host": os.uname().nodename, "started": started, "finished": finished}
    write_json(manifest.folder / "made.json", made)
    body = dataclasses.asdict(manifest)
    del body["folder"]
    write_json(manifest.folder / "manifest.json", body)
    shutil.rmtree(manifest.folder / "units", ignore_errors=True)


def open_dataset(folder: Path) -> Manifest:
    """Read a committed dataset's manifest and see that its shards are there in their size.

    Raises DatasetError when the manifest is missing or unreadable, or a shard is missing or cut.
    """
    path = folder / "manifest.json"
    try:
        body = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DatasetError(
            f"{folder}: no manifest.json, so this is no committed dataset. Run its stage again."
        ) from None
    except ValueError as error:
        raise DatasetError(
            f"{path}: not readable as JSON ({error}). Delete the folder and run its stage again."
        ) from None
    if not isinstance(body, dict) or body.get("format") != FORMAT:
        raise DatasetError(
            f"{path}: expected a manifest of format {FORMAT}. Delete the folder and run its stage again."
        )
    body["shards"] = tuple(Shard(**shard) for shard in body["shards"])
    body["inputs"] = tuple(body["inputs"])
    manifest = Manifest(**body, folder=folder)
    for shard in manifest.shards:
        size = (folder / shard.path).stat().st_size if (folder / shard.path).exists() else None
        if size != shard.bytes:
            raise DatasetError(
                f"{folder / shard.path}: expected {shard.bytes} bytes, found {size if size is not None else 'no file'}."
                " Delete the folder and run its stage again."
            )
    return manifest


def check_inputs(inputs: Iterable[dict[str, Any]], data: Path) -> None:
    """Check the datasets among some inputs and all behind them, but for deleted ones: a stage reads both."""
    for folder in upstream(referenced(inputs, data), all_there=False):
        for shard in open_dataset(folder).shards:
            check_sha256(folder / shard.path, shard.sha256, "Delete the folder and run its stage again.")


def unit_keys(manifests: Iterable[Manifest], units: Iterable[Sequence[Any]]) -> list[str]:
    """Say of each unit what it reads: paths by the sha256 that their manifest gives, other values as they are."""
    hashes = {manifest.folder / shard.path: shard.sha256 for manifest in manifests for shard in manifest.shards}
    return [digest([hashes[part] if isinstance(part, Path) else part for part in unit]) for unit in units]


def inputs_of(manifest: Manifest, stage: str) -> list[Manifest]:
    """Open the datasets of one stage that `manifest` was made from, in order."""
    return [open_dataset(folder) for folder in input_folders(manifest) if folder.parent.name == stage]


def input_folders(manifest: Manifest) -> list[Path]:
    """List the folders of the datasets that `manifest` was made from, in order."""
    return referenced(manifest.inputs, manifest.folder.parent.parent)


def referenced(inputs: Iterable[dict[str, Any]], data: Path) -> list[Path]:
    """List the folders of the datasets among some inputs."""
    return [data / i["stage"] / f"{i['name']}-{i['fingerprint'][:8]}" for i in inputs if "stage" in i]


def upstream(folders: Iterable[Path], *, all_there: bool = True) -> list[Path]:
    """List datasets and all that they were made from, each once and behind its inputs; perhaps without deleted ones."""
    found: dict[Path, None] = {}

    def visit(folder: Path) -> None:
        if folder not in found and (all_there or (folder / "manifest.json").exists()):
            for above in input_folders(open_dataset(folder)):
                visit(above)
            found[folder] = None

    for folder in folders:
        visit(folder)
    return list(found)


def made(manifest: Manifest) -> dict[str, Any]:
    """Read when, where and with which version a dataset was built."""
    body: dict[str, Any] = json.loads((manifest.folder / "made.json").read_text())
    return body


def read_batches(path: Path, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
    """Stream a Parquet shard, one batch per row group."""
    yield from read_groups(path, range(pq.read_metadata(path).num_row_groups), columns)


def read_groups(path: Path, groups: Sequence[int], columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
    """Stream some row groups of a Parquet shard, one batch each."""
    with pq.ParquetFile(path) as file:
        for group in groups:
            table = file.read_row_group(group, columns=list(columns) if columns is not None else None)
            yield from table.combine_chunks().to_batches()


def settings_dict(settings: Any) -> dict[str, Any]:
    """Turn a settings dataclass into JSON data, without what does not define the output."""
    body = dataclasses.asdict(settings)
    return {key: value for key, value in body.items() if key not in NOT_OUTPUT}
