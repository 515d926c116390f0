"""Make the batch of a step: a pure function of (stream, settings, step), so that resuming needs one integer.

A row is a window of context + 1 tokens at stride `context`: inputs and targets overlap by one, every
token but the first is a target once per epoch. Shuffled, each epoch reads the rows in the order of a keyed
permutation (order.py). In order, row b of the batches is lane b of the stream, as truncated backpropagation
with a carried state wants it (Zaremba et al. 2014): the rows of a step go on where those of the step before
ended. The global batch is made first and each process takes its slice last, so the data order is the same
for any number of processes.

Shape letters: B rows, S context + 1, T context.
"""

import ctypes
import hashlib
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, Protocol

import pyarrow as pa
import torch
from torch import Tensor

from lmpipe.errors import TrainingError
from lmpipe.settings import TrainSettings
from lmpipe.train.order import permuted
from lmpipe.train.stream import DocumentIndex, TokenStream

BLOCK = 4096
"""Rows permuted at once: 0.1 us a row, where a batch of 16 by itself takes 10."""


class Rows(Protocol):
    """What names the batches of a training; TrainSettings does."""

    @property
    def context(self) -> int: ...
    @property
    def batch(self) -> int: ...
    @property
    def seed(self) -> int: ...
    @property
    def order(self) -> Literal["shuffled", "in_order"]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """The rows of one step."""

    ids_BS: Tensor
    """int64."""
    epoch: int
    """Of the first row, from 0."""
    fresh: bool = True
    """Whether rows begin anew; False where they go on from the step before."""

    @property
    def sha256(self) -> str:
        """Hash of the rows in their order, as int64 little-endian."""
        ids_BS = self.ids_BS.contiguous()  # bytes() of its storage would ask for each byte by itself: 0.1 s a batch
        return hashlib.sha256(ctypes.string_at(ids_BS.data_ptr(), ids_BS.nbytes)).hexdigest()


def num_rows(stream: TokenStream, context: int) -> int:
    """Count the rows of an epoch; a tail shorter than a row is left out."""
    return max(0, (stream.num_tokens - 1) // context)


def make_batch(stream: TokenStream, settings: Rows, step: int) -> Batch:
    """Make the global batch of a step, counted from 0. It may run over the end of an epoch."""
    size = num_rows(stream, settings.context)
    rows = batch_rows(size, settings, step)
    ids_BS = stream.read_rows((rows * settings.context).tolist(), settings.context + 1)
    if settings.order == "in_order":
        epoch, window = divmod(step, size // settings.batch)
        return Batch(ids_BS=ids_BS, epoch=epoch, fresh=window == 0)
    return Batch(ids_BS=ids_BS, epoch=step * settings.batch // size, fresh=True)


def batch_rows(size: int, settings: Rows, step: int) -> Tensor:
    """List the rows of a step among the `size` rows of an epoch, in order."""
    if settings.order == "in_order":
        return lane_rows(size, settings.batch, step)
    rows, position, end = [], step * settings.batch, (step + 1) * settings.batch
    while position < end:
        epoch, index = divmod(position, size)
        block, offset = divmod(index, BLOCK)
        rows.append(permuted_block(size, f"{settings.seed}:{epoch}", block)[offset : offset + end - position])
        position += len(rows[-1])
    return torch.cat(rows)


def lane_rows(size: int, batch: int, step: int) -> Tensor:
    """List the next row of every lane; rows that fill no lane are left out.

    Raises TrainingError when there are more lanes than rows.
    """
    length = size // batch
    if length == 0:
        raise TrainingError(f"a batch of {batch} lanes needs as many rows, found {size}. Lower batch or context.")
    return torch.arange(batch) * length + step % length


@lru_cache(maxsize=4)
def permuted_block(size: int, key: str, block: int) -> Tensor:
    """Permute one block of an epoch; the next steps read on in it."""
    return permuted(torch.arange(block * BLOCK, min(size, (block + 1) * BLOCK)), size, key)


def batch_documents(stream: TokenStream, index: DocumentIndex, settings: Rows, step: int) -> pa.Table:
    """Say who is in the batch of a step: one row per row of the batch and document, in order.

    Columns: row, document, source, lang, start (the document's first token there, counted in the row) and tokens.
    """
    rows: list[dict[str, Any]] = []
    for number, row in enumerate(batch_rows(num_rows(stream, settings.context), settings, step).tolist()):
        rows += [{"row": number} | span for span in index.covering(row * settings.context, settings.context + 1)]
    return pa.Table.from_pylist(rows)


def read_row(stream: TokenStream, row: int, context: int) -> Tensor:
    """Read the context + 1 ids of one row."""
    return stream.read(row * context, context + 1)


def valid_rows(stream: TokenStream, settings: TrainSettings) -> list[int]:
    """Choose the validation rows: evenly spread over the split, the same at every validation."""
    size = num_rows(stream, settings.context)
    count = min(size, settings.valid_rows)
    return [index * size // count for index in range(count)]


def documents_of(ids_BT: Tensor, end_of_text: int) -> Tensor:
    """Number the documents of each row, for the document mask.

    A segment opens with the end-of-text token that closed the document before, exactly as an
    evaluated document does: it is the context from which a first token is predicted.
    """
    return (ids_BT == end_of_text).cumsum(1)
