"""The tokens stage: shuffle the encoded documents over all sources and pack them into shards.

The order is that of a keyed hash of the document id, so it is global, the same for any number of
workers, and needs no global sort: shard k of a split holds the documents whose hash lies in the
k-th part of the hash range. A shard is an Arrow file with one contiguous column of ids, which the
trainer maps into memory without a copy, and an index that leads every token back to its document.

A mixture is made here and not by the trainer: a source of 2.5 epochs has each training document in the
shards twice, and half of them (by hash) three times, each copy at a place of its own. So whatever reads
the shards gets the mixture, and SQL over the index says who is in it how often.

Appending links the shards of an earlier dataset and packs only documents that are in none of them, or that have
changed since (by bytes and words); what was packed before stays, and a document that is chosen no longer is counted
(`gone`): when there are many, pack afresh. Held-out documents stay as they were.
"""

import contextlib
import os
import re
import shutil
from bisect import bisect_right
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lmpipe.curate.engine import engine, names, rows
from lmpipe.curate.split import SPLITS
from lmpipe.dataset import Execution, Manifest, Plan, Shard, UnitOutput, build, inputs_of, open_dataset, settings_dict
from lmpipe.errors import InputError
from lmpipe.settings import TokensSettings
from lmpipe.storage import replacing
from lmpipe.tokens.encode import token_stream, token_type
from lmpipe.tokens.mixture import mixture

VERSION = 3
DOCUMENTS = pa.schema(
    [
        ("id", pa.string()),
        ("source", pa.string()),
        ("lang", pa.string()),
        ("domain", pa.string()),
        ("copy", pa.int32()),
        ("start", pa.int64()),
        ("length", pa.int64()),
        ("bytes", pa.int64()),
        ("words", pa.int64()),
    ]
)
"""One row per document of a shard, in the order of its tokens; length counts the end-of-text token; copy is
above 0 where a mixture repeats the document."""
STATISTICS = pa.schema(
    [
        ("split", pa.string()),
        ("source", pa.string()),
        ("lang", pa.string()),
        ("documents", pa.int64()),
        ("tokens", pa.int64()),
        ("bytes", pa.int64()),
        ("words", pa.int64()),
    ]
)
"""Sums by shard, split, source and language."""

NUMBERED = """
create temp table numbered as
with
chosen as (
    select *, parse_filename(filename, true)[-5:]::int as shard,
        coalesce(map_extract_value(map($sources::varchar[], $epochs::double[]), source), 1) as epochs,
        ('0x' || md5('copies:' || $seed || ':' || id)[:8])::bigint / 4294967296.0 as draw
    from read_parquet($indexes, filename = true)
    where split = $split and (
        id not in (select id from packed)
        -- held-out documents stay as they were: one in two versions would be scored twice
        or split = 'train' and (id, bytes, words) not in (from packed)
    )
)
select *, (floor(epochs) + (draw < epochs - floor(epochs))::int)::int as copies from chosen
"""
"""Documents that earlier shards lack or have in another version, and how often each is to be packed."""

ORDER = """
with
copied as (select *, unnest(range(copies))::int as copy from numbered),
keyed as (select *, md5($seed || ':' || id || if(copy = 0, '', ':' || copy)) as key from copied)
select id, source, lang, domain, copy, start, length, bytes, words, shard
from keyed
where key >= $low and key < $high
order by key, id
"""

LEFT_OUT = """
select source, count(*) from numbered
where copies = 0 and md5($seed || ':' || id) >= $low and md5($seed || ':' || id) < $high
group by all order by all
"""
"""Documents that a mixture of less than one epoch leaves out, each in the unit where its first copy would be."""

GONE = """
select split, count(distinct id) from (
    select id, parse_filename(filename)[11:-15] as split from read_parquet($old, filename = true)
)
where id not in (select id from read_parquet($indexes))
group by all order by all
"""
"""Documents of earlier shards that are chosen no longer; files are named documents-<split>-<number>.parquet."""


class PackUnit(NamedTuple):
    """One unit's arguments: one shard of one split."""

    split: str
    low: str
    """First hash of the shard, in hex."""
    high: str
    """First hash beyond it."""
    seed: int
    epochs: dict[str, float]
    indexes: list[str]
    encoded: list[Path]
    vocabulary: int
    old: list[str]
    """Document indexes of the dataset that is appended to."""


class LinkUnit(NamedTuple):
    """The files of one unit of the dataset that is appended to."""

    folder: Path
    shards: tuple[Shard, ...]
    gone: tuple[list[str], list[str]] | None
    """Its document indexes and the encoded ones, for the unit that compares them."""


