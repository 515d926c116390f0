"""Give texts their probability: the chain rule, token by token and in total, in the base that is asked for.

The protocol is evaluate's (evaluate/perplexity.py): each text alone behind an end-of-text token, disjoint windows of
the context, the closing token not scored; the same text has the same nats there to 1e-5.
"""

import hashlib
import math
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from lmpipe.apply.files import Text
from lmpipe.errors import InputError, TrainingError
from lmpipe.evaluate.scorer import Scorer
from lmpipe.evaluate.windows import Nats
from lmpipe.storage import digest

Base = Literal["e", "2", "10"]
UNITS: dict[Base, float] = {"e": 1.0, "2": math.log(2), "10": math.log(10)}
"""Nats of one unit of log probability."""

DECIMALS = 6
"""Of log probabilities: below this, float32 differs between batches and machines."""

SCORES = pa.schema(
    [
        ("id", pa.string()),
        ("text", pa.string()),
        ("log_probability", pa.float64()),
        ("num_tokens", pa.int64()),
        ("num_bytes", pa.int64()),
        ("tokens", pa.list_(pa.string())),
        ("log_probabilities", pa.list_(pa.float64())),
    ]
)
"""One row per text; tokens and their log probabilities are null unless they were asked for."""

LINE = "{log_probability}\t{num_tokens}\t{text}"
"""A row as a text line."""

TOKEN_LINE = "{log_probability}\t{num_tokens}\t{text}\t{tokens}\t{log_probabilities}"
"""The same with its tokens."""


def score_texts(
    scorer: Scorer, texts: Sequence[Text], base: Base = "e", per_token: bool = False
) -> Iterator[dict[str, Any]]:
    """Score texts together and yield a row of SCORES for each, in order; an empty text has log probability 0.

    Raises TrainingError for weights that give no numbers.
    """
    ids = scorer.encode([text.text for text in texts])
    for text, tokens, nats in zip(texts, ids, scorer.score(ids), strict=True):
        if not np.isfinite(nats).all():
            raise TrainingError(
                f"{scorer.checkpoint.folder}: {text.id}: expected finite log probabilities, found NaN or infinity: the"
                " weights are broken. Take another checkpoint, or train again with a lower lr."
            )
        yield row_of(scorer, text, tokens, nats / UNITS[base], per_token)


def row_of(scorer: Scorer, text: Text, ids: Sequence[int], units: Nats, per_token: bool) -> dict[str, Any]:
    """Lay out a text's score."""
    return {
        "id": text.id,
        "text": text.text,
        "log_probability": plain(-units.sum()),
        "num_tokens": len(ids),
        "num_bytes": len(text.text.encode()),
        "tokens": token_texts(scorer, ids) if per_token else None,
        "log_probabilities": [plain(-unit) for unit in units] if per_token else None,
    }


def plain(value: float) -> float:
    """Round, without negative zero."""
    return round(float(value), DECIMALS) + 0.0


def token_texts(scorer: Scorer, ids: Sequence[int]) -> list[str]:
    """Name the tokens as the vocabulary does."""
    return [scorer.decode([token]) for token in ids]


class Tally:
    """The sums over all texts of a command."""

    def __init__(self, scorer: Scorer, context: int, base: Base) -> None:
        self.scorer, self.context, self.base = scorer, context, base
        self.texts = self.tokens = self.bytes = 0
        self.nats = 0.0
        self.identity = hashlib.sha256(f"{scorer.run.fingerprint} {scorer.checkpoint.sha256} {context}".encode())

    def counted(self, row: dict[str, Any]) -> dict[str, Any]:
        """Count a row of SCORES, and pass it on."""
        self.texts += 1
        self.tokens += row["num_tokens"]
        self.bytes += row["num_bytes"]
        self.nats -= row["log_probability"] * UNITS[self.base]
        self.identity.update(digest([row["id"], row["text"]]).encode())
        return row

    def check(self) -> None:
        """Raise InputError where there was nothing to score."""
        if not self.tokens:
            raise InputError(f"expected texts with tokens, found none in {self.texts} texts. Give it some words.")

    def summary(self) -> str:
        """Say it in one line."""
        return (
            f"{self.texts:,} texts, {self.tokens:,} tokens, {self.bytes:,} bytes: log probability"
            f" {-self.nats / UNITS[self.base]:.4f} (base {self.base}), perplexity a token"
            f" {math.exp(self.nats / self.tokens):.4f}, {self.nats / math.log(2) / self.bytes:.4f} bits a byte"
        )

    def facts(self, inputs: Sequence[str]) -> dict[str, Any]:
        """Lay out what the warehouse keeps (ScoredTexts)."""
        return {
            "score": self.identity.hexdigest(),
            "run": self.scorer.run.fingerprint,
            "checkpoint": self.scorer.checkpoint.sha256,
            "context": self.context,
            "inputs": tuple(inputs),
            "texts": self.texts,
            "tokens": self.tokens,
            "bytes": self.bytes,
            "nats": self.nats,
        }
