"""Faults of the machine around a run: disk, clock, damaged files, two runs at once, lost databases.

Each does one thing to a run, lets it end, takes the fault away, and has the laboratory judge what is there after the
same command was run again.
"""

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from lmpipe.dataset import open_dataset
from tests.chaos.laboratory import Laboratory, Verdict
from tests.chaos.state import differences, read_state
from tests.damage import flip

Fault = Callable[[Laboratory], Verdict]

ROOM = 1 << 28
"""Bytes of a disk that is not full."""

ALL = 100
"""More checkpoints than a run keeps."""

LATEST = 4_000_000_000
"""A time in the year 2096, as a battery's end may leave it."""


def faults() -> dict[str, list[Fault]]:
    """List all faults, by the name of what is broken."""
    return {
        "disk full": [
            partial(full_disk, stage=None, room=1 << 16),
            partial(full_disk, stage="split", room=1 << 14),
            partial(full_disk, stage="tokens", room=1 << 16),
            partial(full_disk, stage="evaluate", room=1 << 20),
        ],
        "read-only disk": [partial(read_only_disk, stage=stage) for stage in ("split", "tokens")],
        "clock jump in mid-run": [
            partial(clock_jump, stage="ingest", days=-2),
            partial(clock_jump, stage="tokens", days=400),
        ],
        "file times in past and future": [partial(file_times, to=to) for to in (1, LATEST)],
        "corrupted shard": [
            partial(damaged_shard, stage=stage, damage=flip) for stage in ("ingest", "clean", "encode", "tokens")
        ],
        "cut or missing shard": [
            partial(damaged_shard, stage="clean", damage=cut_short),
            partial(damaged_shard, stage="split", damage=Path.unlink),
        ],
        "corrupted manifest": [damaged_manifest],
        "corrupted checkpoint": [
            partial(damaged_checkpoints, number=1, finished=False),
            partial(damaged_checkpoints, number=ALL, finished=False),
            partial(damaged_checkpoints, number=1, finished=True),
        ],
        "two flows at the same time": [partial(two_flows, stage=stage) for stage in (None, "tokens")],
        "interrupted commit": [interrupted_commit] * 4,
        "lost Prefect database": [lost_prefect],
        "lost warehouse": [lost_warehouse],
        "corrupted warehouse": [damaged_warehouse],
    }


@contextlib.contextmanager
def disk(folder: Path) -> Iterator[Path]:
    """Mount a disk of its own, in memory, and give a data folder on it."""
    folder.mkdir()
    mount("-t", "tmpfs", "-o", f"size={ROOM}", "tmpfs", str(folder))
    try:
        yield folder / "data"
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
        folder.rmdir()


def mount(*arguments: str) -> None:
    """Call mount(8)."""
    subprocess.run(["mount", *arguments], check=True)


def may_mount() -> bool:
    """Say whether this user may mount a disk."""
    return os.geteuid() == 0 and subprocess.run(["unshare", "--mount", "true"], check=False).returncode == 0


def full_disk(lab: Laboratory, stage: str | None, room: int) -> Verdict:
    """Give the run, which has come to a stage, a disk with room for so many bytes more."""
    if not may_mount():
        return Verdict("skipped", "only root may mount a disk")
    with disk(lab.fresh()) as data:
        lab.half(stage, data)
        usage = os.statvfs(data.parent)
        used = (usage.f_blocks - usage.f_bfree) * usage.f_frsize
        mount("-o", f"remount,size={used + room}", str(data.parent))
        done = lab.run(data)
        mount("-o", f"remount,size={ROOM}", str(data.parent))
        return lab.judge(data, done, "no space left on the disk. Free some")


def read_only_disk(lab: Laboratory, stage: str) -> Verdict:
    """Let the disk become read-only when the run has come to a stage."""
    if not may_mount():
        return Verdict("skipped", "only root may mount a disk")
    with disk(lab.fresh()) as data:
        lab.half(stage, data)
        mount("-o", "remount,ro", str(data.parent))
        done = lab.run(data)
        mount("-o", "remount,rw", str(data.parent))
        return lab.judge(data, done, "the file system is read-only")


def clock_jump(lab: Laboratory, stage: str, days: int) -> Verdict:
    """Let the clock jump while the run, which has come to a stage, goes on (clock.c)."""
    if shutil.which("cc") is None:
        return Verdict("skipped", "needs a C compiler, cc")
    data, clock, library = lab.half(stage), lab.folder / f"clock-{lab.next()}", lab.folder / "clock.so"
    source = Path(__file__).with_name("clock.c")
    subprocess.run(["cc", "-shared", "-fPIC", "-O2", "-o", str(library), str(source)], check=True)
    clock.write_text("0")
    command = lab.start(data, environment={"LD_PRELOAD": str(library), "CLOCK_FILE": str(clock)})
    time.sleep(lab.chance.uniform(0.2, 0.4) * lab.seconds)
    clock.write_text(str(days * 86_400))
    return lab.judge(data, command.finish(), "")


