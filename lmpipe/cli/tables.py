"""Print Arrow tables and rows in the terminal."""

from typing import Any

import pyarrow as pa
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table
from rich.text import Text

WIDE = 100_000
"""Columns of a file: nothing is folded."""


def print_rows(title: str, rows: list[dict[str, Any]]) -> None:
    """Print rows of plain values as a table; numbers stand to the right.

    A terminal's width folds long cells; into a file or a pipe each row is one line.
    """
    table = Table(title=title, title_justify="left", box=SIMPLE, pad_edge=False)
    for name in rows[0] if rows else []:
        numeric = all(isinstance(row[name], int | float | None) for row in rows)
        table.add_column(name, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell(value)) for value in row.values()))
    console = Console()
    if not console.is_terminal:
        console.width = WIDE
    console.print(table if rows else f"{title}: no row")


def cell(value: Any) -> str:
    """Write one value."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return str(value)


def print_table(title: str, table: pa.Table) -> None:
    """Print an Arrow table."""
    print_rows(title, table.to_pylist())
