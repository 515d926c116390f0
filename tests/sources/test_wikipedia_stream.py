"""Dumps as bytes: every packing is cut into units and pages, and damage costs only where it lies."""

import bz2
import gzip
import lzma
import pickle
import random
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from lmpipe.document import Document
from lmpipe.errors import InputError
from lmpipe.sources import wikipedia, wikipedia_stream
from tests.sources.test_wikipedia import HEAD, SOURCE, TAIL, bad, ids, multistream, page, read, write


def zstd(data: bytes) -> bytes:
    packed = pa.BufferOutputStream()
    with pa.CompressedOutputStream(packed, "zstd") as stream:
        stream.write(data)
    return bytes(packed.getvalue())


PACKINGS = {
    "x.xml": lambda data: data,
    "x.xml.bz2": bz2.compress,
    "x.xml.gz": gzip.compress,
    "x.xml.xz": lzma.compress,
    "x.xml.zst": zstd,
    "frames.xml.zst": lambda data: zstd(data[:99]) + zstd(data[99:]),
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


@pytest.mark.parametrize("pack", [lambda data: bz2.compress(data, 1), gzip.compress, lzma.compress, zstd])
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
    monkeypatch.setattr(wikipedia_stream, "PLAIN", 1)
    monkeypatch.setattr(wikipedia_stream, "MIN_UNIT_BYTES", size)
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


def test_a_dump_without_its_end_is_told_in_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    read(write(tmp_path, "whole.xml.bz2", multistream([HEAD, page(1), TAIL + b"\n\n"])))
    assert not caplog.messages
    read(write(tmp_path, "cut.xml.bz2", multistream([HEAD, page(1)])))
    assert [("cut.xml.bz2" in message, "</mediawiki>" in message) for message in caplog.messages] == [(True, True)]


@pytest.mark.parametrize("name", ["x.xml.bz2", "x.xml.gz", "x.xml.xz", "x.xml.zst"])
def test_a_single_stream_is_one_unit_and_the_log_says_why(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    caplog.set_level("INFO")
    path = write(tmp_path, name, PACKINGS[name](HEAD + page(1) + TAIL))
    assert len(wikipedia.units(SOURCE, [path])) == 1
    assert "one unit for one worker" in caplog.messages[0]


def test_a_small_dump_is_cut_into_as_many_units_as_a_large_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wikipedia_stream, "MIN_UNIT_BYTES", 1000)
    noise = random.Random(1)
    streams = [page(n, noise.randbytes(1000).hex()) for n in range(200)]
    path = write(tmp_path, "x.xml.bz2", multistream([HEAD, *streams, TAIL]))
    sizes = [unit.end - unit.streams[0] for unit in wikipedia.units(SOURCE, [path])]
    assert 25 < len(sizes) < 40
    assert max(sizes) < path.stat().st_size / 20


@pytest.mark.parametrize(("magic", "name"), [(b"7z\xbc\xaf\x27\x1c\0\4", "7z"), (b"PK\x03\x04abcd", "zip")])
def test_an_archive_that_cannot_be_streamed_is_refused(tmp_path: Path, magic: bytes, name: str) -> None:
    with pytest.raises(InputError, match=f"{name}.*bz2"):
        wikipedia.units(SOURCE, [write(tmp_path, "x.7z", magic)])


def test_units_travel_to_other_processes_unchanged(tmp_path: Path) -> None:
    path = write(tmp_path, "x.xml.bz2", multistream([HEAD, page(1), TAIL]))
    units = wikipedia.units(SOURCE, [path])
    assert pickle.loads(pickle.dumps(units)) == units == wikipedia.units(SOURCE, [path])
    assert units[0].streams[0] == 0
    assert units[-1].end == path.stat().st_size
