"""What would another profile change? Two decisions of the same signals, compared, and nothing written.

`what_if` lays the recipe's profile and a changed one over cleaned datasets, and tells for every source and
language what would be newly dropped and newly kept, by which rule, with samples of the texts. `dropped`
shows what one profile drops. Samples are drawn by the hash of the id, so the same call shows the same.
"""

import contextlib
import dataclasses
import tempfile
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from lmpipe.curate.decide import DECISIONS, DecideUnit, decisions
from lmpipe.curate.engine import engine
from lmpipe.curate.forget import forgotten_ids
from lmpipe.curate.guard import guard_message
from lmpipe.curate.profiles import Profile, check_rule, load_profile, rules_for
from lmpipe.dataset import Manifest, inputs_of
from lmpipe.errors import RecipeError
from lmpipe.recipe import nearest
from lmpipe.settings import Bounds, ProfileSettings

Rows = list[dict[str, Any]]

BOTH = """
insert into both_decisions
select $dataset as dataset, $shard as shard, before.row, before.id, before.source, before.lang,
    before.reason as reason_before, before.value as value_before, before.threshold as threshold_before,
    after.reason as reason_after, after.value as value_after, after.threshold as threshold_after
from before join after on before.row = after.row
"""
TABLE = """
create table both_decisions (
    dataset int, shard int, row bigint, id text, source text, lang text,
    reason_before text, value_before double, threshold_before double,
    reason_after text, value_after double, threshold_after double
)
"""
FIGURES = """
select source, lang, count(*) as documents,
    count(*) filter (reason_before is null) as kept_before, count(*) filter (reason_after is null) as kept_after,
    count(*) filter (reason_before is null and reason_after is not null) as newly_dropped,
    count(*) filter (reason_before is not null and reason_after is null) as newly_kept
from both_decisions group by all order by source, lang
"""
REASONS = """
select source, lang, if(reason_after is null, 'newly kept', 'newly dropped') as change,
    coalesce(reason_after, reason_before) as reason, count(*) as documents
from both_decisions where (reason_before is null) <> (reason_after is null)
group by all order by source, lang, change, documents desc, reason
"""
SAMPLES = """
select dataset, shard, row, id, source, lang, if(reason_after is null, 'newly kept', 'newly dropped') as change,
    coalesce(reason_after, reason_before) as reason, if(reason_after is null, value_before, value_after) as value,
    if(reason_after is null, threshold_before, threshold_after) as threshold
from both_decisions where (reason_before is null) <> (reason_after is null)
qualify row_number() over (partition by change order by md5(id), dataset, shard, row) <= $sample
order by change, md5(id), dataset, shard, row
"""
DROPPED = """
select dataset, shard, row, id, source, lang, reason_after as reason, value_after as value,
    threshold_after as threshold
from both_decisions
where reason_after is not null
    and ($reason::text is null or reason_after = $reason or starts_with(reason_after, $reason || '.'))
    and ($source::text is null or source = $source)
    and ($lang::text is null or lang = $lang)
order by md5(id), dataset, shard, row limit $sample
"""
GUARDED = """
select source, lang, reason_after as reason, count(*) as documents from both_decisions
where reason_after is distinct from 'forgotten'
group by all order by source, lang, documents desc, reason
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What a changed profile would do."""

    figures: Rows
    """By source and language: documents, kept before and after, newly dropped, newly kept."""
    reasons: Rows
    """The changes by source, language and the rule that made them."""
    samples: Rows
    """Changed documents with title and text."""
    stops: list[str]
    """What the guard would say, source by source."""


def changed(settings: ProfileSettings, assignments: Sequence[str], base: Path) -> tuple[ProfileSettings, Profile]:
    """Apply `profile.name=X` and `profile.rules.LANG.SIGNAL.min=X` to a recipe's profile, in this order.

    A bound that is not named stays as it is in the profile; `none` lifts one. Raises RecipeError.
    """
    pairs = [assignment.partition("=") for assignment in assignments]
    for key, sign, value in pairs:
        if not sign:
            raise RecipeError(f"--what-if {key}: expected KEY=VALUE, such as profile.rules.en.words.min=50.")
        if key == "profile.name":
            settings = dataclasses.replace(settings, name=value)
        elif key == "profile.guard":
            settings = dataclasses.replace(settings, guard=number(key, value) or 0.0)
    profile = load_profile(settings, base)
    for key, _, value in pairs:
        if key not in ("profile.name", "profile.guard"):
            change_rule(profile, key, value)
    return settings, profile


def change_rule(profile: Profile, key: str, value: str) -> None:
    """Set one bound of a profile; a language without a table gets one like that of any."""
    parts = key.split(".")
    if len(parts) != 5 or parts[:2] != ["profile", "rules"] or parts[4] not in ("min", "max"):
        known = ["profile.name", "profile.guard", "profile.rules.LANG.SIGNAL.min", "profile.rules.LANG.SIGNAL.max"]
        raise RecipeError(f"--what-if: '{key}' cannot be changed{nearest(key, known)}.")
    _, _, language, signal, side = parts
    rules = rules_for(profile, language)
    bounds = dataclasses.replace(rules.get(signal, Bounds()), **{side: number(key, value)})
    check_rule(f"profile.rules.{language}", signal, bounds)
    profile[language] = rules | {signal: bounds}


