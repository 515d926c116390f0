"""A small tokens dataset, written through lmpipe.dataset.build as the tokens stage does it.

Its documents follow a simple law (each token is the one before plus a small step, modulo the
vocabulary), so that a model learns something in forty steps.
"""

import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from lmpipe.dataset import Execution, Manifest, Plan, UnitOutput, build
from lmpipe.settings import LstmSettings, Model, TrainSettings, TransformerSettings
from lmpipe.storage import replacing

VOCABULARY = 61
END_OF_TEXT = 60
INDEX = pa.schema(
    [(name, pa.string()) for name in ("id", "source", "lang", "domain")]
    + [(name, pa.int64()) for name in ("start", "length", "bytes", "words")]
)
NO_TEXT = '{"model": {"type": "BPE", "vocab": {}, "merges": []}}'
"""A tokenizer that encodes nothing."""
LSTM = LstmSettings(kind="lstm", layers=1, width=16, dropout=0.1)
TRANSFORMER = TransformerSettings(kind="transformer", layers=2, width=16, heads=2, dropout=0.1)


def small_settings(model: Model = TRANSFORMER, **changes: object) -> TrainSettings:
    """Forty quick steps of a tiny model with every part of the loop in use."""
    values: dict[str, object] = {"name": "tiny", "model": model, "context": 16, "batch": 4, "steps": 40, "warmup": 4}
    values |= {"save_every": 5, "valid_every": 10, "valid_rows": 8, "threads": 1, "lr": 5e-3}
    return TrainSettings(**(values | changes))  # type: ignore[arg-type]


def make_documents(count: int, seed: int, most: int = 40) -> list[list[int]]:
    """Draw documents of 0 to `most` tokens, without their end-of-text token."""
    draw = random.Random(seed)
    documents = []
    for _ in range(count):
        token, document = draw.randrange(END_OF_TEXT), []
        for _ in range(draw.randint(0, most)):
            document.append(token)
            token = (token + draw.choice((1, 1, 1, 7))) % END_OF_TEXT
        documents.append(document)
    return documents


def tokens_dataset(
    data: Path, shards: dict[str, list[list[list[int]]]] | None = None, tokenizer: str = NO_TEXT, **settings: int
) -> Manifest:
    """Commit a tokens dataset; `shards` maps a split to its shards, a shard to its documents."""
    if shards is None:
        shards = {"train": [make_documents(40, 1), make_documents(30, 2)]}
        shards |= {"valid": [make_documents(12, 3)], "test": [make_documents(9, 4), make_documents(8, 5)]}
    units = [(split, number, docs) for split in shards for number, docs in enumerate(shards[split])]
    facts = {
        "vocabulary": VOCABULARY,
        "end_of_text": END_OF_TEXT,
        "shards": [[s, n, d] for s, n, d in units],
    } | settings
    plan = Plan(stage="tokens", name="small", version=1, settings=facts, inputs=())
    return build(plan, data, write_unit, [*units, tokenizer], Execution())


def write_unit(unit: tuple[str, int, list[list[int]]] | str, output: UnitOutput) -> None:
    """Write one token shard and its document index, or the tokenizer."""
    if isinstance(unit, str):
        with replacing(output.folder / "tokenizer.json") as temporary:
            temporary.write_text(unit)
        output.add("tokenizer", "tokenizer.json", rows=1)
        return
    split, number, documents = unit
    ids = [token for document in documents for token in [*document, END_OF_TEXT]]
    write_shard(output, split, number, ids)
    write_index(output, split, number, documents)


def write_shard(output: UnitOutput, split: str, number: int, ids: list[int]) -> None:
    """Write the ids as an Arrow file of one batch."""
    name = f"tokens-{split}-{number:05d}.arrow"
    batch = pa.record_batch({"tokens": pa.array(ids, pa.uint16())})
    with (
        replacing(output.folder / name) as temporary,
        pa.OSFile(str(temporary), "wb") as file,
        pa.ipc.new_file(file, batch.schema) as writer,
    ):
        writer.write_batch(batch)
    output.add(split, name, rows=len(ids), tokens=len(ids))


def write_index(output: UnitOutput, split: str, number: int, documents: list[list[int]]) -> None:
    """Write one row per document; ids run against the order of the tokens, so that order is tested."""
    rows, start = [], 0
    for position, document in enumerate(documents):
        ident = f"local:{split}-{number}-{len(documents) - position:03d}"
        length = len(document) + 1
        row = {"id": ident, "source": "local", "lang": "en", "start": start, "length": length}
        rows.append(row | {"bytes": 3 * len(document), "words": len(document) // 2})
        start += length
    name = f"documents-{split}-{number:05d}.parquet"
    batch = pa.RecordBatch.from_pylist(rows, schema=INDEX)
    with replacing(output.folder / name) as temporary:
        pq.write_table(pa.Table.from_batches([batch]), temporary)
    output.add(f"documents-{split}", name, rows=len(rows))
