"""Models: causal, with documents kept apart, and a loss that is plain cross-entropy."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from lmpipe.recipe import from_dict
from lmpipe.settings import LstmSettings, Model, TransformerSettings
from lmpipe.settings.models import GPT2, PRESETS
from lmpipe.train.batches import documents_of
from lmpipe.train.model import LanguageModel, build_model, head, transformer

EOT = 10
SMALL = TransformerSettings(kind="transformer", layers=2, width=16, heads=2)
MODELS: list[Model] = [
    LstmSettings(kind="lstm", layers=2, width=8),
    LstmSettings(kind="lstm", layers=1, width=8, tied=False),
    LstmSettings(kind="lstm", layers=3, width=8, embedding=5),
    SMALL,
    replace(SMALL, tied=False, value_embeddings=True),
    replace(SMALL, mlp="swiglu", logit_cap=None),
    TransformerSettings(kind="transformer", layers=2, width=16, heads=2, **(GPT2 | {"positions": 32})),  # type: ignore[arg-type]
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


def test_attention_in_blocks_is_attention() -> None:
    draw = torch.Generator().manual_seed(3)
    q, k, v = (torch.randn(2, 3, 300, 8, generator=draw) for _ in range(3))
    documents_BT = torch.randint(0, 2, (2, 300), generator=draw).cumsum(1) // 50
    mask = transformer.attention_mask(documents_BT)
    expected = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    torch.testing.assert_close(transformer.attention_in_blocks(q, k, v, mask), expected)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # the compiler warns of its own doings
def test_compiled_on_a_cpu_gives_the_loss_and_gradients_of_eager() -> None:
    ids_BS = torch.randint(0, EOT + 1, (2, 200), generator=torch.Generator().manual_seed(2))
    ids_BT, targets_BT = ids_BS[:, :-1], ids_BS[:, 1:]
    plain, compiled = random_model(MASKED).train(), random_model(MASKED).train()
    compiled.compile_parts()
    for model in (plain, compiled):
        model.loss(ids_BT, targets_BT, documents_of(ids_BT, EOT)).objective.backward()  # type: ignore[no-untyped-call]
    for name, parameter in plain.named_parameters():
        torch.testing.assert_close(compiled.get_parameter(name).grad, parameter.grad, rtol=1e-3, atol=1e-3)


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


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("settings", MODELS)
def test_loss_and_gradients_are_those_of_cross_entropy(
    settings: Model, smoothing: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(head, "PIECE", 5)
    model = random_model(settings)
    ids_BS = torch.randint(0, EOT + 1, (2, 9), generator=torch.Generator().manual_seed(3))
    ids_BT, targets_BT = ids_BS[:, :-1], ids_BS[:, 1:]
    plain = F.cross_entropy(model(ids_BT).flatten(0, 1), targets_BT.flatten(), reduction="sum")
    smoothed = F.cross_entropy(
        model(ids_BT).flatten(0, 1), targets_BT.flatten(), reduction="sum", label_smoothing=smoothing
    )
    smoothed.backward()  # type: ignore[no-untyped-call]
    expected = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    loss = model.loss(ids_BT, targets_BT, smoothing=smoothing)
    loss.objective.backward()  # type: ignore[no-untyped-call]
    torch.testing.assert_close(loss.objective.float(), smoothed)
    torch.testing.assert_close(loss.nats.float(), plain)
    torch.testing.assert_close(model.nll(ids_BT, targets_BT).sum(), plain.detach())
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(parameter.grad, expected[name], rtol=1e-4, atol=5e-6)


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


@torch.no_grad()
@pytest.mark.parametrize("settings", MODELS)
def test_text_in_pieces_scores_as_it_does_whole(settings: Model) -> None:
    model = random_model(settings)
    ids_BT = torch.randint(0, EOT + 1, (2, 12), generator=torch.Generator().manual_seed(5))
    targets_BT = ids_BT.roll(-1, 1)
    state, pieces = model.begin(2), []
    for first, last in ((0, 5), (5, 6), (6, 12)):
        nll_BT, after = model.nll_after(ids_BT[:, first:last], targets_BT[:, first:last], None, state)
        assert after is not None
        state = after
        pieces.append(nll_BT)
    torch.testing.assert_close(torch.cat(pieces, 1), model.nll(ids_BT, targets_BT), rtol=1e-5, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("settings", MODELS)
def test_next_logits_are_those_of_the_last_position(settings: Model) -> None:
    model = random_model(settings)
    ids_BT = torch.tensor([[1, 2, 3, 4]])
    _, state = model.next_logits(ids_BT[:, :2], model.begin(1))
    logits_BV, _ = model.next_logits(ids_BT[:, 2:], state)
    torch.testing.assert_close(logits_BV, model(ids_BT)[:, -1], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("settings", MODELS)
def test_bf16_is_near_fp32(settings: Model) -> None:
    model = random_model(settings)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(0.3)
    ids_BT = torch.randint(0, EOT + 1, (2, 9), generator=torch.Generator().manual_seed(3))
    plain = model.loss(ids_BT[:, :-1], ids_BT[:, 1:])
    model.precision = torch.bfloat16
    rounded = model.loss(ids_BT[:, :-1], ids_BT[:, 1:])
    rounded.objective.backward()  # type: ignore[no-untyped-call]
    assert rounded.nats.item() != plain.nats.item()
    torch.testing.assert_close(rounded.nats, plain.nats, rtol=2e-2, atol=1e-2)
    assert all(p.grad is not None and p.grad.dtype == torch.float32 for p in model.parameters())


def test_recomputed_activations_give_the_same_gradients() -> None:
    grads = []
    for recompute in (False, True):
        model = random_model(replace(SMALL, dropout=0.3)).train()
        model.recompute = recompute
        torch.manual_seed(7)
        ids_BT = torch.randint(0, EOT + 1, (2, 9))
        model.loss(ids_BT[:, :-1], ids_BT[:, 1:]).objective.backward()  # type: ignore[no-untyped-call]
        grads.append([p.grad for p in model.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*grads, strict=True) if a is not None and b is not None)


def test_rotary_turns_pairs_as_complex_numbers_by_their_position() -> None:
    x = torch.randn(5, 3, 8, generator=torch.Generator().manual_seed(1))  # positions, heads, width
    turned = transformer.rotate(x, tuple(part[:, None] for part in transformer.rotary(2, 5, 8, x.device)))  # type: ignore[arg-type]
    angle = torch.arange(2, 7)[:, None] * 10_000.0 ** (-torch.arange(0, 8, 2) / 8)
    wanted = torch.complex(x[..., :4], x[..., 4:]) * torch.polar(torch.ones_like(angle), angle)[:, None]
    torch.testing.assert_close(torch.complex(turned[..., :4], turned[..., 4:]), wanted)


def test_a_block_returns_keys_and_values_only_where_it_goes_on_from_some() -> None:
    model = random_model(SMALL)
    assert isinstance(model, transformer.Transformer)
    ids_BT, x_BTW = torch.tensor([[1, 2, 3]]), torch.ones(1, 3, 16)
    turn = model.turn(ids_BT, 0)
    assert model.blocks[0](x_BTW, ids_BT, turn, None, None)[1] is None
    keys, values = model.blocks[0](x_BTW, ids_BT, turn, None, model.begin(1)[0])[1]
    assert keys.shape == values.shape == (1, 2, 3, 8)


def test_locked_dropout_drops_the_same_values_at_all_positions() -> None:
    model = build_model(LstmSettings(kind="lstm", dropout=0.5, locked=True), EOT + 1).train()
    dropped = model.drop(torch.ones(3, 6, 40), 0.5)  # type: ignore[operator]
    assert (dropped == dropped[:, :1]).all()
    assert not (dropped[0] == dropped[1]).all()
    assert 20 < (dropped[:, 0] == 0).sum() < 100
    assert dropped.max() == 2


def test_embedding_dropout_drops_whole_words() -> None:
    settings = LstmSettings(kind="lstm", width=8, dropout=0.0, dropout_embedding=0.5)
    model = random_model(settings).train()
    ids_BT = torch.arange(EOT + 1)[None].repeat(1, 2)
    x_BTW = model.embedded(ids_BT)[0]  # type: ignore[operator]
    gone = (x_BTW == 0).all(dim=1)
    assert torch.equal(gone[: EOT + 1], gone[EOT + 1 :])
    assert 0 < gone.sum() < len(gone)


def test_weight_drop_acts_in_training_only() -> None:
    model = random_model(LstmSettings(kind="lstm", width=8, dropout=0.0, weight_drop=0.5))
    ids_BT = torch.tensor([[1, 2, 3, 4]])
    assert torch.equal(model(ids_BT), model(ids_BT))
    model.train()
    assert not torch.equal(model(ids_BT), model(ids_BT))


def test_penalties_add_to_the_objective_alone() -> None:
    settings = LstmSettings(kind="lstm", width=8, dropout=0.0, activation_penalty=2.0, slowness_penalty=1.0)
    model = random_model(settings).train()
    ids_BT = torch.tensor([[1, 2, 3, 4, 5]])
    loss = model.loss(ids_BT[:, :-1], ids_BT[:, 1:])
    x_BTW = model.hidden(ids_BT[:, :-1])[0]
    expected = 2 * x_BTW.square().mean() + (x_BTW[:, 1:] - x_BTW[:, :-1]).square().mean()
    torch.testing.assert_close((loss.objective - loss.nats).float(), 4 * expected)
    model.eval()
    loss = model.loss(ids_BT[:, :-1], ids_BT[:, 1:])
    assert loss.objective == loss.nats


@pytest.mark.parametrize(
    ("name", "vocabulary", "millions"),
    [
        ("gpt2", 50257, 124.4),
        ("gpt2-xl", 50257, 1557.6),
        ("lstm-zaremba-large", 10000, 66.0),
        ("lstm-awd", 10000, 24.2),
        ("transformer-1m", 2048, 0.85),
        ("transformer-124m", 50257, 123.5),
        ("transformer-1500m", 50257, 1555.0),
    ],
)
def test_presets_have_the_size_of_their_name(name: str, vocabulary: int, millions: float) -> None:
    settings = from_dict(
        {"lstm": LstmSettings, "transformer": TransformerSettings}[str(PRESETS[name]["kind"])], PRESETS[name], name
    )
    with torch.device("meta"):
        model = build_model(settings, vocabulary)
    assert sum(p.numel() for p in model.parameters()) / 1e6 == pytest.approx(millions, rel=0.01)
