"""Token shards: every kept document once (or as its mixture says), its bytes restorable, in a shuffled order."""

import itertools
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from tokenizers import Tokenizer

from lmpipe.errors import InputError
from lmpipe.settings import TokensSettings
from lmpipe.tokens.mixture import mixture
from tests.conftest import Ingested
from tests.tokens.chosen import OTHERS, TEXTS, choose, index, learn, packed, shards


def test_every_kept_document_is_packed_once_and_decodes_to_its_text(ingested: Ingested, tmp_path: Path) -> None:
    manifest = packed(choose(tmp_path, ingested(TEXTS)), tmp_path)
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


def test_index_keeps_the_domain_of_each_document(ingested: Ingested, tmp_path: Path) -> None:
    rows = [{"text": text, "meta": {"domain": "news"} if n % 2 else {}} for n, text in enumerate(TEXTS)]
    manifest = packed(choose(tmp_path, ingested(rows)), tmp_path)
    found = {row["id"]: row["domain"] for part in ("train", "valid", "test") for row in index(manifest, part)}
    assert found == {f"local:{n}": "news" if n % 2 else None for n in range(len(TEXTS))}


def test_shards_have_about_the_size_they_are_asked_for(ingested: Ingested, tmp_path: Path) -> None:
    manifest = packed(choose(tmp_path, ingested(TEXTS)), tmp_path)
    sizes = [shard.tokens for shard in manifest.shards if shard.role == "train"]
    assert len(sizes) > 3
    assert max(sizes) < 1500


def test_order_is_shuffled_over_sources_and_units(ingested: Ingested, tmp_path: Path) -> None:
    order = [row["id"] for row in index(packed(choose(tmp_path, ingested(TEXTS, units=3)), tmp_path), "train")]
    assert order != sorted(order)
    halves = [int(i.split(":")[1]) < 30 for i in order]
    assert 5 < sum(halves[: len(halves) // 2]) < len(halves) // 2


def test_statistics_add_up_to_the_shards(ingested: Ingested, tmp_path: Path) -> None:
    manifest = packed(choose(tmp_path, ingested(TEXTS)), tmp_path)
    statistics = [row for path in manifest.paths("token_stats") for row in pq.read_table(path).to_pylist()]
    for part in ("train", "valid", "test"):
        total = sum(row["tokens"] for row in statistics if row["split"] == part)
        assert total == sum(shard.tokens for shard in manifest.shards if shard.role == part)


def test_epochs_repeat_and_leave_out_documents_of_the_training_split_only(ingested: Ingested, tmp_path: Path) -> None:
    chosen = choose(tmp_path, ingested(TEXTS), ingested(OTHERS, source="other"))
    once = packed(chosen, tmp_path)
    mixed = packed(chosen, tmp_path, epochs={"local": 2.5, "other": 0.25})
    times = Counter(row["id"] for row in index(mixed, "train"))
    documents = Counter(row["source"] for row in index(once, "train"))
    local = [times[row["id"]] for row in index(once, "train") if row["source"] == "local"]
    other = [times[row["id"]] for row in index(once, "train") if row["source"] == "other"]
    assert set(local) == {2, 3}
    assert abs(sum(local) - 2.5 * documents["local"]) < 10
    assert set(other) == {0, 1}
    assert mixed.counts["left_out.other"] == other.count(0)
    assert {row["id"] for row in index(mixed, "test")} == {row["id"] for row in index(once, "test")}
    assert mixed.settings["epochs"] == {"local": 2.5, "other": 0.25}


def test_copies_of_a_document_are_numbered_and_lie_apart(ingested: Ingested, tmp_path: Path) -> None:
    rows = index(packed(choose(tmp_path, ingested(TEXTS)), tmp_path, epochs={"local": 2}), "train")
    assert len({(row["id"], row["copy"]) for row in rows}) == len(rows)
    assert {row["copy"] for row in rows} == {0, 1}
    assert sum(a["id"] == b["id"] for a, b in itertools.pairwise(rows)) < 6


def test_weights_are_shares_of_the_training_tokens() -> None:
    tokens = {"wiki": 1_000_000, "news": 3_000_000}
    epochs = mixture(TokensSettings(weights={"wiki": 1, "news": 1}), tokens, "here")
    assert epochs == {"wiki": 2.0, "news": 0.666667}


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"epochs": {"wki": 2}}, r"names \['wki'\]; expected some of \['news', 'wiki'\]"),
        ({"weights": {"wiki": 1}}, r"leaves out \['news'\]"),
        ({"weights": {"wiki": 0, "news": 0}}, "not all 0"),
        ({"epochs": {"wiki": 1}, "weights": {"wiki": 1, "news": 1}}, "Remove one"),
    ],
)
def test_mixture_that_makes_no_sense_is_refused(settings: dict[str, dict[str, float]], words: str) -> None:
    with pytest.raises(InputError, match=words):
        mixture(TokensSettings(**settings), {"wiki": 10, "news": 10}, "here")


