"""Cut text into words, sentences and lines, in native code and once per batch.

`segment` is for whole batches: every document becomes a run of integers into one vocabulary, and from
there on curation is arithmetic over arrays; a Python object exists once per distinct word. Text is split
at blanks, then each *distinct* run of signs is cut once, by a regular expression that follows spaCy's
English rules (8 of 49,700 tokens of BBC news differ), since the thresholds of filters were found with
spaCy's words; spaCy does 0.45 MB/s, this 20. Marks are segments of their own. Chinese is cut by rjieba
(Rust, 33 MB/s, the same cuts as jieba), with jieba's model for words that its dictionary lacks, as
FineWeb2's thresholds were found with it; full-width digits and letters are cut as if they were ASCII. In
scripts without blanks that have no segmenter here (kana and Han in Japanese, Thai, Lao, Khmer, Burmese) each
character is a segment.

`words` lists the words of one text without the marks, and cuts Chinese by dictionary alone: it is what
perplexities are divided by, so no model may have a say in it.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from itertools import count, pairwise
from string import ascii_letters, digits
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import rjieba

HAN_CHARS = "\u3400-\u9fff\U00020000-\U0003ffff"
UNSPACED = f"\u3040-\u30ff{HAN_CHARS}\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"
"""Kana, Han, Thai, Lao, Burmese, Khmer: a character is a word."""
INDIC_MARKS = "".join(
    f"{chr(b)}-{chr(b + 3)}{chr(b + 0x3C)}{chr(b + 0x3E)}-{chr(b + 0x4F)}{chr(b + 0x51)}-{chr(b + 0x57)}"
    for b in range(0x900, 0xE00, 0x80)
)
MARKS = f"\u0300-\u036f\u0483-\u0487\u0591-\u05bd\u05bf-\u05c7\u0610-\u061a\u064b-\u065f\u0670{INDIC_MARKS}\u200c\u200d"
"""Vowel signs, accents and joiners, which belong to the word before them but are no \\w to Python."""
LETTERS = f"(?:[^\\W{UNSPACED}][{MARKS}]*)+"
WORD = re.compile(f"[{UNSPACED}]|{LETTERS}(?:['’](?:[^\\W_][{MARKS}]*)+)*")
HAN = re.compile(f"[{HAN_CHARS}]")
FULL_WIDTH = re.compile("[０-９Ａ-Ｚａ-ｚ]")
HALF_WIDTH = {code + 0xFEE0: code for code in map(ord, ascii_letters + digits)}
UNSPACED_LANGUAGES = frozenset(["zh", "ja", "th", "lo", "km", "my"])

CORE = f"(?:[^\\W_{UNSPACED}][{MARKS}]*)+"
"""The same without underscores, which are marks of emphasis around a word: _|word|_."""
UNITS = "km[²³]?|[dcmµn]?m[²³]?|ha|yd|in|ft|[kmµ]?g|t|lb|oz|h?Pa|m?bar|[mkgtMKGT][bB]|[TGMK]|[ap]m"
TITLES = r"Mr|Mrs|Ms|Dr|Prof|St|Jr|Sr|Gen|Sen|Rep|Gov|Rev|Lt|Col|Co|Corp|Inc|Ltd|Bros|vs|e\.g|i\.e|[ap]\.m"
MONTHS = "Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sep|Sept|Oct|Nov|Dec"
STATES = (
    "Ala|Ariz|Ark|Calif|Colo|Conn|Del|Fla|Ga|Ia|Id|Ill|Ind|Kans?|Ky|La|Mass|Mich|Minn|Miss|Mont|Nebr?|Nev|Okla|Ore|Pa"
    "|Tenn|Va|Wash|Wis"
)
"""Titles, months and states that keep their stop, as in spaCy's exceptions: Reuters names a state in every brief."""
SEGMENT = re.compile(
    rf"""
    \n                                  # between two runs: `cut_runs` joins them so
    | (?![cC]annot)[^\W\d_{UNSPACED}]{{2,}}+(?=[,;:!?)"”'’]*\n)   # most runs, quickly: a plain word, marks after it
    | [{UNSPACED}]
    | \.{{2,}}                          # an ellipsis, a row of hyphens: one mark
    | -{{2,}}
    | ['’](?:[sS]|[rv]e|ll|[dm])(?!\w)  # river|'s
    | (?:https?://|www\.)\S+
    | (?:[A-Z]\.)+(?![^\W\d_]{{2}})     # U.S., J.
    | (?:{TITLES}|{MONTHS}|{STATES})\.(?!\w)
    | [cC]an(?=not(?!\w))
    | [^\W\d_{UNSPACED}]+?(?=n['’]t(?!\w))                        # do|n't
    | (?<![^\W\d_])\d[\d.,]{{0,30}}(?=(?:{UNITS})(?!\w))           # 25|km
    | {CORE}                            # a word or number, with what is joined to it:
      (?: (?: ['’](?!(?:[sS]|[rv]e|ll|[dm])(?!\w))
            | (?<![a-z])[.](?=\w) | [.](?=[a-z0-9])
            | (?<=\d),(?=\w) | ,(?=\d)
            | (?<=[^\W\d_])-(?=\d)      # F-16, but well|-|known and 9|-|11
            | (?<=\d)–(?=\d) | [/:](?=\d) | [@&] | _+
          ) {CORE} )*
    | \S
    """,
    re.VERBOSE,
)
"""One segment. Every character that is no blank belongs to exactly one."""
ELISION = re.compile(rf"\b(?:[lLdDjJmMtTnNsScC]|[qQ]u)['’](?=\w)|{SEGMENT.pattern}", re.VERBOSE)
"""French: l'|eau."""

