"""Private training: each row's gradient is cut, noise is as large as said, epsilon is the accountant's."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from train.token_dataset import LSTM, TRANSFORMER, small_settings, tokens_dataset

from lmpipe.errors import TrainingError
from lmpipe.settings import Model, PrivacySettings
from lmpipe.train.loop import backward, train
from lmpipe.train.parallel import Ranks
from lmpipe.train.private import draw_batch, private_gradient, row_gradient
from lmpipe.train.run import load_run, prepare_run
from lmpipe.train.session import Training, begin

PRIVATE = PrivacySettings(noise=1.0, clip=0.5)
ALONE = Ranks(rank=0, size=1, device=torch.device("cpu"))


def begun(tmp_path: Path, model: Model, private: PrivacySettings = PRIVATE) -> Training:
    settings = small_settings(replace(model, dropout=0.0), private=private, steps=6)
    return begin(load_run(prepare_run(tokens_dataset(tmp_path), settings, "demo", tmp_path)), ALONE, lambda: None)


def gradients(training: Training) -> torch.Tensor:
    return torch.cat([p.grad.flatten() for p in training.model.parameters() if p.grad is not None])


@pytest.mark.parametrize("model", [LSTM, TRANSFORMER])
def test_without_clip_and_noise_it_is_the_gradient_of_the_batch(tmp_path: Path, model: Model) -> None:
    training = begun(tmp_path, model)
    ids_BS = training.train.read_rows([0, 16, 32, 48], 17)
    loss = float(backward(training, ids_BS, ids_BS[:, 1:].numel()))
    plain = gradients(training)
    private_loss = private_gradient(training, ids_BS, PrivacySettings(noise=1e-12, clip=1e6))
    assert private_loss == pytest.approx(loss, rel=1e-5)
    torch.testing.assert_close(gradients(training), plain, atol=5e-6, rtol=1e-3)


def test_no_row_can_move_the_sum_by_more_than_clip(tmp_path: Path) -> None:
    training = begun(tmp_path, TRANSFORMER)
    ids_BS = training.train.read_rows([0, 16], 17)
    row_gradient(training, ids_BS[:1])
    assert gradients(training).norm() > 0.01
    private = PrivacySettings(noise=1e-12, clip=0.01)
    one = [private_gradient(training, rows, private) and gradients(training) for rows in (ids_BS, ids_BS[1:])]
    assert (one[0] - one[1]).norm() * training.run.settings.batch == pytest.approx(0.01, rel=1e-3)


def test_noise_has_the_size_that_was_asked_for_and_is_never_the_same(tmp_path: Path) -> None:
    training = begun(tmp_path, TRANSFORMER)
    none = training.train.read_rows([0], 17)[:0]
    draws = [private_gradient(training, none, PRIVATE) or gradients(training) for _ in range(2)]
    wanted = PRIVATE.noise * PRIVATE.clip / training.run.settings.batch
    assert float(draws[0].std()) == pytest.approx(wanted, rel=0.05)
    assert not torch.equal(draws[0], draws[1])


def test_rows_are_drawn_each_by_itself(tmp_path: Path) -> None:
    training = begun(tmp_path, TRANSFORMER)
    sizes = [len(draw_batch(training.train, training.run.settings, 0).ids_BS) for _ in range(300)]
    assert 3.5 < sum(sizes) / 300 < 4.5
    assert len(set(sizes)) > 4  # of one size, it would be no Poisson sample


def test_without_opacus_or_with_two_processes_it_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    training = begun(tmp_path, TRANSFORMER)
    with pytest.raises(TrainingError, match="one process, found 2"):
        train(training.run, replace(ALONE, size=2), lambda: None)
    monkeypatch.setitem(__import__("sys").modules, "opacus", None)
    with pytest.raises(TrainingError, match=r"needs opacus.*lmpipe\[dp\]"):
        train(training.run, ALONE, lambda: None)


@pytest.mark.filterwarnings("ignore")
def test_the_result_says_epsilon_and_delta(tmp_path: Path) -> None:
    accountants = pytest.importorskip("opacus.accountants", exc_type=ImportError)
    training = begun(tmp_path, TRANSFORMER)
    train(training.run, ALONE, lambda: None)
    result = json.loads((training.run.folder / "result.json").read_text())
    accountant = accountants.RDPAccountant()
    for _ in range(6):
        accountant.step(noise_multiplier=1.0, sample_rate=4 / result["private_rows"])
    assert result["epsilon"] == pytest.approx(accountant.get_epsilon(delta=1e-6))
    assert result["delta"] == 1e-6
