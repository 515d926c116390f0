"""Measure the lines and paragraphs of documents: how they begin and end, and which of them repeat.

Lines are what newlines part; blank ones count nowhere and blanks at their edges do not matter. Every
line of a batch is looked at in one pass per feature, whatever document it is from.
"""

import re
from collections.abc import Callable, Sequence
from itertools import repeat
from typing import Any

import numpy as np
import numpy.typing as npt

from lmpipe.curate.repetition import share
from lmpipe.text.segment import PARAGRAPH_END, UNSPACED_LANGUAGES, Ints, count_sentences, per_text

STOPS = frozenset(
    "!.?։؝؞؟۔܀܁܂߹࠷࠹࠽࠾।॥၊။።፧፨᙮᜵᜶។៕៖៙៚᠃᠉᥄"
    "᥅᪨᪩᪪᪫᭚᭛᭞᭟᭽᭾᰻᰼᱾᱿‼‽⁇⁈⁉⸮⸼⹓⹔。꓿꘎꘏꛳꛷꡶꡷꣎꣏"
    "꤯꧈꧉꩝꩞꩟꫰꫱꯫﹒﹖﹗！．？｡"
    "\U00010a56\U00010a57\U00010f55\U00010f56\U00010f57\U00010f58\U00010f59\U00010f86\U00010f87\U00010f88"
    "\U00010f89\U00011047\U00011048\U000110be\U000110bf\U000110c0\U000110c1\U00011141\U00011142\U00011143"
    "\U000111c5\U000111c6\U000111cd\U000111de\U000111df\U00011238\U00011239\U0001123b\U0001123c\U000112a9"
    "\U0001144b\U0001144c\U000115c2\U000115c3\U000115c9\U000115ca\U000115cb\U000115cc\U000115cd\U000115ce"
    "\U000115cf\U000115d0\U000115d1\U000115d2\U000115d3\U000115d4\U000115d5\U000115d6\U000115d7\U00011641"
    "\U00011642\U0001173c\U0001173d\U0001173e\U00011944\U00011946\U00011a42\U00011a43\U00011a9b\U00011a9c"
    "\U00011c41\U00011c42\U00011ef7\U00011ef8\U00011f43\U00011f44\U00016a6e\U00016a6f\U00016af5\U00016b37"
    "\U00016b38\U00016b44\U00016e98\U0001bc9f\U0001da88"
)
"""The stops of all scripts: FineWeb's TERMINAL_PUNCTUATION (datatrove 0.10)."""
STOPS_AND_DOTS = STOPS | {"…"}
CLOSING = "\"'”’»)]）」』】›"
BULLETS = frozenset("‣▪◦●*–—·")
"""Bullets if a blank follows; • and - are always (datatrove)."""
SHORT_LINE = 30
"""Characters (FineWeb)."""
C4_ENDS = frozenset(".?!\"'。？！”’」』")
"""C4's marks with their full-width forms."""
CITATION = re.compile(r"\[\d*\]|\[edit\]|\[citation needed\]")
POLICIES = ("terms of use", "privacy policy", "cookie policy", "uses cookies", "use of cookies", "use cookies")
C4_LINE_WORDS = 5
"""c4_utils.py of tensorflow_datasets; datatrove has 3."""
C4_LINE_CHARS = 10
"""The same where blanks part no words: two characters a word."""
C4_WORD_CHARS = 1_000


def measure_lines(texts: Sequence[str], languages: Sequence[str], chars: Ints) -> dict[str, Any]:
    """Measure what is counted in lines and paragraphs."""
    cut = [[line for part in text.split("\n") if (line := part.strip())] for text in texts]
    num_lines = np.array(list(map(len, cut)), np.int64)
    lines = [line for document in cut for line in document]

    def lines_where(holds: Callable[[str], object]) -> npt.NDArray[np.float64]:
        return share(per_text(flags(lines, holds), num_lines), num_lines)

    paragraphs = [PARAGRAPH_END.split(text.strip()) for text in texts]
    newlines = np.array([text.count("\n") for text in texts], np.int64)
    num_copies, copied = copies(cut)
    num_paragraph_copies, paragraph_copied = copies(paragraphs)
    num_paragraphs = np.array(list(map(len, paragraphs)), np.int64) * (num_lines > 0)
    return {
        "lines": num_lines,
        "paragraphs": num_paragraphs,
        "bullet_lines": lines_where(bulleted),
        "ellipsis_lines": lines_where(lambda line: line.endswith(("...", "…"))),
        "punctuated_lines": lines_where(lambda line: line[-1] in STOPS),
        "sentence_lines": lines_where(lambda line: line.rstrip(CLOSING)[-1:] in STOPS_AND_DOTS),
        "short_lines": lines_where(lambda line: len(line) <= SHORT_LINE),
        "duplicate_lines": share(num_copies, num_lines),
        "duplicate_line_chars": share(copied, chars),
        "char_duplicate_ratio": share(copied, chars - newlines),
        "duplicate_paragraphs": share(num_paragraph_copies, num_paragraphs),
        "duplicate_paragraph_chars": share(paragraph_copied, chars),
        **measure_c4(texts, languages, cut),
    }


