"""Saved queries: the files of warehouse/queries, which say in their first comments what they answer and need.

    -- question: Which runs saw a document?
    -- grain: one row per run
    -- param: document: its id              (needed)
    -- param: n = 20: rows                  (with a default)
    -- files: index                         (optional: a select of places, column `place` of the view dataset_files,
    select place from dataset_files ...;     whose Parquet files the answer may read as $index)
    -- answer
    select ... from read_parquet($index) ...;

Values of parameters from the command line are text; the SQL casts them ($n::bigint), so that no one guesses types.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lmpipe.errors import WarehouseError
from lmpipe.warehouse.migrate import sql_files

MARK = re.compile(r"^-- (files: (\w+)|answer)\n", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One value that a query asks for."""

    name: str
    default: str | None
    """None where it has to be given."""
    meaning: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedQuery:
    """A query of warehouse/queries."""

    name: str
    question: str
    """From its first comment."""
    grain: str
    """From its second: what one row is."""
    parameters: tuple[Parameter, ...]
    files: Mapping[str, str]
    """Name of a list of files to the select of their places; empty where the database alone answers."""
    sql: str

    def complete(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Add the defaults; refuse parameters that the query does not know, and say which are missing."""
        known = {parameter.name: parameter for parameter in self.parameters}
        if unknown := sorted(given.keys() - known.keys()):
            raise WarehouseError(f"query {self.name}: no parameter '{unknown[0]}'; expected one of {sorted(known)}.")
        if missing := [p for p in known.values() if p.default is None and p.name not in given]:
            wanted = ", ".join(f"{p.name} ({p.meaning})" for p in missing)
            raise WarehouseError(f"query {self.name}: needs {wanted}. Add --param {missing[0].name}=...")
        return {parameter.name: parameter.default for parameter in known.values()} | dict(given)


def saved_queries() -> list[SavedQuery]:
    """List the saved queries, by name."""
    return [parsed(path.stem, path.read_text(encoding="utf-8")) for path in sql_files("queries")]


def saved_query(name: str) -> SavedQuery:
    """Give a saved query by its name."""
    known = {saved.name: saved for saved in saved_queries()}
    if name not in known:
        raise WarehouseError(f"no saved query '{name}'; expected one of {', '.join(known)}.")
    return known[name]


def saved_sql(name: str) -> str:
    """Give the text of a saved query."""
    return saved_query(name).sql


def parsed(name: str, text: str) -> SavedQuery:
    """Take a file of warehouse/queries apart."""
    head, *rest = MARK.split(text)
    bodies = dict(zip(rest[1::3], rest[2::3], strict=True))  # a mark without files is None: the answer
    answer = bodies.pop(None, None)
    assert (answer is None) == (not bodies), f"{name}: a query with files ends with its answer"
    return SavedQuery(
        name=name,
        question=comment(head, "question"),
        grain=comment(head, "grain"),
        parameters=parameters(head, text),
        files={key: body.strip().removesuffix(";") for key, body in bodies.items()},
        sql=head if answer is None else answer,
    )


def parameters(head: str, text: str) -> tuple[Parameter, ...]:
    """List what the head declares; whatever else the SQL names has to be given too."""
    declared = [parameter(line) for line in re.findall(r"^-- param: (.*)$", head, re.MULTILINE)]
    files = {name for _, name in MARK.findall(text)}
    named = sorted(set(re.findall(r"\$(\w+)", re.sub(r"--.*", "", text))) - {p.name for p in declared} - files)
    return (*declared, *(Parameter(name=name, default=None, meaning="see the question") for name in named))


def comment(text: str, key: str) -> str:
    """Take `-- key: ...` from the head of a file; plain comment lines behind it belong to it."""
    found = re.search(rf"^-- {key}: (.*(?:\n-- (?!\w+:).*)*)", text, re.MULTILINE)
    return found.group(1).replace("\n-- ", " ") if found else ""


def parameter(line: str) -> Parameter:
    """Read `name: meaning` or `name = default: meaning`."""
    head, _, meaning = line.partition(": ")
    name, _, default = (part.strip() for part in head.partition("="))
    return Parameter(name=name, default=default if "=" in head else None, meaning=meaning)
