"""A recipe of seconds, and what any run of it must leave: the bytes of all datasets, what was trained, and all rows.

Two runs are compared by what a user could read: files by their sha256, results of trainings, and the rows of the
warehouse without times, places and speeds.
"""

import json
import random
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lmpipe import warehouse
from lmpipe.errors import WarehouseError
from lmpipe.storage import digest, file_sha256

RECIPE = """
name = "tiny"

[[sources]]
kind = "local"
name = "notes"
paths = ["notes-*.txt"]
format = "lines"
lang = "en"

[split]
valid = 0.1
test = 0.2

[tokenizer]
vocabulary = 300

[[train]]
name = "lstm"
context = 32
batch = 4
steps = 24
save_every = 4
valid_every = 8
valid_rows = 4
threads = 1
model = { kind = "lstm", layers = 1, width = 32 }

[[train]]
name = "counted"
model = { kind = "ngram", order = 2 }

[evaluate]
context = 32
"""

WORDS = re.findall(
    r"\w+",
    "the ferry came late with crates of oranges while a clerk wrote numbers down as he had done in years before and"
    " nobody asked why his pen was older than their boat or where its captain went when rain began to fall on ropes",
)

FILES, DOCUMENTS = 3, 80
"""Files of the source, and documents in each: enough for several units of work."""

OWN = (".lock", "made.json")
"""Files of a dataset that say when, where and by whom it was built."""

ABOUT_RUNS = ("flow_", "schema_", "benchmarks", "checkpoints")
"""Beginnings of tables that tell of how it was run; which checkpoints are kept depends on where it was stopped."""

VOLATILE = (
    "folder", "version", "host", "started", "finished", "wall_seconds", "tokens_per_s", "extra", "recorded",
)  # fmt: skip
"""Columns with times, places and speeds."""


@dataclass(frozen=True, slots=True)
class State:
    """What a finished run has left."""

    files: dict[str, str]
    """Files of committed datasets, with their sha256."""
    runs: dict[str, dict[str, Any]]
    """Trainings: their weights and losses."""
    rows: dict[str, str]
    """Tables, with a digest of their rows."""


def write_recipe(folder: Path) -> Path:
    """Write the recipe and its source into a folder."""
    for number in range(FILES):
        lines = [sentence(number * DOCUMENTS + line) for line in range(DOCUMENTS)]
        (folder / f"notes-{number}.txt").write_text("\n".join(lines) + "\n")
    (folder / "tiny.toml").write_text(RECIPE)
    return folder / "tiny.toml"


def sentence(number: int) -> str:
    """Make up one document."""
    return f"On the quay {' '.join(random.Random(number).sample(WORDS, 30))} and that was all."


def read_state(data: Path) -> State:
    """Read what lies in a data folder; what was not committed is not there."""
    folders = [path.parent for path in data.glob("[!.]*/*/manifest.json")]
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file() and path.name not in OWN]
    return State(
        files={str(path.relative_to(data)): file_sha256(path) for path in files},
        runs={path.parent.name: learnt(path) for path in data.glob("runs/*/result.json")},
        rows=read_rows(data / "warehouse"),
    )


def learnt(result: Path) -> dict[str, Any]:
    """Read of a training's result what does not depend on when and how often it was started."""
    body = json.loads(result.read_text())
    return {key: body[key] for key in ("steps", "checkpoint_sha256", "train_loss", "valid_loss", "tokens")}


def read_rows(folder: Path) -> dict[str, str]:
    """Digest the rows of every table; of none where there is no warehouse that can be read."""
    sql = """
        select table_name as name, list(column_name order by column_index) as columns
        from duckdb_columns() where database_name = 'results' and not internal
        and table_name in (select table_name from duckdb_tables()) group by all order by all
    """
    try:
        tables = warehouse.query(folder, sql).to_pylist()
    except WarehouseError as error:
        return {"warehouse": str(error)}
    told = [table for table in tables if not table["name"].startswith(ABOUT_RUNS)]
    return {table["name"]: rows_digest(folder, table["name"], table["columns"]) for table in told}


def rows_digest(folder: Path, table: str, columns: list[str]) -> str:
    """Digest a table's rows, whatever their order."""
    chosen = ", ".join(f'"{column}"' for column in columns if column not in VOLATILE)
    rows = warehouse.query(folder, f'select {chosen} from "{table}"').to_pylist()
    return digest(sorted(json.dumps(row, sort_keys=True, default=str) for row in rows))


def differences(expected: State, found: State) -> list[str]:
    """List what is missing, other, or too much."""
    named = []
    for what in ("files", "runs", "rows"):
        one, other = getattr(expected, what), getattr(found, what)
        named += [f"{what}: {key}" for key in sorted(one.keys() | other.keys()) if one.get(key) != other.get(key)]
    return named
