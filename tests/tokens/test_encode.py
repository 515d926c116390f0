"""Encoding: the same ids as tokenizers on everything, by whichever encoder."""

import bz2
import json
from pathlib import Path
from typing import Any

import gigatoken
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tokenizers import Tokenizer

from lmpipe.dataset import Execution
from lmpipe.tokens.encode import (
    HARD,
    encode,
    fast_encoder,
    load_encoder,
    reference_encoder,
    together,
    token_type,
    with_end,
    without_special,
)
from tests.conftest import Ingested
from tests.tokens.chosen import TEXTS, choose, learn, packed


@pytest.fixture(scope="module")
def gpt2(corpora: Path) -> dict[str, Any]:
    return json.loads((corpora / "tokenizers" / "gpt2" / "tokenizer.json").read_text(encoding="utf-8"))


def assert_equal_encoders(body: dict[str, Any], texts: list[str]) -> None:
    plain = json.dumps(without_special(body))
    fast, slow = fast_encoder(gigatoken.Tokenizer.from_json(plain)), reference_encoder(Tokenizer.from_str(plain))
    for text in texts:
        assert np.array_equal(fast([text])[0], slow([text])[0]), text[:80]
    for one, other in zip(fast(texts), slow(texts), strict=True):
        assert np.array_equal(one, other)


def test_fast_encoder_equals_tokenizers_on_hard_texts(ingested: Ingested, tmp_path: Path) -> None:
    path = learn(choose(tmp_path, ingested(TEXTS)), tmp_path).paths("tokenizer")[0]
    assert_equal_encoders(json.loads(path.read_text()), list(HARD))


def test_fast_encoder_equals_tokenizers_on_real_english_chinese_and_japanese(
    corpora: Path, gpt2: dict[str, Any]
) -> None:
    texts = [
        (corpora / "novels" / "gutenberg" / "pg-metamorphosis.txt").read_text(encoding="utf-8"),
        (corpora / "novels" / "zh" / "红楼梦.txt").read_text(encoding="utf-8")[:100_000],
    ]
    with bz2.open(corpora / "wikipedia" / "jawiki-sample.xml.bz2", "rt", encoding="utf-8") as file:
        texts.append(file.read(100_000))
    lines = [line for text in texts for line in text.splitlines(keepends=True)[:500]]
    assert_equal_encoders(gpt2, [*texts, *lines])


def test_fast_encoder_equals_tokenizers_on_hard_texts_and_very_long_runs_with_gpt2(gpt2: dict[str, Any]) -> None:
    every = "".join(map(chr, [*range(0x3000), *range(0xFE00, 0x10000), *range(0x1F300, 0x1FAFF)]))
    runs = [unit * 20_000 for unit in ("a", " ", "\n", "=", "7", "的", "é", "👩‍🚀", "ab ")]
    assert_equal_encoders(gpt2, [*HARD, every, *runs])


def test_tokenizer_that_gigatoken_cannot_load_is_encoded_by_tokenizers(ingested: Ingested, tmp_path: Path) -> None:
    path = learn(choose(tmp_path, ingested(TEXTS)), tmp_path, kind="word").paths("tokenizer")[0]
    ids, offsets = load_encoder(path)(["House number of the", "that xylophone"])
    assert offsets.tolist() == [0, 4, 6]
    assert [Tokenizer.from_file(str(path)).id_to_token(i) for i in ids] == [
        "House",
        "number",
        "of",
        "the",
        "that",
        "<unk>",
    ]


