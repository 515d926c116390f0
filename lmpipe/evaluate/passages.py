"""Draw passages of a run's training documents, and count how often each stands in the training split.

A passage is prefix and suffix of one document, at a place drawn by hash: the same ones for every model of one corpus,
so that models can be compared passage by passage.
"""

import hashlib
import heapq
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from lmpipe.curate.ngrams import INVERSE, mixed, powers
from lmpipe.curate.shingles import ODD, Hashes
from lmpipe.dataset import read_batches
from lmpipe.errors import TrainingError
from lmpipe.settings import AuditSettings
from lmpipe.train.run import Run
from lmpipe.train.stream import TokenStream, open_stream

PIECE = 1 << 20
"""Tokens of the training split that are hashed at once: some 60 MB."""


class Passage(NamedTuple):
    """A stretch of one training document."""

    document: str
    source: str
    lang: str | None
    start: int
    """First token of the prefix in the document."""
    ids: list[int]
    """Prefix and suffix."""
    copies: int
    """Of the document in the training split."""
    occurrences: int
    """Of the passage in the training split, whatever document it stands in."""


def draw_passages(run: Run, settings: AuditSettings) -> list[Passage]:
    """Draw one passage each of some training documents that are long enough, in the order of their hash.

    Raises TrainingError when no training document is.
    """
    size = settings.prefix + settings.suffix
    drawn = heapq.nsmallest(settings.documents, long_enough(run, size, settings.seed))
    if not drawn:
        raise TrainingError(
            f"{run.folder}: no training document of {size} tokens or more. Make audit.prefix and audit.suffix smaller."
        )
    stream = open_stream(run.paths("train"), run.vocabulary)
    copies = count_copies(run, {row["id"] for *_, row in drawn})
    places = [int(key[8:], 16) % (row["length"] - size) for key, _, row in drawn]
    texts = [
        stream.read(row["position"] + place, size).tolist() for (*_, row), place in zip(drawn, places, strict=True)
    ]
    occurrences = count_occurrences(stream, np.array(texts))
    return [
        Passage(row["id"], row["source"], row["lang"], place, ids, copies[row["id"]], number)
        for (*_, row), place, ids, number in zip(drawn, places, texts, occurrences, strict=True)
    ]


def long_enough(run: Run, size: int, seed: int) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """List the first copy of each training document of `size` tokens or more, as (hash, id, row of the index)."""
    offset = 0
    for path, shard in zip(run.indexes("train"), (f for f in run.files if f.role == "train"), strict=True):
        for batch in read_batches(path, ["id", "source", "lang", "copy", "start", "length"]):
            wanted = pc.and_(pc.greater(batch.column("length"), size), pc.equal(batch.column("copy"), 0))
            for row in batch.filter(wanted).to_pylist():
                key = hashlib.sha256(f"{seed}:{row['id']}".encode()).hexdigest()[:24]
                yield key, row["id"], row | {"position": offset + row["start"]}
        offset += shard.tokens


def count_copies(run: Run, ids: set[str]) -> Counter[str]:
    """Count the copies of some documents in the training split."""
    found: Counter[str] = Counter()
    for path in run.indexes("train"):
        for batch in read_batches(path, ["id"]):
            found.update(id for id in batch.column("id").to_pylist() if id in ids)
    return found


def count_occurrences(stream: TokenStream, passages: NDArray[Any]) -> list[int]:
    """Count in one reading how often each passage (a row of ids) stands in a stream; passages may overlap."""
    size = passages.shape[1]
    wanted = np.array([window_hashes(ids, size)[0] for ids in passages])
    distinct, which = np.unique(wanted, return_inverse=True)
    counts = np.zeros(len(distinct), np.int64)
    for shard in stream.shards:
        ids = shard.numpy()
        for start in range(0, len(ids) - size + 1, PIECE):
            hashes = window_hashes(ids[start : start + PIECE + size - 1], size)
            place = np.minimum(np.searchsorted(distinct, hashes), len(distinct) - 1)
            counts += np.bincount(place[distinct[place] == hashes], minlength=len(distinct))
    numbers: list[int] = counts[which].tolist()
    return numbers


def window_hashes(ids: Sequence[int] | NDArray[Any], size: int) -> Hashes:
    """Hash every window of `size` ids: a polynomial over their hashes, as one subtraction of prefix sums each."""
    values = mixed(np.asarray(ids).astype(np.uint64) + np.uint64(1))
    sums = np.append(np.uint64(0), np.cumsum(values * powers(ODD, len(values)), dtype=np.uint64))
    return mixed((sums[size:] - sums[:-size]) * powers(INVERSE, len(values) - size + 1))
