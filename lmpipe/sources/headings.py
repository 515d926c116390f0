"""What a heading of a chapter looks like, line by line, in European languages and in Chinese.

A heading names a division and its number, in either order (CHAPTER I, Erstes Kapitel, 第一回), or is one of the few
words that head a part of a book by themselves (PREFACE, 楔子), or a Roman numeral alone.
"""

import re

from lmpipe.sources.gutenberg import NOTE

MAX_HEADING_CHARS = 120
"""A longer line is a paragraph."""

RUN_IN_CHARS = 45
"""A heading's line of at least this length that breaks off in small letters is the first line of a paragraph."""

KIND = (
    r"(?:CHAPTER|CHAP\.?|C ?H ?A ?P(?: ?T ?E ?R)?\.?|BOOK|PART|ACT|VOLUME|VOL\.|LETTER|STAVE|CANTO|ADVENTURE|SECTION"
    r"|LECTURE|FIT"
    r"|CHAPITRE|LIVRE|PARTIE|TOME|ACTE|LETTRE|CHANT|KAPITEL|TEIL|THEIL|BUCH|BAND|AKT|BRIEF|GESANG|ABSCHNITT"
    r"|HOOFDSTUK|DEEL|BOEK|BEDRIJF|TOONEEL|ZANG|CAP[IÍ]TULO|LIBRO|PARTE|ACTO|CARTA|CAPITOLO|ATTO|CANTO|CAP[IÍ]TOL"
    r"|LUKU|OSA|KAPITTEL|KAPITLET|DEL|BOK|BOG|ROZDZIAŁ|CZĘŚĆ|KSIĘGA|KAPITOLA|FEJEZET|ГЛАВА|ЧАСТЬ|КНИГА|ТОМ"
    r"|ΚΕΦΑΛΑΙΟΝ)"
)
ROMAN = r"(?=[IVXLC])(?:C{0,3})(?:X{0,3}|XL|LX{0,3}|XC)(?:IX|IV|V?I{0,4})(?![IVXLCDM])"
TEENS = r"(?:THIR|FOUR|FIF|SIX|SEVEN|EIGH|NINE)TEEN"
TENS = r"(?:TWEN|THIR|FOR|FIF|SIX|SEVEN|EIGH|NINE)T(?:Y|IETH)"
ONES = r"ONE|TWO|THREE|FOUR|FIVE|SIX|SEVEN|EIGHT|NINE|TEN|ELEVEN|TWELVE"
ENGLISH = (
    r"FIRST|SECOND|THIRD|FOURTH|FIFTH|SIXTH|SEVENTH|EIGHTH|NINTH|TENTH|ELEVENTH|TWELFTH|LAST"
    rf"|{TEENS}TH|{TENS}(?:[- ]\w+)?"
)
ORDINAL = (
    rf"(?:{ENGLISH}"
    r"|PREMI[EÈ]RE?|SECONDE?|(?:DEUX|TROIS|QUATR|CINQU|SIX|SEPT|HUIT|NEUV|DIX|ONZ|DOUZ|TREIZ)I[EÈ]ME|DERNI[EÈ]RE?"
    r"|(?:ERST|ZWEIT|DRITT|VIERT|F(?:Ü|UE)NFT|SECHST|SIEB(?:EN)?T|ACHT|NEUNT|ZEHNT|ELFT|ZW(?:Ö|OE)LFT|DREIZEHNT"
    r"|VIERZEHNT|F(?:Ü|UE)NFZEHNT|SECHZEHNT|SIEBZEHNT|ACHTZEHNT|NEUNZEHNT|ZWANZIGST|LETZT)E[RS]?"
    r"|EERSTE|TWEEDE|DERDE|VIERDE|VIJFDE|ZESDE|ZEVENDE|ACHTSTE|NEGENDE|TIENDE|ELFDE|TWAALFDE|DERTIENDE|LAATSTE"
    r"|PRIM[OA]|PRIMER[OA]?|SEGUND[OA]|SECOND[OA]|TERZ[OA]|TERCER[OA]?|QUART[OA]|CUART[OA]|QUINT[OA]|SEST[OA]"
    r"|ПЕРВАЯ|ВТОРАЯ|ТРЕТЬЯ)"
)
NUMBER = (
    rf"(?:{ROMAN}(?:ER|ST)?|\d{{1,3}}(?:ER|E|º|\.?ª)?|(?:THE |DE |LE )?{ORDINAL}|{ONES}|{TEENS}|{TENS}(?:[- ]\w+)?)"
)

ALONE = (
    r"(?:PROLOGUE|EPILOGUE|PREFACE|INTRODUCTION|FOREWORD|AFTERWORD|CONCLUSION|APPENDIX|POSTSCRIPT|FINALE"
    r"|PR[ÉE]FACE|AVANT-PROPOS|[ÉE]PILOGUE|POSTFACE|VORWORT|EINLEITUNG|NACHWORT|EPILOG|PROLOG|ANHANG|SCHLUSS"
    r"|VOORREDE|VOORWOORD|INLEIDING|NASCHRIFT|NAWOORD|PROLOOG|EPILOOG|PR[ÓO]LOGO|EP[ÍI]LOGO|PREFAZIONE|EPILOGO"
    r"|INTRODUCCI[ÓO]N|F[ÖO]RORD|FORORD|INLEDNING|ESIPUHE|ПРОЛОГ|ЭПИЛОГ|ПРЕДИСЛОВИЕ)"
)
AFTER = r"(?=$|[.:,;\])—–-]|\s+[\"“‘'(_]?[A-ZÀ-ÞА-Я0-9])"
"""What may follow a number: nothing, a mark, or a title."""

