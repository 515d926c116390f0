"""Books from a local server with the layout of a Gutenberg mirror."""

import gzip
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from lmpipe.dataset import Execution, open_dataset
from lmpipe.errors import DownloadError, InputError
from lmpipe.settings import Gutenberg, HttpSettings, NovelsSource
from lmpipe.sources.catalogue import number_in, read_catalogue
from lmpipe.sources.download.gutenberg import fetch
from lmpipe.sources.ingest import ingest
from tests.sources.download.server import File, Server, serve

PROSE = "The tide came in over the flats before breakfast, and nobody on the quay looked up to see it. " * 5
COLUMNS = "Text#,Type,Issued,Title,Language,Authors,Subjects,LoCC,Bookshelves\n"
CATALOGUE = COLUMNS + (
    '7,Text,2003-05-01,"Tides\r\nOf the Flats",en,"Quill, Ada, 1850-1920; Brontë, Ann",,,\n'
    '1342,Text,1998-06-01,Ebb,en; fr,"Brontë, Ann",,,\n'
    '24675,Text,2008-02-23,Getij,nl,"Káde, Jan",,,\n'
    '900,Sound,2008-02-23,Spoken tides,en,"Quill, Ada",,,\n'
    '31,Text,2001-01-01,Lost,en,"Quill, Ada",,,\n'
)


def book(title: str, header: str = "") -> bytes:
    chapters = "\n\n".join(f"CHAPTER {n}\n\n{PROSE}" for n in ("I", "II"))
    return (
        f"The Project Gutenberg eBook of {title}\n\n{header}Title: {title}\n\nLanguage: English\n\n"
        f"*** START OF THE PROJECT GUTENBERG EBOOK {title} ***\n\n{chapters}\n\n"
        f"*** END OF THE PROJECT GUTENBERG EBOOK {title} ***\n\nLicence.\n"
    ).encode()


def mirror(**changes: File | bytes) -> dict[str, File | bytes]:
    return {
        "/pg_catalog.csv": CATALOGUE.encode(),
        "/0/7/7.txt": book("Tides"),
        "/1/3/4/1342/1342-0.txt": book("Ebb"),
        "/cache/epub/24675/pg24675.txt": book("Getij"),
    } | {path.replace("robots", "/robots.txt"): file for path, file in changes.items()}


def source(server: Server, *, private: bool = True, **changes: Any) -> NovelsSource:
    http = HttpSettings(contact="mail@example.org", requests_per_second=1000, private=private, timeout=5, retries=1)
    fields = {"catalogue": f"{server.url}/pg_catalog.csv", "mirror": server.url, "http": http} | changes
    return NovelsSource(kind="novels", name="books", download=Gutenberg(**fields))


def download(server: Server, data: Path, **changes: Any) -> list[str]:
    return [path.name for path in fetch(source(server, **changes), data, data, Execution(workers=2))]


def rdf(number: int, rights: str = "Public domain in the USA.") -> bytes:
    return (
        '<?xml version="1.0"?><rdf:RDF xmlns:dcterms="http://purl.org/dc/terms/"'
        ' xmlns:pgterms="http://www.gutenberg.org/2009/pgterms/"'
        ' xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        f'<pgterms:ebook rdf:about="ebooks/{number}"><dcterms:title>Ebb &amp; flow</dcterms:title>'
        f"<dcterms:rights>{rights}</dcterms:rights><dcterms:issued>1998-06-01</dcterms:issued>"
        "<dcterms:language><rdf:Description><rdf:value>en</rdf:value></rdf:Description></dcterms:language>"
        "<dcterms:type><rdf:Description><rdf:value>Text</rdf:value></rdf:Description></dcterms:type>"
        "<dcterms:creator><pgterms:agent><pgterms:name>Brontë, Ann</pgterms:name></pgterms:agent></dcterms:creator>"
        "</pgterms:ebook></rdf:RDF>"
    ).encode()


