"""The decontaminate stage: training documents that share runs of words with what models are evaluated on.

Two committed datasets behind the index of heldout.py, both with one unit per cleaned shard:

overlaps       how many training documents each held-out run stands in, and which documents have any
decontaminate  the outcomes of the split, rewritten, and one row per shared span with the record that it is of

The first pass reads all training text and keeps hashes only; the second reads the few documents that are touched,
knows which runs are common over the whole corpus, compares words, and decides. Encoding and evaluation read the
outcomes as they read those of the split.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lmpipe.curate.engine import engine, names
from lmpipe.curate.lookup import open_index
from lmpipe.curate.ngrams import Runs, Words, cut
from lmpipe.curate.overlap import Overlap, overlaps
from lmpipe.curate.shingles import Hashes
from lmpipe.curate.split import OUTCOMES, write_funnel
from lmpipe.dataset import Execution, Manifest, Plan, UnitOutput, build, inputs_of
from lmpipe.errors import GuardError
from lmpipe.settings import DecontaminateSettings
from lmpipe.text.segment import Ints
from lmpipe.tokens.corpus import CorpusShard, cleaned_batches, corpus_shards

VERSION = 1
REASON = "contaminated"
"""The reason of a removed document is contaminated.<set>."""
EXCERPT = 400
"""Characters of a shared span that are kept readable in its row."""
FREQUENCIES = pa.schema([("hash", pa.uint64()), ("documents", pa.int64())])
"""One row per held-out run that a shard's training documents hold: in how many of them."""
TOUCHED = pa.schema([("row", pa.int64())])
"""One row per training document with any; row counts within its cleaned shard."""
HITS = pa.schema(
    [
        ("id", pa.string()),
        ("source", pa.string()),
        ("set", pa.string()),
        ("record", pa.string()),
        ("start", pa.int64()),
        ("end", pa.int64()),
        ("runs", pa.int64()),
        ("common", pa.int64()),
        ("share", pa.float64()),
        ("contaminated", pa.bool_()),
        ("text", pa.string()),
    ]
)
"""One row per span that a training document shares with an evaluation record: characters of its text, runs in it and
how many of those are common, the share of the record that the document covers by all its spans, whether that is
enough for the recipe, and the head of the span."""
OWN_COMMON = """
select hash from read_parquet($all)
where hash in (select hash from read_parquet($own))
group by hash having sum(documents) > $most order by hash
"""


class OverlapUnit(NamedTuple):
    """One unit's arguments."""

    shard: CorpusShard
    heldout: Path
    """Folder of the heldout dataset."""


class DecontaminateUnit(NamedTuple):
    """One unit's arguments."""

    shard: CorpusShard
    heldout: Path
    touched: Path
    own: Path
    """Frequencies of this shard."""
    frequencies: list[str]
    """Of all shards."""
    settings: DecontaminateSettings


class Fate(NamedTuple):
    """Why a document is contaminated."""

    reason: str
    value: float
    threshold: float


def find_overlaps(chosen: Manifest, index: Manifest, data: Path, execution: Execution) -> Manifest:
    """Count held-out runs in the training documents of a split into DATA/overlaps/<recipe>-<fingerprint8>/."""
    decided = inputs_of(chosen, "decide")
    inputs = (*(d.reference for d in decided), chosen.reference, index.reference)
    plan = Plan(stage="overlaps", name=chosen.name, version=VERSION, settings={}, inputs=inputs)
    units = [OverlapUnit(shard, index.folder) for shard in corpus_shards(chosen)]
    return build(plan, data, overlap_unit, units, execution)


def overlap_unit(unit: OverlapUnit, output: UnitOutput) -> None:
    """Look up every run of a shard's training documents."""
    index = open_index(unit.heldout)
    found: list[tuple[Hashes, Ints]] = []
    touched: list[int] = []
    for rows, texts in training_texts(unit.shard, None):
        output.count("training", len(texts))
        documents, hashes = held_out_runs(cut(texts), index.holds, index.sizes)
        touched += rows[np.unique(documents)].tolist()
        found.append(np.unique(hashes, return_counts=True))
    hashes, documents = added(found)
    output.count("touched", len(touched))
    frequencies = pa.record_batch([pa.array(hashes), pa.array(documents)], schema=FREQUENCIES)
    output.write("frequencies", FREQUENCIES, [frequencies])
    output.write("touched", TOUCHED, [pa.record_batch([pa.array(touched, pa.int64())], schema=TOUCHED)])


