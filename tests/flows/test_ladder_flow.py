"""The ladder flow: trainings that share trunks, a law in the warehouse, and nothing to do the second time."""

import random
from pathlib import Path

import pytest

from flows.ladder import ladder
from lmpipe import warehouse
from lmpipe.errors import RecipeError
from tests.flows.test_pipeline import RECIPE, WORDS

LADDER = """
[ladder]
train = "lstm"
sizes = [{ kind = "lstm", layers = 1, width = 8 }, { kind = "lstm", layers = 1, width = 16 }, \
{ kind = "lstm", layers = 1, width = 32 }]
budgets = [512, 1024, 2048]
resamples = 10
"""


@pytest.mark.slow
def test_ladder_leads_to_a_law_and_does_nothing_twice(tmp_path: Path) -> None:
    lines = [f"On the quay {' '.join(random.Random(n).sample(WORDS, 30))} and that was all." for n in range(120)]
    (tmp_path / "notes.txt").write_text("\n".join(lines))
    (tmp_path / "tiny.toml").write_text(RECIPE + LADDER)
    fitted = ladder(tmp_path / "tiny.toml", tmp_path / "data", 1)
    points = warehouse.run_query(tmp_path / "data/warehouse", "ladder_points").to_pylist()
    assert [(row["name"], row["tokens"]) for row in points] == [
        (f"tiny-lstm-size{size}-{steps}", steps * 128) for size in (1, 2, 3) for steps in (4, 8, 16)
    ]
    (longest,) = (tmp_path / "data/runs").glob("tiny-lstm-size1-16-*")
    assert "steps 6 to 16" in (longest / "train.log").read_text()  # it went on from the trunk of 8 steps: 8 - 3
    assert [name for name, bad in warehouse.checks(tmp_path / "data/warehouse") if bad.num_rows] == []
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "data/runs").rglob("*.safetensors")}
    assert ladder(tmp_path / "tiny.toml", tmp_path / "data", 1) == fitted
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "data/runs").rglob("*.safetensors")} == before


def test_recipe_without_a_ladder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "tiny.toml").write_text(RECIPE)
    with pytest.raises(RecipeError, match=r"has no table \[ladder\]"):
        ladder(tmp_path / "tiny.toml", tmp_path, 1)