PARAGRAPH_END = re.compile(r"\n\s*\n")
SENTENCE_END = re.compile(
    r"""
    [.!?।؟…。！？｡]
    (?: (?<=[。！？｡])["'”’»」』）)]*
      | (?<=[.!?।؟…])["'”’»)\]]*(?=\s|\Z)
        (?<!\b[A-Z]\.)(?<!\b(?:Mr|Ms|Dr|St|Jr|Sr|Lt|vs|No|Co)\.)
        (?<!\b(?:Mrs|Gen|Sen|Rev|Col|Inc|Ltd|e\.g|i\.e)\.)(?<!\b(?:Prof|Corp)\.)
    )
    """,
    re.VERBOSE,
)
"""A stop before a blank, but not after an initial or a title; a full-width stop anywhere; with the
quotes that close after it."""

Numbers = defaultdict[str, int]
"""Strings numbered as they are first met: looking one up adds it."""
Ints = npt.NDArray[np.int64]


class Segmented(NamedTuple):
    """The segments of a batch of texts."""

    vocabulary: list[str]
    """The distinct segments, words and marks."""
    ids: npt.NDArray[np.int32]
    """Index into the vocabulary of every segment of every text, one text after another."""
    offsets: Ints
    """Text i has ids[offsets[i]:offsets[i + 1]]; one more than there are texts."""


def words(text: str, language: str) -> list[str]:
    """List the words of `text` in order, as they are written."""
    if language == "zh" and HAN.search(text):
        return [word for word in rjieba.cut(text, hmm=False) if any(map(str.isalnum, word))]
    return WORD.findall(text)


def segment(texts: Sequence[str], languages: Sequence[str]) -> Segmented:
    """Cut a batch of texts into words and marks; what a text is cut into depends on it and its language only."""
    numbers: Numbers = defaultdict(count().__next__)
    ways: dict[Cut, list[int]] = {cut_han: [], cut_french: [], cut_runs: []}
    for index, (text, language) in enumerate(zip(texts, languages, strict=True)):
        han = language == "zh" and HAN.search(text)
        ways[cut_han if han else cut_french if language == "fr" else cut_runs].append(index)
    order = [index for indices in ways.values() for index in indices]
    parts = [cut([texts[i] for i in indices], numbers) for cut, indices in ways.items()]
    ids, lengths = without_blanks(
        np.concatenate([ids for ids, _ in parts]), np.concatenate([n for _, n in parts]), numbers
    )
    starts, sizes = np.empty_like(lengths), np.empty_like(lengths)
    starts[order], sizes[order] = bounds(lengths)[:-1], lengths
    kept = [segment for segment in numbers if not segment.isspace()]
    return Segmented(kept, gather(ids, starts, sizes).astype(np.int32), bounds(sizes))


Cut = Callable[[Sequence[str], Numbers], tuple[Ints, Ints]]
"""Cuts texts; gives the numbers of all segments, one text after another, and how many each text has."""


def cut_han(texts: Sequence[str], numbers: Numbers) -> tuple[Ints, Ints]:
    """Cut Chinese texts by dictionary and, for words it lacks, by jieba's model; blanks are left in."""
    return number((rjieba.cut(half_width(text), hmm=True) for text in texts), numbers)


