"""The tokens stage: shuffle the encoded documents over all sources and pack them into shards.

The order is that of a keyed hash of the document id, so it is global, the same for any number of
workers, and needs no global sort: shard k of a split holds the documents whose hash lies in the
k-th part of the hash range. A shard is an Arrow file with one contiguous column of ids, which the
trainer maps into memory without a copy, and an index that leads every token back to its document.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from lmpipe.curate.engine import engine, names, rows
from lmpipe.curate.split import SPLITS
from lmpipe.dataset import Execution, Manifest, Plan, UnitOutput, build, inputs_of, settings_dict
from lmpipe.errors import InputError
from lmpipe.settings import TokensSettings
from lmpipe.storage import replacing
from lmpipe.tokens.encode import token_stream, token_type

VERSION = 1
DOCUMENTS = pa.schema(
    [
        ("id", pa.string()),
        ("source", pa.string()),
        ("lang", pa.string()),
        ("start", pa.int64()),
        ("length", pa.int64()),
        ("bytes", pa.int64()),
        ("words", pa.int64()),
    ]
)
"""One row per document of a shard, in the order of its tokens; length counts the end-of-text token."""
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

SQL = """
select id, source, lang, start, length, bytes, words, shard
from (
    select *, parse_filename(filename, true)[-5:]::int as shard, md5($seed || ':' || id) as key
    from read_parquet($indexes, filename = true)
    where split = $split
)
where key >= $low and key < $high
order by key, id
"""


class PackUnit(NamedTuple):
    """One unit's arguments: one shard of one split."""

    split: str
    low: str
    """First hash of the shard, in hex."""
    high: str
    """First hash beyond it."""
    seed: int
    indexes: list[str]
    encoded: list[Path]
    vocabulary: int


def pack(encoded: Manifest, data: Path, settings: TokensSettings, seed: int, execution: Execution) -> Manifest:
    """Pack into DATA/tokens/<recipe>-<fingerprint8>/: token shards, their document indexes, tokenizer.json.

    Raises InputError when the training split holds no token.
    """
    if not encoded.counts.get("tokens.train"):
        raise InputError(
            f"{encoded.folder}: no training token. Add sources, or make split.test and split.valid smaller."
        )
    (tokenizer,) = inputs_of(encoded, "tokenizer")
    plan = Plan(
        stage="tokens",
        name=encoded.name,
        version=VERSION,
        settings=settings_dict(settings) | encoded.settings | {"seed": seed},
        inputs=(encoded.reference, tokenizer.reference),
    )
    units: list[PackUnit | Path] = [*pack_units(encoded, settings, seed), *tokenizer.paths("tokenizer")]
    return build(plan, data, tokens_unit, units, execution)


def pack_units(encoded: Manifest, settings: TokensSettings, seed: int) -> Iterator[PackUnit]:
    """Cut each split's hash range into equal parts of about shard_tokens tokens."""
    indexes = names(encoded.paths("index"))
    for split in SPLITS:
        tokens = encoded.counts.get(f"tokens.{split}", 0)
        shards = -(-tokens // settings.shard_tokens)
        bounds = [f"{k * (1 << 64) // shards:016x}" for k in range(shards)] + ["g"]
        for number in range(shards):
            yield PackUnit(
                split,
                bounds[number],
                bounds[number + 1],
                seed,
                indexes,
                encoded.paths("encoded"),
                encoded.settings["vocabulary"],
            )


def tokens_unit(unit: PackUnit | Path, output: UnitOutput) -> None:
    """Pack one shard, or put the tokenizer beside the shards."""
    if isinstance(unit, Path):
        with replacing(output.folder / "tokenizer.json") as temporary:
            temporary.write_bytes(unit.read_bytes())
        output.add("tokenizer", "tokenizer.json", rows=0)
    else:
        pack_unit(unit, output)


def pack_unit(unit: PackUnit, output: UnitOutput) -> None:
    """Gather the shard's documents in shuffled order out of the mapped encoded files."""
    parameters = unit._asdict() | {"seed": str(unit.seed)}
    wanted = {key: parameters[key] for key in ("split", "low", "high", "seed", "indexes")}
    with engine(output.folder) as connection:
        schema = pa.schema([*DOCUMENTS, ("shard", pa.int64())])
        order = pa.Table.from_batches(rows(connection, SQL, wanted, schema), schema=schema)
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


def write_tokens(unit: PackUnit, order: pa.Table, output: UnitOutput) -> pa.Table:
    """Write the shard's ids as one record batch; return the index with starts in the new shard."""
    streams = {
        number: pa.chunked_array(token_stream(path), token_type(unit.vocabulary))
        for number, path in enumerate(unit.encoded)
    }
    pieces: list[pa.Array] = []
    starts, position = [], 0
    wanted: list[dict[str, Any]] = order.select(["shard", "start", "length"]).to_pylist()
    for document in wanted:
        pieces += streams[document["shard"]].slice(document["start"], document["length"]).chunks
        starts.append(position)
        position += document["length"]
    name = f"tokens-{unit.split}-{output.index:05d}.arrow"
    schema = pa.schema([("tokens", token_type(unit.vocabulary))])
    with (
        replacing(output.folder / name) as temporary,
        pa.OSFile(str(temporary), "wb") as file,
        pa.ipc.new_file(file, schema) as writer,
    ):
        writer.write_batch(pa.record_batch([pa.concat_arrays(pieces)], schema=schema))
    output.add(unit.split, name, rows=position, tokens=position)
    return order.set_column(order.schema.get_field_index("start"), "start", pa.array(starts, pa.int64())).select(
        DOCUMENTS.names
    )
