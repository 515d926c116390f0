"""Dumps in every packing and every state of damage: which records come out, and where they lay."""

import bz2
import gzip
import json
import lzma
import pickle
import random
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from lmpipe.document import BadRecord, Document, Record, Skipped
from lmpipe.errors import InputError
from lmpipe.settings import WikipediaSource
from lmpipe.sources import wikipedia, wikipedia_stream

DATA = Path(__file__).parent.parent / "data"
SOURCE = WikipediaSource(kind="wikipedia", name="wiki", paths=(), lang="en")
HEAD = b'<mediawiki xml:lang="en">\n  <siteinfo>\n    <dbname>enwiki</dbname>\n  </siteinfo>\n'
TAIL = b"</mediawiki>\n"


def page(number: int, text: str = "Some text.", *, title: str = "Title", ns: int = 0, redirect: str = "") -> bytes:
    return (
        f"  <page>\n    <title>{title}</title>\n    <ns>{ns}</ns>\n    <id>{number}</id>\n{redirect}"
        f"    <revision>\n      <id>{number + 1000}</id>\n      <timestamp>2014-12-03T04:50:06Z</timestamp>\n"
        f'      <model>wikitext</model>\n      <text xml:space="preserve">{text}</text>\n    </revision>\n  </page>\n'
    ).encode()


def write(folder: Path, name: str, data: bytes) -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def multistream(parts: Sequence[bytes]) -> bytes:
    return b"".join(bz2.compress(part) for part in parts)


def read(path: Path, source: WikipediaSource = SOURCE) -> list[Record]:
    return [record for unit in wikipedia.units(source, [path]) for record in wikipedia.read(source, unit)]


def ids(records: Sequence[Record]) -> list[str]:
    return [record.native_id for record in records if isinstance(record, Document)]


def bad(records: Sequence[Record]) -> list[BadRecord]:
    return [record for record in records if isinstance(record, BadRecord)]


PACKINGS = {
    "x.xml": lambda data: data,
    "x.xml.bz2": bz2.compress,
    "x.xml.gz": gzip.compress,
    "x.xml.xz": lzma.compress,
    "utf16.xml": lambda data: data.decode().encode("utf-16"),
    "utf16-be.xml.gz": lambda data: gzip.compress(data.decode().encode("utf-16-be")),
    "misnamed.gz": bz2.compress,
}


@pytest.mark.parametrize("name", PACKINGS)
def test_pages_are_read_whatever_the_packing(tmp_path: Path, name: str) -> None:
    data = HEAD + page(1, "Käse 猫") + page(2) + TAIL
    records = read(write(tmp_path, name, PACKINGS[name](data)))
    assert ids(records) == ["1", "2"]
    assert isinstance(records[0], Document)
    assert records[0].text == "Käse 猫"


def test_a_document_carries_its_metadata_when_read(tmp_path: Path) -> None:
    text = "It is.\n[[Category:Things|x]] [[Category:All]]"
    (record,) = read(write(tmp_path, "x.xml", HEAD + page(7, text, title="A b's (c)") + TAIL))
    assert isinstance(record, Document)
    assert (record.native_id, record.title, record.text) == ("7", "A b's (c)", "It is.")
    assert record.created == datetime(2014, 12, 3, 4, 50, 6, tzinfo=UTC)
    assert record.revision == "1007"
    assert record.url == "https://en.wikipedia.org/wiki/A_b%27s_(c)"
    assert record.meta == {"categories": "Things|All"}


def test_origin_leads_back_to_the_bytes_when_streams_are_many(tmp_path: Path) -> None:
    path = write(tmp_path, "x.xml.bz2", multistream([HEAD, page(1) + page(2), page(3), TAIL]))
    for record in read(path):
        assert isinstance(record, Document)
        stream = bz2.BZ2Decompressor().decompress(path.read_bytes()[int(record.meta["stream"]) :])
        raw = stream[record.origin.offset : record.origin.offset + record.origin.length]
        assert raw == page(int(record.native_id)).strip()
        assert record.origin.file == "x.xml.bz2"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (page(1, "See [[b]]", redirect='    <redirect title="b" />\n'), "redirect"),
        (page(1, "#重定向 [[b]]"), "redirect"),
        (page(1, ns=10), "namespace"),
        (page(1, ""), "empty"),
        (page(1, "{{Infobox}}"), "empty"),
        (page(1).replace(b">wikitext<", b">json<"), "model"),
    ],
)
def test_a_page_that_is_no_article_is_skipped_with_its_reason(tmp_path: Path, data: bytes, reason: str) -> None:
    assert read(write(tmp_path, "x.xml", HEAD + data + TAIL)) == [Skipped(reason=reason)]


