"""Translate with a decoder-only model that learnt pairs in a prompt format, by a beam search over many sentences.

A sentence stands in the prompt behind an end-of-text token, as its pair did in training (sources/parallel.py), and
the model goes on to the next end-of-text token. Finished beams compete by ln p / ((5 + length) / 6) ** penalty (Wu
et al. 2016, section 7); the search of a sentence ends when no live beam can overtake its worst finished one, even if
it cost nothing more up to the longest length.

Translations are a dataset, DATA/translate/<name>-..., in units of UNIT_SENTENCES; scores are made from it (bleu.py).

Shape letters: N sentences, K beams, B = N x K rows, T positions, V vocabulary.
"""

import heapq
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import torch
from torch import Tensor

from lmpipe.dataset import Execution, Manifest, Plan, UnitOutput, build
from lmpipe.errors import InputError
from lmpipe.evaluate.scorer import Scorer, open_scorer
from lmpipe.storage import digest
from lmpipe.train.model import LanguageModel, State

VERSION = 1
UNIT_SENTENCES = 128
"""A minute of one core for a model of 10 million parameters and 5 beams: what a kill can lose."""

TRANSLATIONS = pa.schema(
    [
        ("sentence", pa.int64()),
        ("rank", pa.int64()),
        ("source", pa.string()),
        ("reference", pa.string()),
        ("text", pa.string()),
        ("log_probability", pa.float64()),
        ("tokens", pa.int64()),
        ("score", pa.float64()),
    ]
)
"""One row per sentence and finished beam, best first; tokens count the one that ends the text, score is penalised."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TranslateSettings:
    """How to translate."""

    prompt: str = "{source}\n{target}"
    """The format of the training's source; all before {target} is the prompt."""
    beams: int = 5
    """Beams a sentence, and translations in its list."""
    penalty: float = 0.6
    """Exponent of the length penalty: 0 prefers short texts, 1 about the mean ln p of a token."""
    length: float = 2.0
    """Tokens of a translation at most, as a multiple of the prompt's, and 10 more."""
    batch: int = 16
    """Sentences of like length side by side; changes nothing beyond float rounding."""


class Beam(NamedTuple):
    """A finished translation."""

    score: float
    """Penalised."""
    log_p: float
    ids: tuple[int, ...]


@dataclass(slots=True, kw_only=True)
class Search:
    """The search of one sentence."""

    limit: int
    """Tokens at most."""
    live: list[tuple[float, tuple[int, ...]]] = field(default_factory=lambda: [(0.0, ())])
    """ln p and ids of what is followed, best first."""
    finished: list[Beam] = field(default_factory=list)


def penalised(log_p: float, length: int, penalty: float) -> float:
    """Apply the length penalty."""
    divisor: float = ((5 + length) / 6) ** penalty
    return log_p / divisor


@torch.inference_mode()
def translate(scorer: Scorer, sources: Sequence[str], settings: TranslateSettings) -> list[list[Beam]]:
    """Search the translations of each source, best first; those of like prompt length together.

    Raises InputError for a source whose prompt leaves no room in the model's context.
    """
    prompts = [[scorer.run.end_of_text, *ids] for ids in scorer.encode([prompt_of(s, settings) for s in sources])]
    for source, prompt in zip(sources, prompts, strict=True):
        if len(prompt) >= scorer.context:
            raise InputError(
                f"a prompt of {len(prompt)} tokens ({source[:40]}...) fills the model's context of {scorer.context}."
                " Cut the sentence."
            )
    by_length: dict[int, list[int]] = {}
    for row, prompt in enumerate(prompts):
        by_length.setdefault(len(prompt), []).append(row)
    found: list[list[Beam]] = [[] for _ in sources]
    for length, rows in sorted(by_length.items()):
        limit = min(scorer.context - length, round(10 + settings.length * length))
        for first in range(0, len(rows), settings.batch):
            some = rows[first : first + settings.batch]
            ids_NT = torch.tensor([prompts[row] for row in some], device=scorer.model.head_VW.device)
            for row, beams in zip(
                some, search(scorer.model, ids_NT, scorer.run.end_of_text, limit, settings), strict=True
            ):
                found[row] = beams
    return found


def prompt_of(source: str, settings: TranslateSettings) -> str:
    """Write what a model is given to go on from."""
    return settings.prompt.removesuffix("{target}").replace("{source}", " ".join(source.split()))


def search(model: LanguageModel, ids_NT: Tensor, end: int, limit: int, settings: TranslateSettings) -> list[list[Beam]]:
    """Search behind prompts of one length, side by side; a sentence that is done leaves the batch."""
    searches = [Search(limit=limit) for _ in ids_NT]
    active = list(searches)
    logits_BV, state = model.next_logits(ids_NT, model.begin(len(ids_NT)))
    for step in range(1, limit + 1):
        grown = extend(active, logits_BV, end, step, settings)
        if not grown:
            break
        active = [one for one, _ in grown]
        rows_B = torch.tensor([row for _, rows in grown for row in rows], device=ids_NT.device)
        state = kept(state, rows_B)
        last_B1 = torch.tensor([[ids[-1]] for one in active for _, ids in one.live], device=ids_NT.device)
        logits_BV, state = model.next_logits(last_B1, state)
    return [sorted(one.finished, key=lambda beam: (-beam.score, beam.ids)) for one in searches]


