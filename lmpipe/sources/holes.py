"""Count the visible holes of a rendered text: where a reader sees that words are missing.

Extractors that drop templates leave "Albedo () or reflection", "Achilles (; , Akhilleus, )" and "built
in ,". Each pattern below is a trace of that kind which careful prose does not hold: f() and "(;)" are
none, "found in it ." is a slip of the typist, "found in ." is a hole. In 2,225 BBC stories and nine
Gutenberg novels they find six, all of them real gaps or slips (tests/sources/test_holes.py).
"""

import re

from lmpipe.sources.wikitext_names import words

HOLES = tuple(
    # Each begins with a literal, which the regular expression engine seeks ten times as fast as a class.
    re.compile(pattern)
    for pattern in (
        r"\((?<=[^\W\d_] \()[ \t]*\)",  # Albedo () or
        r"\([ \t]*[,;](?![ \t]*\))",  # Achilles (; , Akhilleus)
        r", +\)",  # Achilles (Akhilleus, )
        r"; +\)",
        r", ,(?! ,)",
        r"; ?[,;](?= )",
        r"(?<=[\u3040-\u30ff\u4e00-\u9fff])（）",  # 数学（）是
        r"（ ?[，、；：,;](?!）)",  # 数学（，英语）
        r"，[，、。；]",
        r"、[，、。；]",
        r"“ ?”(?![”)）」])",
        r"《 ?》",
        r"「」(?<=\w「」)(?=\w)",
        r' ""(?<=\w "")(?= \w|[,.;])',
    )
)
BEFORE_STOP = re.compile(r" [,.](?=[ \n]|$)(?! \.)")
"""A space before a comma or a full stop; a hole behind a word that calls for another."""
LEADING_WORDS = words(
    "a an about and approximately around as at between by circa during for from in into is near of on or over"
    " since than the through to until was were with within born called named"
    " am auf aus bei bis das dem den der des die ein eine für im mit nach seit um und von vor wurde zu zum zur"
    " à au aux avec dans de du en entre et jusqu'à la le les par pour sur un une vers"
    " con da del della desde di do e el hasta il las los na no para per por sin sobre y"
)
"""English, German, French, Spanish, Italian, Portuguese."""
LONGEST_LEADING_WORD = max(map(len, LEADING_WORDS))


def visible_holes(text: str) -> int:
    """Count the holes of a rendered text."""
    stops = sum(lacks_word(text, match.start()) for match in BEFORE_STOP.finditer(text))
    return stops + sum(len(hole.findall(text)) for hole in HOLES)


def lacks_word(text: str, end: int) -> bool:
    """Tell whether the word that ends at `end` is one that cannot stand before a stop."""
    start = max(end - LONGEST_LEADING_WORD - 1, 0)
    return text[start:end].rpartition(" ")[2].rpartition("\n")[2].lower() in LEADING_WORDS
