"""The warehouse's answers: views that equal numbers worked out by hand, checks, and SQL from outside."""

import math
import shutil
import threading

import numpy as np
import pytest
from results_corpus import FUNNEL, PROTOCOL, SCORES, corpus, dataset, evaluation, fill, numbers_by_check, rows

from lmpipe import warehouse
from lmpipe.errors import WarehouseError
from lmpipe.warehouse.resample import add_slices

BITS = 1 / math.log(2)


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    return fill(tmp_path_factory.mktemp("data"))


# Views


def test_perplexity_is_of_sums(filled):
    folder, made = filled
    run = made["runs"]["lstm"]
    found = rows(folder, "from perplexity where run = $run and source = 'wiki'", run=run)[0]
    assert (found["documents"], found["tokens"], found["words"], found["bytes"], found["nats"]) == (2, 15, 12, 60, 40.0)
    assert found["token_perplexity"] == pytest.approx(math.exp(40 / 15))
    assert found["word_perplexity"] == pytest.approx(math.exp(40 / 12))
    assert found["byte_perplexity"] == pytest.approx(math.exp(40 / 60))
    assert found["bits_per_byte"] == pytest.approx(40 / 60 * BITS)
    # every resample lies between the two documents, which have 10 / 20 and 30 / 40 nats per byte
    assert found["bits_per_byte_low"] == pytest.approx(10 / 20 * BITS)
    assert found["bits_per_byte_high"] == pytest.approx(30 / 40 * BITS)


def test_perplexity_has_a_row_for_each_slice_and_no_interval_of_one_document(filled):
    folder, made = filled
    found = rows(folder, "from perplexity where run = $run order by slice, source, lang", run=made["runs"]["lstm"])
    assert [(r["slice"], r["source"], r["lang"], r["documents"], r["nats"]) for r in found] == [
        ("all", "all", "all", 3, 60.0),
        ("lang", "all", "en", 2, 40.0),
        ("lang", "all", "zh", 1, 20.0),
        ("source", "news", "zh", 1, 20.0),
        ("source", "wiki", "en", 2, 40.0),
    ]
    news = found[3]
    assert news["bits_per_byte"] == pytest.approx(20 / 15 * BITS)
    assert [news[f"{n}_{end}"] for n in ("bits_per_byte", "token_perplexity") for end in ("low", "high")] == [None] * 4


def drawn(number, seed):
    """Make documents of very different lengths, and the scores of two models of which b is 1 % better."""
    random = np.random.default_rng(seed)
    sizes = random.geometric(1 / 400, number) + 20
    first = sizes * random.gamma(30, 0.05, number)
    second = first * random.normal(0.99, 0.02, number)
    return sizes, first, second


