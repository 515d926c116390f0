"""News archives: records become documents, skips and bad records, and damage costs only where it lies."""

import gzip
import json
import zlib
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lmpipe.document import BadRecord, Document, Record, Skipped
from lmpipe.settings import NewsSource
from lmpipe.sources import news, warc

DATA = Path(__file__).parent.parent / "data"
SENTENCE = "The harbour bridge was opened to walkers on Monday after two winters of repair, the council said. "
SOURCE = NewsSource(kind="news", name="bay", paths=(), html="resiliparse")


def page(number: int, extra: str = "") -> bytes:
    head = f"<html><head><title>Page {number}</title>{extra}</head>"
    return f"{head}<body><article><p>{number}: {SENTENCE * 3}</p></article>".encode()


def http(body: bytes, *headers: str, status: str = "200 OK", kind: str = "text/html") -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Type: {kind}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def record(block: bytes, url: str = "https://bay.example/1", kind: str = "response") -> bytes:
    mime = {"response": "application/http; msgtype=response", "request": "application/http; msgtype=request"}
    headers = (
        f"WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Target-URI: {url}\r\nWARC-Date: 2021-05-04T08:00:00Z\r\n"
        f"Content-Type: {mime.get(kind, 'text/plain')}\r\nContent-Length: {len(block)}\r\n\r\n"
    )
    return headers.encode() + block + b"\r\n\r\n"


def pages(number: int) -> list[bytes]:
    return [record(http(page(n)), f"https://bay.example/{n}") for n in range(number)]


def read(path: Path, content: bytes, source: NewsSource = SOURCE) -> list[Record]:
    path.write_bytes(content)
    return [r for unit in news.units(source, [path]) for r in news.read(source, unit)]


def tally(records: list[Record]) -> Counter[str]:
    return Counter(r.reason if isinstance(r, Skipped) else type(r).__name__ for r in records)


def ids(records: list[Record]) -> list[str]:
    return [r.native_id for r in records if isinstance(r, Document)]


def test_read_makes_a_response_a_document(tmp_path: Path) -> None:
    (document,) = read(tmp_path / "a.warc.gz", gzip.compress(record(http(page(7)))))
    assert isinstance(document, Document)
    assert document.native_id == document.url == "https://bay.example/1"
    assert document.title == "Page 7"
    assert document.text == f"7: {SENTENCE * 3}".strip()
    assert document.created == datetime(2021, 5, 4, 8, tzinfo=UTC)
    assert document.origin == ("a.warc.gz", 0, (tmp_path / "a.warc.gz").stat().st_size)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (record(b"software: x", kind="warcinfo"), "warcinfo"),
        (record(b"GET / HTTP/1.1\r\n\r\n", kind="request"), "request"),
        (record(b"a: b", kind="metadata"), "metadata"),
        (record(http(b""), kind="revisit"), "revisit"),
        (record(b" ", kind="conversion"), "empty"),
        (record(http(page(1), status="404 Not Found")), "status"),
        (record(http(b"%PDF", kind="application/pdf")), "not_html"),
        (record(http(b"<html><body></body></html>")), "empty"),
    ],
)
def test_read_skips_with_a_reason_what_is_no_page(tmp_path: Path, content: bytes, reason: str) -> None:
    assert read(tmp_path / "a.warc", content) == [Skipped(reason=reason)]


@pytest.mark.parametrize("form", ["plain", "members", "whole"])
def test_read_finds_the_same_documents_however_the_archive_is_compressed(tmp_path: Path, form: str) -> None:
    parts = pages(5)
    content = {
        "plain": b"".join(parts),
        "members": b"".join(gzip.compress(part) for part in parts),
        "whole": gzip.compress(b"".join(parts)),
    }[form]
    assert ids(read(tmp_path / "named-wrongly.xml", content)) == [f"https://bay.example/{n}" for n in range(5)]


