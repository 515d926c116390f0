"""Find the codec of bytes that declare none: chardet's statistics, corrected by how odd each reading would look.

chardet knows languages, but on short or mostly ASCII text (an English novel whose only foreign bytes are
curly quotes) its candidates tie. Wrong readings then show by themselves: a capital or a currency sign inside
a word, a Chinese character glued to a Latin one. So each candidate within reach is decoded, and its oddity
counts against it; what stays odd is nobody's codec.
"""

import codecs
import functools
import re
import unicodedata

import chardet

CANDIDATES = {
    "cp1252": "cp1252", "gb18030": "gb18030", "big5hkscs": "big5hkscs", "cp932": "cp932",
    "euc_jis_2004": "euc_jp", "cp949": "cp949", "cp1251": "cp1251", "koi8-r": "koi8_r", "koi8-u": "koi8_u",
    "cp866": "cp866", "iso8859-5": "iso8859-5", "mac-cyrillic": "mac_cyrillic", "cp1250": "cp1250",
    "iso8859-2": "iso8859-2", "cp1253": "cp1253", "iso8859-7": "iso8859-7", "cp1254": "cp1254", "cp1255": "cp1255",
    "cp1256": "cp1256", "cp1257": "cp1257", "cp1258": "cp1258", "cp874": "cp874", "mac-roman": "mac_roman",
    "cp850": "cp850", "cp852": "cp852",
}  # fmt: skip
"""What detection may answer, by chardet's name: the codecs of old news and books. Of two that explain the bytes
equally well the earlier one wins: mac_cyrillic and cp1251 share their small letters."""

MULTIBYTE = frozenset({"gb18030", "big5hkscs", "cp932", "euc_jp", "cp949"})

SAMPLE_BYTES = 1 << 16
"""Bytes of lines with non-ASCII characters that detection looks at; more is slower, not surer."""

SPARSE = 0.25
"""Share of non-ASCII bytes below which chardet, which expects East Asian text to be full of them, gives up on a
double-byte codec too early."""

SPARSE_CONFIDENCE = 0.45
"""What a double-byte codec is given at least there, as a share of the best confidence."""

ODDITY_WEIGHT = 2
"""Measured on 27 texts in 1 to 5 codecs each: right in 94.5 % at 60 bytes, 97.9 % at 10 kB."""

MIN_SCORE = 0.4
"""Share of the best confidence that must be left after oddity; below it no codec is likely."""

COMMON = "\n ,.，。、　的一eа"
"""Signs of which every text in Latin, Cyrillic or Chinese letters is full, and UTF-16 read backwards is not."""

MIN_COMMON = 0.03
"""Share of them; Chinese novels have 0.12 and more."""

LOOKED_AT = 1000
"""Non-ASCII characters whose surroundings are looked at: 1 ms."""

FAR_EAST = frozenset({"CJK", "HIRAGANA", "KATAKANA", "HANGUL", "BOPOMOFO", "FULLWIDTH", "HALFWIDTH", "IDEOGRAPHIC"})
NON_ASCII = re.compile("[^\0-\x7f]")


def detect(data: bytes) -> str | None:
    """Return the likeliest codec of bytes that are not UTF-8; None when nothing is likely."""
    sample = sample_of(data)
    if not sample:  # all ASCII, and yet no text
        return None
    if b"\0" in sample:
        return utf16(sample)
    found = chardet.detect_all(
        sample, ignore_threshold=True, compat_names=False, include_encodings=[*CANDIDATES, "iso8859-1", "iso8859-15"]
    )
    confidence: dict[str, float] = {}
    for answer in found:
        name = answer["encoding"] or ""
        codec = "cp1252" if name.startswith("iso8859-1") else CANDIDATES.get(name)
        if codec is not None:
            confidence[codec] = max(confidence.get(codec, 0.0), answer["confidence"])
    best = max(confidence.values(), default=0.0)
    if not best:
        return None
    if sum(byte > 127 for byte in sample) < SPARSE * len(sample):
        confidence |= {c: max(confidence.get(c, 0.0), SPARSE_CONFIDENCE * best) for c in MULTIBYTE}
    scores = {c: score(sample, c, confidence[c] / best) for c in CANDIDATES.values() if c in confidence}
    likeliest = max(scores, key=lambda codec: scores[codec])  # the first of equal ones
    return likeliest if scores[likeliest] > MIN_SCORE else None


