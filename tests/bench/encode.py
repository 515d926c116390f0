"""Documents in, token shards out, with GPT-2's tokenizer on one core: ours, datatrove's, tokenizers' encode_batch.

Ours is the encode stage and the pack stage (global shuffle, document index, checksums, fsync); datatrove's is
its DocumentTokenizer (shuffle within its file, index); tokenizers' is the plain loop that people write: read,
encode_batch, append the ids to a file. All read the same Parquet files.

make bench-encode
"""

import os
import re
import shutil
import sys
import tempfile
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

os.environ["TOKENIZERS_PARALLELISM"] = "false"  # one core for all
os.environ["HF_HUB_OFFLINE"] = "1"

import numpy as np
import pyarrow as pa
from tokenizers import Tokenizer

from lmpipe.curate.split import OUTCOMES
from lmpipe.dataset import Execution, Manifest, Plan, UnitOutput, build, read_batches
from lmpipe.document import DOCUMENTS
from lmpipe.settings import TokensSettings
from lmpipe.tokens.encode import encode, load_encoder
from lmpipe.tokens.pack import pack
from lmpipe.tokens.tokenizer import adopt
from tests.bench.harness import corpora, finish, median_seconds

ROWS = 512
"""Documents per row group, as the clean stage writes them."""


def main() -> None:
    """Encode English news and novels and Chinese novels with all three."""
    folder = corpora()
    texts = [*english(folder), *chinese(folder)]
    size = sum(len(text.encode()) for text in texts) / 1e6
    with tempfile.TemporaryDirectory() as scratch:
        seconds = measure(texts, folder / "tokenizers" / "gpt2" / "tokenizer.json", Path(scratch))
    ratios = {f"encode_vs_{name}": seconds[name] / seconds["lmpipe"] for name in ("datatrove", "tokenizers")}
    finish({name: size / taken for name, taken in seconds.items()}, "MB/s", ratios, Path(sys.argv[1]))


def english(folder: Path) -> list[str]:
    """Gutenberg novels in documents of 2,000 characters and Reuters stories."""
    novels = sorted((folder / "novels" / "gutenberg").glob("pg-*.txt"))
    texts = [piece for path in novels for piece in pieces(path.read_text(encoding="utf-8"), 2000)]
    for path in sorted((folder / "news" / "reuters-21578").glob("*.sgm")):
        texts += re.findall(r"<BODY>(.*?)</BODY>", path.read_text(encoding="latin-1"), re.DOTALL)
    return texts


def chinese(folder: Path) -> list[str]:
    """Three Chinese novels in documents of 700 characters, one of them in traditional characters."""
    novels = [folder / "novels" / name for name in ("zh/西游记.txt", "zh/红楼梦.txt", "gutenberg/24264-0.txt")]
    return [piece for path in novels for piece in pieces(path.read_text(encoding="utf-8"), 700)]


def pieces(text: str, size: int) -> list[str]:
    """Cut a text into documents of so many characters."""
    return [text[start : start + size] for start in range(0, len(text), size)]


def measure(texts: list[str], tokenizer: Path, scratch: Path) -> dict[str, float]:
    """Time the three; returns their seconds of CPU."""
    chosen = commit(texts, scratch / "data")
    documents = sorted((scratch / "data" / "clean").glob("*/documents-*.parquet"))
    check_equal(texts, tokenizer)
    return median_seconds(
        {
            "lmpipe": partial(ours, chosen, tokenizer, scratch / "data"),
            "tokenizers": partial(plain_tokenizers, documents, tokenizer, scratch / "plain.bin"),
            "datatrove": partial(datatrove, documents[0].parent, tokenizer, scratch / "datatrove"),
        }
    )


def check_equal(texts: list[str], tokenizer: Path) -> None:
    """See on a part of them that all would write the same ids; the tests do it at length."""
    theirs = Tokenizer.from_file(str(tokenizer)).encode_batch(texts[:200], add_special_tokens=False)
    assert load_encoder(tokenizer)(texts[:200])[0].tolist() == [i for encoding in theirs for i in encoding.ids]


def commit(texts: list[str], data: Path) -> Manifest:
    """Commit the documents as the stages before encoding would: cleaned, decided, split."""
    clean = Plan(stage="clean", name="bench", version=1, settings={}, inputs=())
    cleaned = build(clean, data, write_documents, [texts], Execution())
    decide = replace(clean, stage="decide", inputs=(cleaned.reference,))
    decided = build(decide, data, write_nothing, [None], Execution())
    return build(replace(clean, stage="split", inputs=(decided.reference,)), data, write_outcomes, [texts], Execution())


def write_nothing(unit: None, output: UnitOutput) -> None:
    """Stand for the decisions, which encoding does not read."""


def write_documents(texts: list[str], output: UnitOutput) -> None:
    """Write the documents."""
    rows = [{"id": f"bench:{n}", "source": "bench", "text": text} for n, text in enumerate(texts)]
    output.write("documents", DOCUMENTS, batches(rows, DOCUMENTS))


def write_outcomes(texts: list[str], output: UnitOutput) -> None:
    """Keep all of them for training."""
    rows = [
        {"id": f"bench:{n}", "source": "bench", "outcome": "kept", "split": "train"}
        | {"bytes": len(text.encode()), "words": len(text.split())}
        for n, text in enumerate(texts)
    ]
    output.write("outcomes", OUTCOMES, batches(rows, OUTCOMES))


def batches(rows: list[dict[str, Any]], schema: pa.Schema) -> list[pa.RecordBatch]:
    """Cut rows into batches of ROWS."""
    return [pa.RecordBatch.from_pylist(rows[n : n + ROWS], schema=schema) for n in range(0, len(rows), ROWS)]


def ours(chosen: Manifest, tokenizer: Path, data: Path) -> None:
    """Encode and pack, from nothing, the loading of the tokenizer included."""
    load_encoder.cache_clear()
    for stage in ("tokenizer", "encode", "tokens"):
        shutil.rmtree(data / stage, ignore_errors=True)
    learnt = adopt(tokenizer, "<|endoftext|>", "bench", data, Execution())
    pack(encode(chosen, learnt, data, Execution()), data, TokensSettings(), 1, Execution())


def plain_tokenizers(documents: list[Path], tokenizer: Path, out: Path) -> None:
    """Read, encode_batch, append the ids and an end of text to one file."""
    loaded = Tokenizer.from_file(str(tokenizer))
    end = loaded.token_to_id("<|endoftext|>")
    with out.open("wb") as file:
        for path in documents:
            for batch in read_batches(path, ["text"]):
                for encoding in loaded.encode_batch(batch.column("text").to_pylist(), add_special_tokens=False):
                    file.write(np.array([*encoding.ids, end], np.uint16).tobytes())


def datatrove(folder: Path, tokenizer: Path, out: Path) -> None:
    """Run datatrove's reader and DocumentTokenizer in this process."""
    from datatrove.pipeline.readers import ParquetReader
    from datatrove.pipeline.tokens import DocumentTokenizer
    from loguru import logger

    logger.remove()
    shutil.rmtree(out, ignore_errors=True)
    reader = ParquetReader(str(folder), glob_pattern="documents-*.parquet", id_key="id", text_key="text")
    writer = DocumentTokenizer(str(out), str(tokenizer), eos_token="<|endoftext|>", seed=1)
    writer.run(reader.run(None), 0, 1)


if __name__ == "__main__":
    main()
