"""The training documents most alike to a text: those that share its longest runs of words, with the spans.

For a generation it answers where the model may have that from. Words are compared as decontamination does (ngrams.py:
case, marks and digits aside), hashes propose and the words themselves decide. All training documents of a run are
read once, a batch at a time, and only the best few are held, so memory does not grow with the corpus.

    lmpipe alike data/runs/demo-lstm-1a2b3c4d "It was the best of times, it was the worst of times"
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lmpipe.curate.decontaminate import hit_rows, training_texts
from lmpipe.curate.heldout import Record, Sizes
from lmpipe.curate.lookup import index_texts
from lmpipe.curate.ngrams import cut
from lmpipe.curate.overlap import overlaps
from lmpipe.dataset import Execution
from lmpipe.errors import InputError
from lmpipe.evaluate.probe import chosen_of
from lmpipe.settings import DecontaminateSettings
from lmpipe.tokens.corpus import CorpusShard, corpus_shards
from lmpipe.train.run import load_run
from lmpipe.workers import run_units

SIZES = Sizes(5, 8, 3, 4)
"""Words (characters of scripts without blanks) of the shortest run that counts, and of a text that is compared."""
SPAN = pa.struct([("start", pa.int64()), ("end", pa.int64()), ("words", pa.int64()), ("text", pa.string())])
ALIKE = pa.schema(
    [
        ("text", pa.string()),
        ("place", pa.int64()),
        ("document", pa.string()),
        ("source", pa.string()),
        ("longest", pa.int64()),
        ("share", pa.float64()),
        ("spans", pa.list_(SPAN)),
    ]
)
"""One row per text and document, the most alike first: words of the longest span, share of the text's words that all
spans cover, and the spans with their characters in the document."""


class AlikeUnit(NamedTuple):
    """One unit's arguments."""

    shard: CorpusShard
    records: list[Record]
    sizes: Sizes
    most: int


def alike_documents(
    run: Path, texts: Mapping[str, str], data: Path, most: int, execution: Execution, sizes: Sizes = SIZES
) -> pa.Table:
    """Find for each named text the `most` training documents of a run that are most alike; rows of ALIKE.

    Order: longest span, share, document id. Raises InputError for a text that is shorter than the shortest run.
    """
    records = [Record("", name, text) for name, text in texts.items()]
    for record, run_length in zip(records, index_texts(records, sizes).parts[0].run.tolist(), strict=True):
        if not run_length:
            raise InputError(
                f"{record.id}: expected {sizes.shortest_words} words ({sizes.shortest_characters} characters of a"
                f" script without blanks), found {record.text[:60]!r}. Give more."
            )
    shards = [shard for chosen in chosen_of(load_run(run), data) for shard in corpus_shards(chosen)]
    units = [AlikeUnit(shard, records, sizes, most) for shard in shards]
    found: list[dict[str, Any]] = []
    unordered = run_units(alike_in_shard, units, execution.workers, execution.cluster)
    for number, rows in enumerate(unordered, start=1):
        found = best([*found, *rows], most)
        if execution.progress is not None:
            execution.progress(number, len(units))
    order = list(texts)
    found.sort(key=lambda row: (order.index(row["text"]), rank(row)))
    places = [1 + sum(other["text"] == row["text"] for other in found[:number]) for number, row in enumerate(found)]
    return pa.Table.from_pylist(
        [row | {"place": place} for row, place in zip(found, places, strict=True)], schema=ALIKE
    )


def alike_in_shard(unit: AlikeUnit) -> list[dict[str, Any]]:
    """Find the best training documents of one shard; runs in any process."""
    index, settings = index_texts(unit.records, unit.sizes), DecontaminateSettings()
    none = np.zeros(0, np.uint64)
    outcomes = pq.read_table(unit.shard.outcomes, columns=["id", "source"])
    found: list[dict[str, Any]] = []
    for rows, texts in training_texts(unit.shard, None):
        words = cut(texts)
        whose = outcomes.take(pa.array(rows)).to_pylist()
        for shared in overlaps(words, index, none, settings):
            lengths = [span.last - span.first for span in shared.spans]
            spans = [
                {"start": hit["start"], "end": hit["end"], "words": length, "text": hit["text"]}
                for hit, length in zip(hit_rows(shared, words, texts[shared.text]), lengths, strict=True)
            ]
            document = {"document": whose[shared.text]["id"], "source": whose[shared.text]["source"]}
            numbers = {"longest": max(lengths), "share": shared.share}
            found.append({"text": shared.record} | document | numbers | {"spans": spans})
        found = best(found, unit.most)
    return found


def best(found: Sequence[dict[str, Any]], most: int) -> list[dict[str, Any]]:
    """Keep the most alike documents of each text."""
    kept: list[dict[str, Any]] = []
    for name in dict.fromkeys(row["text"] for row in found):
        kept += sorted((row for row in found if row["text"] == name), key=rank)[:most]
    return kept


def rank(row: dict[str, Any]) -> tuple[int, float, str]:
    """Order documents: a long span says more than many short ones, which every long document has."""
    return -row["longest"], -row["share"], row["document"]
