"""Books: Gutenberg's markers, chapters, front matter, and that no character is lost."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lmpipe.document import BadRecord, Document, Record, Skipped
from lmpipe.errors import InputError
from lmpipe.settings import NovelsSource
from lmpipe.sources import chapters, novels

DATA = Path(__file__).parent.parent / "data"
PROSE = "The tide came in over the flats before breakfast, and nobody on the quay looked up to see it. " * 5
HAN = "潮水在早饭之前漫过了滩涂，码头上没有一个人抬头去看。" * 12
START = "*** START OF THE PROJECT GUTENBERG EBOOK TIDES ***"
END = "*** END OF THE PROJECT GUTENBERG EBOOK TIDES ***"
HEADER = """The Project Gutenberg eBook of Tides

Title: Tides
       A Story of the Flats

Author: Ada Quill

Release Date: August 29, 2006 [EBook #844]

Language: French
"""


def read(tmp_path: Path, content: str | bytes, **changes: object) -> list[Record]:
    path = tmp_path / "tides.txt"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    fields = {"kind": "novels", "name": "books", "paths": (), "lang": "en", "markers": "optional"} | changes
    source = NovelsSource(**fields)  # type: ignore[arg-type]
    (unit,) = novels.units(source, [path])
    return list(novels.read(source, unit))


def documents(records: list[Record]) -> list[Document]:
    return [record for record in records if isinstance(record, Document)]


def headings(records: list[Record]) -> list[str]:
    return [document.title.removeprefix("tides - ") for document in documents(records)]


def book(*parts: str) -> str:
    return "\n\n".join(parts) + "\n"


def test_read_makes_chapters_documents(tmp_path: Path) -> None:
    content = book(HEADER, START, "CHAPTER I", PROSE, "CHAPTER II", PROSE, END, "Licence. " * 50)
    first, second = documents(read(tmp_path, content, markers="required"))
    assert [first.native_id, second.native_id] == ["tides#01", "tides#02"]
    assert second.title == "Tides A Story of the Flats - CHAPTER II"
    assert second.text == f"CHAPTER II\n\n{PROSE}"
    assert second.meta == {
        "work": "books:tides",
        "book": "Tides A Story of the Flats",
        "author": "Ada Quill",
        "chapter": "2",
    }
    assert second.created == datetime(2006, 8, 29, tzinfo=UTC)
    assert second.lang == "fr", "the header's language wins over the recipe's"


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("CHAPTER I.", "CHAPTER II."),
        ("Chapter 1", "Chapter 2"),
        ("CHAPTER ONE: The Quay", "CHAPTER TWO: The Flats"),
        ("I", "II"),
        ("IX.", "X."),
        ("VII. THE ADVENTURE OF THE QUAY", "VIII. THE ADVENTURE OF THE FLATS"),
        ("FIRST ACT", "SECOND ACT"),
        ("ACT I", "ACT II"),
        ("Letter 1", "Letter 2"),
        ("STAVE ONE", "STAVE TWO"),
        ("BOOK THE FIRST", "BOOK THE LAST"),
        ("PREFACE", "EPILOGUE"),
        ("          CHAPTER XL", "          CHAPTER XLI"),
        ("第一回　潮水初来", "第二回　滩涂夜话"),
        ("第1章", "第２章"),
        ("楔子", "第一章"),
        ("第十二卷 海", "附录"),
    ],
)
def test_read_cuts_at_headings(tmp_path: Path, one: str, two: str) -> None:
    text = HAN if one[0] in "第楔" else PROSE
    assert headings(read(tmp_path, book(one, text, two, text))) == [" ".join(one.split()), " ".join(two.split())]


@pytest.mark.parametrize(
    "line",
    [
        "Chapter 4 was the one he never finished reading, he said.",
        "I",
        "Part of the quay had gone.",
        "第四回中既将潮水之事略已表明，此回则暂不能写矣。",
        "Book two seats, she said.",
    ],
)
def test_read_does_not_cut_inside_prose(tmp_path: Path, line: str) -> None:
    paragraph = f"{PROSE}\n{line}\n{PROSE}"
    assert headings(read(tmp_path, book("CHAPTER I", paragraph))) == ["CHAPTER I"]


@pytest.mark.parametrize("separator", ["\n", "\n\n"])
def test_read_does_not_take_contents_for_chapters(tmp_path: Path, separator: str) -> None:
    contents = separator.join(f"CHAPTER {n}. Of Something" for n in ("I", "II", "III", "IV"))
    notice = "NOTICE. " + PROSE
    chapters = [part for n in ("I", "II", "III", "IV") for part in (f"CHAPTER {n}.", PROSE)]
    records = read(tmp_path, book("TIDES", contents, notice, *chapters))
    assert headings(records) == ["front matter", "CHAPTER I.", "CHAPTER II.", "CHAPTER III.", "CHAPTER IV."]
    assert documents(records)[0].text == notice
    assert Skipped(reason="front_matter") in records


def test_read_joins_a_part_to_the_chapter_that_follows_at_once(tmp_path: Path) -> None:
    content = book("BOOK I", "CHAPTER I", PROSE, "CHAPTER II", PROSE)
    assert headings(read(tmp_path, content)) == ["BOOK I - CHAPTER I", "CHAPTER II"]


def test_read_skips_front_matter_without_prose(tmp_path: Path) -> None:
    records = read(tmp_path, book("TIDES", "by Ada Quill", "CHAPTER I", PROSE))
    assert records[0] == Skipped(reason="front_matter")
    assert headings(records) == ["CHAPTER I"]


@pytest.mark.parametrize(
    ("start", "end"),
    [
        (START, END),
        ("*** START OF THIS PROJECT GUTENBERG EBOOK TIDES ***", "*** END OF THIS PROJECT GUTENBERG EBOOK TIDES ***"),
        ("***START OF THE PROJECT GUTENBERG EBOOK TIDES***", "***END OF THE PROJECT GUTENBERG EBOOK TIDES***"),
        ("*** START OF THE PROJECT GUTENBERG EBOOK TIDES OF THE\nFLATS ***", END),
        ("*END*THE SMALL PRINT! FOR PUBLIC DOMAIN ETEXTS*Ver.04.29.93*END*", "End of the Project Gutenberg Etext"),
        (START, "End of Project Gutenberg's Tides, by Ada Quill"),
    ],
)
def test_read_cuts_header_and_licence_at_all_spellings_of_the_markers(tmp_path: Path, start: str, end: str) -> None:
    content = book("Header words.", start, "CHAPTER I", PROSE, end, "Licence words.")
    (document,) = documents(read(tmp_path, content, markers="required"))
    assert document.text == f"CHAPTER I\n\n{PROSE}"


@pytest.mark.parametrize(
    ("content", "missing"),
    [
        (book("CHAPTER I", PROSE), "START and END"),
        (book(START, PROSE), "END"),
        (book(PROSE, END), "START"),
    ],
)
def test_read_refuses_a_book_when_required_markers_are_missing(tmp_path: Path, content: str, missing: str) -> None:
    (bad,) = read(tmp_path, content, markers="required")
    assert isinstance(bad, BadRecord)
    assert f"no Project Gutenberg {missing} marker" in bad.error


def test_read_refuses_a_cut_that_leaves_little(tmp_path: Path) -> None:
    (bad,) = read(tmp_path, book(START, "Nothing.", END, PROSE * 5), markers="required")
    assert isinstance(bad, BadRecord)
    assert "less than 20%" in bad.error


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no text"),
        (b"<!DOCTYPE html><html><body><img src='x'></body></html>", "markup without text"),
        (b"\x00\x01\x02\x03" * 99, "control characters"),
    ],
)
def test_read_gives_a_bad_record_when_the_file_is_no_book(tmp_path: Path, content: bytes, message: str) -> None:
    (bad,) = read(tmp_path, content)
    assert isinstance(bad, BadRecord)
    assert message in bad.error


def test_read_refuses_a_file_that_is_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(novels, "MAX_FILE_BYTES", 100)
    (bad,) = read(tmp_path, PROSE)
    assert isinstance(bad, BadRecord)
    assert "at most 100 bytes" in bad.error


def test_read_takes_a_book_without_headings_whole_or_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = book(*[PROSE.strip()] * 10)
    assert headings(read(tmp_path, content)) == ["whole book"]
    monkeypatch.setattr(chapters, "PART_CHARS", 1500)
    parts = documents(read(tmp_path, content))
    assert len(parts) == 3
    assert "\n\n".join(part.text for part in parts) == content.strip("\n")


@pytest.mark.parametrize("codec", ["gb18030", "utf-8-sig", "utf-16"])
def test_read_decodes_chinese_books_in_any_encoding(tmp_path: Path, codec: str) -> None:
    content = book("第一回　潮水初来", HAN, "第二回　滩涂夜话", HAN)
    assert headings(read(tmp_path, content.encode(codec))) == ["第一回 潮水初来", "第二回 滩涂夜话"]


@pytest.mark.parametrize("line_end", ["\r\n", "\r"])
def test_read_gives_uniform_line_ends_and_true_byte_offsets(tmp_path: Path, line_end: str) -> None:
    content = book("CHAPTER I", PROSE, "CHAPTER II", "Été. " + PROSE).replace("\n", line_end).encode()
    first, second = documents(read(tmp_path, content))
    assert "\r" not in first.text + second.text
    assert content[second.origin.offset :].startswith(b"CHAPTER II")
    assert second.origin.offset + second.origin.length == len(content)


def test_units_refuse_an_unknown_encoding(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no text codec"):
        read(tmp_path, PROSE, encoding="utf-9")


def test_read_finds_the_chapters_of_the_embedded_book() -> None:
    truth = json.loads((DATA / "novel-en-truth.json").read_text(encoding="utf-8"))["novel-en"]
    source = NovelsSource(kind="novels", name="books", paths=(), lang="en")
    (unit,) = novels.units(source, [DATA / "novel-en.txt"])
    found = documents(list(novels.read(source, unit)))
    chapters = [document for document in found if "CHAPTER" in document.title.partition(" - ")[2][:7]]
    assert len(chapters) == truth["chapter_headings"]
    assert chapters[0].title.startswith(truth["title"])
    assert all(document.meta["author"] == truth["author"] for document in found)
    text = "\n".join(document.text for document in found)
    for absent in truth["header_must_not_appear"] + truth["footer_must_not_appear"]:
        assert absent not in text
    assert truth["first_sentence"] in " ".join(chapters[0].text.split())


def test_read_finds_the_chapters_of_the_embedded_chinese_book() -> None:
    truth = json.loads((DATA / "novel-zh-truth.json").read_text(encoding="utf-8"))["novel-zh"]
    source = NovelsSource(kind="novels", name="books", paths=(), lang="zh")
    (unit,) = novels.units(source, [DATA / "novel-zh.txt"])
    found = documents(list(novels.read(source, unit)))
    titles = [document.title.partition(" - ")[2] for document in found]
    assert titles == [" ".join(heading.split()) for heading in truth["all_headings"]]
    assert found[0].meta["encoding"] == "gb18030"
    text = "\n".join(document.text for document in found)
    assert [absent for absent in truth["footer_must_not_appear"] if absent in text] == []
    assert [rare for rare in truth["rare_characters"] if rare not in text] == []


def test_read_refuses_the_embedded_book_with_invalid_bytes() -> None:
    source = NovelsSource(kind="novels", name="books", paths=(), lang="zh", markers="optional")
    (unit,) = novels.units(source, [DATA / "novel-zh-broken.txt"])
    (bad,) = novels.read(source, unit)
    assert isinstance(bad, BadRecord)


@pytest.mark.parametrize(
    ("file", "number"),
    [
        ("gutenberg/pg-huckleberry_finn.txt", 43),
        ("gutenberg/pg-tom_sawyer.txt", 37),
        ("gutenberg/pg-frankenstein.txt", 28),
        ("gutenberg/pg-grimm.txt", 64),
        ("gutenberg/pg-dorian_gray.txt", 20),
        ("gutenberg/24264-0.txt", 120),
        ("zh/红楼梦.txt", 120),
    ],
)
def test_read_finds_every_chapter_of_real_books(corpora: Path, file: str, number: int) -> None:
    source = NovelsSource(kind="novels", name="books", paths=(), lang="en", markers="optional")
    (unit,) = novels.units(source, [corpora / "novels" / file])
    found = documents(list(novels.read(source, unit)))
    assert len([document for document in found if document.meta["chapter"] != "0"]) == number


def test_read_skips_a_copyrighted_real_book(corpora: Path) -> None:
    source = NovelsSource(kind="novels", name="books", paths=())
    (unit,) = novels.units(source, [corpora / "novels" / "gutenberg" / "pg-metamorphosis.txt"])
    assert list(novels.read(source, unit)) == [Skipped(reason="copyrighted")]


@pytest.mark.parametrize(
    "notice",
    [
        "** This is a COPYRIGHTED Project Gutenberg eBook, Details Below **",
        "*END*THE SMALL PRINT! FOR COPYRIGHT PROTECTED ETEXTS*Ver.02.11.00*END*",
        "Copyright Status: Copyrighted. Read the copyright notice inside this book for details.",
    ],
)
def test_read_skips_a_book_that_says_it_is_copyrighted(tmp_path: Path, notice: str) -> None:
    content = book(notice, START, "CHAPTER I", PROSE, END, "Licence words.")
    assert read(tmp_path, content, markers="required") == [Skipped(reason="copyrighted")]


def test_read_keeps_a_book_that_speaks_of_copyright(tmp_path: Path) -> None:
    content = book(
        "Copyright laws are changing all over the world.", START, "CHAPTER I", PROSE, "Copyrighted, 1920.", END
    )
    assert len(documents(read(tmp_path, content, markers="required"))) == 1


@pytest.mark.parametrize("title", ["CONTENTS", "Inhoud.", "Table des matières", "目录"])
def test_read_finds_tales_by_the_table_of_contents(tmp_path: Path, title: str) -> None:
    tales = ["THE QUAY", "OF THE FLATS, AND BEYOND", "A LAST TIDE"]
    listed = "\n".join(f"  {tale} ....... {n}0" for n, tale in enumerate(tales, 1))
    content = book("TIDES", title, listed, *[part for tale in tales for part in (f"{tale}.", PROSE)])
    assert headings(read(tmp_path, content)) == [f"{tale}." for tale in tales]


def test_read_takes_no_line_inside_the_contents_for_a_tale(tmp_path: Path) -> None:
    tales = ["THE QUAY", "OF THE FLATS, AND BEYOND", "A LAST TIDE", "ONE MORE TIDE"]
    listed = [f"  {tale}" for tale in tales]
    content = book(
        "CONTENTS", "Page", *listed[:2], "Page", "x. " * 90 + "1", *listed[2:], *[p for t in tales for p in (t, PROSE)]
    )
    assert headings(read(tmp_path, content)) == tales


def test_read_gives_true_byte_offsets_behind_a_byte_order_mark(tmp_path: Path) -> None:
    content = book("CHAPTER I", PROSE, "CHAPTER II", PROSE).encode("utf-8-sig")
    first, second = documents(read(tmp_path, content))
    assert first.origin.offset == 3
    assert content[second.origin.offset :].startswith(b"CHAPTER II")


def test_read_takes_no_line_of_prose_for_a_tale(tmp_path: Path) -> None:
    content = book(
        "CONTENTS", "THE QUAY 1", "THE FLATS 2", "CHAPTER I", PROSE, "THE QUAY", PROSE, "* * *", PROSE, "* * *", PROSE
    )
    assert headings(read(tmp_path, content)) == ["CHAPTER I"], "two lines that come again may be chance"


PIECES = ("CHAPTER I", "I", "第一回", "\n", "\r\n", " ", PROSE, HAN, START, END, "Part 2.", "x")


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(PIECES), max_size=40).map("\n".join))
def test_read_loses_no_character_of_any_book(tmp_path: Path, content: str) -> None:
    raw = content.replace(START, "s").replace(END, "e")
    edges = [(chapter.start, chapter.end) for chapter in chapters.chapters(raw, 0, len(raw))]
    covered = "".join(raw[start:end] for start, end in edges)
    assert covered.split() == raw.split()
    records = read(tmp_path, content)
    assert records
    assert len({document.native_id for document in documents(records)}) == len(documents(records))