def scored(sizes, nats):
    """Lay out scores: one token per 4 bytes, one word per 5."""
    return [
        (f"w:{n}", "w", "en", float(nat), int(size) // 4, int(size) // 5, int(size))
        for n, (size, nat) in enumerate(zip(sizes, nats, strict=True))
    ]


def multinomial(sizes, nats):
    """Bootstrap a ratio as the books have it: draw as many documents as there are, with replacement."""
    random = np.random.default_rng(1)
    picks = random.integers(0, len(sizes), (4000, len(sizes)))
    return np.quantile(nats[picks].sum(1) / sizes[picks].sum(1), [0.025, 0.975])


def test_intervals_are_those_of_a_bootstrap_over_documents(tmp_path):
    folder = tmp_path / "warehouse"
    sizes, first, second = drawn(300, seed=5)
    for run, nats in (("a", first), ("b", second)):
        warehouse.record_dataset(folder, evaluation(tmp_path, run, scores=scored(sizes, nats)).folder)
    [found] = rows(folder, "from perplexity where run = 'a' and slice = 'all'")
    low, high = multinomial(sizes, first) * BITS
    width = high - low
    assert found["bits_per_byte_low"] == pytest.approx(low, abs=0.08 * width)
    assert found["bits_per_byte_high"] == pytest.approx(high, abs=0.08 * width)
    low, high = np.exp(multinomial(sizes // 5, first))
    assert found["word_perplexity_low"] == pytest.approx(low, abs=0.08 * (high - low))
    [pair] = rows(folder, "from paired_differences('a', 'b') where slice = 'all'")
    low, high = multinomial(sizes, first - second) * BITS
    assert pair["difference"] == pytest.approx((first - second).sum() / sizes.sum() * BITS)
    assert pair["difference_low"] == pytest.approx(low, abs=0.08 * (high - low))
    assert pair["difference_high"] == pytest.approx(high, abs=0.08 * (high - low))
    assert (high - low) * 5 < width  # pairing is what makes one per cent visible
    assert pair["won_share"] == pytest.approx((first < second).mean())
    assert pair["verdict"] == "b is better"


def test_the_same_documents_are_drawn_in_whatever_order_and_company(tmp_path):
    sizes, first, _ = drawn(50, seed=6)
    found = []
    for data, scores in ((tmp_path / "a", scored(sizes, first)), (tmp_path / "b", scored(sizes, first)[::-1])):
        warehouse.record_dataset(data / "warehouse", evaluation(data, "r", scores=scores).folder)
        found.append(rows(data / "warehouse", "from slice_sums select * exclude (evaluation) order by slice"))
    assert found[0] == found[1]


def test_an_evaluation_recorded_before_there_were_slices_gets_them_with_the_next(filled, tmp_path):
    shutil.copy(filled[0] / warehouse.PRIVATE, tmp_path)
    with warehouse.write(tmp_path) as con:
        con.execute("delete from slice_sums")
    assert numbers_by_check(tmp_path)["slice_sums"] == 4
    warehouse.record_dataset(tmp_path, evaluation(tmp_path, "late").folder)
    assert "slice_sums" not in numbers_by_check(tmp_path)


def test_domains_are_slices_of_their_own(tmp_path):
    folder = tmp_path / "warehouse"
    warehouse.record_dataset(folder, evaluation(tmp_path, "r").folder)
    with warehouse.write(folder) as con:
        con.execute("update evaluation_documents set domain = if(document = 'wiki:2', 'romance', source)")
        con.execute("delete from slice_sums")
        add_slices(con)
    [found] = rows(folder, "from perplexity where slice = 'domain'")
    assert (found["domain"], found["source"], found["documents"], found["nats"]) == ("romance", "wiki/romance", 1, 30.0)
    assert "slice_sums" not in numbers_by_check(folder)


def test_perplexity_is_never_infinite(tmp_path):
    folder = tmp_path / "warehouse"
    scores = [
        ("w:1", "w", "en", 9e5, 5, 0, 20),
        ("w:2", "w", "en", math.nan, 5, 1, 20),
        ("v:1", "v", None, 9e5, 1, 1, 0),
    ]
    warehouse.record_dataset(folder, evaluation(tmp_path, "r", scores=scores).folder)
    found = rows(folder, "from perplexity")
    assert {row["source"] for row in found} == {"w", "v", "all"}
    ratios = [row[key] for row in found for key in row if "per" in key]
    assert ratios
    assert all(value is None for value in ratios)
    assert numbers_by_check(folder)["impossible_values"] == 1


def test_leaderboard_ranks_only_what_may_be_compared(filled, tmp_path):
    folder = tmp_path / "warehouse"
    halved = [(d, s, lang, nats / 2, *rest) for d, s, lang, nats, *rest in SCORES]
    cases = {
        "a": evaluation(tmp_path, "a"),
        "b": evaluation(tmp_path, "b", scores=halved, protocol=PROTOCOL.replace("bpe512", "bpe9")),
        "other window": evaluation(tmp_path, "c", protocol=PROTOCOL.replace("win:256", "win:512")),
        "other documents": evaluation(tmp_path, "d", scores=SCORES[:2]),
        "other set": evaluation(tmp_path, "e", set_name="valid"),
    }
    for manifest in cases.values():
        warehouse.record_dataset(folder, manifest.folder)
    places = {row["run"]: row["place"] for row in rows(folder, "from leaderboard")}
    assert places == {"a": 2, "b": 1, "c": 1, "d": 1, "e": 1}
    best = warehouse.run_query(folder, "best_model_per_source").to_pylist()
    assert ("test", "wiki", "b") in {(row["set"], row["source"], row["run"]) for row in best}


def test_paired_difference_is_per_document(filled):
    folder, made = filled
    parameters = {"a": made["runs"]["lstm"], "b": made["runs"]["transformer"][:12]}
    answer = warehouse.run_query(folder, "compare", parameters).to_pylist()
    found = {row["source"]: row for row in answer if row["slice"] != "lang"}
    # nats of a minus b are a tenth of a's: 1 and 3 of 20 and 40 bytes
    wiki = found["wiki"]
    assert wiki["difference"] == pytest.approx(4 / 60 * BITS)
    assert wiki["difference_low"] == pytest.approx(1 / 20 * BITS)
    assert wiki["difference_high"] == pytest.approx(3 / 40 * BITS)
    assert (wiki["won_share"], wiki["worse_share"], wiki["documents"]) == (0.0, 1.0, 2)
    assert {row["verdict"] for row in answer} == {"not sure: fewer than 6 documents"}
    assert found["all"]["documents"] == 3


def test_of_several_evaluations_only_the_comparable_pairs_are_shown(tmp_path):
    folder = tmp_path / "warehouse"
    for run in ("a", "b"):
        for stride in ("stride:256", "stride:128"):
            warehouse.record_dataset(folder, evaluation(tmp_path, run, protocol=f"{PROTOCOL}|{stride}").folder)
    found = rows(folder, "from paired_differences('a', 'b') where slice = 'all' order by protocol_a")
    assert [(row["protocol_a"][-10:], row["protocol_b"][-10:]) for row in found] == [
        ("stride:128", "stride:128"),
        ("stride:256", "stride:256"),
    ]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"protocol": PROTOCOL.replace("win:256", "win:512")}, "the protocols differ: win:256 against win:512"),
        (
            {"protocol": PROTOCOL.replace("vocab:open-bpe512", "vocab:closed-word512")},
            "the protocols differ: vocab:open against vocab:closed-word512",
        ),
        (
            {"protocol": PROTOCOL.replace("vocab:open-bpe512", "vocab:lossy-bpe512")},
            "the protocols differ: vocab:open against vocab:lossy-bpe512",
        ),
        ({"scores": SCORES[:2]}, "they scored different documents"),
        ({"set_name": "valid"}, "the sets are test and valid"),
    ],
)
def test_unlike_evaluations_are_not_compared(tmp_path, change, reason):
    folder = tmp_path / "warehouse"
    for manifest in (evaluation(tmp_path, "a"), evaluation(tmp_path, "b", **change)):
        warehouse.record_dataset(folder, manifest.folder)
    found = rows(folder, "from paired_differences('a', 'b')")
    assert [(row["verdict"], row["difference"]) for row in found] == [(f"not comparable, because {reason}", None)]


