"""Models: causal, with documents kept apart, and a loss that is plain cross-entropy."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from lmpipe.settings import LstmSettings, Model, TransformerSettings
from lmpipe.train.batches import documents_of
from lmpipe.train.model import LanguageModel, build_model, head

EOT = 10
MODELS: list[Model] = [
    LstmSettings(kind="lstm", layers=2, width=8),
    LstmSettings(kind="lstm", layers=1, width=8, tied=False),
    TransformerSettings(kind="transformer", layers=2, width=16, heads=2),
    TransformerSettings(kind="transformer", layers=2, width=16, heads=2, tied=False),
]
MASKED, UNMASKED = (
    TransformerSettings(kind="transformer", layers=2, width=16, heads=2, document_mask=mask) for mask in (True, False)
)


def random_model(settings: Model) -> LanguageModel:
    """Build a model and make all its weights speak: fresh ones start at zero in part."""
    torch.manual_seed(1)
    model = build_model(settings, EOT + 1).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.3)
    return model


def packed(first: list[int], second: list[int]) -> Tensor:
    return torch.tensor([[*first, EOT, *second]])


def second_logits(model: LanguageModel, ids_BT: Tensor, length: int) -> Tensor:
    return model(ids_BT, documents_of(ids_BT, EOT))[0, -length:]


@torch.no_grad()
def test_second_document_scores_the_same_when_the_first_changes() -> None:
    model = random_model(MASKED)
    one, other = packed([1, 2, 3, 4], [5, 6, 7]), packed([9, 8, 8, 1], [5, 6, 7])
    assert torch.equal(second_logits(model, one, 4), second_logits(model, other, 4))


@torch.no_grad()
def test_second_document_scores_the_same_when_it_lies_elsewhere() -> None:
    model = random_model(MASKED)
    one, other = packed([1, 2, 3, 4], [5, 6, 7]), packed([1], [5, 6, 7])
    torch.testing.assert_close(second_logits(model, one, 4), second_logits(model, other, 4), rtol=1e-5, atol=1e-5)
    alone = torch.tensor([[EOT, 5, 6, 7]])
    torch.testing.assert_close(model(alone)[0], second_logits(model, one, 4), rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_second_document_sees_the_first_when_the_mask_is_off() -> None:
    model = random_model(UNMASKED)
    one, other = packed([1, 2, 3, 4], [5, 6, 7]), packed([9, 8, 8, 1], [5, 6, 7])
    assert not torch.allclose(second_logits(model, one, 4), second_logits(model, other, 4), atol=1e-3)


@torch.no_grad()
@pytest.mark.parametrize("settings", MODELS)
def test_logits_do_not_change_when_later_tokens_do(settings: Model) -> None:
    model = random_model(settings)
    one, other = torch.tensor([[1, 2, 3, 4, 5]]), torch.tensor([[1, 2, 3, 9, 9]])
    torch.testing.assert_close(model(one)[:, :3], model(other)[:, :3], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("settings", MODELS)
def test_loss_and_gradients_are_those_of_cross_entropy(settings: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(head, "PIECE", 5)
    model = random_model(settings)
    ids_BS = torch.randint(0, EOT + 1, (2, 9), generator=torch.Generator().manual_seed(3))
    ids_BT, targets_BT = ids_BS[:, :-1], ids_BS[:, 1:]
    plain = F.cross_entropy(model(ids_BT).flatten(0, 1), targets_BT.flatten(), reduction="sum")
    plain.backward()  # type: ignore[no-untyped-call]
    expected = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    loss = model.loss(ids_BT, targets_BT)
    loss.backward()  # type: ignore[no-untyped-call]
    torch.testing.assert_close(loss.float(), plain)
    torch.testing.assert_close(model.nll(ids_BT, targets_BT).sum(), plain.detach())
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(parameter.grad, expected[name], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("settings", MODELS)
def test_weights_are_shared_when_tied(settings: Model) -> None:
    names = dict(build_model(settings, EOT + 1).named_parameters())
    assert ("head_VW" in names, "embedding.weight" in names) == (True, not settings.tied)


def test_fresh_transformer_is_near_uniform() -> None:
    model = build_model(MASKED, EOT + 1)
    ids = torch.tensor([[1, 2, 3]])
    assert model(ids).abs().max() < 0.5


def test_logits_stay_below_the_cap() -> None:
    model = random_model(MASKED)
    with torch.no_grad():
        model.head_VW.mul_(1000)
    assert model(torch.tensor([[1, 2, 3]])).abs().max() <= 15
