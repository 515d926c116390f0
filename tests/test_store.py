"""Datasets on a real S3 server: committed by order, taken by other machines, mended when damaged."""

import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from lmpipe.dataset import Execution, UnitOutput, build
from lmpipe.errors import LmpipeError, StorageError
from lmpipe.store import Store, key_of
from tests.conftest import ROOT
from tests.swift import PASSWORD, Swift
from tests.test_dataset import PLAN, contents, fail_at_two, numbers, write_number

BIG = 24 << 20
"""Bytes; more than one part of an upload (10 MiB)."""


def no_work(unit: int, output: UnitOutput) -> None:
    raise AssertionError("another machine has done this")


def at(store: Store) -> Execution:
    return Execution(store=store.uri)


def keys(store: Store) -> list[str]:
    return list(store.sizes(key_of(PLAN.folder(Path()))))


def write_big(unit: int, output: UnitOutput) -> None:
    (output.folder / f"big-{unit}").write_bytes(os.urandom(BIG) if unit else bytes(BIG))
    output.add("big", f"big-{unit}", rows=1)


def test_a_second_machine_takes_what_the_first_has_built(store: Store, tmp_path: Path) -> None:
    here = build(PLAN, tmp_path / "here", write_number, [3, 1, 2], at(store))
    there = build(PLAN, tmp_path / "there", no_work, [3, 1, 2], at(store))
    assert numbers(there) == [3, 1, 2]
    assert contents(there.folder) == contents(here.folder)
    assert keys(store) == [
        "made.json",
        "manifest.json",
        "numbers-00000.parquet",
        "numbers-00001.parquet",
        "numbers-00002.parquet",
    ]


@pytest.mark.slow
def test_files_of_several_parts_travel_whole(store: Store, tmp_path: Path) -> None:
    here = build(PLAN, tmp_path / "here", write_big, [0, 1], at(store))
    there = build(PLAN, tmp_path / "there", no_work, [0, 1], at(store))
    assert contents(there.folder) == contents(here.folder)


def test_a_machine_goes_on_with_the_units_of_a_lost_one(store: Store, tmp_path: Path) -> None:
    with pytest.raises(LmpipeError, match="unit two is bad"):
        build(PLAN, tmp_path / "lost", fail_at_two, [0, 1, 2], at(store))
    assert "manifest.json" not in keys(store)
    shutil.rmtree(tmp_path / "lost")
    done: list[int] = []

    def remember(unit: int, output: UnitOutput) -> None:
        done.append(unit)
        write_number(unit, output)

    assert numbers(build(PLAN, tmp_path / "next", remember, [0, 1, 2], at(store))) == [0, 1, 2]
    assert done == [2]


def test_what_was_built_without_a_store_is_sent_by_the_next_run(store: Store, tmp_path: Path) -> None:
    build(PLAN, tmp_path, write_number, [1], Execution(store=None))
    assert keys(store) == []
    build(PLAN, tmp_path, no_work, [1], at(store))
    assert "manifest.json" in keys(store)


@pytest.mark.parametrize("damage", ["flipped", "missing"])
def test_a_damaged_object_is_made_and_sent_again(
    store: Store, tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    here = build(PLAN, tmp_path / "here", write_number, [1, 2], at(store))
    key = f"{key_of(here.folder)}/numbers-00001.parquet"
    if damage == "missing":
        store.delete(key)
    else:
        bad = tmp_path / "bad"
        bad.write_bytes((here.folder / "numbers-00001.parquet").read_bytes()[::-1])
        store.send(bad, key)
    again = build(PLAN, tmp_path / "there", write_number, [1, 2], at(store))
    assert "is damaged or missing there, so it is made again" in caplog.text
    assert contents(again.folder) == contents(here.folder)
    assert contents(build(PLAN, tmp_path / "third", no_work, [1, 2], at(store)).folder) == contents(here.folder)


@pytest.mark.slow
def test_a_killed_machine_leaves_no_manifest_and_the_next_gets_the_same_bytes(
    store: Store, swift: Swift, tmp_path: Path
) -> None:
    whole = build(PLAN, tmp_path / "whole", write_number, range(20), Execution(store=None))
    code = (
        "from pathlib import Path; from lmpipe.dataset import Execution, build; from tests.test_dataset import *\n"
        f"run = Execution(workers=2, store={store.uri!r})\n"
        f"build(PLAN, Path({str(tmp_path / 'lost')!r}), write_number, range(20), run)"
    )
    child = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT)
    while not any(key.startswith("units/") for key in keys(store)):
        assert child.poll() is None, "ended before it sent a unit"
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert "manifest.json" not in keys(store)
    assert contents(build(PLAN, tmp_path / "next", write_number, range(20), at(store)).folder) == contents(whole.folder)


@pytest.mark.slow
def test_a_build_outlives_a_server_that_is_killed_and_started_again(store: Store, swift: Swift, tmp_path: Path) -> None:
    swift.kill()
    back = threading.Timer(2, swift.start)
    back.start()
    built = build(PLAN, tmp_path / "here", write_big, [0, 1], at(store))
    back.join()
    assert contents(build(PLAN, tmp_path / "there", no_work, [0, 1], at(store)).folder) == contents(built.folder)


def test_a_store_that_is_not_there_is_one_sentence(store: Store, swift: Swift, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"NO_SUCH_BUCKET.*what is finished is kept"):
        build(PLAN, tmp_path, write_number, [1], Execution(store="s3://nowhere/x"))


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("s3://key:secret@bucket/x", "without a key or password"),
        ("ftp://bucket/x", "expected a place like s3://bucket/prefix"),
        ("bucket", "expected a place like s3://bucket/prefix"),
    ],
)
def test_a_wrong_uri_is_told(uri: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=message) as caught:
        build(PLAN, tmp_path, write_number, [1], Execution(store=uri))
    assert "secret" not in str(caught.value)


def test_a_folder_of_another_disk_is_a_store_too(tmp_path: Path) -> None:
    execution = Execution(store=(tmp_path / "disk").as_uri())
    here = build(PLAN, tmp_path / "here", write_number, [1, 2], execution)
    assert contents(build(PLAN, tmp_path / "there", no_work, [1, 2], execution).folder) == contents(here.folder)


def test_a_manifest_cannot_write_out_of_its_folder(tmp_path: Path) -> None:
    execution = Execution(store=(tmp_path / "disk").as_uri())
    here = build(PLAN, tmp_path / "here", write_number, [1], execution)
    manifest = tmp_path / "disk" / key_of(here.folder) / "manifest.json"
    manifest.write_text(manifest.read_text().replace("numbers-00000", "../../numbers-00000"))
    build(PLAN, tmp_path / "there", write_number, [1], execution)
    assert not (tmp_path / "there" / "numbers-00000.parquet").exists()


def test_the_password_is_in_no_file(store: Store, tmp_path: Path) -> None:
    manifest = build(PLAN, tmp_path, write_number, [1], at(store))
    assert not [p for p in manifest.folder.rglob("*") if p.is_file() and PASSWORD.encode() in p.read_bytes()]
