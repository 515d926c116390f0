"""The ablate stage: which run stands for what was dropped, by which seed, and with which run it is compared."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from lmpipe.dataset import Execution, Manifest, Plan, UnitOutput, build
from lmpipe.errors import TrainingError
from lmpipe.train.run import load_run

VERSION = 1
"""Raised by hand when the same runs would give other rows."""

RUNS = pa.schema(
    [
        ("dropped", pa.string()),
        ("training", pa.string()),
        ("seed", pa.int64()),
        ("run", pa.string()),
        ("base", pa.string()),
    ]
)
"""One row per trained variant and seed: its run, and the whole recipe's run of that seed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One variant's run beside the whole recipe's, with the same seed."""

    dropped: str
    training: str
    """Name of the [[train]] entry."""
    run: Path
    base: Path


def ablation(comparisons: Sequence[Comparison], name: str, data: Path, execution: Execution) -> Manifest:
    """Commit who is compared with whom as dataset DATA/ablate/<recipe>-....

    Raises TrainingError when a run is not finished.
    """
    rows = [comparison_row(one) for one in comparisons]
    runs = dict.fromkeys(folder for one in comparisons for folder in (one.run, one.base))
    inputs = tuple(run_input(folder) for folder in runs)
    settings = {"rows": [row["dropped"] for row in rows], "training": comparisons[0].training}
    plan = Plan(stage="ablate", name=name, version=VERSION, settings=settings, inputs=inputs)
    return build(plan, data, write_rows, [rows], execution)


def comparison_row(one: Comparison) -> dict[str, Any]:
    """Lay out one comparison."""
    run, base = load_run(one.run), load_run(one.base)
    names = {key: value for key, value in asdict(one).items() if key in ("dropped", "training")}
    return names | {"seed": run.settings.seed, "run": run.fingerprint, "base": base.fingerprint}


def run_input(folder: Path) -> dict[str, Any]:
    """Name a finished run as an input."""
    run = load_run(folder)
    if run.result is None:
        raise TrainingError(f"{folder}: has no result.json, so it cannot be compared. Train it to its end.")
    return {"run": run.fingerprint, "checkpoint": run.result["checkpoint_sha256"]}


def write_rows(rows: list[dict[str, Any]], output: UnitOutput) -> None:
    """Write all comparisons; they are one unit."""
    output.write("ablation_runs", RUNS, [pa.RecordBatch.from_pylist(rows, schema=RUNS)])
    output.count("runs", len(rows))
