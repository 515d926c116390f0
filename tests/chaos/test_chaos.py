"""The harness itself: it sees what differs, it counts, and a few kills and faults end well."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from lmpipe.dataset import Execution, Plan, UnitOutput, build
from tests.chaos.__main__ import report
from tests.chaos.laboratory import Verdict
from tests.chaos.state import differences, read_state
from tests.conftest import ROOT
from tests.damage import flip


def write_nothing(unit: int, output: UnitOutput) -> None:
    (output.folder / "file").write_text("content")
    output.add("files", "file", rows=0)


def test_a_state_differs_when_a_file_has_another_bit(tmp_path: Path) -> None:
    plan = Plan(stage="stage", name="name", version=1, settings={}, inputs=())
    folder = build(plan, tmp_path, write_nothing, [1], Execution()).folder
    before = read_state(tmp_path)
    assert differences(before, read_state(tmp_path)) == []
    flip(folder / "file")
    assert differences(before, read_state(tmp_path)) == [f"files: stage/{folder.name}/file"]


def test_what_is_not_committed_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "stage/name-00000000").mkdir(parents=True)
    (tmp_path / "stage/name-00000000/file").touch()
    assert read_state(tmp_path).files == {}


def test_report_counts_kills_and_faults_by_outcome(capsys: pytest.CaptureFixture[str]) -> None:
    good, bad = Verdict("recovered"), Verdict("lost", "other bytes")
    counted = report({"kill -9 of flow": [good, bad]}, {"disk full": [Verdict("refused_clearly")]}, "Chaos")
    assert counted == {"kills": 2, "faults": 1, "recovered": 1, "refused_clearly": 1, "lost": 1, "skipped": 0}
    assert "disk full" in capsys.readouterr().out


@pytest.mark.slow
def test_a_few_kills_and_all_faults_lose_nothing() -> None:
    command = [sys.executable, "-m", "tests.chaos", "--kills", "8", "--seed", "2"]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    counted = json.loads(told.stdout.splitlines()[-1])
    assert counted["lost"] == 0, told.stdout
    assert counted["kills"] == 8
