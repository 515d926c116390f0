"""What stands already: survivors of other recipes, of which a recipe's new documents may be duplicates too.

`dedup.against` names recipes; the newest duplicates of each in DATA say which of its documents survived. Those
stay, whatever comes: a new document is compared with them, never they with each other, and of the old texts
only those are read again that a new one may be a copy of.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import duckdb

from lmpipe.curate.committed import committed
from lmpipe.curate.engine import names
from lmpipe.dataset import Manifest, inputs_of
from lmpipe.errors import InputError
from lmpipe.recipe import nearest
from lmpipe.settings import DedupSettings


class Corpus(NamedTuple):
    """The documents that take part: a recipe's own, then those that stand; shards are counted over all of them."""

    own: int
    """The recipe's own shards; those from here on stand."""
    owners: list[str]
    """The recipe of each standing shard."""
    documents: list[Path]
    """Cleaned shards."""
    decisions: list[str]
    removed: list[str]
    """Files of duplicates: documents that take no part."""
    offsets: list[int]
    """Per file of `removed`, the number of its recipe's first shard."""


def standing(recipe: str, data: Path, settings: DedupSettings) -> list[Manifest]:
    """Open the newest duplicates, near ones if they were looked for, of each recipe in `dedup.against`.

    Raises InputError when one has none, or is the recipe itself.
    """
    if recipe in settings.against:
        raise InputError(
            f"dedup.against names '{recipe}', the recipe itself, whose documents are compared anyway. Take it out."
        )
    stages = [*committed(data, "dedup"), *committed(data, "near")]
    newest = {manifest.name: manifest for manifest in stages}
    for name in settings.against:
        if name not in newest:
            raise InputError(
                f"dedup.against: {data} holds no duplicates of a recipe '{name}'{nearest(name, newest)}. Run that"
                " recipe first, or take it out."
            )
    return [newest[name] for name in settings.against]


def standing_of(exact: Manifest) -> list[Manifest]:
    """Open what a dataset of exact duplicates was compared with."""
    return [*inputs_of(exact, "dedup"), *inputs_of(exact, "near")]


def gather_corpus(decided: Sequence[Manifest], stands: Sequence[Manifest], exact: Sequence[Path] = ()) -> Corpus:
    """Number the shards of a recipe and of what stands; `exact` are the recipe's own duplicates, if known."""
    decisions = [path for manifest in decided for path in manifest.paths("decisions")]
    own, owners, all_decided = len(decisions), [], list(decided)
    removed, offsets = list(exact), [0] * len(exact)
    for stand in stands:
        theirs = inputs_of(stand, "decide")
        removed += stand.paths("duplicates")
        offsets += [len(decisions)] * len(stand.paths("duplicates"))
        decisions += (paths := [path for manifest in theirs for path in manifest.paths("decisions")])
        owners += [stand.name] * len(paths)
        all_decided += theirs
    cleaned = [c for manifest in all_decided for c in inputs_of(manifest, "clean")]
    documents = [path for manifest in cleaned for path in manifest.paths("documents")]
    return Corpus(own, owners, documents, names(decisions), names(removed), offsets)


def create_removed(connection: duckdb.DuckDBPyConnection, corpus: Corpus) -> None:
    """Make the table `removed` of (shard, row) that take no part."""
    connection.execute("create table removed (shard bigint, row bigint)")
    if corpus.removed:
        sql = "insert into removed select shard + $offsets[file_index::int + 1], row from read_parquet($removed)"
        connection.execute(sql, {"offsets": corpus.offsets, "removed": corpus.removed})
