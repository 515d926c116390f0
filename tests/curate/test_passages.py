"""Passages that several documents share, through the stages: what is cut, who keeps a copy, what is left."""

import random
import shutil
from collections import defaultdict
from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmpipe.curate import passages as stage
from lmpipe.curate.clean import clean
from lmpipe.curate.decide import decide
from lmpipe.curate.dedup import dedup
from lmpipe.curate.ledger import life
from lmpipe.curate.passages import cuts, repeats
from lmpipe.curate.split import OUTCOMES, split
from lmpipe.dataset import Execution, Manifest, Plan, Progress, UnitOutput, build, read_batches
from lmpipe.errors import GuardError
from lmpipe.settings import Bounds, CleanSettings, DedupSettings, PassageSettings, ProfileSettings, SplitSettings
from lmpipe.text.paragraphs import passages as passages_of
from lmpipe.text.paragraphs import without
from lmpipe.tokens.corpus import chosen_batches, corpus_shards
from tests.conftest import Ingested
from tests.curate.cleaned import cleaned
from tests.road import fingerprints

LEAST = {"words": Bounds(min=1)}
EVERYTHING = ProfileSettings(name="basic", guard=1.0, rules={"en": LEAST, "zh": LEAST})
ALL = SplitSettings(valid=0, test=0)
NOTICE = (
    "This page was brought to you by the readers of the valley, who pay for every word of it and ask for no thanks."
)
STORY = (
    "The mill of house number {} stood where the streams met, and its wheel had turned for longer than any could say."
)
LONGER = "It was told so often that nobody doubted it any more, and those who had seen it said nothing at all about it."


def story(number: int, *more: str) -> str:
    return "\n\n".join([STORY.format(number), *more])


def cut(
    sources: Sequence[Manifest], data: Path, workers: int = 1, progress: Progress | None = None, **changes: Any
) -> Manifest:
    """Walk to the cuts; `progress` is told of those stages that are about them."""
    chosen, run = PassageSettings(**({"guard": 1.0} | changes)), Execution(workers=workers)
    decided = [decide(clean(s, data, CleanSettings(), run), data, EVERYTHING, run) for s in sources]
    exact = dedup(decided, "test", data, DedupSettings(guard=1.0), run)
    run = Execution(workers=workers, progress=progress)
    hashed = [stage.passages(d, data, chosen, run) for d in decided]
    return cuts(exact, repeats(exact, hashed, data, chosen, run), data, chosen, run)


def rows(manifest: Manifest, role: str) -> list[dict[str, Any]]:
    return [row for path in manifest.paths(role) for row in pq.read_table(path).to_pylist()]


def chosen_texts(cut: Manifest, data: Path, workers: int = 1) -> dict[str, str]:
    """Walk to the split, and read what encoding would."""
    chosen = split(cut, data, ALL, 1, Execution(workers=workers))
    batches = [batch for shard in corpus_shards(chosen) for batch in chosen_batches(shard)]
    for row in (row for batch in batches for row in batch.to_pylist()):
        assert row["bytes"] == len(row["text"].encode())
    return {row["id"]: row["text"] for batch in batches for row in batch.to_pylist()}


def test_first_in_the_total_order_keeps_its_copy_over_all_sources(ingested: Ingested, tmp_path: Path) -> None:
    first = ingested([story(1, NOTICE), story(2, NOTICE, LONGER)], source="a")
    second = ingested([story(3, NOTICE), story(4)], source="b")
    found = cut([first, second], tmp_path)
    told = [(r["id"], r["kept_by"], r["documents"]) for r in rows(found, "cuts")]
    assert told == [("a:0", "a:1", 3), ("b:0", "a:1", 3)]
    assert chosen_texts(found, tmp_path) == {
        "a:0": story(1), "a:1": story(2, NOTICE, LONGER), "b:0": story(3), "b:1": story(4)
    }  # fmt: skip
    assert found.counts["cut_passages.a"] == found.counts["cut_documents.b"] == 1
    assert found.counts["cut_bytes.a"] == len(NOTICE) + 2


def test_nobody_keeps_a_copy_where_the_recipe_says_so(ingested: Ingested, tmp_path: Path) -> None:
    found = cut([ingested([story(1, NOTICE), story(2, NOTICE)])], tmp_path, keep_first=False)
    assert chosen_texts(found, tmp_path) == {"local:0": story(1), "local:1": story(2)}
    assert {row["kept_by"] for row in rows(found, "cuts")} == {None}


def test_words_and_bytes_of_the_outcomes_are_those_after_the_cuts(ingested: Ingested, tmp_path: Path) -> None:
    found = cut([ingested([story(1, NOTICE), story(2, NOTICE, LONGER)])], tmp_path)
    outcomes = rows(split(found, tmp_path, ALL, 1, Execution()), "outcomes")
    assert (outcomes[0]["words"], outcomes[0]["bytes"]) == (len(story(1).split()), len(story(1)))
    assert outcomes[1]["words"] == len(story(2, NOTICE, LONGER).split())


