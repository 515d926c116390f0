"""Decontamination: what shares a run of words with an evaluation set, and that nothing else is touched."""

import json
import random
import re
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmpipe.curate import ngrams
from lmpipe.curate.contamination import by_set, sampled
from lmpipe.curate.decide import decide
from lmpipe.curate.decontaminate import decontaminate, find_overlaps
from lmpipe.curate.dedup import dedup
from lmpipe.curate.heldout import heldout
from lmpipe.curate.split import split
from lmpipe.dataset import Execution, Manifest, inputs_of
from lmpipe.errors import GuardError, InputError, RecipeError
from lmpipe.recipe import load_recipe
from lmpipe.settings import (
    Bounds,
    DecontaminateSettings,
    DedupSettings,
    EvaluationSet,
    ProfileSettings,
    SplitSettings,
)
from lmpipe.tokens.corpus import chosen_batches, corpus_shards
from tests.curate.cleaned import cleaned
from tests.road import fingerprints

Row = dict[str, Any]

QUESTION = "the harbour master of Lower Wick found nineteen crates of oranges on the quay at dawn today"
"""Seventeen words."""
CHINESE = "天气晴朗的早晨，港口的老船长在码头上发现了十九箱橘子，没有人知道它们从哪里来。"
KEEP_ALL = ProfileSettings(name="basic", guard=1.0, rules={"en": {"words": Bounds(min=0)}})


def filler(seed: int, words: int = 40) -> str:
    draw = random.Random(seed)
    return " ".join("".join(draw.choices("abcdefghij", k=5)) for _ in range(words))


