"""The warehouse: one door, migrations, what is recorded, and that kills lose nothing."""

import ast
import json
import math
import multiprocessing
import random
import shutil
import subprocess
import sys
import uuid
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import duckdb
import pytest
from results_corpus import corpus, fill, numbers_by_check, rows, training

import lmpipe
from lmpipe import warehouse
from lmpipe.errors import StorageError, WarehouseError
from lmpipe.warehouse import migrate
from lmpipe.warehouse.door import opened


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    return fill(tmp_path_factory.mktemp("data"))


# The door


def test_a_block_that_raises_leaves_nothing(tmp_path):
    with warehouse.write(tmp_path):
        pass
    with pytest.raises(duckdb.ConstraintException), warehouse.write(tmp_path) as con:
        con.execute("insert into counts values ('d', 'k', 1); insert into counts values ('d', 'k', 2)")
    with warehouse.write(tmp_path):
        pass
    assert rows(tmp_path, "from counts") == []


def test_a_second_writer_is_told_who_holds_the_lock(tmp_path):
    with (
        warehouse.write(tmp_path, holder="flow run 42"),
        pytest.raises(WarehouseError, match=r"within 0\.05 s.*flow run 42.*Wait"),
        warehouse.write(tmp_path, wait=0.05),
    ):
        pass


def test_every_duckdb_file_is_opened_typed():
    """Guards against the DuckDB 2.0.0 race: an untyped open loses other processes' commits."""
    opened = 0
    for path in Path(lmpipe.__file__).parent.rglob("*.py"):
        calls = [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)]
        for call in calls:
            first = ast.unparse(call.args[0]) if call.args else ""
            if ast.unparse(call.func) == "duckdb.connect":
                assert first in ("", "':memory:'"), f"{path}:{call.lineno}"
            elif "attach " in first.lower():
                opened += 1
                assert "(type duckdb" in first, f"{path}:{call.lineno}"
    assert opened == 4


OPEN_AND_INSERT = """
import sys
from pathlib import Path
from lmpipe.warehouse.door import opened
with opened(Path(sys.argv[1])) as con:
    con.execute("insert into counts values ('late', 'k', 1)")
"""


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace to hold a process between open and lock")
def test_a_commit_between_anothers_open_and_lock_is_kept(tmp_path):
    """Guards against the DuckDB 2.0.0 race without our own lock: the typed open alone has to be enough."""
    with warehouse.write(tmp_path):
        pass
    path, trace = tmp_path / warehouse.PRIVATE, tmp_path / "trace.txt"
    held = ["strace", "-f", "-o", trace, "-e", "trace=openat,fcntl", "-e", "inject=fcntl:delay_enter=2000000"]
    late = subprocess.Popen([*held, sys.executable, "-c", OPEN_AND_INSERT, path])
    while not trace.exists() or f'{path}", O_RDWR' not in trace.read_text():
        assert late.poll() is None, "the late writer ended without opening the file"
    for name in "abc":
        with opened(path) as con:
            con.execute("insert into counts values ($1, 'k', 1)", [name])
    assert late.wait(60) == 0
    with warehouse.write(tmp_path):
        pass
    assert [row["dataset"] for row in rows(tmp_path, "from counts order by all")] == ["a", "b", "c", "late"]


def test_the_file_is_one_that_duckdb_1_5_reads(tmp_path):
    with warehouse.write(tmp_path):
        pass
    tags = rows(tmp_path, "select tags from duckdb_databases() where database_name = 'results'")
    assert "v1.5.0" in str(tags)


