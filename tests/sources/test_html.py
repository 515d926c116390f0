"""Main text of pages: what is kept, what is left out, and what is refused."""

import time
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmpipe.sources import article
from lmpipe.sources.html import BadPageError, Library, declared_charset, extract, fragment_text, without_headline

LIBRARIES: list[Library] = ["trafilatura", "resiliparse"]

PARAGRAPH = "The harbour bridge was opened to walkers on Monday after two winters of repair, the council said."
PAGE = f"""<!DOCTYPE html><html lang="en-GB"><head><title>Bridge opens - Bay News</title>
<meta name="author" content="Ada Quill"><meta property="og:site_name" content="Bay News">
<meta property="article:published_time" content="2021-05-04T08:00:00Z">
<link rel="canonical" href="https://bay.example/bridge"></head><body>
<nav><a href="/">Home</a> <a href="/sport">Sport pages</a></nav>
<article><h1>Bridge opens</h1><p>{PARAGRAPH}</p><p>Second: {PARAGRAPH}</p>
<table><tr><td>toll table</td></tr></table></article>
<div class="comments" id="comments"><p>A reader's comment that nobody asked for.</p></div>
<script>var tracking = 1;</script></body></html>"""


@pytest.mark.parametrize("library", LIBRARIES)
def test_extract_keeps_paragraphs_as_lines(library: Library) -> None:
    lines = extract(PAGE, library).text.split("\n")
    assert PARAGRAPH in lines
    assert f"Second: {PARAGRAPH}" in lines


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("furniture", ["Sport pages", "tracking", "toll table", "nobody asked for"])
def test_extract_leaves_furniture_out(library: Library, furniture: str) -> None:
    assert furniture not in extract(PAGE, library).text


def test_extract_reads_metadata_with_trafilatura() -> None:
    page = extract(PAGE, "trafilatura", datetime(2022, 1, 1, tzinfo=UTC))
    assert page.date == datetime(2021, 5, 4, tzinfo=UTC)
    assert (page.author, page.site, page.canonical) == ("Ada Quill", "Bay News", "https://bay.example/bridge")
    assert page.lang == "en-GB"


@pytest.mark.parametrize("library", LIBRARIES)
def test_extract_reads_the_title(library: Library) -> None:
    assert extract(PAGE, library).title.startswith("Bridge opens")


def test_extract_ignores_a_date_after_the_capture() -> None:
    assert extract(PAGE, "trafilatura", datetime(2020, 1, 1, tzinfo=UTC)).date is None


def test_extract_keeps_a_date_in_the_future_when_nothing_bounds_it() -> None:
    """htmldate refuses dates after the day of the run, which would make a rebuild depend on the clock."""
    assert extract(PAGE.replace("2021-05-04", "2088-05-04"), "trafilatura").date == datetime(2088, 5, 4, tzinfo=UTC)


NAVIGATION = "".join(f"<li><a href='/{n}'>Section {n} of the paper</a></li>" for n in range(60))
PRICES = "<table>" + "".join(f"<tr><td>Net of size {n}</td><td>{n}.50</td></tr>" for n in range(80)) + "</table>"


@pytest.mark.parametrize("furniture", [f"<ul>{NAVIGATION}</ul>", PRICES])
def test_extract_gives_little_of_a_page_without_an_article(furniture: str) -> None:
    """The balanced rules alone return all of it."""
    page = f"<html><head><title>Bay News</title></head><body><main>{furniture}</main></body></html>"
    tree = article.parse(page)
    assert tree is not None
    assert len(extract(page, "trafilatura").text) < 0.3 * len(article.extracted(tree, precise=False))


def test_extract_keeps_a_table_inside_an_article() -> None:
    paragraphs = "".join(f"<p>Part {n}: {PARAGRAPH}</p>" for n in range(9))
    table = "<table><tr><th>Harbour</th><th>Ships</th></tr><tr><td>North</td><td>41</td></tr></table>"
    page = extract(f"<html><body><article>{paragraphs}{table}{paragraphs}</article></body></html>", "trafilatura")
    assert "North" in page.text


def test_extract_gives_a_bad_page_when_the_library_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*arguments: object, **more: object) -> None:
        raise RecursionError("too deep")

    monkeypatch.setattr("trafilatura.bare_extraction", failing)
    with pytest.raises(BadPageError, match=r"trafilatura fails.*too deep"):
        extract(PAGE, "trafilatura")


