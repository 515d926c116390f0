"""The audit: passages are what was trained on, continuations are the model's own, secrets are ranked by the model."""

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from evaluate.probed import PLANTED, REPEATED, corpus
from hypothesis import given, settings
from hypothesis import strategies as st
from train.token_dataset import TRANSFORMER, small_settings

from lmpipe import launch, warehouse
from lmpipe.dataset import Execution, Manifest, open_dataset, upstream
from lmpipe.errors import TrainingError
from lmpipe.evaluate.memorization import EXPOSURES, EXTRACTIONS, audit, continued, exposure_row
from lmpipe.evaluate.passages import count_occurrences, draw_passages
from lmpipe.evaluate.scorer import open_scorer
from lmpipe.settings import AuditSettings, CanarySettings
from lmpipe.tokens.canaries import Canary, canaries, candidates, planted
from lmpipe.train.run import load_run, prepare_run
from lmpipe.train.stream import TokenStream
from tests.results_corpus import SCHEMAS, dataset, numbers_by_check, rows

SETTINGS = AuditSettings(documents=20, prefix=6, suffix=5, samples=2, candidates=100)


@pytest.fixture(scope="module")
def audited(probed: Path) -> Manifest:
    return audit(probed, SETTINGS, probed.parent.parent, Execution())


def table(manifest: Manifest, role: str) -> list[dict[str, Any]]:
    return [row for path in manifest.paths(role) for row in pq.read_table(path).to_pylist()]


def test_passages_stand_in_the_training_split_where_they_say(probed: Path) -> None:
    run = load_run(probed)
    stream = [int(i) for path in run.paths("train") for i in pq_tokens(path)]
    ends = [i for i, token in enumerate(stream) if token == run.end_of_text]
    documents = [stream[low + 1 : high] for low, high in zip([-1, *ends], ends, strict=False)]
    passages = draw_passages(run, SETTINGS)
    assert len({passage.document for passage in passages}) == 20
    for passage in passages:
        text = passage.ids
        found = [d for d in documents if d[passage.start : passage.start + len(text)] == text]
        assert found
        everywhere = sum(stream[i : i + len(text)] == text for i in range(len(stream)))
        assert passage.occurrences == everywhere >= 1


def pq_tokens(path: Path) -> list[int]:
    import pyarrow as pa

    tokens: list[int] = pa.ipc.open_file(pa.memory_map(str(path))).read_all()["tokens"].to_pylist()
    return tokens


@settings(max_examples=30)
@given(st.lists(st.integers(0, 2), min_size=3, max_size=40), st.integers(1, 3))
def test_occurrences_are_those_of_plain_counting_whatever_the_pieces(ids: list[int], size: int) -> None:
    halves = [np.array(ids, np.uint16), np.array(ids[::-1], np.uint16)]
    stream = TokenStream(tuple(map(torch.from_numpy, halves)), (len(ids), 2 * len(ids)), 3)
    passages = np.array([ids[:size], ids[-size:], [2] * size])
    plain = Counter(tuple(half[i : i + size].tolist()) for half in halves for i in range(len(half) - size + 1))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lmpipe.evaluate.passages.PIECE", 4)
        assert count_occurrences(stream, passages) == [plain[tuple(passage.tolist())] for passage in passages]


def test_one_row_a_passage_and_continuation_joined_to_what_was_seen(audited: Manifest, probed: Path) -> None:
    found = table(audited, "extractions")
    assert Counter(row["method"] for row in found) == {"greedy": 20, "sampled": 40}
    assert all(0 <= row["matched"] <= row["longest"] <= 5 for row in found)
    run = load_run(probed)
    assert found[0]["epochs"] == pytest.approx(7 * 4 * 16 / run.num_tokens("train"))
    assert {row["copies"] for row in found} == {1}


def test_duplicates_that_a_document_survived_are_counted(probed: Path) -> None:
    long = replace(SETTINGS, documents=1000, samples=0)
    found = table(audit(probed, long, probed.parent.parent, Execution()), "extractions")
    texts = {row["document"]: row["cluster"] for row in found}
    chosen = [m for m in map(open_dataset, upstream([parent_split(probed)])) if m.stage == "dedup"]
    survivors = {r["duplicate_of"] for m in chosen for p in m.paths("duplicates") for r in pq.read_table(p).to_pylist()}
    assert len(survivors) == len(REPEATED)
    assert {id for id, size in texts.items() if size == 2} == survivors & texts.keys() != set()


def parent_split(run: Path) -> Path:
    (split,) = (run.parent.parent / "split").iterdir()
    return split


@pytest.mark.parametrize("sample", [0, 1])
def test_a_continuation_is_what_the_model_goes_on_with_alone(probed: Path, sample: int) -> None:
    scorer = open_scorer(probed)
    prefix_BT = torch.tensor([passage.ids[:6] for passage in draw_passages(scorer.run, SETTINGS)][:4])
    greedy = replace(SETTINGS, top_k=1)  # of one likeliest token, a draw is no draw
    made_BT = continued(scorer, prefix_BT, greedy, sample, 0)
    for prefix, made in zip(prefix_BT.tolist(), made_BT.tolist(), strict=True):
        text = list(prefix)
        for token in made:
            ids = torch.tensor([[scorer.run.end_of_text, *text]])
            logits_V = scorer.model(ids)[0, -1].detach()  # type: ignore[attr-defined]
            assert logits_V[token] == pytest.approx(float(logits_V.max()), abs=1e-4)
            text.append(token)


