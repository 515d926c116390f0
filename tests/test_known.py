"""Units that earlier datasets have made: linked, never wrong, never needed."""

from pathlib import Path

import pyarrow as pa

from lmpipe.dataset import Execution, Manifest, Plan, UnitOutput, build
from lmpipe.known import take_over
from lmpipe.storage import file_sha256
from tests.road import fingerprints

SCHEMA = pa.schema([("word", pa.string())])
DONE: list[str] = []


def spell(word: str, output: UnitOutput) -> None:
    DONE.append(word)
    output.write("words", SCHEMA, [pa.record_batch([[word]], schema=SCHEMA)])
    output.count("in")


def spelled(data: Path, words: list[str], version: int = 1) -> Manifest:
    """Build a dataset of one unit a word; what was done is in DONE."""
    DONE.clear()
    plan = Plan(stage="spell", name="a", version=version, settings={}, inputs=({"words": " ".join(words)},))
    return build(plan, data, spell, words, Execution(), keys=words)


def test_only_units_with_new_keys_are_done(tmp_path: Path) -> None:
    spelled(tmp_path, ["one", "two"])
    spelled(tmp_path, ["zero", "one", "two", "three"])
    assert DONE == ["zero", "three"]


def test_what_is_taken_over_has_the_bytes_and_counts_of_what_is_done(tmp_path: Path) -> None:
    spelled(tmp_path / "grown", ["one", "two"])
    grown = spelled(tmp_path / "grown", ["zero", "one", "two"])
    fresh = spelled(tmp_path / "fresh", ["zero", "one", "two"])
    assert DONE == ["zero", "one", "two"]
    assert grown == fresh
    assert grown.counts == {"in": 3}
    assert fingerprints(fresh.folder) == fingerprints(grown.folder)


def test_another_version_takes_nothing_over(tmp_path: Path) -> None:
    spelled(tmp_path, ["one"])
    spelled(tmp_path, ["one", "two"], version=2)
    assert DONE == ["one", "two"]


def test_a_unit_whose_file_is_gone_or_cut_or_damaged_is_done_again(tmp_path: Path) -> None:
    first = spelled(tmp_path, ["one", "two", "three", "four"])
    one, two, three, _ = first.paths("words")
    one.unlink()
    two.write_bytes(two.read_bytes()[:-1])
    three.write_bytes(three.read_bytes()[:-1] + b"?")
    again = spelled(tmp_path, ["one", "two", "three", "four", "five"])
    assert DONE == ["one", "two", "three", "five"]
    assert len(again.shards) == 5


def test_a_dataset_that_is_not_committed_gives_nothing(tmp_path: Path) -> None:
    first = spelled(tmp_path, ["one"])
    (first.folder / "manifest.json").unlink()
    spelled(tmp_path, ["one", "two"])
    assert DONE == ["one", "two"]


def test_units_are_told_apart_beyond_the_hundred_thousandth(tmp_path: Path) -> None:
    earlier, folder = tmp_path / "earlier", tmp_path / "folder"
    for path in (earlier, folder):
        path.mkdir()
    (earlier / "words-100001.parquet").write_text("some")
    shard = {"bytes": 4, "sha256": file_sha256(earlier / "words-100001.parquet")}
    record = take_over(earlier, {"shards": [{"path": "words-100001.parquet"} | shard]}, folder, 100_002)
    assert record == {"shards": [{"path": "words-100002.parquet"} | shard]}
    assert [path.name for path in folder.iterdir()] == ["words-100002.parquet"]
