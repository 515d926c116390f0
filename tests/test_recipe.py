"""Recipes are read strictly: every mistake is refused with its place and what to do."""

import dataclasses
import math
import re
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lmpipe.errors import InputError, RecipeError
from lmpipe.recipe import load_recipe, source_files
from lmpipe.settings import LocalSource, Recipe
from lmpipe.settings.ranges import Range

GOOD = """
name = "tiny"
[[sources]]
kind = "local"
name = "notes"
paths = ["*.txt"]
format = "text"
"""


def read(tmp_path: Path, text: str) -> Recipe:
    path = tmp_path / "tiny.toml"
    path.write_text(text, encoding="utf-8")
    return load_recipe(path)


def test_recipe_is_read_with_defaults(tmp_path: Path) -> None:
    recipe = read(tmp_path, GOOD)
    assert isinstance(recipe.sources[0], LocalSource)
    assert recipe.split.test == 0.05
    assert recipe.train == ()


def test_every_recipe_of_the_project_is_readable() -> None:
    recipes = sorted((Path(__file__).parent.parent / "flows" / "recipes").glob("*.toml"))
    assert [load_recipe(path).name for path in recipes]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("colour = 1", r"unknown key 'colour'"),
        ("[split]\ntset = 0.1", r"split: unknown key 'tset'; did you mean 'test'\?"),
        ("[split]\ntest = 'much'", r"split: test: expected a number, found 'much'"),
        ("seed = true", r"seed: expected a whole number, found True"),
        ("[split]\ntest = 2", r"split: test: expected a number, from 0 to 1, found 2 "),
        ("[split]\ntest = 0.6\nvalid = 0.5", r"leave nothing to train on"),
        ("[split]\nby = { other = 'work' }", r"split.by names no source: \['other'\]"),
        ("[split]\ngiven = { 'other:1' = 'test' }", r"split.given names no source: \['other'\]"),
        ("[[train]]\nname = 'a'\nmodel = { kind = 'lstm', preset = 'gpt3' }", r"preset 'gpt3' is unknown"),
        (
            "[[train]]\nname = 'a'\norder = 'in_order'\nmodel = { kind = 'transformer' }",
            r"order = 'in_order' needs an LSTM",
        ),
        ("[tokenizer]\nvocabulary = 100", r"256 bytes and the end-of-text token need 257"),
        ("[[train]]\nname = 'a'\nmodel = { kind = 'gru' }", r"train\[0\]: model: kind 'gru' is not one of"),
        (
            "[[train]]\nname = 'a'\nmodel = { kind = 'lstm' }\nsteps = 0",
            r"train.a.steps is 0; expected 1 or more",
        ),
        (
            "[[train]]\nname = 'a'\nmodel = { kind = 'transformer', width = 100, heads = 6 }",
            r"must be an even multiple of heads",
        ),
        ("[[train]]\nname = 'a'\nmodel = { kind = 'transformer', heads = 0 }", r"heads: expected a whole number, 1 or"),
        ("[[train]]\nname = 'a'\nlr = nan\nmodel = { kind = 'lstm' }", r"lr: expected a number, found nan"),
        ("[[train]]\nname = 'a'\nmodel = { kind = 'lstm', dropout = 1.0 }", r"a number, from 0 and below 1, found 1.0"),
        ("[profile.rules.en]\nwords = { min = inf }", r"rules.en.words: min: expected a number, found inf"),
        ("[[train]]\nmodel = { kind = 'lstm' }", r"train\[0\]: missing key 'name'"),
        ("[[sources]]\nkind = 'wikpedia'\nname='w'\npaths=[]\nlang='en'", r"did you mean 'wikipedia'"),
        ("[[sources]]\nkind='local'\nname='notes'\npaths=[]\nformat='text'", r"two source entries are named 'notes'"),
        ("[[sources]]\nkind='local'\nname='No Tes'\npaths=[]\nformat='text'", r"must be lower case letters"),
        ("name = ", r"not valid TOML"),
    ],
)
def test_mistake_is_refused_with_place_and_remedy(tmp_path: Path, change: str, words: str) -> None:
    text = GOOD + change if change.startswith("[") else change + GOOD  # a plain key stands before the tables
    with pytest.raises(RecipeError, match=words):
        read(tmp_path, text)


def number_types(kind: type) -> Iterator[tuple[str, Any]]:
    """List the types of all numbers in a dataclass of settings and in what it is made of."""
    for name, hint in typing.get_type_hints(kind, include_extras=True).items():
        yield from numbers_in(hint, f"{kind.__name__}.{name}")


def numbers_in(hint: Any, where: str) -> Iterator[tuple[str, Any]]:
    if hint in (int, float) or typing.get_origin(hint) is typing.Annotated:
        yield where, hint
    elif dataclasses.is_dataclass(hint):
        yield from number_types(typing.cast(type, hint))
    else:
        for part in typing.get_args(hint) if typing.get_origin(hint) is not typing.Literal else ():
            yield from numbers_in(part, where)


