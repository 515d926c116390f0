"""Damaged files of every kind end in documents, bad records and counted skips: no crash, no hang, no silent loss.

Small valid files are mutated, MUTATIONS in all, always the same ones: bits flipped, pieces cut out, doubled,
swapped or torn in from another file, ends cut off. They take five seconds.
"""

import bz2
import csv
import gzip
import html
import io
import json
import random
import re
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lmpipe.dataset import Execution, Manifest
from lmpipe.document import BadRecord, Document, Record, Skipped
from lmpipe.errors import LmpipeError
from lmpipe.settings import LocalSource, NewsSource, NovelsSource, Source, WikipediaSource
from lmpipe.sources.ingest import ingest, reader
from tests.sources.test_ingest import adds_up

DATA = Path(__file__).parent.parent / "data"
MUTATIONS = 2000
EIGHTH = 8
"""Every eighth mutation goes through the whole stage."""
SECONDS = 20
"""A bound for one file of some kilobytes on a busy machine; most take milliseconds."""
PROSE = "The ferry left at six, as it had always done, and nobody could remember a day when it had not. 船开了。"


class Sample(NamedTuple):
    """A valid file and the settings that read it."""

    source: Source
    name: str
    data: bytes
    pack: Callable[[bytes], bytes] = bytes
    """Makes a file of `data`, which is mutated before: damage inside of whole archives."""


def wiki_pages(name: str, number: int) -> list[bytes]:
    """Cut the first pages out of an embedded dump."""
    dump = bz2.decompress((DATA / f"{name}.xml.bz2").read_bytes())
    return [b"<page" + part.partition(b"</page>")[0] + b"</page>\n" for part in dump.split(b"<page")[1 : number + 1]]


def wiki(name: str, data: bytes, **settings: Any) -> Sample:
    source = WikipediaSource(kind="wikipedia", name="wiki", paths=("*",), lang="en", max_quarantine=1, **settings)
    return Sample(source, name, data)


def news(name: str, data: bytes) -> Sample:
    return Sample(NewsSource(kind="news", name="news", paths=("*",), max_quarantine=1), name, data)


def novels(name: str, data: bytes, **settings: Any) -> Sample:
    return Sample(NovelsSource(kind="novels", name="books", paths=("*",), max_quarantine=1, **settings), name, data)


def local(form: str, name: str, data: bytes, **settings: Any) -> Sample:
    source = LocalSource(
        **{"kind": "local", "name": "here", "paths": ("*",), "format": form, "max_quarantine": 1} | settings
    )
    return Sample(source, name, data)


def warc_records() -> list[bytes]:
    """Take the first members of the embedded archive, decompressed."""
    members, data = [], (DATA / "news.warc.gz").read_bytes()
    for part in data.split(b"\x1f\x8b\x08")[1:6]:
        try:
            members.append(gzip.decompress(b"\x1f\x8b\x08" + part))
        except (OSError, EOFError):  # the embedded archive holds a damaged record, too
            continue
    return members


def arc() -> bytes:
    """Write an archive in the format that came before WARC."""
    page = f"<html><head><title>Ferry</title></head><body><article><p>{PROSE * 5}</p></article></body></html>"
    body = f"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n{page}".encode()
    head = b"1 0 here\nURL IP-address Archive-date Content-type Archive-length\n"
    records = [b"filedesc://a.arc 0.0.0.0 20080430204825 text/plain %d\n%s\n" % (len(head), head)]
    for number in range(3):
        records.append(b"http://a.example/%d 1.2.3.4 20080430204825 text/html %d\n%s\n" % (number, len(body), body))
    return b"".join(records)


def novel() -> bytes:
    """Take the head, some pages and the foot of an embedded book."""
    text = (DATA / "novel-en.txt").read_bytes()
    return text[:6000] + text[-4000:]


