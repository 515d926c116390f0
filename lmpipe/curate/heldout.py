"""The heldout stage: every run of words that stands in what models are evaluated on, to be looked up quickly.

Records are those of the recipe's evaluation sets and its own valid and test documents. They are written in parts
of bounded size: `records` (set and id), `words` (their words, as ngrams.py compares them) and `runs` (the hash of
every run, sorted, with the record and place that it is of). Arrow files, mapped into memory by all workers at once
and never read as a whole, so that a large test set costs no memory of its own.
"""

import fnmatch
import re
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from lmpipe.curate.ngrams import Runs, Words, cut
from lmpipe.dataset import Execution, Manifest, Plan, UnitOutput, build, settings_dict
from lmpipe.document import BadRecord, Document
from lmpipe.errors import InputError
from lmpipe.recipe import source_files
from lmpipe.settings import DecontaminateSettings, EvaluationSet, LocalSource
from lmpipe.sources import local
from lmpipe.sources.archives import Archive, ArchiveError
from lmpipe.sources.textfiles import file_is_zip
from lmpipe.storage import file_input, replacing
from lmpipe.text.normalize import normalize
from lmpipe.text.segment import Ints, per_text
from lmpipe.tokens.corpus import CorpusShard, chosen_batches, corpus_shards

VERSION = 1
OWN = ("valid", "test")
"""The recipe's own sets: the splits that are held out."""
PART_CHARS = 8_000_000
"""Characters of records in a part: some 150 MB while it is made."""
MOST = 10
"""Places that a run is looked up in, the first ones: pairs of documents must not grow with the product of what is
alike on both sides."""
ARTICLE = re.compile(r"^ = [^=].*[^=] = $", re.MULTILINE)
"""The title of an article in WikiText; sections have more equals signs."""

RECORDS = pa.schema([("set", pa.string()), ("id", pa.string()), ("words", pa.int64()), ("run", pa.int64())])
"""One row per record; run is the length of the runs it is compared by, 0 where it is too short."""
RUNS = pa.schema([("hash", pa.uint64()), ("record", pa.int32()), ("place", pa.int32())])
"""One row per run, by hash; record is a row of RECORDS, place the run's first word in it."""
STARTS = pa.schema([("start", pa.int64())])
CODES = pa.schema([("code", pa.uint32())])
"""Words as ngrams.py marks them; starts has one row per word and one more, records follow each other."""


class Sizes(NamedTuple):
    """How long runs are, in words and in characters of scripts without blanks."""

    words: int
    characters: int
    shortest_words: int
    shortest_characters: int


class SetUnit(NamedTuple):
    """One unit's arguments: a file of an evaluation set."""

    chosen: EvaluationSet
    path: Path
    sizes: Sizes


class OwnUnit(NamedTuple):
    """One unit's arguments: the held-out documents of a shard."""

    shard: CorpusShard
    sizes: Sizes


class Record(NamedTuple):
    """What one evaluation record says."""

    set: str
    id: str
    text: str


def heldout(
    chosen: Manifest, data: Path, settings: DecontaminateSettings, base: Path, execution: Execution
) -> Manifest:
    """Index what training may not have seen into DATA/heldout/<recipe>-<fingerprint8>/.

    `chosen` is the split, `base` the recipe's folder, from which evaluation sets are named. Raises InputError for a
    set without files or records.
    """
    files = [(some, path) for some in settings.sets for path in source_files(some, base)]
    sizes = Sizes(*(getattr(settings, name) for name in Sizes._fields))
    plan = Plan(
        stage="heldout",
        name=chosen.name,
        version=VERSION,
        settings={**sizes._asdict(), "own": settings.own, "sets": [settings_dict(some) for some in settings.sets]},
        inputs=(*(file_input(path) for _, path in files), *([chosen.reference] if settings.own else [])),
    )
    shards = corpus_shards(chosen) if settings.own else []
    units = [*(SetUnit(some, path, sizes) for some, path in files), *(OwnUnit(shard, sizes) for shard in shards)]

    def check(counts: dict[str, int], folder: Path) -> None:
        for some in settings.sets:
            if f"records.{some.name}" not in counts:
                raise InputError(
                    f"evaluation set {some.name}: no record in its files. Check paths, format, members and text of"
                    " [[decontaminate.sets]]."
                )

    return build(plan, data, heldout_unit, units, execution, check)


