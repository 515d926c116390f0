"""Undo WikiText's tokenisation as lm-evaluation-harness does it, so that open vocabularies are compared on that text.

The rules are those of the harness, in its order, because the published word perplexities are of the text that they
make: 1,240,525 bytes of the test set's 1,290,588. They lose something (" N " becomes " 1 ", and not every blank could
be put back), so bytes and words are counted of the original text, and the signature says text:detok-harness.
"""

import re

ARTICLE = re.compile(r"^ = (?!=).*(?<!=) = $", re.MULTILINE)
"""The title of an article; those of sections have more equals signs."""

MARKS = (
    ("s '", "s'"),
    (" @-@ ", "-"),
    (" @,@ ", ","),
    (" @.@ ", "."),
    *((f" {mark} ", f"{mark} ") for mark in ":;.!?,"),
)
"""Possessives, marks inside numbers and compounds, and marks that stand behind a word."""

PAIRS = tuple(
    (re.compile(rf"{re.escape(left)}\s*([^{re.escape(right)}]*?)\s*{re.escape(right)}"), rf"{left}\1{right}")
    for left, right in ("()", "[]", "{}", '""', "''")
)
"""Blanks inside brackets and quotes."""

REST = (
    *(("= = = =", "===="), ("= = =", "==="), ("= =", "==")),
    *((" ° ", "°"), (" \n", "\n"), ("\n ", "\n"), (" N ", " 1 "), (" 's", "'s")),
)
"""Headings, degrees, blanks at line ends, Penn Treebank's number, the possessive."""


def articles(text: str) -> list[str]:
    """Cut a WikiText file at the titles of its articles; what stands before the first (a blank line) is no article."""
    starts = [found.start() for found in ARTICLE.finditer(text)]
    return [text[start:end] for start, end in zip(starts, [*starts[1:], len(text)], strict=True)]


def detokenise(text: str) -> str:
    """Undo the tokenisation of one article."""
    for old, new in MARKS:
        text = text.replace(old, new)
    for pattern, new in PAIRS:
        text = pattern.sub(new, text)
    for old, new in REST:
        text = text.replace(old, new)
    return text
