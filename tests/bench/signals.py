"""Filter signals: ours against datatrove's Gopher and FineWeb filters, one core; and whether decisions agree.

make bench-signals
Rates are of all signals of ours (C4's, entropy, compression and stop words too) against three filters
of datatrove that share one segmentation. Decisions are compared on up to 20,000 real documents under
datatrove's default thresholds for English and FineWeb2's for Chinese (its defaults keep no Chinese). What differs:
- 15 documents, all within 0.02 of the threshold, that we drop by alpha_segments: formulas, phonetic script, a blank
  that is missing between words ("Libor)on") and dashes ("U.S.-built", "it?--and") are cut otherwise by spaCy;
- 3 documents that datatrove drops by stop_words: ours count in any case, datatrove's as written, so that a brief
  beginning with "The" has one less there;
- reasons, not decisions (613): short texts without any repetition are "top_4_gram" to datatrove and too short to us.
"""

import bz2
import re
import sys
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cache, partial
from html import unescape
from itertools import islice
from pathlib import Path
from typing import Any

import yaml
from datatrove.data import Document
from datatrove.pipeline.filters import FineWebQualityFilter, GopherQualityFilter, GopherRepetitionFilter

from lmpipe.cli.tables import print_rows
from lmpipe.curate.signals import measure
from lmpipe.sources.wikitext import render
from lmpipe.text.normalize import normalize
from lmpipe.text.unwrap import unwrap
from tests.bench.harness import corpora, finish, median_seconds

BATCH = 512
NUM_TIMED = 300
"""Documents per language that are timed; datatrove takes 3 s for them."""
NUM_COMPARED = 20_000
PIECE = {"en": 3_000, "zh": 900}
"""Characters of a piece of a novel: 2.7 to 3 kB."""
Filters = Sequence[GopherRepetitionFilter | GopherQualityFilter | FineWebQualityFilter]

ENGLISH: dict[str, tuple[float | None, float | None]] = {
    "duplicate_paragraphs": (None, 0.3),
    "duplicate_paragraph_chars": (None, 0.2),
    "duplicate_lines": (None, 0.3),
    "duplicate_line_chars": (None, 0.2),
    **{f"top_{n}gram_chars": (None, most) for n, most in ((2, 0.2), (3, 0.18), (4, 0.16))},
    **{f"duplicate_{n}gram_chars": (None, 0.2 - n / 100) for n in range(5, 11)},
    "words": (50, 100_000),
    "mean_word_chars": (3, 10),
    "hash_words": (None, 0.1),
    "ellipsis_words": (None, 0.1),
    "bullet_lines": (None, 0.9),
    "ellipsis_lines": (None, 0.3),
    "alpha_segments": (0.8, None),
    "stop_words": (2, None),
    "punctuated_lines": (0.12, None),
    "short_lines": (None, 0.67),
    "char_duplicate_ratio": (None, 0.01),
    "newlines_per_word": (None, 0.3),
}
"""datatrove's defaults, in the order in which it tests them."""


def chinese_thresholds(config: Mapping[str, Any]) -> dict[str, tuple[float | None, float | None]]:
    """Read FineWeb2's thresholds as bounds of signals; its paragraph and short line rules are off."""
    without = ("duplicate_paragraphs", "duplicate_paragraph_chars", "short_lines")
    return {name: bounds for name, bounds in ENGLISH.items() if name not in without} | {
        "duplicate_lines": (None, config["dup_line_frac"]),
        **{f"top_{n}gram_chars": (None, most) for n, most in config["top_n_grams"]},
        **{f"duplicate_{n}gram_chars": (None, most) for n, most in config["dup_n_grams"]},
        "mean_word_chars": (config["min_avg_word_length"], config["max_avg_word_length"]),
        "alpha_segments": (config["max_non_alpha_words_ratio"], None),
        "punctuated_lines": (config["line_punct_thr"], None),
        "char_duplicate_ratio": (None, 0.1),
        "newlines_per_word": (None, config["new_line_ratio"]),
    }


def reference() -> dict[str, Any]:
    """Read FineWeb2's thresholds for Chinese."""
    path = corpora() / "reference" / "fineweb-2" / "configs" / "cmn_Hani.yml"
    config: dict[str, Any] = yaml.safe_load(path.read_text())
    return config


def filters(language: str) -> Filters:
    """Make datatrove's filters with its defaults for English, with FineWeb2's thresholds for Chinese."""
    if language == "en":
        return (GopherRepetitionFilter(), GopherQualityFilter(), FineWebQualityFilter())
    config = reference()
    return (
        GopherRepetitionFilter(
            language="cmn_Hani",
            dup_para_frac=0,
            dup_line_frac=config["dup_line_frac"],
            dup_para_char_frac=0,
            dup_line_char_frac=0.2,
            top_n_grams=config["top_n_grams"],
            dup_n_grams=config["dup_n_grams"],
        ),
        GopherQualityFilter(
            language="cmn_Hani",
            min_avg_word_length=config["min_avg_word_length"],
            max_avg_word_length=config["max_avg_word_length"],
            max_non_alpha_words_ratio=config["max_non_alpha_words_ratio"],
            stop_words=config["stopwords"],
        ),
        FineWebQualityFilter(
            language="cmn_Hani",
            short_line_thr=999,
            char_duplicates_ratio=0.1,
            line_punct_thr=config["line_punct_thr"],
            new_line_ratio=config["new_line_ratio"],
        ),
    )