def test_outcomes_of_a_stage_behind_the_split_are_read_without_the_cuts_too(ingested: Ingested, tmp_path: Path) -> None:
    found = cut([ingested([story(1, NOTICE), story(2, NOTICE, LONGER)])], tmp_path)
    parted = split(found, tmp_path, ALL, 1, Execution())
    inputs = (*(r for r in parted.inputs if r["stage"] == "decide"), parted.reference)
    later = Plan(stage="decontaminate", name="test", version=1, settings={}, inputs=inputs)
    (outcomes,) = parted.paths("outcomes")
    again = build(later, tmp_path, copy_outcomes, [outcomes], Execution())
    texts = [text for shard in corpus_shards(again) for batch in chosen_batches(shard) for text in batch["text"]]
    assert [text.as_py() for text in texts] == [story(1), story(2, NOTICE, LONGER)]


def copy_outcomes(path: Path, output: UnitOutput) -> None:
    """A unit of a stage that changes nothing."""
    output.write("outcomes", OUTCOMES, read_batches(path))


def test_document_with_nothing_left_is_dropped_with_its_reason(ingested: Ingested, tmp_path: Path) -> None:
    found = cut([ingested([NOTICE, story(2, NOTICE)])], tmp_path)
    outcome = rows(split(found, tmp_path, ALL, 1, Execution()), "outcomes")[0]
    assert (outcome["outcome"], outcome["reason"], outcome["value"], outcome["threshold"]) == (
        "dropped", "chars_left.min", 0, 1
    )  # fmt: skip
    assert found.counts["dropped.local"] == 1


def test_document_that_keeps_a_copy_is_not_dropped_for_what_it_loses(ingested: Ingested, tmp_path: Path) -> None:
    """a:1 keeps NOTICE for a:2 and loses LONGER to a:0; what is left is under the bound."""
    texts = [story(1, STORY, LONGER), f"{LONGER}\n\n{NOTICE}", story(3, NOTICE)[-len(NOTICE) :] + "\n\nShort."]
    found = cut([ingested(texts, source="a")], tmp_path, min_chars_left=150)
    assert {row["id"]: row["kept_by"] for row in rows(found, "cuts")} == {"a:1": "a:0", "a:2": "a:1"}
    assert set(chosen_texts(found, tmp_path)) == {"a:0", "a:1"}


def test_passage_that_repeats_in_one_document_only_is_left(ingested: Ingested, tmp_path: Path) -> None:
    assert rows(cut([ingested([story(1, NOTICE, LONGER, NOTICE), story(2)])], tmp_path), "cuts") == []


def test_copies_in_duplicates_and_dropped_documents_do_not_count(ingested: Ingested, tmp_path: Path) -> None:
    assert rows(cut([ingested([story(1, NOTICE)] * 2)], tmp_path), "cuts") == []


def test_short_passages_and_rare_ones_are_left(ingested: Ingested, tmp_path: Path) -> None:
    texts = [story(n, '"Yes."', NOTICE) for n in range(3)]
    assert len(rows(cut([ingested(texts)], tmp_path), "cuts")) == 2
    assert rows(cut([ingested(texts)], tmp_path, min_documents=4), "cuts") == []
    assert rows(cut([ingested(texts)], tmp_path, min_chars=len(NOTICE) + 1), "cuts") == []


def test_chinese_has_a_bound_of_its_own(ingested: Ingested, tmp_path: Path) -> None:
    notice = "本报讯记者昨日从市政府的有关部门了解到这一消息，这是未经授权不得转载的，请读者们在看到后多多谅解和支持。"
    texts = [f"第{n}条河流入大海。\n{notice}\n他说：“好。”" for n in range(2)]
    found = cut([ingested(texts, lang="zh")], tmp_path)
    assert [row["id"] for row in rows(found, "cuts")] == ["local:1"]
    assert chosen_texts(found, tmp_path)["local:1"] == "第1条河流入大海。\n他说：“好。”"


def test_source_that_would_lose_more_than_its_guard_stops_the_run(ingested: Ingested, tmp_path: Path) -> None:
    texts = [f"{n}\n\n{NOTICE}" for n in range(9)]
    with pytest.raises(GuardError, match=r"source local: \d+ of \d+ bytes stand in other documents too"):
        cut([ingested(texts)], tmp_path, guard=0.5)