def test_other_namespaces_are_kept_when_asked_for(tmp_path: Path) -> None:
    source = WikipediaSource(kind="wikipedia", name="wiki", paths=(), lang="en", namespaces=(0, 4))
    (record,) = read(write(tmp_path, "x.xml", HEAD + page(1, ns=4, title="Wikipedia:A") + TAIL), source)
    assert isinstance(record, Document)
    assert record.meta == {"namespace": "4"}


@pytest.mark.parametrize(
    ("broken", "error"),
    [
        (page(2, "a <b> c"), "well-formed"),
        (page(2, "a &bomb; c"), "well-formed"),
        (page(2).replace(b"Some", b"S\xffme"), "UTF-8"),
        (page(2).replace(b"title>", b"name>"), "<title>"),
        (page(2).replace(b"    <id>2</id>\n", b""), "<id>"),
        (page(2).replace(b"<id>2</id>", b"<id>two</id>"), "two"),
        (page(2).replace(b"text", b"test"), "<text>"),
        (page(2).replace(b"2014-12-03", b"yesterday"), "yesterday"),
        (page(2).replace(b"</page>", b""), "</page>"),
    ],
)
def test_a_broken_page_harms_only_itself(tmp_path: Path, broken: bytes, error: str) -> None:
    records = read(write(tmp_path, "x.xml.bz2", bz2.compress(HEAD + page(1) + broken + page(3) + TAIL)))
    assert ids(records) == ["1", "3"]
    assert len(records) == 3
    assert error in bad(records)[0].error
    assert bad(records)[0].raw.strip() == broken.strip()


def test_a_page_open_at_the_end_is_one_bad_record(tmp_path: Path) -> None:
    whole = HEAD + page(1) + page(2)
    records = read(write(tmp_path, "x.xml", whole[:-30]))
    assert ids(records) == ["1"]
    assert [record.raw for record in bad(records)] == [page(2)[2:-30]]
    assert "</page>" in bad(records)[0].error


