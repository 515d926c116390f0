"""Sum evaluations by slice, once as they are and a thousand times over resampled documents.

The Poisson bootstrap (Chamandy et al. 2012): in each resample a document counts as often as a Poisson variable of
mean 1 says. Here that number depends on the document's id and the resample alone, so the same documents are drawn
for every evaluation: intervals are the same at every recording, and two evaluations can be compared pairwise.
Documents are drawn, not tokens: tokens of one document are not independent (a naive interval is 4 times too narrow).
"""

from collections.abc import Iterator, Sequence
from functools import cache
from math import exp, factorial
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

RESAMPLES = 1000
"""The ends of a 95 % interval then vary by some 4 % of its half width, were other resamples drawn."""

BLOCK = 64
"""Documents weighted at once: what is computed stays in the cache, and BLAS starts no threads for so few (2,048 take
six times as long)."""

LANES = 4
"""Weights taken from one hash of 64 bits."""

GOLDEN = 0x9E3779B97F4A7C15
"""The step of splitmix64 (Steele et al. 2014), whose output is hashed into weights."""

DECIMALS = 6
"""Of resampled nats: below this, sums of floats differ between machines."""

SUMMED = ("tokens", "words", "bytes", "nats")
"""Columns that are resampled, in the order of the sums."""

KEYS = ("evaluation", "run", "checkpoint", "set", "protocol")
"""What names one evaluation."""

SLICES: dict[str, tuple[str, ...]] = {
    "all": (),
    "source": ("source", "lang"),
    "lang": ("lang",),
    "domain": ("source", "lang", "domain"),
}
"""Kinds of slices, and the columns that tell those of a kind apart."""

NEW = "select evaluation, run, checkpoint, set, protocol from evaluations anti join slice_sums using "
DOCUMENTS = """
select
    source, lang, domain, nats, tokens, words, bytes, oov, correct,
    md5_number_lower(document) as key, md5_number_lower(document || ' ' || bytes) as identity
from evaluation_documents
where evaluation = $evaluation and run = $run and checkpoint = $checkpoint and set = $set and protocol = $protocol
order by source, lang, domain, document
"""

Numbers = NDArray[Any]
Cell = dict[str, Any]
"""The sums of the documents of one source, language and domain."""


def add_slices(con: duckdb.DuckDBPyConnection) -> None:
    """Sum every evaluation that has no slices yet: the newest, and those of a database from before there were any."""
    for key in con.sql(NEW + f"({', '.join(KEYS)})").fetchall():
        same = dict(zip(KEYS, key, strict=True))
        rows = [same | row for row in slice_rows(con.sql(DOCUMENTS, params=same).to_arrow_table())]
        con.register("incoming", pa.Table.from_pylist(rows))
        con.execute("insert into slice_sums by name from incoming")
        con.unregister("incoming")


def slice_rows(documents: pa.Table) -> list[dict[str, Any]]:
    """Lay out the sums of every slice of documents that are sorted by source, language and domain."""
    cells = [cell(part) for part in parts(documents)]
    return [row for slice in SLICES for row in rolled_up(slice, cells)]


def parts(documents: pa.Table) -> Iterator[pa.Table]:
    """Cut sorted documents where source, language or domain changes."""
    names = list(zip(*(documents[name].to_pylist() for name in ("source", "lang", "domain")), strict=True))
    first = 0
    for row in range(1, len(names) + 1):
        if row == len(names) or names[row] != names[first]:
            yield documents.slice(first, row - first)
            first = row


def cell(documents: pa.Table) -> Cell:
    """Sum the documents of one source, language and domain."""
    columns = np.stack([documents[name].to_numpy().astype(np.float64) for name in SUMMED])
    names = {name: documents[name][0].as_py() for name in ("source", "lang", "domain")}
    return names | {
        "documents": documents.num_rows,
        "oov": int(documents["oov"].to_numpy().sum()),
        "correct": pc.sum(documents["correct"]).as_py() or 0,
        "answers": documents.num_rows - documents["correct"].null_count,
        "sums": columns.sum(axis=1),
        "identity": np.bitwise_xor.reduce(documents["identity"].to_numpy()),
        "resampled": resampled(documents["key"].to_numpy(), columns),
    }


def rolled_up(slice: str, cells: Sequence[Cell]) -> Iterator[dict[str, Any]]:
    """Add up the cells that belong to each slice of one kind."""
    groups: dict[tuple[Any, ...], list[Cell]] = {}
    for one in cells:
        if belongs(slice, one):
            groups.setdefault(tuple(one[column] for column in SLICES[slice]), []).append(one)
    for names, group in groups.items():
        row = {"slice": slice, "source": "all", "lang": "all", "domain": "all"}
        row |= dict(zip(SLICES[slice], names, strict=True))
        if slice == "domain":
            row["source"] = f"{row['source']}/{row['domain']}"
        yield row | added(group)


def belongs(slice: str, one: Cell) -> bool:
    """Say whether documents are in slices of a kind; those without language, or domain of their own, are not in all."""
    if slice == "domain":
        return one["domain"] not in (None, one["source"])
    return slice != "lang" or one["lang"] is not None


def added(cells: Sequence[Cell]) -> dict[str, Any]:
    """Lay out the sums of several cells."""
    tokens, words, size, nats = np.sum([one["sums"] for one in cells], axis=0)
    resamples = np.sum([one["resampled"] for one in cells], axis=0)
    whole = {f"resampled_{name}": resamples[i].astype(np.int64) for i, name in enumerate(SUMMED[:3])}
    return {
        "documents": sum(one["documents"] for one in cells),
        **{name: sum(one[name] for one in cells) for name in ("oov", "correct", "answers")},
        "tokens": int(tokens),
        "words": int(words),
        "bytes": int(size),
        "nats": float(nats),
        "document_set": f"{np.bitwise_xor.reduce([one['identity'] for one in cells]):016x}",
        **whole,
        "resampled_nats": resamples[3].round(DECIMALS),
    }


def resampled(keys: Numbers, columns: Numbers) -> Numbers:
    """Sum each column over every resample; `keys` are 64 bits of each document's id. Shape: columns, resamples."""
    sums = np.zeros((len(columns), RESAMPLES))
    for first in range(0, len(keys), BLOCK):
        sums += columns[:, first : first + BLOCK] @ weights(keys[first : first + BLOCK]).astype(np.float64)
    return sums


def weights(keys: Numbers) -> Numbers:
    """Draw how often each document is in each resample."""
    steps = np.arange(1, RESAMPLES // LANES + 1, dtype=np.uint64) * np.uint64(GOLDEN)
    bits = mixed(keys.astype(np.uint64)[:, None] + steps[None, :]).astype("<u8")
    drawn: Numbers = poisson_table()[bits.view("<u2")]
    return drawn


def mixed(x: Numbers) -> Numbers:
    """Hash 64 bits into 64 (the finaliser of splitmix64)."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    hashed: Numbers = x ^ (x >> np.uint64(31))
    return hashed


@cache
def poisson_table() -> Numbers:
    """Give the Poisson variable of mean 1 for each of 65,536 equally likely numbers."""
    cumulated = np.cumsum([exp(-1) / factorial(k) for k in range(16)])
    variable: Numbers = np.searchsorted(cumulated, (np.arange(1 << 16) + 0.5) / (1 << 16)).astype(np.float32)
    return variable
