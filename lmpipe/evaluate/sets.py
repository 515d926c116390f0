"""The sets stage: an evaluation set from outside as a committed dataset of documents, so that a number leads to bytes.

A published set is read as published.py says and must have its counts; any other name is a JSONL or Parquet file of
records, read as a local source reads it.
"""

import os
import re
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from lmpipe.curate.signals import measure
from lmpipe.dataset import Execution, Manifest, Plan, UnitOutput, build, settings_dict
from lmpipe.document import BadRecord, Document
from lmpipe.errors import InputError
from lmpipe.evaluate.published import PUBLISHED, Files, Published, Record
from lmpipe.settings import LocalSource, SetSettings
from lmpipe.sources import local
from lmpipe.sources.download.file import fetch_file
from lmpipe.storage import file_inputs
from lmpipe.text.language import identify

VERSION = 1
BATCH_CHARS = 250_000
"""Characters of a row group, which is what one unit of an evaluation scores: some 60,000 tokens."""

SET = pa.schema(
    [
        ("id", pa.string()),
        ("lang", pa.string()),
        ("domain", pa.string()),
        ("text", pa.string()),
        ("prompt", pa.int64()),
        ("words", pa.int64()),
        ("bytes", pa.int64()),
    ]
)
"""One row per document, in the order of the files; text is what is scored behind its first `prompt` characters, words
and bytes are counted of the original."""


class SetUnit(NamedTuple):
    """The one unit's arguments."""

    settings: SetSettings
    files: list[Path]


def evaluation_set(settings: SetSettings, data: Path, base: Path, execution: Execution) -> Manifest:
    """Commit a set in DATA/sets/<name>-<fingerprint8>/; settings.path is relative to `base`, the recipe's folder.

    Raises InputError when its files are missing, or are not those that were published.
    """
    files = set_files(settings, base)
    plan = Plan(
        stage="sets",
        name=settings.name,
        version=VERSION,
        settings=settings_dict(settings),
        inputs=file_inputs(files),
    )

    def check(counts: dict[str, int], folder: Path) -> None:
        check_counts(settings, counts, files)

    return build(plan, data, set_unit, [SetUnit(settings, files)], execution, check)


def named_set(text: str) -> SetSettings:
    """Read NAME=PATH, as the command line has it; raises InputError when it is not that."""
    name, equals, path = text.partition("=")
    if not (name and equals and path):
        raise InputError(f"--set {text}: expected NAME=PATH, such as ptb=ptb.zip. Name both.")
    return SetSettings(name=name, path=path)


def set_files(settings: SetSettings, base: Path) -> list[Path]:
    """Find the files of a set, sorted, fetching what is not there; raises InputError where there are none."""
    expanded = os.path.expandvars(settings.path)
    if "$" in expanded:
        raise InputError(
            f"evaluation set {settings.name}: {settings.path}: environment variable not set. Export it, or write the"
            " path."
        )
    path = base / expanded
    if settings.download is not None and not path.exists():
        fetch_file(settings.download, path)
    files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
    if not files or not files[0].exists():
        raise InputError(f"evaluation set {settings.name}: {path}: no such file. Name the set's file, zip or folder.")
    return files


def check_counts(settings: SetSettings, counts: dict[str, int], files: list[Path]) -> None:
    """Refuse a set whose documents, words or bytes are not the published ones, or that is empty."""
    if not counts.get("documents"):
        raise InputError(f"evaluation set {settings.name}: {files[0]}: no document in it. Name another file or column.")
    published = PUBLISHED.get(settings.name)
    for key, expected in published.counts[settings.split].items() if published is not None else ():
        if counts[key] != expected:
            raise InputError(
                f"evaluation set {settings.name} ({settings.split}): expected {expected:,} {key}, found"
                f" {counts[key]:,} in {files[0]}. Take the published files, or give the set another name."
            )


def set_unit(unit: SetUnit, output: UnitOutput) -> None:
    """Read a set and write it in row groups of bounded size."""
    batches = set_batches(records(unit, output), unit.settings)
    with output.writing("documents", SET) as append:
        for batch in batches:
            append(batch)
            output.count("documents", batch.num_rows)
            for column in ("words", "bytes"):
                output.count(column, sum(batch.column(column).to_pylist()))


def records(unit: SetUnit, output: UnitOutput) -> Iterator[Record]:
    """Read the records of a published set, or of any other file."""
    published = PUBLISHED.get(unit.settings.name)
    if published is None:
        return other_records(unit, output)
    if unit.settings.split not in published.counts:
        raise InputError(f"evaluation set {unit.settings.name} has no split {unit.settings.split}. Take test.")
    return published_records(published, unit)


def published_records(published: Published, unit: SetUnit) -> Iterator[Record]:
    """Read the records of a published set; raises InputError for a file of another form."""
    try:
        yield from published.read(opener(unit), unit.settings.split)
    except (ValueError, KeyError) as error:  # no UTF-8, no JSON, no such column, no tag
        raise InputError(
            f"evaluation set {unit.settings.name}: {unit.files[0]}: not of the published form ({error!r}). Take the"
            " published files, or give the set another name."
        ) from error


def opener(unit: SetUnit) -> Files:
    """Give a function that reads the set's one file, or member of its zip, whose name matches a pattern as a whole."""
    archive = zipfile.ZipFile(unit.files[0]) if zipfile.is_zipfile(unit.files[0]) else None
    found = {path.name: path for path in unit.files}
    names = [name for name in archive.namelist() if "__MACOSX" not in name] if archive is not None else list(found)

    def read(pattern: str) -> bytes:
        matching = [name for name in names if re.fullmatch(pattern, name)]
        if archive is None and len(names) == 1:
            matching = names  # a file named by the recipe is what it says
        if len(matching) != 1:
            raise InputError(
                f"evaluation set {unit.settings.name}: expected one file named like {pattern}, found"
                f" {matching or names[:9]} in {unit.files[0]}. Name its file, or a folder or zip with it."
            )
        return archive.read(matching[0]) if archive is not None else found[matching[0]].read_bytes()

    return read


def other_records(unit: SetUnit, output: UnitOutput) -> Iterator[Record]:
    """Read JSONL or Parquet through the local source's readers; bad records are counted."""
    settings = unit.settings
    wanted = {"text": settings.text, "id": settings.id, "domain": settings.domain}
    source = LocalSource(
        kind="local",
        name=settings.name,
        paths=(settings.path,),
        format="parquet" if unit.files[0].suffix == ".parquet" else "jsonl",
        fields={field: column for field, column in wanted.items() if column is not None},
    )
    for part in local.units(source, unit.files):
        for record in local.read(source, part):
            if isinstance(record, BadRecord):
                output.count("quarantined")
            elif isinstance(record, Document):
                lang = settings.lang or identify(record.text).lang
                (words,) = measure([record.text], [lang])["words"]
                size = len(record.text.encode())
                yield Record(record.native_id, record.text, words, size, record.meta.get("domain"))


def set_batches(found: Iterable[Record], settings: SetSettings) -> Iterator[pa.RecordBatch]:
    """Lay records out as batches of SET."""
    rows: list[dict[str, object]] = []
    size = 0
    lang = settings.lang or ("en" if settings.name in PUBLISHED else None)
    for record in found:
        row = record._asdict() | {"id": f"{settings.name}:{record.id}"}
        rows.append(row | {"lang": lang or identify(record.text).lang})
        size += len(record.text)
        if size >= BATCH_CHARS:
            yield pa.RecordBatch.from_pylist(rows, schema=SET)
            rows, size = [], 0
    if rows:
        yield pa.RecordBatch.from_pylist(rows, schema=SET)
