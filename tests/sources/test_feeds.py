"""Feeds: entries become documents, and what is no feed becomes one bad record."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from lmpipe.document import BadRecord, Document, Record, Skipped
from lmpipe.sources.feeds import read_feed

ENTRY = """<item><title>Bridge &amp; harbour</title><link>https://bay.example/1</link><guid>tag:bay,1</guid>
<pubDate>Tue, 04 May 2021 10:00:00 +0200</pubDate><author>Ada Quill</author>
<description>&lt;p&gt;The bridge is open.&lt;/p&gt;&lt;p&gt;Walkers came.&lt;/p&gt;</description></item>"""


def rss(entries: str) -> str:
    return f'<?xml version="1.0"?><rss version="2.0"><channel><title>Bay</title>{entries}</channel></rss>'


def read(tmp_path: Path, content: str | bytes) -> list[Record]:
    path = tmp_path / "feed.xml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return list(read_feed(path))


def test_read_feed_makes_an_entry_a_document(tmp_path: Path) -> None:
    (document,) = read(tmp_path, rss(ENTRY))
    assert isinstance(document, Document)
    assert document.native_id == "tag:bay,1"
    assert document.title == "Bridge & harbour"
    assert document.text == "The bridge is open.\nWalkers came."
    assert document.url == "https://bay.example/1"
    assert document.created == datetime(2021, 5, 4, 8, tzinfo=UTC)
    assert document.meta == {"author": "Ada Quill"}
    assert document.origin.file == "feed.xml"


def test_read_feed_takes_the_content_of_an_atom_entry_over_its_summary(tmp_path: Path) -> None:
    atom = """<feed xmlns="http://www.w3.org/2005/Atom"><entry><id>urn:1</id><title>T</title>
    <summary>Short.</summary><content type="html">Much longer &lt;i&gt;content&lt;/i&gt;.</content></entry></feed>"""
    (document,) = read(tmp_path, atom)
    assert isinstance(document, Document)
    assert document.text == "Much longer content."


def test_read_feed_uses_link_then_number_as_id_when_there_is_no_guid(tmp_path: Path) -> None:
    entries = "<item><link>https://a.example/x</link><description>one</description></item>"
    entries += "<item><description>two</description></item>"
    assert [r.native_id for r in read(tmp_path, rss(entries)) if isinstance(r, Document)] == [
        "https://a.example/x",
        "feed.xml#2",
    ]


def test_read_feed_reads_entries_when_the_xml_is_ill_formed(tmp_path: Path) -> None:
    (document,) = read(tmp_path, rss(ENTRY).replace("</channel></rss>", "<broken & "))
    assert isinstance(document, Document)


def test_read_feed_skips_an_entry_without_text(tmp_path: Path) -> None:
    assert read(tmp_path, rss("<item><title>only this</title></item>")) == [Skipped(reason="empty")]


@pytest.mark.parametrize(
    ("written", "text"),
    [
        ("&#55357;&#56832; ok", "😀 ok"),
        ("&#xD83D;&#xDE00; ok", "😀 ok"),
        ("half &#xD83D; ok", "half \ufffd ok"),
        ("&#55001; ok", "\ud6d9 ok"),
    ],
)
def test_read_feed_puts_halves_of_characters_together(tmp_path: Path, written: str, text: str) -> None:
    """feedparser raises UnicodeEncodeError for them, which used to end the whole ingest."""
    (document,) = read(tmp_path, rss(f"<item><description>{written}</description></item>"))
    assert isinstance(document, Document)
    assert document.text == text


@pytest.mark.parametrize("feed", [rss(""), '<CHANNEL HREF="https://bay.example/">\n</CHANNEL>'])
def test_read_feed_skips_a_feed_without_entries(tmp_path: Path, feed: str) -> None:
    assert read(tmp_path, feed) == [Skipped(reason="empty")]


@pytest.mark.parametrize("content", [b"", b"<html><h1>502 Bad Gateway</h1></html>", b"\x89PNG\r\n\x1a\n" + bytes(50)])
def test_read_feed_gives_one_bad_record_when_the_file_is_no_feed(tmp_path: Path, content: bytes) -> None:
    (record,) = read(tmp_path, content)
    assert isinstance(record, BadRecord)
    assert "expected a WARC file or an RSS or Atom feed" in record.error


def test_read_feed_gives_a_bad_record_when_markup_is_nested_too_deeply(tmp_path: Path) -> None:
    (record,) = read(tmp_path, rss(f"<item><description>{'&lt;div&gt;' * 3000}x</description></item>"))
    assert isinstance(record, BadRecord)
    assert "nested" in record.error


def test_read_feed_opens_no_file_that_an_entity_names(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret words")
    feed = f'<!DOCTYPE r [<!ENTITY x SYSTEM "file://{tmp_path}/secret">]>'
    feed += rss("<item><description>text &x; end</description></item>").removeprefix('<?xml version="1.0"?>')
    (record,) = read(tmp_path, feed)
    assert isinstance(record, Document)
    assert "secret words" not in record.text


def test_read_feed_opens_no_file_that_its_bytes_name(tmp_path: Path) -> None:
    (tmp_path / "other.xml").write_text(rss(ENTRY))
    (record,) = read(tmp_path, str(tmp_path / "other.xml"))
    assert isinstance(record, BadRecord)


def test_read_feed_leaves_created_empty_when_the_date_is_impossible(tmp_path: Path) -> None:
    (document,) = read(tmp_path, rss(ENTRY).replace("Tue, 04 May 2021 10:00:00 +0200", "0000-01-01T00:00:00Z"))
    assert isinstance(document, Document)
    assert document.created is None


@pytest.mark.parametrize("codec", ["gb18030", "utf-16"])
def test_read_feed_decodes_by_the_xml_declaration(tmp_path: Path, codec: str) -> None:
    feed = f'<?xml version="1.0" encoding="{codec}"?><rss version="2.0"><channel>'
    feed += "<item><description>桥在星期一开放。</description></item></channel></rss>"
    (document,) = read(tmp_path, feed.encode(codec))
    assert isinstance(document, Document)
    assert document.text == "桥在星期一开放。"


def test_read_feed_reads_every_real_feed_without_error(corpora: Path) -> None:
    """Every fourth of 2,106 feeds, 290 of which are not XML at all."""
    files = sorted(path for path in (corpora / "news" / "feeds").rglob("*") if path.is_file())[::4]
    records = [record for file in files for record in read_feed(file)]
    assert len(records) >= len(files)
    for record in records:
        if isinstance(record, Document):
            (record.native_id + record.title + record.text).encode()
