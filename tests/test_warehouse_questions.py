"""The saved questions, each on known data, with answers worked out by hand."""

import json
import math
from datetime import UTC, datetime, timedelta

import pytest
from results_corpus import corpus, dataset, evaluation, fill, ids, numbers_by_check, training

from lmpipe import warehouse
from lmpipe.errors import WarehouseError

START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """Give a warehouse of two runs, and a flow run of two hours that made them."""
    folder, made = fill(tmp_path_factory.mktemp("data"))
    lstm = made["runs"]["lstm"]
    ingest, clean = (next(m for m in made["datasets"] if m.stage == stage) for stage in ("ingest", "clean"))
    flow(folder, "f1", 0, ended=2)
    warehouse.record_used(
        folder,
        "f1",
        datasets=[
            warehouse.UsedDataset(dataset=ingest.fingerprint, seconds=8.0, reused=False),
            warehouse.UsedDataset(dataset=clean.fingerprint, seconds=2.0, reused=False),
            warehouse.UsedDataset(dataset=made["datasets"][1].fingerprint, seconds=90.0, reused=True),
        ],
        trainings=[warehouse.UsedTraining(run=lstm, seconds=10.0, reused=False)],
    )
    flow(folder, "f2", 5, ended=6, status="failed", error="no space left", attempts=2)
    warehouse.record_tasks(folder, "f2", [task("t1", 3, "failed", "no space left"), task("t2", 1), task("t3", 2)])
    warehouse.record_benchmarks(
        folder,
        [
            warehouse.Benchmark(name=f"ceiling.{name}", value=v, unit=u, measured=START, machine={"name": "box"})
            for name, v, u in (("decompression", 0.001, "MB/s"), ("matrix_rate", 1.0, "GFLOP/s"))
        ],
    )
    return folder, made


def flow(folder, name, hour, *, ended=None, status="completed", error=None, attempts=1):
    warehouse.record_flow_run(
        folder,
        warehouse.FlowRun(
            flow_run=name,
            kind="pipeline",
            flow="pipeline",
            recipe="demo",
            settings={},
            status=status,
            started=START + timedelta(hours=hour),
            ended=START + timedelta(hours=ended),
            host={"name": "box"},
            version="0.1.0",
            code="c" * 64,
            attempts=attempts,
            error=error,
        ),
    )


def task(name, attempts, status="completed", error=None):
    return warehouse.FlowTask(
        task_run=name,
        flow="ingest",
        name=f"read {name}",
        status=status,
        attempts=attempts,
        started=START + timedelta(hours=5),
        seconds=1.0,
        error=error,
    )


def ask(folder, name, **parameters):
    return warehouse.run_query(folder, name, parameters).to_pylist()


def test_the_checks_find_nothing_here(filled):
    assert numbers_by_check(filled[0]) == {}


# Models


def test_leaderboard_and_best_per_source_name_the_better_run(filled):
    folder, _ = filled
    assert [(row["place"], row["name"]) for row in ask(folder, "leaderboard")] == [(1, "transformer"), (2, "lstm")]
    best = {row["source"]: (row["name"], row["bits_per_byte"]) for row in ask(folder, "best_model_per_source")}
    assert best == {
        "wiki": ("transformer", pytest.approx(36 / 60 / math.log(2))),
        "news": ("transformer", pytest.approx(18 / 15 / math.log(2))),
    }


def test_perplexity_over_time_marks_records(tmp_path):
    folder, made = fill(tmp_path)
    worse = [(f"wiki:{i}", "wiki", "en", n, t, w, b) for i, n, t, w, b in ((1, 15.0, 5, 4, 20), (2, 45.0, 10, 8, 40))]
    worse.append(("news:1", "news", "zh", 30.0, 5, 5, 15))
    warehouse.record_dataset(folder, evaluation(tmp_path, made["runs"]["lstm"], scores=worse).folder)
    found = ask(folder, "perplexity_over_time")
    bits = [60 / 75 / math.log(2), 54 / 75 / math.log(2), 90 / 75 / math.log(2)]  # sums of nats over 75 bytes
    assert [row["bits_per_byte"] for row in found] == pytest.approx(bits)
    assert [row["best_so_far"] for row in found] == pytest.approx([bits[0], bits[1], bits[1]])
    assert [row["is_record"] for row in found] == [True, True, False]


