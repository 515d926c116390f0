"""What Project Gutenberg puts around a book: every spelling of its markers is cut, and no word of a book."""

import pytest

from lmpipe.sources.gutenberg import BadBookError, body_spans

BODY = "The tide came in over the flats before breakfast.\n\nNobody on the quay looked up to see it.\n"
START = "*** START OF THE PROJECT GUTENBERG EBOOK TIDES ***"
END = "*** END OF THE PROJECT GUTENBERG EBOOK TIDES ***"
LICENCE = "You may use this Project Gutenberg-tm work for nearly any purpose, see the Project Gutenberg licence.\n" * 9


def bodies(raw: str, required: bool = True) -> list[str]:
    return [raw[start:end].strip() for start, end in body_spans(raw, required)]


@pytest.mark.parametrize(
    "start",
    [
        START,
        "*** START OF THIS PROJECT GUTENBERG EBOOK TIDES ***",
        "***START OF THE PROJECT GUTENBERG EBOOK TIDES***",
        "***START OF THIS PROJECT GUTENBERG ETEXT TIDES***",
        "*** START OF THE PROJECT GUTENBERG EBOOK, TIDES ***",
        "*** START OF THE PROJECT GUTENBERG E-TEXT TIDES***",
        "*** start of project gutenberg ebook\nTIDES ***",
        "*** START OF THE PROJECT GUTENBERG EBOOK 844 ***",
        "  *** START OF THE PROJECT GUTENBERG EBOOK TIDES ***  ",
        "*** START OF THE PROJECT GUTENBERG EBOOK TIDES OF THE\nFLATS, AND WHAT WAS SEEN\nFROM THE QUAY ***",
        "*** START OF THE PROJECT GUTENBERG EBOOK M*A*S*H ON THE QUAY ***",
        "*** START OF THE PROJECT GUTENBERG EBOOK TIDES",
        "*** START OF THE COPYRIGHTED PROJECT GUTENBERG EBOOK TIDES ***",
        "*END*THE SMALL PRINT! FOR PUBLIC DOMAIN ETEXTS*Ver.04.29.93*END*",
        "*END* THE SMALL PRINT! FOR PUBLIC DOMAIN ETEXTS*Ver.04.29.93*END*",
        "*END THE SMALL PRINT! FOR PUBLIC DOMAIN ETEXTS*Ver.10/04/01*END*",
        "ENDTHE SMALL PRINT! FOR PUBLIC DOMAIN ETEXTS*Ver.04.29.93*END*",
        "*SMALL PRINT! Ver.04.29.93 FOR COPYRIGHT PROTECTED ETEXTS*END*",
        '["Small Print" V.12.08.93]',
        "what we ask tells you about restrictions in how the file may be used.",
    ],
)
def test_body_begins_behind_every_spelling_of_the_start(start: str) -> None:
    assert bodies(f"Header words.\n\n{start}\n\n{BODY}\n\n{END}\n{LICENCE}") == [BODY.strip()]
    crlf = f"Header words.\n\n{start}\n\n{BODY}\n\n{END}\n{LICENCE}".replace("\n", "\r\n")
    assert bodies(crlf) == [BODY.replace("\n", "\r\n").strip()]


@pytest.mark.parametrize(
    "end",
    [
        END,
        "*** END OF THIS PROJECT GUTENBERG EBOOK TIDES ***",
        "***END OF THE PROJECT GUTENBERG EBOOK TIDES***",
        "        ***END OF THE PROJECT GUTENBERG EBOOK TIDES***",
        "*** END OF THE COPYRIGHTED PROJECT GUTENBERG EBOOK TIDES ***",
        "*** end of project gutenberg ebook\nTIDES ***",
        f"End of the Project Gutenberg EBook of Tides, by\nAda Quill\n\n{END}",
        "End of Project Gutenberg's Tides, by Ada Quill",
        "End of Project Gutenberg’s Tides, by Ada Quill",
        "End of The Project Gutenberg Etext of Tides",
        "End of this Project Gutenberg Etext of Tides, v2",
        "The End of the Project Gutenberg Etext of Tides by",
        "END OF PROJECT GUTENBERG ETEXT OF TIDES",
        "Ende dieses Project Gutenberg Etextes Tides",
        "Ende dieses Projekt Gutenberg Etextes Tides",
        "Ende dieses Etextes Tides",
        "Fin de Project Gutenberg's Tides, by Ada Quill",
        "Fin du Project Gutenberg Etext de Tides",
        "Einde van het Project Gutenberg Etext van Tides",
        "Ce document fut présenté en lecture par une dame",
        "More information about this book is at the top of this file.",
        "*** START: FULL LICENSE ***",
    ],
)
def test_body_ends_before_every_spelling_of_the_end(end: str) -> None:
    assert bodies(f"Header words.\n\n{START}\n\n{BODY}\n\n{end}\n{LICENCE}") == [BODY.strip()]


