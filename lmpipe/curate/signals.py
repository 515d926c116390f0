"""Measure a document once: every signal is a typed column that stands beside the text.

Definitions follow Gopher (Rae et al. 2021, arXiv 2112.11446, appendix A1.1 and table A1) and
FineWeb (Penedo et al. 2024); where implementations differ the column's comment in SIGNALS says
which way is taken. A profile is only thresholds over these columns (decide.py), so a new threshold
needs no second look at the text.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Iterable
from itertools import pairwise

import pyarrow as pa

from lmpipe.text.segment import words as segment

SIGNALS = pa.schema(
    [
        ("id", pa.string()),
        ("source", pa.string()),
        ("lang", pa.string()),
        ("lang_score", pa.float64()),  # confidence of the identification, 0 to 1 (text/language.py)
        ("created", pa.timestamp("s", tz="UTC")),
        ("work", pa.string()),  # what is split together: the book of a chapter, else the document
        ("text_sha256", pa.binary(32)),  # of the normalised text: the key of exact deduplication
        ("bytes", pa.int64()),  # UTF-8
        ("chars", pa.int64()),
        ("words", pa.int64()),
        ("lines", pa.int64()),  # that are not empty
        ("mean_word_chars", pa.float64()),
        ("alpha_words", pa.float64()),  # share of words with a letter
        ("digit_chars", pa.float64()),  # share of characters that are digits
        ("symbol_words", pa.float64()),  # '#' and ellipses per word
        ("stop_words", pa.int64()),  # distinct ones of the language's list, as datatrove counts
        ("bullet_lines", pa.float64()),  # share of lines that begin with a bullet
        ("ellipsis_lines", pa.float64()),  # share of lines that end with an ellipsis
        ("punctuated_lines", pa.float64()),  # share of lines that end a sentence, in any script
        ("newlines_per_word", pa.float64()),
        ("duplicate_lines", pa.float64()),  # share of lines that are second or later copies
        ("duplicate_line_chars", pa.float64()),  # their share of all characters
        ("top_2gram_chars", pa.float64()),  # share of word characters in the most frequent pair, if it repeats
    ]
)

STOP_WORDS = {
    "en": frozenset(["the", "be", "to", "of", "and", "that", "have", "with"]),
    "zh": frozenset("的年在月是和日了於·為有被人中为他與後也而由"),
}
"""Gopher's eight English words; FineWeb2's configs/cmn_Hani.yml for Chinese (both scripts)."""
BULLET = re.compile(r"\s*[•‣▪◦●*\-–—·]\s")
ENDS_SENTENCE = re.compile(r"[.!?。！？…‼⁇⁈⁉।؟።][\"'”’»)\]）」』】]*$")
SYMBOL = re.compile(r"#|\.\.\.|…")
DIGIT = re.compile(r"\d")
LETTER = re.compile(r"[^\W\d_]")


def measure(text: str, language: str) -> dict[str, float | int | bytes]:
    """Measure all signals of one text that depend on nothing but its text and language."""
    words = segment(text, language)
    lines = [line for line in text.split("\n") if line.strip()]
    return {
        "text_sha256": hashlib.sha256(text.encode()).digest(),
        "bytes": len(text.encode()),
        "chars": len(text),
        "digit_chars": share(len(DIGIT.findall(text)), len(text)),
        "newlines_per_word": share(text.count("\n"), len(words)),
        **measure_words(text, words, language),
        **measure_lines(lines),
    }


def measure_words(text: str, words: list[str], language: str) -> dict[str, float | int]:
    """Measure what is counted in words."""
    lower = set(map(str.lower, words))
    word_chars = sum(map(len, words))
    return {
        "words": len(words),
        "mean_word_chars": share(word_chars, len(words)),
        "alpha_words": share(sum(1 for word in words if LETTER.search(word)), len(words)),
        "symbol_words": share(len(SYMBOL.findall(text)), len(words)),
        "stop_words": len(lower & STOP_WORDS.get(language, frozenset())),
        "top_2gram_chars": share(top_pair_chars(words), word_chars),
    }


def measure_lines(lines: list[str]) -> dict[str, float | int]:
    """Measure what is counted in lines; `lines` holds no empty one."""
    seen: set[str] = set()
    copies = [line for line in lines if line in seen or seen.add(line)]  # type: ignore[func-returns-value]
    return {
        "lines": len(lines),
        "bullet_lines": share(sum(1 for line in lines if BULLET.match(line)), len(lines)),
        "ellipsis_lines": share(sum(1 for line in lines if line.endswith(("...", "…"))), len(lines)),
        "punctuated_lines": share(sum(1 for line in lines if ENDS_SENTENCE.search(line)), len(lines)),
        "duplicate_lines": share(len(copies), len(lines)),
        "duplicate_line_chars": share(sum(map(len, copies)), sum(map(len, lines))),
    }


def top_pair_chars(words: list[str]) -> int:
    """Characters in all copies of the most frequent pair of words; 0 when none occurs twice.

    Ties are settled for the pair with more characters. (datatrove has no "occurs twice" and drops
    two-word texts as repetition.)
    """
    pairs = Counter(pairwise(words))
    if not pairs:
        return 0
    top = max(pairs.values())
    return max(len(a) + len(b) for (a, b), n in pairs.items() if n == top) * top if top > 1 else 0


def share(part: float, whole: float) -> float:
    """part / whole, and 0 for an empty whole: an empty text is judged by its length, not by shares."""
    return part / whole if whole else 0.0


def signals_batch(rows: Iterable[dict[str, object]]) -> pa.RecordBatch:
    """Lay out measured documents as rows of SIGNALS."""
    return pa.RecordBatch.from_pylist(list(rows), schema=SIGNALS)
