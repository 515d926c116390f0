"""Turn bytes into text without ever guessing in silence.

A wrong codec rarely fails: Latin-1 accepts every byte, GB18030 nearly every one, and the mojibake then
trains the model. So the order is fixed (what the recipe says, byte order mark, 7-bit escapes, strict UTF-8, what
the document declares, detection), every decoding is strict, and a result is refused that holds control
characters or letters where none belong. A page in UTF-8 into which a template or a reader has put a few bytes of
cp1252 is read as both, where the caller will say so. The locale never matters (pgcorpus read books in whatever
codec the machine had).
"""

import codecs
import itertools
import re
from collections.abc import Callable
from pathlib import Path

from lmpipe.errors import InputError
from lmpipe.sources.detection import LOOKED_AT, NON_ASCII, detect, kind, odd, oddity

BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16: its mark begins with that of UTF-16-LE
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
SUPERSETS = {
    "ascii": "cp1252",
    "iso8859-1": "cp1252",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "big5": "big5hkscs",
    "shift_jis": "cp932",
    "euc_kr": "cp949",
    "iso8859-9": "cp1254",
}
"""Labels in the wild mean the larger codec (WHATWG Encoding, section 4.2): GB2312 pages hold GBK characters."""

DOUBTFUL = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x9f\ufffd\ufffe\uffff]")
"""Characters that text does not hold but wrongly decoded bytes do."""

DOUBTFUL_UTF8 = (2, 0.01)
"""Number and share accepted in valid UTF-8, where a stray control character says nothing about the codec."""

DOUBTFUL_LEGACY = (0, 0.0005)
"""The same for any other codec: one broken byte in a long page, nothing more."""


MAX_ODDITY = 0.3
"""Measured over 1,500 characters: real texts of 20 languages have at most 0.06 (web pages that mix scripts 0.17 in
95 of 100), Chinese, Russian and Greek books read as cp1252 0.32 to 0.58, UTF-8 read as cp1252 0.54."""

MIN_FOREIGN = 20
"""Non-ASCII characters without which oddity says nothing: a short text may be one quotation."""

ESCAPED = (
    (re.compile(rb"\x1b\$[@B(]"), "iso2022_jp_2"),
    (re.compile(rb"~\{(?:[\x21-\x77][\x21-\x7e]){2,}~\}"), "hz"),
)
"""Codecs of 7 bits, whose bytes would pass for ASCII: ISO-2022-JP, and HZ by one run of two characters."""

MIXED = "utf-8+cp1252"
"""How a text is called that is UTF-8 but for a few bytes of cp1252."""

STRAY_SHARE = 0.1
"""Stray bytes at most, per character outside ASCII that is UTF-8: a German page of 101 umlauts had 4. A text in
another codec is nearly all strays: what passes for UTF-8 in it is chance."""

STRAY = re.compile("[\udc80-\udcff]")
"""What Python's surrogateescape makes of a byte that is not UTF-8."""


class UndecodableError(Exception):
    """Bytes that no codec turns into plausible text; a reader makes it a BadRecord."""


def check_encoding(encoding: str | None, source: str) -> None:
    """Raise InputError when a recipe names a codec that does not exist."""
    if encoding is None:
        return
    try:
        "a".encode(encoding)
    except LookupError:
        raise InputError(
            f"source {source}: encoding {encoding!r} is no text codec of Python."
            " Write one such as utf-8, gb18030 or cp1252."
        ) from None


def file_name(path: Path) -> str:
    """Return a file's name without folders; bytes of it that are not UTF-8 are written as \\udcXX."""
    return path.name.encode("utf-8", "backslashreplace").decode()


def decode(data: bytes, encoding: str | None, declared: str | None = None, *, mixed: bool = False) -> tuple[str, str]:
    """Decode `data` strictly and return the text with the name of the codec.

    `encoding` is the recipe's word and final; `declared` is the document's own, often wrong; `mixed` allows
    MIXED, for callers that keep the codec's name with the document.
    Raises UndecodableError saying which codec failed where, or why none is likely.
    """
    if encoding is not None:
        return strict(data.removeprefix(codecs.BOM_UTF8), superset(encoding)), superset(encoding)
    for mark, codec in BOMS:
        if data.startswith(mark):
            return strict(data[len(mark) :], codec), codec
    attempts: list[Callable[[], str | None]] = [
        lambda: escaped(data),
        lambda: "utf-8",
        lambda: known(declared),
        lambda: detect(data),
    ]
    failures: dict[str, str] = {}
    for attempt in attempts:
        codec_found = attempt()
        if codec_found is None or codec_found in failures:
            continue
        try:
            return strict(data, codec_found), codec_found
        except UndecodableError as error:
            failures[codec_found] = str(error)
            if codec_found == "utf-8":
                text = mostly_utf8(data, error)
                if text is not None and mixed:
                    return plausible(text, "utf-8"), MIXED
    if len(failures) == 1:
        failures[""] = "no other codec is likely"
    raise UndecodableError("; ".join(failures.values()))


