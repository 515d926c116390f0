"""Continue texts: one loop for every model and way of decoding, in pieces as they come or whole.

    model = open_model(Path("data/runs/demo-transformer-1a2b3c4d"))
    print(model.write("The ship", Decoding(temperature=None)).text)

A prompt stands behind an end-of-text token, as every document of the training did.

Shape letters: B rows, V vocabulary.
"""

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import torch
from torch import Tensor

from lmpipe.apply.beam import Beam, Race, search
from lmpipe.apply.decoder import Decoder, StateDecoder, TransformerDecoder, Weights
from lmpipe.apply.decoding import Decoding, check_decoding, choose, penalise
from lmpipe.apply.text import GrowingText
from lmpipe.errors import InputError, TrainingError
from lmpipe.evaluate.scorer import Scorer, open_scorer
from lmpipe.storage import digest
from lmpipe.tokens.tokenizer import read_tokenizer, vocabulary
from lmpipe.train.model import Transformer

Ending = Literal["stop", "length"]
"""Why a continuation ended, in OpenAI's words: at an end-of-text token or a stop sequence, or at its longest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Continuation:
    """What a model wrote behind a prompt."""

    ids: tuple[int, ...]
    """Tokens; an end-of-text token or a stop sequence that ended it is among them."""
    text: str
    """Their text, without either."""
    nats: tuple[float, ...]
    """-ln p of each token by the model itself, before any filter."""
    ending: Ending


GENERATED = pa.schema(
    [
        ("id", pa.string()),
        ("prompt", pa.string()),
        ("text", pa.string()),
        ("ending", pa.string()),
        ("num_tokens", pa.int64()),
        ("log_probability", pa.float64()),
    ]
)
"""One row per continuation; log_probability by the model itself, base e."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A token that was written."""

    row: int
    token: int
    nats: float
    """-ln p by the model itself."""
    top: tuple[tuple[int, float], ...] = ()
    """Most probable tokens there with their nats, where they were asked for."""