def test_life_of_a_document_tells_its_cuts(ingested: Ingested, tmp_path: Path) -> None:
    cut([ingested([story(1, NOTICE), story(2, NOTICE, LONGER)])], tmp_path)
    where = f"characters {len(story(1)) + 2}-{len(story(1)) + 2 + len(NOTICE)}"
    loses = [(e.what, e.details) for e in life("local:0", tmp_path) if e.stage == "cuts"]
    keeps = [(e.what, e.details) for e in life("local:1", tmp_path) if e.stage == "cuts"]
    assert loses == [("passage cut", f"{where}, in 2 documents, kept by local:1")]
    assert keeps == [("keeps a passage", f"that local:0 loses ({where})")]


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_workers_units_and_partitions_change_nothing(
    ingested: Ingested, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    texts = [story(n, NOTICE if n % 3 else LONGER, LONGER if n % 5 else "End.") for n in range(40)]
    source = ingested(texts, units=4)
    found = cut([source], tmp_path, workers=1)
    once = fingerprints(tmp_path / "cuts"), rows(found, "cuts"), chosen_texts(found, tmp_path)
    for name in ("passages", "repeats", "cuts", "split"):
        (tmp_path / name).rename(tmp_path / f"{name}-once")
    monkeypatch.setattr(stage, "PARTITION_ROWS", 9)
    again = cut([source], tmp_path, workers=workers)
    assert (fingerprints(tmp_path / "cuts"), rows(again, "cuts"), chosen_texts(again, tmp_path)) == once
    assert len(list((tmp_path / "repeats").rglob("repeats-*.parquet"))) > 5


def naive(texts: Sequence[str], least: int) -> list[str]:
    """Cut line by line with dictionaries: the law that the stages have to follow."""
    order = sorted(range(len(texts)), key=lambda n: (-len(texts[n].encode()), f"local:{n}"))
    spans = {n: [(s, e) for s, e in passages_of(texts[n], "line") if e - s >= least] for n in order}
    holders: dict[str, set[int]] = defaultdict(set)
    keeper: dict[str, int] = {}
    for n in order:
        for start, end in spans[n]:
            holders[texts[n][start:end]].add(n)
            keeper.setdefault(texts[n][start:end], n)
    return [
        without(text, [(s, e) for s, e in spans[n] if len(holders[text[s:e]]) > 1 and keeper[text[s:e]] != n])
        for n, text in enumerate(texts)
    ]


LINES = ["The first line.", "The second line of it.", "Third.", "", "Über uns: 界。", "A fourth line", "goes on here."]


def check_against_naive(documents: Sequence[Sequence[str]], data: Path) -> None:
    run, chosen = Execution(), PassageSettings(min_chars=10, guard=1.0)
    texts = ["\n".join([f"Document {n}.", *lines]).strip() for n, lines in enumerate(documents)]
    signals = [
        {"text": text, "bytes": len(text.encode()), "text_sha256": sha256(text.encode()).digest()} for text in texts
    ]
    decided = decide(cleaned(data, signals, units=2), data, EVERYTHING, run)
    exact = dedup([decided], "test", data, DedupSettings(guard=1.0), run)
    repeated = repeats(exact, [stage.passages(decided, data, chosen, run)], data, chosen, run)
    found = cuts(exact, repeated, data, chosen, run)
    assert list(chosen_texts(found, data).values()) == naive(texts, 10)


def test_cuts_of_many_documents_are_those_of_naive_python(tmp_path: Path) -> None:
    chance = random.Random(11)
    rare = [f"A line that stands in {n} or so documents." for n in range(200)]
    check_against_naive([chance.choices(LINES + rare, k=chance.randint(1, 9)) for _ in range(300)], tmp_path)


@pytest.mark.slow
@settings(max_examples=40)
@given(st.lists(st.lists(st.sampled_from(LINES), min_size=1, max_size=6), min_size=2, max_size=8))
def test_cuts_of_any_documents_are_those_of_naive_python(
    tmp_path_factory: pytest.TempPathFactory, documents: list[list[str]]
) -> None:
    check_against_naive(documents, tmp_path_factory.mktemp("any"))


def test_run_stopped_after_any_unit_goes_on_and_gives_the_same_bytes(ingested: Ingested, tmp_path: Path) -> None:
    source = ingested([story(n, NOTICE, LONGER) for n in range(9)], units=3)
    cut([source], tmp_path)
    once = fingerprints(tmp_path / "cuts") | fingerprints(tmp_path / "passages")
    for name in ("cuts", "passages", "repeats"):
        shutil.rmtree(tmp_path / name)
    stopped = 0
    while True:
        try:
            cut([source], tmp_path, progress=stop_after_one())
            break
        except KeyboardInterrupt:
            stopped += 1
    assert stopped == 3 + 1 + 3
    assert fingerprints(tmp_path / "cuts") | fingerprints(tmp_path / "passages") == once


def stop_after_one() -> Callable[[int, int], None]:
    """Make a progress that ends the run, as a kill would, when one more unit is finished."""
    before: list[int] = []

    def tell(done: int, total: int) -> None:
        if before and done == before[-1] + 1:
            raise KeyboardInterrupt
        before.append(done)

    return tell
