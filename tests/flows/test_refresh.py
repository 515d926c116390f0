"""Refresh: a feed of two days, of which the second holds new and changed entries; only those are worked on."""

import random
import shutil
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from flows.pipeline import Outcome
from flows.refresh import refresh
from lmpipe import warehouse
from lmpipe.curate.clean import clean
from lmpipe.curate.decide import decide
from lmpipe.dataset import Execution, Manifest, inputs_of, open_dataset
from lmpipe.recipe import load_recipe
from lmpipe.sources.ingest import ingest
from lmpipe.train.checkpoint import find_checkpoint
from lmpipe.train.run import INIT, load_run
from tests.flows.test_pipeline import WORDS
from tests.road import fingerprints
from tests.sources.download.server import File, serve

RECIPE = """
name = "bay"
[[sources]]
kind = "news"
name = "bay"
lang = "en"
[sources.download]
kind = "feeds"
urls = ["{url}/feed"]
http = {{ contact = "t@example.org", private = true, requests_per_second = 100 }}
[split]
valid = 0.1
test = 0.3
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
model = {{ kind = "lstm", layers = 1, width = 32 }}
[evaluate]
context = 32
"""


def feed(entries: dict[str, str]) -> bytes:
    items = "".join(
        f"<item><guid>http://host/{name}</guid><title>T {name}</title><description>{text}</description>"
        f"<pubDate>Mon, {3 + number % 2:02d} {'Jan' if number % 2 else 'Feb'} 2025 10:00:00 GMT</pubDate></item>"
        for number, (name, text) in enumerate(entries.items())
    )
    return f'<?xml version="1.0"?><rss version="2.0"><channel><title>Bay</title>{items}</channel></rss>'.encode()


def news(number: int) -> str:
    return f"On the quay {' '.join(random.Random(number).sample(WORDS, 40))} and that was all."


DAY_1 = {f"n{number}": news(number) for number in range(60)}
CHANGED = {f"n{number}": news(number) + " Later it was more." for number in range(3, 9)}
DAY_2 = DAY_1 | CHANGED | {f"n{number}": news(number) for number in range(60, 80)}


class Days:
    """Two refreshes of a feed that grows, and what they left."""

    def __init__(self, folder: Path) -> None:
        self.recipe, self.data = folder / "bay.toml", folder / "data"
        with serve({"/feed": feed(DAY_1)}) as server:
            self.recipe.write_text(RECIPE.format(url=server.url))
            self.first: Outcome = refresh(self.recipe, self.data, 1)
            self.before = fingerprints(self.data)
            self.again: Outcome = refresh(self.recipe, self.data, 1)
            server.files["/feed"] = File(feed(DAY_2))
            self.second: Outcome = refresh(self.recipe, self.data, 1)


@pytest.fixture(scope="module")
def days(tmp_path_factory: pytest.TempPathFactory) -> Days:
    return Days(tmp_path_factory.mktemp("days"))


def read(path: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(path).to_pylist()
    return rows


def above(manifest: Manifest, *stages: str) -> Manifest:
    for stage in stages:
        (manifest,) = inputs_of(manifest, stage)
    return manifest


def test_without_news_nothing_is_done(days: Days) -> None:
    assert days.again.tokens == days.first.tokens
    assert days.again.runs == days.first.runs


def test_only_new_and_changed_entries_are_read(days: Days) -> None:
    encoded = above(open_dataset(days.second.tokens), "encode")
    ingested = above(encoded, "split", "decide", "clean", "ingest")
    first, second = (path for path in ingested.paths("documents"))
    assert ingested.counts["in"] == 60 + 26
    assert first.stat().st_nlink > 1  # the first day's shard is the first day's file
    assert second.stat().st_nlink == 1


def test_tokens_of_the_second_day_stand_behind_those_of_the_first(days: Days) -> None:
    old, new = open_dataset(days.first.tokens), open_dataset(days.second.tokens)
    assert old.reference in new.inputs
    assert 0 < new.counts["documents.train"] <= 26  # linked shards are not counted again


def test_a_changed_entry_of_training_is_packed_in_its_new_version_too(days: Days) -> None:
    rows = [row for path in open_dataset(days.second.tokens).paths("documents-train") for row in read(path)]
    sizes = {id: [row["bytes"] for row in rows if row["id"] == f"bay:http://host/{id}"] for id in CHANGED}
    twice = [versions for versions in sizes.values() if len(versions) == 2]
    assert len(twice) > 2  # the others are held out, and stay as they were
    assert all(old + len(" Later it was more.") == new for old, new in twice)


def test_the_second_training_begins_with_the_weights_of_the_first(days: Days) -> None:
    (first,), (second,) = days.first.runs, days.second.runs
    (begun,) = (file.sha256 for file in load_run(second).files if file.role == INIT)
    last = find_checkpoint(first)
    assert last is not None
    assert begun == last.sha256
    assert "steps 1 to 6" in (second / "train.log").read_text()


def test_perplexity_by_month_is_a_view(days: Days) -> None:
    rows = warehouse.run_query(days.data / "warehouse", "perplexity_by_month").to_pylist()
    assert {row["month"] for row in rows} == {"2025-01", "2025-02"}
    assert len({row["run"] for row in rows}) == 2
    assert all(0 < row["bits_per_byte"] < 9 for row in rows)


def test_runs_of_two_days_are_compared_on_the_documents_that_both_scored(days: Days) -> None:
    runs = {"run": load_run(days.second.runs[0]).fingerprint, "last": load_run(days.first.runs[0]).fingerprint}
    rows = warehouse.run_query(days.data / "warehouse", "against_last", runs).to_pylist()
    assert [row["source"] for row in rows] == ["bay", "all"]
    old = open_dataset(days.first.tokens)
    assert rows[0]["documents"] == old.counts["documents.test"]
    assert rows[0]["difference_low"] < rows[0]["difference"] < rows[0]["difference_high"]


def test_what_grew_day_by_day_has_the_bytes_of_what_is_made_at_once(days: Days, tmp_path: Path) -> None:
    encoded = above(open_dataset(days.second.tokens), "encode")
    chosen = above(encoded, "split")
    shutil.copytree(days.data / "download", tmp_path / "download")
    execution, files = Execution(), sorted((tmp_path / "download/bay-feeds").glob("entries-*"))
    settings = load_recipe(days.recipe)
    (source,) = settings.sources
    documents = ingest(source, days.recipe.parent, tmp_path, execution, files)
    decided = decide(clean(documents, tmp_path, settings.clean, execution), tmp_path, settings.profile, execution)
    assert decided.folder.name == above(chosen, "decide").folder.name
    for stage in ("ingest", "clean", "decide"):
        made = {name: sha for name, sha in fingerprints(tmp_path / stage).items() if "units" not in name}
        grown = fingerprints(days.data / stage)
        assert made.items() <= grown.items()
