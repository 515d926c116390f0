"""Resolve Chinese LanguageConverter markup, -{ }-, for readers of one variant.

A page can also convert words of its own from some place on: by -{H|...}-, -{A|...}- and {{NoteTA}}, until
-{-|...}- takes a rule back. These rules are applied to the text outside -{ }-, the longest word first, as
MediaWiki does. Its tables for the language as a whole are not: characters stay as the article's authors
wrote them.
"""

import re
from collections.abc import Callable, Iterator

from lmpipe.sources.wikitext_marks import HOLE
from lmpipe.sources.wikitext_names import pairs

VARIANTS = {
    "zh-hans": ("zh-hans", "zh-cn", "zh-sg", "zh-my", "zh"),
    "zh-hant": ("zh-hant", "zh-tw", "zh-hk", "zh-mo", "zh"),
}
"""In which order the sides of -{ }- are looked for (MediaWiki's LanguageConverter)."""
VARIANT_NAMES = pairs(
    "zh=原文|zh-hans=简体|zh-hant=繁體|zh-cn=大陆|zh-tw=臺灣|zh-hk=香港|zh-mo=澳門|zh-sg=新加坡|zh-my=大马"
)
"""What -{N|zh-cn}- and -{D|...}- call a variant."""
CODE = re.compile(r"zh(?:-[a-z]+){0,2}")
LONG_CODE = re.compile(r"(?<=^zh-)han[st]-")
"""What zh-Hant-TW has more than zh-tw."""
SIDE = re.compile(r";(?=[^;]*?\bzh(?:-[a-z]+){0,2}\s*:)", re.I)
"""A ; before another side; one within a text separates nothing."""
FLAGS = re.compile(r"[A-Za-z;\s+-]*")
HIDDEN_FLAGS = frozenset("HT-+")
"""Flags of markup that shows nothing where it stands, unless A is among them."""

MARKUP = re.compile(r"(-\{[^{}]*+\}-|\{\{[ \n]*+NoteTA[^{}]*+\}\})", re.I)
"""What may hold rules; {{NoteTA|T=title|G1=group|1=zh-cn:...;zh-tw:...}}, whose groups are modules that a dump of
pages lacks."""
PAGE_FLAGS = frozenset("HA+-")
"""Flags of markup that holds for what follows."""
NOTE_ARGUMENT = re.compile(r"\s*+(?:\d++\s*+=)?+([^=]*+(?:=>[^=]*+)*+)")
"""An argument without a name, or named by its number."""
MAX_RULES = 300
"""Rules of one page at most, for each is looked for at each character; the longest real lists have some hundred."""


def convert_page(text: str, variant: str) -> str:
    """Apply the rules that a page has for itself to its text outside -{ }-."""
    if "-{" not in text and "oteTA" not in text:
        return text
    pieces = MARKUP.split(text)
    words: dict[str, str] = {}
    replace: Callable[[str], str] | None = None
    num_rules = 0
    for place, piece in enumerate(pieces):
        if place % 2:
            rules = list(page_rules(piece))[: MAX_RULES - num_rules]
            num_rules += len(rules)
            replace = None if rules else replace
            for rule, is_lifted in rules:
                changed = dict(conversions(rule, variant))
                words = {word: shown for word, shown in words.items() if word not in changed}
                words |= {} if is_lifted else changed
        elif words and piece:
            replace = replace or replacer(words)
            pieces[place] = replace(piece)
    return "".join(pieces)


def replacer(words: dict[str, str]) -> Callable[[str], str]:
    """Make a function that replaces words, the longest first."""
    pattern = re.compile("|".join(map(re.escape, sorted(words, key=lambda word: (-len(word), word)))))
    return lambda text: pattern.sub(lambda match: words[match[0]], text)


def page_rules(markup: str) -> Iterator[tuple[str, bool]]:
    """Yield the rules that markup sets for the text behind it, and whether it takes them back."""
    if markup[0] == "{":
        for argument in markup[2:-2].split("|")[1:]:
            if match := NOTE_ARGUMENT.fullmatch(argument):
                yield match[1], False
        return
    flags, bar, rule = markup[2:-2].partition("|")
    if bar and FLAGS.fullmatch(flags) and PAGE_FLAGS & set(flags.upper()) and not is_filter(flags):
        yield rule, "-" in flags


def is_filter(flags: str) -> bool:
    """Tell whether markup holds for some variants only: -{zh-hans;zh-hant|text}-."""
    return flags.strip().lower().startswith("zh")


def normal_code(code: str) -> str:
    """Write the code of a variant as MediaWiki calls it: zh-tw for zh-Hant-TW."""
    return LONG_CODE.sub("", code.strip().lower())


def sides_of(rule: str) -> list[tuple[str, str, str]] | None:
    """List the sides of a rule: the word replaced (one-way rules have one), code, text; None if it is no rule."""
    found = []
    for side in SIDE.split(rule):
        word, _, rest = side.rpartition("=>")
        code, colon, text = rest.partition(":")
        if not colon or not CODE.fullmatch(code.strip().lower()):
            return None
        found.append((word.strip(), normal_code(code), text.strip().rstrip(";").rstrip()))
    return found


def conversions(rule: str, variant: str) -> list[tuple[str, str]]:
    """List the words a rule replaces for readers of `variant`, each with its replacement."""
    sides = sides_of(rule)
    if sides is None:  # -{H|word}- keeps a word as it is
        return [(rule.strip(), rule.strip())] if rule.strip() else []
    order = VARIANTS[variant]
    one_way = [(word, code, text) for word, code, text in sides if word and code in order]
    # The nearest variant is put last, and so counts; of two of the same, the later one.
    one_way.sort(key=lambda side: -order.index(side[1]))
    both = {code: text for word, code, text in sides if not word}
    shown = next((both[code] for code in order if code in both), "")
    two_way = [(text, shown) for text in both.values() if text and text != shown] if shown else []
    return [(word, text) for word, _, text in one_way] + two_way


def resolve_variant(content: str, variant: str) -> str:
    """Say what -{flags|zh-hans:a; zh-hant:b}- leaves for readers of `variant`."""
    flags, bar, rules = content.partition("|")
    if not bar or not FLAGS.fullmatch(flags):
        flags, rules = "", content
    if is_filter(flags):
        codes = {normal_code(code) for code in flags.split(";")}
        return rules if codes & set(VARIANTS[variant]) else HOLE
    found = set(flags.upper())
    if "R" in found:
        return rules
    if "N" in found:
        return VARIANT_NAMES.get(normal_code(rules), rules.strip())
    sides = sides_of(rules)
    if "D" in found and "A" not in found:
        return described(sides) if sides else rules
    if HIDDEN_FLAGS & found:
        return HOLE
    texts = {code: text for _, code, text in sides or ()}
    return next((texts[code] for code in VARIANTS[variant] if code in texts), next(iter(texts.values()), rules))


def described(sides: list[tuple[str, str, str]]) -> str:
    """Write a rule out, as -{D|...}- shows it."""
    return "".join(
        f"{word}⇒{VARIANT_NAMES.get(code, code)}：{text}；" if word else f"{VARIANT_NAMES.get(code, code)}：{text}；"
        for word, code, text in sides
    )
