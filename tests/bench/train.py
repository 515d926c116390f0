"""Tokens and training on CPU: bench-encode, the loader against the model, and ours against a plain loop.

Ours is our Transformer in our loop, the other transformers' GPT2LMHeadModel in a plain AdamW loop. The ratio of speeds
is that of AdamW against AdamW, ours with compile = true (torch.compile's start stays out of the times); eager and Muon
stand beside it. The losses at equal time are those of eager Muon.

make bench-train

Both have 6 layers of width 192, 6 heads, context 256, 16 rows a step, float32, a vocabulary of 8192, and read the same
rows of the same token shards (BBC news through our own pipeline). Speed is CPU time of whole steps, in turns. Then each
trains for the same CPU time, in turns, and both are scored on the same validation rows: the loss in nats per token.
The other's settings are nanoGPT's: AdamW (betas 0.9, 0.95), weight decay 0.1 on matrices, clipping at 1, linear
warm-up, cosine decay to a tenth; its peak learning rate is the best of LEARNING_RATES, in a run of its own each.
"""

import math
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import NamedTuple

import torch
from torch import Tensor
from transformers import GPT2Config, GPT2LMHeadModel

from lmpipe.dataset import Manifest
from lmpipe.settings import TrainSettings, TransformerSettings
from lmpipe.train.batches import make_batch, read_row, valid_rows
from lmpipe.train.loop import set_up_torch, train_step
from lmpipe.train.parallel import Ranks
from lmpipe.train.run import Run, load_run, prepare_run
from lmpipe.train.session import Training, begin
from lmpipe.train.validation import row_loss
from tests.bench import encode, loader
from tests.bench.harness import corpora, finish
from tests.road import walk

THREADS = 2
TIMED_STEPS = 5
"""Steps in a turn."""
ROUNDS = 4
BUDGET = 200.0
"""CPU seconds that each trains for."""
STEPS = 100
"""Of the schedules: what the other does in the budget, about; whoever is faster does more steps of a longer one."""
LEARNING_RATES = (1e-3, 2e-3, 4e-3)
CPU = torch.device("cpu")

RECIPE = """
name = "bench"
[[sources]]
kind = "local"
name = "bbc"
paths = ["{corpora}/news/bbc-fulltext.zip"]
format = "text"
lang = "en"
encoding = "cp1252"
[tokenizer]
vocabulary = 8192
"""
MODEL = TransformerSettings(kind="transformer", layers=6, width=192, heads=6)


class Contestant(NamedTuple):
    """One way of training."""

    step: Callable[[], object]
    """Does one step."""
    score: Callable[[], float]
    """Returns the validation loss in nats per token."""


MUON = TrainSettings(
    name="bench", model=MODEL, context=256, batch=16, steps=STEPS, optimizer="muon", lr=4e-3, threads=THREADS
)
OURS = {
    "AdamW, compiled": replace(MUON, optimizer="adamw", compile=True),
    "AdamW": replace(MUON, optimizer="adamw"),
    "Muon, compiled": replace(MUON, compile=True),
    "Muon": MUON,
}
"""Recipes of ours."""


def packed(folder: Path) -> Manifest:
    """Bring BBC news into token shards."""
    recipe = folder / "bench.toml"
    recipe.write_text(RECIPE.format(corpora=corpora().resolve()))
    return walk(recipe, folder / "data", 1)[-1]


def laid_out(tokens: Manifest, settings: TrainSettings, folder: Path) -> Run:
    """Lay out a run."""
    return load_run(prepare_run(tokens, settings, "bench", folder / "data"))


def ours(run: Run) -> Contestant:
    """Train as `python -m lmpipe.train` does, without its files."""
    training = begin(run, Ranks(rank=0, size=1, device=CPU), lambda: None)
    return Contestant(lambda: train_step(training), lambda: our_score(training))


def our_score(training: Training) -> float:
    """Score the validation rows; the documents of a row are kept apart, as in training."""
    training.model.eval()
    with torch.no_grad():
        total, tokens = row_loss(training)
    training.model.train()
    return float(total) / float(tokens)