def zipped(members: dict[str, bytes]) -> bytes:
    """Pack members, at a fixed time, so that the bytes are always the same."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name), data)
    return packed.getvalue()


CONTAINER = (
    b'<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>'
    b'<rootfile full-path="book.opf" media-type="application/oebps-package+xml"/></rootfiles></container>'
)
PACKAGE = (
    b'<package xmlns="http://www.idpf.org/2007/opf"><metadata xmlns:dc="http://purl.org/dc/elements/1.1/">'
    b"<dc:title>Ferry</dc:title><dc:language>en</dc:language></metadata><manifest>"
    b'<item id="a" href="a.xhtml" media-type="application/xhtml+xml"/>'
    b'<item id="b" href="b.xhtml" media-type="application/xhtml+xml"/></manifest>'
    b'<spine><itemref idref="a"/><itemref idref="b"/></spine></package>'
)
CHAPTER = f"<html><body><h1>Chapter</h1><p>{PROSE * 20}</p><p>&amp; <i>more</i></p></body></html>".encode()


def epub(package: bytes = PACKAGE, chapter: bytes = CHAPTER) -> bytes:
    """Write a book as EPUB."""
    head = {"mimetype": b"application/epub+zip", "META-INF/container.xml": CONTAINER, "book.opf": package}
    return zipped(head | {"a.xhtml": chapter, "b.xhtml": CHAPTER})


def response(page: bytes) -> bytes:
    """Write a page as a WARC record of the right length."""
    body = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n" + page
    head = (
        "WARC/1.0\r\nWARC-Type: response\r\nWARC-Target-URI: http://a.example/\r\nWARC-Date: 2020-01-01T00:00:00Z\r\n"
    )
    return f"{head}Content-Type: application/http\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body + b"\r\n\r\n"


def article(wikicode: bytes) -> bytes:
    """Write a dump of one page."""
    text = html.escape(wikicode.decode("utf-8", "replace").translate({n: " " for n in range(32) if n != 10}))
    return (
        f"<mediawiki><page><title>A</title><ns>0</ns><id>1</id><revision><text>{text}</text></revision></page></mediawiki>"
    ).encode()


WIKICODE = f"""{{{{Infobox|a={{{{b|c}}}}}}}} '''Ferry''' ({{{{lang|fr|bac}}}}, -{{zh-hans:船;zh-hant:船}}-)
[[File:a.jpg|thumb|x [[y]]]]
== Head ==
* {PROSE} <ref name=a>{{{{cite|t}}}}</ref> {{{{convert|3|mi|km}}}} <math>x^2</math> <!-- no -->
{{| class=x
|-
| a || b
|}}
[[Category:Boats]]
""".encode()


def parquet() -> bytes:
    """Write a table of two row groups."""
    packed = io.BytesIO()
    table = pa.table({"id": [str(n) for n in range(40)], "text": [f"{n} {PROSE}" for n in range(40)]})
    pq.write_table(table, packed, row_group_size=20)
    return packed.getvalue()


def comma_separated() -> bytes:
    """Write a table with quotes and line breaks in its cells."""
    packed = io.StringIO()
    csv.writer(packed).writerows([["id", "text"], *([n, f'{n} "so"\n{PROSE}'] for n in range(30))])
    return packed.getvalue().encode()


TAGGED = "".join(
    f'<REUTERS NEWID="{n}"><TITLE>Ferry {n}</TITLE><BODY>{PROSE} &lt;{n}></BODY></REUTERS>\n' for n in range(20)
)
FEED = "".join(
    f"<item><title>{n}</title><link>http://a/{n}</link><description>{PROSE}</description></item>" for n in range(5)
)
ATOM = "".join(
    f'<entry><id>urn:{n}</id><title>{n}</title><updated>2020-01-01T00:00:00Z</updated><content type="html">{PROSE}'
    "</content></entry>"
    for n in range(5)
)

SAMPLES: dict[str, Callable[[], Sample]] = {
    "wiki multistream": lambda: wiki(
        "dump.xml.bz2",
        b"".join(bz2.compress(page) for page in [b"<mediawiki>", *wiki_pages("wiki-en", 8), b"</mediawiki>"]),
    ),
    "wiki plain": lambda: wiki(
        "dump.xml", b"<mediawiki>" + b"".join(wiki_pages("wiki-zh", 8)) + b"</mediawiki>", redirects=True
    ),
    "wiki gz": lambda: wiki("dump.xml.gz", gzip.compress(b"".join(wiki_pages("wiki-en", 5)), mtime=0)),
    "wiki utf-16": lambda: wiki("dump.xml", b"".join(wiki_pages("wiki-zh", 4)).decode().encode("utf-16")),
    "wikitext": lambda: wiki("dump.xml", WIKICODE * 3)._replace(pack=article),
    "warc.gz": lambda: news("a.warc.gz", b"".join(gzip.compress(record, mtime=0) for record in warc_records())),
    "warc": lambda: news("a.warc", b"".join(warc_records())),
    "page of a warc": lambda: news("a.warc", CHAPTER)._replace(pack=response),
    "arc": lambda: news("a.arc", arc()),
    "rss": lambda: news("a.rss", f'<rss version="2.0"><channel><title>x</title>{FEED}</channel></rss>'.encode()),
    "atom": lambda: news("a.atom", f'<feed xmlns="http://www.w3.org/2005/Atom">{ATOM}</feed>'.encode()),
    "novel": lambda: novels("a.txt", novel()),
    "novel zip": lambda: novels("a.zip", zipped({"a.txt": novel(), "b/c.txt": novel()[:3000]})),
    "epub": lambda: novels("a.epub", epub(), markers="optional"),
    "package of an epub": lambda: novels("a.epub", PACKAGE, markers="optional")._replace(
        pack=lambda package: epub(package=package)
    ),
    "chapter of an epub": lambda: novels("a.epub", CHAPTER, markers="optional")._replace(
        pack=lambda chapter: epub(chapter=chapter)
    ),
    "text zip": lambda: local("text", "a.zip", zipped({f"{n}.txt": f"{n} {PROSE}".encode() for n in range(5)})),
    "lines": lambda: local("lines", "a.txt", "\n".join(f"{n} {PROSE}" for n in range(20)).encode()),
    "jsonl.gz": lambda: local(
        "jsonl",
        "a.jsonl.gz",
        gzip.compress("\n".join(json.dumps({"id": n, "text": PROSE}) for n in range(20)).encode(), mtime=0),
    ),
    "jsonl": lambda: local(
        "jsonl", "a.jsonl", "\n".join(json.dumps({"id": n, "text": PROSE}) for n in range(20)).encode()
    ),
    "csv": lambda: local("csv", "a.csv", comma_separated()),
    "parquet": lambda: local("parquet", "a.parquet", parquet()),
    "tagged": lambda: local(
        "tagged", "a.sgm", TAGGED.encode(), record="REUTERS", fields={"id": "@NEWID", "title": "TITLE", "text": "BODY"}
    ),
    "tagged gb18030": lambda: local(
        "tagged", "a.dat", TAGGED.encode("gb18030"), record="REUTERS", fields={"text": "BODY"}
    ),
}
OTHERS = (
    b"<page>",
    b"</page>",
    b"<text>",
    b"\x00" * 40,
    b"\xff\xfe",
    b"]]>",
    b"\r\n\r\n",
    b"9" * 400,
    b'"',
    "猫".encode(),
)
"""Torn in beside pieces of other samples: what begins and ends records."""


def mutated(data: bytes, other: bytes, dice: random.Random) -> bytes:
    """Damage a file in one to four places."""
    for _ in range(dice.randint(1, 4)):
        start = dice.randrange(len(data) + 1)
        end = min(len(data), start + dice.choice((1, 8, 100, 2000)))
        piece = data[start:end]
        torn = other[(place := dice.randrange(len(other))) : place + dice.choice((20, 500, 5000))]
        flipped = bytes(byte ^ (1 << dice.randrange(8)) for byte in piece[:4])
        data = dice.choice(
            (
                data[:start] + flipped + data[start + len(flipped) :],
                data[:start] + data[end:],
                data[:end] + piece + data[end:],
                data[end:] + piece + data[:start],
                data[:start] + torn + data[start:],
                data[:start] + dice.choice(OTHERS) + data[end:],
                data[: max(start, len(data) // 2)],
            )
        )
    return data


def read(source: Source, path: Path) -> Iterator[Record]:
    module = reader(source.kind)
    for unit in module.units(source, [path]):
        yield from module.read(source, unit)


def check_records(source: Source, path: Path) -> None:
    """Read a file; only LmpipeError may say that it cannot be."""
    with suppress(LmpipeError):
        for record in read(source, path):
            assert isinstance(record, Document | BadRecord | Skipped)


def check_stage(source: Source, path: Path, data: Path) -> None:
    """Take a file through the whole stage, and count what came out."""
    with suppress(LmpipeError):
        manifest = ingest(source, path.parent, data, Execution())
        counts, redirects = manifest.counts, getattr(source, "redirects", False)
        assert adds_up(counts)
        assert num_rows(manifest, "documents") == counts.get("kept", 0)
        assert num_rows(manifest, "quarantine") == counts.get("quarantined", 0)
        assert num_rows(manifest, "redirects") == (counts.get("skipped.redirect", 0) if redirects else 0)


def num_rows(manifest: Manifest, role: str) -> int:
    return sum(pq.read_metadata(path).num_rows for path in manifest.paths(role))


def run(name: str, tmp_path: Path, numbers: range) -> None:
    """Read the given mutations of a sample."""
    names = list(SAMPLES)
    sample, other = SAMPLES[name](), SAMPLES[names[names.index(name) - 1]]().data
    (tmp_path / "in").mkdir()
    path = tmp_path / "in" / sample.name
    for number in numbers:
        path.write_bytes(sample.pack(mutated(sample.data, other, random.Random(f"{name} {number}"))))
        started = time.monotonic()
        try:
            if number % EIGHTH:
                check_records(sample.source, path)
            else:
                check_stage(sample.source, path, tmp_path / "data")
        except Exception as error:
            error.add_note(f"mutation {number} of {name}")
            raise
        assert time.monotonic() - started < SECONDS, f"mutation {number} of {name}"


@pytest.mark.parametrize("name", SAMPLES)
def test_a_sample_is_valid_before_it_is_mutated(name: str, tmp_path: Path) -> None:
    sample = SAMPLES[name]()
    path = tmp_path / sample.name
    path.write_bytes(sample.pack(sample.data))
    records = list(read(sample.source, path))
    assert any(isinstance(record, Document) for record in records)
    if name != "warc":
        assert sum(isinstance(record, BadRecord) for record in records) <= 1, records


@pytest.mark.parametrize("name", SAMPLES)
def test_damaged_files_end_in_documents_and_quarantine(name: str, tmp_path: Path) -> None:
    run(name, tmp_path, range(-(-MUTATIONS // len(SAMPLES))))


def test_every_page_that_is_whole_is_read_whatever_happened_around_it(tmp_path: Path) -> None:
    sample = SAMPLES["wiki plain"]()
    path = tmp_path / sample.name
    path.write_bytes(sample.data)
    pages = [sample.data[start : start + length] for start, length in found(sample.source, path)]
    assert len(pages) > 5
    for number in range(100):
        damaged = b"<mediawiki>" + mutated(sample.data[11:], sample.data, random.Random(number))
        path.write_bytes(damaged)
        whole = {(match.start(), len(page)) for page in pages for match in re.finditer(re.escape(page), damaged)}
        assert found(sample.source, path) >= whole, f"mutation {number}"


def found(source: Source, path: Path) -> set[tuple[int, int]]:
    """Offset and length of every page that became a document."""
    return {record.origin[1:] for record in read(source, path) if isinstance(record, Document)}
