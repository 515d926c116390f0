"""Where a book is cut: headings in many languages, tables of contents, short chapters, prose that looks like them."""

import pytest

from lmpipe.sources.chapters import chapters

PROSE = "The tide came in over the flats before breakfast, and nobody on the quay looked up to see it. " * 12
HAN = "潮水在早饭之前漫过了滩涂，码头上没有一个人抬头去看。" * 60


def headings(*parts: str) -> list[str]:
    body = "\n\n".join(parts)
    return [chapter.heading for chapter in chapters(body, 0, len(body))]


@pytest.mark.parametrize(
    "heading",
    [
        *("CHAPTER TWENTY-ONE", "Chapter the Seventeenth", "CHAP. XIV.", "C H A P. I", "Chapter I.]", "VOLUME II."),
        *("Book the First--Recalled to the Quay", "Book the Second--the Grey Flats", "THE SEVENTEENTH CHAPTER"),
        *("Erstes Kapitel", "Zweites Buch", "1. Kapitel", "XII. KAPITEL.", "Kapitel 12", "Zwölftes Kapitel."),
        *("CHAPITRE PREMIER", "Chapitre II", "PREMIÈRE PARTIE", "LIVRE DEUXIÈME", "Chapitre Ier."),
        *("Eerste Hoofdstuk.", "HOOFDSTUK IV.", "DERDE TOONEEL.", "CAPÍTULO PRIMERO", "CAPITOLO PRIMO.", "PARTE PRIMA"),
        *("Глава первая", "ГЛАВА II", "LXXXIX.", "CHAPTER CXXIII.", "Vorwort", "AVANT-PROPOS", "VOORREDE."),
    ],
)
def test_chapters_begin_at_headings_of_many_languages(heading: str) -> None:
    assert headings(heading, PROSE, heading, PROSE) == [heading, heading]


@pytest.mark.parametrize(
    "heading",
    [
        *(
            "第一二○回 潮水",
            "第一零零回",
            "第十囘 海",
            "【第三章】 海",
            "正文 第一章 海",
            "第〇章",
            "第 一 章",
            "卷之二",
        ),
        *("上卷", "引言", "终章", "第三部分", "第二話 海"),
    ],
)
def test_chapters_begin_at_chinese_headings(heading: str) -> None:
    assert headings(heading, HAN, heading, HAN) == [heading, heading]


@pytest.mark.parametrize(
    "line",
    [
        "BOOK I. (_Folio_), CHAPTER I. (_Grey Whale_).--This whale, among the\nothers of the flats, is seldom seen.",
        "Part II. The next morning they rose early and went down to the\nquay, where nobody was.",
        "Chapter and verse, he said.",
        "Part of the reason was the tide.",
        "第二回合，两人又战了三十余合",
    ],
)
def test_chapters_do_not_begin_inside_prose(line: str) -> None:
    assert headings("CHAPTER I", PROSE, line, PROSE) == ["CHAPTER I"]


def test_a_title_in_capitals_under_the_heading_belongs_to_it() -> None:
    assert headings("CHAPTER I", "A JUG OF WATER", PROSE, "CHAPTER II", "FOOLS", PROSE) == [
        "CHAPTER I A JUG OF WATER",
        "CHAPTER II FOOLS",
    ]


def test_a_table_of_contents_without_a_heading_is_none_of_the_chapters() -> None:
    table = [
        "PROLOGUE",
        "PART I",
        "CHAPTER",
        "    I.  A JUG",
        "   II.  FOOLS",
        "PART II",
        "    I.  DEAD FRUIT",
        "EPILOGUE",
    ]
    book = ["PROLOGUE", PROSE, "PART I", "CHAPTER I", PROSE, "CHAPTER II", PROSE, "PART II", "CHAPTER I", PROSE]
    assert headings("TIDES", *table, "Tides", *book, "EPILOGUE", PROSE) == [
        *("", "PROLOGUE", "PART I - CHAPTER I", "CHAPTER II", "PART II - CHAPTER I", "EPILOGUE")
    ]


def test_a_list_of_scenes_that_counts_otherwise_than_the_play_is_none_of_its_acts() -> None:
    scenes = [f"ACT {n}. The quay at breakfast, and nobody there." for n in ("I", "II", "III")]
    acts = [part for n in ("FIRST", "SECOND", "THIRD") for part in (f"{n} ACT", PROSE)]
    assert headings(*scenes, PROSE[:300], *acts) == ["", "FIRST ACT", "SECOND ACT", "THIRD ACT"]


def test_a_table_of_contents_with_summaries_and_a_preface_is_none_of_the_chapters() -> None:
    table = [part for n in ("I", "II", "III") for part in (f"CHAPTER {n}.", "In which the tide comes in, and goes.")]
    body = [part for n in ("I", "II", "III") for part in (f"CHAPTER {n}.", PROSE)]
    assert headings("CONTENTS", *table, "PREFACE", PROSE, *body) == [
        *("", "PREFACE", "CHAPTER I.", "CHAPTER II.", "CHAPTER III.")
    ]


def test_a_chapter_of_one_sentence_is_a_chapter() -> None:
    parts = [part for n in range(1, 7) for part in (f"CHAPTER {n}.", "It rained all day." if n in (1, 4, 5) else PROSE)]
    assert headings(*parts) == [f"CHAPTER {n}." for n in range(1, 7)]


def test_a_heading_right_under_a_picture_begins_a_chapter() -> None:
    picture = "[Illustration: The quay]\nCHAPTER I."
    assert headings(picture, PROSE, "CHAPTER II.", PROSE) == ["", "CHAPTER I.", "CHAPTER II."]


def test_a_table_of_contents_goes_on_behind_a_long_title_and_ends_where_the_first_tale_begins() -> None:
    tales = ["THE QUAY", "OF THE TIDE THAT WENT OUT BEFORE BREAKFAST AND DID NOT COME BACK", "THE LAST LEVEL"]
    body = [part for tale in tales for part in (f"{tale}.", "QUILL.", PROSE)]
    assert headings("CONTENTS", *[f"{tale}   {n}1." for n, tale in enumerate(tales)], *body) == [
        *("", *(f"{tale}." for tale in tales))
    ]


def test_a_listed_title_that_comes_again_as_a_refrain_is_no_heading() -> None:
    tales = ["THE QUAY", "THE FLATS", "THE TIDE"]
    body = ["THE QUAY", PROSE, "  the quay", PROSE, "THE FLATS", PROSE, "THE TIDE", PROSE]
    assert headings("CONTENTS", *tales, *body) == ["", *tales]


@pytest.mark.parametrize("numbers", [("1", "2", "3"), ("I. Quay", "II. Flats", "III. Tide"), ("一", "二", "三")])
def test_a_row_of_numbers_cuts_a_book_that_has_no_other_headings(numbers: tuple[str, ...]) -> None:
    assert headings(*[part for number in numbers for part in (number, PROSE * 5)]) == list(numbers)


def test_numbers_of_pages_and_stanzas_do_not_cut_a_book() -> None:
    assert headings(*[part for n in range(1, 9) for part in (str(n), PROSE)]) == ["whole book"]
    assert headings(*[part for n in range(1, 9) for part in (f"{n}. Quay", PROSE[:300])]) == ["whole book"]