@pytest.mark.parametrize(
    "sentence",
    [
        "The narrator mentions *** END OF THE PROJECT GUTENBERG EBOOK *** inside a sentence.",
        "He read THE COMPLETE PROJECT GUTENBERG WORKS of somebody.",
        "That was the end of Project Gutenberg as she knew it.",
        "The small print! he cried.",
    ],
)
def test_body_may_speak_of_the_project(sentence: str) -> None:
    body = f"{BODY}\n\n{sentence}\n\n{BODY}"
    assert bodies(f"H.\n\n{START}\n\n{body}\n\n{END}\n") == [body.strip()]


@pytest.mark.parametrize(
    "credit",
    [
        "Produced by Ada Quill and\nthe Distributed Proofreaders",
        "Produced by Ada Quill.  HTML version by Jan Kade.",
        "E-text prepared by Ada Quill",
        "This etext was produced by Ada Quill, South Flats",
        "This eBook was prepared by Ada Quill",
        "Etext transcribed by Ada Quill",
        "Transcribed from the 1915 Quay & Co. edition by Ada Quill,\nemail ada@example.org",
        "Scanned and proofed by Ada Quill",
        "This file was produced from images made available by a library",
        "Note: Project Gutenberg also has an HTML version of this\n      file which includes the original pictures.",
        "[Transcriber's Note: Old spelling is kept.]",
    ],
)
def test_body_begins_behind_what_the_volunteers_say_of_themselves(credit: str) -> None:
    raw = f"H.\n\n{START}\n\n\n{credit}\n\n\n\n{BODY}\n\n{END}\n{LICENCE}"
    assert bodies(raw) == [BODY.strip()]


def test_body_keeps_a_paragraph_that_only_begins_like_a_credit_further_down() -> None:
    body = f"{BODY}\nProduced by the tide, the mud lay there.\n\n{BODY}"
    assert bodies(f"{START}\n\n{body}\n\n{END}\n") == [body.strip()]


def test_body_begins_behind_the_older_header_that_a_reissue_kept() -> None:
    old = "The Project Gutenberg Etext of Tides\n\n*END*THE SMALL PRINT! FOR PUBLIC DOMAIN ETEXTS*Ver.04.29.93*END*"
    assert bodies(f"H.\n\n{START}\n\n{old}\n\n{BODY}\n\n{END}\n{LICENCE}") == [BODY.strip()]


def test_body_ends_before_the_small_print_that_stands_at_the_end() -> None:
    small = f"{LICENCE}\n*END THE SMALL PRINT! FOR PUBLIC DOMAIN EBOOKS*Ver.02/11/02*END*\n\nWith thanks to all.\n"
    assert bodies(f"H.\n\n{START}\n\n{BODY}\n\n{END}\n{small}") == [BODY.strip()]


def test_two_books_in_one_file_are_two_spans_without_the_licence_between() -> None:
    one = f"H.\n\n{START}\n\n{BODY}\n\n{END}\n{LICENCE}"
    assert bodies(one + one) == [BODY.strip(), BODY.strip()]
    small = "*END*THE SMALL PRINT! FOR PUBLIC DOMAIN ETEXTS*Ver.04.29.93*END*"
    old = f"{LICENCE}{small}\n\n{BODY}\n\nEnd of Project Gutenberg's Tides\n"
    assert bodies(old + old) == [BODY.strip(), BODY.strip()]


def test_volumes_that_end_by_a_plain_line_each_are_all_kept() -> None:
    volume = BODY * 30
    raw = f"{START}\n\n{volume}\n\nEnd of this Project Gutenberg Etext of Tides, v1\n\n{volume}\n\n{END}\n{LICENCE}"
    assert bodies(raw) == [volume.strip(), volume.strip()]


def test_a_poem_shorter_than_the_licence_is_kept() -> None:
    assert bodies(f"H.\n\n{START}\n\n{BODY}\n\n{END}\n{LICENCE * 20}") == [BODY.strip()]


@pytest.mark.parametrize(
    "raw",
    [
        f"{START}\n\n{END}\n\n{BODY * 40}",
        f"{START}\n\nThe end.\n\n{END}\n\n{LICENCE}",
        f"{BODY * 40}\n\n{START}\n\n{BODY}\n\n{END}\n",
        f"{START}\n\n{BODY}\n\nEnd of Project Gutenberg's Tides\n\n{END}\n{BODY * 40}",
    ],
)
def test_a_cut_that_would_lose_the_book_is_refused(raw: str) -> None:
    with pytest.raises(BadBookError, match="less than 20%"):
        bodies(raw)


def test_a_file_without_any_marker_is_one_span_where_markers_are_optional() -> None:
    assert bodies(BODY, required=False) == [BODY.strip()]
    with pytest.raises(BadBookError, match="START and END"):
        bodies(BODY)
