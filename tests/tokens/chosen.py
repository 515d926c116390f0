"""A small corpus on its way to token shards, shared by the tests of this folder."""

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from lmpipe.curate.clean import clean
from lmpipe.curate.decide import decide
from lmpipe.curate.dedup import dedup
from lmpipe.curate.split import split
from lmpipe.dataset import Execution, Manifest
from lmpipe.settings import (
    CleanSettings,
    DedupSettings,
    ProfileSettings,
    SplitSettings,
    TokenizerSettings,
    TokensSettings,
)
from lmpipe.tokens.encode import encode, token_stream
from lmpipe.tokens.pack import pack
from lmpipe.tokens.tokenizer import tokenizer

TEXTS = [
    f"House number {n} of the lane was empty that winter, and the wind had got into the habit of living there. "
    f"People said that {n * 7} doors had been shut in it, 一共{n}扇门， and that none of them was ever locked."
    for n in range(60)
]
OTHERS = [
    f"In the other town street {n} had {n * 3} lamps, and nobody that we ever met there had lit more than half, "
    "for the oil was dear and the nights were short and full of stars."
    for n in range(40)
]
CHINESE = [
    f"第{n}扇门没有锁，风住在里面，已经住了{n * 7}个冬天。邻居们说，那一年雪下得很大，谁也没有从那条巷子里"
    "走出来过，只有一只老猫在屋顶上看着月亮，一直看到天亮，然后慢慢地走下来，在门口坐了很久很久。"
    for n in range(40)
]


def choose(data: Path, *documents: Manifest) -> Manifest:
    """Choose every document, a fifth of them for the test."""
    cleaned = [clean(manifest, data, CleanSettings(), Execution()) for manifest in documents]
    kept = [decide(manifest, data, ProfileSettings(), Execution()) for manifest in cleaned]
    duplicates = dedup(kept, "tiny", data, DedupSettings(), Execution())
    return split(duplicates, data, SplitSettings(test=0.2), 1, Execution())


def learn(chosen: Manifest, data: Path, **settings: Any) -> Manifest:
    """Learn a tokenizer of 500 tokens."""
    return tokenizer(chosen, data, TokenizerSettings(**{"vocabulary": 500} | settings), 1, data, Execution())


def packed(
    chosen: Manifest, data: Path, *, shard_tokens: int = 500, learnt: Manifest | None = None, **settings: Any
) -> Manifest:
    """Encode and pack into small shards."""
    encoded = encode(chosen, learnt or learn(chosen, data), data, Execution())
    return pack(encoded, data, TokensSettings(shard_tokens=shard_tokens, **settings), 1, Execution())


def shards(manifest: Manifest, split: str) -> list[tuple[list[int], list[dict[str, Any]]]]:
    """Read the ids and the index of every shard of a split."""
    return [
        ([i for batch in token_stream(tokens) for i in batch.to_pylist()], pq.read_table(index).to_pylist())
        for tokens, index in zip(manifest.paths(split), manifest.paths(f"documents-{split}"), strict=True)
    ]


def index(manifest: Manifest, split: str) -> list[dict[str, Any]]:
    """Read the index of all shards of a split, in order."""
    return [row for _, rows in shards(manifest, split) for row in rows]
