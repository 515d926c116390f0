"""The probe flow: a recipe's pairs, audit and canaries become rows, and the second time nothing is done."""

import json
import random
from pathlib import Path

import pytest

from flows.pipeline import pipeline
from lmpipe import warehouse
from tests.flows.test_pipeline import RECIPE, WORDS

PROBES = """
[canaries]
number = 2
repeats = [1, 4]
digits = 3
[[pairs]]
name = "mine"
paths = ["mine.jsonl"]
format = "jsonl"
[audit]
documents = 10
prefix = 10
suffix = 10
samples = 1
candidates = 50
"""


@pytest.mark.slow
def test_probes_of_a_recipe_become_rows_and_are_not_done_twice(tmp_path: Path) -> None:
    lines = [f"On the quay {' '.join(random.Random(n).sample(WORDS, 30))} and that was all." for n in range(120)]
    (tmp_path / "notes.txt").write_text("\n".join(lines))
    pairs = [{"good": f"On the quay {n}.", "bad": f"Quay the on {n}.", "group": "order"} for n in range(5)]
    (tmp_path / "mine.jsonl").write_text("\n".join(map(json.dumps, pairs)))
    (tmp_path / "tiny.toml").write_text(RECIPE + PROBES)
    pipeline(tmp_path / "tiny.toml", tmp_path / "data", 1)
    folder = tmp_path / "data/warehouse"
    found = warehouse.run_query(folder, "minimal_pairs").to_pylist()
    assert [(row["set"], row["topic"], row["pairs"]) for row in found] == [
        ("mine", topic, 5) for topic in ("all", "all", "order", "order")
    ]
    assert [row["secrets"] for row in warehouse.run_query(folder, "exposure").to_pylist()] == [2] * 4
    assert {row["method"] for row in warehouse.run_query(folder, "memorization").to_pylist()} == {"greedy", "sampled"}
    assert warehouse.run_query(folder, "contamination").num_rows
    assert "canary" in warehouse.run_query(folder, "tokens_per_source")["source"].to_pylist()
    assert [name for name, bad in warehouse.checks(folder) if bad.num_rows] == []
    made = [path for stage in ("pairs", "audit") for path in (tmp_path / "data" / stage).glob("*/manifest.json")]
    before = {path: path.stat().st_mtime_ns for path in made}
    assert len(before) == 4
    pipeline(tmp_path / "tiny.toml", tmp_path / "data", 1)
    assert {path: path.stat().st_mtime_ns for path in made} == before
