"""The commands around decisions as a person meets them."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.test_cli import lmpipe
from tests.conftest import ROOT
from tests.curate.cleaned import cleaned
from tests.curate.life import live

RECIPE = """
name = "tiny"
[[sources]]
kind = "local"
name = "notes"
paths = ["notes.txt"]
format = "text"
lang = "en"
[profile]
name = "fineweb2-jpn_Jpan"
rules.any.words = { min = 20 }
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    """A recipe and the cleaned dataset of its source: 150 texts of 10, 11 ... words."""
    rows = [{"words": n, "title": f"T{n}", "text": "word " * n} for n in range(10, 160)]
    cleaned(tmp_path / "data", rows, source="notes")
    (tmp_path / "tiny.toml").write_text(RECIPE)
    return tmp_path / "tiny.toml"


@pytest.mark.parametrize(
    "command", [["dropped"], ["calibrate"], ["why"], ["forget"], ["quality", "train"], ["quality", "score"]]
)
def test_help_says_what_it_needs_and_gives_an_example(command: list[str]) -> None:
    text = lmpipe(*command, "--help").stdout
    assert "Needs" in text
    assert "Example: lmpipe" in text


def test_what_if_shows_changes_rules_and_texts_and_builds_nothing(recipe: Path, tmp_path: Path) -> None:
    change = ["--what-if", "profile.rules.en.words.min=30", "--sample", "1"]
    text = lmpipe("decide", recipe, *change, "--data", tmp_path / "data").stdout
    lines = [line.split() for line in text.splitlines()]
    assert ["notes", "en", "150", "140", "130", "10", "0"] in lines
    assert ["notes", "en", "newly", "dropped", "words.min", "10"] in lines
    assert text.count("--- newly dropped") == 1
    assert not (tmp_path / "data" / "decide").exists()


def test_dropped_shows_reason_value_and_threshold(recipe: Path, tmp_path: Path) -> None:
    data = ["--data", tmp_path / "data"]
    by_recipe = lmpipe("dropped", recipe, "--reason", "words.min", "--sample", "2", *data).stdout
    assert by_recipe.count("--- dropped  words.min (1") == 2
    assert " < 20)  en  notes:" in by_recipe
    folder = lmpipe("decide", recipe, *data).stdout.splitlines()[0]
    assert lmpipe("dropped", folder, "--reason", "words.min", "--sample", "2").stdout == by_recipe
    assert "no document is dropped by that" in lmpipe("dropped", recipe, "--lang", "zh", *data).stdout


def test_calibrated_profile_can_be_named_in_a_recipe(recipe: Path, tmp_path: Path) -> None:
    (reference,) = (tmp_path / "data" / "clean").iterdir()
    printed = lmpipe("calibrate", "--reference", reference, "--low", "0.1").stdout
    (tmp_path / "mine.toml").write_text(printed)
    recipe.write_text(RECIPE.replace("fineweb2-jpn_Jpan", "mine.toml").replace("rules.any.words = { min = 20 }", ""))
    decided = lmpipe("decide", recipe, "--data", tmp_path / "data").stdout.splitlines()
    assert ["dropped.words.min", "14"] in [line.split() for line in decided]


def test_why_tells_a_life_and_forget_lists_what_holds_it(tmp_path: Path) -> None:
    live(tmp_path)
    data = ["--data", tmp_path]
    text = lmpipe("why", "wiki:1", *data).stdout
    assert "tokens-train-00000.arrow" in text
    assert "quarantined" in lmpipe("why", "dump.xml.bz2@77", *data).stdout
    forgotten = lmpipe("forget", "wiki:1", "--reason", "asked to", *data).stdout
    assert "1 of 1 documents are new" in forgotten
    assert "runs/demo-lstm-12345678" in forgotten
    assert "wiki:2" in forgotten
    assert "taken down" in lmpipe("why", "wiki:1", *data).stdout
    assert "did you mean 'wiki:3'" in lmpipe("forget", "wiki:33", *data, code=1).stderr


def test_quality_model_is_trained_and_scores_what_is_piped_in(tmp_path: Path) -> None:
    sides = []
    for name, words in (("good", "the river and the mill"), ("bad", "buy cheap offers now")):
        rows = [{"text": f"{words} {n} " * 5} for n in range(60)]
        sides.append(cleaned(tmp_path, rows, source=name).folder)
    model = tmp_path / "model.parquet"
    assert "AUC          1.0000" in lmpipe("quality", "train", *sides, model).stdout
    command = [sys.executable, "-m", "lmpipe.cli", "quality", "score", str(model), "-"]
    piped = subprocess.run(
        command, cwd=ROOT, input="the mill and the river", capture_output=True, text=True, check=True
    )
    assert float(piped.stdout) > 0.5


def test_mistakes_are_one_clear_sentence(recipe: Path, tmp_path: Path) -> None:
    data = ["--data", tmp_path / "data"]
    assert "did you mean 'words'" in lmpipe(
        "decide", recipe, "--what-if", "profile.rules.en.wrods.min=1", *data, code=1
    ).stderr  # fmt: skip
    assert "no committed dataset of 'notes'" in lmpipe("decide", recipe, "--data", tmp_path / "none", code=1).stderr
    assert "expected a text file in UTF-8" in lmpipe("quality", "score", "m.parquet", tmp_path, code=1).stderr
