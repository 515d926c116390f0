"""Pages of dumps: which records come out of them, and with what."""

import bz2
import json
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from lmpipe.document import BadRecord, Document, Origin, Record, Redirect, Skipped
from lmpipe.settings import WikipediaSource
from lmpipe.sources import wikipedia, wikitext
from lmpipe.sources.limits import time_limit

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


def test_a_document_carries_its_metadata_when_read(tmp_path: Path) -> None:
    text = "It is.\n[[Category:Things|x]] [[Category:All]]"
    (record,) = read(write(tmp_path, "x.xml", HEAD + page(7, text, title="A b's (c)") + TAIL))
    assert isinstance(record, Document)
    assert (record.native_id, record.title, record.text) == ("7", "A b's (c)", "It is.")
    assert record.created == datetime(2014, 12, 3, 4, 50, 6, tzinfo=UTC)
    assert record.revision == "1007"
    assert record.url == "https://en.wikipedia.org/wiki/A_b%27s_(c)"
    assert record.meta["categories"] == "Things|All"


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
        (page(1).replace(b'xml:space="preserve">Some text.</text>', b'deleted="deleted" />'), "deleted"),
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
    assert record.meta["namespace"] == "4"


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
        (page(2).replace(b'xml:space="preserve">Some text.</text>', b'bytes="10" />'), "stub"),
        (page(2).replace(b"2014-12-03", b"yesterday"), "yesterday"),
        (page(2).replace(b"2014-12-03T04:50:06Z", b"0001-01-01T00:00:00+23:00"), "out of range"),
        (page(2).replace(b"<id>2</id>", b"<id>" + b"2" * 5000 + b"</id>"), "<id>"),
        (page(2).replace(b"<ns>0", "<ns>²".encode()), "<ns>"),
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


def test_an_entity_bomb_is_harmless(tmp_path: Path) -> None:
    levels = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
    bomb = f'<?xml version="1.0"?><!DOCTYPE m [<!ENTITY l0 "boom">{levels}]>\n'.encode()
    records = read(write(tmp_path, "x.xml", bomb + HEAD + page(1, "&l9;") + page(2) + TAIL))
    assert ids(records) == ["2"]
    assert "l9" in bad(records)[0].error


def test_a_page_that_takes_too_long_is_set_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def render(*arguments: object, **settings: object) -> wikitext.Rendered:
        started = time.monotonic()
        while time.monotonic() < started + 5:
            pass
        return wikitext.Rendered("late", 0, 0)

    monkeypatch.setattr(wikipedia, "time_limit", lambda: time_limit(0.1))
    monkeypatch.setattr(wikitext, "render", render)
    (record,) = read(write(tmp_path, "x.xml", page(1)))
    assert isinstance(record, BadRecord)
    assert "read in 0.1 s" in record.error
    assert record.raw == page(1).strip()


def test_a_text_beyond_the_limit_is_set_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wikipedia, "MAX_WIKITEXT", 100)
    records = read(write(tmp_path, "x.xml", HEAD + page(1, "x" * 101) + page(2, "x" * 100) + TAIL))
    assert ids(records) == ["2"]
    assert "found 101" in bad(records)[0].error


def revision(number: int, stamp: str, text: str) -> bytes:
    return f"<revision><id>{number}</id><timestamp>{stamp}</timestamp><text>{text}</text></revision>".encode()


def test_the_newest_revision_counts_when_there_are_many(tmp_path: Path) -> None:
    many = (
        revision(8, "2020-01-02T00:00:00Z", "old")
        + revision(7, "2021-01-02T00:00:00Z", "newest")
        + revision(9, "2020-05-02T00:00:00Z", "imported later")
    )
    (record,) = read(write(tmp_path, "x.xml", b"<page><title>A</title><ns>0</ns><id>1</id>" + many + b"</page>"))
    assert isinstance(record, Document)
    assert (record.text, record.revision, record.created) == ("newest", "7", datetime(2021, 1, 2, tzinfo=UTC))


