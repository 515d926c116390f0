"""Small run directories with a real tokenizer and random weights, for whatever uses a model."""

from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import nn
from train.token_dataset import small_settings, write_index, write_shard

from lmpipe.dataset import Execution, Manifest, Plan, UnitOutput, build
from lmpipe.settings import LstmSettings, Model, NgramSettings, TokenizerSettings, TransformerSettings
from lmpipe.settings.models import GPT2
from lmpipe.storage import replacing
from lmpipe.tokens.encode import load_encoder
from lmpipe.tokens.learn import learn_tokenizer
from lmpipe.train.checkpoint import save_checkpoint
from lmpipe.train.counting import count
from lmpipe.train.model import build_model
from lmpipe.train.progress import Progress
from lmpipe.train.run import load_run, prepare_run

TEXTS = (
    "The ship sailed at dawn, and nobody on the quay knew where she was bound.",
    "A quiet morning: the baker opened his shop, the cat slept, the river went by.",
    "公司周一宣布，将在上海建设新的工厂。",
    "他说：“好。”就走了。",
    "",
    "Rain fell on the hills. Rain fell on the town. Rain fell on the sea.",
)
"""Texts of the small splits; one is empty."""

VOCABULARY = 300
LSTM = LstmSettings(kind="lstm", layers=2, width=16, dropout=0.0)
TRANSFORMER = TransformerSettings(kind="transformer", layers=2, width=16, heads=2)
SMALL_GPT2 = TransformerSettings(kind="transformer", layers=2, width=16, heads=2, **(GPT2 | {"positions": 96}))  # type: ignore[arg-type]


@lru_cache(maxsize=1)
def tokenizer_json() -> str:
    """Learn a small byte-level BPE."""
    return learn_tokenizer(iter([list(TEXTS)]), TokenizerSettings(vocabulary=VOCABULARY))


def write_unit(unit: str | None, output: UnitOutput) -> None:
    """Write the tokenizer, or the texts as the one shard of a split."""
    if unit is None:
        with replacing(output.folder / "tokenizer.json") as temporary:
            temporary.write_text(tokenizer_json(), encoding="utf-8")
        output.add("tokenizer", "tokenizer.json", rows=1)
        return
    ids, offsets = load_encoder(output.folder / "tokenizer.json")(list(TEXTS))
    documents = [ids[start:end].tolist() for start, end in pairwise(offsets)]
    end = end_of_text()
    write_shard(output, unit, 0, [token for document in documents for token in [*document, end]])
    write_index(output, unit, 0, documents)


def end_of_text() -> int:
    """Look up the id of the closing token."""
    from lmpipe.tokens.tokenizer import end_of_text_id, parse_tokenizer

    return end_of_text_id(parse_tokenizer(tokenizer_json(), Path()), "<|endoftext|>", Path())


def text_tokens(data: Path) -> Manifest:
    """Commit a tokens dataset of TEXTS, the same in each split."""
    facts: dict[str, Any] = {"vocabulary": VOCABULARY, "end_of_text": end_of_text()}
    plan = Plan(stage="tokens", name="texts", version=1, settings=facts, inputs=())
    return build(plan, data, write_unit, [None, "train", "valid", "test"], Execution())


def random_run(data: Path, model: Model = TRANSFORMER, std: float = 0.3, **changes: object) -> Path:
    """Prepare a run and save a checkpoint of random weights, with no training."""
    settings = small_settings(model, **({"context": 64} | changes))
    run = prepare_run(text_tokens(data), settings, "demo", data)
    torch.manual_seed(1)
    built = build_model(model, VOCABULARY).eval()
    for parameter in built.parameters():
        nn.init.normal_(parameter, std=std)
    save_checkpoint(run, Progress(step=7), dict(built.named_parameters()), {})
    return run


def counted_run(data: Path, order: int = 3) -> Path:
    """Prepare a run of an n-gram model and count TEXTS."""
    run = prepare_run(
        text_tokens(data), small_settings(NgramSettings(kind="ngram", order=order), context=64), "demo", data
    )
    assert count(load_run(run), lambda: None) is None
    return run
