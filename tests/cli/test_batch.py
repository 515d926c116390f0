"""lmpipe batch: which documents a training step saw."""

from pathlib import Path

import pyarrow as pa
import pytest
from train.token_dataset import small_settings, tokens_dataset

from lmpipe.cli import tables
from lmpipe.cli.look import batch
from lmpipe.train.batches import batch_documents, make_batch
from lmpipe.train.run import load_run, prepare_run
from lmpipe.train.stream import open_index, open_stream


def test_batch_shows_the_documents_and_the_hash_of_a_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[tuple[str, pa.Table]] = []
    monkeypatch.setattr(tables, "print_table", lambda title, table: shown.append((title, table)))
    run = load_run(prepare_run(tokens_dataset(tmp_path), small_settings(), "demo", tmp_path))
    batch(run.folder, 4)
    stream = open_stream(run.paths("train"), run.vocabulary)
    index = open_index(stream, run.indexes("train"))
    ((title, table),) = shown
    assert make_batch(stream, run.settings, 3).sha256 in title
    assert table.equals(batch_documents(stream, index, run.settings, 3))
