"""The output layer's loss on a GPU: large pieces, whose arithmetic a CPU can check."""

import pytest
import torch
from torch import Tensor

from lmpipe.train.model import head


def inputs() -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    x_NW, head_VW = torch.randn(700, 16, generator=generator), torch.randn(50, 16, generator=generator)
    return x_NW, head_VW, torch.randint(50, (700,), generator=generator)


@pytest.mark.parametrize("cap", [None, 4.0, 100.0])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_large_pieces_compute_what_autograd_does(
    cap: float | None, smoothing: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(head, "PIECE", 512)  # pieces of 512 and 188
    x_NW, head_VW, targets_N = inputs()
    loss = head.at_once(cap, smoothing, compiled=False)
    found, *gradients = head.sum_pieces(x_NW, head_VW, targets_N, loss)

    x_NW.requires_grad_(), head_VW.requires_grad_()
    log_p_NV = head.logits(x_NW, head_VW, cap).log_softmax(-1)
    nats_N = -log_p_NV.gather(1, targets_N[:, None]).squeeze(1)
    objective = ((1 - smoothing) * nats_N - smoothing * log_p_NV.mean(-1)).sum(dtype=torch.float64)
    objective.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
    torch.testing.assert_close(found, torch.stack((objective, nats_N.sum(dtype=torch.float64))).detach())
    torch.testing.assert_close(gradients, [x_NW.grad, head_VW.grad], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("cap", [None, 4.0])
def test_scores_are_those_of_log_softmax(cap: float | None) -> None:
    x_NW, head_VW, targets_N = inputs()
    logits_NV = head.capped(x_NW.double() @ head_VW.double().mT, cap)
    expected = -logits_NV.log_softmax(-1).gather(1, targets_N[:, None])
    found = head.token_nll(x_NW, head_VW, targets_N, cap)
    torch.testing.assert_close(found.double(), expected.squeeze(1), rtol=0, atol=1e-5)
