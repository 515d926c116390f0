"""The trainings of a ladder, and the stage that fits the law to what they came to."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from lmpipe.dataset import Execution, Manifest, Plan, UnitOutput, build
from lmpipe.errors import TrainingError
from lmpipe.ladder.law import NAMES, Laws, fit_laws, interval
from lmpipe.settings import LadderSettings, TrainSettings
from lmpipe.train.run import load_run

VERSION = 1
"""Raised by hand when the same runs would give other rows."""

FARTHER = (10.0, 100.0)
"""Times the FLOPs of the dearest training, for which the best size is foretold where the recipe names no compute."""

POINTS = pa.schema(
    [("run", pa.string()), ("name", pa.string()), ("parameters", pa.int64()), ("tokens", pa.int64())]
    + [(name, pa.float64()) for name in ("loss", "foretold")]
)
"""One row per training: nats per token of the validation split, as measured and by the law."""

FITS = pa.schema([("quantity", pa.string())] + [(name, pa.float64()) for name in ("compute", "value", "low", "high")])
"""One row per parameter of the law (compute is null), and per foretold quantity and compute, with its 95 % interval."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """What one training came to."""

    run: str
    """Fingerprint."""
    checkpoint: str
    """sha256 of its weights."""
    name: str
    parameters: int
    tokens: int
    loss: float


def rungs(ladder: LadderSettings, trainings: Sequence[TrainSettings]) -> list[list[TrainSettings]]:
    """Lay out the trainings: for each size those of rising budgets, each to begin at the trunk of the last."""
    (base,) = [training for training in trainings if training.name == ladder.train]
    steps = [budget // (base.batch * base.context) for budget in ladder.budgets]
    return [
        [
            replace(base, name=f"{base.name}-size{number}-{count}", model=model, steps=count, keep_trunk=True)
            for count in steps
        ]
        for number, model in enumerate(ladder.sizes, 1)
    ]


def ladder(
    runs: Sequence[Path], name: str, data: Path, settings: LadderSettings, seed: int, execution: Execution
) -> Manifest:
    """Fit the law to finished trainings and commit points and fits as dataset DATA/ladder/<name>-....

    Raises TrainingError when a run is not finished or has no validation loss.
    """
    points = [read_point(run) for run in runs]
    plan = Plan(
        stage="ladder",
        name=name,
        version=VERSION,
        settings={"compute": list(settings.compute), "resamples": settings.resamples, "seed": seed},
        inputs=tuple({"run": point.run, "checkpoint": point.checkpoint} for point in points),
    )
    return build(plan, data, fit_unit, [(tuple(points), settings, seed)], execution)


def read_point(folder: Path) -> Point:
    """Read what a run came to."""
    run = load_run(folder)
    if run.result is None:
        raise TrainingError(f"{folder}: has no result.json, so the ladder lacks it. Train it to its end.")
    if run.result["valid_loss"] is None:
        raise TrainingError(f"{folder}: has no validation loss to fit a law to. Give the recipe a larger split.valid.")
    return Point(
        run=run.fingerprint,
        checkpoint=run.result["checkpoint_sha256"],
        name=run.name,
        parameters=run.result["parameters"],
        tokens=run.result["tokens"],
        loss=run.result["valid_loss"],
    )


def fit_unit(unit: tuple[tuple[Point, ...], LadderSettings, int], output: UnitOutput) -> None:
    """Fit the law and write its rows; all of a ladder is one unit."""
    points, settings, seed = unit
    n, d, losses = (
        np.array([getattr(point, key) for point in points], float) for key in ("parameters", "tokens", "loss")
    )
    laws = fit_laws(n, d, losses, settings.resamples, seed)
    foretold = laws.loss(n, d)[0].tolist()
    rows = [
        {key: value for key, value in asdict(point).items() if key != "checkpoint"} | {"foretold": loss}
        for point, loss in zip(points, foretold, strict=True)
    ]
    compute = settings.compute or tuple(times * float((6 * n * d).max()) for times in FARTHER)
    output.write("ladder_points", POINTS, [pa.RecordBatch.from_pylist(rows, schema=POINTS)])
    output.write("ladder_fits", FITS, [pa.RecordBatch.from_pylist(list(fit_rows(laws, compute)), schema=FITS)])
    output.count("trainings", len(points))


def fit_rows(laws: Laws, compute: Sequence[float]) -> Iterator[dict[str, Any]]:
    """Lay out the law's parameters, then what it foretells."""
    for name, values in zip(NAMES, laws.values_KP.T, strict=True):
        yield {"quantity": name, "compute": None} | bounds(interval(values))
    for flops in compute:
        for name, values in zip(("parameters", "tokens", "loss"), laws.best(flops), strict=True):
            yield {"quantity": f"best_{name}", "compute": flops} | bounds(interval(values))


def bounds(found: tuple[float, float, float]) -> dict[str, float | None]:
    """Name a value and its interval; a resample may know no bound, which is null and not infinity."""
    return {key: value if isfinite(value) else None for key, value in zip(("value", "low", "high"), found, strict=True)}
