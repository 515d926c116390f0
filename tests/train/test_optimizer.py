"""Optimizers, held against torch's own, and the learning rate."""

import pytest
import torch
from torch import nn
from train.token_dataset import small_settings

from lmpipe.train import optimizer
from lmpipe.train.optimizer import iterated, learning_rate, make_optimizer, muon_groups, orthogonalised, weight_decay


def after_steps(model: nn.Module, take_step: object, steps: int = 5) -> dict[str, torch.Tensor]:
    """Do some steps on a fixed quadratic loss and return the weights."""
    x = torch.randn(7, 4, generator=torch.Generator().manual_seed(2))
    for step in range(steps):
        model.zero_grad()
        (model(x) - 1).square().mean().backward()
        take_step(step)  # type: ignore[operator]
    return {name: weight.detach().clone() for name, weight in model.named_parameters()}


def linear() -> nn.Module:
    torch.manual_seed(1)
    return nn.Linear(4, 3)


def test_adamw_moves_as_torch_does() -> None:
    ours, theirs = linear(), linear()
    moved = make_optimizer(ours, small_settings())
    groups = [{"params": [theirs.weight], "weight_decay": 0.3}, {"params": [theirs.bias], "weight_decay": 0.0}]
    reference = torch.optim.AdamW(groups, lr=0.01, betas=(0.9, 0.95))
    expected = after_steps(theirs, lambda step: reference.step())
    torch.testing.assert_close(after_steps(ours, lambda step: moved.step(0.01, 0.3, step)), expected)


def test_sgd_moves_as_torch_does_when_nothing_decays() -> None:
    ours, theirs = linear(), linear()
    moved = make_optimizer(ours, small_settings(optimizer="sgd"))
    reference = torch.optim.SGD(theirs.parameters(), lr=0.01, momentum=0.9)
    expected = after_steps(theirs, lambda step: reference.step())
    torch.testing.assert_close(after_steps(ours, lambda step: moved.step(0.01, 0.0, step)), expected)


class Matrices(nn.Module):
    """A table, a stack of three matrices, a wide and a tall one, as a Transformer has them."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.embedding, self.attention_in = nn.Embedding(4, 6), nn.Linear(6, 18, bias=False)
        self.mlp_in, self.mlp_out = nn.Linear(6, 24), nn.Linear(24, 6, bias=False)


def test_muon_moves_matrices_as_torch_does_and_the_rest_as_adamw() -> None:
    ours, theirs = Matrices(), Matrices()
    moved = make_optimizer(ours, small_settings(optimizer="muon"))
    parts = [nn.Parameter(part.detach().clone()) for part in theirs.attention_in.weight.chunk(3)]
    matrices = [*parts, theirs.mlp_in.weight, theirs.mlp_out.weight]
    muon = torch.optim.Muon(matrices, lr=0.01, weight_decay=0.3, adjust_lr_fn="match_rms_adamw")
    groups = [
        {"params": [theirs.embedding.weight], "weight_decay": 0.3},
        {"params": [theirs.mlp_in.bias], "weight_decay": 0},
    ]
    adam = torch.optim.AdamW(groups, lr=0.01, betas=(0.9, 0.95))
    for step in range(3):
        draw = torch.Generator().manual_seed(step)
        for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
            mine.grad = other.grad = torch.randn(mine.shape, generator=draw)
        for part, gradient in zip(parts, ours.attention_in.weight.grad.chunk(3), strict=True):  # type: ignore[union-attr]
            part.grad = gradient
        moved.step(0.01, 0.3, step)
        muon.step()
        adam.step()
    torch.testing.assert_close(ours.embedding.weight, theirs.embedding.weight)
    torch.testing.assert_close(ours.mlp_in.bias, theirs.mlp_in.bias)
    for mine, other in ((ours.mlp_in, theirs.mlp_in), (ours.mlp_out, theirs.mlp_out)):
        torch.testing.assert_close(mine.weight, other.weight, rtol=0, atol=2e-3)  # torch iterates in bf16
    torch.testing.assert_close(ours.attention_in.weight, torch.cat(parts), rtol=0, atol=2e-3)


@pytest.mark.parametrize("shape", [(1, 8, 8), (1, 3, 16), (1, 16, 3), (2, 5, 7)])
def test_orthogonalised_matrices_have_singular_values_near_one(shape: tuple[int, ...]) -> None:
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(4))
    values = torch.linalg.svdvals(orthogonalised(matrix))
    assert (values > 0.5).all()
    assert (values < 1.3).all()


def test_weight_decay_falls_to_zero_when_its_schedule_says_so() -> None:
    settings = small_settings(steps=10, weight_decay=0.5, weight_decay_schedule="linear")
    assert [weight_decay(settings, step) for step in (0, 5, 9)] == pytest.approx([0.5, 0.25, 0.05])
    assert weight_decay(small_settings(weight_decay=0.5), 9) == 0.5


def test_cosine_and_linear_schedules_meet_their_ends() -> None:
    for schedule, middle in (("cosine", 0.55), ("linear", 0.55)):
        settings = small_settings(steps=20, warmup=0, lr=1.0, schedule=schedule, lr_end=0.1)
        rates = [learning_rate(settings, step) for step in range(21)]
        assert (rates[0], rates[10], rates[20]) == pytest.approx((1.0, middle, 0.1))
    assert learning_rate(small_settings(steps=20, warmup=0, lr=1.0, schedule="cosine"), 5) == pytest.approx(
        0.8535533906
    )


def test_weight_decay_falls_on_matrices_only() -> None:
    model = linear()
    moved = make_optimizer(model, small_settings(optimizer="sgd"))
    before = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    moved.step(0.1, 0.5, 0)
    torch.testing.assert_close(model.get_parameter("weight").detach(), before["weight"] * 0.95)
    assert torch.equal(model.get_parameter("bias"), before["bias"])


def test_learning_rate_warms_up_stays_and_decays() -> None:
    settings = small_settings(steps=20, warmup=4, decay=0.25, lr=1.0)
    rates = [learning_rate(settings, step) for step in range(20)]
    assert rates[:4] == [0.25, 0.5, 0.75, 1.0]
    assert rates[4:15] == [1.0] * 11
    assert rates[15:] == pytest.approx([1.0, 0.8, 0.6, 0.4, 0.2])


def test_learning_rate_stays_when_nothing_decays() -> None:
    assert learning_rate(small_settings(steps=20, warmup=0, decay=0.0, lr=0.5), 19) == 0.5


def test_wide_matrices_move_by_their_square_as_by_themselves() -> None:
    matrix = torch.randn(2, 6, 24, generator=torch.Generator().manual_seed(4)) * torch.logspace(0, -3, 6)[:, None]
    torch.testing.assert_close(orthogonalised(matrix), iterated(matrix), rtol=1e-4, atol=1e-5)


def test_muon_takes_many_matrices_at_once_but_not_all(monkeypatch: pytest.MonkeyPatch) -> None:
    square, wide = torch.empty(4, 4), torch.empty(4, 16)
    matrices = {"a": square, "b": wide, "c": wide.mT, "d": square, "e": square}
    assert muon_groups(matrices) == [["a", "d", "e"], ["b", "c"]]
    monkeypatch.setattr(optimizer, "TOGETHER", 40)
    assert muon_groups(matrices) == [["a", "d"], ["e"], ["b"], ["c"]]
