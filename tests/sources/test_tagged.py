"""SGML-like records: cut by their tags, each standing or falling by itself."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from lmpipe.document import Document, Record
from lmpipe.sources import tagged
from tests.sources.reading import TAGGED, errors, read, read_files, source, story, tally, texts

CHINESE = "风从海上来，吹过旧城的屋顶。茶馆里的老人放下杯子。"


def read_tagged(tmp_path: Path, content: bytes | str, **changes: object) -> list[Record]:
    return read(tmp_path, "tagged", content, **{"record": "REUTERS", "fields": TAGGED} | changes)


def test_tagged_maps_tags_and_attributes(tmp_path: Path) -> None:
    content = "<!DOCTYPE lewis>\n" + story(1) + story(2, "<BODY>A&#5;B &amp; <b>C</b>&#22;\r\nD</BODY>")
    first, second = read_tagged(tmp_path, content)
    assert isinstance(first, Document)
    assert isinstance(second, Document)
    assert (first.native_id, first.title, first.text) == ("1", "T <1>", "The tin price rose.")
    assert first.created == datetime(1987, 2, 26, 15, 1, 1, tzinfo=UTC)
    assert second.text == "AB & C\nD"
    assert content[second.origin.offset :].startswith('<REUTERS TOPICS="NO" NEWID="2"')


def test_tagged_skips_a_record_without_a_text_tag(tmp_path: Path) -> None:
    assert tally(read_tagged(tmp_path, story(1, "") + story(2))) == {"empty": 1, "Document": 1}


@pytest.mark.parametrize("bite", [1, 7, 64, 1 << 20])
def test_tagged_finds_the_same_records_whatever_the_read_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bite: int
) -> None:
    monkeypatch.setattr(tagged, "CHUNK", bite)
    found = read_tagged(tmp_path, "".join(story(n) for n in range(5)))
    assert [r.native_id for r in found if isinstance(r, Document)] == ["0", "1", "2", "3", "4"]


def test_tagged_loses_only_the_record_whose_bytes_are_invalid(tmp_path: Path) -> None:
    good = f"<doc><docno>1</docno><content>{CHINESE}</content></doc>\n".encode("gb18030")
    bad = good.replace(b"</content>", b"\x81\x20\xff</content>")
    fields = {"id": "docno", "text": "content"}
    found = read_tagged(tmp_path, good + bad + good, record="doc", fields=fields, encoding="gb18030")
    assert tally(found) == {"Document": 2, "BadRecord": 1}
    assert "not gb18030" in errors(found)[0]


def test_tagged_gives_bad_records_when_end_tags_are_missing(tmp_path: Path) -> None:
    cut = story(1).replace("</REUTERS>", "")
    found = read_tagged(tmp_path, cut + story(2) + cut)
    assert texts(found) == ["The tin price rose."]
    assert ["no end tag" in errors(found)[0], "cut off" in errors(found)[1]] == [True, True]


def test_tagged_refuses_an_overlong_record_and_reads_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tagged, "MAX_RECORD_BYTES", 1000)
    monkeypatch.setattr(tagged, "CHUNK", 300)
    found = read_tagged(tmp_path, story(1) + story(2, f"<BODY>{'x' * 5000}</BODY>") + story(3))
    assert [r.native_id for r in found if isinstance(r, Document)] == ["1", "3"]
    assert "at most 1000 are read" in errors(found)[0]


def test_tagged_says_when_the_record_tag_does_not_occur(tmp_path: Path) -> None:
    assert "no <REUTERS> in the file" in errors(read_tagged(tmp_path, "<doc>x</doc>"))[0]


# Real corpora


def test_tagged_reads_reuters(corpora: Path) -> None:
    files = [corpora / "news" / "reuters-21578" / f"reut2-0{n}.sgm" for n in ("00", "17")]
    found = read_files(source("tagged", record="REUTERS", fields=TAGGED), *files)
    assert sum(tally(found).values()) == 2000
    odd = [r for r in found if isinstance(r, Document) and r.meta]
    assert [r.meta for r in odd] == [{"encoding": "cp1252"}]


def test_tagged_reads_sogou(corpora: Path) -> None:
    fields = {"id": "docno", "url": "url", "title": "contenttitle", "text": "content"}
    settings = source("tagged", record="doc", fields=fields, encoding="gb18030")
    assert sum(tally(read_files(settings, corpora / "news" / "sogou-gb18030.dat")).values()) == 200
