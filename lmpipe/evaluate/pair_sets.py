"""Read sets of sentence pairs as their authors publish them: BLiMP, CrowS-Pairs, StereoSet, and any JSONL.

Each has one form here: `first` is what the set asks about (the acceptable sentence, the more stereotypical one,
the meaningful one) and `second` what it is held against. StereoSet's triples become three pairs each, told apart
by `contrast`. A record that is not as its set's authors wrote it is refused: a score over a part of a set is none.
"""

import csv
import io
import json
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from lmpipe.errors import InputError
from lmpipe.settings import PairSet


class Pair(NamedTuple):
    """Two texts of which one should be more probable."""

    set: str
    id: str
    """Unique within the set."""
    topic: str
    """Phenomenon, bias type, or group."""
    part: str
    """What lies below the topic: BLiMP's paradigm, StereoSet's target, CrowS-Pairs' direction."""
    contrast: str
    """What first and second are, as first/second."""
    context: str
    """Text before both, which is not scored; empty for none."""
    first: str
    second: str


class Text(NamedTuple):
    """A file of a set."""

    name: str
    body: str


PHENOMENA = {"s-selection": "argument_structure"}
"""BLiMP's files know thirteen terms, its paper (table 4) counts the two paradigms of this one to argument structure."""
GOLD = {"stereotype": "stereotype", "anti-stereotype": "antistereotype", "unrelated": "unrelated"}
CONTRASTS = (("stereotype", "antistereotype"), ("stereotype", "unrelated"), ("antistereotype", "unrelated"))
"""Of StereoSet: the first tells the stereotype score, the other two the language model score."""


def read_pairs(chosen: PairSet, paths: Sequence[Path]) -> list[Pair]:
    """Read all pairs of a set, in the order of its files.

    Raises InputError for a record that lacks something, for an id that comes twice, and for a set without pairs.
    """
    reader = READERS[chosen.format]
    pairs: dict[tuple[str, str], Pair] = {}
    for text in texts(paths, (".csv",) if chosen.format == "crows-pairs" else (".json", ".jsonl")):
        try:
            for pair in reader(chosen.name, text):
                if (key := (pair.set, pair.id)) in pairs:
                    raise InputError(f"{text.name}: pair {pair.id} comes twice. Name each file of the set once.")
                pairs[key] = pair
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise InputError(
                f"{text.name}: not as {chosen.format} is published ({type(error).__name__}: {error}). Name the set's"
                " own files, or another format."
            ) from None
    if not pairs:
        raise InputError(f"pair set {chosen.name}: no pair in {[str(p) for p in paths]}. Name the set's files.")
    return list(pairs.values())


def texts(paths: Sequence[Path], endings: tuple[str, ...]) -> Iterator[Text]:
    """Read files, and the members of zips, whose names end as a format's do; a named file is read whatever its name."""
    for path in paths:
        try:
            if not zipfile.is_zipfile(path):
                yield Text(str(path), path.read_text(encoding="utf-8-sig"))
                continue
            with zipfile.ZipFile(path) as archive:
                for name in sorted(archive.namelist()):
                    if name.endswith(endings) and not name.startswith("__MACOSX/"):
                        yield Text(f"{path}: {name}", archive.read(name).decode("utf-8-sig"))
        except (OSError, UnicodeDecodeError, zipfile.BadZipFile) as error:
            raise InputError(f"{path}: cannot be read ({error}). Expected UTF-8 files, or a zip of them.") from None


def objects(text: Text) -> Iterator[tuple[int, Any]]:
    """Parse the lines of a JSONL file, numbered from 1; empty lines say nothing."""
    for number, line in enumerate(text.body.split("\n"), start=1):
        if line.strip():
            yield number, json.loads(line)


def read_blimp(name: str, text: Text) -> Iterator[Pair]:
    """Read BLiMP (Warstadt et al. 2020): a JSONL file a paradigm, twelve phenomena."""
    for _, row in objects(text):
        id, sentences = f"{row['UID']}:{row['pairID']}", (row["sentence_good"], row["sentence_bad"])
        term = PHENOMENA.get(row["linguistics_term"], row["linguistics_term"])
        yield Pair(name, id, term, row["UID"], "good/bad", "", *sentences)


def read_crows_pairs(name: str, text: Text) -> Iterator[Pair]:
    """Read CrowS-Pairs (Nangia et al. 2020): the more stereotypical sentence is first in every row."""
    for number, row in enumerate(csv.DictReader(io.StringIO(text.body))):
        sentences = row["sent_more"], row["sent_less"]
        yield Pair(name, str(number), row["bias_type"], row["stereo_antistereo"], "more/less", "", *sentences)


def read_stereoset(name: str, text: Text) -> Iterator[Pair]:
    """Read StereoSet (Nadeem et al. 2021): in intersentence the context stands before all three sentences."""
    for task, items in json.loads(text.body)["data"].items():
        for item in items:
            by_label = {GOLD[sentence["gold_label"]]: sentence["sentence"] for sentence in item["sentences"]}
            context = item["context"] if task == "intersentence" else ""
            for first, second in CONTRASTS:
                contrast = f"{first}/{second}"
                place = f"{name}-{task}", f"{item['id']}:{contrast}", item["bias_type"], item["target"]
                yield Pair(*place, contrast, context, by_label[first], by_label[second])


def read_jsonl(name: str, text: Text) -> Iterator[Pair]:
    """Read pairs of one's own: {"good": ..., "bad": ...} a line."""
    for number, row in objects(text):
        place = str(row.get("id", f"{Path(text.name).name}:{number}")), str(row.get("group", "")), row.get("part", "")
        yield Pair(name, *place, "good/bad", row.get("context", ""), checked(row["good"]), checked(row["bad"]))


def checked(text: Any) -> str:
    """Refuse a sentence that is no text."""
    if not isinstance(text, str):
        raise TypeError(f"expected a sentence, found {text!r}")
    return text


READERS: dict[str, Callable[[str, Text], Iterator[Pair]]] = {
    "blimp": read_blimp,
    "crows-pairs": read_crows_pairs,
    "stereoset": read_stereoset,
    "jsonl": read_jsonl,
}
