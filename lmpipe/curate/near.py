"""Near duplicates: MinHash proposes, true Jaccard similarity decides, and no cluster drifts.

Three committed datasets, so that each can be reused and a kill costs little:

signatures   per source: the band hashes of every kept document
candidates   per band: pairs of documents in one bucket, over all sources
near         the verified duplicates, beside the exact ones of dedup.py

A bucket's documents are compared with its first LEADERS in the total order only (longest, newest, smallest
id), so that boilerplate in a million documents costs a million comparisons, not its square. A document is a
duplicate only of a survivor that it was itself compared with: A ~ B and B ~ C never make A and C copies.
"""

import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from lmpipe.curate.dedup import DUPLICATES, check_guard
from lmpipe.curate.engine import engine, names, rows
from lmpipe.curate.minhash import Hashes, Signer, WordHashes, jaccard, shingles
from lmpipe.dataset import Execution, Manifest, Plan, UnitOutput, build, inputs_of, read_batches, settings_dict
from lmpipe.settings import DedupSettings
from lmpipe.text.segment import words

VERSION = 1
LEADERS = 64
"""Documents of a bucket that all its others are compared with."""
SIGNATURES = pa.schema(
    [
        ("row", pa.int64()),
        ("id", pa.string()),
        ("source", pa.string()),
        ("created", pa.timestamp("s", tz="UTC")),
        ("bytes", pa.int64()),
        ("shingles", pa.int64()),
        ("bands", pa.list_(pa.uint64())),
    ]
)
"""One row per kept document with words; row counts within its cleaned shard."""
CANDIDATES = pa.schema([(name, pa.int64()) for name in ("shard_a", "row_a", "shard_b", "row_b")])
"""One row per pair in a bucket, the earlier of the total order first; shards count over all sources."""

PAIRS = """
with
signed as (
    select list_position($signatures, filename) - 1 as shard, row, id, bytes, created, bands[$band] as key
    from read_parquet($signatures, filename = true)
),
single as (from signed anti join (select shard, row from read_parquet($duplicates)) using (shard, row)),
placed as (
    select shard, row, key, row_number() over bucket as place, count(*) over (partition by key) as documents
    from single
    window bucket as (partition by key order by bytes desc, created desc nulls last, id)
),
crowded as (from placed where documents > 1)
select a.shard as shard_a, a.row as row_a, b.shard as shard_b, b.row as row_b
from crowded as a inner join crowded as b on a.key = b.key and a.place < b.place
where a.place <= $leaders
order by all
"""
COMPARED = """
with
pairs as (select distinct * from read_parquet($candidates)),
ends as (select shard_a as shard, row_a as row from pairs union select shard_b, row_b from pairs),
signed as (
    select list_position($signatures, filename) - 1 as shard, row, id, source, bytes, created
    from read_parquet($signatures, filename = true)
)
select shard, row, id, source, row_number() over (order by bytes desc, created desc nulls last, id) - 1 as place
from ends inner join signed using (shard, row)
order by shard, row
"""
PLACED_PAIRS = """
select a.place as first, b.place as second
from (select distinct * from read_parquet($candidates)) as pairs
inner join documents as a on a.shard = pairs.shard_a and a.row = pairs.row_a
inner join documents as b on b.shard = pairs.shard_b and b.row = pairs.row_b
order by all
"""


class SignUnit(NamedTuple):
    """One unit's arguments."""

    documents: Path
    decisions: Path
    settings: DedupSettings


class PairUnit(NamedTuple):
    """One unit's arguments."""

    signatures: list[str]
    duplicates: list[str]
    band: int
    leaders: int


class NearUnit(NamedTuple):
    """One unit's arguments."""

    documents: list[Path]
    signatures: list[str]
    candidates: list[str]
    exact: list[Path]
    settings: DedupSettings


class Document(NamedTuple):
    """A document that is compared."""

    shard: int
    row: int
    id: str
    source: str


def sign(decided: Manifest, data: Path, settings: DedupSettings, execution: Execution) -> Manifest:
    """Sign the kept documents of one source into DATA/signatures/<source>-<fingerprint8>/."""
    (cleaned,) = inputs_of(decided, "clean")
    plan = Plan(
        stage="signatures",
        name=decided.name,
        version=VERSION,
        settings={key: getattr(settings, key) for key in ("shingle", "shingle_chinese", "bands", "rows")},
        inputs=(decided.reference,),
    )
    pairs = zip(cleaned.paths("documents"), decided.paths("decisions"), strict=True)
    return build(plan, data, sign_unit, [SignUnit(*pair, settings) for pair in pairs], execution)