def half_width(text: str) -> str:
    """Write full-width digits and Latin letters as ASCII ones: jieba cuts ２０１２ into four words, 2012 into one."""
    return text.translate(HALF_WIDTH) if FULL_WIDTH.search(text) else text


def cut_runs(texts: Sequence[str], numbers: Numbers, rule: re.Pattern[str] = SEGMENT) -> tuple[Ints, Ints]:
    """Cut texts at blanks, and each distinct run between blanks by the rule, once."""
    distinct: Numbers = defaultdict(count().__next__)
    runs, num_runs = number(map(str.split, texts), distinct)
    pieces, _ = number([rule.findall("".join(run + "\n" for run in distinct))], numbers)
    ends = np.flatnonzero(pieces == numbers["\n"])
    starts = np.append(0, ends + 1)[:-1]
    sizes = (ends - starts)[runs]
    return gather(pieces, starts[runs], sizes), per_text(sizes, num_runs)


def cut_french(texts: Sequence[str], numbers: Numbers) -> tuple[Ints, Ints]:
    """Cut French texts, where l' and d' are words."""
    return cut_runs(texts, numbers, ELISION)


def number(cuts: Iterable[list[str]], numbers: Numbers) -> tuple[Ints, Ints]:
    """Number the strings of several lists; return the numbers of all and the length of each list."""
    arrays = [np.fromiter(map(numbers.__getitem__, cut), np.int64, len(cut)) for cut in cuts]
    lengths = np.array([len(array) for array in arrays], np.int64)
    return np.concatenate([np.empty(0, np.int64), *arrays]), lengths


def without_blanks(ids: Ints, lengths: Ints, numbers: Numbers) -> tuple[Ints, Ints]:
    """Take the segments that are blanks out, of the ids and of the numbering."""
    kept = np.fromiter((not segment.isspace() for segment in numbers), bool, len(numbers))
    mask = kept[ids]
    return (np.cumsum(kept) - 1)[ids[mask]], per_text(mask, lengths)


def bounds(lengths: Ints) -> Ints:
    """Say where runs of these lengths begin when they stand one after another, and where the last ends."""
    return np.append(0, np.cumsum(lengths)).astype(np.int64)


def per_text(values: npt.NDArray[Any], lengths: Ints) -> Ints:
    """Add up integers or truth values over runs of the given lengths (which may be empty)."""
    sums = np.zeros(len(lengths), np.int64)
    some = lengths > 0
    if some.any():
        sums[some] = np.add.reduceat(values, bounds(lengths)[:-1][some], dtype=np.int64)
    return sums


def gather(values: Ints, starts: Ints, lengths: Ints) -> Ints:
    """Concatenate the slices values[start:start + length], in order."""
    index = np.repeat(starts - bounds(lengths)[:-1], lengths) + np.arange(int(lengths.sum()))
    return values[index]


def sentences(text: str) -> list[tuple[int, int]]:
    """Find the sentences of `text` as (start, end), without the blanks around them.

    A sentence ends with a stop before a blank, with a full-width stop, or with its line; not after
    an initial or a title.
    """
    spans = []
    for start, end in lines(text):
        ends = [match.end() for match in SENTENCE_END.finditer(text, start, end)]
        spans += [trimmed(text, *span) for span in pairwise([start, *ends, end])]
    return [(start, end) for start, end in spans if start < end]


def count_sentences(lines: Sequence[str]) -> Ints:
    """Count the sentences of each line; the lines have no blanks at their edges and are not empty."""
    text = "\n".join(lines)
    line_ends = bounds(np.fromiter(map(len, lines), np.int64, len(lines)) + 1)[1:] - 1
    ends = np.array([match.end() for match in SENTENCE_END.finditer(text)], np.int64)
    last = np.searchsorted(ends, line_ends, side="right")
    closed = np.isin(line_ends, ends)
    return np.diff(last, prepend=0) + ~closed


def trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    """Leave the blanks out at both ends of a span."""
    part = text[start:end]
    return start + len(part) - len(part.lstrip()), start + len(part.rstrip())


def lines(text: str) -> list[tuple[int, int]]:
    """Find the lines of `text` that are not blank, as (start, end) without the newline."""
    spans, start = [], 0
    for line in text.split("\n"):
        if line and not line.isspace():
            spans.append((start, start + len(line)))
        start += len(line) + 1
    return spans
