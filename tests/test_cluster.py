"""Units on a Ray cluster: the same bytes as in one process, whatever is killed, and nothing left behind."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lmpipe.cluster import RETRIES
from lmpipe.curate.clean import CleanUnit, clean, clean_unit, group_runs
from lmpipe.dataset import Execution, Manifest, Plan, UnitOutput, build
from lmpipe.errors import LmpipeError, StorageError
from lmpipe.settings import CleanSettings
from lmpipe.store import key_of, open_store
from tests.conftest import ROOT, Ingested
from tests.swift import BUCKET, Swift
from tests.test_dataset import PLAN, contents, numbers, wait_for_pids, wait_until_gone, write_number

NODES = 2
"""Beside the head, which has no core to work on."""


@pytest.fixture(scope="module")
def cluster(swift: Swift) -> Iterator[Any]:
    """A Ray cluster of a head and two nodes, each with processes of its own, one core and the way to the S3 server."""
    pytest.importorskip("ray", reason="Ray is not installed: pip install -e '.[ray]'")
    import ray
    from ray.cluster_utils import Cluster

    folder = tempfile.mkdtemp(prefix="ray-")  # pytest's own paths are too long for a socket's name
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([str(Path(__file__).parent), str(ROOT)]))
        head = {"num_cpus": 0, "temp_dir": folder, "include_dashboard": False}
        made = Cluster(initialize_head=True, head_node_args=head)
        for _ in range(NODES):
            made.add_node(num_cpus=1)
        yield made
    ray.shutdown()
    made.shutdown()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def on_cluster(cluster: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The one setting."""
    monkeypatch.setenv("LMPIPE_RAY", cluster.address)
    return cluster


