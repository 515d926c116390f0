"""What a model writes, for people to read beside its run.

A model's text may hold anything, script tags and code fences too: it stands in a code block whose fence is longer than
any in it, so that a page shows it and does nothing else with it.
"""

import json
import re
from pathlib import Path

from lmpipe.train.run import TOKENIZER, load_run

NEWEST = 3
"""Samples shown, the newest first."""


def samples_markdown(run: Path) -> str:
    """Lay out the newest samples of a training; empty where its recipe asks for none (train.sample_every)."""
    path = run / "samples.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    if not lines:
        return ""
    from tokenizers import Tokenizer

    decoder = Tokenizer.from_file(str(load_run(run).paths(TOKENIZER)[0]))
    samples = [json.loads(line) for line in reversed(lines[-NEWEST:])]
    return "\n\n".join(f"Step {s['step']:,}\n\n{fenced(decoder.decode(s['ids']))}" for s in samples)


def fenced(text: str) -> str:
    """Put a text into a code block that it cannot leave."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{text}\n{fence}"
