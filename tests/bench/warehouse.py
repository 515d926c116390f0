"""make bench-warehouse: every view and saved query on a warehouse of years, and a million documents.

The database: 5,000 flow runs, 60 trainings with 122,400 lines of metrics, 1,800 evaluations with 1,000,800 documents.
The folder: one run trained on a million documents in Parquet, each with its place in a raw file. Yardstick: SQLite, by
the sums of all evaluations by run and source over the same rows in memory.
"""

import shutil
import sqlite3
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from lmpipe import warehouse
from lmpipe.cli.tables import print_rows
from lmpipe.dataset import Execution, Manifest, Plan, UnitOutput, build
from lmpipe.storage import digest
from lmpipe.warehouse.read import asking
from tests.bench.harness import finish

TRAININGS, LINES, EVALUATIONS, DOCUMENTS, FLOWS = 60, 2040, 1800, 556, 5000
MILLION = 1_000_000
SECOND = 1.0
"""What a person waits without noticing."""

FILL = f"""
insert into datasets
    select sha256('tokens' || i), 'tokens', 'r' || i % 6, '{{"seed": 1}}', '/data', '1', 'box',
        timestamp '2026-01-01' + interval (i) hour, timestamp '2026-01-01' + interval (i + 1) hour
    from range({TRAININGS}) as t(i);
insert into datasets
    select sha256('evaluate' || i), 'evaluate', 'r' || i % 6, '{{}}', '/data', '1', 'box',
        timestamp '2026-02-01' + interval (i) hour, timestamp '2026-02-01' + interval (i + 1) hour
    from range({EVALUATIONS}) as t(i);
insert into token_stats
    select sha256('tokens' || i), split, 'source-' || s, 'en', 1000, 100000, 400000, 80000
    from range({TRAININGS}) as t(i), range(8) as u(s), (values ('train'), ('valid'), ('test')) as v(split);
insert into shards
    select sha256('evaluate' || i), 'e.parquet', 'evaluations', {DOCUMENTS}, 0, 1000, 's'
    from range({EVALUATIONS}) as t(i);
insert into trainings
    select sha256('run' || i), 'r' || i % 6 || '-m' || i, 'r' || i % 6, 'transformer', 32000, sha256('tokens' || i),
        '{{"lr": 0.1, "model": {{"kind": "transformer", "layers": ' || i || '}}}}', '/runs', 2000, 4000000, 1000000 + i,
        3600.0, 'cpu', 2
    from range({TRAININGS}) as t(i);
insert into training_metrics
    select sha256('run' || i), step, 'train', 9 - ln(step + 1), 0.1, 1.0, step * 2000, 5000.0, '{{}}'
    from range({TRAININGS}) as t(i), range(1, {LINES + 1}) as u(step);
insert into checkpoints
    select sha256('run' || i), step * 200, 'model', sha256('c' || i || '-' || step)
    from range({TRAININGS}) as t(i), range(10) as u(step);
insert into evaluation_documents (evaluation, run, checkpoint, "set", protocol, document, source, lang, nats, tokens,
        words, bytes, oov)
    select sha256('evaluate' || i), sha256('run' || i % {TRAININGS}), sha256('c' || i), 'test-' || i // 60 % 3,
        'ppl|set:test|unit:token|vocab:bpe' || i % 2 || '|win:256|v:1', 'wiki:' || d, 'source-' || d % 8, 'en',
        200 + (d * 7919 + i * 31) % 400, 100 + d % 50, 80 + d % 40, 400 + d % 200, 0
    from range({EVALUATIONS}) as t(i), range({DOCUMENTS}) as u(d);
insert into evaluations (evaluation, run, checkpoint, "set", protocol, documents, tokens, words, bytes, nats)
    select evaluation, run, checkpoint, "set", protocol, count(*), sum(tokens), sum(words), sum(bytes), sum(nats)
    from evaluation_documents group by all;
insert into flow_runs (flow_run, kind, flow, recipe, settings, status, started, ended, host, version, error, attempts)
    select 'f' || i, 'pipeline', 'pipeline', 'r' || i % 6, '{{}}', if(i % 50 = 0, 'failed', 'completed'),
        timestamp '2026-01-01' + interval (i) hour, timestamp '2026-01-01' + interval (i + 1) hour,
        '{{"name": "box"}}', '1', if(i % 50 = 0, 'no space left', null), 1
    from range({FLOWS}) as t(i);
insert into flow_run_datasets
    select 'f' || i, dataset, 10.0, i % 5 > 0
    from range({FLOWS}) as t(i), (select dataset, row_number() over () as n from datasets) where n % 60 = i % 60;
insert into flow_run_trainings
    select 'f' || i, sha256('run' || i % {TRAININGS}), 3600.0, i >= {TRAININGS} from range({FLOWS}) as t(i);
insert into flow_tasks
    select 'f' || i, 't' || i || '-' || n, 'ingest', 'read', 'completed', 1, null, 1.0, null
    from range({FLOWS}) as t(i), range(10) as u(n);
"""