def number(key: str, value: str) -> float | None:
    """Read a bound."""
    if value == "none":
        return None
    try:
        parsed = tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        parsed = None
    if isinstance(parsed, bool) or not isinstance(parsed, int | float):
        raise RecipeError(f"--what-if {key}: expected a number or none, found '{value}'.")
    return float(parsed)


def what_if(
    cleaned: Sequence[Manifest],
    settings: ProfileSettings,
    assignments: Sequence[str],
    data: Path,
    base: Path,
    sample: int,
) -> Changes:
    """Compare a recipe's profile with itself under some assignments (see `changed`) on cleaned datasets.

    `sample` is how many texts to show of what is newly dropped, and of what is newly kept.
    """
    then, after = changed(settings, assignments, base)
    with compared(cleaned, load_profile(settings, base), after, data) as connection:
        guarded = query(connection, GUARDED)
        stops = [
            guard_message(name, then, [row for row in guarded if row["source"] == name])
            for name in dict.fromkeys(row["source"] for row in guarded)
        ]
        return Changes(
            figures=query(connection, FIGURES),
            reasons=query(connection, REASONS),
            samples=with_texts(cleaned, query(connection, SAMPLES, sample=sample)),
            stops=[stop for stop in stops if stop is not None],
        )


def dropped(cleaned: Sequence[Manifest], profile: Profile, data: Path, sample: int, **where: str | None) -> Rows:
    """Show documents of cleaned datasets that a profile drops; `where` may name reason, source and lang."""
    with compared(cleaned, profile, profile, data) as connection:
        return with_texts(cleaned, query(connection, DROPPED, sample=sample, **(ANYTHING | where)))


def dropped_in(decided: Manifest, sample: int, **where: str | None) -> Rows:
    """Show documents that a committed decide dataset has dropped."""
    with comparing() as connection:
        for shard, path in enumerate(decided.paths("decisions")):
            kept = pq.read_table(path)
            insert(connection, 0, shard, kept, kept)
        return with_texts(inputs_of(decided, "clean"), query(connection, DROPPED, sample=sample, **(ANYTHING | where)))


ANYTHING: dict[str, str | None] = {"reason": None, "source": None, "lang": None}
"""What `dropped` shows unless told otherwise."""


@contextlib.contextmanager
def comparing() -> Iterator[duckdb.DuckDBPyConnection]:
    """Open an engine with an empty table of pairs of decisions; it spills outside of DATA."""
    with engine(Path(tempfile.gettempdir())) as connection:
        connection.execute(TABLE)
        yield connection


@contextlib.contextmanager
def compared(
    cleaned: Sequence[Manifest], before: Profile, after: Profile, data: Path
) -> Iterator[duckdb.DuckDBPyConnection]:
    """Decide every document twice and give the table of pairs."""
    with comparing() as connection:
        for dataset, manifest in enumerate(cleaned):
            forgotten = forgotten_ids(data, manifest.name)
            for shard, signals in enumerate(manifest.paths("signals")):
                first = decided_table(connection, DecideUnit(signals, before, forgotten))
                second = first if after == before else decided_table(connection, DecideUnit(signals, after, forgotten))
                insert(connection, dataset, shard, first, second)
        yield connection


def decided_table(connection: duckdb.DuckDBPyConnection, unit: DecideUnit) -> pa.Table:
    """Decide one shard in memory."""
    return pa.Table.from_batches(decisions(connection, unit), schema=DECISIONS)


def insert(connection: duckdb.DuckDBPyConnection, dataset: int, shard: int, before: pa.Table, after: pa.Table) -> None:
    """Add one shard's pairs; both tables stand in the order of the shard."""
    rows = pa.array(range(before.num_rows), pa.int64())
    connection.register("before", before.append_column("row", rows))
    connection.register("after", after.append_column("row", rows))
    connection.execute(BOTH, {"dataset": dataset, "shard": shard})


def query(connection: duckdb.DuckDBPyConnection, sql: str, **parameters: Any) -> Rows:
    """Run a query; rows as dicts."""
    relation = connection.execute(sql, parameters)
    names = [column[0] for column in relation.description or ()]
    return [dict(zip(names, row, strict=True)) for row in relation.fetchall()]


def with_texts(cleaned: Sequence[Manifest], rows: Rows) -> Rows:
    """Put title and text beside the chosen rows, in place of where they lie."""
    found = []
    for row in rows:
        place = {key: row.pop(key) for key in ("dataset", "shard", "row")}
        path = cleaned[place["dataset"]].paths("documents")[place["shard"]]
        found.append(row | read_row(path, place["row"]))
    return found


def read_row(path: Path, row: int) -> dict[str, Any]:
    """Read one document's title and text, from its row group alone."""
    with pq.ParquetFile(path) as file:
        for group in range(file.metadata.num_row_groups):
            length = file.metadata.row_group(group).num_rows
            if row < length:
                found: list[dict[str, Any]] = (
                    file.read_row_group(group, columns=["title", "text"]).slice(row, 1).to_pylist()
                )
                return found[0]
            row -= length
    raise AssertionError(f"{path}: no row {row} behind its end")
