"""Commands of the database of results: sql to ask it; warehouse docs, check, backup, restore, rebuild, ceilings."""

import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO

import typer

from lmpipe.cli.options import DATA, Data

if TYPE_CHECKING:
    import pyarrow as pa


class Format(StrEnum):
    """How an answer is printed."""

    table = "table"
    csv = "csv"
    json = "json"
    parquet = "parquet"


class Page(StrEnum):
    """How the documentation is printed."""

    markdown = "markdown"
    html = "html"


Statement = Annotated[str | None, typer.Argument(help="One SELECT.", show_default=False)]
QueryOption = Annotated[str | None, typer.Option("--query", help="Run a saved query instead of SQL.")]
ParamOption = Annotated[list[str] | None, typer.Option("--param", help="A query's parameter, as name=value.")]
FormatOption = Annotated[Format, typer.Option("--format", help="How to print the answer.")]
OutOption = Annotated[Path | None, typer.Option("--out", help="Write it to a file instead.")]
TimeoutOption = Annotated[float, typer.Option("--timeout", min=0.001, help="Seconds that the query may take.")]
AllowOption = Annotated[
    list[Path] | None, typer.Option("--allow", help="A dataset's folder whose Parquet files the SQL may read.")
]
PageOption = Annotated[Page, typer.Option("--format", help="How to print it.")]
KeepOption = Annotated[int, typer.Option("--keep", min=1, help="Backups to keep, the newest.")]
FromOption = Annotated[Path | None, typer.Option("--from", help="This file; the newest sound one otherwise.")]
FoldersOption = Annotated[
    bool, typer.Option("--folders-only", help="Take nothing over from the old database, flow runs included.")
]


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.command()(sql)
    group = typer.Typer(no_args_is_help=True, help="Document, check, back up, restore and rebuild the database.")
    for command in (docs, check, backup, restore, rebuild, ceilings):
        group.command()(command)
    app.add_typer(group, name="warehouse")


def sql(
    statement: Statement = None,
    data: Data = DATA,
    query: QueryOption = None,
    param: ParamOption = None,
    format: FormatOption = Format.table,
    out: OutOption = None,
    timeout: TimeoutOption = 60.0,
    allow: AllowOption = None,
) -> None:
    """Ask the results in SQL (read-only, Ctrl-C ends it); without a statement, list tables and saved queries.

    Needs a warehouse: run a recipe first.

    Example: lmpipe sql --query runs_that_saw --param document=wiki-en:736 --data data/demo
    """
    from lmpipe import warehouse
    from lmpipe.cli.tables import print_table
    from lmpipe.storage import replacing

    folder = data / "warehouse"
    if query is None and statement is None:
        print_contents(folder)
        return
    given = named(param or [])
    try:
        if query is not None:
            table = warehouse.run_query(folder, query, given, timeout=timeout)
        else:
            table = warehouse.query(folder, str(statement), given, timeout=timeout, open_to=allow or ())
    except KeyboardInterrupt:
        print("the query was stopped by Ctrl-C", file=sys.stderr)
        raise typer.Exit(130) from None
    if format is Format.table and out is None:
        print_table(f"{table.num_rows} rows", table)
    elif out is None:
        write(table, format, sys.stdout.buffer)
    else:
        with replacing(out) as temporary, temporary.open("wb") as file:
            write(table, written_as(out, format), file)


def named(parameters: list[str]) -> dict[str, str]:
    """Take name=value apart."""
    from lmpipe.errors import InputError

    for parameter in parameters:
        if "=" not in parameter:
            raise InputError(f"--param {parameter}: expected name=value, such as --param n=20.")
    return {name: value for name, _, value in (parameter.partition("=") for parameter in parameters)}


def print_contents(folder: Path) -> None:
    """Print what can be asked."""
    from lmpipe import warehouse
    from lmpipe.cli.tables import print_rows, print_table

    print_table("Tables and views", warehouse.query(folder, "select name from (show tables) order by all"))
    rows = [
        {"name": saved.name, "question": saved.question, "parameters": " ".join(p.name for p in saved.parameters)}
        for saved in warehouse.saved_queries()
    ]
    print_rows("Saved queries", rows)