def heldout_unit(unit: SetUnit | OwnUnit, output: UnitOutput) -> None:
    """Index one file, or the held-out documents of one shard."""
    records = set_records(unit, output) if isinstance(unit, SetUnit) else own_records(unit.shard)
    for number, some in enumerate(parts(records)):
        write_part(some, unit.sizes, output, f"{output.index:05d}-{number:03d}")


def parts(records: Iterable[Record]) -> Iterator[list[Record]]:
    """Gather records into parts of about PART_CHARS."""
    held: list[Record] = []
    size = 0
    for record in records:
        held.append(record)
        size += len(record.text)
        if size >= PART_CHARS:
            yield held
            held, size = [], 0
    if held:
        yield held


def own_records(shard: CorpusShard) -> Iterator[Record]:
    """Read the valid and test documents of a shard."""
    for batch in chosen_batches(shard):
        for row in batch.select(["split", "id", "text"]).to_pylist():
            if row["split"] in OWN:
                yield Record(row["split"], row["id"], row["text"])


def set_records(unit: SetUnit, output: UnitOutput) -> Iterator[Record]:
    """Read the records of one file of an evaluation set, repaired as training documents are.

    Bad records are counted. Raises InputError for settings that do not fit the file.
    """
    chosen, without = unit.chosen, re.compile(unit.chosen.without) if unit.chosen.without is not None else None
    with tempfile.TemporaryDirectory(dir=output.folder, prefix=".members-") as folder:
        for path in members(chosen, unit.path, Path(folder)) if file_is_zip(unit.path) else [unit.path]:
            for id, text in texts(chosen, path, output):
                text = without.sub("", text) if without is not None else text
                yield Record(chosen.name, id, normalize(text)[0])


def members(chosen: EvaluationSet, path: Path, folder: Path) -> Iterator[Path]:
    """Write the wanted members of a zip into a folder of ours, under their last names; one at a time."""
    with Archive.open(path) as archive:
        for member, name in zip(archive.members, archive.names, strict=True):
            if not member.is_dir() and fnmatch.fnmatchcase(name, chosen.members):
                written = folder / re.sub(r"[^\w.-]", "_", name.rpartition("/")[2]).lstrip(".")
                try:
                    written.write_bytes(archive.read(member))
                except ArchiveError as error:
                    raise InputError(f"evaluation set {chosen.name}: {path}: {name}: {error}. Repair it.") from None
                yield written
                written.unlink()


def texts(chosen: EvaluationSet, path: Path, output: UnitOutput) -> Iterator[tuple[str, str]]:
    """Read (id, text) of the records of a plain file through the local source's readers, one column at a time."""
    has_columns = chosen.format in ("jsonl", "parquet", "csv", "tagged")
    for column in chosen.text if has_columns else [""]:
        source = local_source(chosen, path, column)
        for unit in local.units(source, [path]):
            for record in local.read(source, unit):
                if isinstance(record, BadRecord):
                    output.count(f"bad.{chosen.name}")
                elif isinstance(record, Document):
                    id = f"{record.native_id}:{column}" if len(chosen.text) > 1 and has_columns else record.native_id
                    yield from articles(id, record.text) if chosen.format == "wikitext" else [(id, record.text)]


def local_source(chosen: EvaluationSet, path: Path, column: str) -> LocalSource:
    """Describe a file of an evaluation set as a local source, of which one column is the text."""
    fields = {"text": column} | ({"id": chosen.id} if chosen.id is not None else {})
    return LocalSource(
        kind="local",
        name=chosen.name,
        paths=(str(path.parent),),
        format="text" if chosen.format == "wikitext" else chosen.format,
        encoding=chosen.encoding,
        record=chosen.record,
        fields=fields if column else {},
    )