def utf16(sample: bytes) -> str | None:
    """Tell which UTF-16 it is, without a mark, by the signs that every text holds; None when it is neither."""
    shares = {}
    for codec in ("utf-16-le", "utf-16-be"):
        try:
            text = codecs.getincrementaldecoder(codec)().decode(sample)
        except UnicodeError:
            continue
        shares[codec] = sum(map(text.count, COMMON)) / max(len(text), 1)
    likeliest = max(shares, key=lambda codec: shares[codec], default=None)
    return likeliest if likeliest is not None and shares[likeliest] > MIN_COMMON else None


def sample_of(data: bytes) -> bytes:
    """Gather lines that are not ASCII; of bytes with NULs (UTF-16) the head, whose lines end elsewhere."""
    if b"\0" in data[:SAMPLE_BYTES]:
        return data[:SAMPLE_BYTES]
    sample = b""
    for line in data[: 64 * SAMPLE_BYTES].splitlines(keepends=True):
        sample += b"" if line.isascii() else line
        if len(sample) > SAMPLE_BYTES:
            break
    return sample[: 2 * SAMPLE_BYTES]


def score(sample: bytes, codec: str, confidence: float) -> float:
    """Weigh a reading of the sample: its confidence less its oddity, to two digits so that ties are ties."""
    try:  # not final: the sample may end inside a character
        text = codecs.getincrementaldecoder(codec)().decode(sample)
    except UnicodeError:
        return -1.0
    return round(confidence - ODDITY_WEIGHT * oddity(text)[0], 2)


def oddity(text: str) -> tuple[float, int]:
    """Measure how out of place the first non-ASCII characters stand, 0 to 1, and on how many that rests."""
    total, number = 0.0, 0
    for found in NON_ASCII.finditer(text):
        at = found.start()
        total += odd(text[at - 1 : at] or " ", text[at], text[at + 1 : at + 2] or " ")
        number += 1
        if number == LOOKED_AT:
            break
    return total / max(number, 1), number


@functools.lru_cache(8192)
def kind(character: str) -> tuple[str, str]:
    """Return a character's category and, of a letter, its script."""
    category = unicodedata.category(character)
    if category[0] != "L":
        return category, ""
    script = "LATIN" if character.isascii() else unicodedata.name(character, "?").split()[0].partition("-")[0]
    return category, "EAST" if script in FAR_EAST else script


@functools.lru_cache(65536)
def odd(before: str, character: str, after: str) -> float:
    """Judge one character between its neighbours: 0 is at home, 1 is out of place."""
    category, _ = kind(character)
    (left, left_script), (right, right_script) = kind(before), kind(after)
    if category in ("Cc", "Co", "Cn", "Cs"):
        return 1
    if category[0] == "L":
        return odd_letter(before, character, after)
    inside = left[0] == right[0] == "L"
    if ord(character) >= 0x2E80:  # East Asian punctuation is at home anywhere but inside a Latin word
        return float(left_script == right_script == "LATIN")
    if character in "¡¿":
        return float(left[0] == "L")
    if category[0] == "S" or (category == "Po" and character not in "…·"):
        if inside or "─" <= character <= "▟":
            return 1
        signs = sum(not neighbour.isascii() and kind(neighbour)[0][0] in "SP" for neighbour in (before, after))
        return 0.25 * ("L" in (left[0], right[0])) + 0.25 * signs
    if character in "«»":
        return float(inside)
    if category in ("Pi", "Ps"):
        return float(left[0] in "LN" and left_script != "EAST")
    if category in ("Pf", "Pe"):
        return 0.5 if character != "’" and before in " \n\t" else 0
    return 0.3 if category == "Zs" and inside else 0


def odd_letter(before: str, character: str, after: str) -> float:
    """Judge a letter: of another script than its neighbour, a capital after a small one, one of three in a row."""
    category, script = kind(character)
    (left, left_script), (right, right_script) = kind(before), kind(after)
    if character in "ªº":
        return float(left[0] not in "NL" or right[0] == "L")
    if left_script not in ("", script) or right_script not in ("", script):
        return 1
    if (category == "Lu" and left == "Ll") or (category == "Ll" and right == "Lu"):
        return 1
    surrounded = left_script == right_script == "LATIN" and not before.isascii() and not after.isascii()
    return float(script == "LATIN" and surrounded)
