"""Translate with a decoder-only model that learnt pairs in a prompt format, by a beam search over many sentences.

A sentence stands in the prompt behind an end-of-text token, as its pair did in training (sources/parallel.py), and
the model goes on to the next end-of-text token. Finished beams compete by ln p / ((5 + length) / 6) ** penalty (Wu
et al. 2016, section 7).

Translations are a dataset, DATA/translate/<name>-..., in units of UNIT_SENTENCES; scores are made from it (bleu.py).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import torch

from lmpipe.apply.beam import Beam, Race, ranked, search
from lmpipe.apply.generate import Writer, open_model
from lmpipe.dataset import Execution, Manifest, Plan, UnitOutput, build
from lmpipe.errors import InputError
from lmpipe.evaluate.scorer import open_scorer
from lmpipe.storage import digest

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
    checkpoint: Literal["latest", "best"] = "latest"
    """Which weights."""
    batch: int = 16
    """Sentences of like length side by side; changes nothing beyond float rounding."""


def translate(writer: Writer, sources: Sequence[str], settings: TranslateSettings) -> list[list[Beam]]:
    """Search the translations of each source, best first; those of like prompt length together.

    Raises InputError for a source whose prompt leaves no room in the model's context.
    """
    prompts = [writer.encode(prompt_of(source, settings)) for source in sources]
    by_length: dict[int, list[int]] = {}
    for row, (source, prompt) in enumerate(zip(sources, prompts, strict=True)):
        if len(prompt) >= writer.scorer.context:
            raise InputError(
                f"a prompt of {len(prompt)} tokens ({source[:40]}...) fills the model's context of"
                f" {writer.scorer.context}. Cut the sentence."
            )
        by_length.setdefault(len(prompt), []).append(row)
    found: list[list[Beam]] = [[] for _ in sources]
    for _, rows in sorted(by_length.items()):
        for first in range(0, len(rows), settings.batch):
            some = rows[first : first + settings.batch]
            for row, beams in zip(some, searched(writer, [prompts[row] for row in some], settings), strict=True):
                found[row] = beams
    return found


def searched(writer: Writer, prompts: Sequence[Sequence[int]], settings: TranslateSettings) -> list[list[Beam]]:
    """Search behind prompts of one length, side by side."""
    length = len(prompts[0])
    race = race_of(settings, min(writer.scorer.context - length, round(10 + settings.length * length)))
    decoder = writer.decoder(len(prompts) * settings.beams, length + race.longest)
    return search(decoder, writer.finite(decoder.start(prompts)), prompts, race, writer.run.end_of_text)


def race_of(settings: TranslateSettings, longest: int) -> Race:
    """Say by which rules translations compete."""
    return Race(
        beams=settings.beams,
        longest=longest,
        divisor=lambda length: ((5 + length) / 6) ** settings.penalty,
        patient=True,
    )


def prompt_of(source: str, settings: TranslateSettings) -> str:
    """Write what a model is given to go on from."""
    return settings.prompt.removesuffix("{target}").replace("{source}", " ".join(source.split()))


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
    """Translate sentences with a run's weights into DATA/translate/<name>-<fingerprint8>/.

    Raises InputError when there are not as many references as sources.
    """
    if references is not None and len(references) != len(sources):
        raise InputError(
            f"expected {len(sources)} references, found {len(references)}. Name the files of one test set."
        )
    scorer = open_scorer(run, settings.checkpoint)
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
    writer = open_model(unit.run, unit.settings.checkpoint)
    torch.set_num_threads(writer.run.settings.threads)
    race, rows = race_of(unit.settings, 1), []
    for number, beams in enumerate(translate(writer, unit.sources, unit.settings)):
        for rank, beam in enumerate(beams, 1):
            rows.append(
                {"sentence": unit.first + number, "rank": rank, "source": unit.sources[number]}
                | {"reference": unit.references[number] if unit.references is not None else None}
                | {"text": " ".join(writer.decode(beam.ids).split()), "log_probability": round(beam.log_p, 6)}
                | {"tokens": len(beam.ids), "score": round(ranked(beam, race), 6)}
            )
    output.write("translations", TRANSLATIONS, [pa.RecordBatch.from_pylist(rows, schema=TRANSLATIONS)])
    output.count("sentences", len(unit.sources))
