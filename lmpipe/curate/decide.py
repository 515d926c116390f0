"""The decide stage: lay a profile's thresholds over the signals; a join, not a loop over texts.

Every document gets a row: reason is null where it is kept, else names the first signal (in the
order of the schema) that lies outside its bounds, with its value and the threshold it missed. The
rows carry what deduplication and splitting need, so that those read nothing else.
"""

import dataclasses
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from lmpipe.curate.engine import engine, rows
from lmpipe.curate.profiles import MEASURED, load_profile, thresholds
from lmpipe.dataset import Execution, Manifest, Plan, UnitOutput, build
from lmpipe.errors import GuardError
from lmpipe.settings import Bounds, ProfileSettings

VERSION = 1
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

SQL = f"""
with
measured as (select *, file_row_number as row from read_parquet($signals, file_row_number = true)),
long as (
    unpivot (select row, lang, {", ".join(f"{name}::double as {name}" for name in MEASURED)} from measured)
    on {", ".join(MEASURED)} into name signal value value
),
ruled as (
    select *, case when lang in (select lang from thresholds) then lang else 'any' end as rules_of from long
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
select id, source, lang, created, work, text_sha256, bytes, words, reason, value, threshold
from measured left join first_violation using (row) order by row
"""


class DecideUnit(NamedTuple):
    """One unit's arguments."""

    signals: Path
    profile: dict[str, dict[str, Bounds]]


def decide(cleaned: Manifest, data: Path, settings: ProfileSettings, execution: Execution) -> Manifest:
    """Decide every document of one source into DATA/decide/<source>-<fingerprint8>/.

    Raises GuardError when the profile drops more than its guard share.
    """
    profile = load_profile(settings)
    resolved = {language: {s: dataclasses.asdict(b) for s, b in rules.items()} for language, rules in profile.items()}
    plan = Plan(
        stage="decide",
        name=cleaned.name,
        version=VERSION,
        settings={"profile": settings.name, "rules": resolved},
        inputs=(cleaned.reference,),
    )
    units = [DecideUnit(signals, profile) for signals in cleaned.paths("signals")]

    def check(counts: dict[str, int], folder: Path) -> None:
        check_guard(cleaned.name, settings, counts)

    return build(plan, data, decide_unit, units, execution, check)


def decide_unit(unit: DecideUnit, output: UnitOutput) -> None:
    """Decide the documents of one shard and count them by reason."""
    with engine(output.folder) as connection, output.writing("decisions", DECISIONS) as append:
        connection.register("thresholds", thresholds(unit.profile))
        for batch in rows(connection, SQL, {"signals": str(unit.signals)}, DECISIONS):
            append(batch)
            output.count("in", batch.num_rows)
            for entry in batch.column("reason").value_counts().to_pylist():
                key = "kept" if entry["values"] is None else f"dropped.{entry['values']}"
                output.count(key, entry["counts"])


def check_guard(name: str, settings: ProfileSettings, counts: dict[str, int]) -> None:
    """Stop a run whose profile drops more of a source than its guard allows."""
    total = counts.get("in", 0)
    dropped = {key: number for key, number in counts.items() if key.startswith("dropped.")}
    if sum(dropped.values()) > settings.guard * total:
        worst = sorted(dropped.items(), key=lambda item: -item[1])[:3]
        raise GuardError(
            f"source {name}: profile '{settings.name}' drops {sum(dropped.values())} of {total} documents, more than"
            f" profile.guard = {settings.guard:g}; mostly {dict(worst)}. Loosen these thresholds in [profile.rules],"
            " or raise the guard."
        )
