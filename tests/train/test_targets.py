"""Learning behind a mark: no prompt token counts, in training and validation alike, and a run resumes as ever."""

import random
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from train.processes import metrics_of, weights_of
from train.token_dataset import END_OF_TEXT, LSTM, TRANSFORMER, small_settings, tokens_dataset

from lmpipe.dataset import Manifest
from lmpipe.errors import TrainingError
from lmpipe.settings import Model
from lmpipe.train.batches import documents_of, make_batch, valid_rows
from lmpipe.train.loop import backward, train
from lmpipe.train.parallel import Ranks
from lmpipe.train.run import Marks, Run, load_run, prepare_run
from lmpipe.train.session import Training, begin
from lmpipe.train.targets import num_targets, targets_of
from lmpipe.train.validation import validate

ALONE = Ranks(rank=0, size=1, device=torch.device("cpu"))
LINE, ASKS = 59, 58
MARKS = Marks(after=(LINE,), until=())
CHAT = Marks(after=(LINE, 1), until=(LINE, ASKS))


def pairs(count: int, seed: int) -> list[list[int]]:
    """Documents of a source, a mark and a target, which is the source counted on."""
    draw = random.Random(seed)
    sources = [[draw.randrange(50) for _ in range(draw.randint(1, 9))] for _ in range(count)]
    return [[*source, LINE, *[(token + 1) % 50 for token in source]] for source in sources]


def pair_tokens(data: Path) -> Manifest:
    return tokens_dataset(data, {"train": [pairs(60, 1)], "valid": [pairs(20, 2)]})


def prepared(data: Path, model: Model = TRANSFORMER, marks: Marks | None = MARKS, **changes: object) -> Path:
    after = None if marks is None else "\n"
    return prepare_run(pair_tokens(data), small_settings(model, learn_after=after, **changes), "demo", data, marks)


def begun(data: Path, model: Model = TRANSFORMER, marks: Marks | None = MARKS, **changes: object) -> Training:
    return begin(load_run(prepared(data, replace(model, dropout=0.0), marks, **changes)), ALONE, lambda: None)


def marked_run(marks: Marks | None) -> Run:
    """Just enough of a run to say what is learnt."""
    return Run(
        folder=Path(), recipe="", name="x", fingerprint="", settings=small_settings(), vocabulary=61,
        end_of_text=END_OF_TEXT, tokens={}, files=(), marks=marks,
    )  # fmt: skip


def learnt(ids: list[int], marks: Marks | None = MARKS) -> list[int]:
    """The tokens of one row that are learnt."""
    targets_BT = targets_of(torch.tensor([ids]), marked_run(marks))
    assert targets_BT is not None
    return torch.tensor(ids[1:])[targets_BT[0]].tolist()


def test_only_what_follows_the_mark_is_learnt_up_to_the_end_of_text() -> None:
    assert learnt([END_OF_TEXT, 1, 2, LINE, 3, 4, END_OF_TEXT, 5, LINE, 6]) == [3, 4, END_OF_TEXT, 6]


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ([1, 2, LINE, 3], [3]),
        ([3, 4, END_OF_TEXT, 1, 2], [4, END_OF_TEXT]),
        ([LINE, 3, 4], [3, 4]),
        ([1, 2, 3], []),
        ([END_OF_TEXT, 1, 2], []),
    ],
)
def test_a_row_that_begins_within_a_document_is_told_by_its_first_mark(row: list[int], expected: list[int]) -> None:
    assert learnt(row) == expected


def test_answers_of_a_chat_are_learnt_with_what_ends_them() -> None:
    row = [END_OF_TEXT, ASKS, 7, LINE, 1, 20, 21, LINE, ASKS, 8, LINE, 1, 22, END_OF_TEXT]
    assert learnt(row, CHAT) == [20, 21, LINE, ASKS, 22, END_OF_TEXT]


@given(st.lists(st.tuples(st.lists(st.integers(0, 50)), st.lists(st.integers(0, 50))), min_size=1))
def test_whole_documents_teach_their_targets_and_their_ends(documents: list[tuple[list[int], list[int]]]) -> None:
    row = [END_OF_TEXT] + [i for source, target in documents for i in (*source, LINE, *target, END_OF_TEXT)]
    assert learnt(row) == [i for _, target in documents for i in (*target, END_OF_TEXT)]


def nats_of(training: Training, ids_BS: Tensor) -> Tensor:
    return training.model.nll(ids_BS[:, :-1], ids_BS[:, 1:], documents_of(ids_BS[:, :-1], END_OF_TEXT))


