"""The ablation: variants of a recipe on the very same held-out documents, and nothing done twice."""

import random
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from flows.ablate import ablate
from lmpipe import warehouse
from lmpipe.ablate.variants import seeded, variants
from lmpipe.dataset import inputs_of, open_dataset
from lmpipe.errors import RecipeError
from lmpipe.recipe import load_recipe
from tests.flows.test_pipeline import RECIPE, WORDS

NEWS = """
[[sources]]
kind = "local"
name = "news"
paths = ["news.txt"]
format = "lines"
lang = "en"

[profile.rules.en]
alpha_words = { min = 0.6 }

[split]"""
PLAIN = RECIPE.replace('[passages]\nunit = "line"\n', "").replace("[split]", NEWS, 1)


def write_recipe(folder: Path) -> Path:
    """Write a recipe of two sources; a tenth of the notes is dropped for its numbers."""
    for name, first in (("notes", "quay"), ("news", "court")):
        lines = []
        for number in range(80):
            draw = random.Random(f"{name}{number}")
            words = draw.sample(WORDS, 30)
            if number % 10 == 0:
                words += [str(draw.randrange(10**6)) for _ in range(40)]
            lines.append(f"On the {first} {' '.join(words)} and that was all.")
        (folder / f"{name}.txt").write_text("\n".join(lines))
    (folder / "tiny.toml").write_text(PLAIN)
    return folder / "tiny.toml"


def made(data: Path) -> dict[Path, int]:
    """List when every file of a dataset or checkpoint was written."""
    return {path: path.stat().st_mtime_ns for end in ("parquet", "safetensors") for path in data.rglob(f"*.{end}")}


def stages(data: Path) -> dict[str, int]:
    """Count the datasets of each stage."""
    return {stage.name: len(list(stage.glob("*/manifest.json"))) for stage in data.iterdir() if stage.is_dir()}


@pytest.mark.slow
def test_ablation_compares_variants_and_makes_nothing_twice(tmp_path: Path) -> None:
    recipe, data = write_recipe(tmp_path), tmp_path / "data"
    drops = ["filter.alpha_words", "train.lr=1e-4"]
    table = ablate(recipe, data, drops, 2, "lstm", 1)
    count = stages(data)
    assert (count["ingest"], count["clean"], count["tokenizer"]) == (2, 2, 1)
    assert count["decide"] == 4  # two sources with the filter, two without
    assert (count["split"], count["graft"], count["tokens"]) == (2, 1, 2)  # another lr needs none
    assert (count["evaluate"], count["ablate"]) == (6, 1)
    before = made(data)
    assert ablate(recipe, data, drops, 2, "lstm", 1) == table
    assert made(data) == before

    drops.append("source.news")
    assert ablate(recipe, data, drops, 2, "lstm", 1) != table
    count = stages(data)
    assert (count["decide"], count["split"], count["tokens"], count["evaluate"]) == (4, 3, 3, 8)
    assert {path: when for path, when in made(data).items() if path in before} == before
    assert_only_training_differs(data)

    found = warehouse.run_query(data / "warehouse", "ablation").to_pylist()
    cells = {(row["dropped"], row["source"]): row for row in found if row["slice"] != "lang"}
    assert set(cells) == {(drop, source) for drop in drops for source in ("all", "notes", "news")}
    assert {row["seeds"] for row in found} == {2}
    assert cells["source.news", "news"]["difference"] > cells["source.news", "notes"]["difference"]
    assert cells["train.lr=1e-4", "all"]["difference"] > 0
    assert [name for name, bad in warehouse.checks(data / "warehouse") if bad.num_rows] == []
    page = (data / "report.html").read_text(encoding="utf-8")
    assert all(drop in page for drop in drops)


def assert_only_training_differs(data: Path) -> None:
    """See that each variant's tokens hold the recipe's held-out documents, and no document twice."""
    held = {}
    for folder in sorted((data / "tokens").iterdir()):
        tokens = open_dataset(folder)
        index = {
            split: [id for path in tokens.paths(f"documents-{split}") for id in pq.read_table(path)["id"].to_pylist()]
            for split in ("train", "valid", "test")
        }
        held[tokens.name] = (index["valid"], index["test"], inputs_of(inputs_of(tokens, "encode")[0], "tokenizer"))
        assert not set(index["train"]) & {*index["valid"], *index["test"]}
        if tokens.name == "tiny-without-source-news":
            assert {id.partition(":")[0] for id in index["train"]} == {"notes"}
    assert len(held) == 3
    assert all(found == held["tiny"] for found in held.values())


def test_variants_change_one_part_and_keep_their_names_apart(tmp_path: Path) -> None:
    recipe = load_recipe(write_recipe(tmp_path))
    drops = ["filter.alpha_words", "filter.gopher_quality", "filter", "source.news", "decontaminate", "train.lr=1e-4"]
    alpha, gopher, none, source, decontaminate, lr = variants(recipe, drops, None, tmp_path)
    assert set(alpha.recipe.profile.rules["en"]) == {"alpha_words"}
    assert set(gopher.recipe.profile.rules["en"]) > {"alpha_words", "words", "stop_words"}
    assert "duplicate_lines" not in gopher.recipe.profile.rules["en"]
    assert "duplicate_lines" in none.recipe.profile.rules["zh"]
    assert [s.name for s in source.recipe.sources] == ["notes"]
    assert decontaminate.recipe.decontaminate is None
    assert (lr.training.lr, lr.same_data, alpha.same_data) == (1e-4, True, False)
    assert lr.training.name == "lstm-without-train-lr-1e-4"
    assert [(t.seed, t.name) for t in seeded(recipe.train[1], 3)] == [
        (1, "transformer"),
        (2, "transformer-seed2"),
        (3, "transformer-seed3"),
    ]


@pytest.mark.parametrize(
    ("drop", "message"),
    [
        ("filter.alfa_words", "no such rule; did you mean 'alpha_words'|no such rule.*alpha_words"),
        ("filter.min_words", "no such rule"),
        ("source.nwes", "no such source.*news"),
        ("train.lr", "expected one of"),
        ("train.learning=1", "unknown key 'learning'"),
        ("train.lr=2e-3", "has this value already"),
        ("train.model.width=[[", "no TOML value"),
        ("dedup.far", "expected one of"),
    ],
)
def test_a_part_that_is_not_there_is_refused(tmp_path: Path, drop: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        variants(load_recipe(write_recipe(tmp_path)), [drop], None, tmp_path)


def test_a_recipe_that_cuts_passages_is_refused(tmp_path: Path) -> None:
    (tmp_path / "tiny.toml").write_text(RECIPE)
    with pytest.raises(RecipeError, match="has \\[passages\\]"):
        variants(load_recipe(tmp_path / "tiny.toml"), ["filter"], None, tmp_path)