def theirs(run: Run, peak: float, steps: int) -> Contestant:
    """Train GPT2LMHeadModel as nanoGPT trains its own."""
    torch.manual_seed(1)
    config = GPT2Config(
        vocab_size=run.vocabulary, n_positions=256, n_embd=192, n_layer=6, n_head=6, use_cache=False,
        resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0,
    )  # fmt: skip
    model = GPT2LMHeadModel(config).train()
    matrices = [p for p in model.parameters() if p.ndim >= 2]
    groups = [
        {"params": matrices, "weight_decay": 0.1},
        {"params": [p for p in model.parameters() if p.ndim < 2], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=peak, betas=(0.9, 0.95), fused=True)
    first = begin(run, Ranks(rank=0, size=1, device=CPU), lambda: None)
    done = 0

    def step() -> None:
        nonlocal done
        for group in optimizer.param_groups:
            group["lr"] = cosine(peak, done, steps)
        ids_BS = make_batch(first.train, run.settings, done).ids_BS
        loss = mean_loss(model, ids_BS)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        done += 1

    def score() -> float:
        model.eval()
        with torch.no_grad():
            rows = valid_rows(first.valid, run.settings)
            losses = [float(mean_loss(model, read_row(first.valid, row, 256)[None])) for row in rows]
        model.train()
        return sum(losses) / len(losses)

    return Contestant(step, score)


def mean_loss(model: GPT2LMHeadModel, ids_BS: Tensor) -> Tensor:
    """Compute the mean loss of rows, as its own forward does with shifted labels."""
    logits_BTV = model(ids_BS[:, :-1]).logits
    return torch.nn.functional.cross_entropy(logits_BTV.flatten(0, 1), ids_BS[:, 1:].flatten())


def cosine(peak: float, step: int, steps: int) -> float:
    """nanoGPT's schedule."""
    if step < 20:
        return peak * (step + 1) / 21
    share = min(1.0, (step - 20) / max(1, steps - 20))
    return peak * (0.1 + 0.9 * (1 + math.cos(math.pi * share)) / 2)


def cpu_seconds(step: Callable[[], object], number: int) -> float:
    """Measure the CPU time of some steps, over all threads."""
    started = time.process_time()
    for _ in range(number):
        step()
    return time.process_time() - started


def speeds(runs: dict[str, Run]) -> dict[str, float]:
    """Measure seconds a step, in turns, medians."""
    contestants = {f"lmpipe, {name}": ours(run).step for name, run in runs.items()}
    contestants["transformers"] = theirs(runs["Muon"], 1e-3, STEPS).step
    for step in contestants.values():
        step()
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(ROUNDS):
        for name, step in contestants.items():
            seconds[name].append(cpu_seconds(step, TIMED_STEPS) / TIMED_STEPS)
    return {name: median(values) for name, values in seconds.items()}


def loss_after(contestant: Contestant, steps: int) -> float:
    """Train to the end of a schedule."""
    for _ in range(steps):
        contestant.step()
    return contestant.score()


def figures() -> tuple[dict[str, float], dict[str, float]]:
    """Measure both: a table of figures, and the ratios of the issue."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tokens = packed(folder)
        runs = {name: laid_out(tokens, settings, folder) for name, settings in OURS.items()}
        set_up_torch(THREADS, CPU)
        seconds = speeds(runs)
        their_steps = round(BUDGET / seconds["transformers"])
        our_steps = round(BUDGET / seconds["lmpipe, Muon"])
        our_loss = loss_after(ours(laid_out(tokens, replace(MUON, steps=our_steps), folder)), our_steps)
        losses = {lr: loss_after(theirs(runs["Muon"], lr, their_steps), their_steps) for lr in LEARNING_RATES}
    rates = {f"{name}, tokens per CPU second": MUON.batch * MUON.context / taken for name, taken in seconds.items()}
    rates |= {"lmpipe, Muon, steps": our_steps, "transformers, steps": their_steps, "lmpipe, Muon, loss": our_loss}
    rates |= {f"transformers, loss, lr {lr:g}": loss for lr, loss in losses.items()}
    ratios = {
        "train_vs_transformers": seconds["transformers"] / seconds["lmpipe, AdamW, compiled"],
        "loss_at_equal_time": our_loss / min(losses.values()),
    }
    return rates, ratios


def main() -> None:
    """Print the table and the ratios; loss_at_equal_time is ours over theirs: below 1 is better."""
    encoding, loading = encode.figures(), loader.figures({"lmpipe": loader.ours})
    rates, ratios = figures()
    rates |= {f"encode, {name}, MB/s": rate for name, rate in encoding.items()}
    rates |= {f"loader, {name}, tokens/s": rate for name, rate in loading.items()}
    finish(rates, "as named", encode.ratios(encoding) | loader.ratios(loading) | ratios, Path(sys.argv[1]))


if __name__ == "__main__":
    main()
