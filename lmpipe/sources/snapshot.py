"""What changed from one snapshot of a source to the next: added, changed and deleted documents.

A small dataset of its own, stage "changes". Its deleted rows are tombstones: documents that the source
has taken back, which later stages leave out of everything made before. It works for any source, since
a document's id stays the same across snapshots: a document has changed when its revision or its title
has, or, where it has no revision, its text.

Rows stand in the order of page ids; ids that are no numbers go to shards by hash and are sorted there.
Each unit joins a part of about PART_ROWS rows of both snapshots in an engine of bounded memory,
whatever the size and the order of the snapshots.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from lmpipe.curate.engine import engine, names, rows
from lmpipe.dataset import Execution, Manifest, Plan, UnitOutput, build, read_batches
from lmpipe.document import DOCUMENTS
from lmpipe.errors import InputError

VERSION = 1
PART_ROWS = 1_000_000
"""Rows of both snapshots per unit: some 300 MB in the engine."""

CHANGES = pa.schema(
    [
        ("id", pa.string()),
        ("change", pa.string()),
        ("revision_before", pa.string()),
        ("revision_after", pa.string()),
        ("title", pa.string()),
    ]
)
"""One row per document that is not the same in both snapshots; change is added, changed or deleted."""

NUMBER = """
case when regexp_full_match(substr(id, $prefix + 1), '[0-9]+') then try_cast(substr(id, $prefix + 1) as bigint) end
"""
"""The page id; null where an id is no number."""
MOST = f"select coalesce(max({NUMBER}), 0) from read_parquet($files)"

READ = f"""
create table documents as
with
snapshots as (
    select *, false as is_after from read_parquet($before, filename = true, file_row_number = true)
    union all
    select *, true as is_after from read_parquet($after, filename = true, file_row_number = true)
),
numbered as (select *, {NUMBER} as number from snapshots),
parts as (
    select
        *,
        -- equal ranges of page ids, so that the parts stand in their order
        coalesce(
            (number::hugeint * $parts) // ($most::hugeint + 1), ('0x' || substr(md5(id), 1, 8))::bigint % $parts
        ) as part
    from numbered
)
select id, number, revision, title, {{digest}} as digest, is_after
from parts
where part = $part
-- a news source may hold one id twice: the newest counts
qualify row_number() over (
    partition by id, is_after order by created desc nulls last, filename desc, file_row_number desc
) = 1
"""
CHANGED = """
with
before as (from documents where not is_after),
after as (from documents where is_after),
final as (
    select
        coalesce(after.id, before.id) as id,
        coalesce(after.number, before.number) as number,
        case
            when before.id is null then 'added'
            when after.id is null then 'deleted'
            when
                before.revision is distinct from after.revision
                or before.title is distinct from after.title
                or before.digest is distinct from after.digest
            then 'changed'
            else 'unchanged'
        end as change,
        before.revision as revision_before,
        after.revision as revision_after,
        coalesce(after.title, before.title) as title
    from before full join after on before.id = after.id
)
select * from final
"""


class ChangesUnit(NamedTuple):
    """One unit's arguments."""

    before: list[str]
    after: list[str]
    prefix: int
    """Characters of an id in front of the source's own."""
    most: int
    """The largest page id."""
    part: int
    parts: int


def changes(before: Manifest, after: Manifest, data: Path, execution: Execution) -> Manifest:
    """Compare two ingested snapshots of a source in DATA/changes/<name>-<fingerprint8>/, role "changes".

    Counts: in (documents of both together), added, changed, deleted, unchanged. Raises InputError for two
    sources of different names, whose ids have nothing in common.
    """
    if before.name != after.name:
        raise InputError(
            f"expected two snapshots of one source, found {before.name} and {after.name}: every document would be"
            " deleted. Name two datasets of the same source."
        )
    references = (before.reference, after.reference)
    plan = Plan(stage="changes", name=after.name, version=VERSION, settings={}, inputs=references)
    old, new, prefix = names(before.paths("documents")), names(after.paths("documents")), len(after.name) + 1
    parts = -(-num_rows([before, after]) // PART_ROWS)
    most = largest_page_id([*old, *new], prefix, data)
    units = [ChangesUnit(old, new, prefix, most, part, parts) for part in range(parts)]
    return build(plan, data, changes_unit, units, execution)


def num_rows(datasets: Sequence[Manifest]) -> int:
    """Count the documents of datasets."""
    return sum(shard.rows for dataset in datasets for shard in dataset.shards if shard.role == "documents")


def largest_page_id(files: list[str], prefix: int, data: Path) -> int:
    """Find where the range of page ids ends."""
    with engine(data) as connection:
        ((most,),) = connection.execute(MOST, {"files": files, "prefix": prefix}).fetchall()
    return int(most)


def changes_unit(unit: ChangesUnit, output: UnitOutput) -> None:
    """Write the changes of one part."""
    # Texts are read only where documents lack revisions: they are all but 1 % of the bytes.
    digest = "if(revision is null, md5(text), null)" if lack_revisions(unit.before + unit.after) else "null"
    with engine(output.folder) as connection:
        connection.execute(READ.format(digest=digest), unit._asdict())
        connection.execute(f"create table changes as {CHANGED}")
        ordered = "from changes where change <> 'unchanged' order by number nulls last, id"
        output.write("changes", CHANGES, rows(connection, ordered, {}, CHANGES))
        for change, number in connection.execute("select change, count(*) from changes group by all").fetchall():
            output.count(change, number)
            output.count("in", number)


def lack_revisions(files: Sequence[str]) -> bool:
    """Say whether any document has no revision, by the statistics of the files."""
    metadata = [pq.read_metadata(file) for file in files]
    column = DOCUMENTS.names.index("revision")  # no nested column stands in front of it
    groups = (file.row_group(group) for file in metadata for group in range(file.num_row_groups))
    return any(group.column(column).statistics.null_count > 0 for group in groups)


def tombstones(manifest: Manifest) -> Iterator[str]:
    """Yield the ids of the documents that the newer snapshot has no more."""
    for path in manifest.paths("changes"):
        for batch in read_batches(path, ["id", "change"]):
            yield from (row["id"] for row in batch.to_pylist() if row["change"] == "deleted")