@cache
def texts(language: str) -> list[str]:
    """Read and normalise the documents of a language; NUM_COMPARED of both together."""
    read, limit = (chinese, NUM_COMPARED // 4) if language == "zh" else (english, NUM_COMPARED - len(texts("zh")))
    return [text for raw in islice(read(corpora()), limit) if (text := normalize(raw)[0])]


def english(folder: Path) -> Iterator[str]:
    """Read BBC news, Wikipedia articles, pieces of novels and Reuters news."""
    with zipfile.ZipFile(folder / "news" / "bbc-fulltext.zip") as bbc:
        for name in sorted(bbc.namelist()):
            if name.endswith(".txt") and "README" not in name:
                yield bbc.read(name).decode("utf-8", "replace")
    for dump in ("enwiki-sample-1.xml.bz2", "enwiki-sample-2.xml.bz2"):
        pages = bz2.BZ2Decompressor().decompress((folder / "wikipedia" / dump).read_bytes()).decode()
        for text in re.findall(r"<text[^>]*>(.*?)</text>", pages, re.DOTALL):
            if not text.lower().startswith("#redirect"):
                yield render(unescape(text), variant="zh-hans", lang="en", title="").text
    for novel in sorted((folder / "novels" / "gutenberg").glob("pg-*.txt")):
        yield from pieces(unwrap(novel.read_text(encoding="utf-8")), PIECE["en"])
    for wire in sorted((folder / "news" / "reuters-21578").glob("*.sgm")):
        for body in re.findall(r"<BODY>(.*?)</BODY>", wire.read_text(encoding="latin-1"), re.DOTALL):
            yield unescape(body)


def chinese(folder: Path) -> Iterator[str]:
    """Read pieces of novels, simplified and traditional."""
    for name in ("zh/红楼梦.txt", "zh/西游记.txt", "gutenberg/24264-0.txt"):
        yield from pieces((folder / "novels" / name).read_text(encoding="utf-8"), PIECE["zh"])


def pieces(text: str, size: int) -> Iterator[str]:
    """Cut a text into pieces of so many characters."""
    return (text[start : start + size] for start in range(0, len(text), size))


def ours(texts: Sequence[str], language: str) -> dict[str, list[float | None]]:
    """Measure all signals, a batch at a time."""
    columns: dict[str, list[float | None]] = {}
    for start in range(0, len(texts), BATCH):
        batch = texts[start : start + BATCH]
        for name, values in measure(batch, [language] * len(batch)).items():
            columns.setdefault(name, []).extend(values)
    return columns


def theirs(texts: Sequence[str], chain: Filters) -> list[str]:
    """Say for each text why datatrove's filters drop it, or "kept"; the first filter that drops it decides."""
    return [verdict(text, chain) for text in texts]


def verdict(text: str, chain: Filters) -> str:
    """Lay a chain of filters over one text."""
    for rule in chain:
        result = rule.filter(Document(text=text, id=""))
        if result is not True:
            return result[1]
    return "kept"


def all_filters(texts: Sequence[str], chain: Filters) -> None:
    """Run every filter on every text, kept or not, as we measure every signal."""
    for text in texts:
        for rule in chain:
            rule.filter(Document(text=text, id=""))


def decided(
    columns: Mapping[str, Sequence[float | None]], bounds: Mapping[str, tuple[float | None, float | None]]
) -> list[str]:
    """Say for each document which signal lies outside its bounds first, or "kept"."""
    outcome = []
    for row in range(len(columns["words"])):
        values = {name: columns[name][row] for name in bounds}
        outcome.append(next((n for n, v in values.items() if outside(v, *bounds[n])), "kept"))
    return outcome


def outside(value: float | None, low: float | None, high: float | None) -> bool:
    """Say whether a value lies outside its bounds."""
    return value is not None and ((low is not None and value < low) or (high is not None and value > high))


def figures() -> tuple[dict[str, float], dict[str, float], list[dict[str, object]]]:
    """Measure rates (documents a second), ratios, and the classes of disagreement with their counts."""
    rates, ratios, classes = {}, {}, Counter()
    for language in ("zh", "en"):
        chain = filters(language)
        timed = texts(language)[:NUM_TIMED]
        all_filters(timed[:1], chain)  # loads their tokenizer
        seconds = median_seconds(
            {"lmpipe": partial(ours, timed, language), "datatrove": partial(all_filters, timed, chain)}
        )
        rates |= {f"{name} {language}": len(timed) / taken for name, taken in seconds.items()}
        ratios[f"signals_{language}_vs_datatrove"] = seconds["datatrove"] / seconds["lmpipe"]
        bounds = ENGLISH if language == "en" else chinese_thresholds(reference())
        pairs = zip(theirs(texts(language), chain), decided(ours(texts(language), language), bounds), strict=True)
        classes.update((language, their, our) for their, our in pairs)
    same = sum(count for (_, their, our), count in classes.items() if (their == "kept") == (our == "kept"))
    ratios["decisions_agree"] = same / classes.total()
    rows: list[dict[str, object]] = [
        {"language": key[0], "datatrove": key[1], "lmpipe": key[2], "documents": n}
        for key, n in sorted(classes.items())
    ]
    return rates, ratios, rows


def main() -> None:
    """Print the rates, and every class of decisions with its count."""
    rates, ratios, rows = figures()
    print_rows("Decisions", rows)
    finish(rates, "documents/s", ratios, Path(sys.argv[1]))


if __name__ == "__main__":
    main()
