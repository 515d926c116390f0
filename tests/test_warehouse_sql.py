"""`lmpipe sql` as a person, and as an attacker, meets it: formats, parameters, time, Ctrl-C, and what is refused."""

import json
import os
import signal
import threading
import time
from pathlib import Path

import duckdb
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from results_corpus import fill
from typer.testing import CliRunner

from lmpipe import warehouse
from lmpipe.cli import app
from lmpipe.errors import WarehouseError
from lmpipe.warehouse import read

HOSTILE = [
    "copy (select 1) to '{folder}/evil.csv'",
    "copy (select 1) to '{folder}/documents-00000.parquet' (format parquet)",
    "explain analyze copy (select 1) to '{folder}/evil.csv'",
    "export database '{folder}/evil'",
    "import database '{folder}'",
    "attach '{folder}/evil.duckdb'",
    "attach ':memory:' as other",
    "from read_text('/etc/passwd')",
    "from read_csv('/etc/passwd')",
    "from read_blob('/proc/self/environ')",
    "from '/etc/passwd'",
    "from glob('/etc/*')",
    "from sniff_csv('/etc/passwd')",
    "from read_parquet('{folder}/../../split/demo/funnel-00000.parquet')",
    "from read_parquet('{folder}/../../../../../../../../etc/passwd')",
    "from read_csv('https://example.org/x.csv')",
    "from parquet_metadata('/etc/passwd')",
    "install httpfs",
    "load httpfs",
    "set enable_external_access = true",
    "reset lock_configuration",
    "set allowed_directories = ['/']",
    "set variable x = 1",
    "pragma enable_profiling",
    "call enable_logging()",
    "create temp table t as select 1",
    "create secret (type s3)",
    "prepare p as select 1",
    "insert into counts values ('d', 'k', 1)",
    "update counts set number = 0",
    "delete from counts",
    "drop table counts",
    "checkpoint",
    "begin",
    "select 1; drop table counts",
    "select * from query('drop table counts')",
    "select * from query('copy (select 1) to ''{folder}/evil.csv''')",
    "with x as (delete from counts returning *) select * from x",
    "from folder_of_this_process",
    "",
    "selec 1",
]


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    fill(folder)
    return folder


def ask(data: Path, *arguments: str | Path, code: int = 0):
    done = CliRunner().invoke(app, ["sql", "--data", str(data), *map(str, arguments)])
    assert done.exit_code == code, done.output
    return done


def test_hostile_statements_are_refused_and_leave_no_trace(data):
    folder_of_this_process = pyarrow.table({"secret": [1]})  # a query must not reach Python's variables
    assert folder_of_this_process.num_rows == 1
    (folder,) = (data / "ingest").glob("wiki-*")
    before = {path: path.read_bytes() for path in data.rglob("*") if path.is_file()}
    for statement in HOSTILE:
        with pytest.raises(WarehouseError):  # the locals of a failure show which
            warehouse.query(data / "warehouse", statement.format(folder=folder), open_to=[folder])
    assert {path: path.read_bytes() for path in data.rglob("*") if path.is_file()} == before


def test_a_folder_that_is_allowed_may_be_read_and_no_other(data):
    wiki, news = (next((data / "ingest").glob(f"{name}-*")) for name in ("wiki", "news"))
    sql = "select count(*) as n from read_parquet('{}/*.parquet')"
    assert json.loads(ask(data, sql.format(wiki), "--allow", wiki, "--format", "json").stdout) == [{"n": 7}]
    with pytest.raises(WarehouseError, match="no other file can be reached"):
        warehouse.query(data / "warehouse", sql.format(news), open_to=[wiki])


def test_a_saved_query_is_asked_with_parameters(data):
    found = json.loads(ask(data, "--query", "runs_that_saw", "--param", "document=wiki:1", "--format", "json").stdout)
    assert [row["name"] for row in found] == ["lstm", "transformer"]
    error = ask(data, "--query", "runs_that_saw", "--param", "document", code=1).exception
    assert "--param document: expected name=value" in str(error)


