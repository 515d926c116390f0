"""Texts from files, standard input and tables: text lines, JSONL, Parquet; in bounded memory. rows.py writes.

A JSONL line is a string or an object, whose text stands in `text` or `prompt`; in Parquet the same columns. Other
keys are not read; an `id` is kept, else a text's id is <file name>:<number of its line or row>.
"""

import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import chain, islice
from pathlib import Path
from typing import IO, Any, Literal, NamedTuple, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from lmpipe.errors import InputError

STANDARD = Path("-")
"""Standard input or output."""

T = TypeVar("T")

Format = Literal["text", "jsonl", "parquet"]
SUFFIXES: dict[str, Format] = {".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet"}
"""Other names are text."""

COLUMNS = ("text", "prompt")
"""Where a row's text is looked for, unless a column is named."""


class Text(NamedTuple):
    """One text to work on."""

    id: str
    text: str


def format_of(path: Path) -> Format:
    """Tell a file's format by its name."""
    return SUFFIXES.get(path.suffix.lower(), "text")


def read_texts(paths: Iterable[Path], column: str | None = None, form: Format | None = None) -> Iterator[Text]:
    """Read texts one by one; `form` is what standard input is in, text lines unless said otherwise.

    Raises InputError for a file that is not there, a row without text, and bytes that are no UTF-8.
    """
    for path in paths:
        kind = form if form is not None and path == STANDARD else format_of(path)
        try:
            yield from READERS[kind](path, column)
        except FileNotFoundError:
            raise InputError(f"{path}: no such file. Name a file, or - for standard input.") from None
        except UnicodeDecodeError as error:
            raise InputError(f"{path}: not UTF-8 ({error}). Convert it first.") from None
        except pa.ArrowInvalid as error:
            raise InputError(f"{path}: not readable as Parquet ({error}).") from None


@contextmanager
def opened(path: Path) -> Iterator[IO[str]]:
    """Open a file, or standard input, as UTF-8."""
    if path == STANDARD:
        sys.stdin.reconfigure(encoding="utf-8")  # type: ignore[union-attr]
        yield sys.stdin
        return
    with path.open(encoding="utf-8") as file:
        yield file


def read_lines(path: Path, column: str | None) -> Iterator[Text]:
    """Read a text a line."""
    with opened(path) as file:
        for number, line in enumerate(file, start=1):
            yield Text(f"{path.name}:{number}", line.rstrip("\n"))


def read_jsonl(path: Path, column: str | None) -> Iterator[Text]:
    """Read a string or an object a line."""
    with opened(path) as file:
        for number, line in enumerate(file, start=1):
            where = f"{path}: line {number}"
            try:
                body = json.loads(line)
            except ValueError as error:
                raise InputError(f"{where}: not JSON ({error}). Give a string or an object a line.") from None
            yield text_of(body if isinstance(body, dict) else {"text": body}, f"{path.name}:{number}", where, column)


def read_parquet(path: Path, column: str | None) -> Iterator[Text]:
    """Read a text a row."""
    number = 0
    with pq.ParquetFile(path) as file:
        wanted = [name for name in ("id", column, *COLUMNS) if name in file.schema_arrow.names]
        for batch in file.iter_batches(batch_size=512, columns=wanted):
            for row in batch.to_pylist():
                number += 1
                yield text_of(row, f"{path.name}:{number}", f"{path}: row {number}", column)


READERS = {"text": read_lines, "jsonl": read_jsonl, "parquet": read_parquet}
"""By format."""


def text_of(row: dict[str, Any], ident: str, where: str, column: str | None) -> Text:
    """Find the text of a row."""
    names = (column,) if column is not None else COLUMNS
    text = next((row[name] for name in names if name in row), None)
    if not isinstance(text, str):
        raise InputError(f"{where}: expected a text in {' or '.join(names)}, found {text!r:.60}. Name its --column.")
    return Text(str(row.get("id", ident)), text)


def in_batches(some: Iterable[T], size: int) -> Iterator[tuple[T, ...]]:
    """Group texts or rows, reading no further than a group needs."""
    rest = iter(some)
    while group := tuple(islice(rest, size)):
        yield group


def not_empty(texts: Iterator[Text], what: str) -> Iterator[Text]:
    """Raise InputError when there is no text at all."""
    first = next(texts, None)
    if first is None:
        raise InputError(f"{what}: expected texts, found none. Give at least one.")
    return chain((first,), texts)
