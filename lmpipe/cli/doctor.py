"""Look at the machine and the installation: each finding says what was found and, if it is bad, what to do."""

import os
import shutil
import socket
import sys
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from packaging.requirements import Requirement

from lmpipe.errors import LmpipeError
from lmpipe.store import kept, open_store
from lmpipe.warehouse import PUBLISHED, query

FREE_GB = 10
"""A training corpus of a few GB needs about this much for its datasets."""


class Finding(NamedTuple):
    """One thing that was looked at."""

    what: str
    good: bool
    found: str
    advice: str = ""


def examine(data: Path) -> list[Finding]:
    """Look at everything; the order is that of the output."""
    return [python(), *packages(), cores(), memory(), disk(data), gpu(), prefect(), store(), warehouse(data)]


def python() -> Finding:
    """The interpreter."""
    return Finding("python", sys.version_info >= (3, 11), sys.version.split()[0], "")


def packages() -> list[Finding]:
    """Every package that lmpipe requires, in a version that it allows."""
    findings = []
    for line in requires("lmpipe") or []:
        requirement = Requirement(line)
        if requirement.marker is not None and not requirement.marker.evaluate():
            continue
        try:
            found = version(requirement.name)
        except PackageNotFoundError:
            findings.append(Finding(requirement.name, False, "not installed", f"pip install '{requirement}'"))
            continue
        good = requirement.specifier.contains(found, prereleases=True)
        advice = "" if good else f"pip install '{requirement}'"
        findings.append(Finding(requirement.name, good, found, advice))
    return findings


def cores() -> Finding:
    """Processor cores that this process may use."""
    return Finding("cores", True, str(len(os.sched_getaffinity(0))))


def memory() -> Finding:
    """Physical memory; the stages need some hundred MB a worker, a training what its model needs."""
    size = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    good = size >= 2
    return Finding("memory", good, f"{size:.1f} GB", "" if good else "use --workers 1 and a small model")


def disk(data: Path) -> Finding:
    """Free space where the datasets go, and whether it can be written."""
    existing = next(folder for folder in (data.resolve(), *data.resolve().parents) if folder.exists())
    free = shutil.disk_usage(existing).free / 1e9
    if not os.access(existing, os.W_OK):
        return Finding("disk", False, f"{existing} cannot be written", "choose another folder with --data")
    good = free >= FREE_GB
    return Finding(
        "disk", good, f"{free:.0f} GB free at {existing}", "" if good else "free some, or choose another --data"
    )


def gpu() -> Finding:
    """Accelerators that PyTorch sees; none is fine, trainings then run on the CPU."""
    import torch

    names = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    return Finding("gpu", True, ", ".join(names) or "none; trainings run on the CPU")


def prefect() -> Finding:
    """The Prefect server that PREFECT_API_URL names, if it names one."""
    url = os.environ.get("PREFECT_API_URL")
    if not url:
        return Finding("prefect", True, "no PREFECT_API_URL: runs use a temporary server; see lmpipe run --server")
    place = urlsplit(url)
    try:
        with socket.create_connection((place.hostname or "", place.port or 80), timeout=3):
            return Finding("prefect", True, f"{url} answers")
    except OSError as error:
        advice = "start it (prefect server start), or unset PREFECT_API_URL"
        return Finding("prefect", False, f"{url} does not answer ({error})", advice)


def store() -> Finding:
    """The object store that LMPIPE_STORE names, if it names one."""
    uri = os.environ.get("LMPIPE_STORE")
    if not uri:
        return Finding("store", True, "no LMPIPE_STORE: datasets and runs stay on this disk")
    try:
        number = len(kept(open_store(uri, attempts=2)))
    except LmpipeError as error:
        return Finding("store", False, str(error), "set LMPIPE_STORE and the AWS_... variables, or start the store")
    return Finding("store", True, f"{uri} answers, {number} datasets and runs")


def warehouse(data: Path) -> Finding:
    """The database of results."""
    folder = data / "warehouse"
    if not (folder / PUBLISHED).exists():
        return Finding("warehouse", True, f"none yet at {folder}; lmpipe run makes it")
    try:
        number = query(folder, "select count(*) from evaluations").to_pylist()[0]["count_star()"]
    except LmpipeError as error:
        return Finding("warehouse", False, str(error), f"lmpipe warehouse restore --data {data}")
    return Finding("warehouse", True, f"{folder / PUBLISHED}, {number} evaluations")