def test_units_cut_an_archive_at_members_without_loss_or_repetition(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = b"".join(gzip.compress(part) for part in pages(40))
    whole = read(tmp_path / "a.warc.gz", content)
    monkeypatch.setattr(news, "UNIT_BYTES", 1000)
    assert len(news.units(SOURCE, [tmp_path / "a.warc.gz"])) > 5
    assert read(tmp_path / "a.warc.gz", content) == whole


def test_read_loses_only_the_damaged_member(tmp_path: Path) -> None:
    members = [gzip.compress(part) for part in pages(4)]
    broken = bytearray(members[1])
    broken[len(broken) // 2] ^= 0xFF
    content = members[0] + bytes(broken) + members[2] + members[3]
    records = read(tmp_path / "a.warc.gz", content)
    assert ids(records) == [f"https://bay.example/{n}" for n in (0, 2, 3)]
    (bad,) = [r for r in records if isinstance(r, BadRecord)]
    assert bad.origin[1:] == (len(members[0]), len(members[1]))
    assert "damaged gzip member" in bad.error


def test_read_gives_a_bad_record_when_the_archive_is_cut_off(tmp_path: Path) -> None:
    content = b"".join(gzip.compress(part) for part in pages(3))[:-40]
    assert tally(read(tmp_path / "a.warc.gz", content)) == {"Document": 2, "BadRecord": 1}


def test_read_keeps_what_comes_before_damage_when_the_archive_is_compressed_as_a_whole(tmp_path: Path) -> None:
    records = read(tmp_path / "a.warc.gz", gzip.compress(b"".join(pages(3)))[:-6])
    assert tally(records)["BadRecord"] == 1
    assert ids(records)[:2] == ["https://bay.example/0", "https://bay.example/1"]


def test_read_goes_on_after_garbage_between_the_records_of_a_plain_archive(tmp_path: Path) -> None:
    first, second = pages(2)
    records = read(tmp_path / "a.warc", first + b"garbage\nmore of it\n" + second)
    assert tally(records) == {"Document": 2, "BadRecord": 1}
    (bad,) = [r for r in records if isinstance(r, BadRecord)]
    assert bad.origin[1:] == (len(first), len(b"garbage\nmore of it\n"))


def test_read_refuses_a_decompression_bomb_and_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warc, "MAX_RECORD_BYTES", 1 << 20)
    bomb = gzip.compress(record(http(b" " * (4 << 20))))
    content = bomb + gzip.compress(pages(1)[0])
    records = read(tmp_path / "a.warc.gz", content)
    assert tally(records) == {"Document": 1, "BadRecord": 1}
    assert "inflates to more than" in next(r.error for r in records if isinstance(r, BadRecord))


@pytest.mark.parametrize(
    ("block", "message"),
    [
        (http(b"<html>not gzip", "Content-Encoding: gzip"), "Gzip"),
        (http(b"<html>not chunked", "Transfer-Encoding: chunked"), "chunk"),
        (http(gzip.compress(b" " * (11 << 20)), "Content-Encoding: gzip"), "more than"),
        (http(b"\x00\x01\x02" * 50), "control characters"),
        (http(b"<p>x" * 100_001), "tags"),
        (b"no http here", "status line"),
    ],
)
def test_read_gives_a_bad_record_when_a_response_cannot_be_read(tmp_path: Path, block: bytes, message: str) -> None:
    (bad,) = read(tmp_path / "a.warc", record(block))
    assert isinstance(bad, BadRecord)
    assert message in bad.error


@pytest.mark.parametrize(
    ("body", "header"),
    [
        (gzip.compress(page(3)), "Content-Encoding: gzip"),
        (zlib.compress(page(3)), "Content-Encoding: deflate"),
        (b"%x\r\n%s\r\n0\r\n\r\n" % (len(page(3)), page(3)), "Transfer-Encoding: chunked"),
    ],
)
def test_read_undoes_content_and_transfer_codings(tmp_path: Path, body: bytes, header: str) -> None:
    assert tally(read(tmp_path / "a.warc", record(http(body, header)))) == {"Document": 1}


@pytest.mark.parametrize("declared", ["header", "meta", "nowhere"])
def test_read_decodes_chinese_pages_by_header_meta_or_detection(tmp_path: Path, declared: str) -> None:
    text = "风从海上来，吹过旧城的屋顶。茶馆里的老人放下杯子，说今年的雨水比往年多。" * 5
    meta = '<meta charset="gb2312">' if declared == "meta" else ""
    body = f"<html><head>{meta}<title>旧城</title></head><body><article><p>{text}</p></article></body></html>"
    kind = "text/html; charset=GBK" if declared == "header" else "text/html"
    (document,) = read(tmp_path / "a.warc", record(http(body.encode("gb18030"), kind=kind)))
    assert isinstance(document, Document)
    assert document.text == text


@pytest.mark.parametrize("declared", ["header", "meta"])
def test_read_trusts_a_declared_charset_over_detection(tmp_path: Path, declared: str) -> None:
    text = "Başkan, şehirdeki köprünün yarın açılacağını söyledi ve ağaçların ışıklandırıldığını ekledi. " * 5
    meta = '<meta charset="windows-1254">' if declared == "meta" else ""
    kind = "text/html; charset=windows-1254" if declared == "header" else "text/html"
    body = f"<html><head>{meta}<title>K</title></head><body><article><p>{text}</p></article></body></html>"
    (document,) = read(tmp_path / "a.warc", record(http(body.encode("cp1254"), kind=kind)))
    assert isinstance(document, Document)
    assert document.text == text.strip()


def test_units_gather_feeds_that_are_neighbours(tmp_path: Path) -> None:
    for number in range(5):
        entry = f"<item><guid>{number}</guid><description>words</description></item>"
        (tmp_path / f"{number}.xml").write_text(f"<rss version='2.0'><channel>{entry}</channel></rss>")
    (unit,) = news.units(SOURCE, sorted(tmp_path.iterdir()))
    assert ids(list(news.read(SOURCE, unit))) == ["0", "1", "2", "3", "4"]


def test_read_takes_the_pages_own_date_and_metadata(tmp_path: Path) -> None:
    extra = '<meta name="author" content="Ada Quill"><meta property="article:published_time" content="2020-01-02">'
    source = NewsSource(kind="news", name="bay", paths=(), html="trafilatura")
    (document,) = read(tmp_path / "a.warc", record(http(page(1, extra=extra))), source)
    assert isinstance(document, Document)
    assert document.created == datetime(2020, 1, 2, tzinfo=UTC)
    assert document.meta["author"] == "Ada Quill"


def test_read_reads_arc_archives(tmp_path: Path) -> None:
    block = http(page(1))
    content = b"filedesc://a.arc 0.0.0.0 20080430204825 text/plain 5\n1 0 x\n\n"
    content += b"http://bay.example/with space 1.2.3.4 20080430204830 text/html %d\n" % len(block) + block + b"\n"
    records = read(tmp_path / "a.arc", content)
    assert tally(records) == {"warcinfo": 1, "Document": 1}
    document = records[1]
    assert isinstance(document, Document)
    assert document.native_id == "http://bay.example/with space"
    assert document.text == f"1: {SENTENCE * 3}".strip()
    assert document.created == datetime(2008, 4, 30, 20, 48, 30, tzinfo=UTC)


def test_read_finds_what_the_embedded_archive_is_known_to_hold() -> None:
    truth = json.loads((DATA / "news-truth.json").read_text(encoding="utf-8"))["news"]
    path = DATA / "news.warc.gz"
    source = NewsSource(kind="news", name="bay", paths=())
    records = [r for unit in news.units(source, [path]) for r in news.read(source, unit)]
    found = tally(records)
    assert found["Document"] + found["empty"] == truth["articles"]
    assert found["BadRecord"] == len(truth["broken"])
    assert found["status"] == truth["other_records"]["not_found"]
    low_quality = {page["id"] for page in truth["low_quality"]}
    assert found["empty"] <= len(low_quality)
    wanted = {url for group in (*truth["exact_duplicates"], *truth["near_duplicates"]) for url in group}
    assert wanted <= set(ids(records))


@pytest.mark.parametrize("folder", ["warc-broken", "commoncrawl", "ukwa-warc"])
def test_read_counts_every_record_of_real_archives(corpora: Path, folder: str) -> None:
    files = [path for path in (corpora / "news" / folder).rglob("*") if "arc" in path.name and path.is_file()]
    for file in files:
        records = [r for unit in news.units(SOURCE, [file]) for r in news.read(SOURCE, unit)]
        assert sum(tally(records).values()) == len(records) > 0


GOOD = [gzip.compress(part, mtime=0) for part in pages(3)]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, len(GOOD[1]) - 1), st.integers(1, 255)), min_size=1, max_size=4))
def test_read_keeps_the_neighbours_of_any_damaged_member(tmp_path: Path, damage: list[tuple[int, int]]) -> None:
    broken = bytearray(GOOD[1])
    for position, flip in damage:
        broken[position] ^= flip
    found = ids(read(tmp_path / "a.warc.gz", GOOD[0] + bytes(broken) + GOOD[2]))
    assert found[0] == "https://bay.example/0"
    assert found[-1] == "https://bay.example/2"


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 4000), st.binary(max_size=20), st.integers(0, 30))
def test_read_survives_any_edit_of_a_plain_archive(tmp_path: Path, at: int, insert: bytes, cut: int) -> None:
    content = b"".join(pages(3))
    records = read(tmp_path / "a.warc", content[:at] + insert + content[at + cut :])
    assert records
    for found in records:
        if isinstance(found, BadRecord):
            assert found.error


