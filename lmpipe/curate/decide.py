"""The decide stage: lay a profile's thresholds over the signals; a join, not a loop over texts.

Every document gets a row: reason is null where it is kept, else names the first signal (in the
order of the schema) that lies outside its bounds, with its value and the threshold it missed. A signal
that is null (not measured for this language) is inside any bounds. A tag such as pt-BR takes the rules of pt where
it has none of its own. Documents that were taken down
(forget.py) are dropped as "forgotten" whatever they measure. The rows carry what deduplication and
splitting need, so that those read nothing else.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import duckdb
import pyarrow as pa

from lmpipe.curate.engine import engine, rows
from lmpipe.curate.forget import FORGOTTEN, forgotten_ids
from lmpipe.curate.guard import check_guard
from lmpipe.curate.profiles import MEASURED, Profile, load_profile, resolved, thresholds
from lmpipe.dataset import Execution, Manifest, Plan, UnitOutput, build, unit_keys
from lmpipe.settings import ProfileSettings
from lmpipe.storage import digest

VERSION = 2
DECISIONS = pa.schema(
    [
        ("id", pa.string()),
        ("source", pa.string()),
        ("lang", pa.string()),
        ("created", pa.timestamp("s", tz="UTC")),
        ("work", pa.string()),
        ("text_sha256", pa.binary(32)),
        ("bytes", pa.int64()),
        ("words", pa.int64()),
        ("reason", pa.string()),
        ("value", pa.float64()),
        ("threshold", pa.float64()),
    ]
)
"""One row per cleaned document, in the order of its shard."""

SQL = """
with
measured as (select *, file_row_number as row from read_parquet($signals, file_row_number = true)),
long as (
    unpivot (select row, lang, {columns} from measured) on {names} into name signal value value
),
languages as (select distinct lang from thresholds),
ruled as (
    select *, case when lang in (from languages) then lang
        when split_part(lang, '-', 1) in (from languages) then split_part(lang, '-', 1) else 'any' end as rules_of
    from long
),
violations as (
    select row, position, value, ruled.signal || if(value < "min", '.min', '.max') as reason,
        if(value < "min", "min", "max") as threshold
    from ruled join thresholds on thresholds.lang = rules_of and thresholds.signal = ruled.signal
    where value < "min" or value > "max"
),
first_violation as (
    select row, min_by(reason, position) as reason, min_by(value, position) as value,
        min_by(threshold, position) as threshold
    from violations group by row
)
select measured.id, source, lang, created, work, text_sha256, bytes, words,
    if(forgotten.id is null, reason, $forgotten) as reason, if(forgotten.id is null, value, null) as value,
    if(forgotten.id is null, threshold, null) as threshold
from measured left join first_violation using (row) left join forgotten on forgotten.id = measured.id
order by row
"""


class DecideUnit(NamedTuple):
    """One unit's arguments."""

    signals: Path
    profile: Profile
    forgotten: Sequence[str]
    """Ids of this source that were taken down."""


def decide(
    cleaned: Manifest, data: Path, settings: ProfileSettings, execution: Execution, base: Path = Path()
) -> Manifest:
    """Decide every document of one source into DATA/decide/<source>-<fingerprint8>/.

    `base` is the recipe's folder, from which a profile of one's own is named. What was taken down is read
    from DATA/forgotten.jsonl. Raises GuardError when the profile drops more than its guard share of the
    source or of one of its languages.
    """
    profile, forgotten = load_profile(settings, base), forgotten_ids(data, cleaned.name)
    body = {"profile": settings.name, "rules": resolved(profile)}
    if forgotten:  # the fingerprint of a source changes only where something of it was taken down
        body["forgotten"] = {"documents": len(forgotten), "sha256": digest(forgotten)}
    plan = Plan(stage="decide", name=cleaned.name, version=VERSION, settings=body, inputs=(cleaned.reference,))
    units = [DecideUnit(signals, profile, forgotten) for signals in cleaned.paths("signals")]

    def check(counts: dict[str, int], folder: Path) -> None:
        check_guard(cleaned.name, settings, folder)

    keys = unit_keys([cleaned], [(unit.signals,) for unit in units])
    return build(plan, data, decide_unit, units, execution, check, keys)


def decide_unit(unit: DecideUnit, output: UnitOutput) -> None:
    """Decide the documents of one shard and count them by reason."""
    with engine(output.folder) as connection, output.writing("decisions", DECISIONS) as append:
        for batch in decisions(connection, unit):
            append(batch)
            output.count("in", batch.num_rows)
            for entry in batch.column("reason").value_counts().to_pylist():
                key = "kept" if entry["values"] is None else f"dropped.{entry['values']}"
                output.count(key, entry["counts"])


def decisions(connection: duckdb.DuckDBPyConnection, unit: DecideUnit) -> Iterator[pa.RecordBatch]:
    """Stream one shard's rows of DECISIONS, in order; reads only the signals that have thresholds."""
    ruled = sorted({signal for rules in unit.profile.values() for signal in rules} or {"words"}, key=MEASURED.index)
    connection.register("thresholds", thresholds(unit.profile))
    connection.register("forgotten", pa.table({"id": pa.array(unit.forgotten, pa.string())}))
    sql = SQL.format(columns=", ".join(f"{name}::double as {name}" for name in ruled), names=", ".join(ruled))
    return rows(connection, sql, {"signals": str(unit.signals), "forgotten": FORGOTTEN}, DECISIONS)