def strict(data: bytes, codec: str) -> str:
    """Decode with one codec; raises UndecodableError for invalid bytes and for implausible text."""
    try:
        text = data.decode(codec)
    except UnicodeDecodeError as error:
        found = data[error.start : error.start + 4].hex(" ")
        raise UndecodableError(f"not {codec}: {error.reason} at byte {error.start} ({found})") from None
    except UnicodeError as error:
        raise UndecodableError(f"not {codec}: {error}") from None
    return plausible(text, codec)


def plausible(text: str, codec: str) -> str:
    """Return a decoded text; raises UndecodableError when it holds what text does not."""
    number, share = DOUBTFUL_UTF8 if codec.startswith("utf-8") else DOUBTFUL_LEGACY
    num_doubtful = sum(1 for _ in DOUBTFUL.finditer(text))
    if num_doubtful > number + share * len(text):
        raise UndecodableError(f"not {codec}: {num_doubtful} of {len(text)} characters would be control characters")
    if not codec.startswith("utf-"):
        share_odd, num_foreign = oddity(text)
        if share_odd > MAX_ODDITY and num_foreign >= MIN_FOREIGN:
            raise UndecodableError(
                f"not {codec}: {share_odd:.0%} of its non-ASCII characters would stand where none belong"
            )
    return text


def mostly_utf8(data: bytes, error: UndecodableError) -> str | None:
    """Read bytes that are UTF-8 but for a few of cp1252; None for bytes that are in another codec.

    Raises `error` where much is UTF-8 and the rest no stray letters: any one codec would make mojibake of a part.
    """
    escaped_text = data.decode("utf-8", "surrogateescape")
    num_foreign = len(escaped_text) - len(NON_ASCII.sub("", escaped_text))  # sums, not lists: a book has millions
    num_strays = len(escaped_text) - len(STRAY.sub("", escaped_text))
    num_utf8 = num_foreign - num_strays
    if num_utf8 <= num_strays / 2:
        return None
    text = STRAY.sub(lambda byte: bytes([ord(byte[0]) - 0xDC00]).decode("cp1252", "replace"), escaped_text)
    if (
        num_strays > STRAY_SHARE * num_utf8
        or not mostly_latin(text)
        or not all(at_home(escaped_text, text, stray.start()) for stray in STRAY.finditer(escaped_text))
    ):
        raise error
    return text


def mostly_latin(text: str) -> bool:
    """Tell whether most letters outside ASCII, of the first thousand, are Latin ones, as all of cp1252 are."""
    foreign = (found[0] for found in itertools.islice(NON_ASCII.finditer(text), LOOKED_AT))
    scripts = [script for _, script in map(kind, foreign) if script]
    return scripts.count("LATIN") >= len(scripts) / 2


def at_home(escaped_text: str, text: str, at: int) -> bool:
    """Judge whether a stray byte stands alone and is, as cp1252, a letter or sign that belongs where it stands."""
    before, after = escaped_text[at - 1 : at] or " ", escaped_text[at + 1 : at + 2] or " "
    alone = not STRAY.match(before) and not STRAY.match(after)
    return alone and text[at] != "\ufffd" and odd(before, text[at], after) < 0.5


def escaped(data: bytes) -> str | None:
    """Name the 7-bit codec whose escapes the bytes hold; None for other bytes."""
    if not data.isascii():
        return None
    return next((codec for mark, codec in ESCAPED if mark.search(data)), None)


def known(declared: str | None) -> str | None:
    """Return the codec a document's own label means, or None when there is no such text codec."""
    if not declared:
        return None
    label = declared.strip().lower().removeprefix("x-")  # x-gbk, x-sjis
    try:
        "a".encode(label)
    except (LookupError, ValueError):  # ValueError: a label with a NUL in it
        return None
    return superset(label)


def superset(label: str) -> str:
    """Return the codec that holds all characters found in the wild under `label`."""
    name = codecs.lookup(label).name
    return SUPERSETS.get(name, name)
