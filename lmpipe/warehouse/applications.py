"""Record what models were used for: texts that were given a probability, texts that they wrote."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lmpipe.storage import digest
from lmpipe.warehouse.door import write
from lmpipe.warehouse.record import insert, to_json, utc


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredTexts:
    """A collection of texts, scored."""

    score: str
    """Identity: over run, checkpoint, context and texts."""
    run: str
    checkpoint: str
    context: int
    inputs: tuple[str, ...]
    texts: int
    tokens: int
    bytes: int
    nats: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """A text that a model wrote."""

    run: str
    checkpoint: str
    decoding: Mapping[str, Any]
    number: int
    """Of the prompt in its call."""
    prompt: str
    text: str
    tokens: int
    nats: float
    ending: str

    @property
    def identity(self) -> str:
        """sha256 over what decides the text."""
        return digest([self.run, self.checkpoint, dict(self.decoding), self.number, self.prompt])


def record_scores(folder: Path, scored: ScoredTexts) -> None:
    """Record scored texts; the same ones scored again change nothing."""
    row = asdict(scored) | {"inputs": to_json(scored.inputs), "recorded": utc(datetime.now(UTC))}
    with write(folder, f"recording the score of {scored.texts} texts") as con:
        insert(con, "scores", [row], "or ignore")


def record_generations(folder: Path, generations: Iterable[Generation]) -> None:
    """Record continuations; the same ones written again change nothing."""
    now = utc(datetime.now(UTC))
    rows = [
        asdict(one) | {"generation": one.identity, "decoding": to_json(one.decoding), "recorded": now}
        for one in generations
    ]
    with write(folder, f"recording {len(rows)} generations") as con:
        insert(con, "generations", rows, "or ignore")
