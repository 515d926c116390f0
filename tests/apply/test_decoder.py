"""Decoders: token by token the same logits as the whole text at once."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from apply.runs import LSTM, SMALL_GPT2, TRANSFORMER
from torch import Tensor, nn

from lmpipe.apply.decoder import Decoder, StateDecoder, TransformerDecoder, Weights
from lmpipe.settings import Model
from lmpipe.train.model import LanguageModel, Transformer, build_model

MODELS: list[Model] = [
    LSTM,
    TRANSFORMER,
    SMALL_GPT2,
    replace(TRANSFORMER, mlp="swiglu", value_embeddings=True, tied=False, logit_cap=None),
    replace(TRANSFORMER, norm="layer", bias=True, qk_norm=False, embedding_norm=False),
]
PROMPTS = [[3, 4, 5, 6], [7], [8, 9], [1, 2]]


def random_model(settings: Model) -> LanguageModel:
    torch.manual_seed(1)
    model = build_model(settings, 50).eval()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.3)
    return model


def make_decoder(model: LanguageModel, rows: int) -> Decoder:
    return TransformerDecoder(Weights(model, rows), 32) if isinstance(model, Transformer) else StateDecoder(model)


@torch.no_grad()
def uncached(model: LanguageModel, texts: Sequence[Sequence[int]]) -> Tensor:
    return torch.stack([model(torch.tensor([list(text)]))[0, -1] for text in texts])


@pytest.mark.parametrize("rows", [1, 4])
@pytest.mark.parametrize("settings", MODELS)
def test_steps_give_the_logits_of_the_whole_text(settings: Model, rows: int) -> None:
    model, texts = random_model(settings), [list(prompt) for prompt in PROMPTS[:rows]]
    decoder = make_decoder(model, rows)
    torch.testing.assert_close(decoder.start(texts), uncached(model, texts), atol=2e-5, rtol=1e-5)
    for step in range(12):
        ids = [(7 * step + 3 * row) % 50 for row in range(rows)]
        logits_BV = decoder.step(torch.tensor(ids))
        texts = [[*text, token] for text, token in zip(texts, ids, strict=True)]
        torch.testing.assert_close(logits_BV, uncached(model, texts), atol=2e-5, rtol=1e-5)


@pytest.mark.parametrize("settings", [LSTM, TRANSFORMER])
def test_rows_go_on_from_the_texts_that_were_kept(settings: Model) -> None:
    model = random_model(settings)
    decoder = make_decoder(model, len(PROMPTS))
    decoder.start(PROMPTS)
    decoder.keep(torch.tensor([2, 0, 0]))
    texts = [[*PROMPTS[2], 11], [*PROMPTS[0], 12], [*PROMPTS[0], 13]]
    torch.testing.assert_close(decoder.step(torch.tensor([11, 12, 13])), uncached(model, texts), atol=2e-5, rtol=1e-5)
