"""Render wikitext as the plain text a reader of the article sees, without holes and in linear time.

Four passes, each a single scan, so that no page, however broken, costs more than a little per
character: tags (<...>), brackets ({{ }}, [[ ]], {| |}, -{ }-, with one explicit stack), marks
(quotes, external links, entities) and lines (headings, lists).

Kept: prose, headings, list items, the words of links, formulas (<math>) as their TeX, <pre> and the
in-line templates of wikitext_table.py. Dropped on purpose: tables, pictures with their
captions, galleries, references, timelines, scores, program listings (<syntaxhighlight>), and
templates nobody has written down there. What a dropped template leaves behind ("Albedo () or",
" ,") is mended where the template stood (HOLE), and nowhere else: f() in prose stays.
"""

import html
import re
from collections.abc import Callable
from operator import itemgetter

from lmpipe.sources.wikitext_lines import HOLE, layout
from lmpipe.sources.wikitext_names import CATEGORY_NAMES, FILE_NAMES, words
from lmpipe.sources.wikitext_table import expand
from lmpipe.sources.wikitext_templates import Page

SEPARATOR = "\0"
"""Stands for a | between arguments while a bracket is open."""
MAX_DEPTH = 40
"""Brackets nested deeper render as nothing (MediaWiki's $wgMaxTemplateDepth was 40): bounds copying."""

INTERLANGUAGE = re.compile(r"(?:[a-z]{2,3}|simple)(?:-[a-z]{2,8})*|be-x-old")
"""Codes of other Wikipedias; a link [[de:...]] without a label goes to the margin, not the text."""
CATEGORY = re.compile(r"\[\[[ _]*(?:" + "|".join(sorted(CATEGORY_NAMES)) + r")[ _]*:[ _]*([^\[\]|{}\n]+)", re.I)