def test_a_flipped_byte_is_refused_or_changes_nothing(filled, tmp_path):
    whole = (filled[0] / warehouse.PUBLISHED).read_bytes()
    expected = rows(filled[0], "from evaluation_documents order by all")
    broken, refused = tmp_path / "broken.duckdb", 0
    for place in range(0, len(whole), len(whole) // 20):
        broken.write_bytes(whole[:place] + bytes([whole[place] ^ 0x40]) + whole[place + 1 :])
        try:
            found = warehouse.query_file(broken, "from evaluation_documents order by all").to_pylist()
        except WarehouseError:
            refused += 1
        else:
            assert found == expected, f"byte {place}"
    assert refused > 0


def test_a_damaged_private_file_is_refused_with_advice(tmp_path):
    (tmp_path / warehouse.PRIVATE).write_bytes(b"no database" * 5000)
    with (
        pytest.raises(WarehouseError, match=r"lm\.duckdb: damaged.*lmpipe warehouse restore"),
        warehouse.write(tmp_path),
    ):
        pass


# Migrations


@pytest.mark.parametrize("kind", [duckdb.IOException, duckdb.TransactionException, duckdb.FatalException])
def test_a_full_disk_is_told_as_such_and_not_as_damage(tmp_path, kind):
    """DuckDB tells it in words alone: `Failed to commit: Could not write file ...: No space left on device`."""
    told = pytest.raises(StorageError, match=r"lm.duckdb: no space left on the disk. Free some")
    with told, warehouse.write(tmp_path):
        raise kind('Failed: Could not write file "lm.duckdb.wal": No space left on device')


def test_a_migration_changed_after_it_was_applied_is_refused(tmp_path, monkeypatch):
    with warehouse.write(tmp_path):
        pass
    changed = tmp_path / "001_start.sql"
    changed.write_text("create table datasets (dataset varchar)")
    real = migrate.sql_files
    later = [path for path in real("migrations") if path.name != changed.name]
    monkeypatch.setattr(migrate, "sql_files", lambda kind: [changed, *later] if kind == "migrations" else real(kind))
    with (
        pytest.raises(WarehouseError, match=r"001_start\.sql: changed after it was applied"),
        warehouse.write(tmp_path),
    ):
        pass


def test_a_database_of_a_newer_version_is_refused(tmp_path):
    with warehouse.write(tmp_path) as con:
        con.execute("insert into schema_migrations values ('999_later', '', now()::timestamp)")
    with pytest.raises(WarehouseError, match=r"999_later.*Update lmpipe"), warehouse.write(tmp_path):
        pass


def test_views_are_made_again_when_their_text_changes(tmp_path, monkeypatch):
    with warehouse.write(tmp_path):
        pass
    views = tmp_path / "views"
    views.mkdir()
    (views / "a_top.sql").write_text("-- question: ?\ncreate or replace view a_top as select n + 1 as n from base;")
    (views / "base.sql").write_text("-- question: a_top?\ncreate or replace view base as select 41 as n;")
    real = migrate.sql_files
    monkeypatch.setattr(
        migrate, "sql_files", lambda kind: sorted(views.glob("*.sql")) if kind == "views" else real(kind)
    )
    with warehouse.write(tmp_path):
        pass
    assert rows(tmp_path, "from a_top") == [{"n": 42}]
    with pytest.raises(WarehouseError, match="leaderboard"):
        rows(tmp_path, "from leaderboard")


# Recording


def test_recording_twice_changes_nothing(filled, tmp_path):
    made = corpus(tmp_path)
    folder = tmp_path / "warehouse"
    assert [warehouse.record_dataset(folder, m.folder) for m in made] == [True] * len(made)
    tables = ("datasets", "dataset_inputs", "shards", "counts", "funnel", "token_stats")
    before = [rows(folder, f"from {table} order by all") for table in tables]
    assert [warehouse.record_dataset(folder, m.folder) for m in made] == [False] * len(made)
    assert [rows(folder, f"from {table} order by all") for table in tables] == before
    assert all(before)


def test_a_resumed_run_replaces_its_metrics(tmp_path):
    folder = tmp_path / "warehouse"
    tokens = corpus(tmp_path)[-1]
    run, fingerprint = training(tmp_path, "lstm", tokens)
    warehouse.record_training(folder, run)
    lines = (run / "metrics.jsonl").read_text().splitlines(keepends=True)[:2]
    lines += [json.dumps({"step": s, "split": "train", "loss": v}) + "\n" for s, v in ((3, 2.5), (4, math.nan))]
    (run / "metrics.jsonl").write_text("".join(lines) + '{"step": 5, "spl')
    warehouse.record_training(folder, run)
    warehouse.record_training(folder, run)
    found = rows(folder, "select step, loss from loss_curves where split = 'train' order by step")
    assert found == [{"step": s, "loss": v} for s, v in ((1, 5.0), (2, 4.0), (3, 2.5), (4, None))]
    assert numbers_by_check(folder) == {"orphan_inputs": 1, "impossible_values": 1}
    assert rows(folder, "select file, step from checkpoints order by file") == [
        {"file": "checkpoint.json", "step": 3},
        {"file": "model.safetensors", "step": 3},
    ]
    assert rows(folder, "select run, parameters, device from trainings") == [
        {"run": fingerprint, "parameters": 1234, "device": "cpu"}
    ]


def test_an_unfinished_run_is_recorded_as_far_as_it_got(tmp_path):
    run, _ = training(tmp_path, "lstm", corpus(tmp_path)[-1])
    (run / "result.json").unlink()
    warehouse.record_training(tmp_path / "warehouse", run)
    assert rows(tmp_path / "warehouse", "select steps from trainings") == [{"steps": None}]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("run.json", "{", "run.json: not readable as JSON.*Resume"),
        ("metrics.jsonl", '{"step": 1\n', "metrics.jsonl:1: expected JSON"),
    ],
)
def test_a_damaged_run_is_refused(tmp_path, name, text, message):
    run, _ = training(tmp_path, "lstm", corpus(tmp_path)[-1])
    (run / name).write_text(text)
    with pytest.raises(WarehouseError, match=message):
        warehouse.record_training(tmp_path / "warehouse", run)


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(WarehouseError, match="no run directory"):
        warehouse.record_training(tmp_path / "warehouse", tmp_path)


