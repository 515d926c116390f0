"""Ingest: every source of a recipe, from raw bytes to Parquet documents and quarantine.

python -m flows.ingest flows/recipes/demo.toml data
"""

import sys
from pathlib import Path
from typing import Literal

from prefect import flow, task
from prefect.futures import PrefectFuture

from flows.order import ONE_BY_ONE, later, results
from flows.record import RECORDED, finish, record
from flows.watch import Workers, run_name, watching
from lmpipe.dataset import Execution
from lmpipe.errors import RecipeError
from lmpipe.recipe import load_recipe
from lmpipe.settings import CommonCrawlNews, Gutenberg, NewsFeeds, Source, WikimediaDump

Kind = Literal["feeds", "cc-news", "wikimedia", "gutenberg"]
"""From what kind of place a source is fetched."""

DOWNLOADS: dict[type, Kind] = {
    NewsFeeds: "feeds", CommonCrawlNews: "cc-news", WikimediaDump: "wikimedia", Gutenberg: "gutenberg",
}  # fmt: skip
"""The download table of each kind."""


@task(task_run_name="download source {source}", retries=2, retry_delay_seconds=300)
def download_source(recipe: Path, data: Path, source: str) -> list[Path]:
    """Fetch what a source's download table names; nothing is fetched twice."""
    from lmpipe.sources.download.fetch import fetch

    (settings,) = [s for s in load_recipe(recipe).sources if s.name == source]
    with watching(f"download {source}") as tell:
        return fetch(settings, recipe.parent, data, Execution(progress=tell))


@task(task_run_name="read source {source}")
def ingest_source(recipe: Path, data: Path, source: str, downloaded: list[Path], workers: int) -> Path:
    """Read one source into a committed dataset; nothing is done when it is there already."""
    from lmpipe.sources.ingest import ingest  # parsers take a second to import, and only this task needs them

    (settings,) = [s for s in load_recipe(recipe).sources if s.name == source]
    with watching(f"ingest {source}") as tell:
        execution = Execution(workers=workers, progress=tell)
        return ingest(settings, recipe.parent, data, execution, downloaded).folder


def fetched_sources(recipe: Path, kinds: list[Kind]) -> list[Source]:
    """Find the sources of a recipe that are fetched from one of these kinds of places."""
    found = [s for s in load_recipe(recipe).sources if download_kind(s) in kinds]
    if not found:
        raise RecipeError(f"{recipe}: no source has a download table of kind {' or '.join(kinds)}. Add one.")
    return found


def download_kind(source: Source) -> Kind | None:
    """Say from what kind of place a source is fetched; None for one of files."""
    return DOWNLOADS.get(type(getattr(source, "download", None)))


@flow(name="download", flow_run_name=run_name, task_runner=ONE_BY_ONE)
def download(recipe: Path, data: Path, kinds: list[Kind]) -> list[Path]:
    """Fetch what is new at the places that a recipe's sources name; reading it waits for the next ingest.

    Only new entries of feeds and missing files are asked for. A place that fails is tried again after five minutes;
    a single feed that fails is left alone for a while and written down (`lmpipe feeds`). Safe to repeat at any time.

    Args:
        recipe: the recipe's TOML file
        data: the folder that holds all datasets
        kinds: from which kinds of places: feeds, cc-news, wikimedia, gutenberg
    """
    tasks = [later(download_source, recipe, data, source.name) for source in fetched_sources(recipe, kinds)]
    return [path for paths in results(tasks) for path in paths]


@flow(name="ingest", flow_run_name=run_name, task_runner=ONE_BY_ONE, **RECORDED)
def ingest(recipe: Path, data: Path, workers: Workers = 2, kinds: list[Kind] | None = None) -> list[Path]:
    """Read every source of the recipe: one task a source, units of a few seconds inside it.

    A source with a download table is fetched first, by a task that tries again after five minutes.
    Bad records go to a quarantine dataset with their bytes, place and error; the task fails only
    above the rate that the recipe sets. A killed run continues at its last finished unit.

    Args:
        recipe: the recipe's TOML file
        data: the folder that holds all datasets
        workers: processes that read side by side
        kinds: only sources that are fetched from these kinds of places; all sources of the recipe otherwise
    """
    read = []
    for source in load_recipe(recipe).sources if kinds is None else fetched_sources(recipe, kinds):
        remote = download_kind(source) is not None
        files: PrefectFuture[list[Path]] | list[Path] = (
            later(download_source, recipe, data, source.name) if remote else []
        )
        read.append(later(ingest_source, recipe, data, source.name, files, workers))
    folders = results(read)
    later(record, data, read).result()
    finish(recipe, data)
    return folders


if __name__ == "__main__":
    ingest(Path(sys.argv[1]), Path(sys.argv[2]))