def kept(state: State, rows_B: Tensor) -> State:
    """Take rows of a state, in this order."""
    return [(first[rows_B], second[rows_B]) for first, second in state]


def extend(
    active: Sequence[Search], logits_BV: Tensor, end: int, step: int, settings: TranslateSettings
) -> list[tuple[Search, list[int]]]:
    """Grow all beams of all sentences by one token; return the sentences that go on, with the rows to go on from."""
    log_p_BV = logits_BV.double().log_softmax(-1)
    number = min(2 * settings.beams, log_p_BV.shape[1])
    best = log_p_BV.topk(number, dim=-1)  # no beam can give more than this to the best of all
    values, tokens = best.values.tolist(), best.indices.tolist()
    going, row = [], 0
    for one in active:
        candidates = [
            (log_p + value, (*ids, token), row + place)
            for place, (log_p, ids) in enumerate(one.live)
            for value, token in zip(values[row + place], tokens[row + place], strict=True)
        ]
        row += len(one.live)
        rows = advance(one, sorted(candidates, key=lambda c: (-c[0], c[1]))[:number], end, step, settings)
        if rows:
            going.append((one, rows))
    return going


def advance(
    one: Search,
    candidates: Sequence[tuple[float, tuple[int, ...], int]],
    end: int,
    step: int,
    settings: TranslateSettings,
) -> list[int]:
    """Sort the best candidates of a sentence into finished and live; return the rows of the live, none when done."""
    last = step == one.limit
    for log_p, ids, _ in candidates[: settings.beams]:
        if ids[-1] == end or last:
            one.finished.append(Beam(penalised(log_p, len(ids), settings.penalty), log_p, ids))
    one.finished = heapq.nsmallest(settings.beams, one.finished, key=lambda beam: (-beam.score, beam.ids))
    going = [candidate for candidate in candidates if candidate[1][-1] != end][: settings.beams]
    one.live = [(log_p, ids) for log_p, ids, _ in going]
    full = len(one.finished) == settings.beams
    hope = penalised(going[0][0], one.limit, settings.penalty) if going else -float("inf")
    if last or (full and one.finished[-1].score >= hope):
        return []
    return [row for _, _, row in going]


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """Some sentences to translate."""

    run: Path
    first: int
    """Number of the first."""
    sources: list[str]
    references: list[str] | None
    settings: TranslateSettings


def translate_file(
    run: Path,
    sources: Sequence[str],
    references: Sequence[str] | None,
    settings: TranslateSettings,
    name: str,
    inputs: Sequence[Mapping[str, Any]],
    data: Path,
    execution: Execution,
) -> Manifest:
    """Translate sentences with a run's newest weights into DATA/translate/<name>-<fingerprint8>/.

    Raises InputError when there are not as many references as sources.
    """
    if references is not None and len(references) != len(sources):
        raise InputError(
            f"expected {len(sources)} references, found {len(references)}. Name the files of one test set."
        )
    scorer = open_scorer(run)
    plan = Plan(
        stage="translate",
        name=name,
        version=VERSION,
        settings=asdict(settings)
        | {"run": scorer.run.name, "step": scorer.checkpoint.step, "sentences": len(sources)}
        | {"sources": digest(list(sources)), "references": digest(references)},
        inputs=({"run": scorer.run.fingerprint, "checkpoint": scorer.checkpoint.sha256}, *map(dict, inputs)),
    )
    return build(plan, data, translate_unit, list(cut(run, sources, references, settings)), execution)


def cut(
    run: Path, sources: Sequence[str], references: Sequence[str] | None, settings: TranslateSettings
) -> Iterator[Unit]:
    """Cut sentences into units."""
    for first in range(0, len(sources), UNIT_SENTENCES):
        some = slice(first, first + UNIT_SENTENCES)
        wanted = list(references[some]) if references is not None else None
        yield Unit(run=run, first=first, sources=list(sources[some]), references=wanted, settings=settings)


def translate_unit(unit: Unit, output: UnitOutput) -> None:
    """Translate the sentences of one unit and write all beams; runs in any process."""
    scorer = open_scorer(unit.run)
    torch.set_num_threads(scorer.run.settings.threads)
    rows = []
    for number, beams in enumerate(translate(scorer, unit.sources, unit.settings)):
        for rank, beam in enumerate(beams, 1):
            rows.append(
                {"sentence": unit.first + number, "rank": rank, "source": unit.sources[number]}
                | {"reference": unit.references[number] if unit.references is not None else None}
                | {"text": text_of(scorer, beam.ids), "log_probability": round(beam.log_p, 6)}
                | {"tokens": len(beam.ids), "score": round(beam.score, 6)}
            )
    output.write("translations", TRANSLATIONS, [pa.RecordBatch.from_pylist(rows, schema=TRANSLATIONS)])
    output.count("sentences", len(unit.sources))


def text_of(scorer: Scorer, ids: Sequence[int]) -> str:
    """Decode a translation into one line, without the token that ends it."""
    end = scorer.run.end_of_text
    return " ".join(scorer.decode([i for i in ids if i != end]).split())