def test_the_end_of_a_flow_run_replaces_its_start(tmp_path):
    started = datetime(2026, 1, 1, 12, tzinfo=timezone(timedelta(hours=8)))
    common = {"flow_run": "f1", "kind": "pipeline", "flow": "pipeline", "recipe": "demo", "settings": {"seed": 1}}
    common |= {"started": started, "host": {"cpu": "x"}, "version": "0.1.0", "code": "c", "attempts": 1}
    warehouse.record_flow_run(tmp_path, warehouse.FlowRun(**common, status="running"))
    ended = warehouse.FlowRun(**common, status="failed", ended=started + timedelta(hours=1), error="no space")
    warehouse.record_flow_run(tmp_path, ended)
    found = rows(tmp_path, "select status, started, ended, error, settings->>'seed' as seed from flow_runs")
    assert found == [
        {
            "status": "failed",
            "started": datetime(2026, 1, 1, 4),
            "ended": datetime(2026, 1, 1, 5),
            "error": "no space",
            "seed": "1",
        }
    ]


def test_a_flow_run_under_a_clock_that_was_put_back_stops_no_later_one(tmp_path):
    """It ended before it began, and the check of times made every run after it fail."""
    now = datetime(2026, 1, 1, 12, tzinfo=UTC)
    common = {"flow_run": "f1", "kind": "pipeline", "flow": "pipeline", "recipe": "demo", "settings": {}}
    common |= {"host": {}, "version": "0.1.0", "code": "c", "attempts": 1, "status": "completed"}
    run = warehouse.FlowRun(**common, started=now, ended=now - timedelta(days=2))
    warehouse.record_flow_run(tmp_path, run)
    assert rows(tmp_path, "select ended - started = interval 0 day as at_once from flow_runs") == [{"at_once": True}]
    assert dict(warehouse.checks(tmp_path))["times"].num_rows == 0


def test_what_a_flow_run_used_is_entered_by_the_flow_that_came_first(tmp_path):
    for reused in (False, True):
        dataset = warehouse.UsedDataset(dataset="d1", seconds=1.5, reused=reused)
        training = warehouse.UsedTraining(run="r1", seconds=2.5, reused=reused)
        warehouse.record_used(tmp_path, "f1", datasets=[dataset], trainings=[training])
    found = rows(
        tmp_path, "select dataset, seconds, reused from flow_run_datasets union all by name from flow_run_trainings"
    )
    assert [(row["dataset"], row["run"], row["seconds"], row["reused"]) for row in found] == [
        ("d1", None, 1.5, False),
        (None, "r1", 2.5, False),
    ]


