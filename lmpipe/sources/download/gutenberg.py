"""Fetch books of Project Gutenberg that its catalogue lists, from a mirror.

The catalogue is read first and its rows chosen by language, author and number; then each book is asked for in
the forms it may have, plain text before HTML before EPUB, and kept as it came under the name pgNUMBER. The
mirror's robots.txt is obeyed, and www.gutenberg.org is not asked for books at all: it is for people. Beside
the books, catalogue-NNNNN.jsonl holds the rows with what became of each, and travels with them to ingest. The
dataset's identity is the chosen rows: a newer catalogue that says the same of them changes nothing, and a wider
choice takes over what an earlier one has fetched.
"""

import dataclasses
import itertools
import logging
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from lmpipe.dataset import Execution, Plan, UnitOutput, build, open_dataset
from lmpipe.errors import DownloadError, InputError
from lmpipe.settings import Gutenberg, NovelsSource
from lmpipe.sources.catalogue import Row, folded, read_catalogue, write_rows
from lmpipe.sources.download.http import Client
from lmpipe.sources.download.robots import Robots
from lmpipe.storage import replacing, storage_errors

log = logging.getLogger(__name__)

VERSION = 1
BOOKS_PER_UNIT = 20
"""Twenty books take half a minute at one request a second; a kill loses at most so much."""

MAX_CATALOGUE_BYTES = 2 << 30
"""pg_catalog.csv has 20 MB, rdf-files.tar.bz2 120 MB."""

MAX_BOOK_BYTES = 64 << 20
"""What ingest reads of a book at most."""

FOR_PEOPLE = ("gutenberg.org", "www.gutenberg.org")


class BooksUnit(NamedTuple):
    """One unit's arguments."""

    download: Gutenberg
    rows: tuple[Row, ...]
    earlier: dict[str, str]
    """Files that are here already, by name."""


def fetch(source: NovelsSource, base: Path, data: Path, execution: Execution) -> list[Path]:
    """Fetch the chosen books into DATA/download/<name>-<fingerprint8>/; return them and their catalogue rows.

    Raises DownloadError when the catalogue or the mirror refuses, InputError when the choice is empty.
    """
    download = source.download
    assert download is not None, "only sources with a download table are fetched"
    check_mirror(download)
    folder = data / "download"
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        rows = choose(download, catalogue_rows(download, base, folder))
    if not rows:
        raise InputError(
            f"source {source.name}: no book of {download.catalogue} has languages {list(download.languages)} and"
            f" authors {list(download.authors)}. Correct the download table."
        )
    plan = Plan(
        stage="download",
        name=source.name,
        version=VERSION,
        settings={"languages": download.languages, "authors": download.authors, "first": download.first},
        inputs=tuple({**row._asdict(), "languages": list(row.languages)} for row in rows),
    )
    earlier = fetched_before(source.name, folder)
    groups = (rows[i : i + BOOKS_PER_UNIT] for i in range(0, len(rows), BOOKS_PER_UNIT))
    units = [BooksUnit(download, tuple(group), earlier) for group in groups]
    # One process: several would each keep the mirror's distance, and together not.
    manifest = build(plan, data, fetch_unit, units, dataclasses.replace(execution, workers=1))
    return manifest.paths("files") + manifest.paths("catalogue")


def check_mirror(download: Gutenberg) -> None:
    """Refuse the site that is for people, unless the recipe's owner runs it."""
    if urlsplit(download.mirror).hostname in FOR_PEOPLE and not download.http.private:
        raise DownloadError(
            f"{download.mirror}: expected a mirror, found the site for people, which blocks robots"
            " (www.gutenberg.org/policy/robot_access.html). Leave mirror out, or name one of"
            " www.gutenberg.org/MIRRORS.ALL."
        )


def catalogue_rows(download: Gutenberg, base: Path, folder: Path) -> Iterator[Row]:
    """Read the catalogue, fetching it first when it is a URL."""
    if not download.catalogue.startswith(("http://", "https://")):
        path = base / download.catalogue
        if not path.exists():
            raise InputError(f"{path}: no such catalogue. Name pg_catalog.csv, rdf-files.tar or a folder of .rdf.")
        yield from read_catalogue(path)
        return
    with tempfile.TemporaryDirectory(dir=folder, prefix=".catalogue-") as temporary, Client(download.http) as client:
        path = Path(temporary) / "catalogue"
        client.save(download.catalogue, path, max_bytes=MAX_CATALOGUE_BYTES)
        yield from read_catalogue(path)