ORIGIN = pa.struct([("file", pa.string()), ("offset", pa.int64()), ("length", pa.int64())])
SCHEMAS = {
    "documents": pa.schema([("id", pa.string()), ("source", pa.string()), ("text", pa.string()), ("origin", ORIGIN)]),
    "documents-train": pa.schema(
        [
            ("id", pa.string()),
            ("source", pa.string()),
            ("lang", pa.string()),
            ("start", pa.int64()),
            ("length", pa.int64()),
        ]
    ),
}


def million(unit: tuple[str, int, int], output: UnitOutput) -> None:
    """Write a part of a million documents, or of what a million documents are in a tokens dataset."""
    role, first, last = unit
    output.write(role, SCHEMAS[role], [documents(first, last) if role == "documents" else trained(first, last)])


def documents(first: int, last: int) -> pa.RecordBatch:
    """Lay out documents, each with its place in a raw file."""
    numbers = range(first, last)
    origin = pa.StructArray.from_arrays(
        [
            pa.array([f"dump-{n // 100_000}.bz2" for n in numbers]),
            pa.array([n * 3000 for n in numbers]),
            pa.array([2800] * len(numbers)),
        ],
        fields=list(ORIGIN),
    )
    columns = [[f"wiki:{n}" for n in numbers], ["wiki"] * len(numbers), [f"text of {n} " * 10 for n in numbers]]
    return pa.RecordBatch.from_arrays([*map(pa.array, columns), origin], schema=SCHEMAS["documents"])


def trained(first: int, last: int) -> pa.RecordBatch:
    """Lay out what a tokens dataset says of its documents, in another order."""
    shuffled = [n * 7_368_787 % MILLION for n in range(first, last)]
    columns = [
        [f"wiki:{n}" for n in shuffled],
        ["wiki"] * len(shuffled),
        ["en"] * len(shuffled),
        [n * 500 for n in range(first, last)],
        [100 + n % 900 for n in shuffled],
    ]
    return pa.RecordBatch.from_arrays([*map(pa.array, columns)], schema=SCHEMAS["documents-train"])


def dataset(data: Path, stage: str, role: str, inputs: list[dict[str, Any]]) -> Manifest:
    """Commit one of the two datasets of a million documents."""
    plan = Plan(stage=stage, name="million", version=1, settings={}, inputs=tuple(inputs))
    units = [(role, first, first + 50_000) for first in range(0, MILLION, 50_000)]
    return build(plan, data, million, units, Execution())


def prepare(data: Path) -> str:
    """Fill the warehouse and the folder; return the run that was trained on a million documents."""
    folder = data / "warehouse"
    raw = [{"file": f"dump-{n}.bz2", "bytes": 300_000_000, "sha256": digest(n)} for n in range(10)]
    ingest = dataset(data, "ingest", "documents", raw)
    tokens = dataset(data, "tokens", "documents-train", [ingest.reference])
    warehouse.record_datasets(folder, [ingest.folder, tokens.folder])
    run = digest("run of a million")
    with warehouse.write(folder) as con:
        for statement in FILL.split(";\n")[:-1]:
            con.execute(statement)
        sql = """
            insert into trainings by name
            select $run as run, 'million' as name, 'r0' as recipe, 'transformer' as model, 32000 as vocabulary,
                $tokens as dataset, '{}' as settings, '/runs' as folder
        """
        con.execute(sql, {"run": run, "tokens": tokens.fingerprint})
    return run


