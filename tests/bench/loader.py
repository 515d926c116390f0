"""Batches of packed tokens a second on one core: ours, nanoGPT-style windows, litdata, mosaicml-streaming, the model.

All give batches of 16 rows of 257 ids from the same tokens, shuffled, in this process. Ours permutes all rows and
can start at any step; nanoGPT's draws windows with replacement; the other two shuffle blocks of their own formats.
The model is lmpipe's smallest useful Transformer (4 layers, 192 wide, vocabulary 8192): one training step.

make bench-loader
"""

import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import pyarrow as pa
import torch

from lmpipe.settings import TrainSettings, TransformerSettings
from lmpipe.train.batches import documents_of, make_batch
from lmpipe.train.model import build_model
from lmpipe.train.optimizer import make_optimizer
from lmpipe.train.stream import open_stream
from tests.bench.harness import finish, median_seconds

VOCABULARY = 8192
TOKENS = 8_000_000
SETTINGS = TrainSettings(name="bench", model=TransformerSettings(kind="transformer"), context=256, batch=16)
BATCHES = 200
"""Of each loader a round: 0.8 M tokens."""


def main() -> None:
    """Measure the loaders and the model."""
    torch.set_num_threads(1)
    ids = np.random.default_rng(1).integers(0, VOCABULARY, TOKENS, dtype=np.uint16)
    with tempfile.TemporaryDirectory() as scratch:
        makers = {"lmpipe": ours, "nanogpt": nanogpt, "litdata": litdata, "streaming": streaming}
        loaders = {name: make(ids, Path(scratch) / name) for name, make in makers.items()}
        seconds = median_seconds({name: partial(read, batches) for name, batches in loaders.items()})
        seconds["model"] = median_seconds({"model": training_step()})["model"] * BATCHES
    rates = {name: BATCHES * SETTINGS.batch * SETTINGS.context / taken for name, taken in seconds.items()}
    ratios = {f"loader_vs_{name}": rates["lmpipe"] / rate for name, rate in rates.items() if name != "lmpipe"}
    finish(rates, "tokens/s", ratios, Path(sys.argv[1]))


def read(batches: Callable[[], Iterator[Any]]) -> None:
    """Take one round of batches."""
    for batch in islice(batches(), BATCHES):
        assert batch.shape == (SETTINGS.batch, SETTINGS.context + 1)


def ours(ids: Any, folder: Path) -> Callable[[], Iterator[Any]]:
    """Go on from step to step over the rounds, as a training does."""
    folder.mkdir()
    batch = pa.record_batch({"tokens": pa.array(ids)})
    with pa.OSFile(str(folder / "tokens.arrow"), "wb") as file, pa.ipc.new_file(file, batch.schema) as writer:
        writer.write_batch(batch)
    stream = open_stream([folder / "tokens.arrow"], VOCABULARY)
    steps = iter(range(1_000_000))
    return lambda: (make_batch(stream, SETTINGS, step).ids_BS for step in steps)


def nanogpt(ids: Any, folder: Path) -> Callable[[], Iterator[Any]]:
    """Draw random windows out of a mapped file, each as int64, and stack them."""
    folder.mkdir()
    ids.tofile(folder / "train.bin")
    size = SETTINGS.context + 1

    def batches() -> Iterator[Any]:
        while True:
            data = np.memmap(folder / "train.bin", dtype=np.uint16, mode="r")
            starts = torch.randint(len(data) - size, (SETTINGS.batch,))
            yield torch.stack([torch.from_numpy(data[s : s + size].astype(np.int64)) for s in starts])

    return batches


def litdata(ids: Any, folder: Path) -> Callable[[], Iterator[Any]]:
    """Read litdata's own token format through its StreamingDataset and a DataLoader."""
    import litdata as ld
    from litdata.streaming.cache import Cache

    cache = Cache(str(folder), chunk_bytes="16MB", item_loader=ld.TokensLoader())
    for number, part in enumerate(np.array_split(ids.astype(np.int64), 100)):
        cache._add_item(number, torch.from_numpy(part))
    cache.done()
    cache.merge()
    loader = ld.TokensLoader(block_size=SETTINGS.context + 1)

    def batches() -> Iterator[Any]:
        dataset = ld.StreamingDataset(str(folder), item_loader=loader, shuffle=True, drop_last=True)
        yield from torch.utils.data.DataLoader(dataset, batch_size=SETTINGS.batch, drop_last=True)

    return batches


def streaming(ids: Any, folder: Path) -> Callable[[], Iterator[Any]]:
    """Read MDS shards of ready rows through mosaicml-streaming's StreamingDataset and a DataLoader."""
    sys.modules["streaming.vision"] = ModuleType("streaming.vision")  # images only; it would need torchvision, 200 MB
    from streaming import MDSWriter, StreamingDataset
    from streaming.base.util import clean_stale_shared_memory

    rows = ids[: len(ids) // 257 * 257].reshape(-1, SETTINGS.context + 1)
    with MDSWriter(out=str(folder), columns={"ids": "ndarray:uint16"}) as writer:
        for row in rows:
            writer.write({"ids": row})
    clean_stale_shared_memory()
    dataset = StreamingDataset(local=str(folder), shuffle=True, batch_size=SETTINGS.batch)

    def batches() -> Iterator[Any]:
        for batch in torch.utils.data.DataLoader(dataset, batch_size=SETTINGS.batch, drop_last=True):
            yield batch["ids"].to(torch.int64)

    return batches


def training_step() -> Callable[[], None]:
    """One step of the model on a batch of the same shape: forward, backward, update."""
    model = build_model(SETTINGS.model, VOCABULARY)
    optimizer = make_optimizer(model, SETTINGS)
    ids_BS = torch.randint(VOCABULARY, (SETTINGS.batch, SETTINGS.context + 1))
    ids_BT, targets_BT = ids_BS[:, :-1], ids_BS[:, 1:]

    def step() -> None:
        loss = model.loss(ids_BT, targets_BT, documents_of(ids_BT, 0)) / ids_BT.numel()
        optimizer.clear()
        loss.backward()
        optimizer.step(1e-3, 1)

    return step


if __name__ == "__main__":
    main()
