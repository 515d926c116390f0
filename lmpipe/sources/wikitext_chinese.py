"""Resolve Chinese LanguageConverter markup, -{ }-, for readers of one variant.

A page can also convert words of its own everywhere: by -{H|...}-, -{A|...}- and {{NoteTA}}. These
rules are applied to all text outside -{ }-, the longest word first, as MediaWiki does. Its tables for
the language as a whole are not: characters stay as the article's authors wrote them.
"""

import re

from lmpipe.sources.wikitext_marks import HOLE

VARIANTS = {
    "zh-hans": ("zh-hans", "zh-cn", "zh-sg", "zh-my", "zh"),
    "zh-hant": ("zh-hant", "zh-tw", "zh-hk", "zh-mo", "zh"),
}
"""In which order the sides of -{ }- are looked for (MediaWiki's LanguageConverter)."""
CODE = re.compile(r"zh(?:-[a-z]+)?")
SIDE = re.compile(r";(?=[^;]*?\bzh(?:-[a-z]+)?\s*:)")
"""A ; before another side; one within a text separates nothing."""
FLAGS = re.compile(r"[A-Za-z;\s+-]*")
HIDDEN_FLAGS = frozenset("HTD-")
"""Flags of markup that shows nothing where it stands."""

MARKUP = re.compile(r"(-\{[^{}]*+\}-)")
FLAGGED = re.compile(r"-\{([^{}|]*+)\|([^{}]*+)\}-")
PAGE_FLAGS = frozenset("HA+")
"""Flags of markup that holds for the rest of the page; applied to all of it, for authors put them at its top."""
NOTE = re.compile(r"\{\{[ \n]*+NoteTA([^{}]*+)\}\}", re.I)
"""{{NoteTA|T=title|G1=group|1=zh-cn:...;zh-tw:...}}; its groups are modules that a dump of pages lacks."""
NOTE_ARGUMENT = re.compile(r"\s*+(?:\d++\s*+=)?+([^=]*+(?:=>[^=]*+)*+)")
"""An argument without a name, or named by its number."""
MAX_RULES = 300
"""Rules of one page at most, for each is looked for at each character; the longest real lists have some hundred."""


def convert_page(text: str, variant: str) -> str:
    """Apply the rules that a page has for itself to its text outside -{ }-."""
    if "-{" not in text and "NoteTA" not in text:
        return text
    words = dict(pair for rule in page_rules(text)[:MAX_RULES] for pair in conversions(rule, variant))
    if not words:
        return text
    pattern = re.compile("|".join(map(re.escape, sorted(words, key=lambda word: (-len(word), word)))))
    pieces = MARKUP.split(text)
    pieces[::2] = [pattern.sub(lambda match: words[match[0]], piece) for piece in pieces[::2]]
    return "".join(pieces)


def page_rules(text: str) -> list[str]:
    """List what a page converts everywhere."""
    arguments = [argument for note in NOTE.findall(text) for argument in note.split("|")[1:]]
    found = [match[1] for argument in arguments if (match := NOTE_ARGUMENT.fullmatch(argument))]
    return found + [rule for flags, rule in FLAGGED.findall(text) if PAGE_FLAGS & set(flags.upper())]


def conversions(rule: str, variant: str) -> list[tuple[str, str]]:
    """List the words a rule replaces for readers of `variant`, each with its replacement."""
    found: list[tuple[str, str]] = []
    sides = {}
    for side in SIDE.split(rule):
        word, arrow, rest = side.rpartition("=>")
        code, colon, text = rest.partition(":")
        code, text = code.strip().lower(), text.strip().rstrip(";").rstrip()
        if not colon or not CODE.fullmatch(code):
            continue
        if arrow and word.strip() and code in VARIANTS[variant]:
            found.append((word.strip(), text))
        elif not arrow:
            sides[code] = text
    shown = next((sides[code] for code in VARIANTS[variant] if code in sides), None)
    if shown is not None:
        found += [(text, shown) for text in sides.values() if text and text != shown]
    return found


def resolve_variant(content: str, variant: str) -> str:
    """Say what -{flags|zh-hans:a; zh-hant:b}- leaves for readers of `variant`."""
    flags, bar, rules = content.partition("|")
    if not bar or not FLAGS.fullmatch(flags):
        flags, rules = "", content
    if flags.strip().lower().startswith("zh"):  # -{zh-hans;zh-hant|text}-: the text is for these variants
        codes = {code.strip().lower() for code in flags.split(";")}
        return rules if codes & set(VARIANTS[variant]) else HOLE
    if HIDDEN_FLAGS & set(flags.upper()):
        return HOLE
    if "R" in flags.upper():
        return rules
    sides: dict[str, str] = {}
    for side in SIDE.split(rules):
        code, colon, text = side.rpartition("=>")[2].partition(":")
        if not colon or not CODE.fullmatch(code.strip().lower()):
            return rules
        sides[code.strip().lower()] = text.strip().rstrip(";").rstrip()
    return next((sides[code] for code in VARIANTS[variant] if code in sides), next(iter(sides.values())))
