"""Batches: every row once an epoch, the same for any number of processes, traceable to documents."""

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from train.token_dataset import END_OF_TEXT, VOCABULARY, make_documents, small_settings, tokens_dataset

from lmpipe.errors import TrainingError
from lmpipe.train import batches
from lmpipe.train.batches import documents_of, make_batch, num_rows, permuted, read_row, valid_rows
from lmpipe.train.run import load_run, prepare_run
from lmpipe.train.stream import TokenStream, open_index, open_stream


def small_stream(tmp_path: Path) -> TokenStream:
    run = load_run(prepare_run(tokens_dataset(tmp_path), small_settings(), "demo", tmp_path))
    return open_stream(run.paths("train"), run.vocabulary)


def train_ids() -> list[int]:
    documents = make_documents(40, 1) + make_documents(30, 2)
    return [token for document in documents for token in [*document, END_OF_TEXT]]


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 300), st.binary(min_size=1, max_size=20))
def test_permutation_meets_every_index_once(size: int, key: bytes) -> None:
    assert sorted(permuted(index, size, key) for index in range(size)) == list(range(size))


def test_permutation_differs_when_the_key_does() -> None:
    orders = [[permuted(index, 50, key) for index in range(50)] for key in (b"1:0", b"1:1", b"2:0")]
    assert orders[0] != orders[1] != orders[2] != orders[0]


def test_stream_runs_over_the_shards_end_to_end(tmp_path: Path) -> None:
    stream = small_stream(tmp_path)
    assert len(stream.shards) == 2
    assert stream.read(0, stream.num_tokens).tolist() == train_ids()


def test_row_overlaps_the_next_by_one_token_across_shards(tmp_path: Path) -> None:
    stream, ids = small_stream(tmp_path), train_ids()
    row = stream.ends[0] // 16
    assert read_row(stream, row, 16).tolist() == ids[row * 16 : row * 16 + 17]
    assert read_row(stream, row, 16)[-1] == read_row(stream, row + 1, 16)[0]


def test_epoch_holds_every_row_once(tmp_path: Path) -> None:
    stream = small_stream(tmp_path)
    size = num_rows(stream, 16)
    chosen = small_settings(batch=size)
    epochs = [make_batch(stream, chosen, step) for step in range(2)]
    everything = sorted(read_row(stream, row, 16).tolist() for row in range(size))
    assert [sorted(batch.ids_BS.tolist()) for batch in epochs] == [everything, everything]
    assert [batch.epoch for batch in epochs] == [0, 1]
    assert epochs[0].ids_BS.tolist() != epochs[1].ids_BS.tolist()


def test_batch_hash_tells_batches_apart(tmp_path: Path) -> None:
    stream = small_stream(tmp_path)
    hashes = [make_batch(stream, small_settings(), step).sha256 for step in (0, 1, 0)]
    assert hashes[0] == hashes[2] != hashes[1]


def test_documents_open_with_the_end_of_text_before_them() -> None:
    ids_BT = torch.tensor([[3, END_OF_TEXT, 4, 5, END_OF_TEXT, END_OF_TEXT, 6]])
    assert documents_of(ids_BT, END_OF_TEXT).tolist() == [[0, 1, 1, 1, 2, 3, 3]]


def test_validation_rows_are_spread_evenly_when_there_are_more_than_wanted(tmp_path: Path) -> None:
    stream = small_stream(tmp_path)
    size = num_rows(stream, 16)
    assert valid_rows(stream, small_settings(valid_rows=3)) == [0, size // 3, 2 * size // 3]
    assert valid_rows(stream, small_settings(valid_rows=10_000)) == list(range(size))


def test_index_names_the_documents_under_a_row(tmp_path: Path) -> None:
    run = load_run(prepare_run(tokens_dataset(tmp_path), small_settings(), "demo", tmp_path))
    stream = open_stream(run.paths("train"), run.vocabulary)
    index = open_index(stream, run.indexes("train"))
    owners = []
    for shard, (count, seed) in enumerate([(40, 1), (30, 2)]):
        for position, document in enumerate(make_documents(count, seed)):
            owners += [f"local:train-{shard}-{count - position:03d}"] * (len(document) + 1)
    for row in range(num_rows(stream, 16)):
        assert index.covering(row * 16, 17) == list(dict.fromkeys(owners[row * 16 : row * 16 + 17]))


def test_stream_refuses_a_token_outside_the_vocabulary(tmp_path: Path) -> None:
    stream = small_stream(tmp_path)
    cut = TokenStream(stream.shards, stream.ends, VOCABULARY - 1)
    with pytest.raises(TrainingError, match=r"token 60 at position \d+ .* outside the vocabulary of 60"):
        cut.read(0, cut.num_tokens)


def test_stream_refuses_a_file_that_is_not_arrow(tmp_path: Path) -> None:
    (tmp_path / "tokens-train-00000.arrow").write_bytes(b"no arrow file at all")
    with pytest.raises(TrainingError, match="expected an Arrow file of `tokens`"):
        open_stream([tmp_path / "tokens-train-00000.arrow"], VOCABULARY)


def test_rows_are_permuted_by_seed() -> None:
    orders = [batches.batch_rows(100, small_settings(seed=seed), 0) for seed in (1, 2)]
    assert orders[0] != orders[1]
