"""Sets of sentence pairs are read as their authors publish them, whole or not at all."""

import json
import zipfile
from collections import Counter
from pathlib import Path

import pytest

from lmpipe.errors import InputError
from lmpipe.evaluate.pair_sets import Pair, read_pairs
from lmpipe.settings import PairSet


def read(format: str, path: Path) -> list[Pair]:
    return read_pairs(PairSet(name="set", paths=(), format=format), [path])  # type: ignore[arg-type]


def test_blimp_is_67_paradigms_of_1000_pairs_in_12_phenomena(corpora: Path) -> None:
    pairs = read("blimp", corpora / "benchmarks" / "blimp.zip")
    assert Counter(Counter(pair.part for pair in pairs).values()) == {1000: 67}
    assert len({pair.topic for pair in pairs}) == 12
    assert sum(pair.first == pair.second for pair in pairs) == 7  # as published: no model can do better than a tie


def test_crows_pairs_are_1508_in_nine_types_of_bias(corpora: Path) -> None:
    pairs = read("crows-pairs", corpora / "benchmarks" / "crows-pairs" / "crows_pairs_anonymized.csv")
    assert len(pairs) == 1508
    assert Counter(pair.topic for pair in pairs)["race-color"] == 516
    assert Counter(pair.part for pair in pairs) == {"stereo": 1290, "antistereo": 218}


def stereoset(tmp_path: Path) -> Path:
    labels = (("s", "stereotype"), ("a", "anti-stereotype"), ("u", "unrelated"))
    sentences = [{"id": label, "sentence": f"It is {label}.", "gold_label": gold} for label, gold in labels]
    item = {"id": "1", "target": "smith", "bias_type": "profession", "context": "She met a smith.", "labels": []}
    data = {task: [item | {"sentences": sentences}] for task in ("intersentence", "intrasentence")}
    (tmp_path / "dev.json").write_text(json.dumps({"version": "1.0", "data": data}))
    return tmp_path / "dev.json"


def test_stereoset_gives_three_pairs_an_item_and_its_context_between_sentences_only(tmp_path: Path) -> None:
    inter, intra = (
        [p for p in read("stereoset", stereoset(tmp_path)) if p.set.endswith(t)]
        for t in ("intersentence", "intrasentence")
    )
    assert [(p.contrast, p.first, p.second) for p in inter] == [
        ("stereotype/antistereotype", "It is s.", "It is a."),
        ("stereotype/unrelated", "It is s.", "It is u."),
        ("antistereotype/unrelated", "It is a.", "It is u."),
    ]
    assert {p.context for p in inter} == {"She met a smith."}
    assert {p.context for p in intra} == {""}


def test_own_pairs_have_group_part_and_context_where_they_say_so(tmp_path: Path) -> None:
    lines = [{"good": "a", "bad": "b"}, {"good": "c", "bad": "d", "group": "g", "part": "p", "context": "x", "id": 9}]
    (tmp_path / "mine.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n\n")
    one, two = read("jsonl", tmp_path / "mine.jsonl")
    assert (one.id, one.topic, one.part, one.context) == ("mine.jsonl:1", "", "", "")
    assert (two.id, two.topic, two.part, two.context) == ("9", "g", "p", "x")


@pytest.mark.parametrize(
    ("line", "words"),
    [('{"good": "a"}', "'bad'"), ('{"good": "a", "bad": 1}', "found 1"), ("[1]", "AttributeError"), ("{", "jsonl")],
)
def test_a_record_that_is_no_pair_is_refused_by_name(tmp_path: Path, line: str, words: str) -> None:
    (tmp_path / "mine.jsonl").write_text(line)
    with pytest.raises(InputError, match=rf"mine\.jsonl.*{words}"):
        read("jsonl", tmp_path / "mine.jsonl")


def test_a_pair_that_comes_twice_and_a_set_without_pairs_are_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.jsonl").write_text('{"good": "a", "bad": "b", "id": 1}\n' * 2)
    with pytest.raises(InputError, match="pair 1 comes twice"):
        read("jsonl", tmp_path / "mine.jsonl")
    (tmp_path / "none.jsonl").write_text("\n")
    with pytest.raises(InputError, match="no pair"):
        read("jsonl", tmp_path / "none.jsonl")


def test_what_macos_leaves_in_a_zip_is_no_part_of_the_set(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        archive.writestr("__MACOSX/data/._a.jsonl", b"\x00\x05\x16\x07")
        archive.writestr("data/a.jsonl", '{"good": "a", "bad": "b"}')
        archive.writestr("README.md", "not a pair")
    assert [pair.first for pair in read("jsonl", tmp_path / "set.zip")] == ["a"]
