"""Find what Project Gutenberg puts around a book: the markers of its header and licence, and what stands beside them.

Header and licence are cut by their markers only, never by a guess at the wording (gutenbergr deleted a whole
French book that way): without the markers, or when cutting would leave little, the book is refused. A file may
hold several books or volumes, each between markers of its own, so what is found is a list of spans.
"""

import re
from typing import NamedTuple

MIN_KEPT = 0.2
"""Share of a book that must be left after the cut, not counting what is Gutenberg's own (see CHARS_PER_MENTION)."""

MIN_KEPT_CHARS = 50
"""A poem of two lines is a book; less is none."""

CHARS_PER_MENTION = 1000
"""Gutenberg's licence names the project every 200 characters, the small print of the nineties every 600: so much
of what is cut is taken for theirs each time it names the project. What goes beyond is a book lost."""

HEADER_CHARS = 40_000
"""So far behind a START marker another one still ends a header: reissues hold the first issue's header too."""

GONE_ON_CHARS = 2_000
"""More text than this that never names the project, behind a line "End of Project Gutenberg's ...", is book:
collected works hold such lines between their volumes."""

PROJECT = r"(?:TH(?:E|IS)\s+)?(?:COPYRIGHTED\s+)?PROJECT\s+GUTENBERG"
TO_STARS = r"(?:[^\n]*\*\*[ \t\r]*$|(?:(?=[^\n]*\S)[^\n]*\n){1,4}?[^\n]*\*\*[ \t\r]*$|[^\n]*$)"
"""The rest of a marker: to the stars at its end, up to four lines below for a long title, or to its line's end."""

MARKER = re.compile(
    r"^[ \t]*+(?:(?P<start>"
    rf"\*+[ \t]*START[ \t]+OF\s+{PROJECT}{TO_STARS}"
    r"|(?P<small>\**END[ \t*]*THE SMALL PRINT!?[^\n]*$"
    r"|\*+SMALL PRINT! Ver\.[^\n]*\*END\*[^\n]*$"
    r"|\[\"Small Print\" V\.[^\n]*$"
    r"|[^\n]*\btells you about restrictions in how the file may be used\.[^\n]*$))"
    r"|(?P<end>"
    rf"\*+[ \t]*END[ \t]+OF\s+{PROJECT}{TO_STARS}"
    r"|\*+[ \t]*START: FULL LICENSE[^\n]*$"
    r"|More information about this book is at the top of this file\.[^\n]*$)"
    r"|(?P<plain>"
    rf"(?:The[ \t]+)?END[ \t]+OF[ \t]+{PROJECT}\b[^\n]*$"
    r"|(?:Ende?|Fine?|Einde|Slut|Loppu)[ \t]+(?:\w+[ \t]+){0,3}Proje[ck]t[ \t]+Gutenberg\b[^\n]*$"
    r"|Ende dieses E-?texte?s\b[^\n]*$"
    r"|Ce document fut pr[ée]sent[ée] en lecture\b[^\n]*$))",
    re.MULTILINE | re.IGNORECASE,
)
"""All spellings since 1993, in English, German and French. The oldest files end their header with the small print
and their text with a plain line; those of 2002 have the small print at the end of the file."""

LICENCE_INSIDE = re.compile(r"<<THIS ELECTRONIC VERSION OF.{1,1500}?>>\s*", re.DOTALL)
"""The notice that one edition of Shakespeare repeats after every act."""

COPYRIGHTED = re.compile(
    r"^[ \t*]*START OF (?:THE|THIS) COPYRIGHTED PROJECT GUTENBERG"
    r"|\bThis is a[ \t\r\n_*]*COPYRIGHTED[ \t\r\n_*]*Project Gutenberg"
    r"|SMALL PRINT!(?: Ver\.[\d./]+)? FOR COPYRIGHT(?:ED| PROTECTED) E-?(?:TEXT|BOOK)S?"
    r"|\bCopyright(?:ed)? (?:Status|Notice)?:?[ \t]*Copyrighted\. Read the copyright notice",
    re.MULTILINE | re.IGNORECASE,
)
"""How a book says that it is not in the public domain: some 2 % of them, given for reading, not for copying."""

NOTE = (
    r"Transcri(?:ber|ption)['’]?s?['’]? +Notes?|Notes? du transcripteur|Notes? sur la transcription"
    r"|Anmerkungen (?:zur Transkription|des Bearbeiters)|Opmerkingen van de bewerker|Nota del transcriptor"
)
"""How the volunteers head their notes on a text."""

