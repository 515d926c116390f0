"""The documentation of the database: every table, view, macro, saved query and check, from the comments of its SQL."""

import re
import tempfile
from dataclasses import dataclass
from html import escape
from pathlib import Path

from lmpipe.warehouse.door import write
from lmpipe.warehouse.migrate import sql_files
from lmpipe.warehouse.saved import comment, saved_queries

TABLE = re.compile(r"((?:^--[^\n]*\n)*)^create table (\w+) \((.*?)^\);", re.MULTILINE | re.DOTALL)
COLUMN = re.compile(r'^    "?(\w+)"? [^-\n]*(?:-- (.*))?$', re.MULTILINE)
ADDED = re.compile(r"^alter table (\w+) add column (\w+) [^-\n]*(?:-- (.*))?$", re.MULTILINE)
MACRO = re.compile(r"create or replace macro (\w+)\((.*?)\)")

KINDS = {
    "table": "Tables: facts and sums, written by flows",
    "view": "Views: everything that is derived",
    "macro": "Macros: views with arguments",
    "query": "Saved queries: lmpipe sql --query NAME",
    "check": "Checks: must return no row, run at the end of every flow",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One thing of the database that can be named in SQL or on the command line."""

    kind: str
    name: str
    """With its arguments."""
    question: str
    grain: str
    columns: tuple[tuple[str, str, str], ...] = ()
    """Name, type and comment; of a query, its parameters, defaults and meanings."""


def entries() -> list[Entry]:
    """List everything, by kind, then name."""
    with tempfile.TemporaryDirectory() as folder, write(Path(folder)) as con:
        sql = """
            select table_name, column_name, data_type from duckdb_columns()
            where database_name = 'lm' order by table_name, column_index
        """
        types: dict[str, list[tuple[str, str]]] = {}
        for name, column, type in con.execute(sql).fetchall():
            types.setdefault(name, []).append((column, type))
    return [*tables(types), *views(types), *queries(), *checks()]


def tables(types: dict[str, list[tuple[str, str]]]) -> list[Entry]:
    """Describe the tables by the comments of the migrations."""
    text = "\n".join(path.read_text(encoding="utf-8") for path in sql_files("migrations"))
    notes = {(table, column): note for table, column, note in ADDED.findall(text)}
    grains = {}
    for head, table, body in TABLE.findall(text):
        grains[table] = " ".join(line.removeprefix("-- ") for line in head.splitlines())
        notes |= {(table, column): note for column, note in COLUMN.findall(body)}
    return [
        Entry(
            kind="table",
            name=table,
            question="",
            grain=grains[table],
            columns=tuple((column, type, notes.get((table, column), "")) for column, type in types[table]),
        )
        for table in sorted(grains)
    ]


def views(types: dict[str, list[tuple[str, str]]]) -> list[Entry]:
    """Describe views and macros."""
    found = []
    for path in sql_files("views"):
        text = path.read_text(encoding="utf-8")
        macro = MACRO.search(text)
        found.append(
            Entry(
                kind="macro" if macro else "view",
                name=f"{macro[1]}({macro[2]})" if macro else path.stem,
                question=comment(text, "question"),
                grain=comment(text, "grain"),
                columns=tuple((column, type, "") for column, type in types.get(path.stem, [])),
            )
        )
    return sorted(found, key=lambda entry: entry.kind, reverse=True)


def queries() -> list[Entry]:
    """Describe the saved queries with their parameters."""
    return [
        Entry(
            kind="query",
            name=saved.name,
            question=saved.question,
            grain=saved.grain,
            columns=tuple(
                (f"--param {p.name}", "needed" if p.default is None else f"default {p.default}", p.meaning)
                for p in saved.parameters
            ),
        )
        for saved in saved_queries()
    ]


def checks() -> list[Entry]:
    """Describe the checks."""
    texts = {path.stem: path.read_text(encoding="utf-8") for path in sql_files("checks")}
    return [
        Entry(kind="check", name=name, question=comment(text, "question"), grain=comment(text, "grain"))
        for name, text in texts.items()
    ]


def markdown() -> str:
    """Write the documentation as Markdown."""
    everything = entries()
    lines = ["# The database of results", ""]
    for kind, title in KINDS.items():
        lines += [f"## {title}", ""]
        for entry in [e for e in everything if e.kind == kind]:
            lines += [f"### {entry.name}", "", *[f"{text}  " for text in (entry.question, entry.grain) if text], ""]
            if entry.columns:
                lines += ["| column | type | |", "|---|---|---|"]
                lines += [f"| {name} | {type} | {note.replace('|', '&#124;')} |" for name, type, note in entry.columns]
                lines.append("")
    return "\n".join(lines)


def html() -> str:
    """Write the documentation as one page that needs nothing else."""
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8><title>The database of results</title>",
        "<meta name=viewport content='width=device-width'><style>:root{color-scheme:light dark}",
        "body{font:16px/1.5 Arial,sans-serif;max-width:60em;margin:auto;padding:1em}td{padding:0 1em 0 0}",
        "code{font-size:.9em}</style><h1>The database of results</h1>",
    ]
    everything = entries()
    for kind, title in KINDS.items():
        parts.append(f"<h2>{escape(title)}</h2>")
        for entry in [e for e in everything if e.kind == kind]:
            parts.append(f"<h3><code>{escape(entry.name)}</code></h3>")
            parts += [f"<p>{escape(text)}</p>" for text in (entry.question, entry.grain) if text]
            rows = [f"<tr><td><code>{escape(n)}</code><td>{escape(t)}<td>{escape(c)}" for n, t, c in entry.columns]
            parts += ["<table>", *rows, "</table>"] if rows else []
    return "\n".join(parts) + "\n</html>\n"
