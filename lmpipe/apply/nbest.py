"""Read lists of hypotheses, of speech recognition or translation, with all scores that come with them.

    SRILM       a folder with one file per utterance, or such files; three layouts (man nbest-format of SRILM)
    JSON        mlm-scoring's {utterance: {hyp_1: {score, text}, ..., ref}}, or ESPnet's {utts: {...: {output}}}
    TSV         a header that names columns: utterance, text, perhaps reference; every other column is a score
    CTM         one word a line: utterance-rank channel start duration word [score]

Whatever the form, an NBest is the hypotheses of one utterance in their order, and one array per score.
"""

import json
import math
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from lmpipe.errors import InputError
from lmpipe.sources.records import open_stream

Scores = NDArray[np.float64]

Form = Literal["srilm", "json", "tsv", "ctm"]

STDIN = Path("-")

BYTELOG = 1024 / 10000.5 / math.log(10)
"""Log10 per unit of the integers that SRI's Decipher writes (SRILM, lm/src/Prob.h)."""

TOKEN = 11
"""Fields of a word in NBestList2.0: word ( st: 0.00 et: 0.48 g: -192 a: -4528 )."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NBest:
    """The hypotheses of one utterance, best first as whoever made the list saw it."""

    utterance: str
    texts: list[str]
    scores: dict[str, Scores]
    """By name, the larger the better; `words`, their number, is always there."""
    reference: str | None = None


def read_nbest(paths: Sequence[Path], form: Form) -> Iterator[NBest]:
    """Yield the lists of files or folders in order; the path "-" is standard input.

    Raises InputError for a line that is not of the form, and for an utterance without hypotheses.
    """
    read: Callable[[Path], Iterator[NBest]] = {
        "srilm": read_srilm,
        "json": read_json,
        "tsv": read_tsv,
        "ctm": read_ctm,
    }[form]
    for path in paths:
        for found in files_of(path):
            for nbest in read(found):
                if not nbest.texts:
                    raise InputError(f"{found}: {nbest.utterance} has no hypothesis. Leave the utterance out.")
                yield nbest


def files_of(path: Path) -> list[Path]:
    """List the files of a folder by name, or the one file that `path` is."""
    if path.is_dir():
        return sorted(file for file in path.iterdir() if file.is_file())
    if path != STDIN and not path.exists():
        raise InputError(f"{path}: no such file. Name a file or folder of hypotheses, or - for standard input.")
    return [path]


def read_lines(path: Path) -> list[str]:
    """Read the lines of a UTF-8 file, inflated where it is compressed, or of standard input."""
    if path == STDIN:
        return sys.stdin.read().splitlines()
    try:
        with open_stream(path) as stream:
            return stream.read().decode().split("\n")
    except (UnicodeDecodeError, OSError, EOFError) as error:
        raise InputError(f"{path}: cannot be read as UTF-8 text ({error}). Convert or fetch it again.") from None


def filled(path: Path) -> Iterator[tuple[str, str]]:
    """Yield the lines that are not empty, each with its place."""
    for number, line in enumerate(read_lines(path), 1):
        if line.strip():
            yield f"{path}:{number}", line.rstrip("\r")


def number(text: str, where: str) -> float:
    """Read a finite number."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InputError(f"{where}: expected a number, found {text!r}. Repair the line, or choose another --format.")
    return value


def make_nbest(utterance: str, rows: Sequence[tuple[str, Mapping[str, float]]], reference: str | None = None) -> NBest:
    """Lay out (text, scores) of one utterance; words are counted at white space where no score of the name is given."""
    texts = [" ".join(text.split()) for text, _ in rows]
    names = list(rows[0][1]) if rows else []
    scores = {name: np.array([row[name] for _, row in rows]) for name in names}
    counted = {"words": np.array([len(text.split()) for text in texts], np.float64)}
    return NBest(utterance=utterance, texts=texts, scores=counted | scores, reference=reference)


# SRILM


def utterance_of(path: Path) -> str:
    """Name the utterance of an SRILM file: its name without .gz and .score."""
    return re.sub(r"(\.score|\.nbest)?(\.gz|\.Z)?$", "", path.name)


