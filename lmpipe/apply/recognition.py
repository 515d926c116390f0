"""Evaluate the rescoring of lists of hypotheses: one table of systems, committed as a dataset.

Systems: `first`, the list's own best; `given`, by weights from outside; `tuned`, by weights that were tuned on
other utterances; `oracle`, the hypothesis with the fewest errors that the list holds, which no weights can beat.
The dataset DATA/rescore/<name>-... holds one row per system and utterance; the warehouse has views of rates over it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from lmpipe.apply.nbest import NBest
from lmpipe.apply.rescore import Grid, Weights, choose, default_grid, fold_of, tune, tune_folds
from lmpipe.apply.wer import Difference, Script, compare, count_errors, interval, resampled, word_errors
from lmpipe.dataset import Execution, Manifest, Plan, UnitOutput, build
from lmpipe.errors import InputError
from lmpipe.evaluate.scorer import Scorer

VERSION = 1

RECOGNITIONS = pa.schema(
    [
        ("system", pa.string()),
        ("utterance", pa.string()),
        ("fold", pa.int64()),
        ("hypothesis", pa.string()),
        ("words", pa.int64()),
        ("word_errors", pa.int64()),
        ("characters", pa.int64()),
        ("character_errors", pa.int64()),
    ]
)
"""One row per system and utterance; words and characters are the reference's; fold is null where nothing is tuned."""

WEIGHTS = pa.schema([("system", pa.string()), ("fold", pa.int64()), ("score", pa.string()), ("weight", pa.float64())])
"""One row per system, fold and score; tuned weights of no fold are those of all utterances, for other lists to use."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What is compared, and how."""

    name: str
    """Of the lists: names the dataset."""
    script: Script
    """What a word is."""
    given: Weights | None
    """Weights from outside."""
    fixed: Weights
    """Weights that are not tuned, the main score's first."""
    grid: Grid | None
    """Values of those that are; None where nothing is tuned."""
    folds: int = 2
    seed: int = 1
    """Of folds and resampling."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """The one unit's arguments: everything is in memory already."""

    trial: Trial
    lists: list[NBest]


def evaluate_lists(
    lists: Sequence[NBest],
    trial: Trial,
    inputs: Sequence[Mapping[str, Any]],
    scorer: Scorer | None,
    data: Path,
    execution: Execution,
) -> Manifest:
    """Rescore `lists`, each with its reference, and commit what each system chose.

    `inputs` name the files; `scorer` is the model behind the score `model`, if there is one. Raises InputError for an
    utterance without reference, or that is there twice.
    """
    check_lists(lists)
    settings = asdict(trial) | {"utterances": len(lists)}
    made_from = [dict(item) for item in inputs]
    if scorer is not None:
        made_from.append({"run": scorer.run.fingerprint, "checkpoint": scorer.checkpoint.sha256})
        settings |= {"run": scorer.run.name, "step": scorer.checkpoint.step}
    plan = Plan(stage="rescore", name=trial.name, version=VERSION, settings=settings, inputs=tuple(made_from))
    return build(plan, data, rescore_unit, [Unit(trial=trial, lists=list(lists))], execution)


def check_lists(lists: Sequence[NBest]) -> None:
    """Refuse an utterance that is there twice or has no reference, and no utterance at all."""
    seen: set[str] = set()
    for nbest in lists:
        if nbest.utterance in seen:
            raise InputError(f"utterance {nbest.utterance} is there twice. Let its hypotheses stand together.")
        if nbest.reference is None:
            raise InputError(f"utterance {nbest.utterance} has no reference. Add it to --refs, or take its list away.")
        seen.add(nbest.utterance)
    if not seen:
        raise InputError("expected lists of hypotheses, found none. Name their files.")


def rescore_unit(unit: Unit, output: UnitOutput) -> None:
    """Choose by every system, count errors, and write both."""
    trial, lists = unit.trial, unit.lists
    errors = [word_errors(str(nbest.reference), nbest.texts, trial.script).astype(np.float64) for nbest in lists]
    rows = [row("first", nbest, 0, None, trial.script) for nbest in lists]
    weights: list[dict[str, Any]] = []
    if trial.given is not None:
        rows += [row("given", nbest, choose(nbest, trial.given), None, trial.script) for nbest in lists]
        weights += weight_rows("given", None, trial.given)
    if trial.grid is not None:
        folds = [fold_of(nbest.utterance, trial.folds, trial.seed) for nbest in lists]
        tuned = tune_folds(lists, errors, trial.fixed, trial.grid, folds)
        for nbest, fold in zip(lists, folds, strict=True):
            rows.append(row("tuned", nbest, choose(nbest, tuned[fold]), fold, trial.script))
        for fold, found in tuned.items():
            weights += weight_rows("tuned", fold, found)
        weights += weight_rows("tuned", None, tune(lists, errors, trial.fixed, trial.grid))
    rows += [row("oracle", nbest, int(e.argmin()), None, trial.script) for nbest, e in zip(lists, errors, strict=True)]
    output.write("recognitions", RECOGNITIONS, [pa.RecordBatch.from_pylist(rows, schema=RECOGNITIONS)])
    output.write("rescore-weights", WEIGHTS, [pa.RecordBatch.from_pylist(weights, schema=WEIGHTS)])
    output.count("utterances", len(lists))
    output.count("hypotheses", sum(len(nbest.texts) for nbest in lists))


def row(system: str, nbest: NBest, choice: int, fold: int | None, script: Script) -> dict[str, Any]:
    """Lay out the choice of one system."""
    counted = count_errors(str(nbest.reference), nbest.texts[choice], script)._asdict()
    return {"system": system, "utterance": nbest.utterance, "fold": fold, "hypothesis": nbest.texts[choice]} | counted


def weight_rows(system: str, fold: int | None, weights: Weights) -> list[dict[str, Any]]:
    """Lay out weights."""
    return [{"system": system, "fold": fold, "score": name, "weight": weight} for name, weight in weights.items()]


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One system in the table."""

    system: str
    utterances: int
    words: int
    word_errors: int
    wer: tuple[float, float, float]
    """Rate and 95 % interval."""
    characters: int
    character_errors: int
    against_first: Difference | None
    """Of WER, paired by utterance; None for `first` itself."""


def table(recognitions: pa.Table, seed: int) -> list[Line]:
    """Sum the rows of a dataset by system, with intervals over the same resampled utterances."""
    systems = dict.fromkeys(recognitions["system"].to_pylist())
    rows = {name: [r for r in recognitions.to_pylist() if r["system"] == name] for name in systems}
    rates = {name: resampled(column(some, "word_errors"), column(some, "words"), seed) for name, some in rows.items()}
    lines = []
    for name, some in rows.items():
        sums = {key: int(column(some, key).sum()) for key in ("words", "word_errors", "characters", "character_errors")}
        rate = sums["word_errors"] / max(1, sums["words"])
        difference = None if name == "first" else compare(rates[name], rates["first"])
        lines.append(
            Line(
                system=name, utterances=len(some), wer=(rate, *interval(rates[name])), against_first=difference, **sums
            )
        )
    return lines


def column(rows: Sequence[Mapping[str, Any]], key: str) -> Any:
    """Give one column as an array."""
    return np.array([r[key] for r in rows], np.int64)


def make_grid(lists: Sequence[NBest], main: str, names: Sequence[str], named: Grid) -> Grid:
    """Take the values that were named, and spread those that were not by the lists' own scores."""
    return default_grid(lists, main, [name for name in names if name not in named]) | dict(named)
