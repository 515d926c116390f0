"""One door to every model that gives texts a probability: open a run directory, score texts, continue them.

Minimal pairs, memorisation, surprisal, rescoring and generation know only `Scorer`; whether an LSTM, a Transformer or
an n-gram model stands behind it is a matter of `model`, which all of them step and score alike.

    scorer = open_scorer(Path("data/runs/demo-lstm-1a2b3c4d"))
    nats = scorer.score(scorer.encode(["To be, or not to be"]))[0].sum()
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Literal

import torch
from tokenizers import Tokenizer

from lmpipe.evaluate.windows import Nats, Windows, token_nats
from lmpipe.tokens.encode import load_encoder
from lmpipe.train.checkpoint import Checkpoint, need_checkpoint
from lmpipe.train.model import LanguageModel
from lmpipe.train.run import TOKENIZER, Run, load_run
from lmpipe.train.trained import open_model


@dataclass(frozen=True, kw_only=True)
class Scorer:
    """A model with its tokenizer."""

    run: Run
    """What was trained, on what."""
    checkpoint: Checkpoint
    """With which weights."""
    model: LanguageModel
    context: int
    """Longest window in tokens."""
    batch: int
    """Windows that go through the model together."""

    @property
    def tokenizer(self) -> Path:
        """Path of the run's tokenizer.json."""
        return self.run.paths(TOKENIZER)[0]

    @cached_property
    def decoder(self) -> Tokenizer:
        """The tokenizer, loaded."""
        return Tokenizer.from_file(str(self.tokenizer))

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Turn texts into ids, without end-of-text token; a text that holds the name of one gets no such id."""
        ids, offsets = load_encoder(self.tokenizer)(list(texts))
        return [ids[start:end].tolist() for start, end in pairwise(offsets)]

    def decode(self, ids: Sequence[int]) -> str:
        """Turn ids back into text; bytes that are no UTF-8 become U+FFFD."""
        text: str = self.decoder.decode(list(ids), skip_special_tokens=False)
        return text

    def score(self, texts: Sequence[Sequence[int]]) -> list[Nats]:
        """Compute -ln p of every token of each text, given all that stands before it in its window.

        The first token of a text is conditioned on the end-of-text token. What stands beside a text in the call
        changes its numbers by float32 rounding only.
        """
        windows = Windows(context=self.context, stride=self.context)
        ids = [torch.tensor(text, dtype=torch.long) for text in texts]
        return token_nats(self.model, ids, self.run.end_of_text, windows, self.batch)


def open_scorer(
    folder: Path, which: Literal["latest", "best"] = "latest", *, context: int | None = None, batch: int = 16
) -> Scorer:
    """Load the model of a run directory with the weights of a checkpoint, on the GPU where there is one.

    `context` is the longest window in tokens, None for that of the training; longer texts are scored in disjoint
    windows. `batch` windows go through the model together. Raises TrainingError for a run without checkpoint.
    """
    run, checkpoint = load_run(folder), need_checkpoint(folder, which)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = open_model(run, checkpoint, device)
    return Scorer(run=run, checkpoint=checkpoint, model=model, context=context or run.settings.context, batch=batch)
