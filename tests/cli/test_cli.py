"""The command line as a person meets it: help, one clear error, folders that lead to the next command."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

COMMANDS = [
    "run", "download", "ingest", "clean", "decide", "dedup", "passages", "split", "tokenizer", "encode", "tokens",
    "train", "pack", "collect", "pull", "ladder", "evaluate", "record", "page", "changes", "sql", "show", "report",
    "doctor", "rescore", "lattice", "ctc", "translate", "rerank", "up", "down", "deploy", "refresh",
]  # fmt: skip

RECIPE = """
name = "tiny"
[[sources]]
kind = "local"
name = "notes"
paths = ["{paths}"]
format = "text"
lang = "en"
[dedup]
near = false  # the notes differ in a number
[passages]
min_chars = 30
"""


def lmpipe(*arguments: str | Path, code: int = 0) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "lmpipe.cli", *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    return done


@pytest.mark.parametrize("command", COMMANDS)
def test_help_says_what_it_needs_and_gives_an_example(command: str) -> None:
    text = lmpipe(command, "--help").stdout
    assert "Needs" in text
    assert "Example: lmpipe" in text


def test_help_lists_every_command_and_imports_nothing_heavy() -> None:
    text = lmpipe("--help").stdout
    assert all(command in text for command in COMMANDS)
    heavy = "import lmpipe.cli, sys; print([m for m in ('torch', 'prefect', 'duckdb', 'pyarrow') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", heavy], cwd=ROOT, capture_output=True, text=True).stdout == "[]\n"


def recipe(tmp_path: Path, paths: str) -> Path:
    path = tmp_path / "tiny.toml"
    path.write_text(RECIPE.format(paths=paths))
    return path


def test_stages_by_hand_lead_from_files_to_token_shards(tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    for n in range(40):
        text = (
            f"On the {n}th day the boat was late, and the people on the quay had nothing to do but to watch the tide."
        )
        (tmp_path / "notes" / f"{n}.txt").write_text(
            f"{text} They said that it had been like this in {1800 + n}.\n\nPrinted by the harbour office, as ever."
        )
    tiny, data = recipe(tmp_path, "notes"), ["--data", tmp_path / "data", "--workers", "1"]

    def folder(*arguments: str | Path) -> str:
        return lmpipe(*arguments, *data).stdout.splitlines()[0]

    documents = folder("ingest", tiny)
    decided = folder("decide", tiny, folder("clean", tiny, documents))
    duplicates = folder("dedup", tiny, decided)
    assert "has [passages]" in lmpipe("split", tiny, duplicates, *data, code=1).stderr
    chosen = folder("split", tiny, folder("passages", tiny, duplicates))
    learnt = lmpipe("tokenizer", tiny, chosen, *data[:2]).stdout.splitlines()[0]
    packed = folder("tokens", tiny, folder("encode", chosen, learnt))
    shown = lmpipe("show", packed).stdout
    assert "tokens-train-00000.arrow" in shown
    assert "file 39.txt" in shown
    assert "passage cut" in lmpipe("why", "notes:1.txt", *data[:2]).stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["ingest", "nothing.toml"], "error: nothing.toml: no such recipe"),
        (["run", "nothing.toml"], "error: nothing.toml: no such recipe"),
        (["run", "flows/recipes/demo.toml", "--data", "README.md"], "a file is in the way of the folder"),
        (["show", "/nonexistent"], "error: /nonexistent: no manifest.json"),
        (["record", "/nonexistent"], "neither manifest.json nor run.json"),
        (["sql", "select 1", "--data", "/nonexistent"], "no results yet"),
        (["ingest", "flows/recipes/demo.toml", "--source", "wiki-fr"], "no source 'wiki-fr'; did you mean 'wiki-"),
    ],
)
def test_mistake_is_one_clear_sentence(arguments: list[str], words: str) -> None:
    assert words in lmpipe(*arguments, code=1).stderr


@pytest.mark.parametrize(
    ("name", "body", "words"),
    [
        ("empty.txt", None, "no such file"),
        ("binary.txt", b"\xff\xfe\xff\xff\x00\x81\xff" * 50, "1 of 1 records are bad"),
    ],
)
def test_bad_input_is_refused_and_nothing_is_committed(
    tmp_path: Path, name: str, body: bytes | None, words: str
) -> None:
    if body is not None:
        (tmp_path / name).write_bytes(body)
    done = lmpipe("ingest", recipe(tmp_path, name), "--data", tmp_path / "data", code=1)
    assert words in done.stderr
    assert not list((tmp_path / "data").rglob("manifest.json"))


def test_unwritable_data_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("some words that are long enough to be a document of their own")
    (tmp_path / "data").write_text("in the way")
    done = lmpipe("ingest", recipe(tmp_path, "a.txt"), "--data", tmp_path / "data", code=1)
    assert "Choose another data folder" in done.stderr


def test_doctor_finds_nothing_wrong_here(tmp_path: Path) -> None:
    done = lmpipe("doctor", "--data", tmp_path)
    assert "BAD" not in done.stdout
    assert "warehouse" in done.stdout


def test_doctor_says_what_to_do_about_a_store_that_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LMPIPE_STORE", "ftp://somewhere/x")
    done = lmpipe("doctor", "--data", tmp_path, code=1)
    assert "expected a place like s3://bucket/prefix" in done.stdout


def test_doctor_says_what_to_do_about_a_server_that_is_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    done = lmpipe("doctor", "--data", tmp_path, code=1)
    assert "does not answer" in done.stdout
    assert "unset PREFECT_API_URL" in done.stdout