def test_extract_lets_no_library_write_to_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(0)
    for html in ("", "plain", "<html></html>", PAGE.replace("2021-05-04", "2021-99-99")):
        extract(html, "trafilatura")
    assert [record for record in caplog.records if record.levelno > 10] == []


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("html", ["", " ", "<html></html>", "\x00", "<", "plain", "<html><body></body></html>"])
def test_extract_gives_no_article_when_there_is_none(library: Library, html: str) -> None:
    assert len(extract(html, library).text) <= len("plain")


@pytest.mark.parametrize(
    ("html", "message"),
    [("<p>a" * 100_001, "tags"), ("<div>" * 3000, "nested"), ("a" * (10 << 20) + "a", "characters")],
)
def test_extract_refuses_at_once_a_page_that_would_take_minutes(html: str, message: str) -> None:
    with pytest.raises(BadPageError, match=message):
        extract(html, "resiliparse")


def test_extract_accepts_many_elements_side_by_side() -> None:
    started = time.process_time()
    assert extract("<div>word</div>" * 20_000, "resiliparse").text
    assert extract("<li>word<br>" * 20_000, "resiliparse").text
    assert time.process_time() - started < 60, "a guard against minutes, not a measurement"


def test_fragment_text_keeps_all_text_without_markup() -> None:
    assert fragment_text("One &amp; <b>two</b><p>three</p><script>x()</script>") == "One & two\nthree"


@pytest.mark.parametrize(
    ("head", "charset"),
    [
        (b'<meta charset="gb2312">', "gb2312"),
        (b"<META HTTP-EQUIV=Content-Type CONTENT='text/html; charset=Big5'>", "Big5"),
        (b'<?xml version="1.0" encoding="iso-8859-2"?><html>', "iso-8859-2"),
        (b'<meta charset="utf-16">', "utf-8"),
        (b"<html><p>charset=nonsense", None),
    ],
)
def test_declared_charset_reads_what_a_page_declares(head: bytes, charset: str | None) -> None:
    assert declared_charset(head) == charset


@given(st.text("<>/ab &;\"'=\x00\ud800\ufffe\n!-", max_size=120), st.sampled_from(LIBRARIES))
def test_extract_gives_encodable_text_for_any_page(html: str, library: Library) -> None:
    extract(html, library).text.encode()


def test_headline_that_repeats_the_title_is_dropped_from_the_text() -> None:
    assert without_headline("A Title\nThe body.", "A Title") == "The body."
    assert without_headline("Another line\nThe body.", "A Title") == "Another line\nThe body."
    assert (
        without_headline("A Title\nAda Quill\nThe body.\nAda Quill", "A Title", "Ada Quill") == "The body.\nAda Quill"
    )
    assert without_headline("A Title", "A Title") == ""


STORY = "The bridge was opened on Monday. " * 20


@pytest.mark.parametrize(
    ("head", "licence"),
    [
        ('<link rel="license" href="https://licences.example/by">', "https://licences.example/by"),
        ("<a href='https://licences.example/by' rel='nofollow license'>x</a>", "https://licences.example/by"),
        ("<a href='https://licences.example/by' rel='license nofollow'>x</a>", "https://licences.example/by"),
        (
            "under http://creativecommons.org/licenses/by-sa/4.0/deed",
            "http://creativecommons.org/licenses/by-sa/4.0/deed",
        ),
        ('<meta name="dc.rights" content="(c) Bay &amp; Sons">', "(c) Bay & Sons"),
        ('{"@type": "NewsArticle", "license": "https://licences.example/x"}', "https://licences.example/x"),
        ("a driving licence", ""),
    ],
)
def test_extract_keeps_a_hint_at_the_licence(head: str, licence: str) -> None:
    html = f"<html><head>{head}</head><body><p>{STORY}</p></body></html>"
    assert extract(html, "resiliparse").licence == licence


def test_extract_with_resiliparse_takes_what_meta_elements_say() -> None:
    head = (
        '<meta property="og:title" content="Bridge opens"><meta name="author" content="Ada Quill">'
        '<meta property="article:published_time" content="2021-05-04T08:00:00Z">'
        '<meta property="og:site_name" content="Bay">'
    )
    html = f"<html><head>{head}<title>x</title></head><body><p>{STORY}</p></body></html>"
    page = extract(html, "resiliparse")
    assert (page.title, page.author, page.site) == ("Bridge opens", "Ada Quill", "Bay")
    assert page.date is not None
    assert page.date.isoformat() == "2021-05-04T00:00:00+00:00"
