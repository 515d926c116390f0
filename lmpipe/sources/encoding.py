"""Turn bytes into text without ever guessing in silence.

A wrong codec rarely fails: Latin-1 accepts every byte, GB18030 nearly every one, and the mojibake then
trains the model. So the order is fixed (what the recipe says, byte order mark, strict UTF-8, what the
document declares, detection), every decoding is strict, and a result that holds control characters is
refused. The locale never matters (pgcorpus read books in whatever codec the machine had).
"""

import codecs
import re
from collections.abc import Callable
from pathlib import Path

from charset_normalizer import from_bytes

from lmpipe.errors import InputError

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

CANDIDATES = (
    *("gb18030", "big5hkscs", "cp932", "euc_jp", "cp949"),
    *("cp1252", "cp1250", "cp1251", "koi8_r", "cp1253", "cp1254", "cp1255", "cp1256"),
)
"""What detection may answer: the codecs that occur in old news and books."""

SAMPLE_BYTES = 1 << 16
"""Bytes of lines with non-ASCII characters that detection looks at; more is slower, not surer."""

DOUBTFUL = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x9f\ufffd\ufffe\uffff]")
"""Characters that text does not hold but wrongly decoded bytes do."""

DOUBTFUL_UTF8 = (2, 0.01)
"""Number and share accepted in valid UTF-8, where a stray control character says nothing about the codec."""

DOUBTFUL_LEGACY = (0, 0.0005)
"""The same for any other codec: one broken byte in a long page, nothing more."""


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


def decode(data: bytes, encoding: str | None, declared: str | None = None) -> tuple[str, str]:
    """Decode `data` strictly and return the text with the name of the codec.

    `encoding` is the recipe's word and final; `declared` is the document's own, often wrong.
    Raises UndecodableError saying which codec failed where.
    """
    if encoding is not None:
        return strict(data.removeprefix(codecs.BOM_UTF8), superset(encoding)), superset(encoding)
    for mark, codec in BOMS:
        if data.startswith(mark):
            return strict(data[len(mark) :], codec), codec
    attempts: list[Callable[[], str | None]] = [lambda: "utf-8", lambda: known(declared), lambda: detect(data)]
    failures: dict[str, str] = {}
    for attempt in attempts:
        codec_found = attempt()
        if codec_found is None or codec_found in failures:
            continue
        try:
            return strict(data, codec_found), codec_found
        except UndecodableError as error:
            failures[codec_found] = str(error)
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
    number, share = DOUBTFUL_UTF8 if codec.startswith("utf-8") else DOUBTFUL_LEGACY
    num_doubtful = sum(1 for _ in DOUBTFUL.finditer(text))
    if num_doubtful > number + share * len(text):
        raise UndecodableError(f"not {codec}: {num_doubtful} of {len(text)} characters would be control characters")
    return text


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


def detect(data: bytes) -> str | None:
    """Guess the codec from the lines that are not ASCII; None when nothing is likely.

    Codecs that explain the sample about equally well are settled by the order of CANDIDATES: French in
    cp1252 is as clean in cp1250, where its œ would become ś.
    """
    sample = b""
    for line in data[: 64 * SAMPLE_BYTES].splitlines(keepends=True):
        sample += b"" if line.isascii() else line
        if len(sample) > SAMPLE_BYTES:
            break
    matches = from_bytes(sample, cp_isolation=list(CANDIDATES), preemptive_behaviour=False)
    best = matches.best()
    if best is None:
        return None
    equal = {m.encoding for m in matches if m.chaos <= best.chaos + 0.01 and m.coherence >= best.coherence - 0.05}
    equal |= {same.encoding for m in matches if m.encoding in equal for same in m.submatch}
    return next((codec for codec in CANDIDATES if codec in equal), None)
