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
    app.command()(ladder)


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
    url = set_up(recipe, data, server, keep, verbose)
    outcome = run_pipeline(recipe, data, workers)
    from lmpipe.cli.summary import print_summary

    print_summary(data, outcome, url if keep or not server else None, ours=server)


def ladder(
    recipe: Recipe,
    data: Data = DATA,
    workers: Workers = 2,
    server: ServerOption = False,
    keep: KeepOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Train the sizes and budgets of a recipe's [ladder], fit their scaling law and foretell the best size.

    Needs the recipe's input files and its table [ladder]; what is finished is not done again.

    Example: lmpipe ladder recipe.toml --data data/demo
    """
    set_up(recipe, data, server, keep, verbose)
    from flows.ladder import ladder as flow
    from lmpipe.cli.tables import print_rows
    from lmpipe.report import ladder_rows
    from lmpipe.warehouse import PUBLISHED

    print(flow(recipe.resolve(), data.resolve(), workers))
    print_rows("Scaling laws", ladder_rows(data / "warehouse" / PUBLISHED))


def set_up(recipe: Path, data: Path, server: bool, keep: bool, verbose: bool) -> str | None:
    """Prepare this process to run a flow; return the URL of the server that it starts, or finds, if any."""
    import logging

    from lmpipe.recipe import load_recipe
    from lmpipe.storage import storage_errors

    load_recipe(recipe)  # a mistake in the recipe is told before Prefect's seconds of start-up
    with storage_errors(data):
        data.mkdir(parents=True, exist_ok=True)
    from flows.operate import join_if_up

    joined = "PREFECT_API_URL" not in os.environ and join_if_up(data)
    quiet_prefect(data, verbose)
    atexit.register(silence_leak_report)
    logging.getLogger("lmpipe").setLevel(logging.INFO)
    if not server or joined:
        return os.environ.get("PREFECT_API_URL")
    from flows.server import start_server

    os.environ["PREFECT_API_URL"] = start_server(data / ".prefect", keep=keep)
    return os.environ["PREFECT_API_URL"]


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
    from flows.pipeline import pipeline

    return pipeline(recipe.resolve(), data.resolve(), workers)