def test_appending_keeps_the_old_shards_and_packs_only_new_documents(ingested: Ingested, tmp_path: Path) -> None:
    before = choose(tmp_path, ingested(TEXTS[:40]))
    learnt = learn(before, tmp_path)
    (tmp_path / "mine.json").write_bytes(learnt.paths("tokenizer")[0].read_bytes())
    learnt = learn(before, tmp_path, path="mine.json")
    old = packed(before, tmp_path, learnt=learnt)
    after = choose(tmp_path, ingested(TEXTS))
    new = packed(after, tmp_path, learnt=learnt, append_to=old.folder.name)
    kept = {(s.path, s.sha256) for s in old.shards if s.role != "tokenizer"}
    assert kept < {(s.path, s.sha256) for s in new.shards}
    for shard in old.shards:
        if shard.role != "tokenizer":
            assert (new.folder / shard.path).stat().st_ino == (old.folder / shard.path).stat().st_ino
    rows = [row["id"] for part in ("train", "valid", "test") for row in index(new, part)]
    assert sorted(rows) == sorted(f"local:{n}" for n in range(60))
    assert {key for key in new.counts if key.startswith("gone")} == set()


def test_appending_counts_the_old_documents_that_are_gone(ingested: Ingested, tmp_path: Path) -> None:
    first = choose(tmp_path, ingested(TEXTS))
    (tmp_path / "mine.json").write_bytes(learn(first, tmp_path).paths("tokenizer")[0].read_bytes())
    learnt = learn(first, tmp_path, path="mine.json")
    old = packed(first, tmp_path, learnt=learnt)
    new = packed(choose(tmp_path, ingested(TEXTS[:50])), tmp_path, learnt=learnt, append_to=old.folder.name)
    gone = {key: n for key, n in new.counts.items() if key.startswith("gone.")}
    expected = Counter(
        f"gone.{part}" for part in ("train", "valid", "test") for row in index(old, part)
        if int(row["id"].split(":")[1]) >= 50
    )  # fmt: skip
    assert gone == dict(expected)


def test_appending_to_shards_of_another_tokenizer_is_refused(ingested: Ingested, tmp_path: Path) -> None:
    chosen = choose(tmp_path, ingested(TEXTS))
    old = packed(chosen, tmp_path)
    with pytest.raises(InputError, match="another tokenizer"):
        packed(chosen, tmp_path, learnt=learn(chosen, tmp_path, vocabulary=300), append_to=old.folder.name)


def test_appending_packs_a_changed_training_document_again_and_leaves_held_out_ones(
    ingested: Ingested, tmp_path: Path
) -> None:
    before = choose(tmp_path, ingested(TEXTS[:40]))
    (tmp_path / "mine.json").write_bytes(learn(before, tmp_path).paths("tokenizer")[0].read_bytes())
    learnt = learn(before, tmp_path, path="mine.json")
    old = packed(before, tmp_path, learnt=learnt)
    after = choose(tmp_path, ingested([f"{text} Later it was more." for text in TEXTS[:40]]))
    new = packed(after, tmp_path, learnt=learnt, append_to=old.folder.name)
    times = Counter((part, row["id"]) for part in ("train", "valid", "test") for row in index(new, part))
    assert {number for (part, _), number in times.items() if part == "train"} == {2}
    assert {number for (part, _), number in times.items() if part != "train"} == {1}
    assert packed(after, tmp_path, learnt=learnt, append_to=new.folder.name) == new
