"""Clean, decide, dedup and split on small documents: what a reader of the datasets would find."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from lmpipe.curate.clean import clean
from lmpipe.curate.decide import decide
from lmpipe.curate.dedup import dedup
from lmpipe.curate.split import split
from lmpipe.dataset import Execution, Manifest
from lmpipe.errors import GuardError, InputError
from lmpipe.settings import CleanSettings, DedupSettings, ProfileSettings, SplitSettings
from tests.conftest import Ingested

GOOD = (
    "The mill stood where the two streams met, and its wheel had turned for longer than anyone could say. "
    "Children were told that it had been built by a man with one hand, who asked for nothing but bread."
)
SHORT = "Too short to keep."


def good(number: int) -> str:
    return f"{GOOD} This was the story of house number {number} of the lane."


def rows(manifest: Manifest, role: str) -> list[dict[str, Any]]:
    return [row for path in manifest.paths(role) for row in pq.read_table(path).to_pylist()]


def cleaned(manifest: Manifest, data: Path) -> Manifest:
    return clean(manifest, data, CleanSettings(), Execution())


def decided(manifest: Manifest, data: Path, **settings: Any) -> Manifest:
    return decide(cleaned(manifest, data), data, ProfileSettings(**settings), Execution())


def deduped(manifests: list[Manifest], data: Path, guard: float = 1.0) -> Manifest:
    return dedup(manifests, "tiny", data, DedupSettings(guard=guard), Execution())


def test_clean_writes_documents_and_signals_side_by_side(ingested: Ingested, tmp_path: Path) -> None:
    manifest = cleaned(ingested([f"  {good(1)}\r\n", {"text": "这条河流入大海。", "lang": None}]), tmp_path)
    documents, signals = rows(manifest, "documents"), rows(manifest, "signals")
    assert [d["id"] for d in documents] == [s["id"] for s in signals] == ["local:0", "local:1"]
    assert documents[0]["text"] == good(1)
    assert documents[1]["lang"] == signals[1]["lang"] == "zh"
    assert manifest.counts["repaired.blanks"] == 1


def test_clean_unwraps_only_the_kinds_it_is_told_to(ingested: Ingested, tmp_path: Path) -> None:
    wrapped = "A line of prose that was wrapped by a program at some column,\nand goes on."
    documents = ingested([wrapped])
    kept = rows(cleaned(documents, tmp_path), "documents")[0]["text"]
    joined = clean(documents, tmp_path, CleanSettings(unwrap=("local",)), Execution())
    assert kept == wrapped
    assert rows(joined, "documents")[0]["text"] == wrapped.replace("\n", " ")


def test_survivor_of_a_text_is_the_newest_then_the_smallest_id(ingested: Ingested, tmp_path: Path) -> None:
    def dated(year: int) -> dict[str, Any]:
        return {"text": good(1), "created": datetime(year, 1, 1, tzinfo=UTC)}

    first = decided(ingested([dated(2001), good(1), dated(2020)], source="a"), tmp_path)
    second = decided(ingested([dated(2020), good(2)], source="b"), tmp_path)
    manifest = deduped([first, second], tmp_path)
    found = {row["id"]: (row["duplicate_of"], row["cluster"]) for row in rows(manifest, "duplicates")}
    assert found == {"a:0": ("a:2", 4), "a:1": ("a:2", 4), "b:0": ("a:2", 4)}
    assert manifest.counts == {"duplicates.a": 2, "duplicates.b": 1}


def test_newest_version_of_an_id_takes_part(ingested: Ingested, tmp_path: Path) -> None:
    def version(number: int, year: int) -> dict[str, Any]:
        return {"native_id": "page", "text": good(number), "created": datetime(year, 1, 1, tzinfo=UTC)}

    only = decided(ingested([version(1, 2001), version(2, 2020), version(2, 2020), good(1)]), tmp_path)
    outcomes = rows(chosen([only], tmp_path), "outcomes")
    assert [row["outcome"] for row in outcomes] == ["duplicate", "kept", "duplicate", "kept"]
    assert [row["duplicate_of"] for row in outcomes] == ["local:page", None, "local:page", None]


def test_dropped_document_is_no_survivor(ingested: Ingested, tmp_path: Path) -> None:
    only = decided(ingested([SHORT, good(1)]), tmp_path)
    assert rows(deduped([only], tmp_path), "duplicates") == []


def test_deduplication_that_takes_more_than_its_guard_stops_the_run(ingested: Ingested, tmp_path: Path) -> None:
    with pytest.raises(GuardError, match="source local: 2 of 3 documents are duplicates"):
        deduped([decided(ingested([good(1)] * 3), tmp_path)], tmp_path, guard=0.5)


def chosen(manifests: list[Manifest], data: Path, **settings: Any) -> Manifest:
    return split(deduped(manifests, data), data, SplitSettings(**settings), 1, Execution())


def test_split_gives_every_document_one_outcome(ingested: Ingested, tmp_path: Path) -> None:
    only = decided(ingested([good(n) for n in range(200)] + [SHORT, good(7)]), tmp_path)
    outcomes = rows(chosen([only], tmp_path, valid=0.1, test=0.2), "outcomes")
    assert len(outcomes) == 202
    assert [row["outcome"] for row in outcomes[200:]] == ["dropped", "kept"]
    assert outcomes[7]["outcome"] == "duplicate" or outcomes[201]["outcome"] == "duplicate"
    splits = [row["split"] for row in outcomes if row["outcome"] == "kept"]
    assert 20 < splits.count("test") < 60
    assert 5 < splits.count("valid") < 40
    assert splits.count("train") + splits.count("valid") + splits.count("test") == 200


def test_split_of_a_document_does_not_depend_on_the_others(ingested: Ingested, tmp_path: Path) -> None:
    many = rows(chosen([decided(ingested([good(n) for n in range(100)]), tmp_path)], tmp_path, test=0.3), "outcomes")
    few = rows(chosen([decided(ingested([good(n) for n in range(50)]), tmp_path)], tmp_path, test=0.3), "outcomes")
    assert [row["split"] for row in many[:50]] == [row["split"] for row in few]


def test_chapters_of_one_work_go_to_one_split_unless_told_otherwise(ingested: Ingested, tmp_path: Path) -> None:
    book = [{"text": good(n), "meta": {"work": f"book{n % 10}"}} for n in range(60)]
    only = decided(ingested(book), tmp_path)
    together = rows(chosen([only], tmp_path, test=0.4), "outcomes")
    assert all(len({row["split"] for row in together[n::10]}) == 1 for n in range(10))
    apart = rows(chosen([only], tmp_path, test=0.4, by={"local": "document"}), "outcomes")
    assert any(len({row["split"] for row in apart[n::10]}) > 1 for n in range(10))


def test_funnel_adds_up_to_the_outcomes(ingested: Ingested, tmp_path: Path) -> None:
    only = decided(ingested([good(n % 30) for n in range(40)] + [SHORT]), tmp_path)
    manifest = chosen([only], tmp_path)
    funnel = rows(manifest, "funnel")
    assert sum(row["documents"] for row in funnel) == 41
    assert sum(row["documents"] for row in funnel if row["outcome"] == "duplicate") == 10
    assert sum(row["bytes"] for row in funnel) == sum(row["bytes"] for row in rows(manifest, "outcomes"))


def test_split_without_training_documents_is_refused(ingested: Ingested, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no training document is left"):
        chosen([decided(ingested([SHORT]), tmp_path, guard=1.0)], tmp_path)


def test_source_without_test_documents_is_named(
    ingested: Ingested, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("WARNING", logger="lmpipe"):
        chosen([decided(ingested([good(1)]), tmp_path)], tmp_path, test=0.01, valid=0.0)
    assert "source local has no test document" in caplog.text


def test_many_units_give_the_same_rows_as_one(ingested: Ingested, tmp_path: Path) -> None:
    texts = [good(n) for n in range(30)]
    one = chosen([decided(ingested(texts, source="a"), tmp_path)], tmp_path)
    many = chosen([decided(ingested(texts, source="b", units=5), tmp_path)], tmp_path)
    assert len(many.paths("outcomes")) == 5
    assert [row["words"] for row in rows(one, "outcomes")] == [row["words"] for row in rows(many, "outcomes")]


def test_split_is_the_given_one_for_documents_and_sources_that_are_named(ingested: Ingested, tmp_path: Path) -> None:
    texts = {"a": range(20), "b": range(20, 40)}
    manifests = [
        decided(ingested([good(n) for n in numbers], source=source), tmp_path, name="none")
        for source, numbers in texts.items()
    ]
    settings = SplitSettings(given={"a": "test", "b:3": "valid", "b": "train"}, valid=0.5, test=0.5 - 1e-9)
    chosen = rows(split(deduped(manifests, tmp_path), tmp_path, settings, 1, Execution()), "outcomes")
    kept = {row["id"]: row["split"] for row in chosen if row["outcome"] == "kept"}
    assert {kept[ident] for ident in kept if ident.startswith("a:")} == {"test"}
    assert kept["b:3"] == "valid"
    assert {kept[ident] for ident in kept if ident.startswith("b:") and ident != "b:3"} == {"train"}


def test_profile_none_keeps_everything(ingested: Ingested, tmp_path: Path) -> None:
    manifest = decided(ingested(["", SHORT, "#" * 500]), tmp_path, name="none")
    assert manifest.counts == {"in": 3, "kept": 3}
