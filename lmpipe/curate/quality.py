"""Model-based quality: logistic regression over hashed words and pairs of words, one more signal.

A linear model over word pairs is what GPT-3, DCLM and Nemotron-CC choose their web text with; this one is
numpy alone: no random draw but the order of training, which is a hash of the ids; sums in a fixed order;
the same corpora give the same model file, byte for byte. A model is a Parquet file of weights with its
description in the metadata, so that loading one runs no code.
"""

import hashlib
import json
import math
import re
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from lmpipe.dataset import Manifest, read_batches
from lmpipe.errors import InputError
from lmpipe.storage import replacing

VERSION = 1
"""Raised when features change; a model of another version is refused."""
BUCKETS = 1 << 18
"""Weights: 1 MB on disk; 2^18 against 2^20 changes the AUC in the third digit."""
MAX_CHARS = 20_000
"""Characters of a document that are looked at: the judgement stands long before, and novels are long."""
MAX_DOCUMENTS = 20_000
"""Documents per side, drawn by hash: they fit memory (some 200 MB of features) and a linear model gains no more."""
HELD_OUT = 0.1
"""Share of documents, by hash, that the AUC is measured on."""
EPOCHS = 5
RATE = 0.5
"""Adagrad's step."""
DECAY = 1e-6
"""L2 penalty per step, for rare buckets."""
TOKEN = re.compile(r"[^\W\u2e80-\u9fff\uac00-\ud7af\u3040-\u30ff]+|[^\s]")
"""Words of alphabets; single characters of Chinese, Japanese and Korean, whose pairs then stand for words; marks."""

Ids = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


class Features(NamedTuple):
    """The features of one document: which buckets, and with which weight (of unit length)."""

    buckets: Ids
    values: Floats


class QualityModel(NamedTuple):
    """A trained classifier."""

    weights: Floats
    bias: float
    facts: dict[str, Any]
    """What it was trained on and its held-out AUC."""

    def score(self, texts: Sequence[str]) -> list[float]:
        """Give each text's probability of being of the good kind, 0 to 1."""
        return [self.probability(features(text)) for text in texts]

    def probability(self, found: Features) -> float:
        """Apply the model to one document's features; six decimals, which all machines agree on."""
        margin = float((self.weights[found.buckets] * found.values).sum()) + self.bias
        return round(sigmoid(margin), 6)


def features(text: str) -> Features:
    """Hash a text's words and pairs of words into buckets; a text without words has no feature."""
    tokens = TOKEN.findall(text[:MAX_CHARS].lower())
    if not tokens:
        return Features(np.empty(0, np.int64), np.empty(0))
    codes = {token: zlib.crc32(token.encode()) for token in dict.fromkeys(tokens)}
    words = np.fromiter((codes[token] for token in tokens), np.uint64, len(tokens))
    pairs = words[:-1] * np.uint64(0x9E3779B97F4A7C15) + words[1:]
    buckets, counts = np.unique(np.concatenate([mix(words), mix(pairs)]) % np.uint64(BUCKETS), return_counts=True)
    values = np.log1p(counts.astype(np.float64))
    return Features(buckets.astype(np.int64), values / np.sqrt((values * values).sum()))