def file_times(lab: Laboratory, to: int) -> Verdict:
    """Give all files of a half finished run a time long ago, or far in the future."""
    data = lab.half("split")
    for path in data.rglob("*"):
        os.utime(path, (to, to))
    return lab.judge(data, lab.run(data), "")


def cut_short(path: Path) -> None:
    """Cut a file in half."""
    os.truncate(path, path.stat().st_size // 2)


def damaged_shard(lab: Laboratory, stage: str, damage: Callable[[Path], None]) -> Verdict:
    """Damage the largest shard of a stage before the next one reads it; then delete what the message names."""
    data = lab.half(stage)
    folder = next((data / stage).iterdir())
    shard = max(open_dataset(folder).shards, key=lambda shard: shard.bytes).path
    damage(folder / shard)
    done = lab.run(data)
    shutil.rmtree(folder)
    return lab.judge(data, done, shard)


def damaged_manifest(lab: Laboratory) -> Verdict:
    """Cut a manifest in half."""
    data = lab.half("split")
    path = next((data / "clean").iterdir()) / "manifest.json"
    cut_short(path)
    done = lab.run(data)
    shutil.rmtree(path.parent)
    return lab.judge(data, done, str(path))


def damaged_checkpoints(lab: Laboratory, number: int, *, finished: bool) -> Verdict:
    """Damage the newest checkpoints of a training that is to go on, or is finished and to be evaluated."""
    data = lab.finished()
    for name in ("warehouse", "evaluate"):
        shutil.rmtree(data / name)
    (run,) = data.glob("runs/tiny-lstm-*")
    for folder in sorted((run / "checkpoints").glob("step-*"))[-number:]:
        flip(folder / "model.safetensors")
    if not finished:
        (run / "result.json").unlink()
    done = lab.run(data)
    if finished:
        (run / "result.json").unlink()
    return lab.judge(data, done, "Delete result.json")


def two_flows(lab: Laboratory, stage: str | None) -> Verdict:
    """Start the same recipe on the same folder twice, a little apart; one of them may be told to wait."""
    data = lab.half(stage)
    first = lab.start(data)
    time.sleep(lab.chance.uniform(0, 1))
    done = sorted([lab.start(data).finish(), first.finish()], key=lambda done: done.code)
    if done[0].code != 0:
        return Verdict("lost", f"both have failed: {done}")
    return lab.judge(data, done[1], "is being trained by another launch")


def interrupted_commit(lab: Laboratory) -> Verdict:
    """Kill the flow with -9 just before or just after a rename that commits something."""
    data, moment = lab.fresh(), lab.chance.choice(("before", "after"))
    number = str(lab.chance.randint(1, lab.commits))
    done = lab.start(data, ("tests.chaos.cut", moment, number)).finish()
    if done.code != -9:
        return Verdict("lost", f"was not killed {moment} rename {number}: {done.said}")
    wrong = lab.mended(data)
    return Verdict("lost", wrong) if wrong else Verdict("recovered")


def lost_prefect(lab: Laboratory) -> Verdict:
    """Lose Prefect's database while a flow runs."""
    data = lab.fresh()
    command = lab.start(data)
    time.sleep(lab.chance.uniform(0.2, 0.8) * lab.seconds)
    lab.server.lose_database()
    command.finish()
    wrong = lab.mended(data)
    return Verdict("lost", wrong) if wrong else Verdict("recovered")


def lost_warehouse(lab: Laboratory) -> Verdict:
    """Lose the whole database of results and make it anew from the folders."""
    data = lab.finished()
    shutil.rmtree(data / "warehouse")
    done = lab.lmpipe("warehouse", "rebuild", "--data", str(data))
    wrong = differences(lab.state, read_state(data))
    return Verdict("lost", "; ".join(wrong)) if wrong else lab.judge(data, done, "")


def damaged_warehouse(lab: Laboratory) -> Verdict:
    """Cut the database of results in half; then do what the message says."""
    data = lab.finished()
    cut_short(data / "warehouse/lm.duckdb")
    shutil.rmtree(data / "evaluate")
    done = lab.run(data)
    restored = lab.lmpipe("warehouse", "restore", "--data", str(data))
    if restored.code != 0:
        return Verdict("lost", restored.said)
    return lab.judge(data, done, "lmpipe warehouse restore")
