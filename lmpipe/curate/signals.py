"""Measure documents once: every signal is a typed column that stands beside the text.

Definitions are those of Gopher (Rae et al. 2021, arXiv 2112.11446, appendix A1.1 and table A1), C4
(Raffel et al. 2020, arXiv 1910.10683, section 2.2) and FineWeb (Penedo et al. 2024); where
implementations differ the signals follow datatrove 0.10, unless the column's comment says otherwise
and why. A profile is only thresholds over these columns (decide.py), so a new threshold needs no
second look at the text. A whole batch is measured at once, as arithmetic over the arrays of
text/segment.py; still a document's signals depend on nothing but its text and its language.
"""

import hashlib
import math
import zlib
from collections.abc import Mapping, Sequence
from itertools import chain, pairwise
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lmpipe.curate.lines import measure_lines
from lmpipe.curate.repetition import Batch, measure_repetition, rank, share
from lmpipe.text.segment import Ints, Segmented, per_text, segment
from lmpipe.text.stopwords import long_list, short_list

SIGNALS = pa.schema(
    [
        ("id", pa.string()),
        ("source", pa.string()),
        ("lang", pa.string()),  # the source's word if it has one, else identified (text/language.py)
        ("lang_score", pa.float64()),  # confidence of the identification, 0 to 1; 0 where it contradicts lang
        ("script", pa.string()),  # ISO 15924 of most letters; Hans or Hant for Chinese
        ("second_lang", pa.string()),  # the next language by share of the letters, or null
        ("lang_share", pa.float64()),  # share of the letters that stand in paragraphs of lang
        ("created", pa.timestamp("s", tz="UTC")),
        ("work", pa.string()),  # what is split together: the book of a chapter, else the document
        ("text_sha256", pa.binary(32)),  # of the normalised text: the key of exact deduplication
        ("bytes", pa.int64()),  # UTF-8
        ("chars", pa.int64()),
        ("words", pa.int64()),  # segments with a letter or digit; Gopher's bounds are about these
        ("segments", pa.int64()),  # words and marks: what datatrove calls words wherever it divides by them
        ("sentences", pa.int64()),
        ("lines", pa.int64()),  # that are not blank
        ("paragraphs", pa.int64()),  # what blank lines separate
        ("mean_word_chars", pa.float64()),  # of words (datatrove, DCLM)
        ("median_word_chars", pa.float64()),  # of words (Dolma takes the median, of runs between blanks)
        ("longest_word", pa.int64()),  # characters of the longest segment
        ("alpha_words", pa.float64()),  # share of words with a letter (the paper, Dolma)
        ("alpha_segments", pa.float64()),  # share of segments with a letter: datatrove counts marks as words here
        ("digit_chars", pa.float64()),  # share of characters that are decimal digits
        ("symbol_words", pa.float64()),  # '#' and ellipses together, per word
        ("hash_words", pa.float64()),  # '#' per segment (datatrove)
        ("ellipsis_words", pa.float64()),  # '...' and '…' per segment (datatrove)
        ("stop_words", pa.int64()),  # distinct ones of the short list, in any case (datatrove: only as listed);
        # null for a language without list
        ("stop_word_share", pa.float64()),  # share of words in stopwords-iso's list; null for a language without
        ("unigram_entropy", pa.float64()),  # bits per word of the distribution of words within the document
        ("compression_ratio", pa.float64()),  # bytes of zlib level 1 per byte: small means repetitive
        ("bullet_lines", pa.float64()),  # share of lines that begin with a bullet (datatrove: also of blank lines)
        ("ellipsis_lines", pa.float64()),  # share of lines that end with an ellipsis (datatrove: also of blank lines)
        ("punctuated_lines", pa.float64()),  # share of lines whose last character is a stop of any script (datatrove)
        ("sentence_lines", pa.float64()),  # the same, looking through closing quotes and brackets
        ("short_lines", pa.float64()),  # share of lines of at most 30 characters (FineWeb)
        ("newlines_per_word", pa.float64()),  # newlines per segment (FineWeb's list_ratio)
        ("duplicate_lines", pa.float64()),  # share of lines that are second or later copies (Dolma: all copies)
        ("duplicate_line_chars", pa.float64()),  # their share of all characters
        ("char_duplicate_ratio", pa.float64()),  # their share of all characters but newlines (FineWeb)
        ("duplicate_paragraphs", pa.float64()),  # share of paragraphs that are second or later copies
        ("duplicate_paragraph_chars", pa.float64()),  # their share of all characters
        ("top_2gram_chars", pa.float64()),  # share of all characters in the most frequent pair of segments, 0 where
        # none occurs twice (datatrove counts then a single pair and drops the shortest texts)
        ("top_3gram_chars", pa.float64()),
        ("top_4gram_chars", pa.float64()),
        ("duplicate_5gram_chars", pa.float64()),  # share of all characters in 5-grams that stood before, found from
        # left to right without overlap (datatrove; NeMo and Dolma differ)
        ("duplicate_6gram_chars", pa.float64()),
        ("duplicate_7gram_chars", pa.float64()),
        ("duplicate_8gram_chars", pa.float64()),
        ("duplicate_9gram_chars", pa.float64()),
        ("duplicate_10gram_chars", pa.float64()),
        (
            "unterminated_lines",
            pa.float64(),
        ),  # share of lines that do not end in . ? ! " or ' (or full width), or do in ...
        ("javascript_lines", pa.float64()),  # share of lines with "javascript"
        ("policy_lines", pa.float64()),  # share of lines with a phrase about cookies, privacy or terms of use
        ("c4_lines", pa.float64()),  # share of lines that C4 keeps: terminated, of 5 words or more (10 characters
        # where blanks part no words), none over 1,000 characters, no javascript, no policy
        ("c4_sentences", pa.int64()),  # sentences in those; C4's code wants 3 (datatrove has 5 and 3 swapped)
        ("lorem_ipsum", pa.int64()),  # 1 where the text has "lorem ipsum"
        ("curly_brackets", pa.int64()),  # '{' in the text
        ("pii_spans", pa.int64()),  # personal data found (text/pii.py); null where it is not looked for
        ("quality", pa.float64()),  # score of the recipe's quality model; null without one
    ]
)
"""One row per document, in the order of the documents' shard."""