def test_the_namespace_is_told_by_the_title_in_dumps_of_before_2012(tmp_path: Path) -> None:
    names = b'<namespace key="0" /><namespace key="1">Talk</namespace><namespace key="4">R&amp;D</namespace>'
    titles = ("Talk:A", "R&amp;D:A", "Alien: Covenant")
    old = [page(n, title=title).replace(b"    <ns>0</ns>\n", b"") for n, title in enumerate(titles)]
    streams = [b"<mediawiki><siteinfo>" + names + b"</siteinfo>", *old, TAIL]
    path = write(tmp_path, "x.xml.bz2", multistream(streams))
    records = read(path, replace(SOURCE, namespaces=(0, 4)))
    assert [(r.title, r.meta.get("namespace")) for r in records if isinstance(r, Document)] == [
        ("R&D:A", "4"),
        ("Alien: Covenant", None),
    ]
    assert records[0] == Skipped(reason="namespace")


@pytest.mark.parametrize(
    ("text", "element", "target"),
    [
        ("#REDIRECT [[Old#Part|x]]", '    <redirect title="New &amp; better" />\n', "New & better"),
        ("#REDIRECT [[:new_page#Part|x]]", "    <redirect />\n", "New page"),
        ("#重定向[[新]]", "", "新"),
        ("nothing", "    <redirect />\n", None),
    ],
)
def test_redirects_are_kept_with_their_target_when_asked_for(
    tmp_path: Path, text: str, element: str, target: str | None
) -> None:
    (record,) = read(write(tmp_path, "x.xml", page(3, text, redirect=element)), replace(SOURCE, redirects=True))
    assert record == Redirect(
        reason="redirect",
        native_id="3",
        title="Title",
        target=target,
        revision="1003",
        created=datetime(2014, 12, 3, 4, 50, 6, tzinfo=UTC),
    )


@pytest.mark.parametrize(("wiki", "lang", "host"), [(None, "zh-Hant", "zh"), ("zh-yue", "yue", "zh-yue")])
def test_the_address_names_the_wiki(tmp_path: Path, wiki: str | None, lang: str, host: str) -> None:
    (record,) = read(write(tmp_path, "x.xml", page(3, title="猫 a")), replace(SOURCE, wiki=wiki, lang=lang))
    assert isinstance(record, Document)
    assert record.url == f"https://{host}.wikipedia.org/wiki/%E7%8C%AB_a"


def test_lost_templates_are_counted_by_article(tmp_path: Path) -> None:
    text = "It is {{nobody knows this one|a|b}} in {{lang|fr|mot}} here. " + "Some words. " * 400
    records = read(
        write(tmp_path, "x.xml", HEAD + page(1, text) + page(2) + page(3, text, ns=4) + TAIL),
        replace(SOURCE, namespaces=(0, 4)),
    )
    one, two, other = (record for record in records if isinstance(record, Document))
    assert (one.meta["templates"], one.meta["templates_lost"]) == ("2", "1")
    assert wikipedia.tally(one) == {
        "articles": 1,
        "articles_with_lost_templates": 1,
        "templates": 2,
        "templates_lost": 1,
        "long_articles": 1,
        "long_articles_with_lost_templates": 1,
    }
    assert wikipedia.tally(two) == {"articles": 1}
    assert wikipedia.tally(other) == {}


def test_articles_with_holes_are_counted() -> None:
    document = Document(native_id="1", title="", text="x" * 4001, origin=Origin("f", 0, 1), meta={"holes": "2"})
    assert wikipedia.tally(document) == {
        "articles": 1,
        "articles_with_holes": 1,
        "long_articles": 1,
        "long_articles_with_holes": 1,
    }


def test_a_dump_without_pages_is_no_bad_record_but_a_file_without_root_is(tmp_path: Path) -> None:
    assert read(write(tmp_path, "x.xml", HEAD + TAIL)) == []
    assert read(write(tmp_path, "x.xml.bz2", multistream([HEAD, TAIL]))) == []
    assert len(bad(read(write(tmp_path, "y.xml.bz2", bz2.compress(b"<html></html>"))))) == 1


def test_pages_are_read_when_there_is_no_root(tmp_path: Path) -> None:
    assert ids(read(write(tmp_path, "x.xml", page(1) + page(2)))) == ["1", "2"]


@pytest.mark.parametrize("data", [b"", b"hello, world", b"<rss><item/></rss>"])
def test_a_file_without_pages_is_one_bad_record(tmp_path: Path, data: bytes) -> None:
    (record,) = read(write(tmp_path, "x.xml", data))
    assert isinstance(record, BadRecord)
    assert "expected <page>" in record.error
    assert record.raw == data


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
