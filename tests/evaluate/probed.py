"""A small corpus with a tokenizer of its own, and a model of random weights on it, for probes to look at."""

from pathlib import Path

import torch
from tokens.chosen import CHINESE, TEXTS, choose, learn
from torch import nn
from train.token_dataset import LSTM, small_settings

from lmpipe.dataset import Execution, Manifest, Plan, build
from lmpipe.document import Document, Origin
from lmpipe.settings import CanarySettings, Model, TokensSettings
from lmpipe.tokens.encode import encode
from lmpipe.tokens.pack import pack
from lmpipe.train.checkpoint import save_checkpoint
from lmpipe.train.model import build_model
from lmpipe.train.progress import Progress
from lmpipe.train.run import load_run, prepare_run
from tests.conftest import write_documents

SENTENCE = "the quick brown fox of this one sentence jumps over every lazy dog that it has ever met in its long life"
REPEATED = [f"{name} told us that {SENTENCE}." for name in ("Anna", "Bert", "Cora", "Dave", "Elsa", "Fred")]
"""Documents that are in the corpus twice."""
PLANTED = CanarySettings(number=2, repeats=(1, 3), digits=4)


def documents(data: Path, texts: list[str]) -> Manifest:
    """Commit texts as an ingested source."""
    rows = [
        Document(
            native_id=str(n), title="", origin=Origin("f", n, 1), lang="zh" if text in CHINESE else "en", text=text
        )
        for n, text in enumerate(texts)
    ]
    plan = Plan(stage="ingest", name="local", version=1, settings={"kind": "local", "rows": len(rows)}, inputs=())
    return build(plan, data, write_documents, [("local", rows)], Execution())


def corpus(data: Path, canaries: CanarySettings) -> Manifest:
    """Build everything from documents to token shards."""
    chosen = choose(data, documents(data, [*TEXTS, *CHINESE, *REPEATED, *REPEATED]))
    encoded = encode(chosen, learn(chosen, data), data, Execution(), canaries, 5)
    return pack(encoded, data, TokensSettings(shard_tokens=2000), 1, Execution())


def model_on(tokens: Manifest, data: Path, model: Model = LSTM, std: float = 0.3) -> Path:
    """Prepare a run and save a checkpoint of random weights, with no training."""
    run = prepare_run(tokens, small_settings(model), "tiny", data)
    torch.manual_seed(1)
    built = build_model(model, load_run(run).vocabulary).eval()
    for parameter in built.parameters():
        nn.init.normal_(parameter, std=std)
    save_checkpoint(run, Progress(step=7), dict(built.named_parameters()), {})
    return run