@pytest.mark.parametrize("pack", [lambda data: bz2.compress(data, 1), gzip.compress, lzma.compress])
def test_pages_before_the_end_are_kept_when_compressed_data_is_cut(
    tmp_path: Path, pack: Callable[[bytes], bytes]
) -> None:
    noise = random.Random(1)  # text that does not compress: several bz2 blocks, and the cut falls between pages
    packed = pack(HEAD + b"".join(page(number, noise.randbytes(10_000).hex()) for number in range(1, 41)) + TAIL)
    records = read(write(tmp_path, "x", packed[: len(packed) * 3 // 4]))
    assert len(ids(records)) > 20
    assert len(bad(records)) == 1
    assert "end" in bad(records)[0].error


def test_a_stream_that_ends_early_is_told_even_between_pages(tmp_path: Path) -> None:
    records = read(write(tmp_path, "x.xml.bz2", multistream([HEAD, page(1), TAIL])[:-5]))
    assert ids(records) == ["1"]
    assert ["ends early" in record.error for record in bad(records)] == [True]


def test_reading_goes_on_with_the_next_stream_when_one_is_damaged(tmp_path: Path) -> None:
    streams = [bz2.compress(part) for part in (HEAD, page(1), page(2), page(3), TAIL)]
    streams[2] = streams[2][:60] + bytes(40) + streams[2][100:]
    records = read(write(tmp_path, "x.xml.bz2", b"".join(streams)))
    assert ids(records) == ["1", "3"]
    assert len(bad(records)) == 1
    assert str(len(streams[0]) + len(streams[1])) in bad(records)[0].error


@pytest.mark.parametrize("size", [1, 7, 100, 1000])
def test_no_page_is_lost_or_doubled_when_streams_cut_pages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr(wikipedia_stream, "UNIT_STREAMS", 3)
    data = HEAD + b"".join(page(number, "x" * number) for number in range(1, 9)) + TAIL
    parts = [data[start : start + size] for start in range(0, len(data), size)]
    path = write(tmp_path, "x.xml.bz2", multistream(parts))
    assert len(wikipedia.units(SOURCE, [path])) > 1 or size == 1000
    records = read(path)
    assert ids(records) == [str(number) for number in range(1, 9)]
    assert not bad(records)


@pytest.mark.parametrize("size", [1, 50, 333])
def test_no_page_is_lost_or_doubled_when_a_plain_file_is_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr(wikipedia_stream, "PLAIN_UNIT_BYTES", size)
    data = HEAD + page(1) + page(2) + page(3) + TAIL
    path = write(tmp_path, "x.xml", data)
    records = read(path)
    assert ids(records) == ["1", "2", "3"]
    assert [data[r.origin.offset :][: r.origin.length] for r in records if isinstance(r, Document)] == [
        page(number).strip() for number in (1, 2, 3)
    ]


def test_pages_are_found_when_pieces_are_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wikipedia_stream, "PIECE", 3)
    records = read(write(tmp_path, "x.xml", HEAD + b"<pages/>" + page(1) + page(2) + TAIL))
    assert ids(records) == ["1", "2"]
    assert not bad(records)


def test_a_page_beyond_the_limit_is_set_aside_and_reading_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wikipedia_stream, "MAX_PAGE", 2000)
    monkeypatch.setattr(wikipedia_stream, "PIECE", 500)
    records = read(write(tmp_path, "x.xml", HEAD + page(1) + page(2, "x" * 9000) + page(3) + TAIL))
    assert ids(records) == ["1", "3"]
    assert len(bad(records)) == 1
    assert "2000 bytes" in bad(records)[0].error


def test_an_entity_bomb_is_harmless(tmp_path: Path) -> None:
    levels = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
    bomb = f'<?xml version="1.0"?><!DOCTYPE m [<!ENTITY l0 "boom">{levels}]>\n'.encode()
    records = read(write(tmp_path, "x.xml", bomb + HEAD + page(1, "&l9;") + page(2) + TAIL))
    assert ids(records) == ["2"]
    assert "l9" in bad(records)[0].error


def test_pages_are_read_when_there_is_no_root(tmp_path: Path) -> None:
    assert ids(read(write(tmp_path, "x.xml", page(1) + page(2)))) == ["1", "2"]


@pytest.mark.parametrize("data", [b"", b"hello, world", b"<rss><item/></rss>"])
def test_a_file_without_pages_is_one_bad_record(tmp_path: Path, data: bytes) -> None:
    (record,) = read(write(tmp_path, "x.xml", data))
    assert isinstance(record, BadRecord)
    assert "expected <page>" in record.error
    assert record.raw == data


@pytest.mark.parametrize(("magic", "name"), [(b"7z\xbc\xaf\x27\x1c\0\4", "7z"), (b"(\xb5/\xfd1234", "zstd")])
def test_an_archive_that_cannot_be_streamed_is_refused(tmp_path: Path, magic: bytes, name: str) -> None:
    with pytest.raises(InputError, match=f"{name}.*bz2"):
        wikipedia.units(SOURCE, [write(tmp_path, "x.7z", magic)])


def test_units_travel_to_other_processes_unchanged(tmp_path: Path) -> None:
    path = write(tmp_path, "x.xml.bz2", multistream([HEAD, page(1), TAIL]))
    units = wikipedia.units(SOURCE, [path])
    assert pickle.loads(pickle.dumps(units)) == units == wikipedia.units(SOURCE, [path])
    assert units[0].streams[0] == 0
    assert units[-1].end == path.stat().st_size


@pytest.mark.parametrize("name", ["wiki-en", "wiki-zh"])
def test_the_embedded_dumps_give_what_was_planted(name: str) -> None:
    truth = json.loads((DATA / "wiki-truth.json").read_text(encoding="utf-8"))[name]
    records = read(DATA / f"{name}.xml.bz2")
    assert len(ids(records)) == truth["articles"]
    assert len(bad(records)) == len(truth["broken"])
    assert records.count(Skipped(reason="redirect")) == truth["redirects"]
    assert records.count(Skipped(reason="namespace")) == truth["other_namespaces"]


@pytest.mark.parametrize(
    ("name", "documents", "errors"),
    [
        ("zhwiki-id13.xml", 1, 0),
        ("zhwiki-one-page.xml.bz2", 1, 0),
        ("broken/article-stubs-no-root.xml.bz2", 0, 5),
        ("broken/bgwiki-utf16le.xml.bz2", 1, 0),
    ],
)
def test_real_dumps_are_read_whole(corpora: Path, name: str, documents: int, errors: int) -> None:
    records = read(corpora / "wikipedia" / name)
    assert len(ids(records)) == documents
    assert len(bad(records)) == errors


@pytest.mark.slow
def test_a_real_truncated_dump_loses_only_its_last_page(corpora: Path) -> None:
    records = read(corpora / "wikipedia" / "broken" / "hywiki-truncated.xml.xz")
    assert len(ids(records)) > 270
    assert len(bad(records)) == 1
