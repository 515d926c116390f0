"""Datasets commit by manifest, units commit one by one, and identity is what defines the output."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pyarrow as pa
import pytest

from lmpipe.dataset import (
    Execution,
    Manifest,
    Plan,
    UnitOutput,
    build,
    inputs_of,
    open_dataset,
    read_batches,
    settings_dict,
)
from lmpipe.errors import DatasetError, LmpipeError, StorageError
from lmpipe.settings import ProfileSettings
from lmpipe.storage import digest, file_sha256, replacing
from tests.damage import flip

SCHEMA = pa.schema([("n", pa.int64())])
PLAN = Plan(stage="count", name="numbers", version=1, settings={"to": 3}, inputs=())


def write_number(unit: int, output: UnitOutput) -> None:
    output.write("numbers", SCHEMA, [pa.record_batch({"n": [unit]}, schema=SCHEMA)])
    output.count("rows")


def write_or_die(unit: int, output: UnitOutput) -> None:
    if unit == 2 and not (output.folder.parent.parent / "once").exists():
        (output.folder.parent.parent / "once").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    write_number(unit, output)


def fail_at_two(unit: int, output: UnitOutput) -> None:
    if unit == 2:
        raise LmpipeError("unit two is bad")
    write_number(unit, output)


def numbers(manifest: Manifest) -> list[int]:
    return [n for path in manifest.paths("numbers") for batch in read_batches(path) for n in batch["n"].to_pylist()]


def contents(folder: Path) -> dict[str, str]:
    hidden = {"made.json", ".lock"}
    return {
        str(p.relative_to(folder)): file_sha256(p) for p in folder.rglob("*") if p.is_file() and p.name not in hidden
    }


def test_build_commits_units_in_order(tmp_path: Path) -> None:
    manifest = build(PLAN, tmp_path, write_number, [3, 1, 2], Execution())
    assert numbers(manifest) == [3, 1, 2]
    assert manifest.counts == {"rows": 3}
    assert open_dataset(manifest.folder) == manifest
    assert not (manifest.folder / "units").exists()


def test_second_build_does_no_work(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    build(PLAN, tmp_path, write_number, [1], Execution())
    with caplog.at_level("INFO", logger="lmpipe"):
        build(PLAN, tmp_path, fail_at_two, [2], Execution())
    assert "already built, nothing to do" in caplog.text


def test_one_and_two_workers_give_the_same_bytes(tmp_path: Path) -> None:
    one = build(PLAN, tmp_path / "one", write_number, range(5), Execution(workers=1))
    two = build(PLAN, tmp_path / "two", write_number, range(5), Execution(workers=2))
    assert contents(one.folder) == contents(two.folder)


def test_failed_build_keeps_finished_units_and_is_not_committed(tmp_path: Path) -> None:
    with pytest.raises(LmpipeError, match="unit two is bad"):
        build(PLAN, tmp_path, fail_at_two, [0, 1, 2, 3], Execution())
    folder = PLAN.folder(tmp_path)
    assert not (folder / "manifest.json").exists()
    before = (folder / "numbers-00000.parquet").stat().st_mtime_ns
    assert numbers(build(PLAN, tmp_path, write_number, [0, 1, 2, 3], Execution())) == [0, 1, 2, 3]
    assert (folder / "numbers-00000.parquet").stat().st_mtime_ns == before


def test_killed_worker_is_reported_and_the_next_run_goes_on(tmp_path: Path) -> None:
    with pytest.raises(LmpipeError, match="a worker process was killed"):
        build(PLAN, tmp_path, write_or_die, range(4), Execution(workers=2))
    assert numbers(build(PLAN, tmp_path, write_or_die, range(4), Execution(workers=2))) == [0, 1, 2, 3]


def test_what_killed_units_left_is_gone_when_the_build_is_committed(tmp_path: Path) -> None:
    folder = build(PLAN, tmp_path, leave_half, [1, 2], Execution()).folder
    assert sorted(path.name for path in folder.iterdir() if path.suffix != ".json") == [
        ".lock",
        "numbers-00000.parquet",
        "numbers-00001.parquet",
    ]


def leave_half(unit: int, output: UnitOutput) -> None:
    """As a unit does that is killed on a cluster's node and done again on another."""
    (output.folder / f".numbers-{unit}.node.1.tmp").touch()
    (output.folder / f".spill-{unit}").mkdir()
    (output.folder / f".spill-{unit}" / "duckdb.tmp").touch()
    write_number(unit, output)


def test_workers_die_with_a_killed_build(tmp_path: Path) -> None:
    code = (
        "import sys, time; sys.path.insert(0, sys.argv[2])\n"
        "from pathlib import Path; from lmpipe.dataset import *; import test_dataset as t\n"
        "build(t.PLAN, Path(sys.argv[1]), t.sleep_long, range(4), Execution(workers=2))\n"
    )
    child = subprocess.Popen([sys.executable, "-c", code, str(tmp_path), str(Path(__file__).parent)])
    folder = PLAN.folder(tmp_path)
    pids = wait_for_pids(folder)
    child.kill()
    child.wait()
    assert wait_until_gone(pids)


