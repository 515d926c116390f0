"""A block's parts in pieces, on a CPU, give what the plain operations give."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from lmpipe.settings import TransformerSettings
from lmpipe.train.batches import documents_of
from lmpipe.train.model import build_model, pieces

EOT = 10
SETTINGS = TransformerSettings(kind="transformer", layers=2, width=16, heads=2)


def gradients(settings: TransformerSettings) -> list[Tensor]:
    """Compute loss and gradients of a model whose weights all speak, on rows of several documents."""
    torch.manual_seed(1)
    model = build_model(settings, EOT + 1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.3)
    ids_BS = torch.randint(0, EOT + 1, (3, 10))
    ids_BT = ids_BS[:, :-1]
    loss = model.loss(ids_BT, ids_BS[:, 1:], documents_of(ids_BT, EOT)).objective
    loss.backward()  # type: ignore[no-untyped-call]
    return [loss.detach(), *(p.grad for p in model.parameters() if p.grad is not None)]


@pytest.mark.parametrize(
    "settings",
    [
        SETTINGS,
        replace(SETTINGS, value_embeddings=True),
        replace(SETTINGS, qk_norm=False),
        replace(SETTINGS, bias=True),
    ],
)
def test_pieces_give_the_gradients_of_plain_operations(
    settings: TransformerSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pieces, "TOKENS", 4)
    ours = gradients(settings)
    monkeypatch.setattr(pieces, "in_pieces", lambda x: False)
    for mine, plain in zip(ours, gradients(settings), strict=True):
        torch.testing.assert_close(mine, plain, rtol=1e-4, atol=1e-5)


def test_pieces_leave_other_precisions_to_plain_operations() -> None:
    assert pieces.in_pieces(torch.zeros(1))
    assert not pieces.in_pieces(torch.zeros(1, dtype=torch.bfloat16))
