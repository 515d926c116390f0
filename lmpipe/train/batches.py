"""Make the batch of a step: a pure function of (stream, settings, step), so that resuming needs one integer.

A row is a window of context + 1 tokens at stride `context`: inputs and targets overlap by one, every
token but the first is a target once per epoch. Each epoch reads the rows in the order of a keyed
permutation that is computed row by row, in constant memory. With order = "carried" the stream is cut into
as many lanes as a batch has rows, and each row goes on where the same row of the step before ended, so that a
recurrent state can be carried over (what is left behind a lane's last whole row is not read). The global
batch is made first and each process takes its slice last, so the data order is the same for any number of
processes.

Shape letters: B rows, S context + 1, T context.
"""

import hashlib
from dataclasses import dataclass

import torch
from torch import Tensor

from lmpipe.settings import TrainSettings
from lmpipe.train.stream import TokenStream

ROUNDS = 6
"""Feistel rounds: four give a strong pseudo-random permutation (Luby and Rackoff 1988), two more cost
3 us a row and even out the tiny domains of tests and demos."""


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
        return hashlib.sha256(bytes(self.ids_BS.contiguous().untyped_storage())).hexdigest()


def num_rows(stream: TokenStream, context: int) -> int:
    """Count the rows of an epoch; a tail shorter than a row is left out."""
    return max(0, (stream.num_tokens - 1) // context)


def make_batch(stream: TokenStream, settings: TrainSettings, step: int) -> Batch:
    """Make the global batch of a step, counted from 0. With order = "shuffled" it may run over the end of an epoch."""
    if settings.order == "carried":
        epoch, window = divmod(step, num_windows(stream, settings.batch, settings.context))
        ids_BS = read_lanes(stream, settings.batch, settings.context, window)
        return Batch(ids_BS=ids_BS, epoch=epoch, fresh=window == 0)
    rows = batch_rows(num_rows(stream, settings.context), settings, step)
    ids_BS = torch.stack([read_row(stream, row, settings.context) for row in rows])
    return Batch(ids_BS=ids_BS, epoch=step * settings.batch // num_rows(stream, settings.context))


def batch_rows(size: int, settings: TrainSettings, step: int) -> list[int]:
    """List the rows of a step among the `size` rows of an epoch, in order."""
    rows = []
    for position in range(step * settings.batch, (step + 1) * settings.batch):
        epoch, index = divmod(position, size)
        rows.append(permuted(index, size, f"{settings.seed}:{epoch}".encode()))
    return rows


def num_windows(stream: TokenStream, lanes: int, context: int) -> int:
    """Count the whole windows of each lane."""
    return (stream.num_tokens - 1) // lanes // context


def read_lanes(stream: TokenStream, lanes: int, context: int, window: int) -> Tensor:
    """Read one window of every lane of a stream: rows that go on from those of the window before."""
    length = (stream.num_tokens - 1) // lanes
    starts = range(window * context, lanes * length, length)
    return torch.stack([stream.read(start, context + 1) for start in starts])


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


def permuted(index: int, size: int, key: bytes) -> int:
    """Map `index` through a permutation of range(size) that `key` names, in constant memory.

    A Feistel network over the next power of four, walked until it lands inside the range (format-preserving
    encryption by cycle walking: Black and Rogaway 2002, section 3); fewer than four steps on average.
    """
    half = max(1, ((size - 1).bit_length() + 1) // 2)
    while True:
        index = feistel(index, half, key)
        if index < size:
            return index


def feistel(value: int, half: int, key: bytes) -> int:
    """Permute the integers of 2 * half bits (Luby and Rackoff 1988), with keyed BLAKE2b as round function."""
    mask = (1 << half) - 1
    left, right = value >> half, value & mask
    for turn in range(ROUNDS):
        mixed = hashlib.blake2b(right.to_bytes(8, "little"), digest_size=8, key=key, salt=bytes([turn])).digest()
        left, right = right, left ^ (int.from_bytes(mixed, "little") & mask)
    return left << half | right
