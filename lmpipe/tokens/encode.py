"""The encode stage: texts to token ids, one unit per cleaned shard.

gigatoken encodes where it gives the same ids as tokenizers (36-150 MB/s a core here, tokenizers 2.3), on texts
that are known to be hard, at each start, and in the tests on real corpora. Special tokens are taken out of the
tokenizer before encoding: a text that happens to contain "<|endoftext|>" is text, and must not end a document.
"""

import logging
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import gigatoken
import numpy as np
import orjson
import pyarrow as pa
from numpy.typing import NDArray
from tokenizers import Tokenizer

from lmpipe.dataset import Execution, Manifest, Plan, UnitOutput, build, inputs_of, settings_dict, unit_keys
from lmpipe.settings import CanarySettings
from lmpipe.storage import replacing
from lmpipe.text.segment import words
from lmpipe.tokens.canaries import SOURCE, planted
from lmpipe.tokens.corpus import CorpusShard, chosen_batches, corpus_shards, cuts_of
from lmpipe.tokens.tokenizer import end_of_text_id, read_tokenizer, vocabulary

log = logging.getLogger(__name__)

VERSION = 4
TOGETHER = 4 << 20
"""Bytes of text at once, as near as the row groups they are read in allow: each call and each row group of the index
costs a millisecond."""

Numbers = NDArray[Any]
HARD = (
    "",
    " leading and  double  blanks\n\nand lines\r\n\ttabs \n",
    "<|endoftext|> is text here, and so are </s> and [SEP]",
    "公元１９１１年，他说：“好。” 這是繁體字。 ▁ 日本語のテキスト、カタカナ。",
    "naïve café cafe\u0301 — “quotes” … don't we'll I'D 12,345.67 $9 C++ ﬁ Å",
    "emoji 👩‍🚀🏽 🇨🇭 and \x00 control \x1f\x7f\x85 zero\u200bwidth\ufeff, 𠮷 rare \ufffd \uffff",
    "мир हिन्दी العربية ภาษาไทย 한국어",
    "a" * 300 + " " * 70 + "的" * 200 + "=" * 99,
)
"""Texts that tell encoders apart."""
INDEX = pa.schema(
    [
        ("id", pa.string()),
        ("source", pa.string()),
        ("lang", pa.string()),
        ("domain", pa.string()),
        ("split", pa.string()),
        ("start", pa.int64()),
        ("length", pa.int64()),
        ("bytes", pa.int64()),
        ("words", pa.int64()),
    ]
)
"""One row per encoded document: where its tokens (end of text included) lie in the shard's stream."""


PLANTED = pa.schema([field for field in INDEX if field.name not in ("start", "length")]).append(
    pa.field("text", pa.string())
)


class EncodeUnit(NamedTuple):
    """One unit's arguments."""

    shard: CorpusShard
    tokenizer: Path
    end_of_text: int
    kind: pa.DataType

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Read the kept documents of the shard."""
        return chosen_batches(self.shard)


class CanaryUnit(NamedTuple):
    """One unit's arguments: what is planted in the training split."""

    settings: CanarySettings
    seed: int
    tokenizer: Path
    end_of_text: int
    kind: pa.DataType

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Lay the canaries out as chosen documents."""
        rows = [
            {"id": id, "source": SOURCE, "split": "train", "bytes": len(text.encode()), "words": len(words(text, "en"))}
            | {"lang": None, "domain": SOURCE, "text": text}
            for id, text in planted(self.settings, self.seed)
        ]
        yield pa.RecordBatch.from_pylist(rows, schema=PLANTED)


class Encoder(Protocol):
    """Texts to one flat array of ids, and where each text's ids begin in it, the end of the last included."""

    def __call__(self, texts: list[str]) -> tuple[Numbers, Numbers]: ...


def encode(
    chosen: Manifest,
    tokenizer: Manifest,
    data: Path,
    execution: Execution,
    canaries: CanarySettings | None = None,
    seed: int = 1,
) -> Manifest:
    """Encode all kept documents into DATA/encode/<recipe>-<fingerprint8>/; `canaries` join the training split."""
    path = tokenizer.paths("tokenizer")[0]
    body = read_tokenizer(path)
    end = end_of_text_id(body, tokenizer.settings["end_of_text"], path)
    settings: dict[str, Any] = {"vocabulary": vocabulary(body), "end_of_text": end}
    if canaries is not None:
        settings |= {"canaries": settings_dict(canaries) | {"seed": seed}}
    inputs = (chosen.reference, tokenizer.reference)
    plan = Plan(stage="encode", name=chosen.name, version=VERSION, settings=settings, inputs=inputs)
    kind = token_type(settings["vocabulary"])
    shards = corpus_shards(chosen)
    units: list[EncodeUnit | CanaryUnit] = [EncodeUnit(shard, path, end, kind) for shard in shards]
    reads: list[Sequence[Any]] = [(*shard, path) for shard in shards]
    if canaries is not None:
        units.append(CanaryUnit(canaries, seed, path, end, kind))
        reads.append((SOURCE, seed, path))
    decided = inputs_of(chosen, "decide")
    read = [chosen, tokenizer, *(c for d in decided for c in inputs_of(d, "clean")), *cuts_of(chosen)]
    return build(plan, data, encode_unit, units, execution, keys=unit_keys(read, reads))


