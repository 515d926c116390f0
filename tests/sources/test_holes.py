"""Visible holes: found where extractors leave them, not where careful prose has anything like them."""

import zipfile
from pathlib import Path

import pytest

from lmpipe.sources.holes import visible_holes


@pytest.mark.parametrize(
    ("text", "holes"),
    [
        ("Albedo () or reflection coefficient", 1),
        ("Achilles (; , Akhilleus, ) was", 3),
        ("Achilles ( , Akhilleus; )", 2),
        ("It was built in , and rebuilt in .", 2),
        ("The tower is about , as of .\nIt", 2),
        ("gebaut von , erbaut", 1),
        ("the towns of Riga, , Ludza", 1),
        ("数学（），又称（，英语）", 2),
        ("长，，宽", 1),
        ("他说“”，看《》", 2),
        ("北海道は6つの「」に分けている", 1),
        ('he called it "" and left', 1),
    ],
)
def test_holes_are_counted_where_words_are_missing(text: str, holes: int) -> None:
    assert visible_holes(text) == holes


@pytest.mark.parametrize(
    "text",
    [
        "Call f() or main(argc, argv); the empty tuple: ().",
        "He smiled (;) and left . . . for good.",
        "It is what he spoke of, was born in, and dreamt about.",
        "the .NET framework and ",
        " and the key",
        "「」は括弧である。（A、B）と。",
        'x = "" if y else ","',
        "",
    ],
)
def test_no_holes_are_counted_in_careful_prose(text: str) -> None:
    assert visible_holes(text) == 0


def test_news_and_novels_have_next_to_no_holes(corpora: Path) -> None:
    with zipfile.ZipFile(corpora / "news" / "bbc-fulltext.zip") as archive:
        names = [name for name in archive.namelist() if name.endswith(".txt")]
        stories = [archive.read(name).decode("utf-8", "replace") for name in names]
    novels = [path.read_text(encoding="utf-8", errors="replace") for path in sorted(corpora.glob("novels/*/*.txt"))]
    assert len(stories) > 2000
    assert len(novels) > 10
    assert sum(visible_holes(story) for story in stories) <= 1
    assert sum(visible_holes(novel) for novel in novels) <= 6
