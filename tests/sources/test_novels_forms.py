"""Books as HTML, EPUB and zips of them: the same text and chapters as from plain text, and nothing trusted."""

import io
import re
import zipfile
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lmpipe.document import BadRecord, Document, Record, Skipped
from lmpipe.settings import NovelsSource
from lmpipe.sources import markup, novels

PROSE = "The tide came in over the flats before breakfast, and nobody on the quay looked up to see it. " * 4
START = "*** START OF THE PROJECT GUTENBERG EBOOK TIDES ***"
END = "*** END OF THE PROJECT GUTENBERG EBOOK TIDES ***"
BODY = f"<h2>Chapter I</h2><p>{PROSE}</p><h2>Chapter II</h2><p>{PROSE}</p>"
TEXT = f"Title: Tides\n\n{START}\n\nChapter I\n\n{PROSE}\n\nChapter II\n\n{PROSE}\n\n{END}\n\nLicence.\n"
HEADINGS = ["Tides - Chapter I", "Tides - Chapter II"]
CONTAINER = '<container><rootfiles><rootfile full-path="OEBPS/content.opf"/></rootfiles></container>'


def page(body: str = BODY, head: str = "<title>Tides</title>") -> str:
    declared = '<?xml version="1.0" encoding="utf-8"?>\n<!DOCTYPE html>\n'
    return f'{declared}<html lang="en"><head>{head}</head><body>{body}</body></html>'


def marked(body: str = BODY) -> str:
    """A page as Gutenberg makes it."""
    return page(
        '<section class="pg-boilerplate pgheader" id="pg-header"><h2 id="pg-header-heading">The Project Gutenberg'
        f" eBook of Tides</h2><p><strong>Title</strong>: Tides</p><div>{START}</div></section>{body}"
        f'<section id="pg-footer"><div>{END}</div><p>{"Licence. " * 30}</p></section>'
    )