class Writer:
    """A model that continues texts."""

    def __init__(self, scorer: Scorer) -> None:
        self.scorer, self.run, self.model = scorer, scorer.run, scorer.model
        self.layouts: dict[bool, Weights] = {}

    @property
    def context(self) -> int | None:
        """Longest text in tokens, prompt and continuation together; None where there is no bound."""
        return self.scorer.context if isinstance(self.model, Transformer) else None

    def decode(self, ids: Sequence[int]) -> str:
        """Turn ids into text, without the end-of-text token."""
        return self.scorer.decode([token for token in ids if token != self.run.end_of_text])

    def encode(self, prompt: str) -> list[int]:
        """Turn a prompt into ids, behind an end-of-text token."""
        return [self.run.end_of_text, *self.scorer.encode([prompt])[0]]

    def decoder(self, rows: int, length: int) -> Decoder:
        """Make what steps the model; a Transformer's weights are laid out once for one row, once for several."""
        if not isinstance(self.model, Transformer):
            return StateDecoder(self.model)
        if (rows == 1) not in self.layouts:
            self.layouts[rows == 1] = Weights(self.model, rows)
        return TransformerDecoder(self.layouts[rows == 1], length)

    def stream(self, prompt: str, decoding: Decoding) -> Generator[str, None, Continuation]:
        """Continue one text and yield it piece by piece, whole characters only; return all of it."""
        if decoding.beams > 1:
            whole = self.write(prompt, decoding)
            yield whole.text
            return whole
        text, nats, shown = GrowingText(self.decode, decoding.stop), [], 0
        for step in self.steps([self.encode(prompt)], decoding, [text]):
            nats.append(step.nats)
            yield text.text[shown : text.num_given]
            shown = text.num_given
        yield text.finish()
        return Continuation(ids=tuple(text.ids), text=text.text, nats=tuple(nats), ending=self.ending(text))

    def write(self, prompt: str, decoding: Decoding) -> Continuation:
        """Continue one text."""
        return self.write_all([self.encode(prompt)], decoding)[0]

    def write_all(
        self, prompts: Sequence[Sequence[int]], decoding: Decoding, first_number: int = 0
    ) -> list[Continuation]:
        """Continue texts of ids side by side; `first_number` is the first one's among all prompts of a call.

        Raises InputError for a prompt without tokens or a text that would not fit into the model's context.
        """
        if decoding.beams > 1:
            return self.search(prompts, decoding)
        texts = [GrowingText(self.decode, decoding.stop) for _ in prompts]
        nats: list[list[float]] = [[] for _ in prompts]
        for step in self.steps(prompts, decoding, texts, first_number):
            nats[step.row].append(step.nats)
        for text in texts:
            text.finish()
        return [
            Continuation(ids=tuple(text.ids), text=text.text, nats=tuple(some), ending=self.ending(text))
            for text, some in zip(texts, nats, strict=True)
        ]

    def ending(self, text: GrowingText) -> Ending:
        """Say why a text ended."""
        return "stop" if text.stopped or text.ids[-1:] == [self.run.end_of_text] else "length"

    def steps(
        self,
        prompts: Sequence[Sequence[int]],
        decoding: Decoding,
        texts: Sequence[GrowingText],
        first_number: int = 0,
        num_top: int = 0,
    ) -> Iterator[Step]:
        """Continue prompts token by token; each token is in its text of `texts` when it is yielded.

        Rows that have ended are left out of the following steps.
        """
        self.check(prompts, decoding)
        rows = list(range(len(prompts)))
        seen = [list(prompt) for prompt in prompts]
        generators = [seeded(decoding.seed, first_number + row) for row in rows]
        decoder = self.decoder(len(prompts), max(map(len, prompts)) + decoding.max_tokens)
        logits_BV = self.finite(decoder.start(prompts))
        for number in range(decoding.max_tokens):
            punished_BV = penalise(logits_BV, [seen[row] for row in rows], decoding.repetition_penalty)
            ids_B = choose(punished_BV, decoding, [generators[row] for row in rows])
            log_p_BV = logits_BV.log_softmax(-1)
            nats = (-log_p_BV.gather(1, ids_B[:, None])).squeeze(1).tolist()
            tops = most_probable(log_p_BV, num_top)
            for row, token, value, top in zip(rows, ids_B.tolist(), nats, tops, strict=True):
                texts[row].push(token)
                seen[row].append(token)
                yield Step(row=row, token=token, nats=value, top=top)
            going = [place for place, row in enumerate(rows) if self.goes_on(texts[row])]
            if not going or number + 1 == decoding.max_tokens:
                return
            if len(going) < len(rows):
                kept = torch.tensor(going, device=ids_B.device)
                decoder.keep(kept)
                rows, ids_B = [rows[place] for place in going], ids_B[kept]
            logits_BV = decoder.step(ids_B)

    def goes_on(self, text: GrowingText) -> bool:
        """Say whether a text has come to no end of its own."""
        return not text.stopped and text.ids[-1] != self.run.end_of_text

    def search(self, prompts: Sequence[Sequence[int]], decoding: Decoding) -> list[Continuation]:
        """Continue prompts by beam search."""
        self.check(prompts, decoding)
        race = Race(
            beams=decoding.beams,
            longest=decoding.max_tokens,
            divisor=lambda length: length**decoding.length_penalty,
            patient=False,
            repetition_penalty=decoding.repetition_penalty,
        )
        decoder = self.decoder(len(prompts) * decoding.beams, max(map(len, prompts)) + decoding.max_tokens)
        found = search(decoder, self.finite(decoder.start(prompts)), prompts, race, self.run.end_of_text)
        return [self.best(beams[0], decoding) for beams in found]

    def best(self, beam: Beam, decoding: Decoding) -> Continuation:
        """Lay out a beam, up to its first stop sequence."""
        text = GrowingText(self.decode, decoding.stop)
        for token in beam.ids:
            text.push(token)
            if text.stopped:
                break
        text.finish()
        nats = beam.nats[: len(text.ids)]
        return Continuation(ids=tuple(text.ids), text=text.text, nats=nats, ending=self.ending(text))

    def check(self, prompts: Sequence[Sequence[int]], decoding: Decoding, with_room: bool = True) -> None:
        """Refuse what cannot be continued; without `with_room`, the prompts alone must fit."""
        check_decoding(decoding)
        for number, prompt in enumerate(prompts):
            if not prompt:
                raise InputError(f"prompt {number}: expected at least one token, found none. Give it some text.")
            self.check_ids(prompt, number)
            wanted = len(prompt) + (decoding.max_tokens if with_room else 0)
            if self.context is not None and wanted > self.context:
                raise InputError(
                    f"prompt {number}: its {len(prompt)} tokens and max_tokens {decoding.max_tokens} are {wanted}, more"
                    f" than the model's context of {self.context}. Shorten the prompt or lower max_tokens."
                )

    def check_ids(self, ids: Sequence[int], number: int) -> None:
        """Refuse ids that the model has no embedding for."""
        wrong = next((token for token in ids if not 0 <= token < self.run.vocabulary), None)
        if wrong is not None:
            raise InputError(
                f"prompt {number}: token {wrong} is not in the model's vocabulary of {self.run.vocabulary}."
                " Encode the prompt with the run's own tokenizer."
            )

    def row_of(self, ident: str, prompt: str, written: Continuation) -> dict[str, Any]:
        """Lay out a row of GENERATED."""
        row = {"id": ident, "prompt": prompt, "text": written.text, "ending": written.ending}
        return row | {"num_tokens": len(written.ids), "log_probability": round(-sum(written.nats), 6)}

    def finite(self, logits_BV: Tensor) -> Tensor:
        """Refuse weights that give no numbers."""
        if not logits_BV.isfinite().all():
            raise TrainingError(
                f"{self.scorer.checkpoint.folder}: expected finite logits, found NaN or infinity: the weights are"
                " broken. Take another checkpoint, or train again with a lower lr."
            )
        return logits_BV


