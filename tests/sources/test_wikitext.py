"""What a reader sees of wikitext, case by case; and that no text, however broken, is slow or raises."""

import bz2
import re
import time
from functools import reduce
from html import unescape
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmpipe.sources import wikitext
from lmpipe.sources.holes import visible_holes
from lmpipe.sources.wikitext_marks import MARKS


def rendered(text: str, *, lang: str = "en", variant: str = "zh-hans", title: str = "Title") -> str:
    return wikitext.render(text, variant=variant, lang=lang, title=title).text


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
        ("a [mailto:x@y.org write] [/not a link] b", "a write [/not a link] b"),
        ("[[Paveikslas:a.JPG|mini|Text]]b [[:File:c.png]]", "b File:c.png"),
        ("[[commons:File:a.jpg|the picture]]", "the picture"),
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
        ("'''A''' : l'''Avion'' x", "A : l'Avion x"),
        ("the ''Iliad'''s end\nand '''bold''' text", "the Iliad's end\nand bold text"),
        ("__目次強制__a __KEIN_INHALTSVERZEICHNIS__b __FILE__ c", "a b __FILE__ c"),
        ('a <!-- x --><ref>b <!-- y --></ref><ref name=a/>, c<ref name="d/e">f</ref>', "a, c"),
        ("<nowiki><ref>a</ref></nowiki> b<ref>c</ref>", "<ref>a</ref> b"),
        ("a\tb  c \t d", "a b c d"),
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
        ("; term : meaning\n; a: b\n;at 10:30", "term\nmeaning\na\nb\nat 10:30"),
        ("* {{flagicon|FR}}\n*\n* a", "a"),
        ("a\n\n\n\n----\n\nb", "a\n\nb"),
        ("a\n{{infobox|b={{c|d}}}}\n{{-}}\n{|\n|e\n|}\nf", "a\n\nf"),
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
        (
            "at {{coord|10|36|N|172|24|E}} {{coord|12.5|-3.2}}{{coord|1|2|display=title}}.",
            "at 10°36′N 172°24′E 12.5, -3.2.",
        ),
        ("{{HMS|Ajax|22|6}}, {{sclass|Leander|cruiser}}, {{hms|1|2|3}}", "HMS Ajax, Leander-class cruiser, 1h 2m 3s"),
        ("born {{OldStyleDateNY|February 2|January 20}}, 1905", "born February 2 [O.S. January 20], 1905"),
        ("({{etymology|la|albedo|whiteness}})", "(Latin albedo 'whiteness')"),
        ("{{columns-list|colwidth=30em|\n* a\n* b}}", "a\nb"),
        ("{{ubl|a|b}} {{unichar|0041|A}} {{key press|Ctrl|C}}", "a\nb U+0041 A Ctrl+C"),
        ("{{age|1990|1|31|2000|1|1}} {{korean|hangul=한글|rr=hangeul}}", "9 한글; hangeul"),
        ("{{lang|el|a {{x|y}} b}} {{nowrap|[[c|d]] {{small|e|f=g}}}}", "a b d e"),
    ],
)
def test_inline_templates_keep_what_readers_see(text: str, shown: str) -> None:
    assert rendered(text) == shown


@pytest.mark.parametrize(
    ("text", "lang", "shown"),
    [
        (
            '{{laS|Rhenus}}, {{Höhe|193|DE}}, {{"|Wort}}, {{formatnum:1234.5}}',
            "de",
            "lateinisch Rhenus, 193 m, „Wort“, 1.234,5",
        ),
        ("{{date|1|janvier|2000}}, {{XIXe siècle}}, {{s|XX|e}}", "fr", "1 janvier 2000, XIXe siècle, XXe siècle"),
        ("{{unité|1234|km}} {{citation|mot}} {{n°|5}} {{1er}}", "fr", "1 234 km « mot » no 5 1er"),
        ("{{lien|trad=Foo|fr=Bar|lang=en}} de {{Ier siècle av. J.-C.}}", "fr", "Bar de Ier siècle av. J.-C."),
        (
            "{{lang-en|Moscow}}, {{нп5|Имя|Имени|en|Name}}, {{дата|1|1|2000}}",
            "ru",
            "англ. Moscow, Имени, 1 января 2000",
        ),
        ("{{fecha|1|2|1990}}, {{siglo|XIX||s}}, {{unidad|5|km}}", "es", "1 de febrero de 1990, siglo XIX, 5 km"),
        (
            "{{仮リンク|猫|en|Cat}}、{{要出典範囲|本当|date=2020}}、{{De|Wort}}、{{生年月日と年齢|1990|1|2}}",
            "ja",
            "猫、本当、Wort、1990年1月2日",
        ),
        (
            "{{bd|1900年|1月1日|1980年|2月2日}}，{{link-en|约翰|John}}，{{分数|1|2}}",
            "zh",
            "1900年1月1日－1980年2月2日，约翰，1/2",
        ),
        ("{{vol-lv|augi}}", "ltg", "augi"),
    ],
)
def test_inline_templates_of_other_wikis_show_their_text(text: str, lang: str, shown: str) -> None:
    assert rendered(text, lang=lang) == shown