def mix(codes: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Spread 64-bit codes evenly (the finaliser of splitmix64)."""
    codes = (codes ^ (codes >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    codes = (codes ^ (codes >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return codes ^ (codes >> np.uint64(31))


def sigmoid(margin: float) -> float:
    """1 / (1 + exp(-margin)), without overflow."""
    return 1 / (1 + math.exp(-margin)) if margin >= 0 else math.exp(margin) / (1 + math.exp(margin))


class Example(NamedTuple):
    """One labelled document."""

    key: str
    """Hash of its id: the order of training, and who is held out."""
    good: bool
    features: Features


def train(good: Manifest, bad: Manifest, out: Path, *, documents: int = MAX_DOCUMENTS) -> QualityModel:
    """Train a classifier on two datasets with documents (ingested or cleaned) and write it to `out`.

    Raises InputError when a side has no documents.
    """
    examples = sorted(
        [*examples_of(good, True, documents), *examples_of(bad, False, documents)], key=lambda e: (e.key, e.good)
    )
    tested = [e for e in examples if held_out(e.key)]
    weights, bias = fit([e for e in examples if not held_out(e.key)])
    model = QualityModel(weights, bias, {})
    scores = np.array([model.probability(e.features) for e in tested])
    facts = {
        "version": VERSION,
        "good": good.reference,
        "bad": bad.reference,
        "documents": [sum(e.good for e in examples), sum(not e.good for e in examples)],
        "held_out": [sum(e.good for e in tested), sum(not e.good for e in tested)],
        "auc": auc(scores, np.array([e.good for e in tested], bool)),
    }
    return write(QualityModel(weights, bias, facts), out)


def examples_of(manifest: Manifest, good: bool, limit: int) -> Iterator[Example]:
    """Draw at most `limit` documents of a dataset by the hash of their ids and take their features."""
    keys = sorted(
        hashlib.sha256(id.encode()).hexdigest()
        for path in manifest.paths("documents")
        for batch in read_batches(path, ["id"])
        for id in batch.column("id").to_pylist()
    )
    if not keys:
        raise InputError(f"{manifest.folder}: holds no documents. Name an ingested or a cleaned dataset.")
    last = keys[min(limit, len(keys)) - 1]
    for path in manifest.paths("documents"):
        for batch in read_batches(path, ["id", "text"]):
            for id, text in zip(batch.column("id").to_pylist(), batch.column("text").to_pylist(), strict=True):
                key = hashlib.sha256(id.encode()).hexdigest()
                if key <= last:
                    yield Example(key, good, features(text))


def held_out(key: str) -> bool:
    """Tell whether a document is kept from training; by the end of its hash, since the front is the order."""
    return int(key[-8:], 16) < HELD_OUT * (1 << 32)


def fit(examples: Sequence[Example]) -> tuple[Floats, float]:
    """Run Adagrad over the documents, one by one in their order, both classes with the same weight in all."""
    number = sum(e.good for e in examples)
    if not 0 < number < len(examples):
        raise InputError("quality train: expected documents to learn from on both sides. Name larger datasets.")
    share = {True: 0.5 * len(examples) / number, False: 0.5 * len(examples) / (len(examples) - number)}
    weights, squares, bias = np.zeros(BUCKETS), np.full(BUCKETS, 1e-8), 0.0
    for _ in range(EPOCHS):
        for example in examples:
            buckets, values = example.features
            margin = float((weights[buckets] * values).sum()) + bias
            slope = (sigmoid(margin) - example.good) * share[example.good]
            gradient = slope * values + DECAY * weights[buckets]
            squares[buckets] += gradient * gradient
            weights[buckets] -= RATE * gradient / np.sqrt(squares[buckets])
            bias -= 0.01 * slope
    return weights.astype(np.float32).astype(np.float64), round(bias, 6)


def auc(scores: Floats, good: npt.NDArray[np.bool_]) -> float | None:
    """Chance that a good document scores above a bad one, ties half; None without both kinds."""
    positive, negative = int(good.sum()), int((~good).sum())
    if not positive or not negative:
        return None
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    return round(float((ranks[good].sum() - positive * (positive + 1) / 2) / (positive * negative)), 6)


def write(model: QualityModel, out: Path) -> QualityModel:
    """Write a model by rename; return it."""
    facts = json.dumps(model.facts | {"bias": model.bias}, sort_keys=True, ensure_ascii=False)
    table = pa.table({"weight": pa.array(model.weights, pa.float32())}).replace_schema_metadata({"lmpipe": facts})
    with replacing(out) as temporary:
        pq.write_table(table, temporary, compression="zstd")
    return model


def load(path: Path) -> QualityModel:
    """Read a model.

    Raises InputError when the file is none, or of another version.
    """
    try:
        table = pq.read_table(path)
    except FileNotFoundError:
        raise InputError(f"{path}: no such quality model. Train one with `lmpipe quality train`.") from None
    except pa.ArrowInvalid as error:
        raise InputError(f"{path}: expected a model of `lmpipe quality train`, found no Parquet ({error}).") from None
    facts = json.loads((table.schema.metadata or {}).get(b"lmpipe", b"{}"))
    if facts.get("version") != VERSION or table.num_rows != BUCKETS:
        raise InputError(
            f"{path}: expected a quality model of version {VERSION}, found {facts.get('version')}. Train it again."
        )
    weights = table.column("weight").to_numpy().astype(np.float64)
    return QualityModel(weights, facts.pop("bias"), facts)
