"""The encode stage: texts to token ids, one unit per cleaned shard.

gigatoken encodes (36-150 MB/s a core here, tokenizers 2.3) and a test holds it equal to tokenizers
id for id. Special tokens are taken out of the tokenizer before encoding: a text that happens to
contain "<|endoftext|>" is text, and must not end a document.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import gigatoken
import pyarrow as pa
from tokenizers import Tokenizer

from lmpipe.dataset import Execution, Manifest, Plan, UnitOutput, build
from lmpipe.storage import replacing
from lmpipe.tokens.corpus import CorpusShard, chosen_batches, corpus_shards
from lmpipe.tokens.tokenizer import end_of_text_id, read_tokenizer

VERSION = 1
INDEX = pa.schema(
    [
        ("id", pa.string()),
        ("source", pa.string()),
        ("lang", pa.string()),
        ("split", pa.string()),
        ("start", pa.int64()),
        ("length", pa.int64()),
        ("bytes", pa.int64()),
        ("words", pa.int64()),
    ]
)
"""One row per encoded document: where its tokens (end of text included) lie in the shard's stream."""


class EncodeUnit(NamedTuple):
    """One unit's arguments."""

    shard: CorpusShard
    tokenizer: Path


class Encoder(Protocol):
    """Texts to one flat array of ids and the number of ids of each text."""

    def __call__(self, texts: list[str]) -> tuple[pa.Array, pa.Array]: ...


def encode(chosen: Manifest, tokenizer: Manifest, data: Path, execution: Execution) -> Manifest:
    """Encode all kept documents into DATA/encode/<recipe>-<fingerprint8>/."""
    path = tokenizer.paths("tokenizer")[0]
    settings = {"vocabulary": vocabulary(path), "end_of_text": end_of_text_id(path)}
    inputs = (chosen.reference, tokenizer.reference)
    plan = Plan(stage="encode", name=chosen.name, version=VERSION, settings=settings, inputs=inputs)
    units = [EncodeUnit(shard, path) for shard in corpus_shards(chosen)]
    return build(plan, data, encode_unit, units, execution)


def encode_unit(unit: EncodeUnit, output: UnitOutput) -> None:
    """Encode one shard into encoded-N.arrow (a stream of ids) and index-N.parquet."""
    encoder, end = load_encoder(unit.tokenizer), end_of_text_id(unit.tokenizer)
    kind = token_type(vocabulary(unit.tokenizer))
    name = f"encoded-{output.index:05d}.arrow"
    start = 0
    schema = pa.schema([("tokens", kind)])
    with (
        replacing(output.folder / name) as temporary,
        pa.OSFile(str(temporary), "wb") as file,
        pa.ipc.new_file(file, schema) as writer,
        output.writing("index", INDEX) as append,
    ):
        for batch in chosen_batches(unit.shard):
            if batch.num_rows:
                ids, lengths = with_end(*encoder(batch.column("text").to_pylist()), end, kind)
                writer.write_batch(pa.record_batch([ids], schema=schema))
                append(index_batch(batch, lengths, start))
                start += len(ids)
                count(batch, lengths, output)
    output.add("encoded", name, rows=start, tokens=start)


def count(batch: pa.RecordBatch, lengths: pa.Array, output: UnitOutput) -> None:
    """Add up tokens by split, for the packing plan."""
    for split, number in zip(batch.column("split").to_pylist(), lengths.to_pylist(), strict=True):
        output.count(f"tokens.{split}", number)


def index_batch(batch: pa.RecordBatch, lengths: pa.Array, start: int) -> pa.RecordBatch:
    """Lay out where each document of a batch begins and ends."""
    starts, position = [], start
    for length in lengths.to_pylist():
        starts.append(position)
        position += length
    columns = {name: batch.column(name) for name in ("id", "source", "lang", "split", "bytes", "words")}
    columns |= {"start": pa.array(starts, pa.int64()), "length": lengths}
    return pa.RecordBatch.from_arrays([columns[name] for name in INDEX.names], schema=INDEX)


def with_end(ids: pa.Array, lengths: pa.Array, end: int, kind: pa.DataType) -> tuple[pa.Array, pa.Array]:
    """Put the end-of-text token behind every document; ids become `kind`."""
    ids = ids.cast(kind)
    closing = pa.array([end], kind)
    pieces: list[pa.Array] = []
    position = 0
    for length in lengths.to_pylist():
        pieces += [ids.slice(position, length), closing]
        position += length
    return pa.concat_arrays(pieces), pa.array([n + 1 for n in lengths.to_pylist()], pa.int64())


def load_encoder(path: Path) -> Encoder:
    """Load a tokenizer.json without its special tokens into gigatoken, or into tokenizers where that cannot read it."""
    body = json.dumps(without_special(read_tokenizer(path)))
    try:
        fast = gigatoken.Tokenizer.from_json(body)
    except ValueError:  # gigatoken's word for "a kind of tokenizer that I do not know"
        return reference_encoder(Tokenizer.from_str(body))

    def encode_batch(texts: list[str]) -> tuple[pa.Array, pa.Array]:
        layout = fast.encode_batch(texts, parallel=False).layout
        offsets = layout.offsets.data
        content = layout.content.data[offsets[0] : offsets[-1]]
        return pa.array(content, pa.uint32()), pa.array(offsets[1:] - offsets[:-1], pa.int64())

    return encode_batch


def reference_encoder(slow: Tokenizer) -> Encoder:
    """Encode with Hugging Face tokenizers: the yardstick of equality, and the fallback."""

    def encode_batch(texts: list[str]) -> tuple[pa.Array, pa.Array]:
        ids = [encoding.ids for encoding in slow.encode_batch(texts, add_special_tokens=False)]
        flat = pa.array([i for document in ids for i in document], pa.uint32())
        return flat, pa.array([len(document) for document in ids], pa.int64())

    return encode_batch


def without_special(body: dict[str, Any]) -> dict[str, Any]:
    """Drop the special tokens (they stay in the vocabulary, so ids do not move)."""
    return body | {"added_tokens": [t for t in body.get("added_tokens", []) if not t.get("special")]}


def vocabulary(path: Path) -> int:
    """Number of token ids: one more than the largest."""
    body = read_tokenizer(path)
    ids: list[int] = [*body["model"]["vocab"].values(), *(t["id"] for t in body.get("added_tokens", []))]
    return 1 + max(ids)


def token_type(size: int) -> pa.DataType:
    """The narrowest type that holds all ids."""
    return pa.uint16() if size <= 1 << 16 else pa.uint32()


def token_stream(path: Path) -> Iterator[pa.Array]:
    """Map an .arrow shard into memory and yield its batches of ids without copying."""
    with pa.memory_map(str(path)) as source:
        reader = pa.ipc.open_file(source)
        for number in range(reader.num_record_batches):
            yield reader.get_batch(number).column(0)