def pack(encoded: Manifest, data: Path, settings: TokensSettings, seed: int, execution: Execution) -> Manifest:
    """Pack into DATA/tokens/<recipe>-<fingerprint8>/: token shards, their document indexes, tokenizer.json.

    Raises InputError when the training split holds no token, or the earlier dataset has another tokenizer.
    """
    if not encoded.counts.get("tokens.train"):
        raise InputError(
            f"{encoded.folder}: no training token. Add sources, or make split.test and split.valid smaller."
        )
    (tokenizer,) = inputs_of(encoded, "tokenizer")
    old = open_dataset(data / "tokens" / settings.append_to) if settings.append_to is not None else None
    if old is not None and encoded.reference in old.inputs:
        return old  # it was packed from these very documents
    epochs = mixture(settings, tokens_by_source(encoded), encoded.name)
    body = settings_dict(settings) | encoded.settings | {"seed": seed, "epochs": epochs}
    inputs = [encoded.reference, tokenizer.reference]
    units: list[Any] = []
    if old is not None:
        check_same_tokenizer(old, tokenizer)
        inputs.append(old.reference)
        body["appended"] = "new and changed"
        units += link_units(old, encoded)
    plan = Plan(stage="tokens", name=encoded.name, version=VERSION, settings=body, inputs=tuple(inputs))
    units += [*pack_units(encoded, settings, seed, epochs, old), *tokenizer.paths("tokenizer")]
    return build(plan, data, tokens_unit, units, execution)


def tokens_by_source(encoded: Manifest) -> dict[str, int]:
    """Count the training tokens of each source."""
    start = "tokens.train."
    return {key.removeprefix(start): number for key, number in encoded.counts.items() if key.startswith(start)}


def check_same_tokenizer(old: Manifest, tokenizer: Manifest) -> None:
    """Refuse to mix token ids of two tokenizers in one dataset."""
    (before,), (now,) = ([s.sha256 for s in m.shards if s.role == "tokenizer"] for m in (old, tokenizer))
    if before != now:
        raise InputError(
            f"{old.folder}: was packed with another tokenizer ({before[:12]}, now {now[:12]}), so nothing can be"
            " appended. Set tokenizer.path to its tokenizer.json, or remove tokens.append_to."
        )


def link_units(old: Manifest, encoded: Manifest) -> Iterator[LinkUnit]:
    """Give each unit number of the earlier dataset its files, so that the numbers of new shards come behind them."""
    numbered: dict[int, list[Shard]] = {}
    for shard in old.shards:
        if found := re.search(r"-(\d{5})\.", shard.path):
            numbered.setdefault(int(found[1]), []).append(shard)
    compared = names(document_indexes(old)), names(encoded.paths("index"))
    for number in range(1 + max(numbered)):
        yield LinkUnit(old.folder, tuple(numbered.get(number, ())), compared if number == 0 else None)


def document_indexes(tokens: Manifest) -> list[Path]:
    """List the document indexes of all splits."""
    return [path for split in SPLITS for path in tokens.paths(f"documents-{split}")]


