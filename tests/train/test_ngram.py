"""N-gram models: the numbers of a plain implementation, however the stream is cut, and the published perplexities."""

import json
import math
import os
import zipfile
from collections import Counter, defaultdict
from itertools import chain
from pathlib import Path

import pytest
import torch
from train.token_dataset import END_OF_TEXT, VOCABULARY, make_documents, small_settings, tokens_dataset

from lmpipe.settings import NgramSettings
from lmpipe.train import counting, ngram
from lmpipe.train.__main__ import train_alone
from lmpipe.train.checkpoint import find_checkpoint
from lmpipe.train.model import Ngram
from lmpipe.train.ngram import FALLBACK, count_ngrams
from lmpipe.train.parallel import Ranks
from lmpipe.train.run import load_run, prepare_run
from lmpipe.train.stream import TokenStream

Documents = list[list[int]]


def stream_of(documents: Documents, vocabulary: int = VOCABULARY, end: int = END_OF_TEXT) -> TokenStream:
    ids = torch.tensor(list(chain.from_iterable([*document, end] for document in documents)), dtype=torch.int64)
    return TokenStream((ids,), (len(ids),), vocabulary)


def counted(documents: Documents, order: int, folder: Path) -> Ngram:
    tables = count_ngrams(stream_of(documents), END_OF_TEXT, order, folder, lambda order, size: None)
    return Ngram(tables, VOCABULARY, END_OF_TEXT).eval()


class Plain:
    """Interpolated modified Kneser-Ney as the paper has it, with dictionaries and tuples."""

    def __init__(self, documents: Documents, order: int) -> None:
        self.order = order
        seen: Counter[tuple[int | str, ...]] = Counter()
        for document in documents:
            sequence: list[int | str] = ["<s>", *document, END_OF_TEXT]
            for n in range(1, order + 1):
                for start in range(len(sequence) - n + 1):
                    seen[tuple(sequence[start : start + n])] += 1
        lefts = Counter(gram[1:] for gram in seen)
        self.counts: Counter[tuple[int | str, ...]] = Counter()
        for gram, number in seen.items():
            if gram == ("<s>",):
                continue
            self.counts[gram] = number if len(gram) == order or gram[0] == "<s>" else lefts[gram]
        self.discounts = [self.of_order(n) for n in range(1, order + 1)]
        self.totals: Counter[tuple[int | str, ...]] = Counter()
        self.left_over: dict[tuple[int | str, ...], float] = defaultdict(float)
        for gram, number in self.counts.items():
            self.totals[gram[:-1]] += number
            self.left_over[gram[:-1]] += self.discounts[len(gram) - 1][min(number, 3) - 1]

    def of_order(self, n: int) -> list[float]:
        times = Counter(number for gram, number in self.counts.items() if len(gram) == n)
        if not all(times[number] for number in (1, 2, 3, 4)):
            return list(FALLBACK)
        share = times[1] / (times[1] + 2 * times[2])
        found = [i - (i + 1) * share * times[i + 1] / times[i] for i in (1, 2, 3)]
        return found if all(0 <= d <= i for i, d in enumerate(found, 1)) else list(FALLBACK)

    def p(self, token: int, history: tuple[int | str, ...]) -> float:
        below = self.p(token, history[1:]) if history else 1 / VOCABULARY
        if self.order == 0 or not self.totals[history]:
            return below
        number = self.counts[(*history, token)]
        taken = number - self.discounts[len(history)][min(number, 3) - 1] if number else 0.0
        return (taken + self.left_over[history] * below) / self.totals[history]

    def nats(self, document: list[int]) -> list[float]:
        sequence: list[int | str] = ["<s>", *document]
        size = max(0, self.order - 1)
        return [
            -math.log(self.p(token, tuple(sequence[max(0, place + 1 - size) : place + 1]) if size else ()))
            for place, token in enumerate(document)
        ]


@pytest.mark.parametrize("order", [0, 1, 2, 3, 5])
def test_nats_are_those_of_a_plain_implementation(tmp_path: Path, order: int) -> None:
    documents, unseen = make_documents(120, 1), make_documents(20, 9)
    model, plain = counted(documents, order, tmp_path), Plain(documents, order)
    for document in filter(None, unseen):
        ids = torch.tensor([[END_OF_TEXT, *document]])
        assert model.nll(ids[:, :-1], ids[:, 1:])[0].tolist() == pytest.approx(plain.nats(document), abs=1e-9)