def training_texts(shard: CorpusShard, wanted: Ints | None) -> Iterator[tuple[Ints, list[str]]]:
    """Stream (rows, texts) of a shard's training documents, or of some of its rows."""
    splits = pq.read_table(shard.outcomes, columns=["split"])["split"]
    mine = pc.equal(splits, "train").fill_null(False).to_numpy() if wanted is None else np.zeros(len(splits), bool)
    mine[wanted if wanted is not None else []] |= wanted is not None
    if not mine.any():
        return
    start = 0
    for batch in cleaned_batches(shard):
        rows = np.flatnonzero(mine[start : start + batch.num_rows])
        if len(rows):
            yield rows + start, batch.column("text").take(pa.array(rows)).to_pylist()
        start += batch.num_rows


def held_out_runs(words: Words, holds: Any, sizes: Iterable[int]) -> tuple[Ints, Hashes]:
    """List the held-out runs of a batch once per text: (text, hash)."""
    runs = Runs(words)
    texts, hashes = [np.zeros(0, np.int64)], [np.zeros(0, np.uint64)]
    for size in sizes:
        starts, found = runs.of(size)
        held = holds(found)
        texts.append(np.searchsorted(words.offsets, starts[held], side="right") - 1)
        hashes.append(found[held])
    text, hashed = np.concatenate(texts), np.concatenate(hashes)
    order = np.lexsort((hashed, text))
    text, hashed = text[order], hashed[order]
    first = np.append(True, (text[1:] != text[:-1]) | (hashed[1:] != hashed[:-1]))[: len(text)]
    return text[first], hashed[first]


def added(found: Sequence[tuple[Hashes, Ints]]) -> tuple[Hashes, Ints]:
    """Add up counts by hash."""
    hashes = np.concatenate([np.zeros(0, np.uint64), *(hashes for hashes, _ in found)])
    numbers = np.concatenate([np.zeros(0, np.int64), *(numbers for _, numbers in found)])
    distinct, place = np.unique(hashes, return_inverse=True)
    return distinct, np.bincount(place, weights=numbers, minlength=len(distinct)).astype(np.int64)


def decontaminate(
    chosen: Manifest, index: Manifest, found: Manifest, data: Path, settings: DecontaminateSettings,
    execution: Execution,
) -> Manifest:  # fmt: skip
    """Remove or mark contaminated training documents in DATA/decontaminate/<recipe>-<fingerprint8>/.

    Roles are outcomes and funnel, as of the split, and hits. Raises GuardError when a source would lose more than
    its guard share.
    """
    decided = inputs_of(chosen, "decide")
    inputs = (*(d.reference for d in decided), chosen.reference, index.reference, found.reference)
    body = {key: getattr(settings, key) for key in ("remove", "common", "least_runs", "least_share", "certain")}
    plan = Plan(stage="decontaminate", name=chosen.name, version=VERSION, settings=body, inputs=inputs)
    frequencies = found.paths("frequencies")
    pairs = zip(corpus_shards(chosen), found.paths("touched"), frequencies, strict=True)
    units = [
        DecontaminateUnit(shard, index.folder, touched, own, names(frequencies), settings)
        for shard, touched, own in pairs
    ]

    def check(counts: dict[str, int], folder: Path) -> None:
        check_guard([d.name for d in decided], settings, counts, folder)

    return build(plan, data, decontaminate_unit, units, execution, check)


def decontaminate_unit(unit: DecontaminateUnit, output: UnitOutput) -> None:
    """Judge the touched documents of a shard and rewrite its outcomes."""
    outcomes = pq.read_table(unit.shard.outcomes)
    with engine(output.folder) as connection:
        parameters = {"all": unit.frequencies, "own": str(unit.own), "most": unit.settings.common}
        common = connection.execute(OWN_COMMON, parameters).fetchnumpy()["hash"].astype(np.uint64)
        fates: dict[int, Fate] = {}
        with output.writing("hits", HITS) as append:
            for rows, texts in training_texts(unit.shard, pq.read_table(unit.touched)["row"].to_numpy()):
                found, batch = judged(rows, texts, outcomes, common, unit)
                fates |= found
                append(batch)
                count_hits(batch, output)
        changed = rewritten(outcomes, fates) if unit.settings.remove else outcomes
        connection.register("outcomes", changed)
        output.write("outcomes", OUTCOMES, changed.combine_chunks().to_batches())
        write_funnel(connection, output)
    output.count("common", len(common))
    count_training(outcomes, output)


