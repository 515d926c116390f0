"""From chosen documents to token shards: every kept document once, its bytes restorable, in a shuffled order."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tokenizers import Tokenizer

from lmpipe.curate.clean import clean
from lmpipe.curate.decide import decide
from lmpipe.curate.dedup import dedup
from lmpipe.curate.split import split
from lmpipe.dataset import Execution, Manifest
from lmpipe.errors import InputError
from lmpipe.settings import (
    CleanSettings,
    DedupSettings,
    ProfileSettings,
    SplitSettings,
    TokenizerSettings,
    TokensSettings,
)
from lmpipe.tokens.encode import encode, load_encoder, reference_encoder, token_stream, without_special
from lmpipe.tokens.pack import pack
from lmpipe.tokens.tokenizer import tokenizer
from tests.conftest import Ingested

TEXTS = [
    f"House number {n} of the lane was empty that winter, and the wind had got into the habit of living there. "
    f"People said that {n * 7} doors had been shut in it, 一共{n}扇门， and that none of them was ever locked."
    for n in range(60)
]


def choose(documents: Manifest, data: Path) -> Manifest:
    cleaned = clean(documents, data, CleanSettings(), Execution())
    kept = decide(cleaned, data, ProfileSettings(), Execution())
    return split(
        dedup([kept], "tiny", data, DedupSettings(), Execution()), data, SplitSettings(test=0.2), 1, Execution()
    )


def learn(chosen: Manifest, data: Path, **settings: Any) -> Manifest:
    return tokenizer(chosen, data, TokenizerSettings(**{"vocabulary": 500} | settings), 1, data, Execution())


def packed(documents: Manifest, data: Path, shard_tokens: int = 500) -> Manifest:
    chosen = choose(documents, data)
    encoded = encode(chosen, learn(chosen, data), data, Execution())
    return pack(encoded, data, TokensSettings(shard_tokens=shard_tokens), 1, Execution())


def shards(manifest: Manifest, split: str) -> list[tuple[list[int], list[dict[str, Any]]]]:
    return [
        (pa.chunked_array(token_stream(tokens)).to_pylist(), pq.read_table(index).to_pylist())
        for tokens, index in zip(manifest.paths(split), manifest.paths(f"documents-{split}"), strict=True)
    ]


def test_every_kept_document_is_packed_once_and_decodes_to_its_text(ingested: Ingested, tmp_path: Path) -> None:
    manifest = packed(ingested(TEXTS), tmp_path)
    decoder = Tokenizer.from_file(str(manifest.paths("tokenizer")[0]))
    end = manifest.settings["end_of_text"]
    texts = {}
    for part in ("train", "valid", "test"):
        for tokens, documents in shards(manifest, part):
            for row in documents:
                ids = tokens[row["start"] : row["start"] + row["length"]]
                assert ids[-1] == end
                assert end not in ids[:-1]
                assert row["id"] not in texts
                texts[row["id"]] = decoder.decode(ids[:-1])
                assert row["bytes"] == len(texts[row["id"]].encode())
    assert texts == {f"local:{n}": text for n, text in enumerate(TEXTS)}


def test_shards_have_about_the_size_they_are_asked_for(ingested: Ingested, tmp_path: Path) -> None:
    manifest = packed(ingested(TEXTS), tmp_path)
    sizes = [shard.tokens for shard in manifest.shards if shard.role == "train"]
    assert len(sizes) > 3
    assert max(sizes) < 1500


def test_order_is_shuffled_over_sources_and_units(ingested: Ingested, tmp_path: Path) -> None:
    order = [row["id"] for _, rows in shards(packed(ingested(TEXTS, units=3), tmp_path), "train") for row in rows]
    assert order != sorted(order)
    halves = [int(i.split(":")[1]) < 30 for i in order]
    assert 5 < sum(halves[: len(halves) // 2]) < len(halves) // 2


def test_statistics_add_up_to_the_shards(ingested: Ingested, tmp_path: Path) -> None:
    manifest = packed(ingested(TEXTS), tmp_path)
    statistics = [row for path in manifest.paths("token_stats") for row in pq.read_table(path).to_pylist()]
    for part in ("train", "valid", "test"):
        total = sum(row["tokens"] for row in statistics if row["split"] == part)
        assert total == sum(shard.tokens for shard in manifest.shards if shard.role == part)


HARD = [
    "",
    "plain words",
    " leading and  double  blanks\n\nand lines\r\n\ttabs",
    "<|endoftext|> is text here, not the end of it",
    "公元１９１１年，他说：“好。” 這是繁體字。",
    "naïve café — “quotes” … don’t we'll I'D 12,345.67 $9 C++",
    "emoji 👩‍🚀🏽 and \x00 control \u200b zero width, 𠮷 rare",
    "мир हिन्दी العربية ภาษาไทย 한국어 日本語",
    "a" * 3000,
]


def test_fast_encoder_equals_tokenizers_on_hard_texts(ingested: Ingested, tmp_path: Path) -> None:
    path = learn(choose(ingested(TEXTS), tmp_path), tmp_path).paths("tokenizer")[0]
    assert_equal_encoders(path, HARD)


def assert_equal_encoders(path: Path, texts: list[str]) -> None:
    slow = reference_encoder(Tokenizer.from_str(json.dumps(without_special(json.loads(path.read_text())))))
    fast = load_encoder(path)
    for text in texts:
        assert fast([text])[0].to_pylist() == slow([text])[0].to_pylist(), text[:80]
    assert fast(texts)[1].to_pylist() == slow(texts)[1].to_pylist()


def test_fast_encoder_equals_tokenizers_on_real_text_with_gpt2(corpora: Path) -> None:
    texts = [
        (corpora / "novels" / "gutenberg" / "pg-metamorphosis.txt").read_text(encoding="utf-8"),
        (corpora / "novels" / "zh" / "红楼梦.txt").read_text(encoding="utf-8")[:200_000],
    ]
    lines = [line for text in texts for line in text.splitlines(keepends=True)]
    assert_equal_encoders(corpora / "tokenizers" / "gpt2" / "tokenizer.json", [*texts, *lines[:2000]])


def test_special_token_in_a_text_is_text(ingested: Ingested, tmp_path: Path) -> None:
    path = learn(choose(ingested(TEXTS), tmp_path), tmp_path).paths("tokenizer")[0]
    ids = load_encoder(path)(["before <|endoftext|> after"])[0].to_pylist()
    assert 0 not in ids


def test_tokenizer_learns_from_training_documents_only(ingested: Ingested, tmp_path: Path) -> None:
    chosen = choose(ingested(TEXTS), tmp_path)
    manifest = learn(chosen, tmp_path)
    assert manifest.counts["documents"] == chosen.counts["train.local"]
    assert manifest.counts["bytes"] == chosen.counts["bytes.train"]


def test_tokenizer_sample_is_bounded(ingested: Ingested, tmp_path: Path) -> None:
    manifest = learn(choose(ingested(TEXTS), tmp_path), tmp_path, sample_bytes=3000)
    assert 0 < manifest.counts["bytes"] < 6000


def test_ready_tokenizer_is_taken_as_it_is(ingested: Ingested, tmp_path: Path) -> None:
    chosen = choose(ingested(TEXTS), tmp_path)
    path = learn(chosen, tmp_path).paths("tokenizer")[0]
    (tmp_path / "mine.json").write_bytes(path.read_bytes())
    assert learn(chosen, tmp_path, path="mine.json").paths("tokenizer")[0].read_bytes() == path.read_bytes()


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (None, "no such file"),
        ("not json", "not a tokenizer.json"),
        ("[]", "expected a tokenizer.json with model.vocab"),
        ('{"model": {"vocab": {"a": 0}}}', "has no token <|endoftext|>"),
    ],
)
def test_unusable_tokenizer_is_refused(ingested: Ingested, tmp_path: Path, body: str | None, words: str) -> None:
    chosen = choose(ingested(TEXTS), tmp_path)
    if body is not None:
        (tmp_path / "mine.json").write_text(body)
    with pytest.raises(InputError, match=words.replace("|", r"\|")):
        learn(chosen, tmp_path, path="mine.json")
