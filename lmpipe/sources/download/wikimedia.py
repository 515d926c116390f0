"""Fetch a finished dump of one wiki: what dumpstatus.json lists, verified by the checksums it gives.

A dump is listed while it is still being made and deleted after some months, so only a job that is done is
taken, the newest one when the recipe names no date, and its date goes into the dataset's identity. Mirrors are
asked for the files only; which files there are, and with which checksums, the dump site itself says.
"""

import dataclasses
import json
import logging
import re
import time
from pathlib import Path
from typing import Any, NamedTuple

from lmpipe.dataset import Execution, Manifest, Plan, UnitOutput, build, open_dataset
from lmpipe.errors import DownloadError
from lmpipe.settings import WikimediaDump, WikipediaSource
from lmpipe.sources.download.http import Client, check_disk

log = logging.getLogger(__name__)

VERSION = 1
MAX_LISTING = 4 << 20
"""Bytes of a listing of dates; they have some kilobytes."""
MAX_STATUS = 64 << 20
"""Bytes of dumpstatus.json; enwiki's has 2 MB."""
CONNECTIONS = 2
"""Files fetched at once: what dumps.wikimedia.org allows one address."""
DATE = re.compile(r"\b(\d{8})/")
PLAIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,200}")
"""A file name that cannot lead out of its folder."""


class DumpFile(NamedTuple):
    """A file of a finished job as dumpstatus.json lists it."""

    name: str
    size: int
    sha1: str
    path: str
    """Below the root of a site."""


class FileUnit(NamedTuple):
    """One unit's arguments."""

    download: WikimediaDump
    file: DumpFile


def fetch(source: WikipediaSource, base: Path, data: Path, execution: Execution) -> list[Path]:
    """Fetch the dump into DATA/download/<name>-<fingerprint8>/ and return its files.

    Raises DownloadError when there is no such dump, it is not finished, or no server gives its files.
    """
    download = source.download
    assert download is not None, "only sources with a download table are fetched"
    known = committed(source.name, download, data)
    if known is not None:
        return known.paths("files")
    with Client(download.http) as client:
        date, files = finished_dump(client, download)
    log.info("%s: dump %s of %s, %d files, %d bytes", source.name, date, download.wiki, len(files), total(files))
    plan = Plan(
        stage="download",
        name=source.name,
        version=VERSION,
        settings={"wiki": download.wiki, "date": date, "job": download.job},
        inputs=tuple({"file": file.name, "bytes": file.size, "sha1": file.sha1} for file in files),
    )
    check_room(plan.folder(data), files)
    execution = dataclasses.replace(execution, workers=min(execution.workers, CONNECTIONS))
    return build(plan, data, fetch_unit, [FileUnit(download, file) for file in files], execution).paths("files")


def check_room(folder: Path, files: list[DumpFile]) -> None:
    """Raise DownloadError when the files that are still to come do not fit on the disk all together."""
    there = {path.name.removesuffix(".part"): path.stat().st_size for path in folder.glob("*") if path.is_file()}
    missing = sum(max(file.size - there.get(file.name, 0), 0) for file in files)
    if missing:
        folder.mkdir(parents=True, exist_ok=True)
        check_disk(folder, missing)


def committed(name: str, download: WikimediaDump, data: Path) -> Manifest | None:
    """Find a dump of an explicit date that is here already, so that nobody need be asked."""
    wanted = {"wiki": download.wiki, "date": download.date, "job": download.job}
    for path in sorted((data / "download").glob(f"{name}-*/manifest.json")):
        manifest = open_dataset(path.parent)
        if manifest.name == name and manifest.settings == wanted:
            return manifest
    return None


def finished_dump(client: Client, download: WikimediaDump) -> tuple[str, list[DumpFile]]:
    """Find the dump of the recipe's date, or the newest finished one."""
    if download.date is not None:
        job = job_of(client, download, download.date)
        if job is None or job.get("status") != "done":
            raise DownloadError(unfinished(client, download, job))
        return download.date, job_files(download, download.date, job)
    for date in dates(client, download):
        job = job_of(client, download, date)
        if job is not None and job.get("status") == "done":
            return date, job_files(download, date, job)
    raise DownloadError(f"{download.site}/{download.wiki}/: expected a finished {download.job}, found none. Try later.")


