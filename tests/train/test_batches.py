"""Batches: every row once an epoch, the same for any number of processes, traceable to documents."""

import itertools
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from train.token_dataset import END_OF_TEXT, VOCABULARY, make_documents, small_settings, tokens_dataset

from lmpipe.errors import TrainingError
from lmpipe.train import batches
from lmpipe.train.batches import batch_documents, documents_of, make_batch, num_rows, read_row, valid_rows
from lmpipe.train.order import permuted
from lmpipe.train.run import load_run, prepare_run
from lmpipe.train.stream import DocumentIndex, TokenStream, open_index, open_stream


def small_stream(tmp_path: Path) -> TokenStream:
    run = load_run(prepare_run(tokens_dataset(tmp_path), small_settings(), "demo", tmp_path))
    return open_stream(run.paths("train"), run.vocabulary)


def train_ids() -> list[int]:
    documents = make_documents(40, 1) + make_documents(30, 2)
    return [token for document in documents for token in [*document, END_OF_TEXT]]


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 300), st.text(min_size=1, max_size=20))
def test_permutation_meets_every_index_once(size: int, key: str) -> None:
    assert sorted(permuted(torch.arange(size), size, key).tolist()) == list(range(size))


def test_permutation_differs_when_the_key_does() -> None:
    orders = [permuted(torch.arange(50), 50, key).tolist() for key in ("1:0", "1:1", "2:0")]
    assert orders[0] != orders[1] != orders[2] != orders[0]


def test_permutation_of_an_index_stands_alone() -> None:
    whole = permuted(torch.arange(10_000), 10_000, "1:0")
    assert [permuted(torch.tensor([i]), 10_000, "1:0")[0] for i in (0, 17, 9_999)] == whole[[0, 17, 9_999]].tolist()


def test_permutation_is_the_one_of_every_release() -> None:
    assert permuted(torch.arange(8), 1_000_003, "1:0").tolist() == [
        721660,
        888978,
        691528,
        383780,
        542004,
        287751,
        265594,
        715535,
    ]


def test_small_permutations_are_all_about_as_likely() -> None:
    counts: dict[tuple[int, ...], int] = {}
    for key in range(2400):
        order = tuple(permuted(torch.arange(4), 4, str(key)).tolist())
        counts[order] = counts.get(order, 0) + 1
    assert len(counts) == 24
    assert 60 < min(counts.values()) < max(counts.values()) < 145  # 100 on average, 10 the standard deviation


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


def stream_and_index(tmp_path: Path) -> tuple[TokenStream, DocumentIndex]:
    run = load_run(prepare_run(tokens_dataset(tmp_path), small_settings(), "demo", tmp_path))
    stream = open_stream(run.paths("train"), run.vocabulary)
    return stream, open_index(stream, run.indexes("train"))


def owners() -> list[str]:
    """The document of every token of the stream."""
    return [
        f"local:train-{shard}-{count - position:03d}"
        for shard, (count, seed) in enumerate([(40, 1), (30, 2)])
        for position, document in enumerate(make_documents(count, seed))
        for _ in range(len(document) + 1)
    ]


def test_index_names_the_documents_under_a_row(tmp_path: Path) -> None:
    stream, index = stream_and_index(tmp_path)
    for row in range(num_rows(stream, 16)):
        spans = index.covering(row * 16, 17)
        assert [s["document"] for s in spans for _ in range(s["tokens"])] == owners()[row * 16 : row * 16 + 17]


def test_batch_leads_back_to_its_documents(tmp_path: Path) -> None:
    stream, index = stream_and_index(tmp_path)
    table = batch_documents(stream, index, small_settings(), 3).to_pylist()
    rows = batches.batch_rows(num_rows(stream, 16), small_settings(), 3).tolist()
    for number, row in enumerate(rows):
        spans = [span for span in table if span["row"] == number]
        assert [s["document"] for s in spans for _ in range(s["tokens"])] == owners()[row * 16 : row * 16 + 17]
        assert [s["start"] for s in spans] == [sum(s["tokens"] for s in spans[:k]) for k in range(len(spans))]
    assert {(span["source"], span["lang"]) for span in table} == {("local", "en")}


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
    orders = [batches.batch_rows(100, small_settings(seed=seed), 0).tolist() for seed in (1, 2)]
    assert orders[0] != orders[1]


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 60), st.integers(1, 50), st.integers(1, 9))
def test_steps_run_over_epochs_and_blocks_without_a_gap(size: int, batch: int, block: int) -> None:
    before, batches.BLOCK = batches.BLOCK, block
    batches.permuted_block.cache_clear()
    chosen = small_settings(batch=batch)
    read = torch.cat([batches.batch_rows(size, chosen, step) for step in range(12)]).tolist()
    batches.BLOCK = before
    batches.permuted_block.cache_clear()
    for epoch in range(len(read) // size):
        assert read[epoch * size : (epoch + 1) * size] == permuted(torch.arange(size), size, f"1:{epoch}").tolist()


def test_lanes_go_on_where_the_step_before_ended(tmp_path: Path) -> None:
    stream = small_stream(tmp_path)
    chosen, length = small_settings(order="in_order", batch=3), num_rows(stream, 16) // 3
    steps = [make_batch(stream, chosen, step) for step in range(length + 1)]
    for before, after in itertools.pairwise(steps[:length]):
        assert torch.equal(before.ids_BS[:, -1], after.ids_BS[:, 0])
    assert torch.equal(steps[length].ids_BS, steps[0].ids_BS)
    assert [steps[0].epoch, steps[length - 1].epoch, steps[length].epoch] == [0, 0, 1]
    lanes = torch.cat([step.ids_BS[:, :-1] for step in steps[:length]], dim=1)
    assert lanes.flatten().tolist() == train_ids()[: lanes.numel()]


def test_more_lanes_than_rows_are_refused() -> None:
    with pytest.raises(TrainingError, match="50 lanes needs as many rows, found 49"):
        batches.batch_rows(49, small_settings(order="in_order", batch=50), 0)
