"""The index of a multistream dump: units by it, one page by it, and an index that does not fit."""

import bz2
import logging
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from lmpipe.document import BadRecord, Document, Record, Skipped
from lmpipe.errors import InputError
from lmpipe.settings import WikipediaSource
from lmpipe.sources import wikipedia, wikipedia_index, wikipedia_stream

SOURCE = WikipediaSource(kind="wikipedia", name="wiki", lang="en")
DUMP = "xwiki-20240101-pages-articles-multistream.xml.bz2"
INDEX = "xwiki-20240101-pages-articles-multistream-index.txt.bz2"
HEAD = b"<mediawiki><siteinfo></siteinfo>\n"
TAIL = b"</mediawiki>\n"


def page(number: int, title: str, text: str = "") -> bytes:
    return (
        f"<page><title>{title}</title><ns>0</ns><id>{number}</id><revision><id>{number}0</id>"
        f"<timestamp>2020-01-01T00:00:00Z</timestamp><text>{text or f'Text of {number}.'}</text></revision></page>\n"
    ).encode()


Listed = Sequence[tuple[int, str]]
STREAMS: Sequence[Listed] = [
    [(10, "Anarchism"), (12, "AT&amp;T")],
    [(25, "Talk: A:B"), (39, "Albedo")],
    [(290, "Zoo"), (303, "猫")],
]


def write_dump(folder: Path, streams: Sequence[Listed] = STREAMS, name: str = DUMP) -> tuple[Path, list[str]]:
    """Write a multistream dump as Wikimedia does; return it and the lines of its index."""
    folder.mkdir(exist_ok=True)
    data, lines = bz2.compress(HEAD), []
    for stream in streams:
        lines += [f"{len(data)}:{number}:{title}\n" for number, title in stream]
        data += bz2.compress(b"".join(page(number, title) for number, title in stream))
    (folder / name).write_bytes(data + bz2.compress(TAIL))
    return folder / name, lines


def write_index(folder: Path, lines: Sequence[str], name: str = INDEX) -> Path:
    data = "".join(lines).encode()
    (folder / name).write_bytes(bz2.compress(data) if name.endswith(".bz2") else data)
    return folder / name


def ids(files: Sequence[Path]) -> list[str]:
    records = [record for unit in wikipedia.units(SOURCE, list(files)) for record in wikipedia.read(SOURCE, unit)]
    assert all(isinstance(record, Document) for record in records)
    return [record.native_id for record in records if isinstance(record, Document)]


ALL = ["10", "12", "25", "39", "290", "303"]