def written_as(out: Path, format: Format) -> Format:
    """Take the format of a file from --format or else, as a printed table is none, from its name."""
    if format is not Format.table:
        return format
    return Format(out.suffix[1:]) if out.suffix in (".json", ".parquet") else Format.csv


def write(table: "pa.Table", format: Format, file: BinaryIO) -> None:
    """Write an answer as a file."""
    if format is Format.csv:
        from pyarrow.csv import write_csv

        write_csv(table, file)
    elif format is Format.json:
        file.write(json.dumps(table.to_pylist(), default=str, ensure_ascii=False, indent=1).encode() + b"\n")
    else:
        from pyarrow.parquet import write_table

        write_table(table, file)


def docs(format: PageOption = Page.markdown, out: OutOption = None) -> None:
    """Print what every table, view, macro, saved query and check of the database means.

    Needs nothing.

    Example: lmpipe warehouse docs --format html --out warehouse.html
    """
    from lmpipe.warehouse import pages

    text = pages.html() if format is Page.html else pages.markdown()
    if out is None:
        print(text)
    else:
        out.write_text(text, encoding="utf-8")


def check(data: Data = DATA) -> None:
    """Ask the questions that must have no answer, and print what they find.

    Needs a warehouse: run a recipe first.

    Example: lmpipe warehouse check --data data/demo
    """
    from lmpipe import warehouse
    from lmpipe.cli.tables import print_table

    found = warehouse.checks(data / "warehouse")
    bad = [(name, rows) for name, rows in found if rows.num_rows]
    for name, rows in bad:
        print_table(name, rows)
    print(f"{len(found)} checks, {len(bad)} found rows that must not be")
    if bad:
        raise typer.Exit(1)


def backup(data: Data = DATA, keep: KeepOption = 7) -> None:
    """Copy the database to DATA/warehouse/backups, read the copy through, and drop the oldest copies.

    Needs a warehouse: run a recipe first.

    Example: lmpipe warehouse backup --data data/demo --keep 14
    """
    from lmpipe import warehouse

    print(warehouse.backup(data / "warehouse", keep))


def restore(data: Data = DATA, source: FromOption = None) -> None:
    """Put the newest sound database in place: itself, its published copy, or a backup; nothing is deleted.

    Needs one of the three in DATA/warehouse; `lmpipe warehouse rebuild` needs none.

    Example: lmpipe warehouse restore --data data/demo
    """
    from lmpipe import warehouse

    print(f"restored from {warehouse.restore(data / 'warehouse', source)}")


def rebuild(data: Data = DATA, folders_only: FoldersOption = False) -> None:
    """Make the database anew from all datasets and runs under DATA; flow runs come from the old one, if readable.

    Needs committed datasets under DATA; the old database is kept under another name.

    Example: lmpipe warehouse rebuild --data data/demo
    """
    from dataclasses import asdict

    from lmpipe import warehouse
    from lmpipe.cli.tables import print_rows

    done = warehouse.rebuild(data / "warehouse", folders_only=folders_only)
    print_rows("Rows", [asdict(change) for change in done.tables])
    print(
        f"kept rows are from {done.old}" if done.old else "no old database was read: flow runs and benchmarks are lost"
    )
    for problem in done.unreadable:
        print(f"left out: {problem}")


def ceilings(data: Data = DATA) -> None:
    """Measure what this machine can do at best (decompression, memory copy, matrix products) and record it.

    Needs nothing; takes some seconds. `lmpipe sql --query bottlenecks` compares every stage with it.

    Example: lmpipe warehouse ceilings --data data/demo
    """
    from lmpipe import warehouse
    from lmpipe.cli.ceilings import measure
    from lmpipe.cli.tables import print_rows

    rows = measure()
    warehouse.record_benchmarks(data / "warehouse", rows)
    shown: list[dict[str, Any]] = [{"ceiling": row.name, "value": row.value, "unit": row.unit} for row in rows]
    print_rows("Ceilings", shown)
