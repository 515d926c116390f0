"""What Project Gutenberg puts around a book: the markers of its header and licence, and the header's fields.

Header and licence are cut by their markers only, never by a guess at the wording (gutenbergr deleted a whole
French book that way): without the markers, or when cutting would leave little, the book is refused.
"""

import re
from datetime import UTC, datetime
from typing import NamedTuple

MIN_KEPT = 0.2
"""Share of a book that must be left after the cut; Gutenberg's licence has 19 kB."""

HEADER_CHARS = 40_000
"""The START marker is looked for in the first half of a book, and at least in so much of it."""

START = re.compile(
    r"^[ \t]*\*+[ \t]*START OF (?:THE|THIS) (?:COPYRIGHTED )?PROJECT GUTENBERG E-?(?:BOOK|TEXT)"
    r"[^*]{0,300}?(?:\*+[ \t\r]*$|\r?\n\r?\n)"
    r"|^[ \t]*\*END[ *]*THE SMALL PRINT![^\n]*$",
    re.MULTILINE | re.IGNORECASE,
)
END = re.compile(
    r"^[ \t]*\*+[ \t]*END OF (?:THE|THIS) (?:COPYRIGHTED )?PROJECT GUTENBERG E-?(?:BOOK|TEXT)"
    r"|^[ \t]*End of (?:the |this )?Project Gutenberg(?:'s|’s)?\b",
    re.MULTILINE | re.IGNORECASE,
)
"""All spellings since 1993, "THIS" and "THE"; the oldest files end their header with the small print."""

COPYRIGHTED = re.compile(
    r"^[ \t*]*START OF (?:THE|THIS) COPYRIGHTED PROJECT GUTENBERG"
    r"|\bThis is a[ \t\r\n_*]*COPYRIGHTED[ \t\r\n_*]*Project Gutenberg"
    r"|SMALL PRINT! FOR COPYRIGHT(?:ED| PROTECTED) E-?(?:TEXT|BOOK)S?"
    r"|\bCopyright(?:ed)? (?:Status|Notice)?:?[ \t]*Copyrighted\. Read the copyright notice",
    re.MULTILINE | re.IGNORECASE,
)
"""How a book says that it is not in the public domain: some 2 % of them, given for reading, not for copying."""

HEADER_FIELD = re.compile(
    r"^(Title|Author|Language|Release Date|Copyright Status):[ \t]*(.+(?:\r?\n[ \t]+\S.*)*)",
    re.MULTILINE | re.IGNORECASE,
)
LANGUAGES = {
    "english": "en", "chinese": "zh", "french": "fr", "german": "de", "dutch": "nl", "spanish": "es", "italian": "it",
    "portuguese": "pt", "finnish": "fi", "swedish": "sv", "danish": "da", "norwegian": "no", "greek": "el",
    "latin": "la", "russian": "ru", "japanese": "ja", "korean": "ko", "hungarian": "hu", "polish": "pl", "czech": "cs",
    "esperanto": "eo", "catalan": "ca", "romanian": "ro", "tagalog": "tl", "welsh": "cy", "hebrew": "he",
}  # fmt: skip
"""Gutenberg's names of the languages with most books; another one keeps the source's language."""


class BadBookError(Exception):
    """Why a file cannot be read as a book."""


class Facts(NamedTuple):
    """What is known about a book besides its text; empty strings and None mean absent."""

    title: str = ""
    authors: str = ""
    lang: str = ""
    rights: str = ""
    created: datetime | None = None
    """Day of release, UTC."""

    def filled(self, other: "Facts") -> "Facts":
        """Take from `other` what is absent here."""
        return Facts(
            title=self.title or other.title,
            authors=self.authors or other.authors,
            lang=self.lang or other.lang,
            rights=self.rights or other.rights,
            created=self.created or other.created,
        )

    @property
    def copyrighted(self) -> bool:
        """Tell Gutenberg's own word for books that may not be copied on."""
        return self.rights.lower().startswith("copyrighted")


def body_span(raw: str, required: bool) -> tuple[int, int]:
    """Find the text between Project Gutenberg's markers.

    Raises BadBookError when `required` markers are missing or hardly anything stands between them.
    """
    starts = [m.end() for m in START.finditer(raw, 0, max(len(raw) // 2, HEADER_CHARS))]
    start = max(starts, default=0)
    found = END.search(raw, start)
    end = found.start() if found else len(raw)
    if required and (not starts or not found):
        missing = " and ".join(name for name, there in (("START", starts), ("END", found)) if not there)
        raise BadBookError(
            f"no Project Gutenberg {missing} marker; expected both. Set markers = 'optional' for other books"
        )
    if end - start < MIN_KEPT * len(raw):
        raise BadBookError(
            f"less than {MIN_KEPT:.0%} of the file lies between the Project Gutenberg markers:"
            f" {end - start} of {len(raw)} characters"
        )
    return start, end


def header_facts(header: str) -> Facts:
    """Read the fields above the START marker."""
    fields = {m[1].lower(): " ".join(m[2].split()) for m in HEADER_FIELD.finditer(header)}
    copyrighted = COPYRIGHTED.search(header) or fields.get("copyright status", "").lower().startswith("copyrighted")
    return Facts(
        title=fields.get("title", ""),
        authors=fields.get("author", ""),
        lang=language(fields.get("language", "")),
        rights="Copyrighted (the book's own header)." if copyrighted else "",
        created=release_date(fields.get("release date", "")),
    )


def language(name: str) -> str:
    """Return the code of a language's English name ("English, French": the first); "" for one not known."""
    return LANGUAGES.get(re.split(r"[,;(/]| and ", name.lower())[0].strip(), "")


def release_date(value: str) -> datetime | None:
    """Read "August 29, 2006 [eBook #844]", "April, 2001" or "2008-02-23T..."; None for anything else."""
    value = value.partition("[")[0].partition("T")[0].strip()
    for form in ("%B %d, %Y", "%B, %Y", "%B %Y", "%Y-%m-%d", "%Y-%m", "%Y"):
        try:
            return datetime.strptime(value, form).replace(tzinfo=UTC)
        except ValueError:
            continue
    return None