def median(work: Callable[[], object], rounds: int = 3) -> float:
    """Wall seconds of the middle round: what a person waits."""
    seconds = []
    for _ in range(rounds):
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    return sorted(seconds)[rounds // 2]


def views(folder: Path) -> dict[str, float]:
    """Time every view, read whole."""
    with asking(folder / warehouse.PUBLISHED, 600) as con:
        names = [n for (n,) in con.sql("select view_name from duckdb_views() where not internal order by 1").fetchall()]
        return {name: median(lambda name=name: con.sql(f'from "{name}"').to_arrow_table()) for name in names}


def questions(folder: Path, run: str) -> dict[str, float]:
    """Time every saved query as it is asked."""
    million = {"documents_behind", "bytes_behind", "runs_that_saw", "filters_behind", "shards_behind"}
    ids = warehouse.query(folder, "select run, dataset from trainings where name like '%-m%' order by name").to_pylist()
    values = {"document": f"wiki:{MILLION // 2}", "a": ids[0]["run"], "b": ids[1]["run"], "dataset": ids[0]["dataset"]}
    found = {}
    for saved in warehouse.saved_queries():
        start = run if saved.name in million else ids[0]["run"]
        own = values | {"id": start, "run": start, "runs": [ids[0]["run"]], "last": ids[1]["run"]}
        given = {p.name: own[p.name] for p in saved.parameters if p.default is None}
        found[saved.name] = median(partial(warehouse.run_query, folder, saved.name, given, timeout=600))
    return found


def yardstick(folder: Path) -> dict[str, float]:
    """Time the sums of all evaluations by source in DuckDB and in SQLite, over the same million rows."""
    rows = warehouse.query(folder, "select run, source, nats, bytes from evaluation_documents").to_pydict()
    con = sqlite3.connect(":memory:")
    con.execute("create table d (run text, source text, nats real, bytes integer)")
    con.executemany("insert into d values (?, ?, ?, ?)", zip(*rows.values(), strict=True))
    sql = "select run, source, sum(nats) / sum(bytes) from {} group by run, source"
    ours = median(lambda: warehouse.query(folder, sql.format("evaluation_documents")))
    theirs = median(lambda: con.execute(sql.format("d")).fetchall())
    return {"sums of evaluations, duckdb": ours, "sums of evaluations, sqlite": theirs}


def main(data: Path) -> None:
    """Measure everything in a folder of its own, and record the figures in `data`."""
    place = data / "bench-warehouse"
    shutil.rmtree(place, ignore_errors=True)
    run = prepare(place)
    folder = place / "warehouse"
    seen, asked = views(folder), questions(folder, run)
    one = median(lambda: warehouse.record_benchmarks(folder, [note()]))
    sums = yardstick(folder)
    rates = seen | {f"query {name}": value for name, value in asked.items()} | sums | {"one transaction": one}
    slow = {name: round(value, 2) for name, value in (seen | asked).items() if value > SECOND}
    print_rows("Slower than a second", [{"name": name, "seconds": value} for name, value in slow.items()])
    size = (folder / warehouse.PUBLISHED).stat().st_size / 1e6
    ratios = {
        "views_slowest_s": max(seen.values()),
        "queries_slowest_s": max(asked.values()),
        "lineage_million_s": max(asked[name] for name in ("documents_behind", "bytes_behind", "runs_that_saw")),
        "sums_vs_sqlite": sums["sums of evaluations, sqlite"] / sums["sums of evaluations, duckdb"],
        "database_mb": size,
    }
    finish(rates, "seconds", ratios, data)
    shutil.rmtree(place)


def note() -> warehouse.Benchmark:
    """Make one row to write."""
    return warehouse.Benchmark(name="note", value=time.time(), unit="s", measured=datetime.now(UTC), machine={})


if __name__ == "__main__":
    main(Path(sys.argv[1]))