def choose(download: Gutenberg, rows: Iterator[Row]) -> list[Row]:
    """Take the texts of the wanted languages and authors, in the order of their numbers, each once."""
    languages = {language.lower() for language in download.languages}
    authors = [folded(author) for author in download.authors]
    chosen = {
        row.number: row
        for row in rows
        if row.type == "Text"
        and (not languages or not languages.isdisjoint(code.lower() for code in row.languages))
        and (not authors or any(author in folded(row.authors) for author in authors))
    }
    return list(itertools.islice((chosen[number] for number in sorted(chosen)), download.first))


def fetched_before(name: str, folder: Path) -> dict[str, str]:
    """Find the books that finished downloads of this source hold."""
    found: dict[str, str] = {}
    for path in sorted(folder.glob(f"{name}-*/manifest.json")):
        manifest = open_dataset(path.parent)
        if manifest.name == name:
            found |= {file.stem: str(file) for file in manifest.paths("files")}
    return found


def fetch_unit(unit: BooksUnit, output: UnitOutput) -> None:
    """Fetch some books, and write down what became of each."""
    rows = []
    with Client(unit.download.http) as client:
        robots = Robots(client)
        for row in unit.rows:
            output.count("in")
            if row.facts.copyrighted:
                output.count("skipped.copyrighted")
                rows.append(row)
                continue
            name = fetch_book(unit, row, client, robots, output.folder)
            output.count("kept" if name else "missing")
            if name:
                output.add("files", name, rows=0)
            else:
                log.warning("book %d (%s) is not on %s in any form", row.number, row.title, unit.download.mirror)
            rows.append(row._replace(file=name))
    name = f"catalogue-{output.index:05d}.jsonl"
    with replacing(output.folder / name) as temporary:
        temporary.write_bytes(write_rows(rows))
    output.add("catalogue", name, rows=len(rows))


def fetch_book(unit: BooksUnit, row: Row, client: Client, robots: Robots, folder: Path) -> str | None:
    """Bring one book in the first form that is there; return its file's name, None when there is none.

    Raises DownloadError when the mirror's robots.txt allows none of them.
    """
    killed = next(iter(sorted(folder.glob(f"pg{row.number}.*"))), None)
    if killed is not None:  # by a run that was killed later in this unit; a file under its name is whole
        return killed.name
    before = unit.earlier.get(f"pg{row.number}")
    if before is not None:
        link_or_copy(Path(before), folder)
        return Path(before).name
    allowed = 0
    for url, name in addresses(unit.download.mirror, row.number):
        if not robots.allows(url):
            continue
        allowed += 1
        answer = client.get(url, max_bytes=MAX_BOOK_BYTES)
        if answer.status == 200 and answer.body:
            with replacing(folder / name) as temporary:
                temporary.write_bytes(answer.body)
            return name
        if answer.status not in (200, 404, 410):
            raise DownloadError(f"{url}: expected a book or 404, found status {answer.status}. Try another mirror.")
    if not allowed:
        raise DownloadError(f"{unit.download.mirror}: its robots.txt allows no book to lmpipe. Name another mirror.")
    return None


def addresses(mirror: str, number: int) -> list[tuple[str, str]]:
    """List where a book may lie on a mirror, best form first, each with the name it is kept under.

    Plain text in UTF-8, Latin-1, ASCII; then the places of newer books; HTML and EPUB, for books without text.
    """
    digits = str(number)
    folder = f"{mirror.rstrip('/')}/{'/'.join(digits[:-1]) or '0'}/{digits}"
    cache = f"{mirror.rstrip('/')}/cache/epub/{digits}"
    return [
        (f"{folder}/{digits}-0.txt", f"pg{digits}.txt"),
        (f"{folder}/{digits}-8.txt", f"pg{digits}.txt"),
        (f"{folder}/{digits}.txt", f"pg{digits}.txt"),
        (f"{cache}/pg{digits}.txt", f"pg{digits}.txt"),
        (f"{folder}/{digits}-0.zip", f"pg{digits}.zip"),
        (f"{folder}/{digits}-h/{digits}-h.htm", f"pg{digits}.htm"),
        (f"{cache}/pg{digits}-images.html", f"pg{digits}.htm"),
        (f"{folder}/{digits}-h.zip", f"pg{digits}.zip"),
        (f"{cache}/pg{digits}.epub", f"pg{digits}.epub"),
    ]


def link_or_copy(file: Path, folder: Path) -> None:
    """Have a file of an earlier download here too, without its bytes twice where the disk can."""
    with replacing(folder / file.name) as temporary:
        try:
            os.link(file, temporary)
        except OSError:
            temporary.write_bytes(file.read_bytes())