def zipped(members: dict[str, bytes | str]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return stream.getvalue()


def package(pages: list[str], spine: list[str] | None = None) -> str:
    items = "".join(
        f'<item id="i{n}" href="{name}" media-type="application/xhtml+xml"/>' for n, name in enumerate(pages)
    )
    order = "".join(f'<itemref idref="{name}"/>' for name in spine or [f"i{n}" for n in range(len(pages))])
    return (
        '<package xmlns="http://www.idpf.org/2007/opf"><metadata xmlns:dc="http://purl.org/dc/elements/1.1/">'
        "<dc:title>Tides</dc:title><dc:creator>Ada Quill</dc:creator><dc:creator>Jan Kade</dc:creator>"
        "<dc:language>nl</dc:language><dc:date>2008-02-23</dc:date><dc:rights>Public domain in the USA.</dc:rights>"
        '</metadata><manifest><item id="nav" href="nav.xhtml" properties="nav" media-type="application/xhtml+xml"/>'
        f'{items}</manifest><spine><itemref idref="nav"/>{order}</spine></package>'
    )


def epub(pages: dict[str, str], **changes: str) -> bytes:
    members: dict[str, bytes | str] = {"mimetype": "application/epub+zip", "META-INF/container.xml": CONTAINER}
    members |= {"OEBPS/content.opf": package(list(pages)), "OEBPS/nav.xhtml": page("<h2>Contents</h2>Nav")}
    members |= {f"OEBPS/{name}": content for name, content in pages.items()}
    return zipped(members | changes)


def read(tmp_path: Path, name: str, content: bytes | str, markers: str = "optional") -> list[Record]:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_files([path], markers)


def read_files(files: list[Path], markers: str = "optional") -> list[Record]:
    source = NovelsSource(kind="novels", name="books", markers=markers)  # type: ignore[arg-type]
    return [record for unit in novels.units(source, files) for record in novels.read(source, unit)]


def documents(records: list[Record]) -> list[Document]:
    return [record for record in records if isinstance(record, Document)]


def titles(records: list[Record]) -> list[str]:
    return [document.title for document in documents(records)]


def bad(records: list[Record]) -> str:
    (record,) = records
    assert isinstance(record, BadRecord)
    return record.error


# HTML


@pytest.mark.parametrize("codec", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_html_gives_the_chapters_that_its_headings_mark(tmp_path: Path, codec: str) -> None:
    html = marked().replace('encoding="utf-8"', f'encoding="{codec}"')
    records = read(tmp_path, "tides.htm", html.encode(codec), "required")
    assert titles(records) == HEADINGS
    assert documents(records)[0].text == f"Chapter I\n\n{PROSE.strip()}"
    assert documents(records)[0].lang == "en"


@pytest.mark.parametrize(("body", "missing"), [(BODY, "START and END"), (f"<p>{START}</p>{BODY}", "END")])
def test_html_without_markers_is_refused_when_they_are_required(tmp_path: Path, body: str, missing: str) -> None:
    assert f"no Project Gutenberg {missing} marker" in bad(read(tmp_path, "tides.htm", page(body), "required"))


def test_html_keeps_verse_and_leaves_out_page_numbers_and_scripts(tmp_path: Path) -> None:
    verse = '<div class="stanza"><div class="verse">One line,</div><div class="verse">and <i>two</i>.</div></div>'
    water = '<p>wa<span class="pagenum">[Pg 3]</span>ter<br/>fall</p>'
    body = f"<h2>I</h2>{water}{verse}<script>x()</script><pre> a\n  b</pre>{BODY}"
    text = documents(read(tmp_path, "tides.html", page(body)))[0].text
    assert text.startswith("I\n\nwater\nfall\n\nOne line,\nand two.\n\n a\n  b\n\nChapter I\n\n")


def test_html_title_page_and_contents_are_no_chapters(tmp_path: Path) -> None:
    front = "<h1>Tides</h1><h2>Ada Quill</h2><h2>CONTENTS</h2><h3>One</h3><p>" + "I. 1<br>" * 90 + "</p>"
    assert titles(read(tmp_path, "tides.htm", page(front + BODY))) == HEADINGS
    assert titles(read(tmp_path, "tides.htm", page("<h1>Tides</h1><h2>Ada Quill</h2>" + BODY))) == HEADINGS


def test_html_without_heading_elements_is_cut_by_the_look_of_lines(tmp_path: Path) -> None:
    assert titles(read(tmp_path, "tides.htm", page(re.sub("h2>", "p>", BODY)))) == HEADINGS


@pytest.mark.parametrize("tag", ["div", "b", "ul", "table", "blockquote", "span"])
def test_html_that_nests_too_deeply_is_refused_not_cut(tmp_path: Path, tag: str) -> None:
    html = page(f"<{tag}>" * 5000 + PROSE + f"</{tag}>" * 5000 + BODY)
    assert "cannot be read to its end" in bad(read(tmp_path, "tides.htm", html))


def test_html_that_is_too_large_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(markup, "MAX_CHARS", 100)
    assert "at most 100" in bad(read(tmp_path, "tides.htm", page()))


# EPUB


def test_epub_is_read_in_the_order_of_its_spine(tmp_path: Path) -> None:
    first, second = (page(f"<h2>Chapter {n}</h2><p>{PROSE}{n}</p>") for n in ("I", "II"))
    data = epub(
        {"b.xhtml": second, "a.xhtml": first}, **{"OEBPS/content.opf": package(["b.xhtml", "a.xhtml"], ["i1", "i0"])}
    )
    one, two = documents(read(tmp_path, "tides.epub", data))
    assert [one.title, two.title] == HEADINGS
    assert [one.text[-1:], two.text[-2:]] == ["I", "II"]
    assert (one.lang, one.created) == ("nl", datetime(2008, 2, 23, tzinfo=UTC))
    assert one.meta | {"work": ""} == {
        "work": "",
        "book": "Tides",
        "chapter": "1",
        "author": "Ada Quill; Jan Kade",
        "rights": "Public domain in the USA.",
    }


def test_epub_of_gutenberg_loses_its_header_and_licence(tmp_path: Path) -> None:
    records = read(tmp_path, "tides.epub", epub({"a.xhtml": marked()}), "required")
    assert titles(records) == HEADINGS
    assert "Licence" not in documents(records)[-1].text
    assert "no Project Gutenberg" in bad(read(tmp_path, "x.epub", epub({"a.xhtml": page()}), "required"))


def test_epub_that_is_copyrighted_is_skipped(tmp_path: Path) -> None:
    opf = package(["a.xhtml"]).replace("Public domain in the USA.", "Copyrighted. Read the copyright notice.")
    assert read(tmp_path, "tides.epub", epub({"a.xhtml": marked()}, **{"OEBPS/content.opf": opf})) == [
        Skipped(reason="copyrighted")
    ]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"META-INF/container.xml": "<container/>"}, "expected a member ''"),
        ({"OEBPS/content.opf": "no xml"}, "expected XML"),
        ({"OEBPS/content.opf": "<package/>"}, "found 0"),
        ({"OEBPS/content.opf": package(["missing.xhtml"])}, "'OEBPS/missing.xhtml', found none"),
        ({"OEBPS/content.opf": package(["../../../etc/passwd"])}, "etc/passwd', found none"),
        ({"OEBPS/content.opf": package(["a.xhtml"], ["nowhere"])}, "the spine names 'nowhere'"),
        ({"META-INF/encryption.xml": '<e><CipherReference URI="OEBPS/a.xhtml"/></e>'}, "encrypted"),
        ({"OEBPS/a.xhtml": b"\x00\x01\x02\x03" * 99}, "control characters"),
        ({"OEBPS/a.xhtml": ""}, "without text"),
        ({"OEBPS/a.xhtml": " " * (2 << 20)}, "a bomb"),
    ],
)
def test_epub_that_is_not_whole_is_refused(tmp_path: Path, changes: dict[str, str], message: str) -> None:
    assert message in bad(read(tmp_path, "tides.epub", epub({"a.xhtml": page()}, **changes)))


