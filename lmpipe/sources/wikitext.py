"""Render wikitext as the plain text a reader of the article sees, without holes and in linear time.

Four passes, each a single scan, so that no page, however broken, costs more than a little per
character: tags (wikitext_tags.py), brackets (wikitext_brackets.py), marks (quotes, external links,
entities; here) and lines (wikitext_lines.py). What most pages are full of never reaches Python
code: "".join(PATTERN.split(text)) puts a group in place of each match without leaving C.

Kept: prose, headings, list items, the words of links, formulas (<math>) as their TeX, <pre>, the in-line
templates of wikitext_table.py and wikitext_local.py, and what the parser functions of wikitext_functions.py
evaluate to. Dropped on purpose: tables, pictures with their
captions, galleries, references, timelines, scores, program listings (<syntaxhighlight>), and
templates nobody has written down there. What a dropped template leaves behind ("Albedo () or",
" ,") is mended where the template stood (HOLE), and nowhere else: f() in prose stays.
"""

import re
from typing import NamedTuple

from lmpipe.sources.wikitext_brackets import Brackets
from lmpipe.sources.wikitext_chinese import convert_page
from lmpipe.sources.wikitext_lines import layout
from lmpipe.sources.wikitext_marks import APOSTROPHE, EQUALS, HOLE, MARKS, PIPE
from lmpipe.sources.wikitext_names import CATEGORY_NAMES
from lmpipe.sources.wikitext_tags import resolve_tags, unescaped
from lmpipe.sources.wikitext_templates import Page

SIMPLE_LINK = re.compile(r"\[\[(?:[^\[\]{}|\n:#]*\|)?([^\[\]{}|\n:#\s][^\[\]{}|\n:]*)\]\]")
"""Four of five links: no namespace, nothing nested; what is shown is the group."""
CATEGORY = re.compile(r"\[\[[ _]*(?:" + "|".join(sorted(CATEGORY_NAMES)) + r")[ _]*:[ _]*([^\[\]|{}\n]+)", re.I)

QUOTES = re.compile("''+")
LONG_QUOTES = re.compile("''''+")
EXTERNAL = re.compile(
    r"\[(?:(?i:https?:|ftps?:|ircs?:|git:|svn:|gopher:)?//|(?i:mailto|news|tel|urn|geo):)[^\s\[\]]*+"
    r"([^\[\]\n]*+(?:\[[^\[\]\n]*+\][^\[\]\n]*+)?+)\]"
)
LEFT_OPENERS = re.compile(r"\[(?:[ \t]*\x03[ \t\x03]*)?\[")
LEFT_CLOSERS = re.compile(r"\](?:[ \t]*\x03[ \t\x03]*)?\]")
"""Single brackets that meet, or will when the HOLE (\\x03) between them is mended."""
MAGIC = re.compile(
    r"__(?i:(?:NO|FORCE)?TOC)__|__(?:NO)?(?:INDEX|EDITSECTION|GALLERY|TITLECONVERT|CONTENTCONVERT|TC|CC|NEWSECTIONLINK|GLOBAL)__"
    r"|__(?:NEWSECTIONLINK|HIDDENCAT|DISAMBIG|STATICREDIRECT|EXPECTUNUSEDCATEGORY|EXPECTED_UNCONNECTED_PAGE)__"
    r"|__(?:KEIN_?INHALTSVERZEICHNIS|INHALTSVERZEICHNIS_?(?:ERZWINGEN)?|AUCUN(?:_?SOMMAIRE|E?TDM)|SOMMAIRE|TDM"
    r"|(?:SIN_?|NO)?TDC|SEM(?:TDC|SUM[AÁ]RIO)|(?:NESSUN_?|FORZA_?)?INDICE|(?:GEEN|FORCEER)?INHOUD|BEZ_?SPISU|SPIS)__"
    r"|__(?=[!-~]{0,40}[^\0-~])[^\W\da-z_]{2,40}__"
)
"""Switches such as __NOTOC__; in other scripts whatever looks like one (__目次強制__, __БЕЗОГЛ__)."""
SET_ASIDE = re.compile("\1([0-9]+)\2")
"""KEPT, with the number of the text."""


