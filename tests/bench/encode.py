"""Encoding with GPT-2's tokenizer: ours against Hugging Face tokenizers' encode_batch, one core, real text.

make bench-encode
"""

import json
import os
import sys
from functools import partial
from pathlib import Path

os.environ["TOKENIZERS_PARALLELISM"] = "false"  # one core for both

from tokenizers import Tokenizer

from lmpipe.tokens.encode import load_encoder, reference_encoder, without_special
from tests.bench.harness import corpora, finish, median_seconds


def main() -> None:
    """Encode an English and a Chinese novel, line by line, with both."""
    folder = corpora()
    path = folder / "tokenizers" / "gpt2" / "tokenizer.json"
    ours = load_encoder(path)
    theirs = reference_encoder(Tokenizer.from_str(json.dumps(without_special(json.loads(path.read_text())))))
    rates, ratios = {}, {}
    for language, file in (("en", "gutenberg/pg-huckleberry_finn.txt"), ("zh", "zh/西游记.txt")):
        lines = (folder / "novels" / file).read_text(encoding="utf-8")[:500_000].splitlines()
        size = sum(len(line.encode()) for line in lines) / 1e6
        seconds = median_seconds({"lmpipe": partial(ours, lines), "tokenizers": partial(theirs, lines)})
        rates |= {f"{name} {language}": size / taken for name, taken in seconds.items()}
        ratios[f"encode_vs_tokenizers_{language}"] = seconds["tokenizers"] / seconds["lmpipe"]
    finish(rates, "MB/s", ratios, Path(sys.argv[1]))


if __name__ == "__main__":
    main()
