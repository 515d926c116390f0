"""Models in use: tokens a second of generation against transformers' generate, and logits against its GPT-2.

make bench-apply

Both hold the same weights: a randomly initialised GPT2LMHeadModel saved by transformers and taken over by
`lmpipe import`, float32, one thread. Greedy, prompts of 32 tokens, NEW tokens each, in turns; CPU time, prompts and
choice of tokens included, so that neighbours on the machine count for neither. The continuations must be the same.
generate_vs_transformers is the least of the ratios of GPT-2's own shape (12 layers of 768, 50,257 tokens) with 1 and
with 8 prompts at once; a small shape (6 layers of 192, 8,192 tokens) stands beside it in the table.
"""

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from transformers import GPT2Config, GPT2LMHeadModel

from lmpipe.apply.decoding import Decoding
from lmpipe.apply.generate import Writer, open_model
from lmpipe.apply.importing import import_folder
from tests.bench.harness import finish

PROMPT, NEW = 32, 48
ROUNDS = 3
ROWS = (1, 8)


class Shape(NamedTuple):
    """A GPT-2."""

    name: str
    layers: int
    width: int
    heads: int
    vocabulary: int


SHAPES = (Shape("12 x 768", 12, 768, 12, 50_257), Shape("6 x 192", 6, 192, 6, 8_192))


def both(shape: Shape, folder: Path) -> tuple[Writer, GPT2LMHeadModel]:
    """Make a GPT-2, save it, and take it over."""
    torch.manual_seed(1)
    config = GPT2Config(
        n_layer=shape.layers, n_embd=shape.width, n_head=shape.heads, vocab_size=shape.vocabulary, n_positions=1024,
        bos_token_id=shape.vocabulary - 1, eos_token_id=shape.vocabulary - 1, initializer_range=0.1,
    )  # fmt: skip
    model = GPT2LMHeadModel(config).eval()
    model.save_pretrained(folder / shape.name)
    tokens = {f"t{number}": number for number in range(shape.vocabulary)}
    body: dict[str, Any] = {"version": "1.0", "model": {"type": "WordLevel", "vocab": tokens, "unk_token": "t0"}}
    (folder / shape.name / "tokenizer.json").write_text(json.dumps(body))
    return open_model(import_folder(folder / shape.name, folder / "data")), model


def theirs(model: GPT2LMHeadModel, ids_BT: torch.Tensor) -> list[list[int]]:
    """Generate as transformers does."""
    with torch.inference_mode():
        found = model.generate(
            ids_BT, max_new_tokens=NEW, do_sample=False, pad_token_id=0, attention_mask=torch.ones_like(ids_BT)
        )
    written: list[list[int]] = found[:, ids_BT.shape[1] :].tolist()
    return written


def ours(writer: Writer, ids_BT: torch.Tensor) -> list[list[int]]:
    """Generate as `lmpipe generate` does."""
    decoding = Decoding(temperature=None, max_tokens=NEW)
    return [list(one.ids) for one in writer.write_all(ids_BT.tolist(), decoding)]


def seconds(run: Callable[[], object]) -> float:
    """CPU time of one call."""
    started = time.process_time()
    run()
    return time.process_time() - started


def speeds(shape: Shape, writer: Writer, model: GPT2LMHeadModel) -> dict[str, float]:
    """Measure new tokens a CPU second, by contestant and number of prompts, medians of rounds in turns."""
    rates = {}
    for rows in ROWS:
        ids_BT = torch.randint(0, shape.vocabulary - 1, (rows, PROMPT), generator=torch.Generator().manual_seed(rows))
        assert ours(writer, ids_BT) == theirs(model, ids_BT), "both write the same"
        taken: dict[str, list[float]] = {"lmpipe": [], "transformers": []}
        for _ in range(ROUNDS):
            taken["lmpipe"].append(seconds(lambda ids=ids_BT: ours(writer, ids)))  # type: ignore[misc]
            taken["transformers"].append(seconds(lambda ids=ids_BT: theirs(model, ids)))  # type: ignore[misc]
        for name, times in taken.items():
            rates[f"{name}, {shape.name}, {rows} prompts"] = rows * NEW / statistics.median(times)
    return rates


@torch.inference_mode()
def logit_difference(shape: Shape, writer: Writer, model: GPT2LMHeadModel) -> float:
    """Find the largest difference of logits over some rows of 64 tokens."""
    ids_BT = torch.randint(0, shape.vocabulary, (4, 64), generator=torch.Generator().manual_seed(0))
    return float((writer.model(ids_BT) - model(ids_BT).logits).abs().max())


def main() -> None:
    """Print the table and the ratios."""
    torch.set_num_threads(1)
    rates: dict[str, float] = {}
    differences = []
    with tempfile.TemporaryDirectory() as folder:
        for shape in SHAPES:
            writer, model = both(shape, Path(folder))
            differences.append(logit_difference(shape, writer, model))
            rates |= speeds(shape, writer, model)
    pairs = {
        f"{shape.name}, {rows} prompts": rates[f"lmpipe, {shape.name}, {rows} prompts"]
        / rates[f"transformers, {shape.name}, {rows} prompts"]
        for shape in SHAPES
        for rows in ROWS
    }
    ratios = {f"generate_vs_transformers, {name}": ratio for name, ratio in pairs.items()}
    ratios["generate_vs_transformers"] = min(pairs[f"{SHAPES[0].name}, {rows} prompts"] for rows in ROWS)
    ratios["gpt2_max_logit_difference"] = max(differences)
    finish(rates, "tokens per CPU second", ratios, Path(sys.argv[1]))


if __name__ == "__main__":
    main()
