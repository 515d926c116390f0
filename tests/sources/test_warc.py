"""Framing of archives: wrong lengths, bare newlines, codings, and units of plain archives."""

import gzip
from pathlib import Path

import brotli
import pyarrow as pa
import pytest

from lmpipe.document import BadRecord, Document, Record, Skipped
from lmpipe.sources import news, warc
from tests.sources.test_news import SOURCE, http, ids, page, pages, read, record, tally


def relabelled(content: bytes, change: int) -> bytes:
    """Make a record's Content-Length wrong by so many bytes."""
    start = content.index(b"Content-Length: ") + 16
    end = content.index(b"\r\n", start)
    return content[:start] + str(int(content[start:end]) + change).encode() + content[end:]


def errors(records: list[Record]) -> list[str]:
    return [r.error for r in records if isinstance(r, BadRecord)]


@pytest.mark.parametrize("more", [5, 8, 12, 20, 300])
def test_read_keeps_the_next_record_when_a_length_is_a_little_too_long(tmp_path: Path, more: int) -> None:
    """The next record's first line lies across the wrong end, where a search of the body alone misses it."""
    first, second, third = pages(3)
    found = read(tmp_path / "a.warc", relabelled(first, more) + second + third)
    assert ids(found) == ["https://bay.example/1", "https://bay.example/2"]
    assert len(errors(found)) == 1


@pytest.mark.parametrize("number", [1, 3000])
def test_read_keeps_what_follows_a_record_whose_length_is_absurd(tmp_path: Path, number: int) -> None:
    first, second, third = pages(3)
    filler = record(b"x" * 999, kind="metadata") * number  # 3,000 of them take several reads
    found = read(tmp_path / "a.warc", filler + relabelled(first, 10**12) + second + filler + third)
    assert ids(found) == ["https://bay.example/1", "https://bay.example/2"]
    assert len(errors(found)) == 1
    assert "at most" in errors(found)[0]
    assert tally(found)["metadata"] == 2 * number


@pytest.mark.parametrize("border", range(-40, 41, 4))
def test_read_finds_the_next_record_across_the_borders_of_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, border: int
) -> None:
    monkeypatch.setattr(warc, "MAX_RECORD_BYTES", 1000)
    monkeypatch.setattr(warc, "CHUNK", 1 << 16)
    body = b"y" * ((1 << 16) + border)
    wrong = relabelled(record(body), 10**9)
    found = read(tmp_path / "a.warc", wrong + pages(2)[1])
    assert ids(found) == ["https://bay.example/1"]
    bad = found[0]
    assert isinstance(bad, BadRecord)
    assert bad.origin.length == len(wrong)


def test_read_passes_over_a_record_that_is_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warc, "MAX_RECORD_BYTES", 1000)
    large = record(b"z" * 300_000)
    found = read(tmp_path / "a.warc", large + pages(2)[1])
    assert ids(found) == ["https://bay.example/1"]
    assert [r.origin.offset for r in found if isinstance(r, Document)] == [len(large)]


def test_read_keeps_the_next_arc_record_when_a_length_is_too_long(tmp_path: Path) -> None:
    block = http(page(1))

    def arc(number: int, more: int) -> bytes:
        line = b"http://bay.example/%d 1.2.3.4 20080430204830 text/html %d\n" % (number, len(block) + more)
        return line + block + b"\n"

    found = read(tmp_path / "a.arc", arc(1, 100) + arc(2, 0) + arc(3, 0))
    assert ids(found) == ["http://bay.example/2", "http://bay.example/3"]
    assert "another begins" in errors(found)[0]


def test_read_accepts_warc_headers_with_bare_newlines(tmp_path: Path) -> None:
    headers, _, rest = record(http(page(1))).partition(b"\r\n\r\n")
    bare = headers.replace(b"\r\n", b"\n") + b"\n\n" + rest
    assert ids(read(tmp_path / "a.warc", bare + pages(3)[2])) == ["https://bay.example/1", "https://bay.example/2"]


