"""What all probes of a trained model share: the opened model, its protocol, and the datasets that it was made from."""

from functools import lru_cache
from pathlib import Path
from typing import Literal

import torch

from lmpipe.dataset import Manifest, inputs_of, open_dataset
from lmpipe.errors import DatasetError
from lmpipe.evaluate.scorer import Scorer, open_scorer
from lmpipe.evaluate.signature import dtype_part, vocabulary_part
from lmpipe.train.run import Run

DECIMALS = 6
"""Of nats: below this, float32 differs between batch sizes, and float64 between orders of a sum."""
BATCH = 128
"""Windows that go through a model together: probes are short, and 128 rows of 12 tokens are a small batch."""

Which = Literal["latest", "best"]


@lru_cache(maxsize=1)
def open_probe(folder: Path, which: Which, sha256: str) -> Scorer:
    """Open a run once in a process, for all its units; `sha256` of the checkpoint keeps newer weights apart."""
    scorer = open_scorer(folder, which, batch=BATCH)
    torch.set_num_threads(1)  # the same sums everywhere; units run side by side, and two threads waited for each other
    torch.set_float32_matmul_precision("highest")
    return scorer


def protocol(run: Run, kind: str, *parts: str) -> str:
    """Compose the signature of a probe, in the manner of signature.py."""
    same = [vocabulary_part(run), f"win:{run.settings.context}", "first:eot", dtype_part(run), "v:2"]
    return "|".join([kind, *parts, *same])


def tokens_of(run: Run, data: Path) -> Manifest:
    """Open the tokens dataset that a run was trained on; raises DatasetError where it is not in `data`."""
    folder = data / run.tokens["stage"] / f"{run.tokens['name']}-{run.tokens['fingerprint'][:8]}"
    if not (folder / "manifest.json").exists():
        raise DatasetError(
            f"{run.folder}: its training documents are not at {folder}. Name the folder of all datasets with --data, or"
            " bring a packed run home with `lmpipe collect`."
        )
    return open_dataset(folder)


def chosen_of(run: Run, data: Path) -> list[Manifest]:
    """Open the splits whose training documents a run saw: that of its tokens, then those they were appended to."""
    found, tokens = [], [tokens_of(run, data)]
    while tokens:
        manifest = tokens.pop()
        for encoded in inputs_of(manifest, "encode"):
            found += [chosen for stage in ("split", "decontaminate") for chosen in inputs_of(encoded, stage)]
        tokens += inputs_of(manifest, "tokens")
    return found