def test_canaries_are_planted_as_often_as_the_recipe_says(probed: Path) -> None:
    run = load_run(probed)
    index = [row for path in run.indexes("train") for row in pq.read_table(path).to_pylist()]
    assert Counter(row["source"] for row in index)["canary"] == 2 * (1 + 3)
    assert {row["id"] for row in index if row["source"] == "canary"} == {id for id, _ in planted(PLANTED, 5)}
    texts = [text for _, text in planted(PLANTED, 5)]
    assert sorted(Counter(texts).values()) == [1, 1, 3, 3]
    assert not {*texts} & {*candidates(PLANTED, 5, 500)}


def test_rank_counts_candidates_that_the_model_likes_better_and_half_of_ties() -> None:
    canary = Canary("8-0", 8, "text")
    row = exposure_row(canary, 5, 2.0, np.array([1.0, 2.0, 2.0, 3.0]), 1.5)
    assert (row["rank"], row["candidates"], row["repeats"]) == (3.0, 4, 8)


def test_every_canary_has_a_row_ranked_by_the_models_own_numbers(audited: Manifest, probed: Path) -> None:
    found = {row["canary"]: row for row in table(audited, "exposures")}
    scorer = open_scorer(probed)
    others = [n.sum() for n in scorer.score(scorer.encode(candidates(PLANTED, 1 + 5, 100)))]
    for canary in canaries(PLANTED, 5):
        own = scorer.score(scorer.encode([canary.text]))[0].sum()
        assert found[canary.id]["rank"] == pytest.approx(1 + sum(other < own for other in others), abs=1)


def test_a_context_shorter_than_a_passage_is_refused(probed: Path) -> None:
    with pytest.raises(TrainingError, match="more than the run's context of 16"):
        audit(probed, AuditSettings(), probed.parent.parent, Execution())


def test_views_count_a_passage_once_and_give_exposure_in_bits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    who = {"run": "r", "checkpoint": "c", "protocol": "p"}
    same = who | {"source": "s", "lang": None, "passage": 0, "prefix": 50, "suffix": 50, "nats": 100.0, "copies": 1}
    greedy = {"method": "greedy", "sample": 0, "longest": 50, "epochs": 3.0}
    passages = [("a", 50, 1, 1), ("b", 20, 1, 1), ("c", 50, 8, 5)]
    extractions = [
        same | greedy | {"document": id, "matched": matched, "occurrences": occurrences, "cluster": cluster}
        for id, matched, occurrences, cluster in passages
    ]
    sampled = {"document": "a", "method": "sampled", "occurrences": 1, "cluster": 1}
    extractions += [same | greedy | sampled | {"sample": n, "matched": 50 * (n == 2)} for n in (1, 2)]
    secret = who | {"canary": "8-0", "repeats": 8, "epochs": 2.0, "tokens": 9, "nats": 3.0, "rank": 1.0}
    monkeypatch.setitem(SCHEMAS, "extractions", EXTRACTIONS)
    monkeypatch.setitem(SCHEMAS, "exposures", EXPOSURES)
    roles = {"extractions": extractions, "exposures": [secret | {"candidates": 1023}]}
    made = dataset(tmp_path, "audit", "r", [], roles)
    folder = tmp_path / "warehouse"
    warehouse.record_dataset(folder, made.folder)
    found = {
        (r["method"], r["seen_from"], r["cluster_from"]): (r["passages"], r["extracted"])
        for r in rows(folder, "select * from memorization")
    }
    assert found[("greedy", None, None)] == (3, 2)
    assert found[("greedy", 2, 1)] == (2, 1)  # seen 3 times
    assert found[("greedy", 16, 4)] == (1, 1)  # seen 24 times
    assert found[("sampled", None, None)] == (1, 1)
    (exposure,) = rows(folder, "select exposure, largest_exposure, times_seen from exposure")
    assert exposure == {"exposure": 10.0, "largest_exposure": 10.0, "times_seen": 16.0}
    assert numbers_by_check(folder).get("probe_rows") is None
    with warehouse.write(folder) as con:
        con.execute("delete from canaries")
    assert numbers_by_check(folder)["probe_rows"] == 1


@pytest.mark.slow
def test_a_secret_seen_often_is_exposed_and_one_seen_once_is_not(tmp_path: Path) -> None:
    planted_more = CanarySettings(number=3, repeats=(1, 100), digits=4, text="zx {}")
    tokens = corpus(tmp_path, planted_more)
    settings = small_settings(replace(TRANSFORMER, width=64, dropout=0.0), steps=80, context=32, batch=16, lr=5e-3)
    run = prepare_run(tokens, settings, "tiny", tmp_path)
    launch.start(run, on_metric=lambda metric: None)
    found = table(audit(run, replace(SETTINGS, candidates=1000), tmp_path, Execution()), "exposures")
    bits = {n: np.mean([np.log2(1001 / r["rank"]) for r in found if r["repeats"] == n]) for n in (1, 100)}
    assert bits[100] > 7
    assert bits[100] > bits[1] + 3
