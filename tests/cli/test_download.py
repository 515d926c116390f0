"""`lmpipe download` and `lmpipe ingest` of a recipe that fetches its source, as processes."""

import subprocess
import sys
from pathlib import Path

from tests.conftest import ROOT
from tests.sources.download.server import serve
from tests.sources.download.test_feeds_poll import rss

RECIPE = """
name = "bay"
[[sources]]
kind = "news"
name = "bay"
[sources.download]
kind = "feeds"
urls = ["{url}/a"]
[sources.download.http]
contact = "mail@example.org"
requests_per_second = 100
private = {private}
"""


def lmpipe(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "lmpipe.cli", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


def test_a_recipe_fetches_what_it_ingests(tmp_path: Path) -> None:
    recipe = tmp_path / "bay.toml"
    with serve({"/a": rss("1", "2")}) as server:
        recipe.write_text(RECIPE.format(url=server.url, private="true"))
        fetched = lmpipe("download", str(recipe), "--data", str(tmp_path))
        read = lmpipe("ingest", str(recipe), "--data", str(tmp_path))
        assert len(server.asked("/a")) == 2
    assert fetched.returncode == read.returncode == 0, fetched.stderr + read.stderr
    assert fetched.stdout.strip().endswith("bay-feeds/entries-00001.jsonl.gz")
    assert "kept" in read.stdout


def test_feeds_that_fail_are_shown_with_the_reason(tmp_path: Path) -> None:
    recipe = tmp_path / "bay.toml"
    with serve({"/a": b"<html>login</html>"}) as server:
        recipe.write_text(RECIPE.format(url=server.url, private="true"))
        assert lmpipe("download", str(recipe), "--data", str(tmp_path)).returncode == 0
    shown = " ".join(lmpipe("feeds", "--data", str(tmp_path)).stdout.split())
    assert "bay: 1 of 1 feeds fail" in shown
    assert "RSS" in shown


def test_an_unknown_source_is_named(tmp_path: Path) -> None:
    recipe = tmp_path / "bay.toml"
    recipe.write_text(RECIPE.format(url="http://127.0.0.1:1", private="false"))
    told = lmpipe("download", str(recipe), "--source", "bey")
    assert told.returncode == 1
    assert "did you mean 'bay'" in told.stderr
