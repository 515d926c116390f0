"""One door to every model that gives texts a probability: open a run directory, score texts, continue them.

Evaluation, minimal pairs, memorisation, rescoring and generation know only `Scorer`; whether an LSTM, a
Transformer or an n-gram model stands behind it is a matter of this file.

    scorer = open_scorer(Path("data/runs/demo-lstm-1a2b3c4d"))
    nats = scorer.score(scorer.encode(["To be, or not to be"]))[0].sum()

Shape letters: B rows, T positions, V vocabulary.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch.nn.utils.rnn import pad_sequence

from lmpipe.errors import TrainingError
from lmpipe.tokens.encode import load_encoder
from lmpipe.train.checkpoint import Checkpoint, find_checkpoint
from lmpipe.train.model import LanguageModel
from lmpipe.train.run import TOKENIZER, Run, load_run
from lmpipe.train.trained import open_model

Nats = NDArray[np.float64]
"""-ln p of each token of a text, in order."""


class Scorer(Protocol):
    """A model with its tokenizer."""

    @property
    def run(self) -> Run:
        """What was trained, on what."""
        ...

    @property
    def checkpoint(self) -> Checkpoint:
        """With which weights."""
        ...

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Turn texts into ids, without end-of-text token; a text that holds the name of one gets no such id."""
        ...

    def decode(self, ids: Sequence[int]) -> str:
        """Turn ids back into text; bytes that are no UTF-8 become U+FFFD."""
        ...

    def score(self, texts: Sequence[Sequence[int]]) -> list[Nats]:
        """Compute -ln p of every token of each text, given all that stands before it in its window.

        The first token of a text is conditioned on the end-of-text token. What stands beside a text in the call
        changes its numbers by float32 rounding only.
        """
        ...


def open_scorer(
    folder: Path, which: Literal["latest", "best"] = "latest", *, context: int | None = None, batch: int = 16
) -> Scorer:
    """Load the model of a run directory with the weights of a checkpoint, on the GPU where there is one.

    `context` is the longest window in tokens, None for that of the training; longer texts are scored in disjoint
    windows. `batch` windows go through the model together. Raises TrainingError for a run without checkpoint.
    """
    run = load_run(folder)
    checkpoint = find_checkpoint(folder, which)
    if checkpoint is None:
        raise TrainingError(f"{folder}: no usable checkpoint. Train the run first.")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = open_model(run, checkpoint, device)
    return NeuralScorer(
        run=run, checkpoint=checkpoint, model=model, context=context or run.settings.context, batch=batch
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class NeuralScorer:
    """A Scorer over any LanguageModel: an LSTM, a Transformer, an n-gram model."""

    run: Run
    checkpoint: Checkpoint
    model: LanguageModel
    context: int
    batch: int

    @property
    def tokenizer(self) -> Path:
        """Path of the run's tokenizer.json."""
        return self.run.paths(TOKENIZER)[0]

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """See Scorer."""
        ids, offsets = load_encoder(self.tokenizer)(list(texts))
        return [ids[start:end].tolist() for start, end in pairwise(offsets)]

    def decode(self, ids: Sequence[int]) -> str:
        """See Scorer."""
        text: str = load_tokenizer(self.tokenizer).decode(list(ids), skip_special_tokens=False)
        return text

    @torch.inference_mode()
    def score(self, texts: Sequence[Sequence[int]]) -> list[Nats]:
        """See Scorer; windows of like length are scored together."""
        nats = [np.zeros(len(text)) for text in texts]
        windows = sorted(
            ((owner, start) for owner, text in enumerate(texts) for start in range(0, len(text), self.context)),
            key=lambda window: len(texts[window[0]]) - window[1],
            reverse=True,
        )
        for first in range(0, len(windows), self.batch):
            some = windows[first : first + self.batch]
            pieces = [self.window(texts[owner], start) for owner, start in some]
            device = self.model.head_VW.device
            ids_BS = pad_sequence([torch.tensor(piece) for piece in pieces], batch_first=True).to(device)
            nll_BT = self.model.nll(ids_BS[:, :-1], ids_BS[:, 1:]).double().cpu().numpy()
            for (owner, start), piece, nll_T in zip(some, pieces, nll_BT, strict=True):
                nats[owner][start : start + len(piece) - 1] = nll_T[: len(piece) - 1]
        return nats

    def window(self, text: Sequence[int], start: int) -> list[int]:
        """Cut the window of `text` that begins at `start`, behind the token before it."""
        before = text[start - 1] if start else self.run.end_of_text
        return [before, *text[start : start + self.context]]


@lru_cache(maxsize=1)
def load_tokenizer(path: Path) -> Tokenizer:
    """Load a tokenizer.json for decoding; kept, since a text is often decoded token by token."""
    return Tokenizer.from_file(str(path))
