"""Scores: the chain rule, the same numbers as evaluation, whatever form texts come and go in."""

import io
import json
import math
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from apply.runs import LSTM, TEXTS, TRANSFORMER, random_run
from apply.test_generate import damage
from typer.testing import CliRunner

from lmpipe.apply.files import STANDARD, Text, read_texts
from lmpipe.apply.score import score_texts
from lmpipe.cli import app
from lmpipe.dataset import Execution
from lmpipe.errors import InputError, TrainingError
from lmpipe.evaluate.perplexity import evaluate
from lmpipe.evaluate.scorer import open_scorer
from lmpipe.settings import EvaluateSettings, Model
from lmpipe.warehouse import query

BATCH = [Text(str(number), text) for number, text in enumerate(TEXTS)]


@pytest.mark.parametrize("model", [LSTM, TRANSFORMER])
def test_scores_are_those_of_evaluation(tmp_path: Path, model: Model) -> None:
    run = random_run(tmp_path, model, context=16)
    manifest = evaluate(run, EvaluateSettings(context=16, strides=("disjoint",)), tmp_path, Execution())
    rows = [row for path in manifest.paths("evaluations") for row in pq.read_table(path).to_pylist()]
    nats = {len(TEXTS) - int(row["document"].rsplit("-", 1)[1]): row["nats"] for row in rows}
    assert len(nats) == len(TEXTS)
    for number, row in enumerate(score_texts(open_scorer(run), BATCH)):
        assert -row["log_probability"] == pytest.approx(nats[number], abs=1e-5)


def test_tokens_add_up_to_the_text_in_every_base(tmp_path: Path) -> None:
    scorer = open_scorer(random_run(tmp_path))
    natural = list(score_texts(scorer, BATCH, per_token=True))
    for row in natural:
        assert "".join(row["tokens"]) == row["text"] or "\ufffd" in "".join(row["tokens"])
        assert sum(row["log_probabilities"]) == pytest.approx(row["log_probability"], abs=1e-4)
    for base, unit in (("2", math.log(2)), ("10", math.log(10))):
        for row, same in zip(score_texts(scorer, BATCH, base), natural, strict=True):  # type: ignore[arg-type]
            assert row["log_probability"] * unit == pytest.approx(same["log_probability"], abs=1e-4)


def test_nan_weights_are_refused(tmp_path: Path) -> None:
    run = random_run(tmp_path)
    damage(run, math.nan)
    with pytest.raises(TrainingError, match="0: expected finite log probabilities"):
        list(score_texts(open_scorer(run), BATCH))


def test_texts_are_read_from_every_form(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one\n\n三\n", encoding="utf-8")
    (tmp_path / "b.jsonl").write_text('"four"\n{"id": 7, "prompt": "five"}\n')
    pq.write_table(pa.table({"text": ["six"], "other": [1]}), tmp_path / "c.parquet")
    found = list(read_texts([tmp_path / name for name in ("a.txt", "b.jsonl", "c.parquet")]))
    assert [text.text for text in found] == ["one", "", "三", "four", "five", "six"]
    assert [text.id for text in found][2:] == ["a.txt:3", "b.jsonl:1", "7", "c.parquet:1"]


@pytest.mark.parametrize(
    ("name", "body", "message"),
    [
        ("a.jsonl", b'{"title": "x"}\n', "line 1: expected a text in text or prompt, found None"),
        ("a.jsonl", b"{\n", "line 1: not JSON"),
        ("a.txt", b"\xff\xfe", "not UTF-8"),
        ("a.parquet", b"PAR1", "not readable as Parquet"),
        ("gone.txt", None, "no such file"),
    ],
)
def test_unreadable_input_is_named(tmp_path: Path, name: str, body: bytes | None, message: str) -> None:
    if body is not None:
        (tmp_path / name).write_bytes(body)
    with pytest.raises(InputError, match=message):
        list(read_texts([tmp_path / name]))


def test_the_command_answers_lines_and_records_their_sums(tmp_path: Path) -> None:
    run = random_run(tmp_path)
    (tmp_path / "in.txt").write_text("\n".join(TEXTS), encoding="utf-8")
    for out in ("out.jsonl", "out.parquet"):
        arguments = ["score", str(run), str(tmp_path / "in.txt"), "--out", str(tmp_path / out), "--base", "2"]
        assert CliRunner().invoke(app, arguments).exit_code == 0
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()]
    assert lines == pq.read_table(tmp_path / "out.parquet").to_pylist()
    streamed = CliRunner().invoke(app, ["score", str(run), "--base", "2", "--stream"], input="\n".join(TEXTS))
    values = [float(line.split("\t")[0]) for line in streamed.stdout.splitlines() if line.count("\t") == 2]
    assert values == pytest.approx([line["log_probability"] for line in lines], abs=1e-4)
    (row, _) = query(tmp_path / "warehouse", "select * from scores order by inputs").to_pylist()
    assert row["texts"] == len(TEXTS)
    assert -row["nats"] == pytest.approx(sum(line["log_probability"] for line in lines) * math.log(2), abs=1e-3)


def test_input_without_any_token_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = random_run(tmp_path)
    result = CliRunner().invoke(app, ["score", str(run)], input="\n\n")
    assert isinstance(result.exception, InputError)
    assert "expected texts with tokens, found none in 2 texts" in str(result.exception)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"a")))
    assert [text.text for text in read_texts([STANDARD])] == ["a"]
