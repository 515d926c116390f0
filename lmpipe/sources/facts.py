"""What is known about a book besides its text, and how the headers of Project Gutenberg say it.

The headers have had thirty years of hands: fields in the language of the book, titles over several lines, several
authors; the oldest have no fields, but one line that names the book. A catalogue, where there is one, is surer.
"""

import re
from datetime import UTC, datetime
from typing import NamedTuple

from lmpipe.sources.gutenberg import COPYRIGHTED
from lmpipe.sources.language_names import language_code

FIELDS = {
    "title": "titles?|titel|titre|t[íi]tulo|titolo|题名|書名|书名",
    "author": "authors?|auteurs?|autore?|verfasser(?:in)?|作者",
    "editor": "editors?",
    "translator": r"translators?|translated by|traducteur|[üu]bersetzer(?:in)?|vertaler|译者|譯者",
    "language": "languages?|sprache|langue|taal|语言|語言",
    "release": "(?:official )?release date",
    "posted": "posting date|first posted",
    "copyright": "copyright status",
}
"""Pattern of each field's names."""

NAMES = "|".join(FIELDS.values())
FIELD = re.compile(
    rf"^[ \t]*+(?P<name>{NAMES})[ \t]*[:：][ \t]*(?P<value>\S[^\r\n]*"
    rf"(?:\r?\n[ \t]+(?!(?:{NAMES})[ \t]*[:：])\S[^\r\n]*)*)",
    re.MULTILINE | re.IGNORECASE,
)
"""A field with the indented lines under it."""

OLD_TITLE = re.compile(
    r"^[ \t*]*(?:The )?Project Gutenberg(?:(?:['’]s)? E-?(?:text|book)(?: of|,)?|['’]s)[ \t]+"
    r"(?P<line>[^\s*#][^\n]*(?:\n(?![ \t*#]*\r?$)(?![ \t]*[*#])[^\n]+){0,2})",
    re.MULTILINE | re.IGNORECASE,
)
"""How headers without fields name the book: "**The Project Gutenberg Etext of Tides, by Ada Quill**"."""

OLD_DATE = re.compile(
    r"^[ \t]*(?P<date>[A-Z][a-z]+,? (?:\d{1,2}, )?\d{4})[ \t]*\[E-?(?:text|book) ?#\d+\]", re.MULTILINE | re.IGNORECASE
)


class Facts(NamedTuple):
    """What is known about a book besides its text; empty strings and None mean absent."""

    title: str = ""
    authors: str = ""
    """Parted by "; "."""
    lang: str = ""
    rights: str = ""
    created: datetime | None = None
    """Day of release, UTC."""
    translators: str = ""

    def filled(self, other: "Facts") -> "Facts":
        """Take from `other` what is absent here."""
        return Facts(
            title=self.title or other.title,
            authors=self.authors or other.authors,
            lang=self.lang or other.lang,
            rights=self.rights or other.rights,
            created=self.created or other.created,
            translators=self.translators or other.translators,
        )

    @property
    def copyrighted(self) -> bool:
        """Tell Gutenberg's own word for books that may not be copied on."""
        return self.rights.lower().startswith("copyrighted")


def header_facts(header: str, footer: str = "") -> Facts:
    """Read what stands above a book's body; that it is copyrighted may be said below it only."""
    fields = header_fields(header)
    title, author = ("", "") if fields["title"] else old_title(header)
    old_date = OLD_DATE.search(header)
    dates = fields["release"] + fields["posted"] + ([old_date["date"]] if old_date else [])
    copyrighted = COPYRIGHTED.search(header + footer) or any(
        s.lower().startswith("copyrighted") for s in fields["copyright"]
    )
    return Facts(
        title=fields["title"][0] if fields["title"] else title,
        authors="; ".join(fields["author"] or fields["editor"]) or author,
        lang=language_code(fields["language"][0]) if fields["language"] else "",
        rights="Copyrighted (the book's own header)." if copyrighted else "",
        created=next(filter(None, map(release_date, dates)), None),
        translators="; ".join(fields["translator"]),
    )


def header_fields(header: str) -> dict[str, list[str]]:
    """Gather the values of each field, on one line each, every value once."""
    found: dict[str, list[str]] = {field: [] for field in FIELDS}
    for match in FIELD.finditer(header):
        field = next(name for name, pattern in FIELDS.items() if re.fullmatch(pattern, match["name"], re.IGNORECASE))
        value = " ".join(match["value"].split())
        if value not in found[field]:
            found[field].append(value)
    return found


def old_title(header: str) -> tuple[str, str]:
    """Read title and author from the line that names the book; empty where there is none."""
    found = OLD_TITLE.search(header)
    if found is None:
        return "", ""
    line = " ".join(found["line"].split("**")[0].split()).strip(" *")
    title, _, author = line.rpartition(" by ")
    return (title or line).strip(" ,;"), author.strip(" .") if title else ""


def release_date(value: str) -> datetime | None:
    """Read "August 29, 2006 [eBook #844]", "April, 2001" or "2008-02-23T..."; None for anything else."""
    value = value.partition("[")[0].partition("T")[0].partition(" Most recently")[0].strip()
    for form in ("%B %d, %Y", "%B, %Y", "%B %Y", "%d %B %Y", "%Y-%m-%d", "%Y-%m", "%Y"):
        try:
            return datetime.strptime(value, form).replace(tzinfo=UTC)
        except ValueError:
            continue
    return None