@pytest.mark.parametrize("model", [LSTM, TRANSFORMER])
def test_the_loss_is_the_mean_over_the_targets_and_no_gradient_comes_from_a_prompt(
    tmp_path: Path, model: Model
) -> None:
    training = begun(tmp_path, model)
    ids_BS = make_batch(training.train, training.run.settings, 0).ids_BS
    targets_BT = targets_of(ids_BS, training.run)
    assert targets_BT is not None
    count = num_targets(ids_BS, training.run)
    assert 0 < count < targets_BT.numel()
    loss = float(backward(training, ids_BS, count))
    assert loss == pytest.approx(float(nats_of(training, ids_BS)[targets_BT].mean()), rel=1e-5)
    found = [p.grad.clone() for p in training.model.parameters() if p.grad is not None]
    training.optimizer.clear()
    log_p_BTV = training.model(ids_BS[:, :-1], documents_of(ids_BS[:, :-1], END_OF_TEXT)).log_softmax(-1)
    torch.nn.functional.nll_loss(log_p_BTV[targets_BT], ids_BS[:, 1:][targets_BT]).backward()
    wanted = [p.grad for p in training.model.parameters() if p.grad is not None]
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-3)


@pytest.mark.parametrize(("model", "order"), [(TRANSFORMER, "shuffled"), (LSTM, "in_order")])
def test_validation_counts_the_targets_alone(tmp_path: Path, model: Model, order: str) -> None:
    training = begun(tmp_path, model, order=order, batch=1, valid_rows=1000)
    line = validate(training)
    context = training.run.settings.context
    rows = valid_rows(training.valid, training.run.settings)
    ids_1S = training.valid.read(0, len(rows) * context + 1)[None]
    ids_BS = ids_1S[0].unfold(0, context + 1, context)
    targets_BT = targets_of(ids_BS, training.run)
    assert targets_BT is not None
    if order == "in_order":
        nats_BT = training.model.nll_after(ids_1S[:, :-1], ids_1S[:, 1:], None, training.model.begin(1))[0]
        nats_BT = nats_BT.view_as(targets_BT)
    else:
        nats_BT = nats_of(training, ids_BS)
    assert line is not None
    assert line["loss"] == pytest.approx(float(nats_BT[targets_BT].mean()), rel=1e-5)


def test_without_a_mark_every_token_counts_as_it_ever_did(tmp_path: Path) -> None:
    training = begun(tmp_path, marks=None)
    ids_BS = make_batch(training.train, training.run.settings, 0).ids_BS
    assert targets_of(ids_BS, training.run) is None
    assert num_targets(ids_BS, training.run) == 4 * 16
    assert "marks" not in (training.run.folder / "run.json").read_text()
    loss = float(backward(training, ids_BS, num_targets(ids_BS, training.run)))
    assert loss == pytest.approx(float(nats_of(training, ids_BS).mean()), rel=1e-5)
    direct = training.model.loss(ids_BS[:, :-1], ids_BS[:, 1:], documents_of(ids_BS[:, :-1], END_OF_TEXT))
    assert loss == direct.nats.item() / (4 * 16)


@pytest.mark.parametrize("model", [LSTM, TRANSFORMER])
def test_a_run_with_marks_resumes_bit_for_bit(tmp_path: Path, model: Model) -> None:
    whole, cut = (prepared(tmp_path / name, model) for name in ("whole", "cut"))
    train(load_run(whole), ALONE, lambda: None)
    calls = iter(range(1, 1000))
    train(load_run(cut), ALONE, lambda: signal.SIGTERM if next(calls) >= 13 else None)
    train(load_run(cut), ALONE, lambda: None)
    assert weights_of(cut) == weights_of(whole)
    assert metrics_of(cut) == metrics_of(whole)
    losses = [line["loss"] for line in metrics_of(whole) if line["split"] == "valid"]
    assert losses[-1] < losses[0]


def test_rows_in_pieces_learn_the_targets_that_they_do_at_once(tmp_path: Path) -> None:
    model = replace(TRANSFORMER, dropout=0.0)
    whole, pieces = prepared(tmp_path / "whole", model), prepared(tmp_path / "pieces", model, micro_batch=1)
    for run in (whole, pieces):
        train(load_run(run), ALONE, lambda: None)
    one, other = ([line["loss"] for line in metrics_of(run)] for run in (whole, pieces))
    assert other == pytest.approx(one, abs=1e-4)


@pytest.mark.slow
def test_two_processes_learn_the_targets_that_one_does(tmp_path: Path) -> None:
    run = prepared(tmp_path, replace(TRANSFORMER, dropout=0.0))
    shutil.copytree(run, tmp_path / "two")
    train(load_run(run), ALONE, lambda: None)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    subprocess.run([*torchrun, "-m", "lmpipe.train", str(tmp_path / "two")], check=True, capture_output=True)
    one, two = ([line["loss"] for line in metrics_of(folder)] for folder in (run, tmp_path / "two"))
    assert two == pytest.approx(one, abs=1e-4)


@pytest.mark.parametrize(
    ("marks", "message"),
    [
        (Marks(after=(55,), until=()), r"learn_after = '\\n' is nowhere in the first"),
        (Marks(after=(LINE,), until=tuple(range(17))), "have up to 17 tokens. Raise context"),
    ],
)
def test_a_mark_that_cannot_be_found_is_refused(tmp_path: Path, marks: Marks, message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        train(load_run(prepared(tmp_path, marks=marks)), ALONE, lambda: None)
