"""Read token shards as one stream of ids, memory-mapped, and find the documents that lie under a position.

Shape letters: B rows, S tokens of a row, N positions or documents.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

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
        """Copy ids [start, start + length) of the stream as int64, or those up to its end."""
        return self.read_rows([start], min(length, self.num_tokens - start))[0]

    def read_rows(self, starts: Sequence[int], length: int) -> Tensor:
        """Copy the `length` ids from each start as one row of int64: ids_BS.

        Raises TrainingError for an id outside the vocabulary, which would read foreign memory on a GPU.
        """
        ids_BS = torch.stack([self.view(start, length) for start in starts]).to(torch.int64)
        if ids_BS.numel() and (largest := int(ids_BS.max())) >= self.vocabulary:
            row, place = divmod(int(ids_BS.argmax()), length)
            raise TrainingError(
                f"token {largest} at position {starts[row] + place} of the stream is outside the vocabulary of"
                f" {self.vocabulary}. The shards belong to another tokenizer: build the tokens again."
            )
        return ids_BS

    def view(self, start: int, length: int) -> Tensor:
        """Give ids [start, start + length) in the shards' own type: of one shard without a copy."""
        shard = bisect_right(self.ends, start)
        offset = start - (self.ends[shard] - len(self.shards[shard]))
        part = self.shards[shard][offset : offset + length]
        if len(part) == length:
            return part
        return torch.cat([part, self.view(start + len(part), length - len(part))])


def open_stream(paths: Sequence[Path], vocabulary: int) -> TokenStream:
    """Map the token shards of a split.

    Raises TrainingError when a file is not an Arrow file of one record batch with a column `tokens`.
    """
    shards = tuple(map_shard(path) for path in paths)
    return TokenStream(shards, tuple(accumulate(len(shard) for shard in shards)), vocabulary)


def map_shard(path: Path) -> Tensor:
    """Map one shard without copying; the array keeps the mapping alive."""
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
    documents: pa.Table
    """id, source, lang and length (end of text included) of each, in the same order."""

    def covering(self, start: int, length: int) -> list[dict[str, Any]]:
        """List the documents that have a token in [start, start + length).

        Each has document, source, lang, start (of its tokens there, counted from `start`) and tokens (there).
        """
        bounds = torch.tensor([start, start + length - 1])
        first, last = (torch.searchsorted(self.starts_N, bounds, right=True) - 1).tolist()
        spans = []
        for row, begin in zip(
            self.documents.slice(first, last - first + 1).to_pylist(),
            self.starts_N[first : last + 1].tolist(),
            strict=True,
        ):
            inside = max(begin, start)
            tokens = min(begin + row["length"], start + length) - inside
            spans.append(
                {"document": row["id"], "source": row["source"], "lang": row["lang"]}
                | {"start": inside - start, "tokens": tokens}
            )
        return spans


def open_index(stream: TokenStream, paths: Sequence[Path]) -> DocumentIndex:
    """Read the document indexes that belong to the shards of `stream`."""
    starts, tables = [torch.empty(0, dtype=torch.int64)], []
    for path, end, shard in zip(paths, stream.ends, stream.shards, strict=True):
        for batch in read_batches(path, ["id", "source", "lang", "start", "length"]):
            starts.append(from_dlpack(batch.column("start")) + (end - len(shard)))
            tables.append(pa.Table.from_batches([batch]))
    return DocumentIndex(torch.cat(starts), pa.concat_tables(tables))