def read_srilm(path: Path) -> Iterator[NBest]:
    """Read one SRILM list; scores are log10: acoustic, lm and, where the list counts them, words."""
    layout = srilm_plain
    rows = []
    for where, line in filled(path):
        if line.startswith("NBestList"):
            layout = srilm_timed if line.startswith("NBestList2.0") else srilm_total
            continue
        rows.append(layout(line.split(), where))
    yield make_nbest(utterance_of(path), rows)


def srilm_plain(fields: list[str], where: str) -> tuple[str, dict[str, float]]:
    """Read `acoustic lm number-of-words word ...`."""
    if fields[0].startswith("("):
        return srilm_total(fields, where)
    if len(fields) < 3:
        raise InputError(f"{where}: expected acoustic score, LM score, number of words and words. Repair the line.")
    names = ("acoustic", "lm", "words")
    scores = {name: number(field, where) for name, field in zip(names, fields, strict=False)}
    return " ".join(fields[3:]), scores


def srilm_total(fields: list[str], where: str) -> tuple[str, dict[str, float]]:
    """Read NBestList1.0: `(total) word ...`; the total stands for the acoustic score, as in SRILM."""
    return " ".join(fields[1:]), {"acoustic": BYTELOG * number(fields[0].strip("()"), where)}


def srilm_timed(fields: list[str], where: str) -> tuple[str, dict[str, float]]:
    """Read NBestList2.0: words with times and scores, phones and states between them.

    A token that begins within the word before it is one of the word's phones or states (SRILM, lm/src/NBest.cc).
    """
    if len(fields) % TOKEN != 1:
        raise InputError(f"{where}: expected `word ( st: et: g: a: )` for each word, {TOKEN} fields. Repair the line.")
    words, ended, scores = [], -1.0, {"acoustic": 0.0, "lm": 0.0}
    for start in range(1, len(fields), TOKEN):
        token = fields[start : start + TOKEN]
        begins, ends, lm, acoustic = (number(token[place], where) for place in (3, 5, 7, 9))
        if begins > ended:
            words.append(token[0])
            scores["lm"] += BYTELOG * lm
            scores["acoustic"] += BYTELOG * acoustic
            ended = ends
    return " ".join(words), scores


def with_scores(lists: Iterator[NBest], name: str, folder: Path) -> Iterator[NBest]:
    """Add a score from a folder with one file per utterance and one number a line, as SRILM keeps further scores."""
    files = {utterance_of(file): file for file in files_of(folder)}
    for nbest in lists:
        if nbest.utterance not in files:
            raise InputError(f"{folder}: no scores of {nbest.utterance}. Add its file, or leave the folder out.")
        path = files[nbest.utterance]
        column = np.array([number(line.split()[0], where) for where, line in filled(path)])
        if len(column) != len(nbest.texts):
            raise InputError(
                f"{path}: expected a score for each of {len(nbest.texts)} hypotheses, found {len(column)}."
                " Name scores of these very lists."
            )
        yield replace(nbest, scores=nbest.scores | {name: column})


# JSON


def read_json(path: Path) -> Iterator[NBest]:
    """Read mlm-scoring's or ESPnet's JSON; the score is `acoustic`: what the recogniser gave as a whole."""
    try:
        body = json.loads("\n".join(read_lines(path)))
    except ValueError as error:
        raise InputError(f"{path}: not valid JSON ({error}). Repair it, or choose another --format.") from None
    if not isinstance(body, dict):
        raise InputError(f"{path}: expected an object of utterances, found {type(body).__name__}. See lmpipe rescore.")
    read = espnet_list if "utts" in body else mlm_list
    for utterance, value in body.get("utts", body).items():
        try:
            yield read(utterance, value)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError(
                f"{path}: {utterance}: expected hyp_N with score and text, or output with rec_text and score;"
                f" missing or wrong: {error}. Repair it."
            ) from None


