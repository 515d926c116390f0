"""Near duplicates: MinHash proposes, true Jaccard similarity decides, and no cluster drifts.

Committed datasets, so that each can be reused and a kill costs little:

signatures   per source: the band hashes of every kept document
candidates   per band: pairs of documents in one bucket, over all sources
shingles, alike   the pairs that are truly alike (alike.py)
near         the verified duplicates, beside the exact ones of dedup.py

In a bucket a document is compared with the LEADERS longest and with the LEADERS before it by length, so that
boilerplate in a million documents costs millions of comparisons, not their square. A document is a duplicate
only of a survivor that it was itself compared with: A ~ B and B ~ C never make A and C copies. Documents with
the very same shingles (a template with other numbers) need no comparison: the first stands for all.
What stands already (standing.py) comes first in the total order; else the longest, newest, smallest id.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby, islice
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lmpipe.curate.alike import alike
from lmpipe.curate.dedup import DUPLICATES, check_guard, count
from lmpipe.curate.engine import engine, names, rows
from lmpipe.curate.minhash import Signer, fingerprints
from lmpipe.curate.shingles import Sets, shingle_sets
from lmpipe.curate.standing import Corpus, create_removed, gather_corpus, standing_of
from lmpipe.dataset import (
    Execution,
    Manifest,
    Plan,
    UnitOutput,
    build,
    inputs_of,
    read_batches,
    settings_dict,
    unit_keys,
)
from lmpipe.settings import DedupSettings

VERSION = 2
LEADERS = 16
"""Documents of a bucket that all its others are compared with, and as many of those next to each: near
duplicates are of like length, so that crowds of different templates in one bucket are told apart."""
PARTITION_ROWS = 4_000_000
"""Documents per partition of a band: their keys fit the engine's memory limit."""
TOGETHER_ROWS = 100_000
"""Documents times bands that one unit pairs at least: opening an engine costs as much as pairing 10,000."""
CANDIDATES = pa.schema([(name, pa.int64()) for name in ("shard_a", "row_a", "shard_b", "row_b")])
"""One row per pair in a bucket, the earlier of the total order first; shards as in Corpus."""
ENDS = pa.schema([("shard", pa.int64()), ("row", pa.int64())])
"""One row per document in a pair."""
COPIES = pa.schema([(name, pa.int64()) for name in ("shard", "row", "first_shard", "first_row")])
"""One row per document whose shingles another has too, and the first of those."""
FATES = pa.schema([("first", pa.int64()), ("second", pa.int64()), ("similarity", pa.float64())])
"""One row per near duplicate: its survivor's place in the total order, its own, and how alike they are."""
FATES_TOGETHER = 65_536
Edge = tuple[int, int, float]

MET = """
create or replace table met as
with
signed as (
    select file_index::bigint as shard, row, id, bytes, created, shingles, fingerprint, {band} as key
    from read_parquet($signatures) where {band} % $partitions = $partition
),
present as (from signed anti join removed using (shard, row)),
shared as (select key from present group by key having count(*) > 1 and min(shard) < $own)
select *, shard >= $own as stands,
    first_value({{'shard': shard, 'row': row}}) over same as first_one, row_number() over same as copy
from present semi join shared using (key)
window same as (
    partition by key, fingerprint, shingles
    order by shard >= $own desc, bytes desc, created desc nulls last, id, shard, row
)
"""
COPIED = """
select shard, row, first_one.shard as first_shard, first_one.row as first_row
from met where copy > 1 and not stands order by all
"""
PAIRED = """
create or replace table pairs as
with
placed as (
    select shard, row, key, shingles, stands, row_number() over bucket as place
    from met where copy = 1
    window bucket as (partition by key order by bytes desc, created desc nulls last, id, shard, row)
),
led as (
    select a, b from placed as b inner join placed as a on a.key = b.key and a.place < b.place
    where a.place <= $leaders
),
beside as (
    select a, b from (select *, unnest(range(1, $leaders + 1)) as back from placed where place > $leaders + 1) as b
    inner join placed as a on a.key = b.key and a.place = b.place - b.back
    where a.place > $leaders
),
paired as (from led union all from beside)
select if(b.stands, b, a) as a, if(b.stands, a, b) as b from paired
where not (a.stands and b.stands)
    and least(a.shingles, b.shingles) >= $similarity * greatest(a.shingles, b.shingles)
"""
PAIRS = "select a.shard as shard_a, a.row as row_a, b.shard as shard_b, b.row as row_b from pairs order by all"
PAIR_ENDS = "select a.shard as shard, a.row as row from pairs union select b.shard, b.row from pairs order by all"