def test_highest_loss_is_by_bits_per_byte(filled):
    folder, made = filled
    found = ask(folder, "highest_loss", run=made["runs"]["lstm"][:10], n="2")
    # nats per byte: 20 / 15, 30 / 40, 10 / 20
    assert [(row["document"], row["bits_per_byte"]) for row in found] == [
        ("news:1", pytest.approx(20 / 15 / math.log(2))),
        ("wiki:2", pytest.approx(30 / 40 / math.log(2))),
    ]


def test_where_a_beats_b_is_by_nats_saved(filled):
    folder, made = filled
    found = ask(folder, "where_a_beats_b", a=made["runs"]["transformer"], b=made["runs"]["lstm"])
    # a tenth of 30, 20 and 10 nats
    assert [(row["document"], row["nats_saved"]) for row in found] == [
        ("wiki:2", pytest.approx(3)),
        ("news:1", pytest.approx(2)),
        ("wiki:1", pytest.approx(1)),
    ]
    assert ask(folder, "where_a_beats_b", a=made["runs"]["lstm"], b=made["runs"]["transformer"]) == []


# Where it comes from


def test_documents_behind_a_perplexity_are_told_to_the_raw_byte(filled):
    folder, made = filled
    evaluation_of_lstm = made["datasets"][-2].fingerprint
    found = ask(folder, "documents_behind", id=evaluation_of_lstm[:12], n="3")
    keys = ("document", "tokens", "copies", "raw_file", "raw_offset", "raw_bytes", "start")
    assert [tuple(row[key] for key in keys) for row in found] == [
        ("news:1", 200, 1, "news.raw", 100, 90, 200),
        ("news:0", 100, 1, "news.raw", 0, 90, 100),
        ("wiki:1", 80, 2, "wiki.raw", 100, 90, 10),
    ]
    assert found[0]["shard"].startswith("tokens/demo-")


def test_bytes_behind_a_perplexity_add_up_by_raw_file(filled):
    folder, made = filled
    found = ask(folder, "bytes_behind", id=made["runs"]["lstm"])
    assert [tuple(row.values()) for row in found] == [
        ("news", "news.raw", 2, 180, 300),
        ("wiki", "wiki.raw", 3, 270, 100),
    ]


def test_filters_behind_a_perplexity_are_those_of_its_split(filled):
    folder, made = filled
    found = ask(folder, "filters_behind", id=made["datasets"][-1].fingerprint)
    assert [(row["source"], row["outcome"], row["reason"], row["documents"]) for row in found if row["reason"]] == [
        ("news", "dropped", "max_digits", 1),
        ("wiki", "dropped", "min_words", 1),
        ("wiki", "duplicate", "exact", 1),
        ("wiki", "skipped", "redirect", 2),
    ]


def test_shards_behind_a_perplexity_are_those_of_its_tokens(tmp_path):
    folder, made = fill(tmp_path)
    tokens = next(m for m in made["datasets"] if m.stage == "tokens")
    with warehouse.write(folder) as con:
        con.execute(
            "insert into shards values ($1, 'tokens-train-0.arrow', 'train', 400, 400, 800, 'ab')", [tokens.fingerprint]
        )
        con.execute("insert into shards values ('other', 'tokens-train-0.arrow', 'train', 1, 1, 2, 'cd')")
    found = ask(folder, "shards_behind", id=made["runs"]["lstm"])
    assert [tuple(row.values())[:4] for row in found] == [("train", "tokens-train-0.arrow", 400, 800)]