def test_every_saved_query_runs_from_the_command_line(data):
    """Parameters come as text there: guards against a query that does not cast them."""
    run = warehouse.query(data / "warehouse", "select min(run) as run from trainings").to_pylist()[0]["run"]
    values = {"runs": f"[{run}]", "document": "wiki:1"} | dict.fromkeys(("a", "b", "run", "last", "id", "dataset"), run)
    for saved in warehouse.saved_queries():
        needed = [p.name for p in saved.parameters if p.default is None]
        given = [part for name in needed for part in ("--param", f"{name}={values[name]}")]
        ask(data, "--query", saved.name, *given)


def test_answers_are_printed_as_table_csv_json_and_parquet(data, tmp_path):
    sql = "select source, sum(documents)::int as n, 1.5 as x from token_stats group by source order by source"
    assert "wiki" in ask(data, sql).stdout
    assert ask(data, sql, "--format", "csv").stdout == '"source","n","x"\n"news",2,1.5\n"wiki",5,1.5\n'
    assert json.loads(ask(data, sql, "--format", "json").stdout)[1] == {"source": "wiki", "n": 5, "x": "1.5"}
    for name in ("a.parquet", "a.csv", "a.json"):
        ask(data, sql, "--out", tmp_path / name)
    assert pq.read_table(tmp_path / "a.parquet").column("n").to_pylist() == [2, 5]
    assert pyarrow.csv.read_csv(tmp_path / "a.csv").column("n").to_pylist() == [2, 5]
    assert len(json.loads((tmp_path / "a.json").read_text())) == 2


def test_without_a_statement_it_lists_what_can_be_asked(data):
    printed = ask(data).stdout
    assert "leaderboard" in printed
    assert "runs_that_saw" in printed


LONG = "select sum(a.range * b.range) from range(10000000) a, range(1000000) b"


def test_a_query_over_its_time_is_stopped(data):
    error = ask(data, LONG, "--timeout", "0.2", code=1).exception
    assert "stopped after 0.2 s" in str(error)


@pytest.fixture
def ctrl_c():
    """Python's own answer to SIGINT, which the background job of a shell is born without."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("ctrl_c")
def test_ctrl_c_ends_the_query_and_says_so(data, monkeypatch):
    """Guards against DuckDB 2.0.0, which looks at no signal while it works.

    Pressed once the query runs: while modules are loaded, one of them may swallow it (pydantic does).
    """
    run = read.run

    def run_and_press(*arguments):
        threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
        return run(*arguments)

    monkeypatch.setattr(read, "run", run_and_press)
    started = time.monotonic()
    done = ask(data, LONG, "--timeout", "50", code=130)
    assert "stopped by Ctrl-C" in done.output
    assert time.monotonic() - started < 40


def test_a_flipped_byte_names_the_command_that_restores(data, tmp_path):
    folder = tmp_path / "data/warehouse"
    folder.mkdir(parents=True)
    whole = bytearray((data / "warehouse" / warehouse.PUBLISHED).read_bytes())
    whole[4096 + 100] ^= 0x40  # in the header of the database
    whole[8192 + 100] ^= 0x40  # and in its other copy
    (folder / warehouse.PUBLISHED).write_bytes(whole)
    with pytest.raises(WarehouseError, match=rf"lmpipe warehouse restore --data {tmp_path / 'data'}"):
        warehouse.query(folder, "from counts")


def test_duckdb_still_has_the_hole_that_selects_only_closes(tmp_path):
    """Guards the reason: when DuckDB no longer writes to folders that may be read, other statements can come back."""
    con = duckdb.connect(config={"temp_directory": ""})
    con.execute(f"set allowed_directories = ['{tmp_path}']")
    con.execute("set enable_external_access = false")
    con.execute(f"copy (select 1) to '{tmp_path}/written.csv'")
    assert (tmp_path / "written.csv").exists()
    con.close()