def sign_unit(unit: SignUnit, output: UnitOutput) -> None:
    """Sign one shard."""
    signer = Signer(unit.settings)
    decisions = (row for batch in read_batches(unit.decisions) for row in batch.to_pylist())
    with output.writing("signatures", SIGNATURES) as append:
        start = 0
        for batch in read_batches(unit.documents, ["text"]):
            hashes = WordHashes()
            signed = []
            for place, text in enumerate(batch.column("text").to_pylist(), start):
                decision = next(decisions)
                if decision["reason"] is None:
                    hashed = text_shingles(text, decision["lang"], unit.settings, hashes)
                    if len(hashed):
                        signed.append(signature_row(decision, place, hashed, signer))
            start += batch.num_rows
            output.count("in", batch.num_rows)
            output.count("signed", len(signed))
            append(pa.RecordBatch.from_pylist(signed, schema=SIGNATURES))


def text_shingles(text: str, language: str, settings: DedupSettings, hashes: WordHashes) -> Hashes:
    """Cut a text into the shingles of its language."""
    size = settings.shingle_chinese if language == "zh" else settings.shingle
    return shingles(words(text, language), size, hashes)


def signature_row(decision: dict[str, Any], place: int, hashed: Hashes, signer: Signer) -> dict[str, Any]:
    """Lay out one row of SIGNATURES."""
    kept = {key: decision[key] for key in ("id", "source", "created", "bytes")}
    return {**kept, "row": place, "shingles": len(hashed), "bands": signer.bands(hashed)}


def near(
    exact: Manifest,
    signed: Sequence[Manifest],
    proposed: Manifest,
    data: Path,
    settings: DedupSettings,
    execution: Execution,
) -> Manifest:
    """Add near duplicates to the exact ones in DATA/near/<recipe>-<fingerprint8>/, role "duplicates".

    `signed` holds the signatures of all sources in the recipe's order, `proposed` their candidates.
    Raises GuardError when a source would lose more than its guard share.
    """
    decided = inputs_of(exact, "decide")
    cleaned = [c for d in decided for c in inputs_of(d, "clean")]
    inputs = (*(d.reference for d in decided), exact.reference, proposed.reference)
    plan = Plan(stage="near", name=exact.name, version=VERSION, settings=settings_dict(settings), inputs=inputs)
    unit = NearUnit(
        [path for manifest in cleaned for path in manifest.paths("documents")],
        names([path for manifest in signed for path in manifest.paths("signatures")]),
        names(proposed.paths("candidates")),
        exact.paths("duplicates"),
        settings,
    )
    kept = {d.name: d.counts.get("kept", 0) for d in decided}
    return build(plan, data, near_unit, [unit], execution, lambda counts, folder: check_guard(settings, kept, counts))


def candidates(
    exact: Manifest, signed: Sequence[Manifest], data: Path, settings: DedupSettings, execution: Execution
) -> Manifest:
    """Find the pairs that share a bucket into DATA/candidates/<recipe>-<fingerprint8>/, one unit per band."""
    inputs = (exact.reference, *(manifest.reference for manifest in signed))
    plan = Plan(stage="candidates", name=exact.name, version=VERSION, settings={"leaders": LEADERS}, inputs=inputs)
    signatures = names([path for manifest in signed for path in manifest.paths("signatures")])
    duplicates = names(exact.paths("duplicates"))
    units = [PairUnit(signatures, duplicates, band, LEADERS) for band in range(1, settings.bands + 1)]
    return build(plan, data, pair_unit, units, execution)


def pair_unit(unit: PairUnit, output: UnitOutput) -> None:
    """Write the pairs of one band."""
    with engine(output.folder) as connection:
        output.write("candidates", CANDIDATES, rows(connection, PAIRS, unit._asdict(), CANDIDATES))