def chosen(data: Path, texts: Sequence[str], *, test: float = 0.0, units: int = 1, source: str = "local") -> Manifest:
    """A split of ready texts, all of them for training unless `test` says otherwise."""
    rows = [{"text": text, "text_sha256": bytes([n % 256, n // 256]) * 16} for n, text in enumerate(texts)]
    run = Execution()
    decided = decide(cleaned(data, rows, units=units, source=source), data, KEEP_ALL, run)
    duplicates = dedup([decided], "demo", data, DedupSettings(near=False), run)
    return split(duplicates, data, SplitSettings(valid=0.0, test=test), 1, run)


def lines(folder: Path, records: Sequence[str], **changes: Any) -> EvaluationSet:
    """An evaluation set of lines."""
    (folder / "quiz.txt").write_text("\n".join(records), encoding="utf-8")
    return EvaluationSet(**({"name": "quiz", "paths": ("quiz.txt",), "format": "lines"} | changes))


def stage(split: Manifest, data: Path, settings: DecontaminateSettings, workers: int = 1) -> Manifest:
    run = Execution(workers=workers)
    index = heldout(split, data, settings, data, run)
    return decontaminate(split, index, find_overlaps(split, index, data, run), data, settings, run)


def rows(manifest: Manifest, role: str) -> list[Row]:
    return [row for path in manifest.paths(role) for row in pq.read_table(path).to_pylist()]


def hits(data: Path, texts: Sequence[str], records: Sequence[str], **changes: Any) -> list[Row]:
    """Compare texts with the records of one set; nothing but what has a hit may be dropped."""
    settings = DecontaminateSettings(**({"sets": (lines(data, records),), "guard": 1.0, "own": False} | changes))
    manifest = stage(chosen(data, texts), data, settings)
    found = rows(manifest, "hits")
    dropped = {row["id"] for row in rows(manifest, "outcomes") if row["outcome"] == "dropped"}
    assert dropped == {row["id"] for row in found if row["contaminated"] and settings.remove}
    return found


def first(number: int, text: str = QUESTION) -> str:
    return " ".join(text.split()[:number])


def test_thirteen_shared_words_contaminate_and_twelve_do_not(tmp_path: Path) -> None:
    texts = [f"{filler(1)} {first(13)} {filler(2)}", f"{filler(3)} {first(12)} {filler(4)}", filler(5)]
    (hit,) = hits(tmp_path, texts, ["something else", QUESTION])
    assert (hit["id"], hit["set"], hit["record"], hit["runs"]) == ("local:0", "quiz", "quiz.txt#2", 1)
    assert texts[0][hit["start"] : hit["end"]] == first(13) == hit["text"]
    assert hit["share"] == pytest.approx(13 / 17)


def test_removed_documents_name_set_value_and_threshold(tmp_path: Path) -> None:
    settings = DecontaminateSettings(sets=(lines(tmp_path, [QUESTION]),), guard=1.0, own=False)
    manifest = stage(chosen(tmp_path, [first(15), filler(1)]), tmp_path, settings)
    removed, kept = rows(manifest, "outcomes")
    assert {key: removed[key] for key in ("outcome", "reason", "value", "threshold", "split")} == {
        "outcome": "dropped", "reason": "contaminated.quiz", "value": 3.0, "threshold": 1.0, "split": None,
    }  # fmt: skip
    assert (kept["outcome"], kept["split"], kept["reason"]) == ("kept", "train", None)
    funnel = {(row["outcome"], row["reason"]): row["documents"] for row in rows(manifest, "funnel")}
    assert funnel == {("dropped", "contaminated.quiz"): 1, ("kept", None): 1}
    left = [row["id"] for shard in corpus_shards(manifest) for b in chosen_batches(shard) for row in b.to_pylist()]
    assert left == ["local:1"]


@pytest.mark.parametrize(
    "text",
    [
        QUESTION.upper(),
        QUESTION.replace(" ", "\n\n"),
        QUESTION.replace("crates", "crates,").replace("quay", '"quay" --'),
        f"{QUESTION} {filler(1)}",
        f"{filler(1)} {QUESTION}",
    ],
    ids=["case", "lines", "marks", "start", "end"],
)
def test_words_are_compared_whatever_stands_around_them(tmp_path: Path, text: str) -> None:
    (hit,) = hits(tmp_path, [text], [QUESTION])
    assert (hit["share"], hit["runs"]) == (1.0, 5)
    assert text[hit["start"] : hit["end"]].split()[0].lower() == "the"
    assert text[hit["start"] : hit["end"]].lower().endswith("today")


def test_digits_are_alike_and_tokenised_text_too(tmp_path: Path) -> None:
    written = "On 12 May the U.S. fleet didn't pay $1,000 for well-known ferries of the river's north bank"
    tokenised = "on 31 may the u.s. fleet did n't pay $ 7,500 for well @-@ known ferries of the river 's north bank"
    (hit,) = hits(tmp_path, [written], [tokenised])
    assert hit["share"] == 1.0


def test_a_run_that_is_mostly_numbers_must_have_the_same_numbers(tmp_path: Path) -> None:
    table = "the case is 75 cm (30 in) wide, and 4.5 cm (1.8 in) thick"
    other = "the case is 12 cm (80 in) wide, and 2.7 cm (6.1 in) thick"
    assert [hit["id"] for hit in hits(tmp_path, [table, f"{filler(1)} {other}"], [table])] == ["local:0"]


def test_chinese_is_compared_by_characters_across_marks(tmp_path: Path) -> None:
    near = CHINESE.replace("，", "\n").replace("。", "")
    short = CHINESE[:17]  # 16 characters and a comma: too few
    found = hits(tmp_path, [f"昨天我们去了海边。{near}", f"他说{short}然后走了", "完全不同的文章也在这里"], [CHINESE])
    assert [hit["id"] for hit in found] == ["local:0"]
    assert found[0]["text"] == near
    assert found[0]["share"] == 1.0


def test_a_record_shorter_than_a_run_must_stand_whole_and_a_tiny_one_says_nothing(tmp_path: Path) -> None:
    short, tiny = "a clerk wrote the numbers of all nine boats", "nobody asked the captain"
    texts = [f"{filler(1)} {short} {filler(2)}", f"{filler(3)} {short.replace('nine', 'ten')}", f"{tiny} {filler(4)}"]
    (hit,) = hits(tmp_path, texts, [short, tiny])
    assert (hit["id"], hit["share"], hit["text"]) == ("local:0", 1.0, short)
    found = next(tmp_path.glob("heldout/*/manifest.json"))
    assert json.loads(found.read_text())["counts"] == {"records.quiz": 2, "short.quiz": 1}


def test_common_runs_count_for_nothing_unless_the_whole_record_stands_there(tmp_path: Path) -> None:
    licence = " ".join(filler(7, 15).split())
    record = f"{licence} {filler(8, 30)}"
    texts = [f"{filler(100 + n)} {licence} {filler(200 + n)}" for n in range(11)]
    assert hits(tmp_path, texts, [record]) == []
    assert len(hits(tmp_path, texts[:10], [record])) == 10
    leaked = [f"{filler(300 + n)} {record}" for n in range(11)]
    assert {hit["id"] for hit in hits(tmp_path, [*texts, *leaked], [record])} == {f"local:{n}" for n in range(11, 22)}


def test_thresholds_are_those_of_the_recipe(tmp_path: Path) -> None:
    texts = [f"{filler(1)} {first(13)}", f"{filler(2)} {first(15)}"]
    found = hits(tmp_path, texts, [QUESTION], least_runs=3)
    assert [hit["contaminated"] for hit in found] == [False, True]
    found = hits(tmp_path, texts, [QUESTION], least_share=0.8)
    assert [hit["contaminated"] for hit in found] == [False, True]


def test_documents_are_only_marked_where_the_recipe_says_so(tmp_path: Path) -> None:
    (hit,) = hits(tmp_path, [QUESTION], [QUESTION], remove=False)
    assert hit["contaminated"]


def test_the_recipes_own_test_documents_are_held_out_too(tmp_path: Path) -> None:
    shared = filler(99, 20)
    texts = [f"{filler(n)} {shared if n % 10 == 0 else ''} {filler(1000 + n)}" for n in range(40)]
    first_split = chosen(tmp_path, texts, test=0.5)
    split_of = {row["id"]: row["split"] for row in rows(first_split, "outcomes")}
    manifest = stage(first_split, tmp_path, DecontaminateSettings(guard=1.0))
    alike = {f"local:{n}" for n in range(0, 40, 10)}
    tested = {id for id in alike if split_of[id] == "test"}
    assert 0 < len(tested) < 4
    found = rows(manifest, "hits")
    assert {(hit["id"], hit["set"], hit["record"]) for hit in found} == {
        (id, "test", other) for id in alike - tested for other in tested
    }
    after = {row["id"]: row["split"] for row in rows(manifest, "outcomes")}
    assert after == {id: None if id in alike - tested else old for id, old in split_of.items()}


def test_no_collision_of_hashes_removes_a_document(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ngrams, "mixed", lambda hashes: np.zeros_like(hashes))
    texts = [filler(1), QUESTION.replace("oranges", "bananas"), f"{filler(2)} {first(12)} again"]
    assert hits(tmp_path, texts, [QUESTION], common=1000) == []
    assert [hit["id"] for hit in hits(tmp_path, [QUESTION], [QUESTION], common=1000)] == ["local:0"]


@pytest.mark.slow
def test_bytes_do_not_depend_on_the_workers(tmp_path: Path) -> None:
    def build(data: Path, workers: int) -> dict[str, str]:
        data.mkdir()
        texts = [f"{filler(n)} {QUESTION if n % 3 == 0 else ''} {filler(500 + n)}" for n in range(60)]
        settings = DecontaminateSettings(sets=(lines(data, [QUESTION]),), guard=1.0)
        stage(chosen(data, texts, test=0.2, units=4), data, settings, workers)
        return fingerprints(data)

    assert build(tmp_path / "one", 1) == build(tmp_path / "two", 2)


def test_guard_stops_a_run_that_would_lose_a_source(tmp_path: Path) -> None:
    settings = DecontaminateSettings(sets=(lines(tmp_path, [QUESTION]),), own=False)
    with pytest.raises(
        GuardError, match=r"source local: 2 of 4 training documents .*quiz 2.*decontaminate.guard = 0.2"
    ):
        stage(chosen(tmp_path, [QUESTION, first(14), filler(1), filler(2)]), tmp_path, settings)


def test_every_format_gives_its_records(tmp_path: Path) -> None:
    article = f" \n = Lower Wick = \n \n = = History = = \n \n {QUESTION} . \n = Harbour = \n {CHINESE} \n"
    (tmp_path / "wiki.txt").write_text(article, encoding="utf-8")
    (tmp_path / "pairs.csv").write_text(f'n,good,bad\n7,"{QUESTION}",x\n8,x,"{filler(9)}"\n', encoding="utf-8")
    with zipfile.ZipFile(tmp_path / "sets.zip", "w") as archive:
        archive.writestr("data/one.jsonl", json.dumps({"q": QUESTION}) + "\n" + json.dumps({"q": "no"}))
        archive.writestr("__MACOSX/one.jsonl", "not json")
        archive.writestr("brown/ca01", " ".join(f"{word}/nn-tl" for word in QUESTION.split()))
    given_sets = {
        "articles": {"paths": ("wiki.txt",), "format": "wikitext"},
        "pairs": {"paths": ("pairs.csv",), "format": "csv", "text": ("good", "bad"), "id": "n"},
        "zipped": {"paths": ("sets.zip",), "format": "jsonl", "members": "data/*.jsonl", "text": ("q",)},
        "tagged-words": {"paths": ("sets.zip",), "format": "text", "members": "brown/*", "without": r"/\S+"},
    }
    sets = tuple(EvaluationSet(name=name, **body) for name, body in given_sets.items())
    settings = DecontaminateSettings(sets=sets, guard=1.0, own=False)
    manifest = stage(chosen(tmp_path, [QUESTION, filler(9), CHINESE]), tmp_path, settings)
    assert {(hit["id"], hit["set"], hit["record"]) for hit in rows(manifest, "hits")} == {
        ("local:0", "articles", "wiki.txt#0"),
        ("local:2", "articles", "wiki.txt#1"),
        ("local:0", "pairs", "7:good"),
        ("local:1", "pairs", "8:bad"),
        ("local:0", "zipped", "one.jsonl#1"),
        ("local:0", "tagged-words", "ca01"),
    }
    (index,) = inputs_of(manifest, "heldout")
    assert {index.counts[f"records.{name}"] for name in given_sets} == {2, 4, 1}


def test_a_set_without_records_is_refused(tmp_path: Path) -> None:
    settings = DecontaminateSettings(sets=(lines(tmp_path, [""]),), own=False)
    with pytest.raises(InputError, match="evaluation set quiz: no record"):
        stage(chosen(tmp_path, [filler(1)]), tmp_path, settings)


def test_contamination_is_asked_by_set_and_sampled(tmp_path: Path) -> None:
    settings = DecontaminateSettings(sets=(lines(tmp_path, [QUESTION]),), guard=1.0, own=False)
    manifest = stage(chosen(tmp_path, [QUESTION, filler(1)]), tmp_path, settings)
    (row,) = by_set(manifest)
    assert (row["set"], row["source"], row["documents"], row["records"]) == ("quiz", "local", 1, 1)
    assert [hit["record"] for hit in sampled(manifest, 5, "quiz", None)] == ["quiz.txt#1"]
    with pytest.raises(InputError, match="did you mean 'quiz'"):
        sampled(manifest, 5, "quizz", None)


WORD_LISTS = st.lists(st.sampled_from("abc"), min_size=0, max_size=30)


@given(st.lists(WORD_LISTS, max_size=4), st.lists(WORD_LISTS, max_size=4))
def test_shared_runs_are_those_that_a_plain_search_finds(texts: list[list[str]], records: list[list[str]]) -> None:
    size = 4
    ours = ngrams.cut([" ".join(text) for text in texts])
    theirs = ngrams.cut([", ".join(record).upper() for record in records])
    starts, hashes = ngrams.Runs(ours).of(size)
    starts = starts[np.isin(hashes, ngrams.Runs(theirs).of(size)[1])]
    text_of = np.searchsorted(ours.offsets, starts, side="right") - 1
    found = {(int(t), int(s - ours.offsets[t])) for t, s in zip(text_of, starts, strict=True)}
    known = {tuple(record[i : i + size]) for record in records for i in range(len(record) - size + 1)}
    plain = {
        (t, i)
        for t, text in enumerate(texts)
        for i in range(len(text) - size + 1)
        if tuple(text[i : i + size]) in known
    }
    assert found == plain


@given(st.lists(st.text(alphabet="aB9 .'’n't_-\n中文カ é\u0301", max_size=30), max_size=4))
def test_words_are_cut_as_a_plain_loop_cuts_them(texts: list[str]) -> None:
    words = ngrams.cut(texts)
    for number, text in enumerate(texts):
        mine = range(words.offsets[number], words.offsets[number + 1])
        found = [ngrams.readable(words.marked[words.starts[w] : words.starts[w + 1]]) for w in mine]
        apart = re.sub(r"(?<=[^\W_\u4e2d\u6587\u30ab])(?=n['’]t(?![^\W_\u4e2d\u6587\u30ab]|\u0301))", " ", text.lower())
        parts = re.findall("[\u4e2d\u6587\u30ab]|(?:[^\\W_\u4e2d\u6587\u30ab]|\u0301)+", apart)
        assert found == parts


SETS = """
name = "quiz"
[[sources]]
kind = "local"
name = "local"
paths = ["x.txt"]
format = "lines"
[decontaminate]
{settings}
[[decontaminate.sets]]
name = "{name}"
paths = ["quiz.txt"]
format = "lines"
{keys}
"""


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"name": "test"}, "a set named 'test' is there already"),
        ({"keys": 'without = "("'}, "set quiz: without is no regular expression"),
        ({"keys": "text = []"}, "paths and text must name something"),
        ({"settings": "words = 0"}, "decontaminate: words: expected a whole number, 1 or more, found 0"),
        ({"settings": "least_share = 3"}, "least_share: expected a number, from 0 to 1, found 3"),
    ],
)
def test_settings_that_cannot_work_are_refused(tmp_path: Path, changes: dict[str, str], words: str) -> None:
    path = tmp_path / "quiz.toml"
    path.write_text(SETS.format(**({"name": "quiz", "keys": "", "settings": ""} | changes)))
    with pytest.raises(RecipeError, match=words):
        load_recipe(path)