def test_every_number_says_what_it_may_be() -> None:
    anything = {where for where, hint in number_types(Recipe) if hint in (int, float)}
    seeds = {"Recipe.seed", "TrainSettings.seed", "AuditSettings.seed"}
    assert anything == seeds | {"Bounds.min", "Bounds.max", "WikipediaSource.namespaces"}


@pytest.mark.parametrize(
    ("range", "inside", "outside", "words"),
    [
        (Range(1), (1, 9), (0, -1, math.inf, math.nan), "1 or more"),
        (Range(0, above=True), (1e-9,), (0, -1, math.inf), "above 0"),
        (Range(0, 1), (0, 1), (-0.1, 1.1, math.nan), "from 0 to 1"),
        (Range(0, 1, below=True), (0, 0.9), (1,), "from 0 and below 1"),
        (Range(0, 1, above=True, below=True), (0.5,), (0, 1), "above 0 and below 1"),
    ],
)
def test_range_holds_its_numbers_and_says_so(
    range: Range, inside: tuple[float, ...], outside: tuple[float, ...], words: str
) -> None:
    assert all(number in range for number in inside)
    assert not any(number in range for number in outside)
    assert str(range) == words


def test_missing_recipe_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"nothing.toml: no such recipe"):
        load_recipe(tmp_path / "nothing.toml")


def test_recipe_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_bytes(b"name = '\xff'")
    with pytest.raises(RecipeError, match="not UTF-8 at byte 8"):
        load_recipe(tmp_path / "bad.toml")


def test_source_files_are_sorted_and_globs_and_folders_expanded(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    for name in ("b.txt", "a.txt", "sub/c.txt"):
        (tmp_path / name).write_text("x")
    source = LocalSource(kind="local", name="n", paths=("*.txt", "sub", "a.txt"), format="text")
    assert [f.name for f in source_files(source, tmp_path)] == ["a.txt", "b.txt", "c.txt"]


def test_source_path_takes_environment_variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.txt").write_text("x")
    monkeypatch.setenv("CORPUS_HERE", str(tmp_path))
    source = LocalSource(kind="local", name="n", paths=("$CORPUS_HERE/a.txt",), format="text")
    assert [f.name for f in source_files(source, Path("/nowhere"))] == ["a.txt"]


@pytest.mark.parametrize(
    ("path", "words"), [("none.txt", "no such file"), ("$NOT_SET_ANYWHERE/x", "environment variable not set")]
)
def test_source_that_names_nothing_is_refused(tmp_path: Path, path: str, words: str) -> None:
    source = LocalSource(kind="local", name="n", paths=(path,), format="text")
    with pytest.raises(InputError, match=words):
        source_files(source, tmp_path)


def test_an_ngram_model_cannot_leave_prompts_out(tmp_path: Path) -> None:
    train = '[[train]]\nname = "t"\nmodel = { kind = "ngram", order = 2 }\nlearn_after = "x"'
    (tmp_path / "x.toml").write_text(f'{GOOD}lang = "en"\n{train}\n')
    with pytest.raises(RecipeError, match="counts every token"):
        load_recipe(tmp_path / "x.toml")


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ('[canaries]\ntext = "no number"', "expected {} in text"),
        ("[canaries]\nrepeats = [0, 1]", "repeats[0]: expected a whole number, 1 or more, found 0"),
        ("[canaries]\nrepeats = []", "and some repeats"),
        ("[audit]\nsuffix = 0", "audit: suffix: expected a whole number, 1 or more, found 0"),
        ('[[pairs]]\nname = "a"\npaths = ["x"]\nformat = "jsonl"\n' * 2, "two pairs entries are named 'a'"),
        ("private = { noise = 0.0 }", "noise: expected a number above 0, found 0.0"),
        ('order = "in_order"\nprivate = { noise = 1.0 }', "carried state"),
        ('learn_until = "\\nUser:"', "learn_after comes first"),
        ('learn_after = ""', "learn_after comes first"),
        ('learn_after = "x"\nlearn_until = ""', "learn_after comes first"),
        ('learn_after = "x"\nprivate = { noise = 1.0 }', "of whole rows"),
    ],
)
def test_probes_that_could_say_nothing_are_refused(tmp_path: Path, table: str, words: str) -> None:
    train = '[[train]]\nname = "t"\nmodel = { kind = "lstm", layers = 1, width = 8 }'
    (tmp_path / "x.toml").write_text(f'{GOOD}lang = "en"\n{train}\n{table}\n')
    with pytest.raises(RecipeError, match=re.escape(words)):
        load_recipe(tmp_path / "x.toml")