def test_runs_that_saw_a_document_say_how_often(filled):
    folder, made = filled
    found = ask(folder, "runs_that_saw", document="wiki:1")
    # two copies of 40 tokens; 30 of the 400 training tokens were trained on
    assert [(row["name"], row["copies"], row["tokens"], row["passes"]) for row in found] == [
        ("lstm", 2, 80, 0.075),
        ("transformer", 2, 80, 0.075),
    ]
    assert {row["run"] for row in found} == set(made["runs"].values())
    assert ask(folder, "runs_that_saw", document="wiki:6") == []  # read, but not trained on


def test_a_question_about_documents_follows_the_data_to_another_folder(filled, tmp_path):
    folder, moved = filled[0], tmp_path / "moved"
    folder.parent.rename(moved)
    try:
        assert len(ask(moved / "warehouse", "runs_that_saw", document="news:0")) == 2
        (moved / "tokens").rename(tmp_path / "gone")
        with pytest.raises(WarehouseError, match="runs_that_saw: expected Parquet files"):
            ask(moved / "warehouse", "runs_that_saw", document="news:0")
    finally:
        (tmp_path / "gone").rename(moved / "tokens")
        moved.rename(folder.parent)


# Two runs


def test_differences_are_settings_inputs_code_and_data(tmp_path):
    folder, a = fill(tmp_path / "a")
    other = tmp_path / "b"
    file = {"file": "wiki.xml", "bytes": 1000, "sha256": "aa" * 32}
    feed = {"file": "news.warc", "bytes": 600, "sha256": "dd" * 32}
    read = dict(next(m for m in a["datasets"] if m.stage == "ingest" and m.name == "wiki").counts)
    wiki = dataset(other, "ingest", "wiki", [file], ids("wiki", 7), read, version=2)
    news = dataset(other, "ingest", "news", [feed], ids("news", 4), {"in": 4, "kept": 4})
    funnel = [("wiki", "en", "dropped", "min_words", None, 3, 5, 1)]
    split = dataset(other, "split", "demo", [wiki.reference, news.reference], {"funnel": funnel})
    tokens = dataset(
        other, "tokens", "demo", [split.reference], {"token_stats": [("train", "wiki", "en", 4, 400, 80, 90)]}
    )
    run, b = training(other, "lstm", tokens)
    body = json.loads((run / "run.json").read_text())
    body["settings"]["model"]["layers"] = 2
    body["settings"]["lr"] = 0.5
    (run / "run.json").write_text(json.dumps(body))
    for manifest in (wiki, news, split, tokens):
        warehouse.record_dataset(folder, manifest.folder)
    warehouse.record_training(folder, run)
    found = {(r["kind"], r["name"]): (r["a"], r["b"]) for r in ask(folder, "differences", a=a["runs"]["lstm"], b=b)}
    expected = {
        ("settings", "training model.layers"): ("1", "2"),
        ("settings", "training lr"): (None, "0.5"),
        ("inputs", "news.warc"): (f"{'bb' * 32} (500 bytes)", f"{'dd' * 32} (600 bytes)"),
        ("data", "train tokens of wiki"): ("100", "90"),
        ("data", "train tokens of news"): ("300", None),
        ("data", "dropped by min_words documents of wiki"): ("1", "3"),
        ("data", "duplicate by exact documents of wiki"): ("1", None),
    }
    assert {key: found.get(key) for key in expected} == expected
    assert ("code", "way of making ingest/wiki") in found  # same settings and inputs, other fingerprint
    assert ("code", "way of making ingest/news") not in found  # its input explains it
    assert ("inputs", "wiki.xml") not in found
    assert ask(folder, "differences", a=b, b=b) == []


# Time and money