PLACED = """
create table documents as
with
pairs as (from read_parquet($alike)),
copies as (from read_parquet($copies)),
ends as (
    select shard_a as shard, row_a as row from pairs union select shard_b, row_b from pairs
    union select shard, row from copies union select first_shard, first_row from copies
),
signed as (
    select file_index::bigint as shard, row, id, source, bytes, created from read_parquet($signatures)
)
select shard, row, id, source,
    row_number() over (order by shard >= $own desc, bytes desc, created desc nulls last, id, shard, row) - 1 as place
from signed semi join ends using (shard, row)
"""
EDGES = """
select a.place as first, b.place as second, similarity
from read_parquet($alike) as pairs
inner join documents as a on a.shard = pairs.shard_a and a.row = pairs.row_a
inner join documents as b on b.shard = pairs.shard_b and b.row = pairs.row_b
order by second, first
"""
DUPLICATED = """
with
near as (
    select second as place, first as survivor, similarity from fates
),
copied as (
    select d.place, coalesce(near.survivor, f.place) as survivor, coalesce(near.similarity, 1.0) as similarity
    from read_parquet($copies) as copies
    inner join documents as d using (shard, row)
    inner join documents as f on f.shard = copies.first_shard and f.row = copies.first_row
    left join near on near.place = f.place
),
found as (
    select d.id, d.source, d.shard, d.row, s.id as duplicate_of, similarity,
        if(s.shard >= $own, ($owners::varchar[])[s.shard - $own + 1], null) as against
    from (from near union all from copied) as doomed
    inner join documents as d on d.place = doomed.place
    inner join documents as s on s.place = doomed.survivor
),
exact as (
    select e.id, e.source, e.shard, e.row, coalesce(found.duplicate_of, e.duplicate_of) as duplicate_of,
        coalesce(found.similarity, e.similarity) as similarity, coalesce(found.against, e.against) as against, e.cluster
    from read_parquet($exact) as e
    left join found on found.id = e.duplicate_of and e.against is null and e.similarity is not null
),
final as (
    from exact union all by name select *, null::bigint as cluster from found
)
select * replace (if(similarity is null, cluster, 1 + count(similarity) over (partition by duplicate_of, against))
    as cluster)
from final order by shard, row
"""


class SignUnit(NamedTuple):
    """One unit's arguments."""

    documents: Path
    decisions: Path
    settings: DedupSettings


class PairUnit(NamedTuple):
    """One unit's arguments."""

    signatures: list[str]
    corpus: Corpus
    settings: DedupSettings
    bands: range
    partitions: int
    partition: int


class NearUnit(NamedTuple):
    """One unit's arguments."""

    signatures: list[str]
    own: int
    owners: list[str]
    alike: list[str]
    copies: list[str]
    exact: list[str]


def signatures_schema(bands: int) -> pa.Schema:
    """One row per kept document with words; row counts within its cleaned shard, a column per band."""
    return pa.schema(
        [
            ("row", pa.int64()),
            ("id", pa.string()),
            ("source", pa.string()),
            ("created", pa.timestamp("s", tz="UTC")),
            ("bytes", pa.int64()),
            ("shingles", pa.int64()),  # how many
            ("fingerprint", pa.uint64()),  # of their set
            *((f"band_{band:02d}", pa.uint64()) for band in range(bands)),
        ]
    )