class Rendered(NamedTuple):
    """An article as its readers see it."""

    text: str
    """Paragraphs, separated by blank lines."""
    templates: int
    """In-line content templates met: those with arguments, in the running text of a paragraph, heading or list item
    (not in a table, reference or picture, nor inside a template that is dropped), whose name is not furniture
    (wikitext_furniture.py); a lost one counts only where its line shows a word besides."""
    templates_lost: int
    """Those of them that left no text: lmpipe does not know them."""


def render(wikicode: str, *, variant: str, lang: str | None, title: str) -> Rendered:
    """Return what a reader sees of `wikicode`.

    `variant` (zh-hans or zh-hant) resolves -{ }- when `lang` is Chinese; `title` answers {{PAGENAME}}.
    """
    page = Page(
        variant=variant,
        lang=(lang or "").partition("-")[0].lower(),
        title="".join(char for char in title if char not in MARKS),
    )
    for mark in MARKS:
        wikicode = wikicode.replace(mark, "") if mark in wikicode else wikicode
    if page.lang == "zh":
        wikicode = convert_page(wikicode, variant)
    text = "".join(SIMPLE_LINK.split(resolve_tags(wikicode, page.kept)))
    brackets = Brackets(page)
    text, lost = layout(resolve_marks(brackets.render(text)))
    if page.kept:
        text = SET_ASIDE.sub(lambda match: page.kept[int(match[1])], text)
    return Rendered(text, brackets.shown + lost, lost)


def categories(wikicode: str) -> list[str]:
    """List the categories named in `wikicode`, in order, without those in comments."""
    if "<!--" in wikicode:
        first, *rest = wikicode.split("<!--")
        wikicode = first + "".join(piece.partition("-->")[2] for piece in rest)
    found = (match.strip().replace("_", " ") for match in CATEGORY.findall(wikicode))
    return [name for name in dict.fromkeys(found) if name]


def resolve_marks(text: str) -> str:
    """Remove quotes, external links and magic words; decode entities, once: &amp;nbsp; is shown as &nbsp;."""
    if "[" in text:
        text = EXTERNAL.sub(lambda match: match[1].strip() or HOLE, text)
        if LEFT_OPENERS.search(text) and LEFT_CLOSERS.search(text):
            text = LEFT_CLOSERS.sub("", LEFT_OPENERS.sub("", text))
    if "''" in text:
        text = without_quotes(text)
    if "__" in text:
        text = MAGIC.sub("", text)
    text = text.replace(PIPE, "|").replace(EQUALS, "=")
    if "&" in text:
        text = unescaped(text)
    return text.replace("\xa0", " ")


def without_quotes(text: str) -> str:
    """Remove the apostrophes that mean bold and italic."""
    if "''''" in text:
        text = LONG_QUOTES.sub(long_quotes, text)
    out, done, place = [], 0, text.find("'''")
    while place >= 0:
        start, end = text.rfind("\n", 0, place) + 1, text.find("\n", place)
        end = end if end >= 0 else len(text)
        cut = apostrophe(text[start:end])
        if cut is not None:
            out.append(text[done : start + cut] + APOSTROPHE)
            done = start + cut + 1
        place = text.find("'''", end)
    text = "".join(out) + text[done:]
    return QUOTES.sub("", text).replace(APOSTROPHE, "'")


def long_quotes(match: re.Match[str]) -> str:
    """Four apostrophes are bold behind one of text; of more than five, the last five are bold and italic."""
    shown = 1 if len(match[0]) == 4 else len(match[0]) - 5
    return APOSTROPHE * shown + match[0][shown:]


def apostrophe(line: str) -> int | None:
    """Find the apostrophe of l'''Avion'' that is text, as MediaWiki's doQuotes: only in a line that is unbalanced."""
    spans = [match.span() for match in QUOTES.finditer(line)]
    bold, italic = (sum(end - start in (length, 5) for start, end in spans) for length in (3, 2))
    if bold % 2 == 0 or italic % 2 == 0:
        return None
    befores = [(start, line[max(start - 2, 0) : start]) for start, end in spans if end - start == 3]
    letters = [start for start, before in befores if before[-1:] != " " and before[:-1] == " "]
    words = [start for start, before in befores if before[-1:] != " "]
    return (letters or words or [befores[0][0]])[0] if befores else None
