"""Read token shards as one stream of ids, memory-mapped, and find the documents that lie under a position.

Shape letters: N positions or documents.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

import pyarrow as pa
import torch
from torch import Tensor
from torch.utils.dlpack import from_dlpack

from lmpipe.dataset import read_batches
from lmpipe.errors import TrainingError


@dataclass(frozen=True, slots=True)
class TokenStream:
    """The shards of one split, end to end; nothing is read before it is asked for."""

    shards: tuple[Tensor, ...]
    """Views of the mapped files, uint16 or uint32."""
    ends: tuple[int, ...]
    """Position in the stream after the last token of each shard."""
    vocabulary: int

    @property
    def num_tokens(self) -> int:
        """Length of the stream in tokens."""
        return self.ends[-1] if self.ends else 0

    def read(self, start: int, length: int) -> Tensor:
        """Copy ids [start, start + length) of the stream as int64.

        Raises TrainingError for an id outside the vocabulary, which would read foreign memory on a GPU.
        """
        parts, shard = [], bisect_right(self.ends, start)
        while length > 0:
            offset = start - (self.ends[shard] - len(self.shards[shard]))
            parts.append(self.shards[shard][offset : offset + length].to(torch.int64))
            start, length, shard = start + len(parts[-1]), length - len(parts[-1]), shard + 1
        ids_N = torch.cat(parts) if len(parts) != 1 else parts[0]
        if ids_N.numel() and int(ids_N.max()) >= self.vocabulary:
            raise TrainingError(
                f"token {int(ids_N.max())} at position {start - len(ids_N)} of the stream is outside the vocabulary of"
                f" {self.vocabulary}. The shards belong to another tokenizer: build the tokens again."
            )
        return ids_N


def open_stream(paths: Sequence[Path], vocabulary: int) -> TokenStream:
    """Map the token shards of a split.

    Raises TrainingError when a file is not an Arrow file of one record batch with a column `tokens`.
    """
    shards = tuple(map_shard(path) for path in paths)
    return TokenStream(shards, tuple(accumulate(len(shard) for shard in shards)), vocabulary)


def map_shard(path: Path) -> Tensor:
    """Map one shard without copying; the tensor keeps the mapping alive."""
    try:
        reader = pa.ipc.open_file(pa.memory_map(str(path)))
        batch = reader.get_batch(0)
        # DLPack and not frombuffer: it takes the read-only mapping without a warning, and its lifetime with it.
        return from_dlpack(batch.column("tokens"))
    except (pa.ArrowInvalid, KeyError) as error:
        raise TrainingError(f"{path}: expected an Arrow file of `tokens` ({error}). Build the tokens again.") from error


@dataclass(frozen=True, slots=True)
class DocumentIndex:
    """Where each document of a split lies in the stream."""

    starts_N: Tensor
    """First position of each document in the stream, int64, rising."""
    ids: pa.ChunkedArray
    """Document id, in the same order."""

    def covering(self, start: int, length: int) -> list[str]:
        """List the ids of the documents that have a token in [start, start + length)."""
        bounds = torch.tensor([start, start + length - 1])
        first, last = (torch.searchsorted(self.starts_N, bounds, right=True) - 1).tolist()
        ids: list[str] = self.ids.slice(first, last - first + 1).to_pylist()
        return ids


def open_index(stream: TokenStream, paths: Sequence[Path]) -> DocumentIndex:
    """Read the document indexes that belong to the shards of `stream`."""
    starts, ids = [torch.empty(0, dtype=torch.int64)], []
    for path, end, shard in zip(paths, stream.ends, stream.shards, strict=True):
        for batch in read_batches(path, ["id", "start"]):
            starts.append(from_dlpack(batch.column("start")) + (end - len(shard)))
            ids.append(batch.column("id"))
    return DocumentIndex(torch.cat(starts), pa.chunked_array(ids, type=pa.string()))