def judged(
    rows: Ints, texts: list[str], outcomes: pa.Table, common: Hashes, unit: DecontaminateUnit
) -> tuple[dict[int, Fate], pa.RecordBatch]:
    """Say which of some documents are contaminated, and lay out what they share as rows of HITS."""
    words, hits = cut(texts), []
    fates: dict[int, tuple[float, int, Fate]] = {}
    whose = outcomes.select(["id", "source"]).take(pa.array(rows)).to_pylist()
    for found in overlaps(words, open_index(unit.heldout), common, unit.settings):
        fate = judge(found, unit.settings)
        row = int(rows[found.text])
        if fate is not None and (row not in fates or (found.share, found.rare) > fates[row][:2]):
            fates[row] = (found.share, found.rare, fate)
        for hit in hit_rows(found, words, texts[found.text]):
            hits.append(hit | whose[found.text] | {"contaminated": fate is not None})
    return {row: fate for row, (*_, fate) in fates.items()}, pa.RecordBatch.from_pylist(hits, schema=HITS)


def judge(found: Overlap, settings: DecontaminateSettings) -> Fate | None:
    """Lay the recipe's thresholds over what a document shares with one record."""
    reason = f"{REASON}.{found.set}"
    if found.rare and found.rare >= settings.least_runs and found.share >= settings.least_share:
        by_share = settings.least_share > 0
        return Fate(reason, *((found.share, settings.least_share) if by_share else (found.rare, settings.least_runs)))
    return Fate(reason, found.share, settings.certain) if found.certain else None


def hit_rows(found: Overlap, words: Words, text: str) -> Iterator[dict[str, Any]]:
    """Lay out the spans of one overlap, in characters of the text."""
    base = int(words.text_starts[found.text])
    for span in found.spans:
        start = int(words.solid[words.starts[span.first]]) - base
        end = int(words.solid[words.starts[span.last] - 1]) + 1 - base
        excerpt = text[start : min(end, start + EXCERPT)]
        yield {
            "set": found.set,
            "record": found.record,
            "start": start,
            "end": end,
            "text": excerpt,
            "runs": span.runs,
            "common": span.common,
            "share": found.share,
        }


def rewritten(outcomes: pa.Table, fates: dict[int, Fate]) -> pa.Table:
    """Drop documents from the training split, with the reason, value and threshold of each."""
    mask = np.zeros(len(outcomes), bool)
    rows = sorted(fates)
    mask[rows] = True
    columns = {
        "outcome": ["dropped"] * len(rows),
        **{key: [getattr(fates[row], key) for row in rows] for key in Fate._fields},
        "split": [None] * len(rows),
    }
    for name, values in columns.items():
        field = OUTCOMES.field(name)
        column = pc.replace_with_mask(outcomes[name].combine_chunks(), mask, pa.array(values, field.type))
        outcomes = outcomes.set_column(OUTCOMES.get_field_index(name), field, column)
    return outcomes


def count_hits(batch: pa.RecordBatch, output: UnitOutput) -> None:
    """Count the documents that share something with each set, and those for which it is enough."""
    for key, rows in (("hits", batch), ("contaminated", batch.filter(batch.column("contaminated")))):
        documents = pa.Table.from_batches([rows]).group_by(["set", "id"]).aggregate([])
        for entry in documents["set"].value_counts().to_pylist():
            output.count(f"{key}.{entry['values']}", entry["counts"])


def count_training(outcomes: pa.Table, output: UnitOutput) -> None:
    """Count the training documents of the split by source."""
    for entry in outcomes.filter(pc.equal(outcomes["split"], "train"))["source"].value_counts().to_pylist():
        output.count(f"training.{entry['values']}", entry["counts"])


def check_guard(sources: Sequence[str], settings: DecontaminateSettings, counts: dict[str, int], folder: Path) -> None:
    """Stop a run in which a source loses more of its training documents than its guard allows."""
    for source in sources:
        total = counts.get(f"training.{source}", 0)
        removed = total - counts.get(f"train.{source}", 0)
        if removed > settings.guard * total:
            by_set = ", ".join(f"{k.partition('.')[2]} {n}" for k, n in counts.items() if k.startswith(f"{REASON}."))
            raise GuardError(
                f"source {source}: {removed} of {total} training documents share runs of words with evaluation sets"
                f" (all sources: {by_set}), more than decontaminate.guard = {settings.guard:g}. Read the spans: SELECT"
                f" * FROM '{folder}/hits-*.parquet'. Is the source made of the same texts as the set? Then leave it"
                " out, set decontaminate.remove = false, or raise the guard, least_runs or least_share."
            )