def sign(decided: Manifest, data: Path, settings: DedupSettings, execution: Execution) -> Manifest:
    """Sign the kept documents of one source into DATA/signatures/<source>-<fingerprint8>/."""
    (cleaned,) = inputs_of(decided, "clean")
    plan = Plan(
        stage="signatures",
        name=decided.name,
        version=VERSION,
        settings={key: getattr(settings, key) for key in ("shingle", "shingle_chinese", "bands", "rows")},
        inputs=(decided.reference,),
    )
    pairs = list(zip(cleaned.paths("documents"), decided.paths("decisions"), strict=True))
    keys = unit_keys([cleaned, decided], pairs)
    return build(plan, data, sign_unit, [SignUnit(*pair, settings) for pair in pairs], execution, keys=keys)


def sign_unit(unit: SignUnit, output: UnitOutput) -> None:
    """Sign one shard."""
    signer, schema = Signer(unit.settings), signatures_schema(unit.settings.bands)
    decisions = pq.read_table(unit.decisions, columns=["id", "source", "lang", "created", "bytes", "reason"])
    start = 0
    with output.writing("signatures", schema) as append:
        for batch in read_batches(unit.documents, ["text"]):
            decided = decisions.slice(start, batch.num_rows)
            kept = np.flatnonzero(decided.column("reason").is_null())
            rows_kept = decided.take(kept).append_column("row", pa.array(kept + start))
            signed = signatures(batch.column("text").take(kept).to_pylist(), rows_kept, signer, unit.settings)
            for part in signed.select(schema.names).cast(schema).combine_chunks().to_batches():
                append(part)
            start += batch.num_rows
            output.count("in", batch.num_rows)
            output.count("signed", signed.num_rows)


def signatures(texts: list[str], decided: pa.Table, signer: Signer, settings: DedupSettings) -> pa.Table:
    """Add shingle counts, fingerprints and bands to the decisions of those texts that have words."""
    sets = shingle_sets(texts, decided.column("lang").to_pylist(), settings)
    sizes = np.diff(sets.offsets)
    some = np.flatnonzero(sizes)
    filled = Sets(sets.hashes, np.append(sets.offsets[some], sets.offsets[-1]))
    signed = decided.take(some).append_column("shingles", pa.array(sizes[some]))
    signed = signed.append_column("fingerprint", pa.array(fingerprints(filled)))
    for band, hashes in enumerate(signer.bands(filled).T):
        signed = signed.append_column(f"band_{band:02d}", pa.array(hashes))
    return signed


