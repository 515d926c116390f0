"""Optimizers, held against torch's own, and the learning rate."""

import pytest
import torch
from torch import nn
from train.token_dataset import small_settings

from lmpipe.train.optimizer import learning_rate, make_optimizer


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
    optimizer = make_optimizer(ours, small_settings(weight_decay=0.3))
    groups = [{"params": [theirs.weight], "weight_decay": 0.3}, {"params": [theirs.bias], "weight_decay": 0.0}]
    reference = torch.optim.AdamW(groups, lr=0.01, betas=(0.9, 0.95))
    expected = after_steps(theirs, lambda step: reference.step())
    torch.testing.assert_close(after_steps(ours, lambda step: optimizer.step(0.01, step)), expected)


def test_sgd_moves_as_torch_does_when_nothing_decays() -> None:
    ours, theirs = linear(), linear()
    optimizer = make_optimizer(ours, small_settings(optimizer="sgd", weight_decay=0.0))
    reference = torch.optim.SGD(theirs.parameters(), lr=0.01, momentum=0.9)
    expected = after_steps(theirs, lambda step: reference.step())
    torch.testing.assert_close(after_steps(ours, lambda step: optimizer.step(0.01, step)), expected)


def test_weight_decay_falls_on_matrices_only() -> None:
    model = linear()
    optimizer = make_optimizer(model, small_settings(optimizer="sgd", weight_decay=0.5))
    before = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step(0.1, 0)
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
