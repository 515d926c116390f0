"""Sets from outside: the published counts, a refusal of anything else, and one road to the rows for all of them."""

import hashlib
import json
import math
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pyarrow.parquet as pq
import pytest
import torch
from evaluate.test_perplexity import SETTINGS, rows_of
from results_corpus import evaluation
from sources.download.server import serve
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers
from torch import nn
from train.token_dataset import LSTM, make_documents, small_settings, tokens_dataset

from lmpipe import warehouse
from lmpipe.dataset import Execution, Manifest
from lmpipe.errors import DownloadError, InputError
from lmpipe.evaluate.perplexity import evaluate_set
from lmpipe.evaluate.published import PUBLISHED, Published
from lmpipe.evaluate.sets import evaluation_set, named_set
from lmpipe.evaluate.signature import read_vocabulary
from lmpipe.settings import HttpSettings, Model, NgramSettings, SetDownload, SetSettings, TokenizerSettings
from lmpipe.tokens.learn import learn_tokenizer
from lmpipe.train.checkpoint import find_checkpoint, save_checkpoint
from lmpipe.train.counting import count
from lmpipe.train.model import build_model
from lmpipe.train.progress import Progress
from lmpipe.train.run import load_run, prepare_run
from lmpipe.train.trained import open_model

WORDS = [f"w{number}" for number in range(58)]
NGRAM = NgramSettings(kind="ngram", order=3)
PASSAGES = ["w1 w2 w3 w4", "w5 w6", "w2 w2 w2 unheard w9", "w7 w8 w1 w2", "w3 unheard"]


def benchmark(name: str) -> str:
    path = Path(os.environ.get("LMPIPE_CORPORA", "../shared/corpora")) / "benchmarks" / name
    if not path.exists():
        pytest.skip(f"no {path}")
    return str(path)


def word_tokenizer() -> str:
    """61 tokens, as token_dataset's ids want them, but for the end-of-text token, which is the first here."""
    return learn_tokenizer([[" ".join(WORDS)]], TokenizerSettings(kind="word", vocabulary=61, end_of_text="<eos>"))


def word_run(folder: Path, model: Model) -> Path:
    """A run with a word tokenizer, counted, or with random weights."""
    shards = {"train": [make_documents(60, 1)], "valid": [make_documents(9, 3)]}
    tokens = tokens_dataset(folder, shards, word_tokenizer(), end_of_text=0)
    run = prepare_run(tokens, small_settings(model), "demo", folder)
    if model.kind == "ngram":
        assert count(load_run(run), lambda: None) is None
        return run
    torch.manual_seed(1)
    built = build_model(model, 61).eval()
    for parameter in built.parameters():
        nn.init.normal_(parameter, std=0.3)
    save_checkpoint(run, Progress(step=7), dict(built.named_parameters()), {})
    return run


def jsonl(path: Path, rows: list[dict[str, Any]]) -> SetSettings:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return SetSettings(name="own", path=str(path), id="key", domain="genre", lang="en")


def committed(settings: SetSettings, tmp_path: Path) -> Manifest:
    return evaluation_set(settings, tmp_path / "data", tmp_path, Execution())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "file", "split"),
    [
        ("ptb", "ptb.zip", "valid"),
        ("ptb", "ptb.zip", "test"),
        ("wikitext-2", "wikitext-2", "valid"),
        ("wikitext-2", "wikitext-2/test.txt", "test"),
        ("wikitext-103", "wikitext-2", "test"),
        ("wikitext-2-raw", "wikitext-2-raw", "test"),
        ("wikitext-2-raw", "wikitext-2-raw", "valid"),
        ("lambada", "lambada_openai.jsonl", "test"),
        ("brown", "brown.zip", "test"),
    ],
)
def test_published_sets_have_their_published_counts(
    tmp_path: Path, name: str, file: str, split: Literal["valid", "test"]
) -> None:
    settings = replace(named_set(f"{name}={benchmark(file)}"), split=split)
    manifest = committed(settings, tmp_path)
    assert manifest.counts["documents"] == pq.read_table(manifest.paths("documents")[0]).num_rows
    for key, number in PUBLISHED[name].counts[split].items():
        assert manifest.counts[key] == number
    if (name, split) == ("wikitext-2-raw", "test"):
        texts = pq.read_table(manifest.paths("documents")[0])["text"].to_pylist()
        assert sum(len(text.encode()) for text in texts) == 1_240_525
    if name == "brown":
        assert len(set(pq.read_table(manifest.paths("documents")[0])["domain"].to_pylist())) == 15


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("ptb", " no it was \n", r"ptb \(test\): expected 82,430 words, found 4"),
        ("text8", "a b c", r"text8 \(test\): expected 5,000,000 bytes, found 5"),
        ("lambada", '{"text": "one two"}\n', "expected 5,153 documents, found 1"),
        ("wikitext-2-raw", " = A = \n \n b \n", "expected 62 documents, found 1"),
        ("lambada", '{"question": "?"}\n', r"not of the published form \(KeyError\('context'\)\)"),
        ("brown", "ca01 news\n", "expected 500 documents, found 1"),
    ],
)
def test_a_file_that_is_not_the_published_one_is_refused(tmp_path: Path, name: str, content: str, message: str) -> None:
    (tmp_path / "file").write_text(content)
    with pytest.raises(InputError, match=message):
        committed(SetSettings(name=name, path="file"), tmp_path)