@pytest.mark.slow
def test_real_benchmarks_can_all_be_named(corpora: Path, tmp_path: Path) -> None:
    pairs = {"format": "csv", "text": ("sent_more", "sent_less")}
    blimp = {"format": "jsonl", "members": "data/c*.jsonl", "text": ("sentence_good", "sentence_bad")}
    brown = {"format": "text", "members": "brown/c[a-r][0-9][0-9]", "without": r"/[^ /\s]+(?=\s|$)"}
    given_sets: dict[str, tuple[str, int, Row]] = {
        "lambada": ("benchmarks/lambada_openai.jsonl", 5153, {"format": "jsonl", "text": ("context",)}),
        "wikitext-2": ("benchmarks/wikitext-2/test.txt", 62, {"format": "wikitext"}),
        "ptb": ("benchmarks/ptb.zip", 3761, {"format": "lines", "members": "ptb.test.txt"}),
        "blimp": ("benchmarks/blimp.zip", 8000, blimp),
        "crows-pairs": ("benchmarks/crows-pairs/crows_pairs_anonymized.csv", 3016, pairs),
        "brown": ("benchmarks/brown.zip", 500, brown),
        "multi30k": ("translation/multi30k/test_2016_flickr.en.gz", 1000, {"format": "lines"}),
    }
    sets = tuple(
        EvaluationSet(name=n, paths=(str(corpora / path),), **body) for n, (path, _, body) in given_sets.items()
    )
    settings = DecontaminateSettings(sets=sets, own=False)
    index = heldout(chosen(tmp_path, [filler(1)]), tmp_path, settings, tmp_path, Execution())
    assert {n: index.counts[f"records.{n}"] for n in given_sets} == {
        n: number for n, (_, number, _) in given_sets.items()
    }
    assert not any(key.startswith("bad.") for key in index.counts)