def test_read_gives_a_bad_record_when_the_type_is_missing_and_skips_an_unknown_one(tmp_path: Path) -> None:
    whole = record(http(page(1)))
    found = read(tmp_path / "a.warc", whole.replace(b"WARC-Type: response\r\n", b"") + record(b"x", kind="novelty"))
    assert "WARC-Type" in errors(found)[0]
    assert found[1] == Skipped(reason="unknown")


@pytest.mark.parametrize(
    ("coding", "body"),
    [("br", brotli.compress(page(3))), ("zstd", pa.compress(page(3), codec="zstd", asbytes=True))],
)
def test_read_undoes_modern_content_codings_and_sets_damage_aside(tmp_path: Path, coding: str, body: bytes) -> None:
    damaged = body[: len(body) // 2] + b"\xff" * 40
    parts = [record(http(sent, f"Content-Encoding: {coding}")) for sent in (body, damaged)]
    assert tally(read(tmp_path / "a.warc", b"".join(parts))) == {"Document": 1, "BadRecord": 1}


def test_read_keeps_the_languages_that_common_crawl_found(tmp_path: Path) -> None:
    plain = record(b"Bridge opens\nWalkers came.", kind="conversion")
    wet = plain.replace(b"\r\nContent-Type", b"\r\nWARC-Identified-Content-Language: eng,deu\r\nContent-Type", 1)
    (found,) = read(tmp_path / "a.wet", wet)
    assert isinstance(found, Document)
    assert found.meta == {"declared_lang": "eng,deu"}


def test_units_cut_a_plain_archive_at_records_without_loss_or_repetition(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quoting = record(http(page(9) + b"<pre>\r\n\r\n" + record(b"x") * 20 + b"</pre>"), "https://bay.example/quoting")
    content = b"".join(pages(20)) + quoting + b"".join(pages(40)[20:])
    whole = read(tmp_path / "a.warc", content)
    monkeypatch.setattr(news, "UNIT_BYTES", 1000)
    assert len(news.units(SOURCE, [tmp_path / "a.warc"])) > 10
    assert read(tmp_path / "a.warc", content) == whole
    assert tally(whole) == {"Document": 41}


@pytest.mark.parametrize("damage", [b"garbage\n", relabelled(pages(1)[0], 50), relabelled(pages(1)[0], -50)])
def test_units_of_a_damaged_plain_archive_lose_and_repeat_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: bytes
) -> None:
    content = b"".join(pages(10)) + damage + b"".join(pages(20)[10:])
    whole = read(tmp_path / "a.warc", content)
    monkeypatch.setattr(news, "UNIT_BYTES", 1000)
    assert len(news.units(SOURCE, [tmp_path / "a.warc"])) > 2
    assert read(tmp_path / "a.warc", content) == whole
    assert len(ids(whole)) >= 20


def test_units_of_real_plain_archives_lose_and_repeat_nothing(corpora: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folders = [corpora / "news" / folder for folder in ("warc-broken", "ukwa-warc", "commoncrawl")]
    files = [path for folder in folders for path in sorted(folder.rglob("*")) if path.suffix in (".warc", ".arc")]

    def everything() -> list[Record]:
        return [r for unit in news.units(SOURCE, files) for r in news.read(SOURCE, unit)]

    whole = everything()
    monkeypatch.setattr(news, "UNIT_BYTES", 1 << 12)
    assert len(news.units(SOURCE, files)) > len(files)
    assert everything() == whole


def test_read_loses_no_member_behind_a_wrong_length_and_padding(tmp_path: Path) -> None:
    first, second, third = pages(3)
    content = gzip.compress(relabelled(first, 10**12)) + bytes(50) + gzip.compress(second) + gzip.compress(third)
    found = read(tmp_path / "a.warc.gz", content)
    assert ids(found) == ["https://bay.example/1", "https://bay.example/2"]
    assert len(errors(found)) == 2
