"""The split stage: every document's final outcome in one row, and its split if it is kept.

The split is by hash of the recipe's seed and the work (all chapters of a book together, unless the
recipe says by = document), never by position: a document keeps its split when others come or go. A benchmark's
own split is given by the recipe.
Rows stand in the order of the cleaned shard, so that encoding reads both side by side.
"""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from lmpipe.curate.engine import engine, names, rows
from lmpipe.curate.passages import REMAINS
from lmpipe.dataset import Execution, Manifest, Plan, UnitOutput, build, inputs_of, settings_dict
from lmpipe.errors import InputError
from lmpipe.settings import SplitSettings

log = logging.getLogger(__name__)

VERSION = 2
SPLITS = ("train", "valid", "test")
OUTCOMES = pa.schema(
    [
        ("id", pa.string()),
        ("source", pa.string()),
        ("lang", pa.string()),
        ("outcome", pa.string()),
        ("reason", pa.string()),
        ("value", pa.float64()),
        ("threshold", pa.float64()),
        ("duplicate_of", pa.string()),
        ("split", pa.string()),
        ("bytes", pa.int64()),
        ("words", pa.int64()),
    ]
)
"""One row per cleaned document; outcome is kept, dropped or duplicate; bytes and words are those that cuts leave."""
FUNNEL = pa.schema(
    [
        ("source", pa.string()),
        ("lang", pa.string()),
        ("outcome", pa.string()),
        ("reason", pa.string()),
        ("split", pa.string()),
        ("documents", pa.int64()),
        ("bytes", pa.int64()),
        ("words", pa.int64()),
    ]
)
"""The same, counted: one row per unit, source, language, outcome, reason and split."""

SQL = """
create table outcomes as
with
decisions as (select *, file_row_number as row from read_parquet($decisions, file_row_number = true)),
duplicates as (select row, duplicate_of from read_parquet($duplicates) where shard = $shard),
judged as (
    select decisions.* replace (
            coalesce(decisions.reason, remains.reason) as reason, coalesce(decisions.value, remains.value) as value,
            coalesce(decisions.threshold, remains.threshold) as threshold,
            coalesce(remains.bytes, decisions.bytes) as bytes, coalesce(remains.words, decisions.words) as words
        )
    from decisions left join remains using (row)
),
joined as (
    select judged.*, duplicate_of,
        if(list_contains($by_document, source), id, work) as split_key,
        case when reason is not null then 'dropped' when duplicate_of is not null then 'duplicate' else 'kept' end
            as outcome
    from judged left join duplicates using (row)
),
drawn as (
    select *, ('0x' || substr(md5($seed || ':' || split_key), 1, 8))::bigint / 4294967296.0 as draw from joined
)
select row, id, source, lang, outcome, reason, value, threshold, duplicate_of,
    case when outcome <> 'kept' then null
        else coalesce($given_splits[list_position($given, id)], $given_splits[list_position($given, source)],
            case when draw < $test then 'test' when draw < $test + $valid then 'valid' else 'train' end)
        end as split,
    bytes, words
from drawn
"""


class SplitUnit(NamedTuple):
    """One unit's arguments."""

    decisions: Path
    shard: int
    """Its number among those of all sources."""
    duplicates: list[str]
    remains: Path | None
    """What cuts have left of some of its documents."""
    settings: SplitSettings
    seed: int


def split(found: Manifest, data: Path, settings: SplitSettings, seed: int, execution: Execution) -> Manifest:
    """Give every document its outcome and split in DATA/split/<recipe>-<fingerprint8>/.

    `found` are the duplicates, exact or near ones too, or the cuts that were made after them. Shard N belongs to
    the N-th cleaned shard of the sources in order. Raises InputError when no training document is left.
    """
    decided = inputs_of(found, "decide")
    duplicates = found
    if found.stage == "cuts":
        (duplicates,) = inputs_of(found, "near") or inputs_of(found, "dedup")
    plan = Plan(
        stage="split",
        name=found.name,
        version=VERSION,
        settings=settings_dict(settings) | {"seed": seed},
        inputs=(*(d.reference for d in decided), found.reference),
    )
    shards = [path for d in decided for path in d.paths("decisions")]
    remains: list[Path | None] = [*found.paths("remains")] or [None] * len(shards)
    gone = names(duplicates.paths("duplicates"))
    units = [
        SplitUnit(path, shard, gone, left, settings, seed)
        for shard, (path, left) in enumerate(zip(shards, remains, strict=True))
    ]

    def check(counts: dict[str, int], folder: Path) -> None:
        check_splits([d.name for d in decided], settings, counts)

    return build(plan, data, split_unit, units, execution, check)


def split_unit(unit: SplitUnit, output: UnitOutput) -> None:
    """Write one shard's outcomes and their funnel."""
    settings = unit.settings
    parameters = {
        "decisions": str(unit.decisions),
        "shard": unit.shard,
        "duplicates": unit.duplicates,
        "by_document": [source for source, grain in settings.by.items() if grain == "document"],
        "given": list(settings.given),
        "given_splits": list(settings.given.values()),
        "seed": str(unit.seed),
        "test": settings.test,
        "valid": settings.valid,
    }
    with engine(output.folder) as connection:
        connection.register("remains", pq.read_table(unit.remains) if unit.remains else REMAINS.empty_table())
        connection.execute(SQL, parameters)
        output.write("outcomes", OUTCOMES, rows(connection, "from outcomes order by row", {}, OUTCOMES))
        write_funnel(connection, output)


def write_funnel(connection: duckdb.DuckDBPyConnection, output: UnitOutput) -> None:
    """Count the rows of a table `outcomes`: as rows of FUNNEL, and by split or outcome for the manifest."""
    funnel = """
        select source, lang, outcome, reason, split, count(*) as documents, sum(bytes) as bytes, sum(words) as words
        from outcomes group by all order by all
    """
    output.write("funnel", FUNNEL, rows(connection, funnel, {}, FUNNEL))
    totals = "select source, coalesce(split, outcome), count(*), sum(bytes) from outcomes group by all order by all"
    for source, outcome, documents, size in connection.execute(totals).fetchall():
        output.count(f"{outcome}.{source}", documents)
        output.count(f"bytes.{outcome}", int(size))


def check_splits(sources: Sequence[str], settings: SplitSettings, counts: dict[str, int]) -> None:
    """Refuse a recipe without training documents; say which sources have none held out."""
    if not any(key.startswith("train.") for key in counts):
        raise InputError(f"no training document is left: {counts}. Loosen the profile or add sources.")
    for source in sources:
        if settings.test and f"test.{source}" not in counts:
            log.warning(
                "source %s has no test document: no perplexity for it. Raise split.test, or split.by = document", source
            )
