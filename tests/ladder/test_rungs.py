"""The ladder: its trainings, the dataset of its law, and what people see of it."""

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from train.token_dataset import small_settings, tokens_dataset

from lmpipe import report, warehouse
from lmpipe.dataset import Execution, Manifest
from lmpipe.errors import RecipeError, TrainingError
from lmpipe.ladder.law import Laws
from lmpipe.ladder.rungs import ladder, rungs
from lmpipe.recipe import check_ladder
from lmpipe.report.rows import ask
from lmpipe.settings import LadderSettings, TransformerSettings
from lmpipe.storage import write_json
from lmpipe.train.optimizer import trunk_step
from lmpipe.train.run import load_run, prepare_run

SIZES = tuple(TransformerSettings(kind="transformer", layers=1, width=width, heads=2) for width in (8, 16, 24, 32))
LADDER = LadderSettings(train="tiny", sizes=SIZES, budgets=(1300, 2600, 5200, 10400), resamples=10)
TRUTH = Laws(values_KP=np.array([[1.7, 40.0, 90.0, 0.4, 0.5]]))


def runs_of(data: Path) -> list[Path]:
    """Prepare every training of the ladder and say that it came to what the law foretells."""
    tokens, runs = tokens_dataset(data), []
    for number, size in enumerate(rungs(LADDER, [small_settings()]), 1):
        for settings in size:
            run = prepare_run(tokens, settings, "demo", data)
            n, d = number * 5000, settings.steps * 64
            loss = float(TRUTH.loss(float(n), float(d))[0, 0])
            result = {"parameters": n, "tokens": d, "valid_loss": loss, "checkpoint_sha256": f"{number:064x}"}
            write_json(run / "result.json", result | {"steps": settings.steps, "device": "cpu", "threads": 1})
            runs.append(run)
    return runs


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    data = tmp_path_factory.mktemp("data")
    runs = runs_of(data)
    made = ladder(runs, "demo", data, LADDER, 7, Execution())
    tokens = load_run(runs[0]).tokens
    warehouse.record_dataset(data / "warehouse", data / "tokens" / f"{tokens['name']}-{tokens['fingerprint'][:8]}")
    for run in runs:
        warehouse.record_training(data / "warehouse", run)
    warehouse.record_dataset(data / "warehouse", made.folder)
    return made


def test_trainings_of_a_size_differ_in_steps_alone_and_share_a_trunk() -> None:
    sizes = rungs(LADDER, [small_settings(), small_settings(name="other")])
    assert [[t.steps for t in size] for size in sizes] == [[20, 40, 81, 162]] * 4
    for size in sizes:
        assert len({replace(t, name="", steps=0) for t in size}) == 1
        for shorter, longer in pairwise(size):
            assert (trunk_step(shorter) or 0) <= (trunk_step(longer) or 0)
    names = [t.name for size in sizes for t in size]
    assert len(set(names)) == 16
    assert names[0] == "tiny-size1-20"


def test_law_and_what_it_foretells_are_rows_of_a_dataset(fitted: Manifest) -> None:
    (points,), (fits,) = (
        [pq.read_table(path).to_pylist() for path in fitted.paths(role)] for role in ("ladder_points", "ladder_fits")
    )
    assert len(points) == 16
    assert all(row["loss"] == pytest.approx(row["foretold"], rel=1e-4) for row in points)
    found = {(row["quantity"], row["compute"]): row["value"] for row in fits}
    assert [found[name, None] for name in ("E", "alpha", "beta")] == pytest.approx([1.7, 0.4, 0.5], rel=0.02)
    largest = 6.0 * 20000 * 162 * 64
    assert found["best_loss", 10 * largest] == pytest.approx(float(TRUTH.best(10 * largest)[2][0]), rel=1e-3)
    assert found["best_parameters", 100 * largest] == pytest.approx(float(TRUTH.best(100 * largest)[0][0]), rel=0.1)


def test_same_runs_give_the_dataset_that_is_there(fitted: Manifest) -> None:
    data = fitted.folder.parent.parent
    runs = sorted(
        (data / "runs").iterdir(),
        key=lambda run: (load_run(run).settings.name.split("-")[1], load_run(run).settings.steps),
    )
    before = fitted.paths("ladder_fits")[0].stat().st_mtime_ns
    assert ladder(runs, "demo", data, LADDER, 7, Execution()) == fitted
    assert fitted.paths("ladder_fits")[0].stat().st_mtime_ns == before


def test_warehouse_and_report_show_the_law(fitted: Manifest) -> None:
    data = fitted.folder.parent.parent
    results = data / "warehouse" / warehouse.PUBLISHED
    (law,) = warehouse.query(data / "warehouse", "select * from scaling_laws").to_pylist()
    assert law["alpha_low"] <= law["alpha"] <= law["alpha_high"]
    assert len(ask(results, "ladder_points")) == 16
    assert [row["quantity"] for row in report.ladder_rows(results)][:5] == ["A", "B", "E", "alpha", "beta"]
    assert report.ladder_png(results, "demo").startswith(b"\x89PNG")
    page = report.build_report(results, data / "report.html").read_text(encoding="utf-8")
    assert "Ladder demo: loss by tokens" in page
    assert "best parameters" in page
    assert [name for name, bad in warehouse.checks(data / "warehouse") if bad.num_rows] == []


def test_unfinished_training_is_named(tmp_path: Path) -> None:
    runs = runs_of(tmp_path)
    (runs[3] / "result.json").unlink()
    with pytest.raises(TrainingError, match=rf"{runs[3].name}: has no result\.json"):
        ladder(runs, "demo", tmp_path, LADDER, 7, Execution())
    body = json.loads((runs[2] / "result.json").read_text()) | {"valid_loss": None}
    write_json(runs[2] / "result.json", body)
    with pytest.raises(TrainingError, match="has no validation loss"):
        ladder(runs, "demo", tmp_path, LADDER, 7, Execution())


@pytest.mark.parametrize(
    ("changes", "base", "words"),
    [
        ({"train": "tinny"}, {}, "no .*is named 'tinny'; did you mean 'tiny'"),
        ({}, {"schedule": "cosine"}, "share their beginning only with schedule = 'wsd'"),
        ({}, {"decay": 0.0}, "0 < decay < 1"),
        ({"sizes": SIZES[:2]}, {}, "expected three sizes and three budgets or more, found 2 and 4"),
        ({"budgets": (1000, 1010, 5000)}, {}, r"come to \[15, 15, 78\] steps of 64 tokens"),
        ({"sizes": (*SIZES, replace(SIZES[0], width=9))}, {}, r"sizes\[4\]\.model\.width 9 must be"),
    ],
)
def test_ladder_that_could_not_work_is_refused(changes: dict[str, object], base: dict[str, object], words: str) -> None:
    check_ladder(LADDER, (small_settings(),), "x.toml: ladder")
    with pytest.raises(RecipeError, match=words):
        check_ladder(replace(LADDER, **changes), (small_settings(**base),), "x.toml: ladder")  # type: ignore[arg-type]