def dates(client: Client, download: WikimediaDump) -> list[str]:
    """List the dates of a wiki's dumps, newest first.

    Raises DownloadError for an unknown wiki.
    """
    url = f"{download.site}/{download.wiki}/"
    answer = client.get(url, max_bytes=MAX_LISTING)
    found = sorted(set(DATE.findall(answer.body.decode("utf-8", "replace"))), reverse=True)
    if answer.status != 200 or not found:
        raise DownloadError(f"{url}: expected a list of dumps, found status {answer.status}. Check the wiki's name.")
    return found


def job_of(client: Client, download: WikimediaDump, date: str) -> dict[str, Any] | None:
    """Read what dumpstatus.json says of the job; None when there is no such dump or job."""
    url = f"{download.site}/{download.wiki}/{date}/dumpstatus.json"
    answer = client.get(url, max_bytes=MAX_STATUS)
    if answer.status in (404, 410):
        return None
    try:
        if answer.status != 200:
            raise ValueError(f"status {answer.status}")
        job = json.loads(answer.body)["jobs"].get(download.job)
        return dict(job) if job is not None else None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DownloadError(f"{url}: expected JSON with jobs, found {error!r}. Try again later.") from None


def unfinished(client: Client, download: WikimediaDump, job: dict[str, Any] | None) -> str:
    """Say what there is instead of the dump that was asked for."""
    there = dates(client, download)
    place = f"{download.site}/{download.wiki}/{download.date}"
    if job is None:
        return f"{place}: no such dump with a job {download.job}. There are {', '.join(there[:12])}."
    done = [d for d in there if (other := job_of(client, download, d)) is not None and other.get("status") == "done"]
    newest = f"The newest finished one is {done[0]}" if done else "None is finished"
    return f"{place}: expected a finished {download.job}, found status {str(job.get('status'))!r}. {newest}."


def job_files(download: WikimediaDump, date: str, job: dict[str, Any]) -> list[DumpFile]:
    """Read the files of a finished job; nothing in the list is trusted."""
    found = []
    for name, entry in sorted(dict(job.get("files") or {}).items()):
        try:
            size, sha1 = int(entry["size"]), str(entry["sha1"])
        except (KeyError, TypeError, ValueError):
            raise DownloadError(
                f"{download.wiki} {date}: {name!r} is listed without size or sha1. Try later."
            ) from None
        if not PLAIN_NAME.fullmatch(name) or not re.fullmatch("[0-9a-f]{40}", sha1) or size < 0:
            raise DownloadError(f"{download.wiki} {date}: expected a file name, size and sha1, found {name!r}.")
        found.append(DumpFile(name, size, sha1, f"{download.wiki}/{date}/{name}"))
    if not found:
        raise DownloadError(
            f"{download.wiki} {date}: the job {download.job} is done but lists no file. Try another date."
        )
    return found


def fetch_unit(unit: FileUnit, output: UnitOutput) -> None:
    """Fetch one file from the first server that gives the right one."""
    file, path = unit.file, output.folder / unit.file.name
    sites = [*unit.download.mirrors, unit.download.site]
    started = time.monotonic()
    with Client(unit.download.http) as client:
        for site in sites:
            try:
                client.save(f"{site.rstrip('/')}/{file.path}", path, size=file.size, digest=("sha1", file.sha1))
                break
            except DownloadError as error:
                if site == sites[-1]:
                    raise
                log.warning("%s; trying the next server", error)
    seconds = max(time.monotonic() - started, 1e-3)
    log.info("%s: %d bytes, %.1f MB/s", file.name, file.size, file.size / seconds / 1e6)
    output.count("files")
    output.count("bytes", file.size)
    output.add("files", file.name, rows=0)


def total(files: list[DumpFile]) -> int:
    """Add up what is to come."""
    return sum(file.size for file in files)