Columns = Mapping[str, Sequence[Any] | npt.NDArray[Any]]
"""Signals by name, one value per document."""


TOGETHER_CHARS = 2_000_000
"""Characters that are measured over one vocabulary: an ordinary batch; of a batch of books a part, which
bounds memory to some 100 MB."""


class Kinds(NamedTuple):
    """What each segment of a vocabulary consists of, one value per segment."""

    chars: Ints
    letters: Ints
    digits: Ints
    is_word: npt.NDArray[np.bool_]


def measure(texts: Sequence[str], languages: Sequence[str]) -> dict[str, Any]:
    """Measure all signals that depend on nothing but a text and its language, for a batch of texts."""
    ends = np.cumsum(np.fromiter(map(len, texts), np.int64, len(texts))) // TOGETHER_CHARS
    edges = [0, *(np.flatnonzero(np.diff(ends)) + 1).tolist(), len(texts)]
    parts = [measure_together(texts[start:end], languages[start:end]) for start, end in pairwise(edges)]
    return parts[0] if len(parts) == 1 else {name: list(chain(*(part[name] for part in parts))) for name in parts[0]}


def measure_together(texts: Sequence[str], languages: Sequence[str]) -> dict[str, Any]:
    """Measure texts over one vocabulary."""
    segmented = segment(texts, languages)
    kinds = measure_vocabulary(segmented.vocabulary)
    chars = np.fromiter(map(len, texts), np.int64, len(texts))
    batch = Batch(segmented.ids.astype(np.int64), segmented.offsets, kinds.chars, chars)
    return {
        "chars": chars,
        **measure_bytes(texts),
        **measure_words(texts, batch, kinds),
        **measure_stop_words(segmented, batch, kinds, languages),
        **measure_lines(texts, languages, chars),
        **measure_repetition(batch),
    }


def measure_vocabulary(vocabulary: Sequence[str]) -> Kinds:
    """Look at each distinct character of a vocabulary once."""
    codes = np.frombuffer("".join(vocabulary).encode("utf-32-le"), np.uint32)
    distinct, place = np.unique(codes, return_inverse=True)
    signs = [chr(code) for code in distinct.tolist()]
    chars = np.fromiter(map(len, vocabulary), np.int64, len(vocabulary))

    def counted(of_kind: Any) -> Ints:
        return per_text(np.fromiter(map(of_kind, signs), np.int64, len(signs))[place], chars)

    return Kinds(chars, counted(str.isalpha), counted(str.isdecimal), counted(str.isalnum) > 0)


def measure_bytes(texts: Sequence[str]) -> dict[str, Any]:
    """Measure what is counted in bytes."""
    encoded = [text.encode() for text in texts]
    sizes = np.fromiter(map(len, encoded), np.int64, len(texts))
    packed = np.fromiter((len(zlib.compress(data, 1)) for data in encoded), np.int64, len(texts))
    return {
        "text_sha256": [hashlib.sha256(data).digest() for data in encoded],
        "bytes": sizes,
        "compression_ratio": share(packed * (sizes > 0), sizes),
    }