def test_benchmarks_are_kept_once(tmp_path):
    row = warehouse.Benchmark(
        name="encode", value=36.5, unit="MB/s", measured=datetime(2026, 1, 1, tzinfo=UTC), machine={"cpu": "x"}
    )
    warehouse.record_benchmarks(tmp_path, [row])
    warehouse.record_benchmarks(tmp_path, [row])
    assert rows(tmp_path, "select name, value, unit from benchmarks") == [
        {"name": "encode", "value": 36.5, "unit": "MB/s"}
    ]


# Kills


def write_for_ever(folder: Path, acknowledged: Path) -> None:
    """Commit transactions of 1 and 20 rows; note each one only after the door has let it through."""
    while True:
        name = str(uuid.uuid4())
        with warehouse.write(folder, holder=acknowledged.name) as con:
            con.execute("insert into checkpoints values ($1, 1, 'f', 's')", [name])
            con.execute("insert into counts select $1, range::varchar, 1 from range(20)", [name])
        with acknowledged.open("a") as file:
            file.write(name + "\n")


def read_for_ever(folder: Path, note: Path) -> None:
    """Look at the published copy again and again; note each look, and end with what was wrong."""
    seen = 0
    while True:
        now = look(folder)
        assert now >= seen, "the published copy went back"
        seen = now
        with note.open("a") as file:
            file.write(f"{now}\n")


def kill_writers(folder: Path, kills: int, seed: int) -> tuple[int, int]:
    """Kill 4 writers at random while 2 readers look; return transactions acknowledged and looks taken."""
    chance = random.Random(seed)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["lmpipe.warehouse"])
    notes = [folder / f"writer-{i}.txt" for i in range(4)]
    with warehouse.write(folder):
        pass

    def start(index):
        process = context.Process(target=write_for_ever, args=(folder, notes[index]), daemon=True)
        process.start()
        return process

    looks = [folder / f"reader-{i}.txt" for i in range(2)]
    readers = [context.Process(target=read_for_ever, args=(folder, note), daemon=True) for note in looks]
    for process in readers:
        process.start()
    writers = [start(i) for i in range(4)]
    for _ in range(kills):
        for _ in range(chance.randint(1, 3)):
            look(folder)  # the time between two kills is that of one to three reads
        index = chance.randrange(4)
        writers[index].kill()
        writers[index].join()
        writers[index] = start(index)
    assert all(process.is_alive() for process in readers), "a reader met something that must not be"
    for process in (*writers, *readers):
        process.kill()
        process.join()
    reads = sum(len(note.read_text().splitlines()) for note in looks if note.exists())
    promised = {name for note in notes if note.exists() for name in note.read_text().splitlines()}
    found = {row["run"] for row in rows(folder, "select run from checkpoints")}
    assert promised <= found, "an acknowledged transaction was lost"
    look(folder)
    return len(promised), reads


def look(folder: Path) -> int:
    """Count the transactions of the published copy; none may be half there."""
    sql = """
        select count(*) as transactions, count(*) filter (lines is distinct from 20 or run is null) as half
        from checkpoints
        full join (select dataset as run, count(*) as lines from counts group by all) using (run)
    """
    found = rows(folder, sql)[0]
    assert found["half"] == 0, "a transaction is half there"
    return found["transactions"]


def test_kills_lose_no_acknowledged_transaction(tmp_path):
    acknowledged, reads = kill_writers(tmp_path, kills=15, seed=1)
    assert acknowledged > 10
    assert reads > 10


@pytest.mark.slow
def test_many_kills_lose_no_acknowledged_transaction(tmp_path):
    acknowledged, reads = kill_writers(tmp_path, kills=400, seed=2)
    assert acknowledged > 200
    assert reads > 200
