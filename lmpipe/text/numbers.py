"""Tell what a long number in a text is: card, IBAN, social security, Chinese identity or a telephone number.

One scan finds the runs of seven digits and more; only there the forms below are tried, each with its
check. phonenumbers (libphonenumber) was measured and left out: its matcher reads 0.4 MB/s, it weighs
48 MB, and what its tables add after an explicit +code or a word such as "Tel" is little.
"""

import re
from collections.abc import Iterator
from datetime import date

RUN = re.compile(r"[0-9](?:(?: ?/ |[ \u00a0.\-\u2010-\u2013/()]{0,2}+)[0-9]|\) / [0-9]){6,}+")
"""Seven digits and more with at most two separators between, or the German ` / `; possessive, so linear on any
input."""
BEFORE = 14
"""Characters before a run where a form may begin: `GB82 WEST `, `+`, `(`."""
AFTER = 3
"""Characters behind a run that a form's end looks at; an identity number may end in X."""
CODED = re.compile(
    r"(?:ISBN|ISSN|DOI|PMID|OCLC|LCCN|EAN|GTIN)[^\n]{0,8}$|(?:doi\.org|arXiv)[^\s]{0,20}$", re.IGNORECASE
)
"""A word that makes the following number a code of a book or paper."""

CARD = re.compile(
    r"(?<![0-9A-Za-z.\-+_/])(?:[0-9]{13,19}|[0-9]{4}(?P<by>[ \-])[0-9]{4}(?P=by)[0-9]{4}(?P=by)[0-9]{4}"
    r"(?:(?P=by)[0-9]{3})?|[0-9]{4}(?P<am>[ \-])[0-9]{6}(?P=am)[0-9]{4,5})(?![0-9A-Za-z]|[.\-][0-9])"
)
"""Printed groups only: 4-4-4-4(-3), 4-6-5 (American Express), 4-6-4 (Diners), or none."""
ISSUERS = (
    (re.compile(r"4"), (13, 16, 19)),
    (re.compile(r"5[1-5]|222[1-9]|22[3-9]|2[3-6]|27[01]|2720"), (16,)),
    (re.compile(r"3[47]"), (15,)),
    (re.compile(r"6011|64[4-9]|65"), (16, 19)),
    (re.compile(r"35(?:2[89]|[3-8])"), (16,)),
    (re.compile(r"30[0-5]|36|3[89]"), (14,)),
    (re.compile(r"62"), (16, 17, 18, 19)),
    (re.compile(r"5018|502[0-9]|5038|5[6-8]|6304|67[0-9]"), (16, 18, 19)),
    (re.compile(r"5019"), (16,)),
)
"""Visa, Mastercard, American Express, Discover, JCB, Diners, UnionPay, Maestro, Dankort: first digits and lengths
(ISO/IEC 7812)."""

IBAN_LENGTHS = {
    code: length
    for length, codes in {
        15: "NO", 16: "BE", 18: "DK FI FO GL NL SD", 19: "MK SI", 20: "AT BA EE KZ LT LU XK", 21: "CH HR LI LV",
        22: "BG BH CR DE GB GE IE ME RS VA", 23: "AE GI IL IQ OM TL", 24: "AD CZ ES MD PK RO SA SE SK TN VG",
        25: "LY PT ST", 26: "IS TR", 27: "BI DJ FR GR IT MC MR SM", 28: "AL AZ BY CY DO GT HU LB NI PL SV",
        29: "BR EG PS QA UA", 30: "JO KW MU", 31: "MT SC", 32: "LC",
    }.items()
    for code in codes.split()
}  # fmt: skip
"""Characters of an IBAN by country (SWIFT's registry)."""
IBAN_START = re.compile(r"(?<![0-9A-Za-z])[A-Z]{2}[0-9]{2}(?=[ ]?[A-Z0-9]{2})")
IBAN_REST = {
    length: re.compile(rf"(?:[ ]?[A-Z0-9]){{{length - 4}}}(?![0-9A-Za-z])") for length in set(IBAN_LENGTHS.values())
}
"""What follows country and check digits, by the length of the whole."""