def measure_words(texts: Sequence[str], batch: Batch, kinds: Kinds) -> dict[str, Any]:
    """Measure what is counted in words and segments."""
    segments = np.diff(batch.offsets)
    is_word = kinds.is_word[batch.ids]
    words = per_text(is_word, segments)
    with_letter = per_text(kinds.letters[batch.ids] > 0, segments)
    hashes = np.array([text.count("#") for text in texts], np.int64)
    ellipses = np.array([text.count("...") + text.count("…") for text in texts], np.int64)
    word_chars = np.where(is_word, kinds.chars[batch.ids], 0)
    return {
        "words": words,
        "segments": segments,
        "mean_word_chars": share(per_text(word_chars, segments), words),
        "median_word_chars": medians(word_chars[is_word], words),
        "longest_word": longest(kinds.chars[batch.ids], batch),
        "alpha_words": share(with_letter, words),
        "alpha_segments": share(with_letter, segments),
        "digit_chars": share(per_text(kinds.digits[batch.ids], segments), batch.chars),
        "symbol_words": share(hashes + ellipses, words),
        "hash_words": share(hashes, segments),
        "ellipsis_words": share(ellipses, segments),
        "unigram_entropy": entropies(batch.documents[is_word], batch.ids[is_word], words),
        "newlines_per_word": share(np.array([text.count("\n") for text in texts], np.int64), segments),
    }


def medians(values: Ints, lengths: Ints) -> npt.NDArray[np.float64]:
    """Find the median of each document's values; 0 where it has none."""
    documents = np.repeat(np.arange(len(lengths)), lengths)
    ordered = np.append(np.sort(documents << 32 | values) & 0xFFFFFFFF, 0)
    starts = np.cumsum(lengths) - lengths
    low, high = starts + np.maximum(lengths - 1, 0) // 2, starts + lengths // 2
    return np.where(lengths > 0, (ordered[low] + ordered[high]) / 2, 0.0)


def longest(sizes: Ints, batch: Batch) -> Ints:
    """Find the greatest of each document's values; 0 where it has none."""
    found = np.zeros(len(batch.chars), np.int64)
    np.maximum.at(found, batch.documents, sizes)
    return found


def entropies(documents: Ints, ids: Ints, words: Ints) -> npt.NDArray[np.float64]:
    """Bits per word of each document's distribution: log2 N - sum(c log2 c) / N over its words' counts c.

    Summed in the order of the counts, since any order of the words would depend on the batch.
    """
    _, first, counts = rank(documents * (ids.max(initial=0) + 1) + ids)
    ordered = np.sort(documents[first] << 32 | counts)
    distinct, place = np.unique(ordered & 0xFFFFFFFF, return_inverse=True)
    terms = np.array([count * math.log2(count) for count in distinct.tolist()])
    sums = np.bincount(ordered >> 32, weights=terms[place], minlength=len(words))
    logs = np.array([math.log2(total) if total else 0.0 for total in words.tolist()])
    return np.maximum(logs - share(sums, words), 0.0)


def measure_stop_words(
    segmented: Segmented, batch: Batch, kinds: Kinds, languages: Sequence[str]
) -> dict[str, list[Any]]:
    """Count stop words, for each language of the batch by its own lists; null where it has none."""
    lower = list(map(str.lower, segmented.vocabulary))
    segments = np.diff(batch.offsets)
    distinct: list[int | None] = [None] * len(languages)
    shares: list[float | None] = [None] * len(languages)
    for language in sorted(set(languages)):
        mine = [index for index, other in enumerate(languages) if other == language]
        if short := short_list(language):
            place = np.array([short.get(word, -1) for word in lower], np.int64)[batch.ids]
            found = np.unique((batch.documents * len(short) + place)[place >= 0]) // len(short)
            fill(distinct, mine, np.bincount(found, minlength=len(languages)))
        if full := long_list(language):
            listed = np.fromiter(map(full.__contains__, lower), bool, len(lower)) & kinds.is_word
            words = per_text(kinds.is_word[batch.ids], segments)
            fill(shares, mine, share(per_text(listed[batch.ids], segments), words))
    return {"stop_words": distinct, "stop_word_share": shares}


def fill(column: list[Any], rows: Sequence[int], values: npt.NDArray[Any]) -> None:
    """Put the values of some rows into a column."""
    for row in rows:
        column[row] = values[row].item()


def signals_batch(columns: Columns) -> pa.RecordBatch:
    """Lay out measured documents as rows of SIGNALS."""
    return pa.RecordBatch.from_arrays([pa.array(columns[f.name], f.type) for f in SIGNALS], schema=SIGNALS)
