"""`lmpipe run`: start the pipeline flow of a recipe and print what came out of it."""

import atexit
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lmpipe.cli.options import DATA, Data, Recipe, Workers

if TYPE_CHECKING:
    from flows.pipeline import Outcome

ServerOption = Annotated[bool, typer.Option("--server", help="Start a Prefect server for this run, to look at it.")]
KeepOption = Annotated[bool, typer.Option("--keep", help="With --server: leave the server up afterwards.")]
VerboseOption = Annotated[bool, typer.Option("--verbose", help="Show Prefect's log lines too.")]


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command()(run)


def run(
    recipe: Recipe,
    data: Data = DATA,
    workers: Workers = 2,
    server: ServerOption = False,
    keep: KeepOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Run a recipe from raw bytes to perplexities; what is finished is not done again.

    Needs the recipe's input files; a Prefect server is used where PREFECT_API_URL names one.

    Example: lmpipe run flows/recipes/demo.toml --data data/demo --server
    """
    from lmpipe.recipe import load_recipe
    from lmpipe.storage import storage_errors

    load_recipe(recipe)  # a mistake in the recipe is told before Prefect's seconds of start-up
    with storage_errors(data):
        data.mkdir(parents=True, exist_ok=True)
    quiet_prefect(data, verbose)
    atexit.register(silence_leak_report)
    url = None
    if server:
        from flows.server import start_server

        url = os.environ["PREFECT_API_URL"] = start_server(data / ".prefect", keep=keep)
    outcome = run_pipeline(recipe, data, workers)
    from lmpipe.cli.summary import print_summary

    print_summary(data, outcome, url if keep else None)


def silence_leak_report() -> None:
    """Close stderr as the very last act: with Prefect's threads alive at the interpreter's end, DuckDB 2.0.0 prints a
    page about leaked objects there (its 2.0.1 mends that). Registered before Prefect, so it runs after its clean-up."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)


def quiet_prefect(data: Path, verbose: bool) -> None:
    """Set Prefect up through its environment, before it is imported: no telemetry, state beside the data."""
    os.environ.setdefault("PREFECT_HOME", str((data / ".prefect").resolve()))
    os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
    os.environ.setdefault("DO_NOT_TRACK", "1")
    os.environ.setdefault("PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS", "120")
    os.environ.setdefault("PREFECT_LOGGING_EXTRA_LOGGERS", "lmpipe")
    if not verbose:
        os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")


def run_pipeline(recipe: Path, data: Path, workers: int) -> "Outcome":
    """Start the flow in this process; Prefect is imported here and nowhere else in the library."""
    import logging

    from flows.pipeline import pipeline

    logging.getLogger("lmpipe").setLevel(logging.INFO)
    return pipeline(recipe.resolve(), data.resolve(), workers)
