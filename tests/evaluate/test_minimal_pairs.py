"""Sentence pairs: the model's own sums, ties that are ties, and shares with their intervals in the warehouse."""

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from lmpipe import warehouse
from lmpipe.dataset import Execution, Manifest
from lmpipe.evaluate.minimal_pairs import PAIRS, score_pairs
from lmpipe.evaluate.scorer import open_scorer
from lmpipe.settings import PairSet
from tests.results_corpus import SCHEMAS, dataset, fill, rows


def scored(run: Path, data: Path, lines: list[dict[str, Any]], workers: int = 1) -> Manifest:
    path = data / "mine.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)))
    chosen = PairSet(name="mine", paths=(), format="jsonl")
    return score_pairs(run, chosen, [path], data, Execution(workers=workers))


def test_each_side_has_its_sum_its_tokens_and_its_bytes_without_the_context(probed: Path, tmp_path: Path) -> None:
    line = {"good": "the lane was empty", "bad": "门没有锁", "context": "People said"}
    (row,) = pq.read_table(scored(probed, tmp_path, [line]).paths("pairs")[0]).to_pylist()
    scorer = open_scorer(probed)
    context, good = scorer.encode(["People said", " the lane was empty"])
    wanted = scorer.score([[*context, *good]])[0][len(context) :]
    assert row["nats_first"] == pytest.approx(wanted.sum(), abs=1e-4)
    assert (row["tokens_first"], row["bytes_first"], row["bytes_second"]) == (len(good), 18, 12)


def test_equal_texts_tie_whatever_is_scored_beside_them(probed: Path, tmp_path: Path) -> None:
    lines = [{"good": f"door {n}", "bad": f"door {n}"} for n in range(7)] + [{"good": "a " * 40, "bad": "b"}]
    table = pq.read_table(scored(probed, tmp_path, lines).paths("pairs")[0]).to_pylist()
    assert [row["nats_first"] == row["nats_second"] for row in table] == [True] * 7 + [False]


def pair(number: int, nats: tuple[float, float], topic: str, **changes: Any) -> dict[str, Any]:
    row = {"run": "r", "checkpoint": "c", "set": "s", "protocol": "pairs|v:1", "pair": str(number), "topic": topic}
    row |= {"part": f"{topic}-1", "contrast": "good/bad", "nats_first": nats[0], "nats_second": nats[1]}
    return row | {f"{what}_{side}": 4 for what in ("tokens", "bytes") for side in ("first", "second")} | changes


def recorded(tmp_path: Path, pairs: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setitem(SCHEMAS, "pairs", PAIRS)
    made = dataset(tmp_path, "pairs", "r-s", [], {"pairs": pairs})
    warehouse.record_dataset(tmp_path / "warehouse", made.folder)
    return tmp_path / "warehouse"


def test_accuracy_counts_a_tie_as_half_and_has_wilsons_interval(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nats = [(1.0, 2.0)] * 7 + [(2.0, 1.0)] * 2 + [(1.0, 1.0)]
    pairs = [pair(n, sides, "agreement") for n, sides in enumerate(nats)] + [pair(99, (2.0, 1.0), "binding")]
    folder = recorded(tmp_path, pairs, monkeypatch)
    found = {row["topic"]: row for row in rows(folder, "select * from pair_accuracy where level <> 'part'")}
    one = found["agreement"]
    assert (one["pairs"], one["ties"], one["accuracy"]) == (10, 1, 0.75)
    # p = 0.75, n = 10: (p + z2/2n -+ z sqrt(p(1-p)/n + z2/4n2)) / (1 + z2/n), by hand
    assert (one["accuracy_low"], one["accuracy_high"]) == (
        pytest.approx(0.4422, abs=1e-4),
        pytest.approx(0.9190, abs=1e-4),
    )
    assert (found["binding"]["accuracy"], found["binding"]["accuracy_low"]) == (0, 0)
    assert found["all"]["accuracy"] == pytest.approx(7.5 / 11)


def test_stereoset_is_the_mean_over_targets_by_nats_per_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = []
    for number, (part, stereo, anti, unrelated) in enumerate(
        [("smith", 1, 2, 3), ("smith", 2, 1, 3), ("nurse", 1, 2, 0)]
    ):
        sides = {"stereotype": float(stereo), "antistereotype": float(anti), "unrelated": float(unrelated)}
        for contrast in ("stereotype/antistereotype", "stereotype/unrelated", "antistereotype/unrelated"):
            first, _, second = contrast.partition("/")
            nats = sides[first], sides[second]
            pairs.append(
                pair(len(pairs), nats, "profession", part=part, contrast=contrast, pair=f"{number}:{contrast}")
            )
    folder = recorded(tmp_path, pairs, monkeypatch)
    (row,) = rows(folder, "select * from stereoset where topic = 'all'")
    # smith: ss 50, lms 100; nurse: ss 100, lms 0
    assert (row["items"], row["targets"], row["ss"], row["lms"]) == (3, 2, 75.0, 50.0)
    assert row["icat"] == pytest.approx(50 * 25 / 50)


def test_per_token_preference_divides_each_side_by_its_tokens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = recorded(tmp_path, [pair(1, (4.0, 3.0), "x", tokens_first=4, tokens_second=2)], monkeypatch)
    (row,) = rows(folder, "select preferred, preferred_per_token from pair_preferences")
    assert row == {"preferred": 0, "preferred_per_token": 1}


def test_bias_stands_beside_bits_per_byte_of_the_same_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, made = fill(tmp_path)
    run = made["runs"]["lstm"]
    monkeypatch.setitem(SCHEMAS, "pairs", PAIRS)
    pairs = [pair(n, (1.0, 2.0), "age", run=run, checkpoint="cc" * 32, contrast="more/less") for n in range(4)]
    warehouse.record_dataset(folder, dataset(tmp_path, "pairs", "r-s", [], {"pairs": pairs}).folder)
    (row,) = (row for row in warehouse.run_query(folder, "fairness").to_pylist() if row["bias_type"] == "all")
    (wanted,) = rows(folder, "select bits_per_byte from leaderboard where run = $run", run=run)
    assert (row["name"], row["bias"], row["bits_per_byte"]) == ("lstm", 1, wanted["bits_per_byte"])