SSN = re.compile(
    r"(?<![0-9A-Za-z.\-])(?!000|666|9)[0-9]{3}(?P<by>[ .\-]?)(?!00)[0-9]{2}(?P=by)(?!0000)[0-9]{4}"
    r"(?![0-9A-Za-z]|[.\-][0-9])"
)
"""Areas 000, 666 and 900-999, group 00 and serial 0000 are never given out (SSA)."""
SSN_WORD = re.compile(r"(?:\bSSN|social security)[^\n0-9]{0,20}$", re.IGNORECASE)
"""Nine digits without hyphens (219 09 9998) are a social security number only behind this."""

CN_ID = re.compile(r"(?<![0-9A-Za-z.])[1-9][0-9]{16}[0-9Xx](?![0-9A-Za-z])")
CN_PROVINCE = re.compile(r"1[1-5]|2[1-3]|3[1-7]|4[1-6]|5[0-4]|6[1-5]|71|8[1-3]")
"""First two digits (GB/T 2260)."""
CN_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
CN_CHECK = "10X98765432"
"""Check character by the weighted sum modulo 11 (GB 11643-1999)."""

CN_MOBILE = re.compile(
    r"(?<![0-9A-Za-z._/=])(?<![0-9]-)(?:(?:\+|00)?86[ \-]?)?1[3-9][0-9](?P<by>[ \-]?)[0-9]{4}(?P=by)[0-9]{4}"
    r"(?![0-9A-Za-z]|[.\-][0-9])"
)

SEPARATOR = r"[ \u00a0.\-\u2010-\u2013/]"
BETWEEN = rf"(?: / |{SEPARATOR}{{0,2}})"
"""What may part two digits."""
PHONES = (
    # international: + and a country code, 8 to 15 digits in all (ITU-T E.164)
    re.compile(rf"(?<![0-9A-Za-z+])\+[1-9](?:{BETWEEN}\(?[0-9]\)?){{7,14}}(?![0-9A-Za-z])"),
    # North America: area and exchange begin with 2-9 and do not end in 11; blanks alone do not make a telephone number
    re.compile(
        r"(?<![0-9A-Za-z(])(?:1[ .\-])?\((?!.11)[2-9][0-9]{2}\)[ .\-]?(?!.11)[2-9][0-9]{2}[ .\-][0-9]{4}"
        r"(?![0-9A-Za-z]|[.\-][0-9])"
    ),
    re.compile(
        r"(?<![0-9A-Za-z.\-/_])(?:1[ .\-])?(?!.11)[2-9][0-9]{2}(?P<by>[.\-])(?!.11)[2-9][0-9]{2}(?P=by)[0-9]{4}"
        r"(?![0-9A-Za-z]|[.\-][0-9])"
    ),
    # a trunk zero, area and subscriber: 9 to 12 digits, which dates, times and ISSNs do not have; 3-2-4 is an American
    # social security number
    re.compile(
        rf"(?<![0-9A-Za-z.,\-/(_])(?<![0-9][ \-])(?!0[0-9]{{2}}[ \-][0-9]{{2}}[ \-][0-9]{{4}}(?![ \-]?[0-9]))"
        rf"\(?0[1-9][0-9]{{1,4}}(?:\)?(?: / |{SEPARATOR}{{1,2}})|\))"
        r"[0-9]{2,8}(?:[ \-][0-9]{2,8}){0,3}(?![0-9A-Za-z]|[.,\-/][0-9])"
    ),
    # France: five pairs
    re.compile(r"(?<![0-9A-Za-z.,\-/_])0[1-9](?P<by>[ .\-])(?:[0-9]{2}(?P=by)){3}[0-9]{2}(?![0-9A-Za-z]|[.,\-/][0-9])"),
)
"""Forms that say by themselves that they are telephone numbers."""
PHONE_DIGITS = ((8, 15), (10, 11), (10, 11), (9, 12), (10, 10))
"""Fewest and most digits of each form."""
PHONE_WORD = re.compile(
    r"(?:(?<![\w.])(?:(?:tel|telephone|phone|mobile|call|fax|whatsapp|sms|hotline|telefon|handy|téléphone|tél)\b|(?:ph|cell):)"
    r"|电话|電話|手机|手機|传真|傳真|热线|熱線|致电|拨打)[^\n0-9]{0,14}$",
    re.IGNORECASE,
)
"""Behind one of these any 7 to 15 digits are a telephone number."""
NOT_PHONE = re.compile(r"(?:1[5-9]|20)[0-9]{2}[.\-\u2010-\u2013/](?:(?:1[5-9]|20)[0-9]{2}$|[01]?[0-9][.\-/])")
"""1914-1918 and 2008-10-15 are none, even behind "call"."""
CALLING_CODE = re.compile(
    r"[17]|2[07]|3[0-469]|4[013-9]|5[1-8]|6[0-6]|8[1246]|9[0-58]"  # a country by itself
    r"|2[1-69]|3[578]|42|5[09]|6[7-9]|8[0578]|9[679]"  # zones of codes with three digits
)
"""How an international number may begin (ITU-T E.164, list of country codes)."""