@pytest.mark.parametrize(
    ("text", "templates", "lost"),
    [
        ("a {{convert|1|m}} and {{lang|fr|mot}} b", 2, 0),
        ("a {{unheard of|1|m}} and {{lang|fr|mot}} b", 2, 1),
        ("a {{lang|fr|b {{unheard of|b}} c}}", 2, 1),
        ("a{{sfn|Smith|1990}} {{citation needed|date=x}} {{flagicon|FR}} {{coord|1|2|display=title}}", 0, 0),
        ("a\n{{unheard of|1}}\n* {{unheard of|2}}\n== {{unheard of|3}} ==\nb", 0, 0),
        ("a<ref>{{unheard of|1}}</ref> [[File:a.jpg|{{lang|fr|c}} {{unheard of|1}}]]", 0, 0),
        ("a\n{|\n| {{unheard of|2}} {{lang|fr|b}}\n|}", 0, 0),
        ("{{infobox|a={{unheard of|1}} {{lang|fr|b}}}} c {{unheard of}} {{snd}}", 0, 0),
    ],
)
def test_templates_are_counted_when_they_stand_in_the_running_text(text: str, templates: int, lost: int) -> None:
    result = wikitext.render(text, variant="zh-hans", lang="en", title="")
    assert (result.templates, result.templates_lost) == (templates, lost)


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
    "bold": "l'''a''" * N,
    "rules": "".join(f"-{{H|zh-tw:甲{n};zh-cn:乙{n}}}-" for n in range(N // 10)) + "甲" * N,
    "flags": "-{" + " " * 4 * N + "-{H|" + "zh:a;" * N + "}-",
    "unclosed and dropped": "{{x|\n{|" * N + "}}" * N,
    "tables against templates": "\n{| }}" * N,
    "switch": "__" * N + "Ж" * 4 * N,
    "name": "{{" + "a" * 4 * N + "|b}}",
    "entity": "&#" + "9" * N + ";",
    "rules by place": "".join(f"-{{H|zh-tw:甲{n};zh-cn:乙{n}}}-字甲{n}" for n in range(N // 10)),
    "comments on lines": "\n<!-- -" * N,
    "functions": "{{#if:x|" * N + "}}" * N,
    "short form": "[[" + " (" * N + ")" * N + "|]]",
    "numbers": "{{convert|" + "1|to|" * N + "2|m}} {{convert|1." + "0" * 400 + "|m}} {{as of|2020|" + "9" * 5000 + "}}",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_text_costs_no_more_than_its_length(name: str) -> None:
    # A quadratic scan of these takes minutes; 20 s leaves room for the slowest machine.
    started = time.process_time()
    rendered(HOSTILE[name], lang="zh")
    assert time.process_time() - started < 20


MARKUP = (
    "[[ ]] [ ] {{ }} { } | {| |} -{ }- = == ''' <ref> </ref> < > <!-- --> * : ; a File: Category: zh-cn: lang| ( )"
    " convert|1|m http:// , \n"
)
TOKENS = st.lists(st.sampled_from(MARKUP.split(" ")), max_size=40)
LINES = TOKENS.map(" ".join) | TOKENS.map("".join)


@settings(max_examples=300)
@given(LINES, st.sampled_from(["en", "zh"]))
def test_render_leaves_no_link_marks_in_any_text_of_marks(text: str, lang: str) -> None:
    shown = rendered(text, lang=lang)
    assert not ("[[" in shown and "]]" in shown)
    assert not any(mark in shown for mark in MARKS)


@given(st.text(), st.sampled_from(["en", "zh", "fr"]))
def test_render_takes_any_text(text: str, lang: str) -> None:
    result = wikitext.render(text, variant="zh-hans", lang=lang, title=text)
    assert 0 <= result.templates_lost <= result.templates


WORDS = 'Albedo (or reflection) — f() 5% 的 反射，率。 ça \'tis "so" a/b x=y a|b: ; # 12.5 [1]'
PROSE = st.lists(st.sampled_from(WORDS.split()), min_size=1)


@given(st.lists(PROSE.map(" ".join).map("A {}".format), min_size=1).map("\n\n".join))
def test_prose_without_marks_stays_as_it_is(text: str) -> None:
    assert rendered(text) == text


WRAPPERS = (
    "{{nowrap|%s}}",
    "{{unheard of|a=%s|b}} c",
    "[[target|%s]]",
    "b '''%s''' c",
    "\n{|\n| %s\n|}\n",
    "-{zh-cn:%s;zh-tw:b}-",
    "word（%s）",
    "{{snd}}%s<br>1 < 2 <ref>{{x|a=[[b]]}}</ref>",
    "<!-- {{ -->%s|{{{a|b}}}",
    "[[File:a.jpg|thumb|%s]]",
)
NESTED = st.lists(st.sampled_from(WRAPPERS), max_size=8).map(
    lambda wrappers: reduce(lambda inner, wrapper: wrapper % inner, wrappers, "字")
)
WELL_FORMED = st.lists(NESTED, min_size=1, max_size=4).map(" ".join)


@settings(max_examples=300)
@given(WELL_FORMED)
def test_no_markup_is_left_of_well_formed_text(text: str) -> None:
    shown = rendered(text, lang="zh")
    assert not any(mark in shown for mark in ("{{", "}}", "[[", "]]", "''", "{|", "|}", "<ref", "-{", "}-"))


@pytest.mark.parametrize(("file", "lang"), [("enwiki-sample-2", "en"), ("jawiki-sample", "ja")])
def test_real_articles_show_no_markup_and_few_holes(corpora: Path, file: str, lang: str) -> None:
    dump = bz2.decompress((corpora / "wikipedia" / f"{file}.xml.bz2").read_bytes()).decode()
    articles = [page for page in dump.split("<page>") if "<ns>0</ns>" in page]
    pages = [
        unescape(text) for page in articles for text in re.findall(r"<text[^>]*>(.{4000,})</text>", page, re.DOTALL)
    ]
    assert len(pages) > 90
    shown = [wikitext.render(page, variant="zh-hans", lang=lang, title="") for page in pages]
    assert not any("{{" in result.text or "[[" in result.text for result in shown)
    assert sum(visible_holes(result.text) > 0 for result in shown) <= 0.02 * len(shown)
    assert sum(result.templates_lost for result in shown) <= 0.05 * sum(result.templates for result in shown)
