"""The batches of a tokens dataset or a run, for other people's trainings: PyTorch, Hugging Face, TensorFlow, Keras.

All read through make_batch, so they see the same batches in the same order as lmpipe's own training, for any
number of processes and of the loader's workers, and go on from one integer: the step.

    batches = TokenBatches.of(Path("data/tokens/demo-1a2b3c4d"), "train", RowSettings(context=128, batch=16), steps=100)
    for ids_BT, targets_BT in DataLoader(batches, batch_size=None, num_workers=2): ...

Shape letters: B rows of this process, S context + 1, T context.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from torch import Tensor
from torch.utils.data import IterableDataset, get_worker_info

from lmpipe.dataset import open_dataset
from lmpipe.train.batches import make_batch
from lmpipe.train.run import load_run
from lmpipe.train.stream import open_stream

if TYPE_CHECKING:
    import datasets
    import tensorflow


@dataclass(frozen=True, slots=True, kw_only=True)
class RowSettings:
    """What names the batches; the same fields as in a recipe's [[train]]."""

    context: int
    """Tokens per row."""
    batch: int
    """Rows per step, over all processes."""
    seed: int = 1
    """Of the order."""
    order: Literal["shuffled", "in_order"] = "shuffled"
    """Permuted rows, or lanes of the stream."""


@dataclass(frozen=True, kw_only=True)
class TokenBatches(IterableDataset[tuple[Tensor, Tensor]]):
    """Steps first, first + 1, ... as (ids_BT, targets_BT): this rank's slice of each global batch.

    Holds paths and no mapping, so that it travels to a loader's worker processes.
    """

    shards: tuple[Path, ...]
    vocabulary: int
    settings: RowSettings
    steps: int
    """How many."""
    first: int = 0
    """The state: steps that are done already."""
    rank: int = 0
    ranks: int = 1

    @classmethod
    def of(cls, folder: Path, split: str, settings: RowSettings, **counts: int) -> "TokenBatches":
        """Open a split of a tokens dataset, or of a run directory; counts are steps, first, rank and ranks."""
        if (folder / "run.json").exists():
            run = load_run(folder)
            return cls(shards=tuple(run.paths(split)), vocabulary=run.vocabulary, settings=settings, **counts)
        tokens = open_dataset(folder)
        vocabulary = tokens.settings["vocabulary"]
        return cls(shards=tuple(tokens.paths(split)), vocabulary=vocabulary, settings=settings, **counts)

    def rows(self) -> Iterator[Tensor]:
        """Yield ids_BS, this worker's steps; a loader takes its workers in turns, which gives back the order."""
        worker = get_worker_info()
        start, stride = (worker.id, worker.num_workers) if worker else (0, 1)
        stream = open_stream(self.shards, self.vocabulary)
        for step in range(self.first + start, self.first + self.steps, stride):
            yield make_batch(stream, self.settings, step).ids_BS.tensor_split(self.ranks)[self.rank]

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield inputs and targets."""
        return ((ids_BS[:, :-1], ids_BS[:, 1:]) for ids_BS in self.rows())


def hugging_face(batches: TokenBatches) -> "datasets.IterableDataset":
    """Give the rows to Hugging Face datasets as input_ids of context + 1 tokens: its models shift by one themselves."""
    from datasets import IterableDataset as HuggingFaceDataset

    return HuggingFaceDataset.from_generator(hugging_face_rows, gen_kwargs={"batches": batches})


def hugging_face_rows(batches: TokenBatches) -> Iterator[dict[str, Any]]:
    """Yield one example per row."""
    return ({"input_ids": row} for ids_BS in batches.rows() for row in ids_BS.tolist())


def tf_data(batches: TokenBatches) -> "tensorflow.data.Dataset":
    """Give the batches to TensorFlow as a tf.data.Dataset of (inputs, targets), int64."""
    import tensorflow as tf

    shape = tf.TensorSpec((None, batches.settings.context), tf.int64)
    arrays = lambda: ((ids_BT.numpy(), targets_BT.numpy()) for ids_BT, targets_BT in batches)  # noqa: E731 - one use
    return tf.data.Dataset.from_generator(arrays, output_signature=(shape, shape))