@pytest.mark.parametrize(
    ("path", "message"), [("nowhere", "no such file"), ("$NOT_SET_HERE/x", "environment variable not set")]
)
def test_a_set_without_files_is_refused(tmp_path: Path, path: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        committed(SetSettings(name="ptb", path=path), tmp_path)


def test_a_set_that_is_not_there_is_fetched_once(tmp_path: Path) -> None:
    body = b'{"text": "w1 w2"}\n'
    with serve({"/own.jsonl": body}) as server:
        settings = fetched_set(f"{server.url}/own.jsonl", hashlib.sha256(body).hexdigest())
        for _ in range(2):
            assert committed(settings, tmp_path).counts == {"bytes": 5, "documents": 1, "words": 2}
        assert len(server.asked("/own.jsonl")) == 1


def test_a_fetched_set_with_another_sha256_is_refused(tmp_path: Path) -> None:
    with (
        serve({"/own.jsonl": b'{"text": "w1 w2"}\n'}) as server,
        pytest.raises(DownloadError, match="sha256"),
    ):
        committed(fetched_set(f"{server.url}/own.jsonl", "0" * 64), tmp_path)


def fetched_set(url: str, sha256: str) -> SetSettings:
    http = HttpSettings(contact="you@example.org", private=True, requests_per_second=1000)
    download = SetDownload(url=url, http=http, sha256=sha256)
    return SetSettings(name="own", path="sets/own.jsonl", lang="en", download=download)


def test_a_split_that_a_set_does_not_have_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("{}")
    with pytest.raises(InputError, match="lambada has no split valid"):
        committed(SetSettings(name="lambada", path="file", split="valid"), tmp_path)


def test_name_and_path_are_both_needed_on_the_command_line() -> None:
    with pytest.raises(InputError, match="expected NAME=PATH"):
        named_set("ptb.zip")


@pytest.mark.parametrize("model", [LSTM, NGRAM])
def test_records_of_any_file_are_scored_with_their_domain(tmp_path: Path, model: Model) -> None:
    rows: list[dict[str, Any]] = [{"key": "a", "text": "w1 w2 unheard", "genre": "news"}]
    rows += [{"key": "b", "text": "w3", "genre": None}]
    chosen = committed(jsonl(tmp_path / "own.jsonl", rows), tmp_path)
    found = rows_of(evaluate_set(word_run(tmp_path, model), chosen, SETTINGS, tmp_path, Execution()))
    facts = [
        (row["document"], row["source"], row["domain"], row["tokens"], row["words"], row["bytes"], row["oov"])
        for row in found
    ]
    assert facts == [("own:a", "own", "news", 3, 3, 13, 1), ("own:b", "own", "own", 1, 1, 2, 0)]
    assert all(row["nats"] > 0 and row["correct"] is None for row in found)
    assert "|unit:word+eos|vocab:closed-word61@" in found[0]["protocol"]


def test_a_set_is_another_when_a_text_differs(tmp_path: Path) -> None:
    run, names = word_run(tmp_path, NGRAM), set()
    for text in ("w1 w2", "w1 w3"):
        chosen = committed(jsonl(tmp_path / "own.jsonl", [{"key": "a", "text": text, "genre": "x"}]), tmp_path)
        names.add(evaluate_set(run, chosen, SETTINGS, tmp_path, Execution()).settings["set"])
    assert len(names) == 2


def test_lines_of_a_word_level_set_close_with_a_token_that_is_scored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(PUBLISHED, "ptb", replace(PUBLISHED["ptb"], counts={"test": {"documents": 1}}))
    (tmp_path / "ptb.test.txt").write_text(" w1 w2 <unk> \n w3 \n")
    chosen = committed(SetSettings(name="ptb", path="ptb.test.txt"), tmp_path)
    (row,) = rows_of(evaluate_set(word_run(tmp_path, NGRAM), chosen, SETTINGS, tmp_path, Execution()))
    assert (row["tokens"], row["words"], row["bytes"], row["oov"]) == (6, 6, 19, 1)
    assert "|end:scored|" in row["protocol"]


@pytest.mark.parametrize("model", [LSTM, NGRAM])
def test_last_words_are_scored_and_guessed_as_a_plain_loop_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: Model
) -> None:
    few: Published = replace(PUBLISHED["lambada"], counts={"test": {"documents": len(PASSAGES)}})
    monkeypatch.setitem(PUBLISHED, "lambada", few)
    (tmp_path / "lambada.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in PASSAGES))
    chosen = committed(SetSettings(name="lambada", path="lambada.jsonl"), tmp_path)
    folder = word_run(tmp_path, model)
    rows = rows_of(evaluate_set(folder, chosen, SETTINGS, tmp_path, Execution()))
    logits_of = next_logits(folder)
    numbers = {word: i for i, word in enumerate(["<eos>", "<unk>", *sorted(WORDS)])}
    for row, passage in zip(rows, PASSAGES, strict=True):
        *prompt, target = [numbers.get(word, 1) for word in passage.split()]
        logits = logits_of([0, *prompt]).double()
        assert row["nats"] == pytest.approx(-float(logits.log_softmax(0)[target]), abs=1e-4)
        assert (row["tokens"], row["words"], row["correct"]) == (1, 1, int(int(logits.argmax()) == target != 1))


def next_logits(folder: Path) -> Callable[[list[int]], torch.Tensor]:
    checkpoint = find_checkpoint(folder)
    assert checkpoint is not None
    model = open_model(load_run(folder), checkpoint, torch.device("cpu"))
    with torch.no_grad():
        return lambda ids: model.next_logits(torch.tensor([ids]), model.begin(1))[0][0].detach()


def test_word_perplexity_of_the_harness_becomes_its_byte_perplexity_and_bits(tmp_path: Path) -> None:
    nats = math.log(8.7921) * 241_335
    score = [("wikitext:all", "wikitext-2-raw", "en", nats, 272_082, 241_335, 1_290_588)]
    warehouse.record_dataset(tmp_path / "warehouse", evaluation(tmp_path, "r", scores=score).folder)
    sql = "select word_perplexity, byte_perplexity, bits_per_byte from perplexity where slice = 'all'"
    (found,) = warehouse.query(tmp_path / "warehouse", sql).to_pylist()
    assert [round(value, 4) for value in found.values()] == [8.7921, 1.5016, 0.5865]


def test_kind_of_a_vocabulary_is_read_from_its_tokenizer(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    for kind, openness in (("bpe", "open"), ("unigram", "open"), ("char", "closed"), ("word", "closed")):
        text = learn_tokenizer([["a b"]], TokenizerSettings(kind=kind, vocabulary=300))  # type: ignore[arg-type]
        path.write_text(text, encoding="utf-8")
        vocabulary = read_vocabulary(path)
        assert (vocabulary.kind, vocabulary.openness) == (kind, openness)


@pytest.mark.parametrize(
    ("part", "step", "openness"),
    [
        ("normalizer", normalizers.NFKC(), "lossy"),
        ("normalizer", normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()]), "lossy"),
        ("normalizer", normalizers.Replace("a", "▁"), "lossy"),
        ("normalizer", normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]), "open"),
        ("normalizer", normalizers.NFC(), "open"),
        ("pre_tokenizer", pre_tokenizers.Whitespace(), "lossy"),
        ("pre_tokenizer", pre_tokenizers.Split(" ", "removed"), "lossy"),
        ("pre_tokenizer", pre_tokenizers.Split(Regex(r"\s+|\S+"), "removed", invert=True), "open"),
        ("pre_tokenizer", pre_tokenizers.Sequence([pre_tokenizers.Split(" ", "isolated")]), "open"),
    ],
)
def test_tokenizer_that_makes_the_same_of_two_texts_is_lossy(
    tmp_path: Path, part: str, step: object, openness: str
) -> None:
    tokenizer = Tokenizer(models.BPE({"a": 0}, []))
    setattr(tokenizer, part, step)
    (tmp_path / "tokenizer.json").write_text(tokenizer.to_str(), encoding="utf-8")
    assert read_vocabulary(tmp_path / "tokenizer.json").openness == openness