LATIN = re.compile(
    rf"(?:(?i:(?:THE )?{KIND}\s+{NUMBER}){AFTER}"
    rf"|(?i:(?:THE |DE |HET |LE |LA |DER |DAS |DIE )?{ORDINAL} {KIND})(?=$|[.:](?:$|\s*[A-Z—–-]))"
    rf"|(?:{ROMAN}\.?|\d{{1,3}}\.)\s(?i:{KIND})(?=$|[.:—–-])"
    rf"|{ROMAN}(?=\.?$|\.[ \t—–-]+[A-ZÀ-Þ][^a-zà-ÿ]*$)"
    rf"|(?i:{ALONE})(?=[.:]?$)"
    rf"|(?:APPENDIX|INDEX)(?: [A-Z0-9]{{1,4}}| OF [A-Z]+)?(?=$|[.:] [A-Z]|\.$)"
    rf"|\[?(?i:(?:{NOTE}))(?=[.:]?\]?$))"
)
"""Matched from the start of a line after a blank one or another heading."""

NUMERAL = "零〇○一二三四五六七八九十百千两兩廿卅"
CHINESE_KIND = "(?:[回囘廻章節节卷部篇集折幕場场話话封]|部分)"
CHINESE = re.compile(
    r"(?:正文\s+|[【〔［「『《(（]\s*)?(?:"
    rf"第\s*[{NUMERAL}0-9０-９]+(?:\s[{NUMERAL}])*\s*{CHINESE_KIND}(?=$|[\s:：、】〕］」』》)）]|[^。，,！!？?；;．]{{1,24}}$)"
    r"|卷[之第]?[一二三四五六七八九十百上中下]+(?=$|[\s:：])|[上中下][卷篇部](?=$|[\s:：])"
    r"|(?:楔\s*子|引\s*子|引\s*言|序\s*[言幕章曲]?|自\s*序|前\s*言|導\s*言|导\s*言|尾\s*[声聲]|終\s*章|终\s*章|[后後]\s*[记記]"
    r"|附\s*[录錄表]|番\s*外|跋)(?=$|[】〕］」』》)）]|[\s:：][^。，]{0,30}$))"
)
"""第一回 and the like, 卷一, 楔子, 序, 附录, from the start of a line. A sentence that begins with 第四回中
is no heading: it holds punctuation."""

CHINESE_TITLE = re.compile("[^。，、：:！!？?；;．-]{1,24}")
"""A line under a bare 第一回 that still belongs to the heading."""

LATIN_TITLE = re.compile(f".{{1,{MAX_HEADING_CHARS}}}")
"""A line under CHAPTER I. that still belongs to the heading, when no blank line stands between."""

NUMBERED = re.compile(
    r"(?:[(（]\s*)?(?:(?P<roman>[IVXLC]+)|(?P<digits>\d{1,3})|(?P<han>[一二三四五六七八九十]{1,3}))\s*[)）]?"
    r"(?:$|[.、．:]?$|[.、．:—]\s*(?P<title>\S.{0,70})$)"
)
"""A number alone or before a title: a heading only as one of a whole row of them."""

DIGITS = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100}


def is_division(text: str) -> bool:
    """Tell a heading that says that it is one."""
    return bool(LATIN.match(text) or CHINESE.match(text))


def begins_paragraph(text: str, following: str) -> bool:
    """Tell a line that begins like a heading and goes on as prose: "BOOK I. (Folio), Chapter I.--This whale, among"."""
    return len(text) >= RUN_IN_CHARS and following[:1].islower() and text.rsplit(None, 1)[-1].islower()


def number_of(text: str) -> int | None:
    """Return the number of a line that is a number alone or before a title; None for other lines."""
    found = NUMBERED.match(text)
    if found is None:
        return None
    if found["digits"]:
        return int(found["digits"])
    return roman(found["roman"]) if found["roman"] else han(found["han"])


def roman(numeral: str) -> int:
    """Read a Roman numeral: a smaller sign before a larger one counts against it."""
    values = [DIGITS[sign] for sign in numeral]
    return sum(-v if v < after else v for v, after in zip(values, [*values[1:], 0], strict=True))


def han(numeral: str) -> int:
    """Read a Chinese numeral below 100."""
    tens, ten, ones = numeral.rpartition("十")
    digit = " 一二三四五六七八九".find
    return 10 * (digit(tens) if tens else 1) + max(digit(ones), 0) if ten else max(digit(numeral), 0)


def label(heading: str) -> str:
    """Reduce a heading to its kind and number, so that ACT I and FIRST ACT are the same."""
    found = LATIN.match(heading) or CHINESE.match(heading)
    if found is None:
        return heading.lower()
    words = found[0].lower().replace(".", "").split()
    return " ".join(sorted(ENGLISH_NUMBERS.get(word, word) for word in words if word not in ("the", "de")))


ENGLISH_NUMBERS = {
    word: numeral
    for numeral, words in {
        "i": "one first 1", "ii": "two second 2", "iii": "three third 3", "iv": "four fourth 4", "v": "five fifth 5",
        "vi": "six sixth 6", "vii": "seven seventh 7", "viii": "eight eighth 8", "ix": "nine ninth 9",
        "x": "ten tenth 10",
    }.items()
    for word in words.split()
}  # fmt: skip