def pack_units(
    encoded: Manifest, settings: TokensSettings, seed: int, epochs: dict[str, float], old: Manifest | None
) -> Iterator[PackUnit]:
    """Cut each split's hash range into equal parts of about shard_tokens tokens."""
    old_tokens = {split: sum(s.tokens for s in old.shards if s.role == split) if old else 0 for split in SPLITS}
    for split in SPLITS:
        tokens = float(encoded.counts.get(f"tokens.{split}", 0))
        if split == "train":
            tokens = sum(epochs[source] * number for source, number in tokens_by_source(encoded).items())
        shards = -int(-max(tokens - old_tokens[split], min(tokens, 1)) // settings.shard_tokens)
        bounds = [f"{k * (1 << 64) // shards:016x}" for k in range(shards)] + ["g"]
        for number in range(shards):
            yield PackUnit(
                split=split,
                low=bounds[number],
                high=bounds[number + 1],
                seed=seed,
                epochs=epochs if split == "train" else {},
                indexes=names(encoded.paths("index")),
                encoded=encoded.paths("encoded"),
                vocabulary=encoded.settings["vocabulary"],
                old=names(document_indexes(old)) if old else [],
            )


def tokens_unit(unit: PackUnit | LinkUnit | Path, output: UnitOutput) -> None:
    """Pack one shard, take one over, or put the tokenizer beside the shards."""
    if isinstance(unit, PackUnit):
        pack_unit(unit, output)
    elif isinstance(unit, LinkUnit):
        link_unit(unit, output)
    else:
        with replacing(output.folder / "tokenizer.json") as temporary:
            temporary.write_bytes(unit.read_bytes())
        output.add("tokenizer", "tokenizer.json", rows=0)


def link_unit(unit: LinkUnit, output: UnitOutput) -> None:
    """Take over an earlier unit's files as hard links (or copies, on another file system): the same bytes."""
    for shard in unit.shards:
        with replacing(output.folder / shard.path) as temporary:
            with contextlib.suppress(OSError):  # a file system without links: copied below
                os.link(unit.folder / shard.path, temporary)
            if not temporary.exists():
                shutil.copyfile(unit.folder / shard.path, temporary)
        output.add(shard.role, shard.path, rows=shard.rows, tokens=shard.tokens)
        output.count(f"reused.{shard.role}")
    if unit.gone is not None:
        with engine(output.folder) as connection:
            old, indexes = unit.gone
            for split, number in connection.execute(GONE, {"old": old, "indexes": indexes}).fetchall():
                output.count(f"gone.{split}", number)


def pack_unit(unit: PackUnit, output: UnitOutput) -> None:
    """Gather the shard's documents in shuffled order out of the mapped encoded files."""
    with engine(output.folder) as connection:
        number_documents(unit, connection)
        place = {"seed": str(unit.seed), "low": unit.low, "high": unit.high}
        for source, number in connection.execute(LEFT_OUT, place).fetchall():
            output.count(f"left_out.{source}", number)
        schema = pa.schema([*DOCUMENTS, ("shard", pa.int64())])
        order = pa.Table.from_batches(rows(connection, ORDER, place, schema), schema=schema)
        if order.num_rows == 0:
            return
        documents = write_tokens(unit, order, output)
        output.write(f"documents-{unit.split}", DOCUMENTS, documents.to_batches(max_chunksize=65_536))
        connection.register("documents", documents)
        statistics = f"""
            select '{unit.split}' as split, source, lang, count(*) as documents, sum(length) as tokens,
                sum(bytes) as bytes, sum(words) as words
            from documents group by all order by all
        """
        output.write("token_stats", STATISTICS, rows(connection, statistics, {}, STATISTICS))
    output.count(f"documents.{unit.split}", documents.num_rows)


def number_documents(unit: PackUnit, connection: Any) -> None:
    """Make the engine's table of the split's documents with their number of copies."""
    parameters: dict[str, Any] = {"split": unit.split, "seed": str(unit.seed), "indexes": unit.indexes}
    parameters |= {"sources": list(unit.epochs), "epochs": list(unit.epochs.values())}
    connection.execute("create temp table packed (id varchar, bytes bigint, words bigint)")
    if unit.old:
        connection.execute("insert into packed select id, bytes, words from read_parquet($old)", {"old": unit.old})
    connection.execute(NUMBERED, parameters)


def write_tokens(unit: PackUnit, order: pa.Table, output: UnitOutput) -> pa.Table:
    """Write the shard's ids as one record batch; return the index with starts in the new shard."""
    lengths = order["length"].to_numpy()
    ends = np.cumsum(lengths)
    ids = gather(unit, order, ends)
    name = f"tokens-{unit.split}-{output.index:05d}.arrow"
    batch = pa.record_batch({"tokens": pa.array(ids)})
    with (
        replacing(output.folder / name) as temporary,
        pa.OSFile(str(temporary), "wb") as file,
        pa.ipc.new_file(file, batch.schema) as writer,
    ):
        writer.write_batch(batch)
    output.add(unit.split, name, rows=len(ids), tokens=len(ids))
    starts = pa.array(ends - lengths, pa.int64())
    return order.set_column(order.schema.get_field_index("start"), "start", starts).select(DOCUMENTS.names)


def gather(unit: PackUnit, order: pa.Table, ends: NDArray[Any]) -> NDArray[Any]:
    """Copy the documents of a shard behind each other; a document never crosses two batches of an encoded file."""
    batches = [[batch.to_numpy() for batch in token_stream(path)] for path in unit.encoded]
    firsts = [list(accumulate(map(len, file), initial=0)) for file in batches]
    shards, starts = order["shard"].to_numpy(), order["start"].to_numpy()
    ids = np.empty(int(ends[-1]), token_type(unit.vocabulary).to_pandas_dtype())
    begin = 0
    for shard, start, end in zip(shards.tolist(), starts.tolist(), ends.tolist(), strict=True):
        number = bisect_right(firsts[shard], start) - 1
        offset = start - firsts[shard][number]
        ids[begin:end] = batches[shard][number][offset : offset + end - begin]
        begin = end
    return ids