def test_hole_rates_are_shares_of_articles_and_templates(filled):
    [found] = warehouse.run_query(filled[0], "hole_rates").to_pylist()
    assert (found["source"], found["hole_rate"], found["long_hole_rate"]) == ("wiki", 0.25, 0.0)
    assert (found["template_loss"], found["articles_with_lost_templates"]) == (0.1, 0)


def test_a_decontaminated_split_replaces_the_split_in_the_funnel(tmp_path):
    folder = tmp_path / "warehouse"
    made = corpus(tmp_path)
    split = next(manifest for manifest in made if manifest.stage == "split")
    removed = [("wiki", "en", "dropped", "contaminated", None, 4, 400, 80), *FUNNEL[1:]]
    last = dataset(tmp_path, "decontaminate", "demo", [*split.inputs, split.reference], {"funnel": removed})
    for manifest in (*made, last):
        warehouse.record_dataset(folder, manifest.folder)
    found = {row["source"]: row for row in warehouse.run_query(folder, "funnel").to_pylist()}
    assert (found["wiki"]["kept"], found["wiki"]["dropped"], found["wiki"]["documents_in"]) == (1, 5, 10)
    assert len(found) == 2
    assert numbers_by_check(folder) == {}


def test_funnel_adds_up_from_record_to_split(filled):
    found = warehouse.run_query(filled[0], "funnel").to_pylist()
    keys = ("source", "documents_in", "skipped", "quarantined", "dropped", "duplicates", "kept", "reasons")
    assert [tuple(row[key] for key in keys) for row in found] == [
        ("news", 4, 0, 0, 1, 0, 3, "max_digits 1"),
        ("wiki", 10, 2, 1, 1, 1, 5, "redirect 2, min_words 1"),
    ]


def test_tokens_per_source_gives_shares_of_the_split(filled):
    found = warehouse.run_query(filled[0], "tokens_per_source").to_pylist()
    assert [(r["split"], r["source"], r["tokens"], r["share"], r["bytes_per_token"]) for r in found] == [
        ("test", "wiki", 25, 1.0, 4.0),
        ("train", "news", 300, 0.75, pytest.approx(200 / 300)),
        ("train", "wiki", 100, 0.25, 4.0),
    ]


def test_an_evaluation_is_followed_to_its_raw_files(filled):
    folder, made = filled
    found = warehouse.run_query(folder, "where_from", {"id": made["datasets"][-1].fingerprint[:16]}).to_pylist()
    assert [row["name"] for row in found] == [
        "transformer", "tokens/demo", "split/demo", "tokenizer/demo", "clean/news", "clean/wiki",
        "ingest/news", "ingest/wiki", "news.warc", "wiki.xml",
    ]  # fmt: skip
    assert [(row["id"], row["bytes"]) for row in found if row["kind"] == "file"] == [
        ("bb" * 32, 500),
        ("aa" * 32, 1000),
    ]


