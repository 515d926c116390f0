"""Resolve the tags of wikitext: comments and references go, formulas and literal text are set aside.

Most tags of an article are references and comments. Where no literal text is about, those leave in
two substitutions; the scan for all others then meets a tenth of the tags.
"""

import html
import re
from html.entities import html5

from lmpipe.sources.wikitext_marks import HOLE, KEPT
from lmpipe.sources.wikitext_names import words

COMMENT = re.compile("<!--.*?-->", re.DOTALL)
LINE_COMMENT = re.compile(r"\n<!--[^-]*+(?:-(?!->)[^-]*+)*+-->[ \t]*+(?=\n)")
"""A comment with a line of its own, which goes with its line: it parts no paragraphs."""
REFERENCE = re.compile(r"<ref(?:[ \t\n][^<>]*)?+(?:(?<=/)>|>[^<]*+</ref>)")
"""A reference without tags in it, by far the most; the lookbehind tells <ref name=x/> from <ref name=x>."""
TAG = re.compile(r"<(?:(!--)|(/?)([a-zA-Z][a-zA-Z0-9]*+)([^<>]*+)>)")
"""Possessive (*+), as all patterns here that could otherwise try a long text again for each of its letters."""
BLOCK_TAGS = words("br p div li ul ol dl dt dd tr hr blockquote center h1 h2 h3 h4 h5 h6 poem")
"""Tags that begin a new line."""
LINE_TAGS = words("br li dt dd tr")
"""Those of them that part no paragraphs: next to an end of line they add none, nor do </li> and the like."""
DROPPED = words(
    "ref references gallery table timeline score syntaxhighlight source imagemap graph templatestyles mapframe maplink"
    " inputbox hiero indicator categorytree includeonly style script phonos templatedata"
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
LITERAL_OPENER = re.compile("<(?i:" + "|".join(sorted(LITERAL | {"source", "syntaxhighlight"})) + ")")
SUPERSCRIPT = re.compile(r"<sup>([0-9+−–-]{1,6}|n|i)</sup>")
RAISED = str.maketrans("0123456789+-−–ni", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁻⁻ⁿⁱ")
ENTITY = re.compile("&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[a-zA-Z][a-zA-Z0-9]{1,31});")
"""With its semicolon, without which MediaWiki shows it as it is: "?a=1&copy=2" is no sign."""


def resolve_tags(text: str, kept: list[str]) -> str:
    """Remove comments and tags, drop or set aside what is not wikitext."""
    if "<" not in text:
        return text
    if not LITERAL_OPENER.search(text):
        text = without_references(text)
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
            place += text[tag.start() - 1 : tag.start()] == "\n" == text[place : place + 1]
            continue
        name, attributes = tag[3].lower(), tag[4]
        if name not in CLOSERS or tag[2] or attributes.endswith("/") or name in unclosed:
            alone = "\n" in (text[tag.start() - 1 : tag.start()], text[place : place + 1])
            out.append("" if name in LINE_TAGS and (alone or (tag[2] and name != "br")) else tag_text(name, tag[0]))
        elif closer := CLOSERS[name].search(text, place):
            out.append(element_text(name, attributes, text[place : closer.start()], kept))
            place = closer.end()
        else:
            unclosed.add(name)  # never searched for again: that would be quadratic
    out.append(text[place:])
    return "".join(out)


def without_references(text: str) -> str:
    """Remove comments and plain references from a text that holds no literal elements."""
    # Behind the last "-->" none is closed: searching there for each "<!--" would be quadratic.
    if end := text.rfind("-->") + 1:
        text = COMMENT.sub("", LINE_COMMENT.sub("", text[: end + 3])) + text[end + 3 :]
    # "Riga <ref>...</ref>, a port": the hole lets wikitext_lines.py close the gap before the comma.
    return REFERENCE.sub("", text.replace(" <ref", f" {HOLE}<ref"))


def tag_text(name: str, tag: str) -> str:
    """Say what a single tag leaves."""
    if name in BLOCK_TAGS:
        return "\n"
    if name == "q":
        return '"'
    return "" if name in INLINE_TAGS else tag


def element_text(name: str, attributes: str, content: str, kept: list[str]) -> str:
    """Say what an element leaves whose content is not wikitext."""
    if name in DROPPED and not (name == "syntaxhighlight" and "inline" in attributes):
        return ""
    content = content.strip("\n") if name == "pre" else content
    kept.append(tex(content) if name in ("math", "chem", "ce") else unescaped(content))
    token = KEPT % (len(kept) - 1)
    return f"\n{token}\n" if name == "pre" else token


def tex(source: str) -> str:
    """Keep a formula as its TeX source on one line, without the spacing commands."""
    spaced = " ".join(re.sub(r"\\(?:[,;!:]|displaystyle\b|textstyle\b)", " ", unescaped(source)).split())
    return spaced.replace("{{", "{ {").replace("}}", "} }")


def unescaped(text: str) -> str:
    """Decode entities once; what is none, or no character, stays as it is."""
    return ENTITY.sub(decoded, text)


def decoded(match: re.Match[str]) -> str:
    """Decode one entity."""
    shown = html.unescape(match[0]) if match[0][1] == "#" else html5.get(match[0][1:], "")
    return match[0] if shown in ("", "\ufffd") else shown