@pytest.mark.parametrize("order", [0, 1, 4])
def test_probabilities_of_the_next_token_sum_to_one_and_are_those_of_scoring(tmp_path: Path, order: int) -> None:
    model = counted(make_documents(120, 1), order, tmp_path)
    prompts = torch.tensor([[END_OF_TEXT, 3, 4, 5], [7, END_OF_TEXT, 59, 0]])
    logits_BV, state = model.next_logits(prompts, model.begin(2))
    assert logits_BV.exp().sum(dim=1).tolist() == pytest.approx([1, 1], abs=1e-9)
    for token in (0, 6, END_OF_TEXT):
        targets = torch.full((2, 1), token)
        whole = model.nll(prompts, torch.cat((prompts[:, 1:], targets), dim=1))[:, -1]
        assert whole.tolist() == pytest.approx((-logits_BV[:, token]).tolist(), abs=1e-9)
    again, _ = model.next_logits(torch.tensor([[6], [1]]), state)
    longer, _ = model.next_logits(torch.cat((prompts, torch.tensor([[6], [1]])), dim=1), model.begin(2))
    assert torch.allclose(again, longer)


@pytest.mark.parametrize("chunk", [1, 7, 64])
def test_counts_do_not_depend_on_how_the_stream_is_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    stream = stream_of(make_documents(40, 1))
    whole = count_ngrams(stream, END_OF_TEXT, 4, tmp_path, lambda order, size: None)
    monkeypatch.setattr(ngram, "CHUNK", chunk)
    cut = count_ngrams(stream, END_OF_TEXT, 4, tmp_path, lambda order, size: None)
    assert whole.keys() == cut.keys()
    assert all(torch.equal(whole[name], cut[name]) for name in whole)


def test_an_order_longer_than_every_document_adds_nothing(tmp_path: Path) -> None:
    documents = [[5], [5], [6], []]
    ids = torch.tensor([[END_OF_TEXT, 5]])
    short, long = (counted(documents, order, tmp_path).nll(ids[:, :-1], ids[:, 1:]) for order in (3, 7))
    assert float(long) == pytest.approx(float(short))


def test_training_leaves_a_run_like_any_other(tmp_path: Path) -> None:
    settings = small_settings(NgramSettings(kind="ngram", order=3))
    folder = prepare_run(tokens_dataset(tmp_path), settings, "demo", tmp_path)
    run = load_run(folder)
    ranks = Ranks(rank=0, size=1, device=torch.device("cpu"))
    assert train_alone(run, ranks, lambda: None) is None
    checkpoint = find_checkpoint(folder, "best")
    assert run.result is not None
    assert checkpoint is not None
    assert run.result["tokens"] == run.num_tokens("train")
    assert run.result["checkpoint_sha256"] == checkpoint.sha256
    (line,) = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert (line["split"], line["loss"]) == ("valid", run.result["valid_loss"])
    documents = list(chain(make_documents(40, 1), make_documents(30, 2)))
    nats = [n for document in make_documents(12, 3) for n in Plain(documents, 3).nats([*document, END_OF_TEXT])]
    assert line["loss"] == pytest.approx(sum(nats) / len(nats))
    assert not list(folder.glob(".counting-*"))


def test_a_signal_ends_the_counting_without_a_result(tmp_path: Path) -> None:
    settings = small_settings(NgramSettings(kind="ngram"))
    run = load_run(prepare_run(tokens_dataset(tmp_path), settings, "demo", tmp_path))
    assert counting.count(run, lambda: 15) == 15
    assert run.result is None
    assert find_checkpoint(run.folder) is None
    assert counting.count(run, lambda: None) is None
    assert run.result is not None


@pytest.mark.slow
@pytest.mark.parametrize(("order", "valid", "test"), [(3, 157.77, 148.28), (5, 148.01, 141.19), (0, 10_000, 10_000)])
def test_penn_treebank_has_the_known_perplexities(tmp_path: Path, order: int, valid: float, test: float) -> None:
    path = Path(os.environ.get("LMPIPE_CORPORA", "../shared/corpora")) / "benchmarks/ptb.zip"
    if not path.exists():
        pytest.skip(f"no {path}")
    with zipfile.ZipFile(path) as archive:
        parts = [archive.read(f"ptb.{part}.txt").decode().splitlines() for part in ("train", "valid", "test")]
    numbers: dict[str, int] = {}
    documents = [[[numbers.setdefault(word, len(numbers)) for word in line.split()] for line in part] for part in parts]
    end = len(numbers)
    assert end == 9_999
    train, *held_out = (stream_of(part, end + 1, end) for part in documents)
    tables = count_ngrams(train, end, order, tmp_path, lambda order, size: None)
    model = Ngram(tables, end + 1, end)
    for stream, expected in zip(held_out, (valid, test), strict=True):
        ids = torch.cat((torch.tensor([end]), stream.read(0, stream.num_tokens)))[None]
        assert math.exp(float(model.nll(ids[:, :-1], ids[:, 1:]).mean())) == pytest.approx(expected, abs=0.005)