def test_read_takes_a_wet_record_as_text(tmp_path: Path) -> None:
    wet = record(b"Bridge opens\nWalkers came.\n", kind="conversion")
    (document,) = read(tmp_path / "a.wet.gz", gzip.compress(wet))
    assert isinstance(document, Document)
    assert (document.title, document.text) == ("Bridge opens", "Bridge opens\nWalkers came.")


def test_read_accepts_http_headers_with_bare_newlines(tmp_path: Path) -> None:
    block = b"HTTP/1.1 200 OK\nContent-Type: text/html\n\n" + page(1)
    found = read(tmp_path / "a.warc", record(block) + pages(2)[1])
    assert [r.text[:2] for r in found if isinstance(r, Document)] == ["1:", "1:"]


@pytest.mark.parametrize("more", [40, 10_000])
def test_read_keeps_the_record_that_a_wrong_length_would_swallow(tmp_path: Path, more: int) -> None:
    first, second, third = pages(3)
    length = first.index(b"Content-Length: ") + 16
    end = first.index(b"\r\n", length)
    wrong = first[:length] + str(int(first[length:end]) + more).encode() + first[end:]
    found = read(tmp_path / "a.warc", wrong + second + third)
    assert ids(found) == ["https://bay.example/1", "https://bay.example/2"]
    assert [type(r) for r in found[:1]] == [BadRecord]


def test_read_leaves_a_record_whole_that_quotes_another(tmp_path: Path) -> None:
    quoting = record(http(page(1) + b"<pre>\r\n\r\n" + record(b"x") + b"</pre>"))
    found = read(tmp_path / "a.warc", quoting + pages(2)[1])
    assert tally(found) == {"Document": 2}
