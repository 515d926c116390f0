"""Repair a text by a short list of named rules, in a fixed order, so that what is measured is what was meant.

The order matters: line ends first, then mojibake (ftfy only where its badness test says so: it is
slow and most text is clean), then Unicode composition, then invisible characters, then blanks.
Characters keep their identity: a full-width digit stays a digit, curly quotes stay curly, Chinese
stays Chinese. Unwrapping is separate, since only some sources are hard-wrapped.
"""

import re
import unicodedata
from collections.abc import Callable

import ftfy
from ftfy.badness import is_bad

LINE_ENDS = re.compile("\r\n?|[\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")
INVISIBLE = re.compile(
    "[\x00-\x08\x0e-\x1b\x1f\x7f-\x84\x86-\x9f\u00ad\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\ufeff\ufff9-\ufffb]"
)
"""Control characters, soft hyphen, zero-width space, direction marks, byte order marks. The joiners
U+200C and U+200D stay: Persian and emoji need them."""
ODD_BLANK = "\t\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000"
BLANKS = re.compile(f"[{ODD_BLANK}][{ODD_BLANK} ]*| [{ODD_BLANK} ]+")
"""Anything but one plain space, so that ordinary text is passed over (3 times as fast)."""
LINE_EDGES = re.compile(" +\n *|\n +")
BLANK_LINES = re.compile("\n{3,}")
PARAGRAPH = re.compile(r"\n[ \t]*\n")
WRAPPED_WIDTH = 45
"""Characters: a paragraph whose lines but the last are all at least this long was wrapped by a
program; verse and lists are shorter. Gutenberg wraps at 65 to 75 columns."""


def line_ends(text: str) -> str:
    """Write every line end as one newline."""
    return LINE_ENDS.sub("\n", text)


def mojibake(text: str) -> str:
    """Undo text that was decoded with the wrong codec (ftfy.fix_encoding), where ftfy thinks it was."""
    return ftfy.fix_encoding(text) if not text.isascii() and is_bad(text) else text


def composition(text: str) -> str:
    """Compose to NFC, so that one word has one spelling."""
    return unicodedata.normalize("NFC", text)


def invisible(text: str) -> str:
    """Remove characters that nobody sees."""
    return INVISIBLE.sub("", text)


def blanks(text: str) -> str:
    """Write runs of blanks as one space, none at line edges, and at most one empty line."""
    return BLANK_LINES.sub("\n\n", LINE_EDGES.sub("\n", BLANKS.sub(" ", text))).strip()


UNICODE_RULES: tuple[Callable[[str], str], ...] = (line_ends, mojibake, composition)
WHITESPACE_RULES: tuple[Callable[[str], str], ...] = (line_ends, invisible, blanks)


def unwrap(text: str) -> str:
    """Join the hard-wrapped lines of prose paragraphs; leave verse, lists and headings alone.

    A paragraph counts as wrapped prose when it has no indented line but its first and every line
    except the last is at least WRAPPED_WIDTH characters long.
    """
    return "\n\n".join(unwrap_paragraph(p) for p in PARAGRAPH.split(line_ends(text)))


def unwrap_paragraph(paragraph: str) -> str:
    """Join one paragraph's lines where they were wrapped by a program."""
    lines = paragraph.strip("\n").split("\n")
    if len(lines) < 2 or any(line[:1] in " \t\u3000" for line in lines[1:]):
        return paragraph
    if any(len(line) < WRAPPED_WIDTH for line in lines[:-1]):
        return paragraph
    return " ".join(line.strip() for line in lines)


def normalize(text: str, *, unicode: bool = True, whitespace: bool = True) -> tuple[str, list[str]]:
    """Apply the rules in order; return the text and the names of the rules that changed it."""
    rules = (UNICODE_RULES if unicode else ()) + (WHITESPACE_RULES if whitespace else ())
    changed = []
    for rule in rules:
        repaired = rule(text)
        if repaired != text:
            changed.append(rule.__name__)
            text = repaired
    return text, changed