def flags(lines: Sequence[str], holds: Callable[[str], object]) -> npt.NDArray[np.bool_]:
    """Say of each line whether something holds."""
    return np.fromiter(map(holds, lines), bool, len(lines))


def bulleted(line: str) -> bool:
    """Say whether a line begins with a bullet."""
    return line[0] in "•-" or (line[0] in BULLETS and line[1:2].isspace())


def copies(cut: Sequence[Sequence[str]]) -> tuple[Ints, Ints]:
    """Count each document's parts that are second or later copies, and their characters."""
    found = [second_copies(parts) if len(set(parts)) < len(parts) else [] for parts in cut]
    chars = [sum(map(len, parts)) for parts in found]
    return np.array(list(map(len, found)), np.int64), np.array(chars, np.int64)


def second_copies(parts: Sequence[str]) -> list[str]:
    """List the parts that stood before."""
    seen: set[str] = set()
    return [part for part in parts if part in seen or seen.add(part)]  # type: ignore[func-returns-value]


def measure_c4(texts: Sequence[str], languages: Sequence[str], cut: Sequence[Sequence[str]]) -> dict[str, Any]:
    """Measure C4's rules about lines as shares of lines, and its rules about pages."""
    num_lines = np.array(list(map(len, cut)), np.int64)
    lines = [line for document in cut for line in document]
    lower = [text.lower() for text in texts]
    javascript, policy = mentions(cut, lower, ("javascript",)), mentions(cut, lower, POLICIES)
    terminated = flags(lines, ends_sentence)
    spaced = np.repeat(np.array([language not in UNSPACED_LANGUAGES for language in languages], bool), num_lines)
    long_enough = np.where(spaced, flags(lines, has_words), flags(lines, lambda line: len(line) >= C4_LINE_CHARS))
    kept = terminated & long_enough & ~javascript & ~policy & flags(lines, lambda line: not overlong(line))
    num_sentences = count_sentences(lines)

    def by_document(values: npt.NDArray[Any]) -> Ints:
        return per_text(values, num_lines)

    return {
        "sentences": by_document(num_sentences),
        "unterminated_lines": share(by_document(~terminated), num_lines),
        "javascript_lines": share(by_document(javascript), num_lines),
        "policy_lines": share(by_document(policy), num_lines),
        "c4_lines": share(by_document(kept), num_lines),
        "c4_sentences": by_document(num_sentences * kept),
        "lorem_ipsum": np.array(["lorem ipsum" in text for text in lower], np.int64),
        "curly_brackets": np.array([text.count("{") for text in texts], np.int64),
    }


def ends_sentence(line: str) -> bool:
    """Say whether C4 takes a line's end for the end of a sentence; citations at the end do not count."""
    if line[-1] == "]":
        line = CITATION.sub("", line).rstrip()
    return line[-1:] in C4_ENDS and not line.endswith("...")


def has_words(line: str) -> bool:
    """Say whether a line has as many words as C4 asks for."""
    return len(line.split(None, C4_LINE_WORDS)) >= C4_LINE_WORDS


def overlong(line: str) -> bool:
    """Say whether a word of a line is longer than C4 allows."""
    return len(line) > C4_WORD_CHARS and any(len(word) > C4_WORD_CHARS for word in line.split())


def mentions(cut: Sequence[Sequence[str]], lower: Sequence[str], phrases: Sequence[str]) -> npt.NDArray[np.bool_]:
    """Say of each line whether it has one of the phrases, in any case; most documents have none."""
    found: list[bool] = []
    for lines, text in zip(cut, lower, strict=True):
        if any(phrase in text for phrase in phrases):
            found.extend(any(phrase in line.lower() for phrase in phrases) for line in lines)
        else:
            found.extend(repeat(False, len(lines)))
    return np.array(found, bool)
