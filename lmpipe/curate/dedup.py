"""The dedup stage: one survivor for every text, over all sources of a recipe.

Documents that the profile kept are grouped by the hash of their normalised text. The survivor of a
group follows a total order (longest, newest, smallest id), so that it does not depend on the order
of files. Where one id comes twice (a page captured again), only its newest version takes part. Work is
cut by the first byte of the hash: partitions are independent, and each holds keys, never texts.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from lmpipe.curate.engine import engine, names, rows
from lmpipe.dataset import Execution, Manifest, Plan, UnitOutput, build
from lmpipe.errors import GuardError
from lmpipe.settings import DedupSettings

VERSION = 2
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
    ]
)
"""One row per removed document: where its decision stands (shard of all sources in order, row), its survivor,
how alike (1 = the same text, null = an older version under the same id), and the group's size."""

SQL = """
with
kept as (
    select id, source, text_sha256, bytes, created, file_row_number as row,
        list_position($decisions, filename) - 1 as shard,
        ('0x' || substr(hex(text_sha256), 1, 2))::int % $partitions = $partition as mine
    from read_parquet($decisions, filename = true, file_row_number = true)
    where reason is null
),
repeated as (select id from kept group by id having count(*) > 1),
versions as (
    select shard, row, row_number() over version as age, count(*) over (partition by id) as cluster
    from kept where id in (from repeated)
    window version as (partition by id order by created desc nulls last, bytes desc, shard, row)
),
superseded as (
    select kept.*, cluster from kept join versions using (shard, row) where age > 1
),
ranked as (
    select *, first_value(id) over same_text as survivor, row_number() over same_text as place,
        count(*) over (partition by text_sha256) as cluster
    from (from kept where mine) anti join superseded using (shard, row)
    window same_text as (partition by text_sha256 order by bytes desc, created desc nulls last, id)
)
select id, source, shard, row, survivor as duplicate_of, 1.0 as similarity, cluster from ranked where place > 1
union all
select id, source, shard, row, id as duplicate_of, null as similarity, cluster from superseded where mine
order by shard, row
"""


class DedupUnit(NamedTuple):
    """One unit's arguments."""

    decisions: list[str]
    partitions: int
    partition: int


def dedup(
    decided: Sequence[Manifest], recipe: str, data: Path, settings: DedupSettings, execution: Execution
) -> Manifest:
    """Find the duplicates among all kept documents into DATA/dedup/<recipe>-<fingerprint8>/.

    Raises GuardError when a source would lose more than its guard share.
    """
    plan = Plan(stage="dedup", name=recipe, version=VERSION, settings={}, inputs=tuple(d.reference for d in decided))
    kept = {d.name: d.counts.get("kept", 0) for d in decided}
    decisions = names([path for d in decided for path in d.paths("decisions")])
    partitions = min(256, 1 + sum(kept.values()) // PARTITION_ROWS)
    units = [DedupUnit(decisions, partitions, partition) for partition in range(partitions)]

    def check(counts: dict[str, int], folder: Path) -> None:
        check_guard(settings, kept, counts)

    return build(plan, data, dedup_unit, units, execution, check)


def dedup_unit(unit: DedupUnit, output: UnitOutput) -> None:
    """Find the duplicates of one partition and count them by source."""
    with engine(output.folder) as connection, output.writing("duplicates", DUPLICATES) as append:
        for batch in rows(connection, SQL, unit._asdict(), DUPLICATES):
            append(batch)
            for entry in batch.column("source").value_counts().to_pylist():
                output.count(f"duplicates.{entry['values']}", entry["counts"])


def check_guard(settings: DedupSettings, kept: dict[str, int], counts: dict[str, int]) -> None:
    """Stop a run in which a source loses more than its guard (a known project lost 97 % of its novels)."""
    for source, total in kept.items():
        duplicates = counts.get(f"duplicates.{source}", 0)
        if duplicates > settings.guard * total:
            raise GuardError(
                f"source {source}: {duplicates} of {total} documents are duplicates, more than dedup.guard ="
                f" {settings.guard:g}. Look whether a file is listed twice, or raise the guard."
            )