def candidates(
    exact: Manifest, signed: Sequence[Manifest], data: Path, settings: DedupSettings, execution: Execution
) -> Manifest:
    """Find the pairs that share a bucket into DATA/candidates/<recipe>-<fingerprint8>/, units by band and key.

    `signed` holds the signatures of all sources in the recipe's order; what stands already is signed here where
    it is not yet.
    """
    stands = standing_of(exact)
    signed = [*signed, *sign_standing(stands, data, settings, execution)]
    plan = Plan(
        stage="candidates",
        name=exact.name,
        version=VERSION,
        settings={"leaders": LEADERS, "similarity": settings.similarity},
        inputs=(exact.reference, *(manifest.reference for manifest in signed)),
    )
    corpus = gather_corpus(inputs_of(exact, "decide"), stands, exact.paths("duplicates"))
    documents = sum(manifest.counts.get("signed", 0) for manifest in signed)
    partitions = 1 + documents // PARTITION_ROWS
    paths = names([path for manifest in signed for path in manifest.paths("signatures")])
    together = max(1, TOGETHER_ROWS // max(1, documents))
    units = [
        PairUnit(paths, corpus, settings, range(band, min(band + together, settings.bands)), partitions, partition)
        for band in range(0, settings.bands, together)
        for partition in range(partitions)
    ]
    return build(plan, data, pair_unit, units, execution)


def sign_standing(
    stands: Sequence[Manifest], data: Path, settings: DedupSettings, execution: Execution
) -> list[Manifest]:
    """Open the signatures of what stands, or make them where that recipe did not, or by other settings."""
    return [sign(decided, data, settings, execution) for stand in stands for decided in inputs_of(stand, "decide")]


def pair_unit(unit: PairUnit, output: UnitOutput) -> None:
    """Write the pairs of one part of some bands; the first band also tells the copies."""
    parameters = {"signatures": unit.signatures, "own": unit.corpus.own}
    parameters |= {"partitions": unit.partitions, "partition": unit.partition}
    with (
        engine(output.folder) as connection,
        output.writing("candidates", CANDIDATES) as append_pairs,
        output.writing("ends", ENDS) as append_ends,
    ):
        create_removed(connection, unit.corpus)
        for band in unit.bands:
            connection.execute(MET.format(band=f"band_{band:02d}"), parameters)
            connection.execute(PAIRED, {"leaders": LEADERS, "similarity": unit.settings.similarity})
            for batch in rows(connection, PAIRS, {}, CANDIDATES):
                append_pairs(batch)
                output.count("pairs", batch.num_rows)
            for batch in rows(connection, PAIR_ENDS, {}, ENDS):
                append_ends(batch)
            if band == 0:
                output.write("copies", COPIES, rows(connection, COPIED, {}, COPIES))


def near(
    exact: Manifest,
    signed: Sequence[Manifest],
    proposed: Manifest,
    data: Path,
    settings: DedupSettings,
    execution: Execution,
) -> Manifest:
    """Add near duplicates to the exact ones in DATA/near/<recipe>-<fingerprint8>/, role "duplicates".

    `signed` holds the signatures of all sources in the recipe's order, `proposed` their candidates.
    Raises GuardError when a source would lose more than its guard share.
    """
    decided, stands = inputs_of(exact, "decide"), standing_of(exact)
    corpus = gather_corpus(decided, stands)
    truly = alike(proposed, corpus, data, settings, execution)
    signed = [*signed, *sign_standing(stands, data, settings, execution)]
    inputs = (*(d.reference for d in decided), exact.reference, proposed.reference, truly.reference)
    plan = Plan(stage="near", name=exact.name, version=VERSION, settings=settings_dict(settings), inputs=inputs)
    unit = NearUnit(
        names([path for manifest in signed for path in manifest.paths("signatures")]),
        corpus.own,
        corpus.owners,
        names(truly.paths("alike")),
        names(proposed.paths("copies")),
        names(exact.paths("duplicates")),
    )
    kept = {d.name: d.counts.get("kept", 0) for d in decided}
    return build(plan, data, near_unit, [unit], execution, lambda counts, folder: check_guard(settings, kept, counts))


def near_unit(unit: NearUnit, output: UnitOutput) -> None:
    """Choose survivors among the pairs that are alike, and write all duplicates, exact ones too."""
    given = unit._asdict()
    with engine(output.folder) as connection, output.writing("duplicates", DUPLICATES) as append:
        connection.execute(PLACED, {key: given[key] for key in ("signatures", "own", "alike", "copies")})
        connection.execute("create table fates (first bigint, second bigint, similarity double)")
        choose(connection, unit.alike)
        parameters = {key: given[key] for key in ("own", "owners", "copies", "exact")}
        for batch in rows(connection, DUPLICATED, parameters, DUPLICATES):
            append(batch)
            count(batch, output)
    exact = sum(pq.read_metadata(path).num_rows for path in unit.exact)
    output.count("near", output.shards[0].rows - exact)


def choose(connection: duckdb.DuckDBPyConnection, alike: list[str]) -> None:
    """Fill the table `fates`, streaming the pairs."""
    ((number,),) = connection.execute("select count(*) from documents").fetchall()
    batches = rows(connection, EDGES, {"alike": alike}, FATES)
    found = fates((edge for batch in batches for edge in zip(*map(pa.Array.to_pylist, batch), strict=True)), number)
    writer = connection.cursor()
    while block := list(islice(found, FATES_TOGETHER)):
        writer.from_arrow(pa.table(list(zip(*block, strict=True)), schema=FATES)).insert_into("fates")


def fates(edges: Iterable[Edge], number: int) -> Iterator[Edge]:
    """Yield each duplicate with its most similar survivor, greedily in the total order of `number` documents.

    An edge is (first, second, similarity), places in the total order; edges come ordered by the second. A
    document without a survivor before it survives.
    """
    gone = bytearray(number)
    for second, group in groupby(edges, key=itemgetter(1)):
        survivors = [(similarity, -first) for first, _, similarity in group if not gone[first]]
        if survivors:
            gone[second] = 1
            similarity, first = max(survivors)
            yield -first, second, similarity