def test_books_are_fetched_in_the_form_that_is_there_and_the_missing_are_listed(tmp_path: Path) -> None:
    with serve(mirror()) as server:
        names = download(server, tmp_path)
        (folder,) = (tmp_path / "download").iterdir()
    assert names == ["pg7.txt", "pg1342.txt", "pg24675.txt", "catalogue-00000.jsonl"]
    assert open_dataset(folder).counts == {"in": 4, "kept": 3, "missing": 1}
    rows = [json.loads(line) for line in (folder / "catalogue-00000.jsonl").read_text("utf-8").splitlines()]
    assert [(row["number"], row["file"]) for row in rows] == [
        (7, "pg7.txt"),
        (31, None),
        (1342, "pg1342.txt"),
        (24675, "pg24675.txt"),
    ]
    assert (folder / "pg7.txt").read_bytes() == book("Tides"), "kept as it came"


@pytest.mark.parametrize(
    ("choice", "names"),
    [
        ({"languages": ("nl",)}, ["pg24675.txt"]),
        ({"languages": ("FR", "nl")}, ["pg1342.txt", "pg24675.txt"]),
        ({"authors": ("bronte",)}, ["pg7.txt", "pg1342.txt"]),
        ({"authors": ("KADE", "Nobody")}, ["pg24675.txt"]),
        ({"first": 1}, ["pg7.txt"]),
        ({"languages": ("en",), "authors": ("Brontë",), "first": 2}, ["pg7.txt", "pg1342.txt"]),
    ],
)
def test_books_are_chosen_by_language_author_and_number(
    tmp_path: Path, choice: dict[str, Any], names: list[str]
) -> None:
    with serve(mirror()) as server:
        assert download(server, tmp_path, **choice)[:-1] == names


def test_a_choice_that_is_empty_is_one_clear_error(tmp_path: Path) -> None:
    with serve(mirror()) as server, pytest.raises(InputError, match=r"no book of .* has languages \['xx'\]"):
        download(server, tmp_path, languages=("xx",))


def test_the_catalogue_tells_title_author_language_and_day_of_the_chapters(tmp_path: Path) -> None:
    with serve(mirror()) as server:
        files = fetch(source(server, languages=("nl",)), tmp_path, tmp_path, Execution())
        manifest = ingest(source(server), tmp_path, tmp_path, Execution(), files)
    (row, _) = [row for path in manifest.paths("documents") for row in pq.read_table(path).to_pylist()]
    assert (row["id"], row["title"], row["lang"]) == ("books:pg24675#01", "Getij - CHAPTER I", "nl")
    assert dict(row["meta"])["author"] == "Káde, Jan"
    assert row["created"].isoformat() == "2008-02-23T00:00:00+00:00"


def test_a_wider_choice_takes_over_what_is_here(tmp_path: Path) -> None:
    with serve(mirror()) as server:
        download(server, tmp_path, first=1)
        download(server, tmp_path)
        download(server, tmp_path)
        assert len(server.asked("/0/7/7.txt")) == 1
        assert len(server.asked("/1/3/4/1342/1342-0.txt")) == 1


def test_a_newer_catalogue_that_says_the_same_changes_nothing(tmp_path: Path) -> None:
    with serve(mirror()) as server:
        before = download(server, tmp_path, languages=("nl",))
        server.files["/pg_catalog.csv"] = File((CATALOGUE + "99999,Text,2025-01-01,New,en,,,,\n").encode())
        assert download(server, tmp_path, languages=("nl",)) == before
    assert len(list((tmp_path / "download").iterdir())) == 1


def test_robots_txt_of_the_mirror_is_obeyed(tmp_path: Path) -> None:
    with serve(mirror(robots=b"User-agent: *\nDisallow: /1/\n")) as server:
        names = download(server, tmp_path, authors=("brontë",))
        assert not server.asked("/1/3/4/1342/1342-0.txt")
    assert names == ["pg7.txt", "catalogue-00000.jsonl"]


def test_a_mirror_that_allows_nothing_is_one_clear_error(tmp_path: Path) -> None:
    with serve(mirror(robots=b"User-agent: *\nDisallow: /\n")) as server:
        with pytest.raises(DownloadError, match=r"robots\.txt allows no book"):
            download(server, tmp_path)
        assert [request.path for request in server.requests] == ["/pg_catalog.csv", "/robots.txt"]


def test_the_site_for_people_is_refused_as_a_mirror(tmp_path: Path) -> None:
    with serve(mirror()) as server:
        with pytest.raises(DownloadError, match="the site for people"):
            download(server, tmp_path, mirror="https://www.gutenberg.org/files", private=False)
        assert not server.requests