CREDIT = re.compile(
    r"[ \t\[(*_|+=-]*(?:(?:Produced|Prepared|Scanned|Proofed|Proofread|Digitized|HTML version)\b[^\n]{0,40}?\bby\b"
    r"|(?:This )?E-?(?:text|book)s?\b[^\n]{0,30}\b(?:prepared|produced|created|provided|transcribed|scanned|typed)\b"
    r"|(?:Originally )?Transcribed (?:from|by)\b|Th(?:is|e) (?:file|text) was (?:produced|prepared|first)\b"
    r"|(?:Note: *)?(?:This )?Project Gutenberg\b|Note: *Images of the original|Special thanks"
    rf"|Online Distributed Proof|(?:or[ \t\r]*\n[ \t(]*)?(?:https?|ftp)://|{NOTE})",
    re.IGNORECASE,
)
"""How the paragraphs begin that the volunteers write about themselves, right behind the START marker."""

CREDIT_CHARS = 1_500
"""A longer paragraph is no credit."""

PARAGRAPH = re.compile(r"\s*^(?P<text>(?:(?=[^\n]*\S)[^\n]*(?:\n|\Z))+)", re.MULTILINE)


class BadBookError(Exception):
    """Why a file cannot be read as a book."""


class Span(NamedTuple):
    """A stretch of a file that is book."""

    start: int
    end: int


def body_spans(raw: str, required: bool) -> list[Span]:
    """Find the text between Project Gutenberg's markers: one span for each book or volume of a file.

    Raises BadBookError when `required` markers are missing or hardly anything stands between them.
    """
    markers = list(MARKER.finditer(raw))
    missing = [name for name in ("START", "END") if not any((m["start"] is None) == (name == "END") for m in markers)]
    if required and missing:
        raise BadBookError(
            f"no Project Gutenberg {' and '.join(missing)} marker; expected both. Set markers = 'optional' for other"
            " books"
        )
    spans = [span for span in between(raw, markers) if raw[span.start : span.end].strip()]
    if markers:
        check_cut(raw, spans)
    return spans


def between(raw: str, markers: list[re.Match[str]]) -> list[Span]:
    """Pair the markers: what stands behind a START, to the next END. Without any START a book begins the file."""
    spans: list[Span] = []
    begin = None if any(m["start"] is not None for m in markers) else 0
    last_end = max((i for i, m in enumerate(markers) if m["start"] is None), default=-1)
    for i, marker in enumerate(markers):
        if marker["start"] is not None:
            at_end = marker["small"] is not None and spans and i > last_end
            if (begin is None and not at_end) or (begin is not None and marker.start() - begin < HEADER_CHARS):
                begin = past_credits(raw, marker.end())
        elif begin is not None:
            spans.append(Span(begin, marker.start()))
            rest = raw[marker.end() : markers[i + 1].start() if i + 1 < len(markers) else len(raw)]
            goes_on = marker["plain"] is not None and len(rest.strip()) > GONE_ON_CHARS and "Gutenberg" not in rest
            begin = marker.end() if goes_on else None
    return spans if begin is None else [*spans, Span(begin, len(raw))]


def past_credits(raw: str, at: int) -> int:
    """Go past the paragraphs in which the volunteers name themselves."""
    while (found := PARAGRAPH.match(raw, at)) and len(found["text"]) < CREDIT_CHARS and CREDIT.match(found["text"]):
        at = found.end()
    return at


def check_cut(raw: str, spans: list[Span]) -> None:
    """Raise BadBookError when little is left, unless what is cut is Gutenberg's own text."""
    kept = sum(len(raw[span.start : span.end].strip()) for span in spans)
    edges = [0, *(edge for span in spans for edge in span), len(raw)]
    cut = "".join(raw[a:b] for a, b in zip(edges[::2], edges[1::2], strict=True)).strip()
    lost = max(len(cut) - CHARS_PER_MENTION * cut.count("Gutenberg"), 0)
    if kept < MIN_KEPT_CHARS or kept < MIN_KEPT * (kept + lost):
        raise BadBookError(
            f"less than {MIN_KEPT:.0%} of the file lies between the Project Gutenberg markers:"
            f" {kept} of {len(raw)} characters"
        )