def test_epub_expands_no_entity(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret words")
    attack = f'<!DOCTYPE package [<!ENTITY a SYSTEM "file://{tmp_path}/secret"><!ENTITY b "bbbbbbbbbb">]>'
    opf = attack + package(["a.xhtml"]).replace("Ada Quill", "Ada&a;&b;")
    html = attack.replace("package", "html") + page(f"<h2>Chapter I</h2><p>{PROSE}&a;&b;</p>")
    (document, *_) = documents(read(tmp_path, "tides.epub", epub({"a.xhtml": html}, **{"OEBPS/content.opf": opf})))
    assert "secret" not in document.text + document.meta["author"]
    assert "bbbb" not in document.text + document.meta["author"]


# Zips


def test_zip_of_one_book_is_called_like_the_zip_and_its_pictures_are_counted(tmp_path: Path) -> None:
    data = zipped({"1342-h/": "", "1342-h/1342-h.htm": marked(), "1342-h/images/a.jpg": "x", "1342-h/style.css": "y"})
    records = read(tmp_path, "1342-h.zip", data, "required")
    assert [document.native_id for document in documents(records)] == ["1342-h#01", "1342-h#02"]
    skips = Counter(record.reason for record in records if isinstance(record, Skipped))
    assert skips == {"image": 1, "other": 1}


def test_zip_of_many_books_names_each_and_cuts_them_into_units(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(novels, "MEMBERS_PER_UNIT", 2)
    members: dict[str, bytes | str] = {
        "a/one.txt": TEXT,
        "b/one.txt": TEXT,
        "../two.htm": marked(),
        "c.epub": epub({"a.xhtml": marked()}),
    }
    (tmp_path / "all.zip").write_bytes(zipped(members))
    source = NovelsSource(kind="novels", name="books")
    assert len(novels.units(source, [tmp_path / "all.zip"])) == 2
    found = documents(read_files([tmp_path / "all.zip"], "required"))
    names = ["all/a/one", "all/b/one", "all/../two", "all/c"]
    assert [document.native_id for document in found] == [f"{name}#0{n}" for name in names for n in (1, 2)]
    assert [path.name for path in tmp_path.rglob("*")] == ["all.zip"]


def test_zip_loses_only_the_member_that_is_bad(tmp_path: Path) -> None:
    data = zipped({"good.txt": TEXT, "inner.zip": zipped({"a.txt": TEXT}), "bomb.txt": b" " * (4 << 20)})
    records = read(tmp_path, "all.zip", data, "required")
    errors = [record.error for record in records if isinstance(record, BadRecord)]
    assert len(documents(records)) == 2
    assert ["a zip inside a zip" in errors[0], "a bomb" in errors[1]] == [True, True]


@pytest.mark.parametrize("data", [b"PK\x03\x04 and no more", zipped({})])
def test_zip_that_is_damaged_or_empty_is_one_bad_record(tmp_path: Path, data: bytes) -> None:
    assert "zip" in bad(read(tmp_path, "a.zip", data))


# Folders


def test_files_of_one_name_get_ids_of_their_own(tmp_path: Path) -> None:
    for name in ("a/tides.txt", "b/tides.txt", "b/tides.htm", "ebb.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(marked() if name.endswith("htm") else TEXT)
    found = documents(read_files(sorted(path for path in tmp_path.rglob("*") if path.is_file())))
    names = {document.native_id.rpartition("#")[0] for document in found}
    assert names == {"a/tides.txt", "b/tides.txt", "tides.htm", "ebb"}
    assert len({document.native_id for document in found}) == len(found) == 8


def test_pictures_and_other_files_of_a_folder_are_counted_skips(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"\xff\xd8\xff\xe0 picture")
    (tmp_path / "b").write_bytes(b"\x89PNG picture")
    (tmp_path / "metadata.yaml").write_text("title: Tides")
    assert Counter(r.reason for r in read_files(sorted(tmp_path.iterdir())) if isinstance(r, Skipped)) == {
        "image": 2,
        "other": 1,
    }


def test_a_broken_catalogue_beside_the_books_is_one_bad_record(tmp_path: Path) -> None:
    (tmp_path / "pg7.rdf").write_text("<rdf")
    (tmp_path / "pg7.txt").write_text(TEXT)
    records = read_files(sorted(tmp_path.iterdir()))
    assert titles(records) == HEADINGS
    assert len([record for record in records if isinstance(record, BadRecord)]) == 1


# Real books


def test_real_book_gives_the_same_words_as_text_and_as_html(corpora: Path) -> None:
    folder = corpora / "novels" / "gutenberg-24675-nl"
    files = [folder / "24675-8.txt", folder / "24675-h" / "24675-h.htm", folder / "pg24675.rdf"]
    found = documents(read_files(files, "required"))
    assert {(d.lang, d.meta["author"], d.meta["book"], d.meta["rights"]) for d in found} == {
        ("nl", "Nievelt, Carel van", "Ontboezemingen", "Public domain in the USA.")
    }
    words = {
        name: Counter(re.findall(r"[^\W_]+", " ".join(d.text for d in found if d.native_id.startswith(name))))
        for name in ("24675-8", "24675-h")
    }
    lost = words["24675-8"] - words["24675-h"]
    assert sum(lost.values()) < 0.01 * sum(words["24675-8"].values()), lost.most_common(20)


# Fuzz

SAMPLES = {
    "tides.epub": epub({"a.xhtml": marked()}),
    "tides.zip": zipped({"tides.txt": TEXT, "x.png": "y"}),
    "tides.htm": marked().encode(),
    "tides.txt": TEXT.encode(),
}


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(sorted(SAMPLES)), st.integers(0, 10_000), st.binary(max_size=12), st.integers(0, 40))
def test_any_edit_of_a_book_is_accounted_for(tmp_path: Path, name: str, at: int, insert: bytes, cut: int) -> None:
    content = SAMPLES[name]
    at %= len(content)
    records = read(tmp_path, name, content[:at] + insert + content[at + cut :])
    assert records
    for document in documents(records):
        (document.native_id + document.title + document.text).encode()


@pytest.mark.parametrize("kind", ["text/xml", "application/xml", "", "Application/XHTML+XML"])
def test_epub_reads_pages_of_a_careless_type(tmp_path: Path, kind: str) -> None:
    content = package(["a.xhtml"]).replace(
        'href="a.xhtml" media-type="application/xhtml+xml"', f'href="a.xhtml" media-type="{kind}"'
    )
    assert titles(read(tmp_path, "tides.epub", epub({"a.xhtml": page()}, **{"OEBPS/content.opf": content}))) == HEADINGS


def test_epub_skips_a_picture_in_its_spine_and_refuses_what_it_cannot_read_there(tmp_path: Path) -> None:
    content = package(["a.xhtml", "b.svg"])
    kind = 'href="b.svg" media-type="application/xhtml+xml"'
    for mime, expected in (("image/svg+xml", None), ("application/pdf", "of type 'application/pdf'")):
        opf = content.replace(kind, f'href="b.svg" media-type="{mime}"')
        found = read(tmp_path, "tides.epub", epub({"a.xhtml": page(), "b.svg": "<svg/>"}, **{"OEBPS/content.opf": opf}))
        if expected is None:
            assert titles(found) == HEADINGS
        else:
            assert expected in bad(found)


def test_epub_of_old_html_with_empty_elements_loses_nothing(tmp_path: Path) -> None:
    body = (
        '<a id="p1"/><div/><h2>Chapter I</h2><p/><p>caf&eacute;&nbsp;&mdash; ' + PROSE + "</p><iframe/><p>The end.</p>"
    )
    (document,) = documents(read(tmp_path, "tides.epub", epub({"a.xhtml": page(body, "<title/><script src='x'/>")})))
    assert "café" in document.text
    assert document.text.endswith("The end.")


def test_notes_of_transcribers_are_counted_skips_in_text_and_html(tmp_path: Path) -> None:
    note = "Old spelling is kept, and so are the commas of the first edition. " * 4
    html = page(BODY + f"<h2>Transcriber's Notes</h2><p>{note}</p>")
    text = f"Chapter I\n\n{PROSE}\n\nChapter II\n\n{PROSE}\n\nTranscriber's Notes:\n\n{note}\n"
    for name, content in (("tides.htm", html), ("tides.txt", text)):
        found = read(tmp_path, name, content)
        assert [title.partition(" - ")[2] for title in titles(found)] == ["Chapter I", "Chapter II"]
        assert Skipped(reason="transcriber_note") in found


def test_two_books_in_a_file_keep_their_chapters_apart(tmp_path: Path) -> None:
    records = read(tmp_path, "tides.txt", TEXT + TEXT, "required")
    assert [d.native_id for d in documents(records)] == ["tides#01", "tides#02", "tides#03", "tides#04"]
    assert not any("Licence" in d.text or "GUTENBERG" in d.text for d in documents(records))
    raw = (tmp_path / "tides.txt").read_bytes()
    for document in documents(records):
        assert raw[document.origin.offset :].lstrip().startswith(document.text[:9].encode())


def test_translator_and_language_of_the_header_travel_with_every_chapter(tmp_path: Path) -> None:
    head = "Title: Tides\n\nAuthor: Various\n\nTranslator: Mia Low\n\nLanguage: Deutsch\n\n"
    first, _ = documents(read(tmp_path, "tides.txt", head + TEXT, "required"))
    assert (first.meta["translator"], first.meta["author"], first.lang) == ("Mia Low", "Various", "de")
