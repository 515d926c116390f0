"""Reading local corpora in tests: files in, records out, and what is asked of them."""

from collections import Counter
from pathlib import Path

from lmpipe.document import BadRecord, Document, Record, Skipped
from lmpipe.settings import LocalSource
from lmpipe.sources import local

TAGGED = {"id": "@NEWID", "title": "TITLE", "text": "BODY", "created": "DATE"}


def source(form: str, **changes: object) -> LocalSource:
    return LocalSource(**{"kind": "local", "name": "here", "paths": (), "format": form} | changes)  # type: ignore[arg-type]


def read_files(settings: LocalSource, *files: Path) -> list[Record]:
    return [r for unit in local.units(settings, list(files)) for r in local.read(settings, unit)]


def read(tmp_path: Path, form: str, content: bytes | str, **changes: object) -> list[Record]:
    path = tmp_path / "corpus.txt"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_files(source(form, **changes), path)


def tally(found: list[Record]) -> Counter[str]:
    return Counter(r.reason if isinstance(r, Skipped) else type(r).__name__ for r in found)


def texts(found: list[Record]) -> list[str]:
    return [r.text for r in found if isinstance(r, Document)]


def errors(found: list[Record]) -> list[str]:
    return [r.error for r in found if isinstance(r, BadRecord)]


def story(number: int, body: str = "<BODY>The tin price rose.</BODY>") -> str:
    date = "<DATE>26-FEB-1987 15:01:01.79</DATE>"
    return f'<REUTERS TOPICS="NO" NEWID="{number}">\n{date}<TITLE>T &lt;{number}></TITLE>{body}\n</REUTERS>\n'