def near_unit(unit: NearUnit, output: UnitOutput) -> None:
    """Compare the candidates, choose survivors, and write all duplicates, exact ones first."""
    with tempfile.TemporaryDirectory(dir=output.folder, prefix=".sets-") as folder, engine(output.folder) as connection:
        parameters = {"candidates": unit.candidates, "signatures": unit.signatures}
        connection.execute(f"create table documents as {COMPARED}", parameters)
        listed = connection.execute("select place, shard, row, id, source from documents order by shard, row")
        by_place = {place: Document(*rest) for place, *rest in listed.fetchall()}
        sets = ShingleSets(Path(folder) / "sets", unit, by_place)
        connection.execute(PLACED_PAIRS, {"candidates": unit.candidates})
        duplicates = survivors(edges(connection, sets, unit.settings.similarity, output))
    members: dict[int, int] = defaultdict(int)
    for survivor, _ in duplicates.values():
        members[survivor] += 1
    fates = {by_place[place].id: (by_place[s].id, similarity) for place, (s, similarity) in duplicates.items()}
    with output.writing("duplicates", DUPLICATES) as append:
        for path in unit.exact:
            for batch in read_batches(path):
                append(repointed(batch, fates))
                count(batch, output)
        near_rows = [
            by_place[place]._asdict()
            | {"duplicate_of": by_place[s].id, "similarity": similarity, "cluster": members[s] + 1}
            for place, (s, similarity) in duplicates.items()
        ]
        near_rows.sort(key=lambda row: (row["shard"], row["row"]))
        batch = pa.RecordBatch.from_pylist(near_rows, schema=DUPLICATES)
        append(batch)
        count(batch, output)
    output.count("near", len(near_rows))


class ShingleSets:
    """The shingle sets of the compared documents, computed once from their texts and mapped from a file."""

    def __init__(self, path: Path, unit: NearUnit, by_place: Mapping[int, Document]) -> None:
        self.spans: dict[int, tuple[int, int]] = {}
        wanted = iter((document, place) for place, document in by_place.items())
        following = next(wanted, None)
        end = 0
        with path.open("wb") as file:
            for shard, row, text, language in texts(unit.documents, {document.shard for document in by_place.values()}):
                if following is None or (shard, row) != following[0][:2]:
                    continue
                hashed = text_shingles(text, language, unit.settings, WordHashes())
                file.write(hashed.tobytes())
                self.spans[following[1]] = (end, end + len(hashed))
                end += len(hashed)
                following = next(wanted, None)
        self.hashes: Hashes = np.memmap(path, np.uint64, "r") if end else np.zeros(0, np.uint64)

    def jaccard(self, a: int, b: int) -> float:
        """Compare two documents by their places."""
        return jaccard(self.hashes[slice(*self.spans[a])], self.hashes[slice(*self.spans[b])])


def texts(shards: Sequence[Path], wanted: set[int]) -> Iterator[tuple[int, int, str, str]]:
    """Stream (shard, row, text, language) of some cleaned shards, in order."""
    for shard in sorted(wanted):
        row = 0
        for batch in read_batches(shards[shard], ["text", "lang"]):
            for text, language in zip(batch.column("text").to_pylist(), batch.column("lang").to_pylist(), strict=True):
                yield shard, row, text, language
                row += 1


def edges(connection: Any, sets: ShingleSets, least: float, output: UnitOutput) -> Iterator[tuple[int, int, float]]:
    """Yield the pairs of places that are truly alike, the earlier place first, ordered by the later one."""
    alike = []
    while block := connection.fetchmany(65_536):
        output.count("compared", len(block))
        for first, second in block:
            similarity = sets.jaccard(first, second)
            if similarity >= least:
                alike.append((first, second, similarity))
    yield from sorted(alike, key=lambda edge: (edge[1], edge[0]))


def survivors(alike: Iterator[tuple[int, int, float]]) -> dict[int, tuple[int, float]]:
    """Give every duplicate its survivor and similarity: greedily in the total order.

    A document is a duplicate of the most similar survivor before it; one without a survivor before it survives.
    """
    duplicates: dict[int, tuple[int, float]] = {}
    for first, second, similarity in alike:
        if first not in duplicates and similarity > duplicates.get(second, (0, 0.0))[1]:
            duplicates[second] = (first, similarity)
    return duplicates


def repointed(batch: pa.RecordBatch, fates: dict[str, tuple[str, float]]) -> pa.RecordBatch:
    """Point exact copies of a near duplicate to its survivor; the same text is just as similar to it."""
    found = batch.to_pylist()
    for row in found:
        if row["similarity"] is not None and row["duplicate_of"] in fates:
            row["duplicate_of"], row["similarity"] = fates[row["duplicate_of"]]
    return pa.RecordBatch.from_pylist(found, schema=DUPLICATES)


def count(batch: pa.RecordBatch, output: UnitOutput) -> None:
    """Count duplicates by source."""
    for entry in batch.column("source").value_counts().to_pylist():
        output.count(f"duplicates.{entry['values']}", entry["counts"])