def test_tokenizer_that_gigatoken_reads_otherwise_is_encoded_by_tokenizers(
    ingested: Ingested, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path = learn(choose(tmp_path, ingested(TEXTS)), tmp_path).paths("tokenizer")[0]
    other = gigatoken.Tokenizer.from_json(learn_other(path))
    monkeypatch.setattr(gigatoken.Tokenizer, "from_json", staticmethod(lambda body: other))
    load_encoder.cache_clear()
    with caplog.at_level("WARNING"):
        ids, _ = load_encoder(path)(["House number"])
    assert "gigatoken gives other ids" in caplog.text
    assert Tokenizer.from_file(str(path)).decode(ids.tolist()) == "House number"


def learn_other(path: Path) -> str:
    """The same tokenizer without its merges."""
    body = json.loads(path.read_text())
    body["model"]["merges"] = []
    return json.dumps(body)


@pytest.mark.parametrize("kind", ["bpe", "unigram"])
def test_special_token_in_a_text_is_text(ingested: Ingested, tmp_path: Path, kind: str) -> None:
    path = learn(choose(tmp_path, ingested(TEXTS)), tmp_path, kind=kind).paths("tokenizer")[0]
    ids = load_encoder(path)(["before <|endoftext|> after"])[0]
    assert 0 not in ids.tolist()
    assert Tokenizer.from_file(str(path)).decode(ids.tolist()) == "before <|endoftext|> after"


def test_special_token_of_a_metaspace_unigram_is_text() -> None:
    vocabulary = [["</s>", 0.0], ["<unk>", -1.0], *[[c, -2.0] for c in "▁</s>ab"]]
    body = {
        "added_tokens": [{"id": 0, "content": "</s>", "special": True}, {"id": 1, "content": "<unk>", "special": True}]
    }
    body |= {"model": {"type": "Unigram", "unk_id": 1, "vocab": vocabulary, "byte_fallback": False}}
    ids = reference_encoder(Tokenizer.from_str(json.dumps(without_special(body))))(["a</s>b"])[0]
    assert [vocabulary[i][0] for i in ids] == list("a</s>b")


def test_ids_beyond_65535_are_kept_as_32_bits() -> None:
    assert token_type(1 << 16) == pa.uint16()
    assert token_type((1 << 16) + 1) == pa.uint32()
    ids, offsets = with_end(np.array([70_000, 1, 2]), np.array([0, 1, 1, 3]), 99_999, pa.uint32())
    assert ids.tolist() == [70_000, 99_999, 99_999, 1, 2, 99_999]
    assert offsets.tolist() == [0, 2, 3, 6]
    assert ids.dtype == np.uint32


def test_large_vocabulary_travels_to_the_shards(ingested: Ingested, tmp_path: Path) -> None:
    chosen = choose(tmp_path, ingested(TEXTS))
    body = json.loads(learn(chosen, tmp_path).paths("tokenizer")[0].read_text())
    body["added_tokens"].append(body["added_tokens"][0] | {"id": 99_999, "content": "<|end|>"})
    (tmp_path / "large.json").write_text(json.dumps(body))
    learnt = learn(chosen, tmp_path, path="large.json", end_of_text="<|end|>")
    manifest = packed(chosen, tmp_path, learnt=learnt)
    with pa.memory_map(str(manifest.paths("train")[0])) as source:
        tokens = pa.ipc.open_file(source).get_batch(0).column("tokens")
        assert tokens.type == pa.uint32()
        assert tokens.to_pylist()[-1] == manifest.settings["end_of_text"] == 99_999


def test_any_number_of_workers_gives_the_same_ids(ingested: Ingested, tmp_path: Path) -> None:
    chosen = choose(tmp_path, ingested(TEXTS, units=3))
    learnt = learn(chosen, tmp_path)
    one = encode(chosen, learnt, tmp_path, Execution())
    before = [(shard.path, shard.sha256) for shard in one.shards]
    (one.folder / "manifest.json").unlink()
    two = encode(chosen, learnt, tmp_path, Execution(workers=2))
    assert [(shard.path, shard.sha256) for shard in two.shards] == before


def test_documents_are_encoded_in_groups_of_some_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lmpipe.tokens.encode.TOGETHER", 1000)
    texts = [["a" * 400] * 2, [], ["b" * 900], ["c" * 5000], ["d"]]
    groups = list(together(pa.RecordBatch.from_pydict({"text": pa.array(batch, pa.string())}) for batch in texts))
    assert [group.num_rows for group in groups] == [3, 1, 1]
    assert [text for group in groups for text in group.column("text").to_pylist()] == [
        text for batch in texts for text in batch
    ]
    assert list(together(iter([]))) == []


def test_a_row_group_of_the_index_holds_what_was_encoded_together(ingested: Ingested, tmp_path: Path) -> None:
    chosen = choose(tmp_path, ingested([f"{number} {text}" for number in range(40) for text in TEXTS]))
    learnt = learn(chosen, tmp_path)
    (index,) = encode(chosen, learnt, tmp_path, Execution()).paths("index")
    table = pq.read_table(index)
    assert pq.read_metadata(index).num_row_groups == 1 < table.num_rows / 512
    assert table["start"].to_pylist()[1:] == np.cumsum(table["length"].to_numpy())[:-1].tolist()