def open_model(folder: Path, which: Literal["latest", "best"] = "latest", context: int | None = None) -> Writer:
    """Open a run directory's model for writing.

    `context` as in open_scorer. Raises TrainingError for a run without usable checkpoint or with another tokenizer,
    InputError for a context that the model does not have.
    """
    scorer = open_scorer(folder, which, context=context)
    check_tokenizer(scorer)
    positions = getattr(scorer.run.settings.model, "positions", None)
    if positions is not None and scorer.context > positions:
        raise InputError(
            f"{folder}: a context of {scorer.context} was asked for, the model has {positions} learned positions."
            f" Ask for {positions} at most."
        )
    return Writer(scorer)


def check_tokenizer(scorer: Scorer) -> None:
    """Refuse a tokenizer that has ids beyond the model's vocabulary."""
    size = vocabulary(read_tokenizer(scorer.tokenizer))
    if size > scorer.run.vocabulary:
        raise TrainingError(
            f"{scorer.tokenizer}: a tokenizer of {size} tokens, but the model has {scorer.run.vocabulary}: it is"
            " another model's. Prepare or import the run again with its own."
        )


def seeded(seed: int, number: int) -> torch.Generator:
    """Make the generator of the n-th prompt."""
    return torch.Generator().manual_seed(int(digest([seed, "generate", number])[:15], 16))


def most_probable(log_p_BV: Tensor, number: int) -> list[tuple[tuple[int, float], ...]]:
    """List the most probable tokens of each row with their nats."""
    if not number:
        return [()] * len(log_p_BV)
    found = log_p_BV.topk(min(number, log_p_BV.shape[1]), dim=-1)
    pairs = zip(found.indices.tolist(), found.values.tolist(), strict=True)
    return [tuple((i, -value) for i, value in zip(*pair, strict=True)) for pair in pairs]
