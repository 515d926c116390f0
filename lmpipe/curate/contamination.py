"""Ask a decontaminated dataset what its training documents share with which evaluation set."""

import tempfile
from pathlib import Path
from typing import Any

from lmpipe.curate.engine import engine, names
from lmpipe.dataset import Manifest
from lmpipe.errors import InputError
from lmpipe.recipe import nearest

BY_SET = """
select "set", source, count(distinct id) as documents, count(distinct id) filter (contaminated) as contaminated,
    count(distinct record) as records, count(*) as spans, max(share) as largest_share
from read_parquet($hits) group by all order by all
"""
SAMPLED = """
select * from read_parquet($hits)
where ($set is null or "set" = $set) and ($source is null or source = $source)
order by md5(id || record || start) limit $sample
"""


def by_set(manifest: Manifest) -> list[dict[str, Any]]:
    """Count what is shared, one row per set and source."""
    return asked(manifest, BY_SET, {})


def sampled(manifest: Manifest, sample: int, set: str | None, source: str | None) -> list[dict[str, Any]]:
    """Draw spans by hash: the same ones each time.

    Raises InputError when the set or source shares nothing.
    """
    found = asked(manifest, SAMPLED, {"sample": sample, "set": set, "source": source})
    if sample and not found and (set is not None or source is not None):
        known = sorted({(row["set"] if set is not None else row["source"]) for row in by_set(manifest)})
        raise InputError(
            f"{manifest.folder}: no shared span of {set or 'any set'} in {source or 'any source'}"
            f"{nearest(set or source, known)}. `lmpipe contamination {manifest.folder}` lists all."
        )
    return found


def asked(manifest: Manifest, sql: str, parameters: dict[str, Any]) -> list[dict[str, Any]]:
    """Run a query over the hits of a decontaminated dataset."""
    if manifest.stage != "decontaminate":
        raise InputError(f"{manifest.folder}: expected a decontaminated dataset, found {manifest.stage}. Name another.")
    with engine(Path(tempfile.gettempdir())) as connection:
        relation = connection.execute(sql, {"hits": names(manifest.paths("hits")), **parameters})
        keys = [column[0] for column in relation.description or ()]
        return [dict(zip(keys, values, strict=True)) for values in relation.fetchall()]
