"""What a reader sees of wikitext, case by case; and that no text, however broken, is slow or raises."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmpipe.sources import wikitext


def rendered(text: str, *, lang: str = "en", variant: str = "zh-hans", title: str = "Title") -> str:
    return wikitext.render(text, variant=variant, lang=lang, title=title)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a [[cat]]s b", "a cats b"),
        ("a [[cat|dog]] b", "a dog b"),
        ("a [[Help:cat|dog]] b", "a dog b"),
        ("see [[:Category:Cats]]", "see Category:Cats"),
        ("[{{x}}[a]{{x}}]", "a"),
        ("see [[#Part|this part]]", "see this part"),
        ("[[File:a.jpg|thumb|A [[cat]] in [[b|c {{d}}]].]]Text", "Text"),
        ("[[文件:a.jpg|thumb|一只[[猫]]]]正文", "正文"),
        ("Text\n[[Category:Cats|*]]\n[[de:Katze]]", "Text"),
        ("a [http://x.org the site] b", "a the site b"),
        ("a [http://x.org] b", "a b"),
        ("a [//x.org/?q=1 x [PDF] y] b", "a x [PDF] y b"),
    ],
)
def test_links_show_their_label_when_rendered(text: str, shown: str) -> None:
    assert rendered(text) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("'''bold''' ''italic'' '''''both''''' it's", "bold italic both it's"),
        ("a<!-- hidden -->b", "ab"),
        ("a<!-- hidden for good", "a"),
        ("a<ref>no</ref>b<ref name=x/>c<REF name=y>no</REF >d", "abcd"),
        ("one<br/>two", "one\ntwo"),
        ('<span style="x">a</span> <b>b</b>', "a b"),
        ("#include <stdio.h>", "include <stdio.h>"),
        ("10<sup>6</sup> H<sub>2</sub>O 19<sup>th</sup>", "10⁶ H2O 19th"),
        ("a&nbsp;b &ndash; c &lt;d&gt; &amp;mdash;", "a b – c <d> &mdash;"),
        ("__NOTOC__a __init__ b", "a __init__ b"),
        ("<nowiki>[[x]] {{y}} ''z''</nowiki>", "[[x]] {{y}} ''z''"),
        ("a <math>\\frac{{a}}{b}\\, c</math> b", "a \\frac{ {a} }{b} c b"),
        ("a<gallery>\nFile:x.jpg|y\n</gallery>b<timeline>z</timeline>c", "abc"),
        ("a\n{| class=x\n|-\n| b {{c}} || [[d|e]]\n{|\n| f\n|}\n|}\ng", "a\n\ng"),
        ("Hello {{PAGENAME}}", "Hello Title"),
    ],
)
def test_marks_vanish_and_text_stays_when_rendered(text: str, shown: str) -> None:
    assert rendered(text) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("== A ==\ntext\n\n== B ==\n=== C ===\nmore\n== References ==\n{{reflist}}", "A\n\ntext\n\nB\n\nC\n\nmore"),
        ("== Empty ==\n== B ==\ntext", "B\n\ntext"),
        ("== Empty ==\n== 参考文献 ==\n<references/>", ""),
        ("* one\n** two\n# three\n: four", "one\ntwo\nthree\nfour"),
        ("; term : meaning", "term : meaning"),
        ("* {{flagicon|FR}}\n*\n* a", "a"),
        ("a\n\n\n\n----\n\nb", "a\n\nb"),
    ],
)
def test_lines_lose_their_marks_when_rendered(text: str, shown: str) -> None:
    assert rendered(text) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("{{convert|93|m|ft}}", "93 metres (305 ft)"),
        ("{{convert|100|m}}", "100 metres (330 ft)"),
        ("{{cvt|5|km|mi}}", "5 km (3.1 mi)"),
        ("{{convert|10|to|20|km|mi|abbr=on}}", "10 to 20 km (6.2 to 12 mi)"),
        ("{{convert|43.3|C|F}}", "43.3 °C (109.9 °F)"),
        ("{{convert|1|mi|km|2|sp=us}}", "1 mile (1.61 km)"),
        ("a {{convert|5|ft|m|adj=on}} wall", "a 5-foot (1.5 m) wall"),
        ("{{convert|7|furlong|m}}", "7 furlong"),
        ("{{lang|fr|mot}} {{lang-de|Wort}} {{transl|ar|kalima}}", "mot German: Wort kalima"),
        ("{{nihongo|Tea|茶|cha}}", "Tea (茶, cha)"),
        ("({{IPAc-en|'|k|æ|t}}; {{respell|KAT}})", "(/ˈkæt/; KAT)"),
        ("{{as of|2020|5}}; {{as of|2020|lc=y}}", "As of May 2020; as of 2020"),
        ("{{birth date|1990|1|2}} {{start date|1990|1|2|df=y}}", "January 2, 1990 2 January 1990"),
        ("{{formatnum:1234567.8}} {{val|12345|2|u=m}}", "1,234,567.8 12,345±2 m"),
        ("{{frac|1|2}} {{frac|3|1|2}}", "1/2 3 1/2"),
        ("{{nowrap|a {{small|b}}}} {{abbr|Dr.|Doctor}}", "a b Dr."),
        ("{{quote|To be.|Author}}", "To be."),
        ("{{ill|Person|de|Mensch|lt=someone}}", "someone"),
        ("1914{{snd}}1918 {{circa|500}}", "1914 – 1918 c. 500"),
    ],
)
def test_inline_templates_keep_what_readers_see(text: str, shown: str) -> None:
    assert rendered(text) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Light ({{x}}) or glow", "Light or glow"),
        ("Hero ({{x}}; {{lang-el|Ἥρως}}, {{y}}) of", "Hero (Greek: Ἥρως) of"),
        ("Hero (Greek: {{x}}; born {{y}}) of", "Hero of"),
        ("a {{x}}, b {{y}} .", "a, b."),
        ("with {{x}}, {{y}}, {{z}} and", "with, and"),
        ("call f() or (see [[g]])", "call f() or (see g)"),
        ("数学（{{x}}，英语：{{y}}）是", "数学是"),
        ("the city (({{x}}))", "the city"),
    ],
)
def test_holes_are_mended_where_a_template_was_dropped(text: str, shown: str) -> None:
    assert rendered(text) == shown


CONVERTED = "-{zh-hans:计算机; zh-hant:電腦}-"


@pytest.mark.parametrize(
    ("text", "variant", "shown"),
    [
        (CONVERTED, "zh-hans", "计算机"),
        (CONVERTED, "zh-hant", "電腦"),
        ("-{zh-cn:软件; zh-tw:軟體; zh-hk:軟件}-", "zh-hans", "软件"),
        ("-{zh-cn:软件; zh-tw:軟體; zh-hk:軟件}-", "zh-hant", "軟體"),
        ("-{zh-hk:的士}-", "zh-hans", "的士"),
        ("-{原文}-与-{R|文}-", "zh-hans", "原文与文"),
        ("甲-{H|zh-cn:软件;zh-tw:軟體}-乙-{T|zh-cn:题;zh-tw:題}-丙", "zh-hans", "甲乙丙"),
        ("-{A|zh-cn:软件;zh-tw:軟體}-", "zh-hans", "软件"),
        ("[[a|-{zh-cn:软件;zh-tw:軟體}-]]好", "zh-hant", "軟體好"),
        ("-{zh-cn:{{lang|en|x}};zh-tw:y}-好", "zh-hans", "x好"),
    ],
)
def test_language_variants_resolve_to_one_side(text: str, variant: str, shown: str) -> None:
    assert rendered(text, lang="zh", variant=variant) == shown


def test_chinese_units_and_dates_are_chinese_when_the_wiki_is() -> None:
    text = "长{{convert|93|m|ft}}，建于{{as of|2020}}年，{{lang-en|sea}}"
    assert rendered(text, lang="zh") == "长93米（305英尺），建于2020年，英语：sea"


def test_variant_marks_stay_text_when_the_wiki_is_not_chinese() -> None:
    assert rendered("x -{y}- z") == "x -{y}- z"


def test_categories_are_listed_once_and_not_from_comments() -> None:
    text = "[[Category:Cats|x]] <!-- [[Category:Dogs]] --> [[分类:猫]] [[category: Cats ]]"
    assert wikitext.categories(text) == ["Cats", "猫"]


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("before\n\n{{Infobox\n| a = b\n\nafter", "after"),
        ("before [[a|b and after", "after"),
        ("before <ref>note and after", "after"),
        ("before\n{|\n| cell\n\nafter", "after"),
        ("x }} y ]] z |} after", "after"),
        ("before <nowiki>and <i>soon</i> after", "and soon after"),
    ],
)
def test_text_survives_when_a_bracket_is_never_closed(text: str, kept: str) -> None:
    assert kept in rendered(text)


N = 20_000
HOSTILE = {
    "braces": "{" * 4 * N,
    "templates": "{{x|" * N,
    "nested": "{{nowrap|" * N + "}}" * N,
    "arguments": "{{lang|" + "a|" * N + "}}",
    "links": "[[a|" * N,
    "links against braces": "{{" * N + "[[" * N + "}}" * N,
    "tables": "\n{|" * N,
    "references": "<ref>" * N,
    "tag": "<" + "a" * 4 * N,
    "comments": "<!--" * N,
    "external": "[http://" + "a" * 4 * N,
    "variants": "-{zh:" * N + "}-" * N,
    "holes": "{{x}} " * N + "y",
    "brackets": "({{x}} " * N,
    "blanks": "x {{y}}" + " " * 4 * N + "z",
    "quotes": "'" * 4 * N,
    "entity": "&#" + "9" * N + ";",
    "numbers": "{{convert|" + "1|to|" * N + "2|m}} {{convert|1." + "0" * 400 + "|m}} {{as of|2020|" + "9" * 5000 + "}}",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_text_costs_no_more_than_its_length(name: str) -> None:
    # A quadratic scan of these takes minutes; 20 s leaves room for the slowest machine.
    started = time.process_time()
    rendered(HOSTILE[name], lang="zh")
    assert time.process_time() - started < 20


MARKS = (
    "[[ ]] [ ] {{ }} { } | {| |} -{ }- = == ''' <ref> </ref> < > <!-- --> * : ; a File: Category: zh-cn: lang| ( )"
    " convert|1|m http:// , \n"
)
TOKENS = st.lists(st.sampled_from(MARKS.split(" ")), max_size=40)
LINES = TOKENS.map(" ".join) | TOKENS.map("".join)


@settings(max_examples=200, deadline=None)
@given(LINES, st.sampled_from(["en", "zh"]))
def test_render_leaves_no_link_marks_in_any_text_of_marks(text: str, lang: str) -> None:
    shown = rendered(text, lang=lang)
    assert not ("[[" in shown and "]]" in shown)
    assert not any(mark in shown for mark in "\0\1\2\3")
