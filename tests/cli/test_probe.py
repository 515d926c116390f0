"""The commands that probe a model, as a person meets them."""

import json
from pathlib import Path

import pytest
from evaluate.probed import PLANTED, corpus, model_on
from typer.testing import CliRunner

from lmpipe.cli import app

COMMANDS = ["pairs", "surprisal", "alike", "leaks", "audit"]


def run(*arguments: str | Path) -> str:
    done = CliRunner().invoke(app, list(map(str, arguments)), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_help_says_what_it_needs_and_gives_an_example(command: str) -> None:
    text = run(command, "--help")
    assert "Needs" in text
    assert "Example: lmpipe" in text


def test_surprisal_writes_rows_and_a_page_and_shows_what_is_typed(tmp_path: Path) -> None:
    folder = model_on(corpus(tmp_path, PLANTED), tmp_path)
    (tmp_path / "note.txt").write_text("\ufeffthe wind 没有锁", encoding="utf-8")
    out, page = tmp_path / "rows.jsonl", tmp_path / "page.html"
    run("surprisal", folder, "two words", tmp_path / "note.txt", "--out", out, "--html", page)
    rows = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    texts = {row["text"] for row in rows}
    assert texts == {"text 1", str(tmp_path / "note.txt")}
    pieces = "".join(row["piece"] for row in rows if row["unit"] == "token" and row["text"] != "text 1")
    assert pieces == "the wind 没有锁"
    assert "<h2>text 1</h2>" in page.read_text(encoding="utf-8")
    shown = run("surprisal", folder, "two words", "--unit", "word")
    assert "bits per byte" in shown
    assert "two words" in shown
