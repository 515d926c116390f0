"""The promises that hold over all stages: same bytes, no work twice, killed anywhere, the planted truth found."""

import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from lmpipe.dataset import Manifest, inputs_of
from tests.conftest import ROOT
from tests.road import fingerprints, walk

DEMO = ROOT / "flows" / "recipes" / "demo.toml"
TRUTH = ROOT / "tests" / "data"


@pytest.fixture(scope="module")
def road(tmp_path_factory: pytest.TempPathFactory) -> list[Manifest]:
    """The demo's datasets, built undisturbed by one worker."""
    return walk(DEMO, tmp_path_factory.mktemp("one"), 1)


def data_of(road: list[Manifest]) -> Path:
    return road[0].folder.parent.parent


def by_stage(road: list[Manifest], stage: str) -> dict[str, Manifest]:
    return {manifest.name: manifest for manifest in road if manifest.stage == stage}


def outcomes(road: list[Manifest], stage: str = "split") -> dict[str, dict[str, Any]]:
    chosen = by_stage(road, stage)["demo"]
    return {row["id"]: row for path in chosen.paths("outcomes") for row in pq.read_table(path).to_pylist()}


def truth(name: str) -> dict[str, Any]:
    return json.loads((TRUTH / f"{name}-truth.json").read_text(encoding="utf-8"))


def test_two_workers_in_another_folder_give_the_same_bytes(road: list[Manifest], tmp_path: Path) -> None:
    walk(DEMO, tmp_path, 2)
    assert fingerprints(tmp_path) == fingerprints(data_of(road))


def test_second_run_does_no_work_and_says_so(road: list[Manifest], caplog: pytest.LogCaptureFixture) -> None:
    before = {path: path.stat().st_mtime_ns for path in data_of(road).rglob("*.parquet")}
    with caplog.at_level("INFO", logger="lmpipe"):
        walk(DEMO, data_of(road), 2)
    assert caplog.text.count("already built, nothing to do") == len(list(data_of(road).glob("*/*/manifest.json")))
    assert {path: path.stat().st_mtime_ns for path in data_of(road).rglob("*.parquet")} == before


def test_near_copies_of_held_out_documents_leave_training(road: list[Manifest]) -> None:
    before, after = outcomes(road), outcomes(road, "decontaminate")
    removed = {id for id, row in after.items() if row != before[id]}
    assert "wiki-zh:202" in removed  # the planted near duplicate of wiki-zh:187, which is held out
    assert {before[id]["split"] for id in removed} == {"train"}
    assert all(after[id]["reason"].startswith("contaminated.") for id in removed)


