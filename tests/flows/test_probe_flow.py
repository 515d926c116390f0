"""The probe flow: a recipe's pairs, audit and canaries become rows, and the second time nothing is done."""

import json
from pathlib import Path

import pytest
from evaluate.probed import PLANTED, corpus, model_on

from flows.probe import probe
from lmpipe import warehouse
from tests.flows.test_pipeline import RECIPE

PROBES = """
[[pairs]]
name = "mine"
paths = ["mine.jsonl"]
format = "jsonl"
[audit]
documents = 10
prefix = 6
suffix = 6
samples = 1
candidates = 50
"""


@pytest.mark.slow
def test_probes_of_a_recipe_become_rows_and_are_not_done_twice(tmp_path: Path) -> None:
    data = tmp_path / "data"
    run = model_on(corpus(data, PLANTED), data)
    result = {"steps": 7, "tokens": 448, "parameters": 1, "wall_seconds": 1.0, "device": "cpu", "threads": 1}
    (run / "result.json").write_text(json.dumps(result))
    pairs = [{"good": f"the lane was {n}", "bad": f"lane the was {n}", "group": "order"} for n in range(5)]
    (tmp_path / "mine.jsonl").write_text("\n".join(map(json.dumps, pairs)))
    (tmp_path / "tiny.toml").write_text(RECIPE + PROBES)
    made = probe(tmp_path / "tiny.toml", data, run)
    assert [folder.parent.name for folder in made] == ["pairs", "audit", "decontaminate"]
    found = warehouse.run_query(data / "warehouse", "minimal_pairs").to_pylist()
    assert [(row["set"], row["topic"], row["pairs"]) for row in found] == [("mine", "all", 5), ("mine", "order", 5)]
    assert [row["secrets"] for row in warehouse.run_query(data / "warehouse", "exposure").to_pylist()] == [2, 2]
    known = warehouse.run_query(data / "warehouse", "memorization").to_pylist()
    assert {row["method"] for row in known} == {"greedy", "sampled"}
    assert "canary" in warehouse.run_query(data / "warehouse", "tokens_per_source")["source"].to_pylist()
    before = {folder: (folder / "manifest.json").stat().st_mtime_ns for folder in made}
    assert probe(tmp_path / "tiny.toml", data, run) == made
    assert {folder: (folder / "manifest.json").stat().st_mtime_ns for folder in made} == before