def articles(id: str, text: str) -> Iterator[tuple[str, str]]:
    """Cut a WikiText file at the titles of its articles."""
    text = f" {text}\n"
    starts = [found.start() for found in ARTICLE.finditer(text)]
    edges = [0, *[start for start in starts if start], len(text)]
    for number, start, end in zip(count(), edges[:-1], edges[1:]):
        yield f"{id}#{number}", text[start:end]


def write_part(records: Sequence[Record], sizes: Sizes, output: UnitOutput, number: str) -> None:
    """Write one part and count its records by set."""
    words = cut([record.text for record in records])
    lengths = np.diff(words.offsets)
    run = run_lengths(words, lengths, sizes)
    rows = [
        {"set": record.set, "id": record.id, "words": length, "run": size}
        for record, length, size in zip(records, lengths.tolist(), run.tolist(), strict=True)
    ]
    for row in rows:
        output.count(f"records.{row['set']}")
        output.count(f"short.{row['set']}", int(row["run"] == 0))
    name = f"records-{number}.parquet"
    with replacing(output.folder / name) as temporary:
        pq.write_table(pa.Table.from_pylist(rows, schema=RECORDS), temporary, compression="zstd")
    output.add("records", name, rows=len(rows))
    write_columns("runs", number, RUNS, indexed(words, run), output)
    write_columns("starts", number, STARTS, [words.starts], output)
    write_columns("codes", number, CODES, [words.marked], output)


def run_lengths(words: Words, lengths: Ints, sizes: Sizes) -> Ints:
    """Say by which runs each record is compared: by those of its script, as a whole if it is shorter, or not at all."""
    unspaced = per_text(words.is_character, lengths) * 2 > lengths
    run = np.minimum(np.where(unspaced, sizes.characters, sizes.words), lengths)
    run[run < np.where(unspaced, sizes.shortest_characters, sizes.shortest_words)] = 0
    return run


def indexed(words: Words, run: Ints) -> list[npt.NDArray[Any]]:
    """List the runs of all records by hash: the columns of RUNS."""
    record_of = np.repeat(np.arange(len(run)), np.diff(words.offsets))
    runs, found = Runs(words), []
    for size in np.unique(run[run > 0]).tolist():
        starts, hashes = runs.of(size)
        own = run[record_of[starts]] == size
        found.append((hashes[own], starts[own]))
    hashes = np.concatenate([np.zeros(0, np.uint64), *(hashes for hashes, _ in found)])
    starts = np.concatenate([np.zeros(0, np.int64), *(starts for _, starts in found)])
    order = np.lexsort((starts, hashes))
    hashes, starts = hashes[order], starts[order]
    first = among(hashes) < MOST
    hashes, starts = hashes[first], starts[first]
    records = record_of[starts]
    return [hashes, records.astype(np.int32), (starts - words.offsets[records]).astype(np.int32)]


def among(keys: npt.NDArray[Any]) -> Ints:
    """Number equal neighbours: 0 for the first of them."""
    firsts = np.flatnonzero(np.append(True, keys[1:] != keys[:-1])[: len(keys)])
    return np.arange(len(keys)) - np.repeat(firsts, np.diff(np.append(firsts, len(keys))))


def write_columns(
    role: str, number: str, schema: pa.Schema, columns: Sequence[npt.NDArray[Any]], output: UnitOutput
) -> None:
    """Write arrays as one Arrow file of a single batch, which can be mapped as it lies."""
    name = f"{role}-{number}.arrow"
    batch = pa.RecordBatch.from_arrays([pa.array(column) for column in columns], schema=schema)
    with (
        replacing(output.folder / name) as temporary,
        pa.OSFile(str(temporary), "wb") as file,
        pa.ipc.new_file(file, schema) as writer,
    ):
        writer.write_batch(batch)
    output.add(role, name, rows=batch.num_rows)
