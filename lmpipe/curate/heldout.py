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
from functools import lru_cache
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from lmpipe.curate.ngrams import Codes, Runs, Words, cut
from lmpipe.curate.shingles import Hashes
from lmpipe.dataset import Execution, Manifest, Plan, UnitOutput, build, file_input, open_dataset, settings_dict
from lmpipe.document import BadRecord, Document
from lmpipe.errors import InputError
from lmpipe.recipe import source_files
from lmpipe.settings import DecontaminateSettings, EvaluationSet, LocalSource
from lmpipe.sources import local
from lmpipe.sources.archives import Archive, ArchiveError
from lmpipe.sources.textfiles import file_is_zip
from lmpipe.storage import replacing
from lmpipe.text.normalize import normalize
from lmpipe.text.segment import Ints, bounds, per_text
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


class Part(NamedTuple):
    """A part of the index, mapped."""

    hashes: Hashes
    record: npt.NDArray[np.int32]
    place: npt.NDArray[np.int32]
    starts: Ints
    codes: Codes
    records: pa.Table
    words: Ints
    """Of each record."""
    run: Ints
    """The length of each record's runs."""
    first: Ints
    """Number of each record's first word."""


class Found(NamedTuple):
    """Where runs that were looked up stand; arrays of one length."""

    query: Ints
    """Which of the hashes that were looked up."""
    part: Ints
    record: Ints
    place: Ints


class Filter:
    """A Bloom filter with two probes: passes what was added, and of 300 others about one."""

    def __init__(self, number: int) -> None:
        self.bits = min(max((16 * number).bit_length() + 1, 16), 31)
        self.bytes = np.zeros(1 << (self.bits - 3), np.uint8)

    def places(self, hashes: Hashes, probe: int) -> tuple[Hashes, npt.NDArray[np.uint8]]:
        """Give byte and bit of each hash: its high bits for the first probe, the bits below for the second."""
        place = (hashes >> np.uint64(64 - (probe + 1) * self.bits)) & np.uint64((1 << self.bits) - 1)
        return place >> np.uint64(3), (place & np.uint64(7)).astype(np.uint8)

    def add(self, hashes: Hashes) -> None:
        """Set the bits of some hashes."""
        for probe in range(2):
            byte, bit = self.places(hashes, probe)
            np.bitwise_or.at(self.bytes, byte, np.uint8(1) << bit)

    def maybe(self, hashes: Hashes) -> Ints:
        """List which hashes may have been added."""
        left = np.arange(len(hashes))
        for probe in range(2):
            byte, bit = self.places(hashes[left], probe)
            left = left[(self.bytes[byte] >> bit & 1).astype(bool)]
        return left


class Index:
    """Looks runs up in everything that is held out."""

    def __init__(self, manifest: Manifest) -> None:
        roles = ("runs", "starts", "codes", "records")
        self.parts = [open_part(*paths) for paths in zip(*(manifest.paths(role) for role in roles), strict=True)]
        self.sizes = sorted({int(size) for part in self.parts for size in np.unique(part.run[part.run > 0])})
        total = sum(len(part.hashes) for part in self.parts)
        self.filter = Filter(total)
        for part in self.parts:
            self.filter.add(part.hashes)

    def holds(self, hashes: Hashes) -> npt.NDArray[np.bool_]:
        """Tell which hashes are those of a run that is held out."""
        maybe = self.filter.maybe(hashes)
        asked, known = hashes[maybe], np.zeros(len(maybe), bool)
        for part in self.parts:
            if len(part.hashes):
                place = np.searchsorted(part.hashes, asked)
                known |= part.hashes[np.minimum(place, len(part.hashes) - 1)] == asked
        held = np.zeros(len(hashes), bool)
        held[maybe[known]] = True
        return held

    def find(self, hashes: Hashes, size: int) -> Found:
        """Say where runs of `size` words stand, by their hashes: in at most MOST places, the first ones."""
        parts = [self.find_in(number, hashes, size) for number in range(len(self.parts))]
        found = Found(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))
        order = np.argsort(found.query, kind="stable")
        order = order[among(found.query[order]) < MOST]
        return Found(*(array[order] for array in found))

    def find_in(self, number: int, hashes: Hashes, size: int) -> Found:
        """Say where they stand in one part."""
        part = self.parts[number]
        low, high = (np.searchsorted(part.hashes, hashes, side=side) for side in ("left", "right"))
        query = np.repeat(np.arange(len(hashes)), high - low)
        entry = np.arange(len(query)) - np.repeat(bounds(high - low)[:-1] - low, high - low)
        same = part.run[part.record[entry]] == size
        query, entry = query[same], entry[same]
        record, place = part.record[entry].astype(np.int64), part.place[entry].astype(np.int64)
        return Found(query, np.full(len(query), number), record, place)

    def name(self, part: int, record: int) -> tuple[str, str]:
        """Name a record: its set and its id."""
        records = self.parts[part].records
        return records["set"][record].as_py(), records["id"][record].as_py()


@lru_cache(maxsize=1)
def open_index(manifest_folder: Path) -> Index:
    """Open an index once in a process, for all its units."""
    return Index(open_dataset(manifest_folder))


def open_part(runs: Path, starts: Path, codes: Path, records: Path) -> Part:
    """Map one part into memory."""
    hashes, record, place = columns(runs)
    rows = pq.read_table(records)
    return Part(
        hashes,
        record,
        place,
        columns(starts)[0],
        columns(codes)[0],
        rows.select(["set", "id"]),
        rows["words"].to_numpy(),
        rows["run"].to_numpy(),
        bounds(rows["words"].to_numpy())[:-1],
    )


def columns(path: Path) -> list[npt.NDArray[Any]]:
    """Map the columns of an Arrow file of a single batch."""
    batch = pa.ipc.open_file(pa.memory_map(str(path))).get_batch(0)
    return [column.to_numpy(zero_copy_only=True) for column in batch.columns]
