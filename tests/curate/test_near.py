"""Near duplicates through the stages: what is found, who survives, and that no cluster drifts."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from lmpipe.curate.clean import clean
from lmpipe.curate.decide import decide
from lmpipe.curate.dedup import dedup
from lmpipe.curate.near import LEADERS, candidates, near, sign
from lmpipe.curate.split import split
from lmpipe.dataset import Execution, Manifest
from lmpipe.errors import GuardError
from lmpipe.settings import Bounds, CleanSettings, DedupSettings, ProfileSettings, SplitSettings
from tests.conftest import Ingested
from tests.road import fingerprints

EVERYTHING = ProfileSettings(
    name="basic", guard=1.0, rules={"en": {"words": Bounds(min=1)}, "zh": {"words": Bounds(min=1)}}
)
LETTERS = "abcdefghijklmnopqrstuvwxyz"


def word(number: int) -> str:
    """Make a word of letters, since digits are all the same to shingles."""
    return "".join(LETTERS[number // 26**place % 26] for place in range(4))


def text(start: int, number: int = 300, changed: Sequence[int] = ()) -> str:
    return " ".join(word(90_000 + i if i in changed else start + i) for i in range(number))


def stages(
    sources: Sequence[Manifest], data: Path, settings: DedupSettings, workers: int = 1
) -> tuple[Manifest, list[Manifest]]:
    run = Execution(workers=workers)
    decided = [decide(clean(s, data, CleanSettings(), run), data, EVERYTHING, run) for s in sources]
    exact = dedup(decided, "test", data, settings, run)
    signed = [sign(d, data, settings, run) for d in decided]
    return near(exact, signed, candidates(exact, signed, data, settings, run), data, settings, run), decided


def duplicates(manifest: Manifest) -> dict[str, dict[str, Any]]:
    rows = [row for path in manifest.paths("duplicates") for row in pq.read_table(path).to_pylist()]
    assert len({row["id"] for row in rows}) == len(rows)
    return {row["id"]: row for row in rows}


def find(ingested: Ingested, tmp_path: Path, texts: Sequence[Any], **changes: Any) -> dict[str, dict[str, Any]]:
    settings = DedupSettings(**({"guard": 1.0} | changes))
    return duplicates(stages([ingested(texts, lang="la")], tmp_path, settings)[0])


def test_a_copy_with_a_few_changed_words_is_a_duplicate_of_the_longer(ingested: Ingested, tmp_path: Path) -> None:
    found = find(ingested, tmp_path, [text(0, changed=[150]), text(0) + " more", text(5000)])
    assert list(found) == ["local:0"]
    row = found["local:0"]
    assert (row["duplicate_of"], row["cluster"]) == ("local:1", 2)
    # of 296 shingles 5 hold the changed word; the longer text has one more: 291 common of 302
    assert row["similarity"] == pytest.approx(291 / 302)


def test_nothing_below_the_threshold_is_a_duplicate(ingested: Ingested, tmp_path: Path) -> None:
    half = text(0, changed=range(0, 300, 20))
    assert find(ingested, tmp_path, [text(0), half]) == {}
    assert list(find(ingested, tmp_path / "low", [text(0), half], similarity=0.3)) in (["local:1"], ["local:0"], [])


def test_clusters_do_not_drift(ingested: Ingested, tmp_path: Path) -> None:
    a, b, c = text(0, 320), text(0, 310, changed=range(285, 310)), text(0, 300, changed=range(265, 300))
    found = find(ingested, tmp_path, [a, b, c])
    assert list(found) == ["local:1"]  # c is like b, but b is gone, and c is not like a
    assert found["local:1"]["duplicate_of"] == "local:0"
    assert list(find(ingested, tmp_path / "two", [b, c])) == ["local:1"]


def test_an_exact_copy_of_a_near_duplicate_points_to_the_survivor(ingested: Ingested, tmp_path: Path) -> None:
    found = find(ingested, tmp_path, [text(0) + " more", text(0), text(0)])
    assert {key: row["duplicate_of"] for key, row in found.items()} == {"local:1": "local:0", "local:2": "local:0"}
    assert found["local:2"]["similarity"] == found["local:1"]["similarity"] < 1


def test_a_crowd_of_copies_leaves_one(ingested: Ingested, tmp_path: Path) -> None:
    texts = [text(0, 200 + n % 7, changed=[n % 190]) for n in range(3 * LEADERS)]
    found = find(ingested, tmp_path, texts)
    assert len(found) == len(texts) - 1
    assert len({row["duplicate_of"] for row in found.values()}) == 1


def test_chinese_is_found_by_its_words(ingested: Ingested, tmp_path: Path) -> None:
    sentence = "".join(chr(0x4E00 + (n * n * 7 + 13 * n) % 5000) for n in range(400))
    texts = [{"text": sentence, "lang": "zh"}, {"text": sentence.replace(sentence[200], "桥"), "lang": "zh"}]
    assert len(find(ingested, tmp_path, texts)) == 1


def test_near_duplicates_are_found_between_sources_and_leave_the_split(ingested: Ingested, tmp_path: Path) -> None:
    sources = [
        ingested([text(0), text(5000)], source="a", lang="la"),
        ingested([text(0, 299), text(9000)], source="b", lang="la"),
    ]
    manifest, _ = stages(sources, tmp_path, DedupSettings())
    assert duplicates(manifest)["b:0"]["duplicate_of"] == "a:0"
    chosen = split(manifest, tmp_path, SplitSettings(), 1, Execution())
    outcomes = {row["id"]: row for path in chosen.paths("outcomes") for row in pq.read_table(path).to_pylist()}
    assert {key: row["outcome"] for key, row in outcomes.items()} == {
        "a:0": "kept", "a:1": "kept", "b:0": "duplicate", "b:1": "kept",
    }  # fmt: skip


def test_the_guard_counts_near_duplicates_too(ingested: Ingested, tmp_path: Path) -> None:
    with pytest.raises(GuardError, match="3 of 4 documents"):
        find(ingested, tmp_path, [text(0, 300 - n) for n in range(4)], guard=0.5)


def test_workers_and_units_change_nothing(ingested: Ingested, tmp_path: Path) -> None:
    texts = [text(600 * (n % 9), 300 - n // 9) for n in range(40)]
    source = ingested(texts, units=4, lang="la")
    for folder, workers in (("one", 1), ("two", 2)):
        stages([source], tmp_path / folder, DedupSettings(guard=1.0), workers)
    one, two = (fingerprints(tmp_path / folder) for folder in ("one", "two"))
    assert one == two
    assert len(one) > 10