def test_a_server_that_forbids_is_one_clear_error(tmp_path: Path) -> None:
    message = r"7-0\.txt: expected a book or 404, found status 403"
    with (
        serve(mirror() | {"/0/7/7-0.txt": File(b"", status=403)}) as server,
        pytest.raises(DownloadError, match=message),
    ):
        download(server, tmp_path)


def test_a_killed_download_goes_on_with_the_books_that_are_here(tmp_path: Path) -> None:
    with serve(mirror() | {"/cache/epub/24675/pg24675.txt": File(b"", status=403)}) as server:
        with pytest.raises(DownloadError):
            download(server, tmp_path)
        server.files["/cache/epub/24675/pg24675.txt"] = File(book("Getij"))
        assert "pg24675.txt" in download(server, tmp_path)
        assert len(server.asked("/0/7/7.txt")) == 1


def test_copyrighted_books_are_not_asked_for_and_counted(tmp_path: Path) -> None:
    folder = tmp_path / "rdf"
    for number, rights in ((7, "Copyrighted. Read the copyright notice inside this book for details."), (1342, "")):
        (folder / str(number)).mkdir(parents=True)
        (folder / str(number) / f"pg{number}.rdf").write_bytes(rdf(number, rights or "Public domain in the USA."))
    with serve(mirror()) as server:
        assert download(server, tmp_path, catalogue="rdf") == ["pg1342.txt", "catalogue-00000.jsonl"]
        assert not server.asked("/0/7/7.txt")
    (made,) = (tmp_path / "download").iterdir()
    assert open_dataset(made).counts == {"in": 2, "kept": 1, "skipped.copyrighted": 1}


def tarred(packing: str) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=f"w:{packing}") as archive:
        for name in ("cache/epub/1342/pg1342.rdf", "../../escape/pg7.rdf", "cache/epub/readme.txt"):
            data = rdf(7 if "escape" in name else 1342)
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return stream.getvalue()


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("pg_catalog.csv", CATALOGUE.encode()),
        ("pg_catalog.csv", b"\xef\xbb\xbf" + CATALOGUE.encode()),
        ("pg_catalog.csv.gz", gzip.compress(CATALOGUE.encode())),
        ("rdf-files.tar", tarred("")),
        ("rdf-files.tar.bz2", tarred("bz2")),
        ("pg1342.rdf", rdf(1342)),
    ],
)
def test_a_catalogue_is_read_in_every_form_and_nothing_is_unpacked(tmp_path: Path, name: str, data: bytes) -> None:
    (tmp_path / name).write_bytes(data)
    rows = {row.number: row for row in read_catalogue(tmp_path / name)}
    assert rows[1342].authors == "Brontë, Ann"
    assert rows[1342].languages[0] == "en"
    assert [path.name for path in tmp_path.rglob("*")] == [name]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"<html>busy</html", "expected RDF"),
        (b"Number,Name\n1,x\n", r"found no columns \['Text#'"),
        (gzip.compress(CATALOGUE.encode())[:-9], "damaged catalogue"),
        (b"Text#,Type,Issued,Title,Language,Authors\n1,Text,,\xff\xfe,en,\n", "damaged catalogue"),
    ],
)
def test_a_catalogue_that_is_none_is_one_clear_error(tmp_path: Path, data: bytes, message: str) -> None:
    (tmp_path / "c").write_bytes(data)
    with pytest.raises(InputError, match=message):
        list(read_catalogue(tmp_path / "c"))


def test_entities_of_rdf_are_not_expanded(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret words")
    entity = f'<!DOCTYPE x [<!ENTITY a SYSTEM "file://{tmp_path}/secret">]>'.encode()
    data = rdf(5).replace(b"<rdf:RDF", entity + b"<rdf:RDF", 1).replace(b"Ebb &amp; flow", b"Ebb &a;")
    (tmp_path / "pg5.rdf").write_bytes(data)
    (row,) = read_catalogue(tmp_path / "pg5.rdf")
    assert row.title == "Ebb"


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("1342-0.txt", 1342),
        ("pg7.txt", 7),
        ("pg7-images.epub", 7),
        ("24675-h.htm", 24675),
        ("tides.txt", None),
        ("7", None),
    ],
)
def test_number_in_reads_gutenbergs_names(name: str, number: int | None) -> None:
    assert number_in(name) == number
