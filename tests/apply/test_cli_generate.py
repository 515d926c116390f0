"""The command line: generation from prompts and files, and what it leaves in the warehouse."""

import json
from pathlib import Path

from apply.runs import random_run
from typer.testing import CliRunner

from lmpipe.apply.decoding import Decoding
from lmpipe.apply.generate import open_model
from lmpipe.cli import app
from lmpipe.warehouse import query, run_query


def test_a_prompt_is_continued_on_the_terminal_and_recorded(tmp_path: Path) -> None:
    run = random_run(tmp_path)
    arguments = ["generate", str(run), "--prompt", "公司", "--temperature", "0", "--max-tokens", "9"]
    result = CliRunner().invoke(app, arguments)
    expected = open_model(run).write("公司", Decoding(temperature=None, max_tokens=9)).text
    assert result.stdout == f"公司{expected}\n"
    (row,) = run_query(tmp_path / "warehouse", "generations").to_pylist()
    assert (row["prompt"], row["text"], row["tokens"]) == ("公司", expected, 9)


def test_prompts_of_a_file_are_continued_side_by_side(tmp_path: Path) -> None:
    run = random_run(tmp_path)
    (tmp_path / "in.txt").write_text("The ship\nA quiet\nRain\n")
    out = tmp_path / "out.jsonl"
    arguments = ["generate", str(run), str(tmp_path / "in.txt"), "--out", str(out), "--max-tokens", "9", "--batch", "2"]
    for _ in range(2):
        assert CliRunner().invoke(app, [*arguments, "--template", "news"]).exit_code == 0
    rows = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert [row["prompt"] for row in rows] == ["The ship\n\n", "A quiet\n\n", "Rain\n\n"]
    writer = open_model(run)
    prompts = [writer.encode(row["prompt"]) for row in rows]
    assert [row["text"] for row in rows] == [one.text for one in writer.write_all(prompts, Decoding(max_tokens=9))]
    (count,) = query(tmp_path / "warehouse", "select count(*) as n from generations").to_pylist()
    assert count["n"] == 3
