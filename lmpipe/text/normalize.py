"""Repair a text by a short list of named rules, in a fixed order, so that what is measured is what was meant.

The order matters: mojibake first and line by line (ftfy undoes a line as a whole or not at all; only where its
badness test says so), since the bytes of a broken character look like line ends, soft hyphens and blanks; then
line ends, escape sequences and invisible characters; then the ligatures that a PDF left and Unicode composition,
which must see the letters side by side; blanks last. Characters keep their identity: a full-width digit stays a
digit (a table that is copied between projects turns １ into a quotation mark), curly quotes stay curly, Chinese
stays Chinese. Unwrapping is separate (unwrap.py), since only some sources are hard-wrapped. Most text needs no
repair, so each rule first asks in native code whether there is any.
"""

import re
import unicodedata
from collections.abc import Callable

import ftfy
from ftfy.badness import MOJIBAKE_CATEGORIES, is_bad
from ftfy.fixes import remove_terminal_escapes

LINE_ENDS = re.compile("\r\n?|[\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")
MOJIBAKE_LINES = re.compile("(\r\n?|\n|(?<![\x80-\x84\x86-\xff])\x85(?![ \t\xa0]))")
"""Line ends among which U+0085 counts only where it is neither a byte of a broken character nor the ellipsis of
Windows-1252, which a blank follows."""
INVISIBLE = re.compile(
    "[\x00-\x08\x0e-\x1b\x1f\x7f-\x84\x86-\x9f\u00ad\u061c\u200e\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff"
    "\ufff9-\ufffb]|(?<![\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff])\u200b+"
)
"""Control characters, soft hyphen, zero-width space, direction marks, byte order marks. The joiners
U+200C and U+200D stay: Persian, Hindi and emoji need them; so does a zero-width space behind a Thai, Lao, Khmer
or Burmese letter, where it parts words."""
ODD_BLANK = "\t\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000"
ODD = re.compile(f"[{ODD_BLANK}]")
BLANKS = re.compile(f"[{ODD_BLANK}][{ODD_BLANK} ]*| [{ODD_BLANK} ]+")
"""Anything but one plain space, so that ordinary text is passed over (3 times as fast)."""
INNOCENT = ("common", "start_punctuation", "end_punctuation")
SUSPECT = re.compile(f"[{''.join(MOJIBAKE_CATEGORIES[name] for name in MOJIBAKE_CATEGORIES if name not in INNOCENT)}]")
"""Characters of which every pattern of ftfy's badness test has at least one. Chinese text, curly quotes and
all, has none of them; without this the test takes as long as cutting the text into words."""
LIGATURES = dict(zip("ﬀﬁﬂﬃﬄﬅﬆ", ("ff", "fi", "fl", "ffi", "ffl", "st", "st"), strict=True))
LIGATURE = re.compile("[ﬀ-ﬆ]")
LINE_EDGES = re.compile(" +\n *|\n +")
BLANK_LINES = re.compile("\n{3,}")


def line_ends(text: str) -> str:
    """Write every line end as one newline."""
    if "\r" not in text and len(text.splitlines()) == text.count("\n") + (not text.endswith("\n")):
        return text
    return LINE_ENDS.sub("\n", text)


def mojibake(text: str) -> str:
    """Undo lines that were decoded with the wrong codec (ftfy.fix_encoding), where ftfy thinks they were."""
    if text.isascii() or not SUSPECT.search(text):
        return text
    lines = MOJIBAKE_LINES.split(text)  # every second one is a line end
    lines[::2] = [ftfy.fix_encoding(line) if not line.isascii() and is_bad(line) else line for line in lines[::2]]
    return "".join(lines)


def composition(text: str) -> str:
    """Compose to NFC, so that one word has one spelling."""
    return unicodedata.normalize("NFC", text)


def ligatures(text: str) -> str:
    """Write the typesetter's ligatures of Latin letters as the letters."""
    return text if text.isascii() else LIGATURE.sub(lambda match: LIGATURES[match[0]], text)


def escapes(text: str) -> str:
    """Remove the escape sequences by which terminals colour text, whole."""
    return remove_terminal_escapes(text) if "\x1b" in text else text


def invisible(text: str) -> str:
    """Remove characters that nobody sees."""
    return INVISIBLE.sub("", text)


def blanks(text: str) -> str:
    """Write runs of blanks as one space, none at line edges, and at most one empty line."""
    if "  " in text or "\t" in text or (not text.isascii() and ODD.search(text)):
        text = BLANKS.sub(" ", text)
    if " \n" in text or "\n " in text:
        text = LINE_EDGES.sub("\n", text)
    return (BLANK_LINES.sub("\n\n", text) if "\n\n\n" in text else text).strip()


RULES: tuple[Callable[[str], str], ...] = (mojibake, line_ends, escapes, invisible, ligatures, composition, blanks)
"""All rules, in order."""
UNICODE_RULES = frozenset([mojibake, ligatures, composition])
WHITESPACE_RULES = frozenset([line_ends, escapes, invisible, blanks])


def normalize(text: str, *, unicode: bool = True, whitespace: bool = True) -> tuple[str, list[str]]:
    """Apply the rules in order; return the text and the names of the rules that changed it."""
    chosen = (UNICODE_RULES if unicode else frozenset()) | (WHITESPACE_RULES if whitespace else frozenset())
    changed = []
    for rule in (rule for rule in RULES if rule in chosen):
        repaired = rule(text)
        if repaired != text:
            changed.append(rule.__name__)
            text = repaired
    return text, changed