@pytest.mark.parametrize("name", [INDEX, INDEX.removesuffix(".bz2")])
def test_units_are_the_same_with_and_without_the_index(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(wikipedia_stream, "UNIT_STREAMS", 2)
    dump, lines = write_dump(tmp_path)
    searched = wikipedia.units(SOURCE, [dump])
    index = write_index(tmp_path, lines, name)
    assert wikipedia.units(SOURCE, [index, dump]) == searched
    assert [len(unit.streams) for unit in searched] == [2, 2, 1]
    assert ids([index, dump]) == ALL


def test_the_index_and_not_a_search_of_the_dump_tells_the_streams(tmp_path: Path) -> None:
    dump, lines = write_dump(tmp_path)
    index = write_index(tmp_path, lines[:2] + lines[4:])  # says nothing of the second stream
    (unit,) = wikipedia.units(SOURCE, [dump, index])
    assert len(unit.streams) == 4  # header, first, third, </mediawiki>
    assert ids([dump, index]) == ALL


@pytest.mark.parametrize("listed", [slice(2), slice(4, 6), slice(0)])
def test_an_index_of_a_part_of_the_dump_loses_no_page(tmp_path: Path, listed: slice) -> None:
    dump, lines = write_dump(tmp_path)
    index = write_index(tmp_path, lines[listed])
    (unit,) = wikipedia.units(SOURCE, [dump, index])
    assert len(unit.streams) == 5
    assert ids([dump, index]) == ALL


def test_each_part_of_a_dump_has_its_own_index(tmp_path: Path) -> None:
    stem = "enwiki-20240101-pages-articles-multistream"
    files = []
    for part, stream in (("1", STREAMS[:1]), ("10", STREAMS[1:])):
        dump, lines = write_dump(tmp_path, stream, f"{stem}{part}.xml-p{part}p41242.bz2")
        files += [dump, write_index(tmp_path, lines, f"{stem}-index{part}.txt-p{part}p41242.bz2")]
    assert ids(sorted(files)) == ALL


def test_the_index_in_the_folder_of_the_dump_is_taken_when_two_have_its_name(tmp_path: Path) -> None:
    old, old_lines = write_dump(tmp_path / "old", STREAMS[:1])
    new, new_lines = write_dump(tmp_path / "new", STREAMS[1:])
    files = [old, new, write_index(tmp_path / "new", new_lines), write_index(tmp_path / "old", old_lines)]
    assert ids(files) == ALL


def broken_lines(lines: list[str], size: int) -> dict[str, list[str]]:
    return {
        "no start": [*lines[:2], f"{int(lines[2].split(':')[0]) + 1}:25:A\n"],
        "beyond the end": [*lines, f"{size + 5}:999:A\n"],
        "unsorted": [lines[2], lines[0]],
        "malformed": ["hello\n"],
        "negative": ["-3:4:A\n"],
        "cut in a line": [*lines[:-1], lines[-1][:-4]],
    }


MESSAGES = {
    "no start": "expected a bz2 stream at byte .* found none there",
    "beyond the end": "found a dump of [0-9]+ bytes",
    "unsorted": "growing offsets",
    "malformed": "offset:page id:title in line 1, found b'hello",
    "negative": "offset:page id:title in line 1",
    "cut in a line": "offset:page id:title in line 6",
}


@pytest.mark.parametrize("what", MESSAGES)
def test_an_index_that_does_not_fit_is_refused_when_named_and_told_in_the_log_when_not(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, what: str
) -> None:
    dump, lines = write_dump(tmp_path)
    index = write_index(tmp_path, broken_lines(lines, dump.stat().st_size)[what])
    with pytest.raises(InputError, match=MESSAGES[what]) as refused:
        wikipedia.units(SOURCE, [dump, index])
    assert "eave" in str(refused.value)  # says what to do
    assert ids([dump]) == ALL
    assert [(r.levelno, "not used" in r.message) for r in caplog.records][:1] == [(logging.WARNING, True)]


@pytest.mark.parametrize("damage", [lambda data: data[:-30], lambda data: data[:60] + b"\0\0\0" + data[63:]])
def test_a_damaged_index_is_refused(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    dump, lines = write_dump(tmp_path)
    index = write_index(tmp_path, lines)
    index.write_bytes(damage(index.read_bytes()))
    with pytest.raises(InputError, match=r"damaged or cut off.*Fetch it again"):
        wikipedia.units(SOURCE, [dump, index])


def test_an_index_without_its_dump_is_refused(tmp_path: Path) -> None:
    dump, lines = write_dump(tmp_path, name="renamed.xml.bz2")
    with pytest.raises(InputError, match="Name the dump too"):
        wikipedia.units(SOURCE, [dump, write_index(tmp_path, lines)])


def test_an_index_of_a_dump_that_is_no_bz2_is_refused(tmp_path: Path) -> None:
    dump, lines = write_dump(tmp_path)
    dump.write_bytes(bz2.decompress(dump.read_bytes()))
    with pytest.raises(InputError, match="expected a dump in bz2"):
        wikipedia.units(SOURCE, [dump, write_index(tmp_path, lines)])


@pytest.mark.parametrize(
    ("asked", "native_id"),
    [
        ({"title": "Anarchism"}, "10"),
        ({"title": "AT&T"}, "12"),
        ({"title": "Talk: A:B"}, "25"),
        ({"title": "talk:_A:B"}, "25"),
        ({"title": "猫"}, "303"),
        ({"page_id": 39}, "39"),
        ({"page_id": 290}, "290"),
    ],
)
def test_a_page_is_read_by_title_or_id(tmp_path: Path, asked: dict[str, str | int], native_id: str) -> None:
    dump, lines = write_dump(tmp_path)
    write_index(tmp_path, lines)
    record = wikipedia.read_page(SOURCE, dump, **asked)  # type: ignore[arg-type]
    assert isinstance(record, Document)
    assert (record.native_id, record.text) == (native_id, f"Text of {native_id}.")
    assert record in [r for unit in wikipedia.units(SOURCE, [dump]) for r in wikipedia.read(SOURCE, unit)]


def test_a_page_is_read_though_all_other_streams_are_damaged(tmp_path: Path) -> None:
    dump, lines = write_dump(tmp_path)
    write_index(tmp_path, lines)
    data = bytearray(dump.read_bytes())
    first, second, third = (int(lines[n].split(":")[0]) for n in (0, 2, 4))
    data[20:second] = bytes(second - 20)
    data[third + 20 :] = bytes(len(data) - third - 20)
    dump.write_bytes(data)
    record = wikipedia.read_page(SOURCE, dump, page_id=39)
    assert isinstance(record, Document)
    assert first < second


def test_a_page_of_a_damaged_stream_is_a_clear_error(tmp_path: Path) -> None:
    dump, lines = write_dump(tmp_path)
    write_index(tmp_path, lines)
    second = int(lines[2].split(":")[0])
    data = dump.read_bytes()
    dump.write_bytes(data[: second + 40] + bytes(20) + data[second + 60 :])
    with pytest.raises(InputError, match="page 39 is not in the stream"):
        wikipedia.read_page(SOURCE, dump, page_id=39)


def test_a_redirect_and_a_broken_page_are_found_as_what_they_are(tmp_path: Path) -> None:
    dump, lines = write_dump(tmp_path, [[(1, "Whole"), (2, "Broken <b>"), (3, "Other")]])
    write_index(tmp_path, lines)
    assert isinstance(wikipedia.read_page(SOURCE, dump, page_id=2), BadRecord)
    assert wikipedia.read_page(replace(SOURCE, namespaces=(4,)), dump, page_id=3) == Skipped(reason="namespace")


@pytest.mark.parametrize("asked", [{"title": "Nobody"}, {"page_id": 11}])
def test_a_page_that_is_not_there_is_a_clear_error(tmp_path: Path, asked: dict[str, str | int]) -> None:
    dump, lines = write_dump(tmp_path)
    write_index(tmp_path, lines)
    with pytest.raises(InputError, match=r"no page (Nobody|11)"):
        wikipedia.read_page(SOURCE, dump, **asked)  # type: ignore[arg-type]


def test_a_page_of_a_dump_without_index_is_a_clear_error(tmp_path: Path) -> None:
    dump, _ = write_dump(tmp_path)
    with pytest.raises(InputError, match=f"index beside it, as {INDEX}"):
        wikipedia.read_page(SOURCE, dump, title="Zoo")


@pytest.mark.parametrize("size", [10, 11, 64, 1000])
def test_streams_are_found_wherever_the_search_is_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    dump, lines = write_dump(tmp_path)
    starts = sorted({int(line.split(":")[0]) for line in lines})
    monkeypatch.setattr(wikipedia_index, "SEARCH_BYTES", size)
    found = wikipedia_index.stream_starts(dump, None)
    assert found[0] == 0
    assert found[1:-1] == starts
    assert list(wikipedia_index.searched_starts(dump, starts[0], starts[2])) == starts[:2]


def test_a_damaged_index_is_refused_or_loses_no_page(tmp_path: Path) -> None:
    dump, lines = write_dump(tmp_path)
    index = write_index(tmp_path, lines, INDEX.removesuffix(".bz2"))
    whole, dice, refused = index.read_bytes(), random.Random(1), 0
    for number in range(300):
        start = dice.randrange(len(whole))
        index.write_bytes(whole[:start] + dice.choice((b"", b"1", b"\n", b":")) + whole[start + dice.randrange(40) :])
        try:
            assert ids([dump, index]) == ALL, number
        except InputError:
            refused += 1
    assert 50 < refused < 300


def real_pages(corpora: Path) -> list[bytes]:
    whole = bz2.decompress((corpora / "wikipedia" / "enwiki-sample-2.xml.bz2").read_bytes())
    return [b"<page" + part.partition(b"</page>")[0] + b"</page>\n" for part in whole.split(b"<page")[1:]]


def text_between(raw: bytes, tag: bytes) -> str:
    return raw.partition(b"<" + tag + b">")[2].partition(b"<")[0].decode()


def test_a_multistream_dump_of_real_pages_is_read_by_its_index(corpora: Path, tmp_path: Path) -> None:
    pages = real_pages(corpora)[::8]
    data, lines = bz2.compress(HEAD), []
    for start in range(0, len(pages), 5):
        stream = pages[start : start + 5]
        lines += [f"{len(data)}:{text_between(raw, b'id')}:{text_between(raw, b'title')}\n" for raw in stream]
        data += bz2.compress(b"".join(stream))
    dump = tmp_path / DUMP
    dump.write_bytes(data + bz2.compress(TAIL))
    index = write_index(tmp_path, lines)
    records: list[Record] = []
    for unit in wikipedia.units(SOURCE, [dump, index]):
        records += wikipedia.read(SOURCE, unit)
    assert len(records) == len(pages)
    documents = [record for record in records if isinstance(record, Document)]
    assert len(documents) > 10
    for document in documents[::4]:
        assert wikipedia.read_page(SOURCE, dump, title=document.title) == document
