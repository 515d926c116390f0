"""Name the protocol of a perplexity, so that unlike numbers are never compared (after sacreBLEU, Post 2018).

The parts, in order: set (the documents and the hash of who they are), text (which form was scored; targets: what stands
behind learn_after), count (how words and bytes were counted: of the original text, or of the targets), unit (what one
token is), vocab (open, lossy or closed, kind, size and hash of the tokenizer), win and stride (tokens), reset (where
the state starts anew: at each window, or at each document), first (what the first token is conditioned on), end
(whether the closing token is scored), dyn (adaptation at test time), dtype (of log-softmax; sums are float64), v.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa

from lmpipe.evaluate.windows import Windows
from lmpipe.train.run import TOKENIZER, Run

VERSION = 3
"""Raised when the scoring code changes a number."""

UNITS = {"bpe": "token", "unigram": "token", "wordpiece": "token", "char": "char", "word": "word+eos"}
"""What a token of each kind of tokenizer is; a word tokenizer closes each line with a token of its own."""


KEEPING = {"NFC", "NFD", "Prepend", "ByteLevel"}
"""Normalizers of a tokenizer.json that lose nothing of a cleaned text."""

BLANK = {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}
"""One more: what Metaspace does."""

DROPPING = {"BertPreTokenizer", "Whitespace", "WhitespaceSplit", "CharDelimiterSplit"}
"""Pre-tokenizers that drop what they split at."""

Openness = Literal["open", "lossy", "closed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Vocabulary:
    """What a run's tokenizer is, as far as its numbers are concerned."""

    kind: str
    """bpe, unigram, wordpiece, char or word."""
    openness: Openness
    """open: its tokens tell the text. closed: it replaces what it does not hold by one unknown token. lossy: it folds
    or drops characters (full width, case, blanks) before it looks. The scores of the last two are no probabilities of
    the text."""
    unknown: int | None
    """Id of that token."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """What is scored, as a signature names it."""

    set: str
    """Name and hash of the documents."""
    text: str = "raw"
    """Which form of them was scored."""
    count: str = "orig"
    """How their words and bytes were counted."""
    unit: str | None = None
    """What is predicted, where it is not each token."""
    end: bool
    """The token that closes a document is scored too."""


def signature(run: Run, scored: Scored, windows: Windows) -> str:
    """Compose the protocol signature of scoring a set with the models of `run`."""
    kind = read_vocabulary(run.paths(TOKENIZER)[0]).kind
    parts = [
        "ppl",
        f"set:{scored.set}",
        f"text:{scored.text}",
        f"count:{scored.count}",
        f"unit:{scored.unit or UNITS[kind]}",
        vocabulary_part(run),
        f"win:{windows.context}",
        f"stride:{windows.stride}",
        "reset:doc" if windows.carry else "reset:window",
        "first:eot",
        f"end:{'scored' if scored.end else 'unscored'}",
        "dyn:no",
        dtype_part(run),
        f"v:{VERSION}",
    ]
    return "|".join(parts)


def vocabulary_part(run: Run) -> str:
    """Name a run's vocabulary: open, lossy or closed, kind, size and hash of the tokenizer."""
    tokenizer = next(file for file in run.files if file.role == TOKENIZER)
    vocabulary = read_vocabulary(run.paths(TOKENIZER)[0])
    return f"vocab:{vocabulary.openness}-{vocabulary.kind}{run.vocabulary}@{tokenizer.sha256[:8]}"


def dtype_part(run: Run) -> str:
    """Name the precision of a run's log-softmax."""
    return "dtype:fp64" if run.settings.model.kind == "ngram" else "dtype:fp32"


def read_vocabulary(path: Path) -> Vocabulary:
    """Derive from a tokenizer.json of what kind it is and which id stands for what it does not know."""
    body = json.loads(path.read_text(encoding="utf-8"))
    model = body["model"]
    kind = {"BPE": "bpe", "Unigram": "unigram", "WordPiece": "wordpiece", "WordLevel": "word"}[model["type"]]
    if kind == "word" and (body.get("pre_tokenizer") or {}).get("type") == "Split":
        kind = "char"
    unknown = unknown_id(model)
    closed = unknown is not None and not bytes_covered(body)
    openness: Openness = "closed" if closed else "lossy" if loses_text(body) else "open"
    return Vocabulary(kind=kind, openness=openness, unknown=unknown)


def unknown_id(model: dict[str, Any]) -> int | None:
    """Find the id of a model's unknown token; None where it has none."""
    if isinstance(model.get("unk_id"), int):
        return int(model["unk_id"])
    token = model.get("unk_token")
    return model["vocab"].get(token) if token is not None else None


def bytes_covered(body: dict[str, Any]) -> bool:
    """Say whether a tokenizer works on bytes, so that nothing is unknown to it."""
    steps = *steps_of(body.get("normalizer")), *steps_of(body.get("pre_tokenizer"))
    return any(step["type"] == "ByteLevel" for step in steps) or bool(body["model"].get("byte_fallback"))


def loses_text(body: dict[str, Any]) -> bool:
    """Say whether a tokenizer makes the same of different texts before it looks for tokens.

    Cleaned text is in NFC, so that NFC and NFD lose nothing; nor does the sign of SentencePiece for a blank.
    """
    return any(map(folds, steps_of(body.get("normalizer")))) or any(map(drops, steps_of(body.get("pre_tokenizer"))))


def folds(step: dict[str, Any]) -> bool:
    """Say whether a normalizer makes the same of different characters."""
    return step["type"] not in KEEPING and step | BLANK != step


def drops(step: dict[str, Any]) -> bool:
    """Say whether a pre-tokenizer drops what it splits at; inverted, it is taken to find all that there is."""
    return step["type"] in DROPPING or (step.get("behavior") == "Removed" and not step.get("invert"))


def steps_of(part: dict[str, Any] | None) -> Iterator[dict[str, Any]]:
    """List the steps of a normalizer or pre-tokenizer of a tokenizer.json, those of a Sequence one by one."""
    if part is None:
        return
    if part["type"] == "Sequence":
        for step in part["normalizers"] if "normalizers" in part else part["pretokenizers"]:
            yield from steps_of(step)
    else:
        yield part


def name_set(name: str, batches: Iterable[pa.RecordBatch]) -> str:
    """Name a set by its name and a hash over its documents: id, bytes and words, and the text where it is there.

    The tokens stay out: two tokenizers score the same set, and their bits per byte can be compared.
    """
    total = hashlib.sha256()
    for batch in batches:
        columns = [name for name in ("id", "bytes", "words", "text") if name in batch.schema.names]
        for row in batch.select(columns).to_pylist():
            total.update(("\t".join(str(row[column]) for column in columns) + "\n").encode())
    return f"{name}@sha256:{total.hexdigest()[:8]}"
