"""Name the protocol of a perplexity, so that unlike numbers are never compared (after sacreBLEU, Post 2018).

The parts, in order: set (held-out documents and the hash of who they are), text (which form was scored),
count (bytes and words of which form), unit (what one score belongs to), vocab (tokenizer and its hash),
win and stride (tokens), reset (where the state starts anew: at each window, or at each document), first (what the
first token is conditioned on), end (whether the closing token is scored), dyn (adaptation at test time), dtype, v.
"""

import hashlib

import pyarrow as pa

from lmpipe.settings import EvaluateSettings
from lmpipe.train.run import TOKENIZER, Run

VERSION = 2
"""Raised when the scoring code changes a number."""


def signature(run: Run, settings: EvaluateSettings, set_name: str) -> str:
    """Compose the protocol signature of scoring `set_name` with the models of `run`."""
    tokenizer = next(file for file in run.files if file.role == TOKENIZER)
    parts = [
        "ppl",
        f"set:{set_name}",
        "text:raw",
        "count:orig",
        "unit:token",
        f"vocab:bpe{run.vocabulary}@{tokenizer.sha256[:8]}",
        f"win:{settings.context}",
        f"stride:{settings.context}",
        "reset:doc" if settings.carry else "reset:window",
        "first:eot",
        f"end:{'scored' if settings.end else 'unscored'}",
        "dyn:no",
        "dtype:fp32",
        f"v:{VERSION}",
    ]
    return "|".join(parts)


def name_set(recipe: str, split: str, documents: pa.Table) -> str:
    """Name a set by recipe, split and a hash over id, bytes and words of its documents, which are sorted by id.

    The tokens stay out: two tokenizers score the same set, and their bits per byte can be compared.
    """
    total = hashlib.sha256()
    for batch in documents.select(["id", "bytes", "words"]).to_batches(max_chunksize=4096):
        total.update("".join(f"{row['id']}\t{row['bytes']}\t{row['words']}\n" for row in batch.to_pylist()).encode())
    return f"{recipe}-{split}@sha256:{total.hexdigest()[:8]}"