def raylet(pid: int) -> int:
    """A worker's parent is its node."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def documents(ingested: Ingested) -> Manifest:
    rows = [{"text": f"The {n} horses ran over the hill in the evening, and we saw them. " * 20} for n in range(60)]
    return ingested(rows, units=6)


def write_process(unit: int, output: UnitOutput) -> None:
    (output.folder / f"{os.getpid()}.pid").touch()
    assert threading.current_thread() is threading.main_thread()
    write_number(unit, output)


def fail_and_count(unit: int, output: UnitOutput) -> None:
    with (output.folder.parent.parent / f"attempts-{unit}").open("a") as attempts:
        attempts.write("x")
    if unit == 2:
        raise LmpipeError("unit two is bad")
    if unit == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    write_number(unit, output)


def clean_when_killed_once(unit: Any, output: UnitOutput) -> None:
    """Clean as the stage does; the first of all leaves half a file and waits for its end."""
    try:
        (output.folder.parent.parent / "first").touch(exist_ok=False)
    except FileExistsError:
        return clean_unit(unit, output)
    (output.folder / ".documents-00000.parquet.half.tmp").touch()
    (output.folder.parent.parent / f"{os.getpid()}.first").touch()
    threading.Event().wait(600)


def sleep_long(unit: int, output: UnitOutput) -> None:
    (output.folder / f"{os.getpid()}.pid").touch()
    threading.Event().wait(60)


@pytest.mark.slow
def test_stage_on_a_cluster_has_the_bytes_of_one_process(
    on_cluster: Any, ingested: Ingested, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped_by = signal.getsignal(signal.SIGTERM)
    made = documents(ingested)
    here = clean(made, tmp_path / "here", CleanSettings(), Execution(cluster=None))
    monkeypatch.chdir(tmp_path)
    there = clean(made, Path("there"), CleanSettings(), Execution(workers=4))
    assert len(here.paths("documents")) == 6
    assert contents(here.folder) == contents(there.folder)
    assert signal.getsignal(signal.SIGTERM) is stopped_by


@pytest.mark.slow
def test_units_run_in_main_threads_of_both_nodes(on_cluster: Any, tmp_path: Path) -> None:
    manifest = build(PLAN, tmp_path, write_process, range(50), Execution(workers=4))
    pids = [int(path.stem) for path in manifest.folder.glob("*.pid")]
    assert numbers(manifest) == list(range(50))
    assert len({raylet(pid) for pid in pids}) == NODES
    assert os.getpid() not in pids


@pytest.mark.slow
def test_error_of_a_unit_is_told_as_it_is_and_the_unit_not_run_again(on_cluster: Any, tmp_path: Path) -> None:
    with pytest.raises(LmpipeError, match=r"^unit two is bad$"):
        build(PLAN, tmp_path, fail_and_count, [0, 1, 2], Execution(workers=2))
    assert (tmp_path / "attempts-2").read_text() == "x"
    assert not (PLAN.folder(tmp_path) / "manifest.json").exists()


@pytest.mark.slow
def test_unit_that_ends_its_process_each_time_is_given_up(on_cluster: Any, tmp_path: Path) -> None:
    with pytest.raises(LmpipeError, match=r"Ray could not finish a unit: .* finished units are kept"):
        build(PLAN, tmp_path, fail_and_count, [0, 3], Execution(workers=2))
    assert (tmp_path / "attempts-3").read_text() == "x" * (1 + RETRIES)


@pytest.mark.slow
def test_killed_driver_leaves_no_unit_running(on_cluster: Any, tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from lmpipe.dataset import *; import tests.test_cluster as t\n"
        "build(t.PLAN, Path(sys.argv[1]), t.sleep_long, range(4), Execution(workers=2))\n"
    )
    child = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], cwd=ROOT)
    pids = wait_for_pids(PLAN.folder(tmp_path))
    child.kill()
    child.wait()
    assert wait_until_gone(pids)


@pytest.mark.slow
def test_node_killed_in_the_middle_changes_no_byte(on_cluster: Any, ingested: Ingested, tmp_path: Path) -> None:
    made = documents(ingested)
    here = clean(made, tmp_path / "here", CleanSettings(), Execution(cluster=None))
    plan = Plan(stage="clean", name=made.name, version=1, settings={}, inputs=(made.reference,))
    units = clean_units(made)
    found: list[Manifest] = []
    building = threading.Thread(
        target=lambda: found.append(
            build(plan, tmp_path / "there", clean_when_killed_once, units, Execution(workers=4))
        )
    )
    building.start()
    kill_node(raylet(wait_for_first(tmp_path / "there")))
    building.join()
    assert {s.path: s.sha256 for s in found[0].shards} == {s.path: s.sha256 for s in here.shards}
    assert list(found[0].folder.glob(".*.tmp")) == []


def kill_node(pid: int) -> None:
    """Kill a node with all its workers at once, as when its machine goes."""
    workers = [
        int(child) for path in Path(f"/proc/{pid}/task").glob("*/children") for child in path.read_text().split()
    ]
    for process in (pid, *workers):
        os.kill(process, signal.SIGKILL)


def clean_units(made: Manifest) -> list[Any]:
    return [
        CleanUnit(shard, groups, CleanSettings(), False, None)
        for shard in made.paths("documents")
        for groups in group_runs(shard)
    ]


def wait_for_first(data: Path) -> int:
    for _ in range(1200):
        for path in data.glob("*.first"):
            return int(path.stem)
        threading.Event().wait(0.05)
    raise AssertionError("no unit started")


@pytest.mark.slow
@pytest.mark.parametrize("place", ["file://{tmp_path}/store", f"s3://{BUCKET}/cluster"])
def test_nodes_send_what_they_finish_to_the_object_store_themselves(
    on_cluster: Any, tmp_path: Path, place: str
) -> None:
    kept = place.format(tmp_path=tmp_path)
    with pytest.raises(LmpipeError, match="unit two is bad"):
        build(PLAN, tmp_path / "here", fail_and_count, [0, 1, 2], Execution(workers=1, store=kept))
    sent = open_store(kept).sizes(key_of(PLAN.folder(Path())))
    assert [name for name in sent if name.startswith("units/")] == ["units/00000.json", "units/00001.json"]
    build(PLAN, tmp_path / "here", write_process, [0, 1, 2], Execution(workers=2, store=kept))
    there = build(PLAN, tmp_path / "there", sleep_long, [0, 1, 2], Execution(store=kept, cluster=None))
    assert numbers(there) == [0, 1, 2]


@pytest.mark.slow
def test_cluster_that_is_not_there_is_one_clear_error(cluster: Any, tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from lmpipe.dataset import *; import tests.test_cluster as t\n"
        "build(t.PLAN, Path(sys.argv[1]), t.write_number, range(4), Execution(workers=2, cluster='127.0.0.1:1'))\n"
    )
    run = subprocess.run([sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, capture_output=True, text=True)
    assert "LmpipeError: LMPIPE_RAY=127.0.0.1:1: expected auto or the HOST:PORT of a Ray cluster" in run.stderr


def test_cluster_without_ray_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(LmpipeError, match=r"needs Ray .* pip install 'lmpipe\[ray\]'"):
        build(PLAN, tmp_path, write_number, [1, 2], Execution(workers=2, cluster="auto"))


def test_one_worker_works_here_whatever_the_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.setenv("LMPIPE_RAY", "auto")
    assert numbers(build(PLAN, tmp_path, write_number, [1, 2], Execution())) == [1, 2]


def test_unit_whose_record_is_elsewhere_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def elsewhere(path: Path, body: object) -> None:
        assert path.parent.name == "units"

    monkeypatch.setattr("lmpipe.dataset.write_json", elsewhere)
    with pytest.raises(StorageError, match="All nodes of a cluster must share the data folder"):
        build(PLAN, tmp_path, write_number, [1, 2], Execution())
    assert not (PLAN.folder(tmp_path) / "manifest.json").exists()
