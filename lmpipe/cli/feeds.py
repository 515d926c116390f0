"""The command that shows how polled feeds are: which ones fail, since when, and why."""

from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from lmpipe.cli.options import DATA, Data

Every = Annotated[bool, typer.Option("--all", help="Feeds that are well too.")]


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command()(feeds)


def feeds(data: Data = DATA, every: Every = False) -> None:
    """Show the polled feeds that failed last time, with the reason; a failing feed is left alone for a while.

    Example: lmpipe feeds --all
    """
    from lmpipe.cli.tables import print_rows
    from lmpipe.sources.download.feeds import read_state

    for folder in sorted((data / "download").glob("*-feeds")):
        known = read_state(folder)["feeds"]
        rows = [row(url, feed) for url, feed in known.items() if every or feed.error]
        num_failed = sum(1 for feed in known.values() if feed.error)
        print_rows(f"{folder.name.removesuffix('-feeds')}: {num_failed} of {len(known)} feeds fail", rows)


def row(url: str, feed: Any) -> dict[str, Any]:
    """Lay out one feed."""
    due = datetime.fromtimestamp(feed.next, UTC).isoformat(sep=" ", timespec="minutes")
    return {
        "feed": url,
        "ids": len(feed.seen),
        "failures": feed.failures,
        "next": "never" if feed.gone else due if feed.next else "",
        "error": feed.error,
    }
