"""Read Project Gutenberg's catalogue: pg_catalog.csv, or RDF, one file a book, alone or in a tar.

What it knows of a book (title, authors, language, rights, day of issue) is surer than the book's own header,
which has had thirty years of hands. RDF tells the rights; the CSV does not.
"""

import bz2
import csv
import gzip
import io
import json
import lzma
import re
import tarfile
import unicodedata
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple

from lxml import etree

from lmpipe.errors import InputError
from lmpipe.sources.facts import Facts, release_date

COLUMNS = ("Text#", "Type", "Issued", "Title", "Language", "Authors")
MAX_RDF_BYTES = 4 << 20
"""One book's RDF; they have 10 to 100 kB."""
TERMS = "{http://purl.org/dc/terms/}"
GUTENBERG = "{http://www.gutenberg.org/2009/pgterms/}"
RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
NUMBER = re.compile(r"(?:pg)?(\d{1,7})(?:-[a-z0-9]{1,8})*(?:\.[a-z0-9]+)+", re.IGNORECASE)
"""How Gutenberg names its files: 1342-0.txt, 1342-h.zip, pg1342.txt, pg1342-images.epub."""


class Row(NamedTuple):
    """A book as the catalogue lists it."""

    number: int
    type: str
    title: str
    authors: str
    """Parted by "; "."""
    languages: tuple[str, ...]
    issued: str
    """YYYY-MM-DD."""
    rights: str = ""
    file: str | None = None
    """Name of the fetched file."""

    @property
    def facts(self) -> Facts:
        """Say the same as what is known of any book."""
        names = [name for name in self.authors.split("; ") if name]
        translators = [name.partition(" [")[0] for name in names if name.endswith("[Translator]")]
        authors = [name for name in names if not name.endswith("]")] or names
        return Facts(
            title=self.title,
            authors="; ".join(authors),
            lang=self.languages[0] if self.languages else "",
            rights=self.rights,
            created=release_date(self.issued),
            translators="; ".join(translators),
        )


def read_catalogue(path: Path) -> Iterator[Row]:
    """Yield the rows of a catalogue: .csv or .csv.gz, .rdf, a tar of them (compressed or not), or a folder.

    Raises InputError for what is none, or is damaged.
    """
    try:
        if path.is_dir():
            for file in sorted(path.rglob("*.rdf")):
                yield from read_rdf(file.read_bytes(), file.name)
        elif is_tar(path):
            yield from read_tar(path)
        else:
            with opened(path) as stream:
                head = stream.read(MAX_RDF_BYTES)
                if head.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"<":
                    yield from read_rdf(head, path.name)
                else:
                    stream.seek(0)
                    yield from read_csv(stream, path.name)
    except (OSError, EOFError, zlib.error, lzma.LZMAError, tarfile.TarError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: a damaged catalogue: {error}. Fetch it again.") from None


def is_tar(path: Path) -> bool:
    """Tell a tar by the mark in its first header, inflated."""
    with opened(path) as stream:
        return stream.read(512)[257:262] == b"ustar"


def opened(path: Path) -> IO[bytes]:
    """Open a file, inflating .gz and .bz2 by their first bytes."""
    with path.open("rb") as file:
        magic = file.read(3)
    if magic[:2] == b"\x1f\x8b":
        return gzip.open(path)  # type: ignore[return-value]
    return bz2.open(path) if magic == b"BZh" else path.open("rb")


def read_csv(stream: IO[bytes], name: str) -> Iterator[Row]:
    """Yield the rows of pg_catalog.csv; one without a number is skipped, since nothing can be fetched for it."""
    with io.TextIOWrapper(stream, encoding="utf-8-sig", newline="") as text:
        reader = csv.DictReader(text, restval="")
        missing = [column for column in COLUMNS if column not in (reader.fieldnames or ())]
        if missing:
            raise InputError(f"{name}: expected pg_catalog.csv, found no columns {missing}. Check catalogue.")
        for row in reader:
            number = row["Text#"].strip()
            if number.isdecimal() and number.isascii() and len(number) <= 7:
                yield csv_row(int(number), row)


def csv_row(number: int, row: dict[str, str]) -> Row:
    """Make a row of a line of pg_catalog.csv."""
    return Row(
        number=number,
        type=line(row["Type"]),
        title=line(row["Title"]),
        authors=line(row["Authors"]),
        languages=tuple(code.strip() for code in line(row["Language"]).split(";") if code.strip()),
        issued=line(row["Issued"]),
    )


def read_tar(path: Path) -> Iterator[Row]:
    """Yield the rows of rdf-files.tar; members are read in memory, nothing is unpacked."""
    with tarfile.open(path, "r:*") as archive:
        for member in archive:
            if member.isfile() and member.name.endswith(".rdf") and member.size <= MAX_RDF_BYTES:
                stream = archive.extractfile(member)
                assert stream is not None, "a file has bytes"
                yield from read_rdf(stream.read(), member.name)


def read_rdf(data: bytes, name: str) -> Iterator[Row]:
    """Yield the book of one RDF file; raises InputError when it is no RDF of Gutenberg."""
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
    try:
        root = etree.fromstring(data, parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        raise InputError(f"{name}: expected RDF of Project Gutenberg: {error}. Fetch it again.") from None
    for book in root.iter(f"{GUTENBERG}ebook"):
        number = (book.get(f"{RDF}about") or "").rpartition("/")[2]
        if number.isdecimal():
            authors = [line(e.text) for e in book.findall(f"{TERMS}creator/{GUTENBERG}agent/{GUTENBERG}name")]
            yield Row(
                number=int(number),
                type=values(book, "type")[:1][0] if values(book, "type") else "Text",
                title=line(book.findtext(f"{TERMS}title")),
                authors="; ".join(filter(None, authors)),
                languages=tuple(values(book, "language")),
                issued=line(book.findtext(f"{TERMS}issued")),
                rights=line(book.findtext(f"{TERMS}rights")),
            )


def values(book: Any, name: str) -> list[str]:
    """List the values of a property that stand in descriptions of their own."""
    found = book.findall(f"{TERMS}{name}/{RDF}Description/{RDF}value")
    return [line(element.text) for element in found if line(element.text)]


def line(value: str | None) -> str:
    """Put a value on one line; titles have line breaks inside."""
    return " ".join((value or "").split())


def folded(name: str) -> str:
    """Reduce a name to letters without accents and case, so that "Bronte" finds "Brontë"."""
    apart = unicodedata.normalize("NFKD", name.casefold())
    return "".join(character for character in apart if not unicodedata.combining(character))


def number_in(name: str) -> int | None:
    """Read the book's number out of a file's name; None for other names."""
    found = NUMBER.fullmatch(name)
    return int(found[1]) if found else None


def write_rows(rows: list[Row]) -> bytes:
    """Write rows as JSON lines, for ingest."""
    return b"".join(json.dumps(row._asdict(), ensure_ascii=False, sort_keys=True).encode() + b"\n" for row in rows)


def read_rows(path: Path) -> list[Row]:
    """Read what `write_rows` wrote, or an .rdf; raises InputError for anything else."""
    if path.suffix.lower() == ".rdf":
        return list(read_catalogue(path))
    try:
        found = [json.loads(text) for text in path.read_text(encoding="utf-8").splitlines()]
        return [Row(**{**row, "languages": tuple(row["languages"])}) for row in found]
    except (ValueError, TypeError, KeyError) as error:
        raise InputError(f"{path}: expected rows of the catalogue, found {error!r}. Fetch the books again.") from None
