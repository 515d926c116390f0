"""Evaluation: every held-out token once, the same sums however they are computed."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch
from torch import nn
from train.token_dataset import (
    END_OF_TEXT,
    LSTM,
    TRANSFORMER,
    VOCABULARY,
    make_documents,
    small_settings,
    tokens_dataset,
)

from lmpipe.dataset import Execution, Manifest
from lmpipe.errors import TrainingError
from lmpipe.evaluate import perplexity
from lmpipe.evaluate.perplexity import evaluate
from lmpipe.settings import EvaluateSettings, Model
from lmpipe.train.checkpoint import save_checkpoint
from lmpipe.train.model import LanguageModel, build_model
from lmpipe.train.progress import Progress
from lmpipe.train.run import load_run, prepare_run

SETTINGS = EvaluateSettings(context=16, batch=4, strides=("disjoint",))


def scored_run(tmp_path: Path, model: Model = TRANSFORMER, std: float = 0.3) -> tuple[Path, LanguageModel]:
    """Prepare a run and save a checkpoint of random weights, with no training."""
    run = prepare_run(tokens_dataset(tmp_path), small_settings(model), "demo", tmp_path)
    torch.manual_seed(1)
    built = build_model(model, VOCABULARY).eval()
    for parameter in built.parameters():
        nn.init.normal_(parameter, std=std)
    save_checkpoint(run, Progress(step=7), dict(built.named_parameters()), {})
    return run, built


def rows_of(manifest: Manifest) -> list[dict[str, Any]]:
    return [row for path in manifest.paths("evaluations") for row in pq.read_table(path).to_pylist()]


def held_out_documents() -> dict[str, list[int]]:
    """The documents of the split test by id, as token_dataset writes them."""
    shards = [make_documents(9, 4), make_documents(8, 5)]
    return {
        f"local:test-{number}-{len(shard) - position:03d}": document
        for number, shard in enumerate(shards)
        for position, document in enumerate(shard)
    }


@torch.no_grad()
def plain_nats(model: LanguageModel, document: list[int], context: int) -> float:
    """Score one document token by token, as the protocol says it in words."""
    ids, nats = [END_OF_TEXT, *document], 0.0
    for target in range(1, len(ids)):
        first = (target - 1) // context * context
        logits = model(torch.tensor([ids[first:target]]))[0, -1].double()
        nats -= float(torch.log_softmax(logits, 0)[ids[target]])
    return nats


@pytest.mark.parametrize("model", [LSTM, TRANSFORMER])
def test_nats_are_those_of_a_plain_loop_over_each_document(tmp_path: Path, model: Model) -> None:
    run, built = scored_run(tmp_path, model)
    rows = rows_of(evaluate(run, SETTINGS, tmp_path, Execution()))
    documents = held_out_documents()
    assert [row["document"] for row in rows] == sorted(documents)
    for row in rows:
        assert row["nats"] == pytest.approx(plain_nats(built, documents[row["document"]], 16), abs=1e-4)


def test_perplexity_is_the_vocabulary_when_the_model_is_uniform(tmp_path: Path) -> None:
    run, _ = scored_run(tmp_path, std=0.0)
    rows = rows_of(evaluate(run, SETTINGS, tmp_path, Execution()))
    nats, tokens = sum(row["nats"] for row in rows), sum(row["tokens"] for row in rows)
    assert math.exp(nats / tokens) == pytest.approx(VOCABULARY, rel=1e-6)


def test_every_token_bytes_and_words_are_counted_once(tmp_path: Path) -> None:
    run, _ = scored_run(tmp_path)
    manifest = evaluate(run, SETTINGS, tmp_path, Execution())
    documents = held_out_documents()
    for row in rows_of(manifest):
        size = len(documents[row["document"]])
        assert (row["tokens"], row["bytes"], row["words"], row["oov"]) == (size, 3 * size, size // 2, 0)
    total = load_run(run).num_tokens("test") - len(documents)
    assert manifest.counts == {"documents": len(documents), "tokens": total}


def test_sums_do_not_change_with_batch_size_or_workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, _ = scored_run(tmp_path)
    expected = rows_of(evaluate(run, SETTINGS, tmp_path, Execution()))
    monkeypatch.setattr(perplexity, "UNIT_TOKENS", 150)
    manifest = evaluate(run, replace(SETTINGS, batch=1), tmp_path / "other", Execution(workers=2))
    assert len(manifest.paths("evaluations")) > 1
    for row, other in zip(expected, rows_of(manifest), strict=True):
        assert row["document"] == other["document"]
        assert row["nats"] == pytest.approx(other["nats"], abs=1e-5 * max(1, row["tokens"]))


def test_protocol_says_how_the_score_was_made(tmp_path: Path) -> None:
    run, _ = scored_run(tmp_path)
    manifest = evaluate(run, SETTINGS, tmp_path, Execution())
    (protocol,) = manifest.settings["protocols"]
    parts = protocol.split("|")
    assert parts[0] == "ppl"
    assert parts[1].startswith("set:demo-test@sha256:")
    assert parts[5].startswith("vocab:open-bpe61@")
    assert parts[2:5] == ["text:raw", "count:orig", "unit:token"]
    assert parts[6:] == [
        "win:16",
        "stride:16",
        "reset:window",
        "first:eot",
        "end:unscored",
        "dyn:no",
        "dtype:fp32",
        "v:3",
    ]
    assert {row["protocol"] for row in rows_of(manifest)} == {protocol}


def test_rows_name_run_checkpoint_and_set(tmp_path: Path) -> None:
    run, _ = scored_run(tmp_path)
    manifest = evaluate(run, SETTINGS, tmp_path, Execution())
    loaded = load_run(run)
    assert manifest.name == "demo-tiny"
    assert manifest.settings["step"] == 7
    assert manifest.inputs[1] == loaded.tokens
    names = {(row["run"], row["checkpoint"], row["set"]) for row in rows_of(manifest)}
    assert names == {(loaded.fingerprint, manifest.inputs[0]["checkpoint"], manifest.settings["set"])}


def test_set_is_another_when_a_document_differs(tmp_path: Path) -> None:
    names = []
    for seed in (4, 5):
        data = tmp_path / str(seed)
        shards = {"train": [make_documents(40, 1)], "test": [make_documents(9, seed)]}
        run = prepare_run(tokens_dataset(data, shards), small_settings(), "demo", data)
        model = build_model(TRANSFORMER, VOCABULARY)
        save_checkpoint(run, Progress(step=7), dict(model.named_parameters()), {})
        names.append(evaluate(run, SETTINGS, data, Execution()).settings["set"])
    assert names[0] != names[1]


def test_evaluate_refuses_a_run_without_a_checkpoint(tmp_path: Path) -> None:
    run = prepare_run(tokens_dataset(tmp_path), small_settings(), "demo", tmp_path)
    with pytest.raises(TrainingError, match="no usable checkpoint"):
        evaluate(run, SETTINGS, tmp_path, Execution())


def test_evaluate_refuses_a_split_without_documents(tmp_path: Path) -> None:
    run = prepare_run(tokens_dataset(tmp_path, {"train": [make_documents(40, 1)]}), small_settings(), "demo", tmp_path)
    model = build_model(TRANSFORMER, VOCABULARY)
    save_checkpoint(run, Progress(step=7), dict(model.named_parameters()), {})
    with pytest.raises(TrainingError, match="no document of the split test"):
        evaluate(run, SETTINGS, tmp_path, Execution())


def test_carried_state_scores_a_document_as_if_it_were_one_window(tmp_path: Path) -> None:
    run, _ = scored_run(tmp_path, LSTM)
    whole = rows_of(
        evaluate(run, EvaluateSettings(context=1000, batch=1, strides=("disjoint",)), tmp_path, Execution())
    )
    for context, batch in ((16, 4), (5, 3), (7, 1)):
        settings = EvaluateSettings(context=context, batch=batch, carry=True)
        carried = rows_of(evaluate(run, settings, tmp_path, Execution()))
        assert [row["nats"] for row in carried] == pytest.approx([row["nats"] for row in whole], abs=1e-3)
        assert "|reset:doc|" in carried[0]["protocol"]


def test_carried_state_is_refused_for_a_transformer(tmp_path: Path) -> None:
    run, _ = scored_run(tmp_path)
    with pytest.raises(TrainingError, match="a model whose state has one size"):
        evaluate(run, EvaluateSettings(carry=True), tmp_path, Execution())


def test_closing_token_is_scored_when_the_recipe_says_so(tmp_path: Path) -> None:
    run, _ = scored_run(tmp_path, std=0.0)
    open_ended, closed = (
        rows_of(evaluate(run, replace(SETTINGS, end=end), tmp_path, Execution())) for end in (False, True)
    )
    assert [row["tokens"] for row in closed] == [row["tokens"] + 1 for row in open_ended]
    assert all(row["nats"] == pytest.approx(row["tokens"] * math.log(VOCABULARY), abs=1e-4) for row in closed)
    assert "|end:scored|" in closed[0]["protocol"]


def test_half_windows_score_each_token_once_with_half_a_window_before_it(tmp_path: Path) -> None:
    run, built = scored_run(tmp_path)
    rows = rows_of(evaluate(run, replace(SETTINGS, strides=("half",)), tmp_path, Execution()))
    documents = held_out_documents()
    assert [row["document"] for row in rows] == sorted(documents)
    for row in rows:
        assert "|win:16|stride:8|" in row["protocol"]
        expected = overlapping_nats(built, documents[row["document"]], 16, 8)
        assert row["nats"] == pytest.approx(expected, abs=1e-4)


@torch.no_grad()
def overlapping_nats(model: LanguageModel, document: list[int], context: int, stride: int) -> float:
    """Score one document token by token, each in the first window that holds it."""
    ids, nats = [END_OF_TEXT, *document], 0.0
    for target in range(1, len(ids)):
        window = 0 if target <= context else -(-(target - context) // stride)
        logits = model(torch.tensor([ids[window * stride : target]]))[0, -1].double()
        nats -= float(torch.log_softmax(logits, 0)[ids[target]])
    return nats


def test_both_strides_are_scored_unless_one_is_switched_off(tmp_path: Path) -> None:
    run, _ = scored_run(tmp_path)
    manifest = evaluate(run, EvaluateSettings(context=16), tmp_path, Execution())
    rows = rows_of(manifest)
    assert sorted({row["protocol"].split("|")[7] for row in rows}) == ["stride:16", "stride:8"]
    assert len(rows) == 2 * len(held_out_documents())
    assert manifest.counts["documents"] == len(held_out_documents())


def test_domain_is_the_source_where_the_document_has_none(tmp_path: Path) -> None:
    run, _ = scored_run(tmp_path)
    assert {row["domain"] for row in rows_of(evaluate(run, SETTINGS, tmp_path, Execution()))} == {"local"}
