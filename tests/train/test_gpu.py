"""What runs on a GPU alone: compiled blocks, attention within packed documents, the compiled loss."""

import pytest
import torch

from lmpipe.settings import TransformerSettings
from lmpipe.train.batches import documents_of
from lmpipe.train.model import Transformer, build_model

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")

END = 7


def gpu_model(precision: torch.dtype) -> Transformer:
    torch.manual_seed(1)
    settings = TransformerSettings(kind="transformer", layers=2, width=128, heads=2, zero_init=False)
    model = build_model(settings, 512).cuda()
    assert isinstance(model, Transformer)
    model.precision = precision
    return model


def test_packed_documents_in_bf16_compiled_give_the_loss_and_gradients_of_a_mask_in_float32() -> None:
    ids_BS = torch.randint(8, 512, (4, 257), generator=torch.Generator().manual_seed(2)).cuda()
    ids_BS[:, 40::77] = END
    ids_BT, targets_BT = ids_BS[:, :-1], ids_BS[:, 1:]
    documents_BT = documents_of(ids_BT, END)
    plain, fast = gpu_model(torch.float32), gpu_model(torch.bfloat16)
    fast.compile_parts()
    losses = [model.loss(ids_BT, targets_BT, documents_BT) for model in (plain, fast)]
    for loss in losses:
        loss.objective.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
    assert losses[1].nats.item() == pytest.approx(losses[0].nats.item(), rel=2e-3)
    for name, parameter in plain.named_parameters():
        other = fast.get_parameter(name).grad
        assert (other - parameter.grad).norm() < 0.03 * parameter.grad.norm(), name


def test_a_packed_document_does_not_see_the_one_before_it() -> None:
    model = gpu_model(torch.bfloat16)
    ids_BT = torch.randint(8, 512, (1, 200), generator=torch.Generator().manual_seed(3)).cuda()
    ids_BT[:, 90] = END
    changed_BT = ids_BT.clone()
    changed_BT[:, :90] = 9
    first, second = (model(ids, documents_of(ids, END)) for ids in (ids_BT, changed_BT))
    assert torch.equal(first[:, 90:], second[:, 90:])
    assert not torch.equal(first[:, :90], second[:, :90])
