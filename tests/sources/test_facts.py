"""What headers say of their books: fields in several languages, old headers without any, names of languages."""

from datetime import UTC, datetime

import pytest

from lmpipe.sources.catalogue import Row
from lmpipe.sources.facts import header_facts
from lmpipe.sources.language_names import language_code


def test_header_fields_are_read_over_several_lines_and_several_authors() -> None:
    header = (
        "Title: Tides: or,\n       What Was Seen\n\nAuthor: Ada Quill\nAuthor: Jan Kade\n\nTranslator: Mia Low\n\n"
        "Release date: June 1, 1998 [eBook #1342]\n                Most recently updated: October 29, 2024\n\n"
        "Language: German, English\n"
    )
    facts = header_facts(header)
    assert (facts.title, facts.authors, facts.translators) == (
        "Tides: or, What Was Seen",
        "Ada Quill; Jan Kade",
        "Mia Low",
    )
    assert (facts.lang, facts.created) == ("de", datetime(1998, 6, 1, tzinfo=UTC))


def test_header_fields_may_be_indented_and_end_in_any_line_end() -> None:
    facts = header_facts("  Title: Tides\r\n  Author: Various\r\n  Language: French\r\n")
    assert (facts.title, facts.authors, facts.lang) == ("Tides", "Various", "fr")


def test_header_without_an_author_names_the_editor() -> None:
    assert header_facts("Title: Tides\n\nEditor: Ada Quill\n").authors == "Ada Quill"


@pytest.mark.parametrize(
    "fields", ["Titel: Tij\nAuteur: Ada\nTaal: Nederlands\n", "Titre : Marées\nAuteur : Ada\nLangue : Français\n"]
)
def test_header_fields_may_be_named_in_the_language_of_the_book(fields: str) -> None:
    facts = header_facts(fields)
    assert facts.title in ("Tij", "Marées")
    assert facts.authors == "Ada"
    assert facts.lang in ("nl", "fr")


@pytest.mark.parametrize(
    ("header", "title", "author"),
    [
        (
            "**The Project Gutenberg Etext of Tides, by Ada Quill**\n******This file should be named",
            "Tides",
            "Ada Quill",
        ),
        ("The Project Gutenberg EBook of Tides and Flats, by Ada Quill\n\nThis eBook", "Tides and Flats", "Ada Quill"),
        ("Project Gutenberg's Tides, by Ada Quill\n\n", "Tides", "Ada Quill"),
        ("The Project Gutenberg eBook, Tides of the\nFlats, by Ada Quill\n\n", "Tides of the Flats", "Ada Quill"),
        ("The Project Gutenberg Etext of Tides by the Quay\n#2 in our series\n", "Tides", "the Quay"),
        ("The Project Gutenberg Etext of Tides\n", "Tides", ""),
    ],
)
def test_old_headers_name_the_book_in_one_line(header: str, title: str, author: str) -> None:
    facts = header_facts(header)
    assert (facts.title, facts.authors) == (title, author)


@pytest.mark.parametrize(
    ("line", "day"),
    [
        ("June, 2001  [Etext #2701]", datetime(2001, 6, 1, tzinfo=UTC)),
        ("Posting Date: April 18, 2011 [EBook #1661]", datetime(2011, 4, 18, tzinfo=UTC)),
        ("Posting Date: April 18, 2011\nRelease Date: May, 2001", datetime(2001, 5, 1, tzinfo=UTC)),
        ("Release Date: some day", None),
    ],
)
def test_day_of_release_is_read_in_every_form(line: str, day: datetime | None) -> None:
    assert header_facts(f"Title: Tides\n\n{line}\n").created == day


@pytest.mark.parametrize("notice", ["**This is a COPYRIGHTED Project Gutenberg Etext, Details Above**\n"])
def test_a_copyright_said_below_the_book_counts(notice: str) -> None:
    assert header_facts("Title: Tides\n", notice).copyrighted
    assert not header_facts("Title: Tides\n", "posted with the permission of the copyright holder").copyrighted


@pytest.mark.parametrize(
    ("name", "code"),
    [
        *(
            ("English", "en"),
            ("Deutsch", "de"),
            ("Français", "fr"),
            ("Nederlands", "nl"),
            ("中文", "zh"),
            ("漢語", "zh"),
        ),
        *(("Chinese", "zh"), ("Dutch", "nl"), ("Scottish Gaelic", "gd"), ("Ancient Greek", "el"), ("Русский", "ru")),
        *(("English and French", "en"), ("English / German", "en"), ("en-GB", "en"), ("zh_TW", "zh"), ("ger", "de")),
        *(
            ("fre", "fr"),
            ("DUT", "nl"),
            ("Tagalog", "tl"),
            ("Cebuano", "ceb"),
            ("szl", "szl"),
            ("und", ""),
            ("???", ""),
        ),
        ("Something else", ""),
    ],
)
def test_language_code_knows_names_and_tags(name: str, code: str) -> None:
    assert language_code(name) == code


@pytest.mark.parametrize(
    ("names", "authors", "translators"),
    [
        ("Quill, Ada, 1801-1866; Low, Mia [Translator]; Kade, Jan [Illustrator]", "Quill, Ada, 1801-1866", "Low, Mia"),
        ("Kade, Jan [Editor]", "Kade, Jan [Editor]", ""),
        ("", "", ""),
    ],
)
def test_the_catalogue_tells_authors_from_translators(names: str, authors: str, translators: str) -> None:
    facts = Row(number=1, type="Text", title="Tides", authors=names, languages=("de",), issued="2001-05-01").facts
    assert (facts.authors, facts.translators) == (authors, translators)