Found = tuple[str, int, int]


def find_numbers(text: str) -> Iterator[Found]:
    """Yield (kind, start, end) of every number that passes a check; they may overlap."""
    for run in RUN.finditer(text):
        start, end = run.span()
        first, last = max(0, start - BEFORE), min(len(text), end + AFTER)
        before = text[max(0, start - 28) : start]
        yield from ibans(text, first, last)
        yield from identities(text, start, last, before)
        if not CODED.search(before):
            yield from cards(text, start, last)
            yield from phones(text, max(0, start - 2), last)
            if PHONE_WORD.search(before):
                yield from announced(text, start, end)


def cards(text: str, first: int, last: int) -> Iterator[Found]:
    """Payment cards: printed form, issuer, length, check digit."""
    for match in CARD.finditer(text, first, last):
        digits = re.sub(r"[^0-9]", "", match[0])
        known = any(issuer.match(digits) and len(digits) in lengths for issuer, lengths in ISSUERS)
        if known and luhn(digits):
            yield "card", match.start(), match.end()


def luhn(digits: str) -> bool:
    """Check the last digit (ISO/IEC 7812-1, annex B)."""
    doubled = (sum(divmod(2 * int(d), 10)) for d in digits[-2::-2])
    return (sum(map(int, digits[-1::-2])) + sum(doubled)) % 10 == 0


def ibans(text: str, first: int, last: int) -> Iterator[Found]:
    """Bank accounts: country, its length, check digits modulo 97 (ISO 13616)."""
    for match in IBAN_START.finditer(text, first, last):
        length = IBAN_LENGTHS.get(match[0][:2])
        rest = IBAN_REST[length].match(text, match.end()) if length else None
        if rest is not None:
            turned = rest[0].replace(" ", "") + match[0]
            if int("".join(str(int(c, 36)) for c in turned)) % 97 == 1:
                yield "iban", match.start(), rest.end()


def identities(text: str, first: int, last: int, before: str) -> Iterator[Found]:
    """Chinese identity numbers and mobile numbers, US social security numbers."""
    for match in CN_ID.finditer(text, first, last):
        if chinese_identity(match[0].upper()):
            yield "cn_id", match.start(), match.end()
    for match in CN_MOBILE.finditer(text, max(0, first - 3), last):
        yield "cn_mobile", match.start(), match.end()
    for match in SSN.finditer(text, first, last):
        if match["by"] == "-" or SSN_WORD.search(before):
            yield "ssn", match.start(), match.end()


def chinese_identity(number: str) -> bool:
    """Check province, date of birth and check character."""
    if not CN_PROVINCE.match(number) or number[6:8] not in ("18", "19", "20"):
        return False
    try:
        date(int(number[6:10]), int(number[10:12]), int(number[12:14]))
    except ValueError:
        return False
    return CN_CHECK[sum(w * int(d) for w, d in zip(CN_WEIGHTS, number, strict=False)) % 11] == number[17]


def phones(text: str, first: int, last: int) -> Iterator[Found]:
    """Telephone numbers whose form is enough."""
    for form, (fewest, most) in zip(PHONES, PHONE_DIGITS, strict=True):
        for match in form.finditer(text, first, last):
            digits = re.sub(r"[^0-9]", "", match[0])
            if fewest <= len(digits) <= most and (match[0][0] != "+" or CALLING_CODE.match(digits)):
                yield "phone", match.start(), match.end()


def announced(text: str, start: int, end: int) -> Iterator[Found]:
    """A number behind a word such as Tel; with the + or ( in front of it."""
    if sum(map(str.isdigit, text[start:end])) <= 15 and not NOT_PHONE.match(text[start:end]):
        while start > 0 and text[start - 1] in "+(":
            start -= 1
        yield "phone", start, end