TAG = re.compile(r"<(?:(!--)|(/?)([a-zA-Z][a-zA-Z0-9]*+)([^<>]*+)>)")
"""Possessive (*+), as all patterns here that could otherwise try a long text again for each of its letters."""
BLOCK_TAGS = words("br p div li ul ol dl dt dd tr hr blockquote center h1 h2 h3 h4 h5 h6 poem")
"""Tags that begin a new line."""
DROPPED = words(
    "ref references gallery table timeline score syntaxhighlight source imagemap graph templatestyles mapframe maplink"
    " inputbox hiero indicator categorytree includeonly style script"
)
"""Elements that go with all they enclose."""
LITERAL = words("nowiki pre math chem ce")
"""Elements whose content is not wikitext."""
INLINE_TAGS = (
    words(
        "b i u s del ins em strong strike small big sub sup span font tt code kbd samp var abbr bdi bdo cite q ruby rb"
        " rt rp rtc a wbr mark dfn time data th td caption thead tbody tfoot col colgroup noinclude onlyinclude section"
        " translate nobr langconvert noscript img"
    )
    | DROPPED
    | LITERAL
)
"""Tags that vanish; what they enclose stays. Anything else in < > is text, such as <stdio.h>."""
CLOSERS = {
    name: re.compile("</" + "".join(f"[{letter}{letter.upper()}]" for letter in name) + r"\s*>")
    for name in DROPPED | LITERAL
}
"""What ends each element; without re.IGNORECASE, which would cost the fast search for "</"."""
SUPERSCRIPT = re.compile(r"<sup>([0-9+−–-]{1,6}|n|i)</sup>")
RAISED = str.maketrans("0123456789+-−–ni", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁻⁻ⁿⁱ")

SIMPLE_LINK = re.compile(r"\[\[(?:[^\[\]{}|\n:#]*\|)?([^\[\]{}|\n:#\s][^\[\]{}|\n:]*)\]\]")
"""Four of five links: no namespace, nothing nested; what is shown is the group."""
BRACKETS = r"\{\{+|\[\[+|\]\]|\||\n[ \t:*#]*\{\||\n[ \t]*\|\}(?!\})"
PLAIN_TOKEN = re.compile(rf"({BRACKETS}|\}}\}}+)")
CHINESE_TOKEN = re.compile(rf"({BRACKETS}|\}}\}}+-?|\}}-|-\{{(?=[^{{]|\{{\{{))")

QUOTES = re.compile("'{2,}")
QUOTE_TEXT = {4: "'"}
"""What runs of apostrophes leave: four are bold and one of text."""
EXTERNAL = re.compile(
    r"\[(?:https?:|ftps?:|mailto:|news:|irc:)?//?[^\s\[\]]*+([^\[\]\n]*+(?:\[[^\[\]\n]*+\][^\[\]\n]*+)?+)\]"
)
LEFT_OPENERS = re.compile(r"\[(?:[ \t]*\x03[ \t\x03]*)?\[")
LEFT_CLOSERS = re.compile(r"\](?:[ \t]*\x03[ \t\x03]*)?\]")
"""Single brackets that meet, or will when the HOLE (\\x03) between them is mended."""
HUGE_ENTITY = re.compile("&#[xX]?[0-9a-fA-F]{8,}")
"""Beyond Unicode; html.unescape would raise on the longest of them."""
MAGIC = re.compile(
    r"__(?:NO|FORCE)?TOC__|__(?:NO)?(?:INDEX|EDITSECTION|GALLERY|TITLECONVERT|CONTENTCONVERT|TC|CC|NEWSECTIONLINK|GLOBAL)__"
    r"|__(?:NEWSECTIONLINK|HIDDENCAT|DISAMBIG|STATICREDIRECT|EXPECTUNUSEDCATEGORY|目次|目次強制|無目次)__"
)
KEPT = re.compile("\1([0-9]+)\2")
"""Stands for text that is not wikitext, until the end."""

BRACES = frozenset(("{{", "{{{", "-{"))
VARIANTS = {
    "zh-hans": ("zh-hans", "zh-cn", "zh-sg", "zh-my", "zh"),
    "zh-hant": ("zh-hant", "zh-tw", "zh-hk", "zh-mo", "zh"),
}
"""In which order the sides of -{ }- are looked for (MediaWiki's LanguageConverter)."""
RULE = re.compile(r";(?=[^;]*?\bzh(?:-[a-z]+)?\s*:)")
HIDDEN_FLAGS = frozenset("HT-")


def render(wikitext: str, *, variant: str, lang: str, title: str) -> str:
    """Return what a reader sees of `wikitext`, paragraphs separated by blank lines.

    `variant` (zh-hans or zh-hant) resolves -{ }- when `lang` is Chinese; `title` answers {{PAGENAME}}.
    """
    page = Page(variant=variant, lang=lang.partition("-")[0].lower(), title=title)
    for mark in ("\0", "\1", "\2", HOLE):
        wikitext = wikitext.replace(mark, "")
    text = SIMPLE_LINK.sub(itemgetter(1), resolve_tags(wikitext, page.kept))
    text = layout(resolve_marks(Brackets(page).render(text)))
    return KEPT.sub(lambda match: page.kept[int(match[1])], text) if page.kept else text


def categories(wikitext: str) -> list[str]:
    """List the categories named in `wikitext`, in order, without those in comments."""
    if "<!--" in wikitext:
        first, *rest = wikitext.split("<!--")
        wikitext = first + "".join(piece.partition("-->")[2] for piece in rest)
    found = (match.strip().replace("_", " ") for match in CATEGORY.findall(wikitext))
    return [name for name in dict.fromkeys(found) if name]


def resolve_tags(text: str, kept: list[str]) -> str:
    """Remove comments and tags, drop or set aside what is not wikitext."""
    if "<sup>" in text:
        text = SUPERSCRIPT.sub(lambda match: match[1].translate(RAISED), text)
    out: list[str] = []
    unclosed: set[str] = set()
    place = 0
    while tag := TAG.search(text, place):
        out.append(text[place : tag.start()])
        place = tag.end()
        if tag[1]:
            end = text.find("-->", place)
            place = end + 3 if end >= 0 else len(text)  # as MediaWiki: an unclosed comment hides the rest
            continue
        name, attributes = tag[3].lower(), tag[4]
        if name not in CLOSERS or tag[2] or attributes.endswith("/") or name in unclosed:
            out.append(tag_text(name, tag[0]))
        elif closer := CLOSERS[name].search(text, place):
            out.append(element_text(name, attributes, text[place : closer.start()], kept))
            place = closer.end()
        else:
            unclosed.add(name)  # never searched for again: that would be quadratic
    out.append(text[place:])
    return "".join(out)


def tag_text(name: str, tag: str) -> str:
    """Say what a single tag leaves."""
    if name in BLOCK_TAGS:
        return "\n"
    return "" if name in INLINE_TAGS else tag


def element_text(name: str, attributes: str, content: str, kept: list[str]) -> str:
    """Say what an element leaves whose content is not wikitext."""
    if name in DROPPED and not (name == "syntaxhighlight" and "inline" in attributes):
        return ""
    content = content.strip("\n") if name == "pre" else content
    kept.append(tex(content) if name in ("math", "chem", "ce") else unescaped(content))
    token = f"\1{len(kept) - 1}\2"
    return f"\n{token}\n" if name == "pre" else token


def tex(source: str) -> str:
    """Keep a formula as its TeX source on one line, without the spacing commands."""
    spaced = " ".join(re.sub(r"\\(?:[,;!:]|displaystyle\b|textstyle\b)", " ", unescaped(source)).split())
    return spaced.replace("{{", "{ {").replace("}}", "} }")


def unescaped(text: str) -> str:
    """Decode entities once."""
    return html.unescape(HUGE_ENTITY.sub("\ufffd", text) if "&#" in text else text)


class Brackets:
    """One scan over {{ }}, [[ ]], {| |} and -{ }-, with a stack of what is open."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.kinds = [""]
        self.frames: list[list[str]] = [[]]
        self.open = dict.fromkeys(("{{", "{{{", "[[", "{|", "-{"), 0)

    def render(self, text: str) -> str:
        """Return `text` with all brackets resolved; openers that are never closed vanish."""
        chinese = self.page.lang == "zh" and "-{" in text
        tokens = (CHINESE_TOKEN if chinese else PLAIN_TOKEN).split("\n" + text)
        actions: dict[str, Callable[[str], None]] = {"{": self.open_braces, "}": self.close_braces, "[": self.open_link}
        actions |= {"]": self.close_link, "|": self.separate, "\n": self.table, "-": self.open_variant}
        self.frames[0].append(tokens[0])
        for index in range(1, len(tokens), 2):
            token = tokens[index]
            actions[token[0]](token)
            if tokens[index + 1]:
                self.frames[-1].append(tokens[index + 1])
        self.unwind(1)
        return "".join(self.frames[0])

    def push(self, kind: str) -> None:
        """Open a bracket."""
        self.kinds.append(kind)
        self.frames.append([])
        self.open[kind] += 1

    def unwind(self, level: int) -> None:
        """Turn the brackets from `level` up, which were never closed, into text, in one go."""
        if level < len(self.frames):
            pieces = [piece for frame in self.frames[level:] for piece in frame]
            for kind in self.kinds[level:]:
                self.open[kind] -= 1
            del self.kinds[level:], self.frames[level:]
            self.frames[-1].append("".join(pieces).replace(SEPARATOR, "|"))

    def pop(self, kind: str) -> str | None:
        """Close the innermost bracket of `kind` and return its content, or None when it is too deep.

        Those inside it that are still open become text; each frame is looked at once in its life.
        """
        level = len(self.kinds) - 1
        while self.kinds[level] != kind:
            level -= 1
        self.unwind(level + 1)
        self.kinds.pop()
        self.open[kind] -= 1
        frame = self.frames.pop()
        return "".join(frame) if level <= MAX_DEPTH else None

    def emit(self, text: str) -> None:
        """Append to the innermost open bracket."""
        self.frames[-1].append(text)

    def separate(self, token: str) -> None:
        """Take | as a separator inside a template or a link, else as text."""
        self.emit(SEPARATOR if self.kinds[-1] in ("{{", "[[", "{{{") else token)

    def open_braces(self, token: str) -> None:
        """Open templates, the innermost of an odd run being a parameter: {{{1}}}."""
        odd = len(token) % 2
        for _ in range(len(token) // 2 - odd):
            self.push("{{")
        if odd:
            self.push("{{{")

    def close_braces(self, token: str) -> None:
        """Close templates, parameters and, at }-, a language variant."""
        braces, dash = token.count("}"), token.endswith("-")
        while braces >= 2 and (self.open["{{"] or self.open["{{{"]):
            level = next(level for level in reversed(range(len(self.kinds))) if self.kinds[level] in BRACES)
            kind = self.kinds[level]
            if kind == "-{":
                if dash:
                    break
                self.unwind(level)
            elif kind == "{{{" and braces >= 3:
                self.emit(parameter(self.pop(kind)))
                braces -= 3
            else:
                self.emit(self.template(self.pop(kind)))
                braces -= 2
        if dash and braces and self.open["-{"]:
            self.emit("}" * (braces - 1))
            self.emit(resolve_variant(self.pop("-{") or "", self.page.variant))
        else:
            self.emit(("}" if braces == 1 else "") + ("-" if dash else ""))

    def template(self, content: str | None) -> str:
        """Say what a template leaves."""
        return HOLE if content is None else expand(content.split(SEPARATOR), self.page)

    def open_link(self, token: str) -> None:
        """Open links; an odd bracket before them is text."""
        self.emit("[" * (len(token) % 2))
        for _ in range(len(token) // 2):
            self.push("[[")

    def close_link(self, token: str) -> None:
        """Close a link, unless a bracket opened after it is still open: then ]] is text."""
        if self.kinds[-1] == "[[":
            self.emit(link_text((self.pop("[[") or "").split(SEPARATOR)))
        else:
            self.emit(token)

    def table(self, token: str) -> None:
        """Open or drop a table."""
        if token.endswith("{|"):
            self.push("{|")
        elif self.open["{|"]:
            self.pop("{|")
            self.emit("\n")
        else:
            self.emit("\n")
            self.separate("|")
            self.emit("}")

    def open_variant(self, token: str) -> None:
        """Open -{."""
        self.push("-{")


def parameter(content: str | None) -> str:
    """Say what {{{name|default}}} leaves: an article has no parameters, so the default."""
    return (content or "").partition(SEPARATOR)[2].replace(SEPARATOR, "|")


def link_text(parts: list[str]) -> str:
    """Say what [[target|label]] leaves."""
    target = parts[0].strip()
    if "\n" in target or "[" in target:
        return "|".join(parts)
    namespace, colon, _ = target.partition(":")
    if colon:
        namespace = namespace.strip().lower().replace(" ", "_")
        if namespace in FILE_NAMES or namespace in CATEGORY_NAMES:
            return HOLE
        if len(parts) == 1 and INTERLANGUAGE.fullmatch(namespace):
            return HOLE
    label = "|".join(parts[1:]).strip("\n")
    return label if label.strip() else target.lstrip(":#").strip()


def resolve_variant(content: str, variant: str) -> str:
    """Say what -{flags|zh-hans:a; zh-hant:b}- leaves for readers of `variant`.

    Conversions for the rest of the page (flags H and A) are not applied to it: only MediaWiki's
    tables could do that completely.
    """
    flags, bar, rules = content.partition("|")
    if not bar or not re.fullmatch(r"[A-Za-z;\s-]*", flags):
        flags, rules = "", content
    if HIDDEN_FLAGS & set(flags.upper() if not flags.strip().lower().startswith("zh") else ""):
        return HOLE
    sides: dict[str, str] = {}
    for rule in RULE.split(rules):
        code, colon, text = rule.rpartition("=>")[2].partition(":")
        if not colon or not re.fullmatch(r"zh(?:-[a-z]+)?", code.strip().lower()):
            return rules
        sides[code.strip().lower()] = text.strip().rstrip(";").rstrip()
    return next((sides[code] for code in VARIANTS[variant] if code in sides), next(iter(sides.values())))


def resolve_marks(text: str) -> str:
    """Remove quotes, external links and magic words; decode entities, once: &amp;nbsp; is shown as &nbsp;."""
    if "[" in text:
        text = EXTERNAL.sub(lambda match: match[1].strip() or HOLE, text)
    if "''" in text:
        text = QUOTES.sub(lambda match: QUOTE_TEXT.get(len(match[0]), ""), text)
    if "__" in text:
        text = MAGIC.sub("", text)
    if LEFT_OPENERS.search(text) and LEFT_CLOSERS.search(text):
        text = LEFT_CLOSERS.sub("", LEFT_OPENERS.sub("", text))
    if "&" in text:
        text = unescaped(text)
    return text.replace("\xa0", " ")