def test_bottlenecks_give_shares_of_time_and_of_the_ceiling(filled):
    found = ask(filled[0], "bottlenecks")
    shares = {row["stage"]: (row["seconds"], row["share_of_time"], row["is_bottleneck"]) for row in found}
    assert shares == {"train": (10.0, 0.5, True), "ingest": (8.0, 0.4, False), "clean": (2.0, 0.1, False)}
    ceilings = {row["stage"]: (row["rate"], row["share_of_ceiling"]) for row in found}
    # 1000 raw bytes in 8 s against 0.001 MB/s; 6 operations per parameter (1234) and token (30) in 10 s
    assert ceilings["ingest"] == (pytest.approx(1000 / 1e6 / 8), pytest.approx(0.125))
    assert ceilings["train"] == (pytest.approx(6 * 1234 * 30 / 1e9 / 10), pytest.approx(6 * 1234 * 30 / 1e10))
    assert ceilings["clean"][1] is None  # nobody measured copying here


def test_throughput_is_of_what_went_in(filled):
    found = {(row["stage"], row["name"]): row for row in ask(filled[0], "throughput")}
    assert found["ingest", "wiki"]["mb_per_s"] == pytest.approx(1000 / 1e6 / 8)
    assert found["clean", "wiki"]["documents_per_s"] == pytest.approx(7 / 2)
    assert found["train", "lstm"]["tokens_per_s"] == pytest.approx(3)
    assert len(found) == 3  # what was found already made took no time


def test_overhead_is_what_no_stage_took(filled):
    (row,) = ask(filled[0], "overhead")  # what was found took no time of this run; the failed one is left out
    assert (row["flow_run"], row["seconds"], row["stage_seconds"]) == ("f1", 7200, 8 + 2 + 10)
    assert row["overhead"] == pytest.approx(7180 / 7200)


def test_costs_are_hours_times_price(filled):
    found = ask(filled[0], "costs", price="3")
    assert [(row["status"], row["hours"], row["cost"], row["cost_per_million_tokens"]) for row in found] == [
        ("failed", 1.0, 3.0, None),
        ("completed", 2.0, 6.0, pytest.approx(6 / 30 * 1e6)),
    ]


def test_failures_and_retries_are_told_with_their_sentence(filled):
    found = ask(filled[0], "failures")
    assert [(row["what"], row["status"], row["attempts"], row["error"]) for row in found] == [
        ("the flow", "failed", 2, "no space left"),
        ("read t1", "failed", 3, "no space left"),
        ("read t3", "completed", 2, None),
    ]


# Checks


@pytest.mark.parametrize(
    ("sql", "check"),
    [
        ("delete from flow_runs where flow_run = 'f2'", "flow_parts"),
        ("update flow_runs set ended = started - interval 1 hour", "times"),
        ("update flow_runs set ended = null where flow_run = 'f1'", "times"),
        (
            "insert into shards select dataset, 't', 'train', 1, 399, 1, 's' from datasets where stage = 'tokens'",
            "token_sums",
        ),
    ],
)
def test_checks_find_what_does_not_add_up(filled, tmp_path, sql, check):
    (tmp_path / warehouse.PRIVATE).write_bytes((filled[0] / warehouse.PRIVATE).read_bytes())
    with warehouse.write(tmp_path) as con:
        con.execute(sql)
    assert check in numbers_by_check(tmp_path)


# Parameters


def test_parameters_are_declared_completed_and_refused(filled):
    folder, _ = filled
    with pytest.raises(WarehouseError, match=r"highest_loss: needs run \(fingerprint of a run.*--param run="):
        ask(folder, "highest_loss")
    with pytest.raises(WarehouseError, match=r"highest_loss: no parameter 'rows'; expected one of \['n', 'run'\]"):
        ask(folder, "highest_loss", run="a", rows="3")


def test_every_parameter_of_ours_has_a_meaning():
    unclear = [
        (q.name, p.name) for q in warehouse.saved_queries() for p in q.parameters if p.meaning == "see the question"
    ]
    assert unclear == []


def test_corpus_is_recorded_in_one_transaction(tmp_path):
    made = corpus(tmp_path)
    assert warehouse.record_datasets(tmp_path / "warehouse", [m.folder for m in made]) == len(made)
    assert warehouse.record_datasets(tmp_path / "warehouse", [m.folder for m in made]) == 0