def sleep_long(unit: int, output: UnitOutput) -> None:
    (output.folder / f"{os.getpid()}.pid").touch()
    threading.Event().wait(60)


def wait_for_pids(folder: Path) -> list[int]:
    for _ in range(600):
        pids = [int(p.stem) for p in folder.glob("*.pid")]
        if len(pids) == 2:
            return pids
        threading.Event().wait(0.05)
    raise AssertionError("the workers did not start")


def wait_until_gone(pids: list[int]) -> bool:
    for _ in range(200):
        if not any(Path(f"/proc/{pid}").exists() for pid in pids):
            return True
        threading.Event().wait(0.05)
    return False


def test_build_at_the_same_time_is_done_once(tmp_path: Path) -> None:
    found: list[Manifest] = []
    threads = [
        threading.Thread(target=lambda: found.append(build(PLAN, tmp_path, write_number, range(3), Execution())))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [found[0]] * 3


@pytest.mark.parametrize("damage", ["cut", "missing"])
def test_damaged_shard_is_refused(tmp_path: Path, damage: str) -> None:
    path = build(PLAN, tmp_path, write_number, [1], Execution()).paths("numbers")[0]
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-1])
    else:
        path.unlink()
    with pytest.raises(DatasetError, match=r"expected \d+ bytes, found .* run its stage again"):
        open_dataset(path.parent)


def test_a_bit_that_was_flipped_anywhere_above_is_refused(tmp_path: Path) -> None:
    first = build(PLAN, tmp_path, write_number, [1], Execution())
    second = build(after(first, "second"), tmp_path, write_number, [1], Execution())
    flip(first.paths("numbers")[0])
    with pytest.raises(DatasetError, match=r"numbers-00000.parquet: expected sha256 .* run its stage again"):
        build(after(second, "third"), tmp_path, write_number, [1], Execution())


def test_an_input_that_was_deleted_since_is_not_missed(tmp_path: Path) -> None:
    first = build(PLAN, tmp_path, write_number, [1], Execution())
    second = build(after(first, "second"), tmp_path, write_number, [1], Execution())
    shutil.rmtree(first.folder)
    assert numbers(build(after(second, "third"), tmp_path, write_number, [1], Execution())) == [1]


def after(manifest: Manifest, stage: str) -> Plan:
    return Plan(stage=stage, name="numbers", version=1, settings={}, inputs=(manifest.reference,))


def test_folder_without_manifest_is_no_dataset(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no committed dataset"):
        open_dataset(tmp_path)


def test_manifest_of_another_format_is_refused(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text(json.dumps({"format": 99}))
    with pytest.raises(DatasetError, match="expected a manifest of format 1"):
        open_dataset(tmp_path)


def test_folder_in_the_way_of_a_file_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")
    with pytest.raises(StorageError, match="Choose another data folder"):
        build(PLAN, tmp_path / "data", write_number, [1], Execution())


def test_full_disk_is_one_clear_error_and_nothing_is_committed(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="no space left"):
        build(PLAN, tmp_path, write_to_full_disk, [1], Execution())
    assert not (PLAN.folder(tmp_path) / "manifest.json").exists()


def write_to_full_disk(unit: int, output: UnitOutput) -> None:
    with Path("/dev/full").open("w") as full:
        full.write("x" * 10_000)


def test_replacing_leaves_the_old_file_when_writing_fails(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(UnicodeEncodeError), replacing(path) as temporary:
        temporary.write_text("half" + "\ud800" * 10_000, encoding="utf-8")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_fingerprint_changes_with_what_defines_the_output() -> None:
    plans = [
        PLAN,
        Plan(stage="count", name="numbers", version=2, settings={"to": 3}, inputs=()),
        Plan(stage="count", name="numbers", version=1, settings={"to": 4}, inputs=()),
        Plan(stage="count", name="numbers", version=1, settings={"to": 3}, inputs=({"file": "a"},)),
    ]
    assert len({plan.fingerprint for plan in plans}) == 4


def test_settings_that_only_say_when_to_stop_stay_outside_the_fingerprint() -> None:
    assert settings_dict(ProfileSettings(guard=0.1)) == settings_dict(ProfileSettings(guard=0.9))


def test_digest_refuses_what_json_cannot_hold() -> None:
    with pytest.raises(TypeError):
        digest({"a": {1, 2}})
    with pytest.raises(ValueError, match="JSON"):
        digest(float("nan"))


def test_inputs_of_opens_the_datasets_it_was_made_from(tmp_path: Path) -> None:
    first = build(PLAN, tmp_path, write_number, [1], Execution())
    plan = Plan(stage="next", name="numbers", version=1, settings={}, inputs=(first.reference,))
    second = build(plan, tmp_path, write_number, [1], Execution())
    assert inputs_of(second, "count") == [first]
    assert inputs_of(second, "other") == []