def start(recipe: Path, data: Path, workers: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tests.road", str(recipe), str(data), str(workers)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def kill_until_done(recipe: Path, data: Path, *, kills: int, longest: float) -> int:
    """Start the road again and again, killing it at random moments `kills` times; then let it finish."""
    chance = random.Random(5)
    killed = 0
    for _ in range(kills):
        child = start(recipe, data, chance.choice((1, 2)))
        try:
            child.wait(chance.uniform(0.3, longest))
        except subprocess.TimeoutExpired:
            child.kill()
            killed += 1
        child.communicate()
    assert start(recipe, data, 2).communicate()[1] == b""
    return killed


def test_road_killed_at_random_moments_gives_the_same_bytes(road: list[Manifest], tmp_path: Path) -> None:
    assert kill_until_done(DEMO, tmp_path, kills=5, longest=5) > 0
    assert fingerprints(tmp_path) == fingerprints(data_of(road))


@pytest.mark.slow
def test_road_killed_forty_times_gives_the_same_bytes(road: list[Manifest], tmp_path: Path) -> None:
    assert kill_until_done(DEMO, tmp_path, kills=40, longest=4) > 10
    assert fingerprints(tmp_path) == fingerprints(data_of(road))


def test_two_runs_at_the_same_time_do_the_work_once(road: list[Manifest], tmp_path: Path) -> None:
    children = [start(DEMO, tmp_path, 1) for _ in range(2)]
    assert [child.communicate()[1] for child in children] == [b"", b""]
    assert fingerprints(tmp_path) == fingerprints(data_of(road))


@pytest.mark.parametrize("name", ["wiki-en", "wiki-zh"])
def test_wikipedia_gives_what_the_truth_file_lists(road: list[Manifest], name: str) -> None:
    expected, counts = truth("wiki")[name], by_stage(road, "ingest")[name].counts
    assert counts["kept"] == expected["articles"]
    assert counts["skipped.redirect"] == expected["redirects"]
    assert counts["skipped.namespace"] == expected["other_namespaces"]
    assert counts["quarantined"] == len(expected["broken"])
    found = outcomes(road)
    for pair in expected["exact_duplicates"]:
        assert sorted(found[f"{name}:{page}"]["outcome"] == "duplicate" for page in pair) == [False, True], pair
    for page in expected["low_quality"]:
        assert found[f"{name}:{page['id']}"]["outcome"] == "dropped", page


def test_news_gives_what_the_truth_file_lists(road: list[Manifest]) -> None:
    expected, found = truth("news"), outcomes(road)
    assert by_stage(road, "ingest")["news"].counts["quarantined"] == 2  # a damaged record, a feed that is none
    for pair in expected["news"]["exact_duplicates"] + expected["feeds"]["duplicates_of_warc"]:
        assert sum(found[f"news:{url}"]["outcome"] == "duplicate" for url in pair) == 1, pair
    for page in expected["news"]["low_quality"]:
        row = found.get(f"news:{page['id']}")
        assert row is None or row["outcome"] == "dropped", page
    for url, language in expected["news"]["languages"].items():
        assert found[f"news:{url}"]["lang"] == language


@pytest.mark.parametrize("name", ["novel-en", "novel-zh"])
def test_novels_lose_header_footer_and_planted_chapters(road: list[Manifest], name: str) -> None:
    expected = truth(name)[name]
    cleaned = by_stage(road, "clean")[name]
    rows = [row for path in cleaned.paths("documents") for row in pq.read_table(path).to_pylist()]
    whole = "\n".join(row["text"] for row in rows)
    for key in ("header_must_not_appear", "footer_must_not_appear"):
        planted = expected[key] if isinstance(expected[key], list) else [expected[key]]
        assert not [sentence for sentence in planted if sentence in whole]
    assert expected["first_sentence"] in whole
    assert expected["last_sentence"] in whole
    assert len(rows) >= 14  # chapters; the English novel has 16, and both have appendices


def test_every_token_leads_back_to_raw_bytes(road: list[Manifest]) -> None:
    packed = by_stage(road, "tokens")["demo"]
    packed_ids = {
        row["id"]
        for part in ("train", "valid", "test")
        for p in packed.paths(f"documents-{part}")
        for row in pq.read_table(p, columns=["id"]).to_pylist()
    }
    origins = {
        row["id"]: row["origin"]
        for manifest in by_stage(road, "ingest").values()
        for path in manifest.paths("documents")
        for row in pq.read_table(path, columns=["id", "origin"]).to_pylist()
    }
    assert packed_ids == {i for i, row in outcomes(road, "decontaminate").items() if row["outcome"] == "kept"}
    assert all(origins[i]["length"] > 0 and origins[i]["file"] for i in packed_ids)
    (encoded,) = inputs_of(packed, "encode")
    (cleared,) = inputs_of(encoded, "decontaminate")
    assert inputs_of(cleared, "split") == [by_stage(road, "split")["demo"]]


COPIES = """
name = "copies"
[[sources]]
kind = "wikipedia"
name = "wiki"
paths = ["{paths}"]
lang = "en"
max_quarantine = 0.5
[dedup]
guard = 1.0
"""


def peak(recipe: Path, data: Path) -> int:
    """Peak resident memory, in KiB, of a process that walks a recipe up to the split with one worker."""
    code = (
        "import resource, subprocess, sys\n"
        "subprocess.run([sys.executable, '-m', 'tests.road', *sys.argv[1:]], check=True)\n"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)\n"
    )
    command = [sys.executable, "-c", code, str(recipe), str(data), "1", "split"]
    return int(subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout)


@pytest.mark.slow
def test_peak_memory_does_not_grow_with_the_input(corpora: Path, tmp_path: Path) -> None:
    sample = (corpora / "wikipedia" / "enwiki-sample-2.xml.bz2").read_bytes()
    (tmp_path / "one.xml.bz2").write_bytes(sample)
    (tmp_path / "ten.xml.bz2").write_bytes(sample * 10)
    for name in ("one", "ten"):
        (tmp_path / f"{name}.toml").write_text(COPIES.format(paths=f"{name}.xml.bz2"))
    one, ten = (peak(tmp_path / f"{name}.toml", tmp_path / name) for name in ("one", "ten"))
    assert ten < 1.15 * one, f"{one} KiB for one copy, {ten} KiB for ten"