# Checks


def test_checks_find_nothing_in_a_sound_warehouse(filled):
    assert numbers_by_check(filled[0]) == {}


@pytest.mark.parametrize(
    ("sql", "check"),
    [
        ("update slice_sums set bytes = bytes + 1 where source = 'news'", "slice_sums"),
        ("delete from datasets where stage = 'split'", "orphan_inputs"),
        ("update evaluation_documents set nats = nats + 1 where source = 'news'", "evaluation_sums"),
        ("insert into evaluation_documents from evaluation_documents limit 1", "evaluation_rows"),
        ("update counts set number = 8 where key = 'kept' and number = 7", "ingest_sums"),
        ("update funnel set documents = 7 where outcome = 'duplicate'", "funnel_sums"),
        ("update evaluation_documents set nats = 'nan'::double where source = 'news'", "impossible_values"),
        ("update token_stats set tokens = -1 where split = 'test'", "impossible_values"),
        ("insert into checkpoints values ('gone', 1, 'model', 'ff')", "checkpoints_without_training"),
        ("insert into training_metrics from training_metrics limit 1", "repeated_steps"),
    ],
)
def test_checks_find_what_does_not_add_up(filled, tmp_path, sql, check):
    shutil.copy(filled[0] / warehouse.PRIVATE, tmp_path)
    with warehouse.write(tmp_path) as con:
        con.execute(sql)
    assert check in numbers_by_check(tmp_path)


# Queries


def test_asking_before_anything_was_recorded_says_what_to_do(tmp_path):
    with pytest.raises(WarehouseError, match="Run a recipe first"):
        warehouse.query(tmp_path, "select 1")


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("insert into counts values ('d', 'k', 1)", "only reads, found insert"),
        ("drop table counts", "only reads, found drop"),
        ("create table extra (n int)", "only reads, found create"),
        ("copy counts to '/tmp/counts.csv'", "only reads, found copy"),
        ("from read_text('/etc/passwd')", "read-only and no other file"),
        ("attach '/tmp/other.duckdb'", "only reads, found attach"),
        ("install httpfs", "only reads, found"),
        ("set threads = 1", "only reads, found set"),
        ("select 1; drop table counts", "one SQL statement, found 2"),
        ("explain analyze copy (select 1) to '/tmp/counts.csv'", "only reads, found explain"),
        ("", "one SQL statement, found 0"),
        ("selec 1", "syntax error"),
        ("select * from nowhere", "nowhere"),
        ("select $n", "parameters"),
    ],
)
def test_a_query_that_is_no_question_is_refused(filled, sql, message):
    with pytest.raises(WarehouseError, match=message):
        warehouse.query(filled[0], sql)


def test_a_query_takes_parameters_as_values(filled):
    assert rows(filled[0], "select $text as text", text="'; drop table counts; --") == [
        {"text": "'; drop table counts; --"}
    ]


def test_a_query_that_takes_too_long_is_stopped(filled):
    with pytest.raises(WarehouseError, match=r"stopped after 0\.2 s"):
        warehouse.query(
            filled[0], "select sum(a.range * b.range) from range(10000000) a, range(1000000) b", timeout=0.2
        )


def test_a_reader_in_the_same_process_sees_a_new_publication(filled, tmp_path):
    """Guards against DuckDB giving a replaced file's old content while another connection is open."""
    started = threading.Event()
    with warehouse.write(tmp_path):
        pass

    def slow() -> None:
        started.set()
        warehouse.query(tmp_path, "select sum(a.range * b.range) from range(300000) a, range(3000) b, counts")

    thread = threading.Thread(target=slow)
    thread.start()
    started.wait()
    with warehouse.write(tmp_path) as con:
        con.execute("insert into counts values ('d', 'k', 1)")
    assert rows(tmp_path, "select number from counts") == [{"number": 1}]
    thread.join()


def test_saved_queries_have_a_question(filled):
    assert {saved.name for saved in warehouse.saved_queries()} >= {
        "leaderboard",
        "funnel",
        "tokens_per_source",
        "where_from",
    }
    assert all(saved.question.endswith(("?", ")")) for saved in warehouse.saved_queries())
    with pytest.raises(WarehouseError, match=r"no saved query 'leader'; expected one of .*leaderboard"):
        warehouse.run_query(filled[0], "leader")
