"""Training over two hosts, each with a torchrun of its own that finds the other by rendezvous.

They are processes on loopback, or two network namespaces joined by a cable, where we may make those (as root).
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from train.processes import PATIENCE, metrics_of, wait_until
from train.token_dataset import TRANSFORMER, small_settings, tokens_dataset

from flows.server import free_port
from lmpipe.train.loop import train
from lmpipe.train.parallel import Ranks
from lmpipe.train.run import load_run, prepare_run
from tests.conftest import ROOT

pytestmark = pytest.mark.slow

STEPS = 300
"""Enough for a kill between the first checkpoint and the end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """Where a torchrun is started, and how the others reach it."""

    address: str
    interface: str
    namespace: str | None = None


LOOPBACK = [Host(address="127.0.0.1", interface="lo")] * 2


@contextlib.contextmanager
def cable() -> Iterator[list[Host]]:
    """Two network namespaces with nothing but a cable between them."""
    names = [f"lmpipe-{os.getpid()}-{number}" for number in (1, 2)]
    hosts = [Host(address=f"10.77.0.{n}", interface=f"cable{n}", namespace=name) for n, name in enumerate(names, 1)]
    try:
        for name in names:
            ip("netns", "add", name)
        ip("link", "add", "cable1", "netns", names[0], "type", "veth", "peer", "name", "cable2", "netns", names[1])
        for host in hosts:
            ip("-n", host.namespace or "", "addr", "add", f"{host.address}/24", "dev", host.interface)
            for interface in ("lo", host.interface):
                ip("-n", host.namespace or "", "link", "set", interface, "up")
        yield hosts
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "del", name], check=False)


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)


@pytest.fixture(params=["processes", "namespaces"])
def hosts(request: pytest.FixtureRequest) -> Iterator[list[Host]]:
    if request.param == "processes":
        yield LOOPBACK
        return
    if os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip("network namespaces need root and iproute2")
    with cable() as found:
        yield found


def start_agents(hosts: list[Host], folders: list[Path]) -> list[subprocess.Popen[bytes]]:
    """Start one torchrun a host on its folder of the run; what it says goes into agent-NUMBER.log beside the folder."""
    port = free_port(0)
    agents = []
    for number, (host, folder) in enumerate(zip(hosts, folders, strict=True)):
        options = {"nnodes": "2", "nproc-per-node": "1", "rdzv-backend": "c10d", "local-addr": host.address}
        options |= {"rdzv-endpoint": f"{hosts[0].address}:{port}", "rdzv-conf": f"is_host={1 - number}"}
        flags = [part for name, value in options.items() for part in (f"--{name}", value)]
        within = ["ip", "netns", "exec", host.namespace] if host.namespace is not None else []
        command = [*within, sys.executable, "-m", "torch.distributed.run", *flags, "-m", "lmpipe.train", str(folder)]
        environment = os.environ | {"GLOO_SOCKET_IFNAME": host.interface, "PYTHONPATH": str(ROOT)}
        with (folder.parent / f"agent-{number}.log").open("wb") as log:
            agents.append(subprocess.Popen(command, env=environment, stdout=log, stderr=log))
    return agents


def finish(agents: list[subprocess.Popen[bytes]]) -> list[int]:
    """Wait for the agents and return their exit codes."""
    return [agent.wait(PATIENCE * 2) for agent in agents]


def workers(agents: list[subprocess.Popen[bytes]]) -> list[int]:
    """List the processes that the agents have started to train, in their order."""
    return [
        int(child)
        for agent in agents
        for child in Path(f"/proc/{agent.pid}/task/{agent.pid}/children").read_text().split()
        if b"lmpipe.train" in Path(f"/proc/{child}/cmdline").read_bytes()
    ]


def prepared(data: Path, **changes: object) -> Path:
    settings = small_settings(replace(TRANSFORMER, dropout=0.0), steps=STEPS, save_every=20, **changes)
    return prepare_run(tokens_dataset(data), settings, "demo", data)


def losses(run: Path) -> list[float]:
    return [line["loss"] for line in metrics_of(run)]


@pytest.fixture(scope="module")
def curve(tmp_path_factory: pytest.TempPathFactory) -> list[float]:
    """The losses of the run that every test trains, by one process."""
    run = prepared(tmp_path_factory.mktemp("alone"))
    train(load_run(run), Ranks(rank=0, size=1, device=torch.device("cpu")), lambda: None)
    return losses(run)


def test_two_hosts_train_the_curve_of_one_process(tmp_path: Path, hosts: list[Host], curve: list[float]) -> None:
    run = prepared(tmp_path)
    assert finish(start_agents(hosts, [run, run])) == [0, 0]
    assert losses(run) == pytest.approx(curve, abs=1e-4)
    assert (load_run(run).result or {})["processes"] == 2


@pytest.mark.parametrize("victim", ["torchrun", "training"])
def test_after_a_kill_no_process_is_left_and_the_same_command_goes_on(
    tmp_path: Path, victim: str, curve: list[float]
) -> None:
    """A torchrun killed with -9 used to leave its training behind, which went on and held the GPU."""
    run = prepared(tmp_path)
    agents = start_agents(LOOPBACK, [run, run])
    wait_until(lambda: any((run / "checkpoints").glob("step-*")))
    training = workers(agents)
    os.kill(agents[1].pid if victim == "torchrun" else training[1], signal.SIGKILL)
    assert 0 not in finish(agents)
    wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in training))
    assert load_run(run).result is None
    assert finish(start_agents(LOOPBACK, [run, run])) == [0, 0]
    assert losses(run) == pytest.approx(curve, abs=1e-4)


def test_hosts_with_folders_of_their_own_go_on_from_the_same_step_or_say_so(tmp_path: Path, curve: list[float]) -> None:
    first = prepared(tmp_path)
    second = Path(shutil.copytree(first, tmp_path / "copy"))
    agents = start_agents(LOOPBACK, [first, second])
    folders = (first, second)
    wait_until(lambda: any(any((folder / "checkpoints").glob("step-*")) for folder in folders))
    for agent in agents:
        agent.terminate()
    assert 0 not in finish(agents)

    assert 0 not in finish(start_agents(LOOPBACK, [first, second]))
    said = [path.read_text() for path in sorted(tmp_path.rglob("agent-*.log"))]
    assert all("expected the same checkpoint everywhere, found steps [" in text for text in said)

    writer, reader = sorted(folders, key=lambda folder: (folder / "checkpoints").exists(), reverse=True)
    for name in ("checkpoints", "metrics.jsonl"):
        copy(writer / name, reader / name)
    assert finish(start_agents(LOOPBACK, [first, second])) == [0, 0]
    (ended,) = [folder for folder in folders if (folder / "result.json").exists()]
    assert losses(ended) == pytest.approx(curve, abs=1e-4)


def copy(source: Path, target: Path) -> None:
    """Copy a file or folder, as rsync would."""
    if source.is_dir():
        shutil.copytree(source, target)
    else:
        shutil.copyfile(source, target)


def test_hosts_with_different_runs_are_refused(tmp_path: Path) -> None:
    runs = [prepared(tmp_path / name, seed=seed) for name, seed in (("a", 1), ("b", 2))]
    assert 0 not in finish(start_agents(LOOPBACK, runs))
    assert "found another run.json at the processes [1]" in (runs[0].parent / "agent-0.log").read_text()
