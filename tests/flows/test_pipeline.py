"""The pipeline flow against a real Prefect server: states, artifacts, rows, and what a second run does."""

import random
import re
from pathlib import Path

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey

from flows.pipeline import Outcome, pipeline
from lmpipe import warehouse
from lmpipe.errors import GuardError, InputError

RECIPE = """
name = "tiny"

[[sources]]
kind = "local"
name = "notes"
paths = ["notes.txt"]
format = "lines"
lang = "en"

[passages]
unit = "line"

[split]
valid = 0.1
test = 0.2

[decontaminate]

[tokenizer]
vocabulary = 300

[[train]]
name = "lstm"
context = 32
batch = 4
steps = 6
save_every = 3
valid_every = 3
valid_rows = 4
threads = 1
model = { kind = "lstm", layers = 1, width = 32 }

[[train]]
name = "transformer"
context = 32
batch = 4
steps = 6
save_every = 3
valid_every = 3
valid_rows = 4
threads = 1
model = { kind = "transformer", layers = 1, width = 32, heads = 2 }

[[train]]
name = "counted"
model = { kind = "ngram", order = 2 }

[evaluate]
context = 32

[[evaluate.sets]]
name = "letters"
path = "letters.jsonl"
domain = "genre"
lang = "en"
"""
LETTERS = """\
{"text": "The ferry came late.", "genre": "diary"}
{"text": "Nobody asked why.", "genre": "letter"}
"""


WORDS = re.findall(
    r"\w+",
    "the ferry came late with crates of oranges while a clerk wrote numbers down as he had done in years before and"
    " nobody asked why his pen was older than their boat or where its captain went when rain began to fall on ropes",
)


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recipe")
    lines = [f"On the quay {' '.join(random.Random(n).sample(WORDS, 30))} and that was all." for n in range(120)]
    (folder / "notes.txt").write_text("\n".join(lines))
    (folder / "letters.jsonl").write_text(LETTERS)
    (folder / "tiny.toml").write_text(RECIPE)
    return folder / "tiny.toml"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def outcome(recipe: Path, data: Path) -> Outcome:
    return pipeline(recipe, data, 1)


def ask(data: Path, sql: str) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = warehouse.query(data / "warehouse", sql).to_pylist()
    return rows


def test_pipeline_leads_to_perplexities_of_all_models_under_both_protocols(outcome: Outcome, data: Path) -> None:
    rows = ask(data, "select name, bits_per_byte from perplexity where source = 'notes' and slice <> 'all' order by 1")
    assert [row["name"] for row in rows] == [
        f"tiny-{name}" for name in ("counted", "lstm", "transformer") for _ in "12"
    ]
    assert all(0 < float(str(row["bits_per_byte"])) < 9 for row in rows)
    found = ask(data, "select place from leaderboard where starts_with(\"set\", 'tiny-test')")
    assert sorted(int(str(row["place"])) for row in found) == [1, 1, 2, 2, 3, 3]


def test_pipeline_scores_the_sets_of_the_recipe_by_their_domains(outcome: Outcome, data: Path) -> None:
    rows = ask(data, "select distinct name, source, documents from perplexity where slice = 'domain' order by all")
    assert [(row["source"], row["documents"]) for row in rows] == [("letters/diary", 1), ("letters/letter", 1)] * 3


def test_report_is_written_beside_the_data(outcome: Outcome, data: Path) -> None:
    assert outcome.report == data / "report.html"
    page = outcome.report.read_text(encoding="utf-8")
    assert "tiny-lstm" in page
    assert "<svg" in page


def test_artifacts_are_beside_the_run(outcome: Outcome) -> None:
    wanted = ["funnel", "perplexity", "report", "loss-tiny-lstm", "loss-tiny-transformer"]
    with get_client(sync_client=True) as client:
        found = client.read_artifacts(artifact_filter=ArtifactFilter(key=ArtifactFilterKey(any_=wanted)))
    assert {artifact.key for artifact in found} == set(wanted)


def test_runs_are_named_for_the_person_watching(outcome: Outcome) -> None:
    with get_client(sync_client=True) as client:
        runs = client.read_flow_runs()
    names = {run.name for run in runs}
    assert {"pipeline tiny", "ingest tiny", "prepare tiny", "train tiny lstm", "train tiny transformer"} <= names
    assert any(name.startswith("evaluate tiny tiny-lstm-") for name in names)


def test_second_run_does_no_work(recipe: Path, outcome: Outcome, data: Path, caplog: pytest.LogCaptureFixture) -> None:
    before = {path: path.stat().st_mtime_ns for path in data.rglob("*.parquet")}
    with caplog.at_level("INFO", logger="lmpipe"):
        again = pipeline(recipe, data, 1)
    assert again.tokens == outcome.tokens
    assert {path: path.stat().st_mtime_ns for path in data.rglob("*.parquet")} == before
    reused = ask(
        data,
        "select bool_and(reused) as all_reused from flow_run_datasets join flow_runs using (flow_run)"
        " where started = (select max(started) from flow_runs)",
    )
    assert reused == [{"all_reused": True}]


def test_a_flow_and_those_below_it_are_recorded_as_one(outcome: Outcome, data: Path) -> None:
    runs = ask(data, "select flow, status, attempts, length(code) as code from flow_runs order by started limit 1")
    assert runs == [{"flow": "pipeline", "status": "completed", "attempts": 1, "code": 64}]
    tasks = ask(
        data,
        "select flow, name, attempts from flow_tasks"
        " where flow_run = (select min_by(flow_run, started) from flow_runs)",
    )
    assert {"ingest", "prepare", "train", "evaluate", "pipeline"} == {str(row["flow"]) for row in tasks}
    assert [row["name"] for row in tasks].count("check the warehouse") == 1
    assert {row["attempts"] for row in tasks} == {1}
    made = ask(data, "select bool_or(reused) as reused, count(*) as runs from flow_run_trainings group by flow_run")
    assert {"reused": False, "runs": 3} in made


def test_failed_run_is_recorded_with_its_sentence(recipe: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.toml"
    broken.write_text(RECIPE.replace("notes.txt", "missing.txt"))
    with pytest.raises(InputError, match=r"missing.txt: no such file"):
        pipeline(broken, tmp_path / "data", 1)
    rows = ask(tmp_path / "data", "select status, error from flow_runs")
    assert [row["status"] for row in rows] == ["failed"]
    assert "missing.txt: no such file" in str(rows[0]["error"])
    failures = warehouse.run_query(tmp_path / "data/warehouse", "failures").to_pylist()
    assert [(row["flow"], row["what"], row["attempts"]) for row in failures] == [
        ("pipeline", "the flow", 1),
        ("ingest", "read source notes", 1),
    ]
    assert all("missing.txt: no such file" in row["error"] for row in failures)


def test_a_guard_ends_the_flow_with_its_own_sentence(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("\n".join(f"{' '.join(WORDS)} {number}" for number in range(50)))
    (tmp_path / "tiny.toml").write_text(RECIPE)
    with pytest.raises(GuardError, match=r"49 of 50 documents are duplicates"):
        pipeline(tmp_path / "tiny.toml", tmp_path, 1)
