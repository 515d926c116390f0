"""Published evaluation sets, each read as its results were published, and what its counts must be.

    ptb, wikitext-2, wikitext-103   one document; words and one <eos> a line are counted, and every token of a word
                                    tokenizer scored, the last line's <eos> too (Mikolov 2010, Merity 2016)
    wikitext-2-raw, -103-raw        by article, detokenised; words between blanks and bytes of the original, as
                                    lm-evaluation-harness counts them; the test files of both are the same
    text8, enwik8                   the last 5 of 100 MB, valid the 5 before; one document
    lambada                         the last word of each passage, given the rest (OpenAI's variant)
    brown                           500 documents of 15 genres, without their tags, one sentence a line

Numbers of COUNTS were counted on the real files; a set that has others is refused.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from lmpipe.evaluate.detokenise import articles, detokenise

TAIL = 5_000_000
"""Bytes of the last two parts of text8 and enwik8."""


class Record(NamedTuple):
    """One document of a set."""

    id: str
    text: str
    """What is scored."""
    words: int
    bytes: int
    """Of the original."""
    domain: str | None = None
    prompt: int = 0
    """Characters of the text that are only context."""


Files = Callable[[str], bytes]
"""Give the content of the set's one file whose name matches a pattern."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """How a set is read."""

    read: Callable[[Files, str], Iterator[Record]]
    text: str
    """Form of the scored text, for the signature."""
    count: str = "orig"
    """What is counted as a word, for the signature."""
    unit: str | None = None
    """What is predicted, where it is not each token."""
    closing: bool = False
    """A word tokenizer's closing token stands for the last line's end, and is scored."""
    counts: Mapping[str, Mapping[str, int]]
    """Split to what its records must add up to."""


def read_lines(files: Files, split: str) -> Iterator[Record]:
    """Read a word-level file as one document; each line's end counts as a word."""
    raw = files(rf"(.*[./])?{split}(\.txt|\.tokens)?")
    lines = raw.decode("utf-8").removesuffix("\n").split("\n")
    words = [line.split() for line in lines]
    text = "\n".join(" ".join(line) for line in words)
    yield Record(split, text, sum(map(len, words)) + len(lines), len(raw))


def read_articles(files: Files, split: str) -> Iterator[Record]:
    """Read raw WikiText by article; re.split and the bytes of the original are the harness' way of counting."""
    text = files(rf"(.*[./])?{split}(\.raw|\.txt)?").decode("utf-8")
    for number, article in enumerate(articles(text)):
        words, size = len(re.split(r"\s+", article)), len(article.encode())
        yield Record(f"{split}-{number:03d}", detokenise(article), words, size)


def read_tail(name: str, files: Files, split: str) -> Iterator[Record]:
    """Read the last or last but one 5 MB; a character that the cut parts belongs to neither part."""
    raw = files(name)
    whole = raw[-TAIL:] if split == "test" else raw[-2 * TAIL : -TAIL]
    text = whole.decode("utf-8", "ignore")
    yield Record(split, text, len(text.split()), len(whole))


def read_lambada(files: Files, split: str) -> Iterator[Record]:
    """Read passages of which the last word is to be predicted."""
    for number, line in enumerate(files(r"lambada.*\.jsonl").decode("utf-8").splitlines()):
        row = json.loads(line)
        text = row["text"] if "text" in row else f"{row['context']} {row['continuation']}"
        prompt = max(0, text.rfind(" "))
        yield Record(f"{number:04d}", text, 1, len(text[prompt:].encode()), None, prompt)


def read_brown(files: Files, split: str) -> Iterator[Record]:
    """Read the Brown corpus by document; its domain is the genre."""
    for line in files(r"(.*/)?cats\.txt").decode("ascii").splitlines():
        name, genre = line.split()
        sentences = (sentence.split() for sentence in files(rf"(.*/)?{name}").decode("ascii").splitlines())
        words = [[token.rpartition("/")[0] for token in sentence] for sentence in sentences if sentence]
        text = "\n".join(" ".join(sentence) for sentence in words)
        yield Record(name, text, sum(map(len, words)), len(text.encode()), genre)


def word_level(valid: tuple[int, int | None], test: tuple[int, int | None]) -> Published:
    """Describe a word-level benchmark by words and bytes of its parts; None where no real file was counted."""
    counts = {
        split: {"documents": 1, "words": words} | ({"bytes": size} if size is not None else {})
        for split, (words, size) in (("valid", valid), ("test", test))
    }
    return Published(read=read_lines, text="lines", count="word+eos", closing=True, counts=counts)


def tail(name: str) -> Published:
    """Describe a benchmark that is the end of one file of 100 MB."""
    counts = {split: {"documents": 1, "bytes": TAIL} for split in ("valid", "test")}
    return Published(read=partial(read_tail, name), text="raw", counts=counts)


RAW = Published(
    read=read_articles,
    text="detok-harness",
    count="orig-blanks",
    counts={"test": {"documents": 62, "words": 241_335, "bytes": 1_290_588}, "valid": {"documents": 60}},
)
PUBLISHED: dict[str, Published] = {
    "ptb": word_level((73_760, 399_782), (82_430, 449_945)),
    "wikitext-2": word_level((217_646, 1_121_681), (245_569, 1_256_449)),
    "wikitext-103": word_level((217_646, None), (245_569, None)),
    "wikitext-2-raw": RAW,
    "wikitext-103-raw": RAW,
    "text8": tail("text8"),
    "enwik8": tail("enwik8"),
    "lambada": Published(
        read=read_lambada, text="raw", count="last-word", unit="last-word", counts={"test": {"documents": 5153}}
    ),
    "brown": Published(
        read=read_brown, text="untagged", count="token", counts={"test": {"documents": 500, "words": 1_161_192}}
    ),
}
"""Sets by name."""