def mlm_list(utterance: str, value: Mapping[str, Any]) -> NBest:
    """Read {hyp_1: {score, text}, ..., ref}; further numbers beside a score are scores too."""
    ranked = sorted((int(key.removeprefix("hyp_")), hyp) for key, hyp in value.items() if key.startswith("hyp_"))
    rows = []
    for _, hyp in ranked:
        others = {name: finite(x) for name, x in hyp.items() if name not in ("score", "text") and is_number(x)}
        rows.append((str(hyp["text"]), {"acoustic": finite(hyp["score"])} | others))
    return make_nbest(utterance, rows, value.get("ref"))


def is_number(value: Any) -> bool:
    """Tell a number from other JSON values."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def finite(value: Any) -> float:
    """Take a score; raises ValueError for NaN and infinity, which Python's JSON lets through."""
    if not math.isfinite(value):
        raise ValueError(f"score {value}")
    return float(value)


def espnet_list(utterance: str, value: Mapping[str, Any]) -> NBest:
    """Read {output: [{rec_text, score, text}, ...]}; text is the reference."""
    found = [output for output in value["output"] if "rec_text" in output]
    rows = [(output["rec_text"].replace("<eos>", ""), {"acoustic": finite(float(output["score"]))}) for output in found]
    return make_nbest(utterance, rows, found[0].get("text") if found else None)


# Tables


def read_tsv(path: Path) -> Iterator[NBest]:
    """Read a table whose header names utterance and text; rows of an utterance stand together, best first."""
    lines = filled(path)
    where, header = next(lines, (str(path), ""))
    columns = header.split("\t")
    if not {"utterance", "text"} <= set(columns):
        raise InputError(f"{where}: expected a header with utterance and text, found {columns}. Add it.")
    rows = (table_row(line, columns, where) for where, line in lines)
    for utterance, group in groupby(rows, key=lambda row: row[0]):
        some = list(group)
        yield make_nbest(utterance, [row[1:3] for row in some], some[0][3])


def table_row(line: str, columns: list[str], where: str) -> tuple[str, str, dict[str, float], str | None]:
    """Read utterance, text, scores and reference of one row."""
    fields = line.split("\t")
    if len(fields) != len(columns):
        raise InputError(f"{where}: expected {len(columns)} columns, found {len(fields)}. Repair the row.")
    row = dict(zip(columns, fields, strict=True))
    texts = [row.pop(name, None) for name in ("utterance", "text", "reference")]
    return str(texts[0]), str(texts[1]), {name: number(value, where) for name, value in row.items()}, texts[2]


def read_ctm(path: Path) -> Iterator[NBest]:
    """Read words with times, the hypotheses of an utterance named utterance-1, utterance-2, ... in this order.

    The sum of the sixth column, where there is one, is the score `confidence`.
    """
    rows = (ctm_row(line, where) for where, line in filled(path) if not line.startswith(";;"))
    hyps = [(key, list(words)) for key, words in groupby(rows, key=lambda row: row[:2])]
    for utterance, group in groupby(hyps, key=lambda hyp: hyp[0][0]):
        lists = [words for _, words in group]
        yield make_nbest(
            utterance, [(" ".join(w[2] for w in words), {"confidence": sum(w[3] for w in words)}) for words in lists]
        )


def ctm_row(line: str, where: str) -> tuple[str, str, str, float]:
    """Read utterance, rank, word and score of one line."""
    fields = line.split()
    if len(fields) not in (5, 6) or "-" not in fields[0]:
        raise InputError(
            f"{where}: expected utterance-rank channel start duration word [score], found {line!r}. Repair the line."
        )
    utterance, _, rank = fields[0].rpartition("-")
    return utterance, rank, fields[4], number(fields[5], where) if len(fields) == 6 else 0.0


# References


def read_references(path: Path) -> dict[str, str]:
    """Read `utterance word ...` a line (Kaldi's text, SRILM's refs); a .tsv may hold a tab behind the utterance."""
    references = {}
    for where, line in filled(path):
        utterance, *text = line.split(None, 1)
        if utterance in references:
            raise InputError(f"{where}: {utterance} is there twice. Keep one reference of it.")
        references[utterance] = " ".join("".join(text).split())
    return references