def encode_unit(unit: EncodeUnit | CanaryUnit, output: UnitOutput) -> None:
    """Encode one shard into encoded-N.arrow (a stream of ids) and index-N.parquet."""
    encoder = load_encoder(unit.tokenizer)
    name = f"encoded-{output.index:05d}.arrow"
    start = 0
    schema = pa.schema([("tokens", unit.kind)])
    with (
        replacing(output.folder / name) as temporary,
        pa.OSFile(str(temporary), "wb") as file,
        pa.ipc.new_file(file, schema) as writer,
        output.writing("index", INDEX) as append,
    ):
        for batch in together(unit.batches()):
            ids, offsets = with_end(*encoder(batch.column("text").to_pylist()), unit.end_of_text, unit.kind)
            writer.write_batch(pa.record_batch([pa.array(ids)], schema=schema))
            index = index_batch(batch, offsets, start)
            append(index)
            start += len(ids)
            count(index, output)
    output.add("encoded", name, rows=start, tokens=start)


def together(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Put batches of documents together to about TOGETHER bytes each."""
    parts: list[pa.RecordBatch] = []
    for batch in batches:
        parts.append(batch)
        if sum(part.nbytes for part in parts) >= TOGETHER:
            yield from pa.Table.from_batches(parts).combine_chunks().to_batches()
            parts = []
    if parts:
        yield from pa.Table.from_batches(parts).combine_chunks().to_batches()


def count(index: pa.RecordBatch, output: UnitOutput) -> None:
    """Add up tokens by split and source, for the packing plan."""
    sums = pa.Table.from_batches([index]).group_by(["split", "source"], use_threads=False)
    for row in sums.aggregate([("length", "sum")]).to_pylist():
        output.count(f"tokens.{row['split']}", row["length_sum"])
        output.count(f"tokens.{row['split']}.{row['source']}", row["length_sum"])


def index_batch(batch: pa.RecordBatch, offsets: Numbers, start: int) -> pa.RecordBatch:
    """Lay out where each document of a batch begins and ends."""
    columns = {name: batch.column(name) for name in ("id", "source", "lang", "domain", "split", "bytes", "words")}
    columns |= {"start": pa.array(offsets[:-1] + start, pa.int64()), "length": pa.array(np.diff(offsets), pa.int64())}
    return pa.RecordBatch.from_arrays([columns[name] for name in INDEX.names], schema=INDEX)


def with_end(ids: Numbers, offsets: Numbers, end: int, kind: pa.DataType) -> tuple[Numbers, Numbers]:
    """Put the end-of-text token behind every document; ids become `kind`."""
    moved = offsets + np.arange(len(offsets))
    closed = np.empty(len(ids) + len(offsets) - 1, kind.to_pandas_dtype())
    is_text = np.ones(len(closed), bool)
    is_text[moved[1:] - 1] = False
    closed[is_text] = ids
    closed[moved[1:] - 1] = end
    return closed, moved


@lru_cache(maxsize=1)
def load_encoder(path: Path) -> Encoder:
    """Load a tokenizer.json without its special tokens into gigatoken, or into tokenizers where the two differ.

    Kept for the next units of this process: loading GPT-2's into both takes longer than encoding 20 MB.
    """
    body = json_without_special(path)
    slow = reference_encoder(Tokenizer.from_str(body))
    try:
        fast = fast_encoder(gigatoken.Tokenizer.from_json(body))
    except (RuntimeError, ValueError) as error:  # gigatoken's words for "a kind of tokenizer that I do not know"
        log.info("%s: encoded by tokenizers, gigatoken cannot load it (%s)", path, error)
        return slow
    if any(not np.array_equal(a, b) for a, b in zip(fast(list(HARD)), slow(list(HARD)), strict=True)):
        log.warning("%s: encoded by tokenizers, gigatoken gives other ids on hard texts", path)
        return slow
    return fast


def fast_encoder(fast: gigatoken.Tokenizer) -> Encoder:
    """Encode with gigatoken, in this thread: units already run side by side."""

    def encode_batch(texts: list[str]) -> tuple[Numbers, Numbers]:
        layout = fast.encode_batch(texts, parallel=False).layout
        offsets = np.asarray(layout.offsets.data, np.int64)
        return layout.content.data[offsets[0] : offsets[-1]], offsets - offsets[0]

    return encode_batch


def reference_encoder(slow: Tokenizer) -> Encoder:
    """Encode with Hugging Face tokenizers: the yardstick of equality, and the fallback."""

    def encode_batch(texts: list[str]) -> tuple[Numbers, Numbers]:
        ids = [encoding.ids for encoding in slow.encode_batch(texts, add_special_tokens=False)]
        offsets = np.cumsum([0, *map(len, ids)])
        return np.array([i for document in ids for i in document], np.uint32), offsets

    return encode_batch


def json_without_special(path: Path) -> str:
    """Read a tokenizer.json without its special tokens, in the short form that loads fastest."""
    return orjson.dumps(without_special(read_tokenizer(path))).decode()


def without_special(body: dict[str, Any]) -> dict[str, Any]:
    """Drop the special tokens (they stay in the vocabulary, so ids do not move).

    A Unigram model finds every piece of its vocabulary in a text, so there their names become ones that no text has.
    """
    special = {token["content"] for token in body.get("added_tokens", []) if token.get("special")}
    kept = [token for token in body.get("added_tokens", []) if token["content"] not in special]
    model = body["model"]
    if isinstance(model["vocab"], list):
        hidden = [[f"\ufdd0{piece}" if piece in special else piece, score] for piece, score in model["vocab"]]
        model = model | {"vocab": hidden}
    return body | {"added_tokens": kept, "model": model}


def token_type(size: int) -> pa.DataType:
    """The narrowest type that holds all ids."""
    return pa.uint16() if size <= 1 << 16 else pa.uint32()


def token_stream(path: Path) -> Iterator[pa.Array]:
    """Map an .arrow shard into memory and yield its batches of ids without copying."""
    with pa.memory_map(str(path)) as source:
        reader = pa.ipc.open_file(source)
        for number in range(reader.num_record_batches):
            yield reader.get_batch(number).column(0)
