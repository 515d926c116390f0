"""Marks that MediaWiki reads in ways of its own: apostrophes, entities, tags at ends of lines, links' short forms."""

import pytest

from lmpipe.sources import wikitext


def rendered(text: str) -> str:
    return wikitext.render(text, variant="zh-hans", lang="en", title="Title").text


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("''a'' '''b''' '''''c''''' ''d'''e'''f''", "a b c def"),
        ("''a''''", "a''"),
        ("''''b''", "''b"),
        ("''''c'''", "'c"),
        ("'''''d''''''", "d'"),
        ("'''e''", "'e"),
        ("'''This year''''s plan ''beats'' '''last year''''s.", "This year's plan beats last year's."),
        ("l''''Avion''' and ''Iliad''", "l'Avion and Iliad"),
        ("''[[1984]]'''s end", "1984's end"),
        ("'''A''' : l'''Avion'' x", "A : l'Avion x"),
        ("'''more on ''cats'''s paws'''", "'more on catss paws"),
    ],
)
def test_apostrophes_are_text_where_mediawiki_shows_them(line: str, shown: str) -> None:
    assert rendered(line) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("AT&T ?a=1&copy=2 &copy 3 &eacute;&#233;&#xe9; &amp;amp;", "AT&T ?a=1&copy=2 &copy 3 ééé &amp;"),
        ("&#0; &#xD800; &#99999999; &foo; &notit;", "&#0; &#xD800; &#99999999; &foo; &notit;"),
    ],
)
def test_entities_are_decoded_only_with_their_semicolon(text: str, shown: str) -> None:
    assert rendered(text) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\n<!-- x -->\nb\n\n<!-- y -->\n\nc<!-- z -->", "a\nb\n\nc"),
        ("* a\n<!-- <ref> - -- -->\n* b <nowiki>c</nowiki>", "a\nb c"),
        ("a\n<!-- x --> <!-- y -->\nb", "a\n\nb"),
        ("a<br>\nb<br /><br>c<BR clear=all>d", "a\nb\n\nc\nd"),
        ("<ul>\n<li>a</li>\n<li>b</li></ul>\n<p>c</p><q>e</q>", 'a\nb\n\nc\n"e"'),
        ("a{{no col break|\n=== b ===\n* c\n}}{{no col break|\n; d\n* e\n}}", "a\n\nb\n\nc\nd\ne"),
        ("a\n{{nowrap|* b}}{{nowrap|# c}} {{nowrap|d}}", "a\nb\nc d"),
        ("== a ==\n{| style=x | y\n| b\n* c\n\nd", "a\n\nc\n\nd"),
        ("; term : meaning\n; a: b\n;at 10:30\n: c", "term\nmeaning\na\nb\nat 10:30\nc"),
    ],
)
def test_lines_part_paragraphs_only_where_a_reader_sees_a_gap(text: str, shown: str) -> None:
    assert rendered(text) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (
            "[[Mercury (planet)|]], [[Help:Contents|]], [[Paris, Texas|]] [[木星（行星）|]]",
            "Mercury, Contents, Paris 木星",
        ),
        ("[[Media:a.ogg|listen]] [[文件:a.ogg|b]]", "listen"),
        ("[[a|[b], /c/]] [[a|b|c]] [[a#b]] [[:de:a]]", "[b], /c/ b|c a#b de:a"),
        ("__notoc__a __NoToc__b __toc", "a b __toc"),
        ("{{nowrap|x{{=}}y}} {{nowrap|1=u=v}} {{nowrap|a{{!}}b}}", "x=y u=v a|b"),
        ("a, {{x}}. b、{{y}}。", "a. b。"),
        ("To be,{{sfn|x}}\nor not", "To be,\nor not"),
    ],
)
def test_short_forms_show_what_they_stand_for(text: str, shown: str) -> None:
    assert rendered(text) == shown
