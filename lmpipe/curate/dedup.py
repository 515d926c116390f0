"""The dedup stage: one survivor for every text, over all sources of a recipe.

Documents that the profile kept are grouped by the hash of their normalised text. The survivor of a
group follows a total order (longest, newest, smallest id), so that it does not depend on the order
of files; what stands already (standing.py) comes first. Where one id comes twice (a page captured again), only
its newest version takes part. Work is cut by the first byte of the hash: partitions are independent, and each
holds keys, never texts.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from lmpipe.curate.engine import engine, rows
from lmpipe.curate.standing import Corpus, create_removed, gather_corpus, standing
from lmpipe.dataset import Execution, Manifest, Plan, UnitOutput, build
from lmpipe.errors import GuardError
from lmpipe.settings import DedupSettings

VERSION = 3
PARTITION_ROWS = 4_000_000
"""Documents per partition: their keys fit the engine's memory limit several times."""
DUPLICATES = pa.schema(
    [
        ("id", pa.string()),
        ("source", pa.string()),
        ("shard", pa.int64()),
        ("row", pa.int64()),
        ("duplicate_of", pa.string()),
        ("similarity", pa.float64()),
        ("cluster", pa.int64()),
        ("against", pa.string()),
    ]
)
"""One row per removed document: where its decision stands (shard of all sources in order, row), its survivor,
how alike (1 = the same text, null = an older version under the same id), the group's size, and the recipe in
which the survivor stands already (null = in this one)."""

SQL = """
with
everything as (
    select id, source, text_sha256, bytes, created, file_row_number::bigint as row, file_index::bigint as shard,
        ('0x' || substr(hex(text_sha256), 1, 2))::int % $partitions = $partition as mine
    from read_parquet($decisions)
    where reason is null
),
kept as (from everything where shard < $own),
repeated as (select id from kept group by id having count(*) > 1),
versions as (
    select shard, row, row_number() over version as age, count(*) over (partition by id) as cluster
    from kept where id in (from repeated)
    window version as (partition by id order by created desc nulls last, bytes desc, shard, row)
),
superseded as (
    select kept.*, cluster from kept join versions using (shard, row) where age > 1
),
present as (
    from (from everything where mine) anti join removed using (shard, row)
    anti join superseded using (shard, row)
),
copied as (select text_sha256 from present group by text_sha256 having count(*) > 1 and min(shard) < $own),
ranked as (
    select *, first_value(id) over same_text as survivor, first_value(shard) over same_text as survivor_shard,
        row_number() over same_text as place, count(*) over (partition by text_sha256) as cluster
    from present semi join copied using (text_sha256)
    window same_text as (
        partition by text_sha256 order by shard >= $own desc, bytes desc, created desc nulls last, id, shard, row
    )
)
select id, source, shard, row, survivor as duplicate_of, 1.0 as similarity, cluster,
    if(survivor_shard >= $own, ($owners::varchar[])[survivor_shard - $own + 1], null) as against
from ranked where place > 1 and shard < $own
union all
select id, source, shard, row, id, null, cluster, null from superseded where mine
order by shard, row
"""


class DedupUnit(NamedTuple):
    """One unit's arguments."""

    corpus: Corpus
    partitions: int
    partition: int


def dedup(
    decided: Sequence[Manifest], recipe: str, data: Path, settings: DedupSettings, execution: Execution
) -> Manifest:
    """Find the duplicates among all kept documents into DATA/dedup/<recipe>-<fingerprint8>/.

    What the recipes of `settings.against` hold stands already. Raises GuardError when a source would lose more
    than its guard share to itself and the others.
    """
    stands = standing(recipe, data, settings)
    inputs = tuple(manifest.reference for manifest in (*decided, *stands))
    plan = Plan(stage="dedup", name=recipe, version=VERSION, settings={}, inputs=inputs)
    kept = {d.name: d.counts.get("kept", 0) for d in decided}
    corpus = gather_corpus(decided, stands)
    partitions = min(256, 1 + sum(kept.values()) // PARTITION_ROWS)
    units = [DedupUnit(corpus, partitions, partition) for partition in range(partitions)]

    def check(counts: dict[str, int], folder: Path) -> None:
        check_guard(settings, kept, counts)

    return build(plan, data, dedup_unit, units, execution, check)


def dedup_unit(unit: DedupUnit, output: UnitOutput) -> None:
    """Find the duplicates of one partition and count them by source."""
    corpus = unit.corpus
    parameters = {"own": corpus.own, "owners": corpus.owners, "decisions": corpus.decisions}
    parameters |= {"partitions": unit.partitions, "partition": unit.partition}
    with engine(output.folder) as connection, output.writing("duplicates", DUPLICATES) as append:
        create_removed(connection, corpus)
        for batch in rows(connection, SQL, parameters, DUPLICATES):
            append(batch)
            count(batch, output)


def count(batch: pa.RecordBatch, output: UnitOutput) -> None:
    """Count duplicates by source, those of what stands already apart."""
    sources, here = batch.column("source"), batch.column("against").is_null()
    for key, chosen in (("duplicates", here), ("standing", pc.invert(here))):
        for entry in sources.filter(chosen).value_counts().to_pylist():
            output.count(f"{key}.{entry['values']}", entry["counts"])


def check_guard(settings: DedupSettings, kept: dict[str, int], counts: dict[str, int]) -> None:
    """Stop a run in which a source loses more than its guard (a known project lost 97 % of its novels).

    What stands already in another recipe is no loss.
    """
    for source, total in kept.items():
        duplicates = counts.get(f"duplicates.{source}", 0)
        if duplicates > settings.guard * total:
            raise GuardError(
                f"source {source}: {duplicates} of {total} documents are duplicates, more than dedup.guard ="
                f" {settings.guard:g}. Look whether a file is listed twice, or raise the guard."
            )
