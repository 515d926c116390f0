"""The graft stage: the training documents of one recipe beside the held-out documents of another.

A recipe without one of its filters or sources would hold out other documents, and its perplexity could not be
compared with that of the whole recipe. So the held-out documents are the whole recipe's, as they are, and only what
may be trained on is the variant's own, less what must not be: documents that the variant would have held out
(ablated.held_out), documents that are duplicates of a held-out one by either recipe (ablated.like_held_out), and the
source that was dropped (ablated.source). Rows stand in the order of the whole recipe's cleaned shards.
"""

from pathlib import Path
from typing import NamedTuple

from lmpipe.curate.engine import engine, names, rows
from lmpipe.curate.split import OUTCOMES, check_splits, write_funnel
from lmpipe.dataset import Execution, Manifest, Plan, UnitOutput, build, inputs_of
from lmpipe.settings import SplitSettings

VERSION = 1
"""Raised by hand when the same inputs would give other rows."""

SQL = """
create table outcomes as
with
held as (
    select *, file_row_number as row from read_parquet($standing, file_row_number = true)
    where split in ('valid', 'test')
),
own as (select *, file_row_number as row from read_parquet($own, file_row_number = true)),
others as (
    select *, case
        when split is null then null
        when $gone then 'ablated.source'
        when split <> 'train' then 'ablated.held_out'
        when list_contains($alike, id) then 'ablated.like_held_out'
    end as barred
    from own anti join held using (row)
)
select * exclude (barred) replace (
    if(barred is null, outcome, 'dropped') as outcome, coalesce(barred, reason) as reason,
    if(barred is null, split, null) as split
) from others
union all by name from held
"""

ALIKE = """
with held as (select id from read_parquet($standing) where split in ('valid', 'test'))
select duplicate_of from read_parquet($own) where duplicate_of is not null and id in (from held)
union select id from read_parquet($standing) where duplicate_of in (from held)
order by all
"""
"""Documents that are duplicates of a held-out one: its survivor in the variant, and those that it survives."""


class GraftUnit(NamedTuple):
    """One unit's arguments."""

    standing: Path
    """Outcomes of the whole recipe."""
    own: Path
    """Outcomes of the variant; those of the whole recipe again where it has no such source."""
    gone: bool
    alike: list[str]


def graft(standing: Manifest, own: Manifest, name: str, data: Path, execution: Execution) -> Manifest:
    """Join the held-out documents of the split `standing` to the training documents of `own` in DATA/graft/<name>-....

    Both splits are of the same cleaned documents; `own` may lack sources. Raises InputError when no training
    document is left.
    """
    decided = inputs_of(standing, "decide")
    inputs = (*(d.reference for d in decided), standing.reference, own.reference)
    plan = Plan(stage="graft", name=name, version=VERSION, settings={}, inputs=inputs)
    alike = like_held_out(standing, own)
    units = [
        GraftUnit(path, replacement or path, replacement is None, alike)
        for path, replacement in zip(standing.paths("outcomes"), beside(decided, own), strict=True)
    ]

    def check(counts: dict[str, int], folder: Path) -> None:
        check_splits([d.name for d in decided], SplitSettings(test=0), counts)

    return build(plan, data, graft_unit, units, execution, check)


def beside(decided: list[Manifest], own: Manifest) -> list[Path | None]:
    """Find a variant's outcomes beside each cleaned shard of the whole recipe; None where it has no such source."""
    outcomes = iter(own.paths("outcomes"))
    shards = {d.name: [next(outcomes) for _ in d.paths("decisions")] for d in inputs_of(own, "decide")}
    return [path for d in decided for path in shards.get(d.name, [None] * len(d.paths("decisions")))]


def like_held_out(standing: Manifest, own: Manifest) -> list[str]:
    """List the documents that are duplicates of a held-out one by either recipe."""
    with engine(standing.folder) as connection:
        parameters = {"standing": names(standing.paths("outcomes")), "own": names(own.paths("outcomes"))}
        return [row[0] for row in connection.execute(ALIKE, parameters).fetchall()]


def graft_unit(unit: GraftUnit, output: UnitOutput) -> None:
    """Write one shard's outcomes and their funnel."""
    with engine(output.folder) as connection:
        parameters = {"standing": str(unit.standing), "own": str(unit.own), "gone": unit.gone, "alike": unit.alike}
        connection.execute(SQL, parameters)
        output.write("outcomes", OUTCOMES, rows(connection, "from outcomes order by row", {}, OUTCOMES))
        write_funnel(connection, output)
