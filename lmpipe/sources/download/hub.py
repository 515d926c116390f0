"""Fetch a model from the Hugging Face hub, at one commit, into a folder that `lmpipe import` reads.

A branch or tag is asked for its commit once, and all files come from that commit, which is part of the dataset's
identity: a model that changes on the hub is another dataset. Weights are taken as safetensors only. By our own client
and not by huggingface_hub, which compares sizes and not hashes, and would be a second way into the network.
"""

import json
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from lmpipe.dataset import Execution, Manifest, Plan, UnitOutput, build, open_dataset
from lmpipe.errors import DownloadError, InputError
from lmpipe.settings import HttpSettings
from lmpipe.sources.download.http import Client

log = logging.getLogger(__name__)

VERSION = 1
ENDPOINT = "https://huggingface.co"
MAX_LISTING = 16 << 20
"""Bytes of what the hub says of a model; GPT-2's has 10 kB."""
REPOSITORY = re.compile(r"(?:[A-Za-z0-9][\w.-]{0,95}/)?[A-Za-z0-9][\w.-]{0,95}", re.ASCII)
"""How the hub names a model: owner/name, some old ones without owner."""
COMMIT = re.compile(r"[0-9a-f]{40}")
INDEX, WEIGHTS = "model.safetensors.index.json", "model.safetensors"
PIECE = re.compile(r"model-\d{5}-of-\d{5}\.safetensors")
PICKLED = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
TOKENIZERS = (("tokenizer.json",), ("vocab.json", "merges.txt"))
"""The files of a tokenizer, the first that are all there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hub:
    """A server in the hub's layout."""

    endpoint: str = ENDPOINT
    http: HttpSettings = field(default_factory=lambda: HttpSettings(contact="lmpipe import"))
    """How it is asked."""


class HubFile(NamedTuple):
    """A file of a commit as the hub lists it."""

    name: str
    size: int
    sha256: str | None
    """Of large files alone."""


class FileUnit(NamedTuple):
    """One unit's arguments."""

    url: str
    file: HubFile
    http: HttpSettings


def fetch_model(
    repository: str, revision: str, model_type: str, hub: Hub, data: Path, execution: Execution
) -> Manifest:
    """Fetch a model into DATA/download/<name>-<fingerprint8>/; one of a known commit that is there is not asked for.

    Raises InputError for a model that is not there, or not of `model_type` with safetensors; DownloadError when the
    hub cannot be reached or is cut off: the next call goes on there.
    """
    known = committed(repository, revision, data)
    if known is not None:
        return known
    with Client(hub.http) as client:
        commit, files = listed(client, repository, revision, model_type, hub.endpoint)
    log.info("%s at %s: %d files, %d bytes", repository, commit, len(files), sum(file.size for file in files))
    plan = Plan(
        stage="download",
        name=repository.rpartition("/")[2],
        version=VERSION,
        settings={"repository": repository, "revision": commit},
        inputs=tuple(
            {"file": file.name, "bytes": file.size, "sha256": file.sha256} for file in files if file.sha256 is not None
        ),  # the others are those of the commit
    )
    base = f"{hub.endpoint}/{repository}/resolve/{commit}"
    units = [FileUnit(f"{base}/{file.name}", file, hub.http) for file in files]
    return build(plan, data, fetch_unit, units, execution)


def committed(repository: str, revision: str, data: Path) -> Manifest | None:
    """Find the files of an explicit commit that are here already, so that nobody need be asked."""
    wanted = {"repository": repository, "revision": revision}
    for path in sorted((data / "download").glob("*/manifest.json")):
        if (found := open_dataset(path.parent)).settings == wanted:
            return found
    return None


def listed(
    client: Client, repository: str, revision: str, model_type: str, endpoint: str
) -> tuple[str, Sequence[HubFile]]:
    """Ask for the commit that a revision is, and choose among its files."""
    where = f"{endpoint}/{repository} at {revision!r}"
    answer = client.get(f"{endpoint}/api/models/{repository}/revision/{revision}?blobs=true", max_bytes=MAX_LISTING)
    if answer.status in (401, 403, 404):
        raise InputError(
            f"{where}: the hub has no such public model or revision (status {answer.status}), and no folder is named"
            " so. Correct the name, or fetch a private model yourself and name its folder."
        )
    try:
        body = json.loads(answer.body)
        commit, files = body["sha"], {entry["rfilename"]: hub_file(entry) for entry in body["siblings"]}
    except (ValueError, KeyError, TypeError) as error:
        raise DownloadError(f"{where}: expected the hub's listing, found something else ({error!r}).") from None
    if COMMIT.fullmatch(str(commit)) is None:
        raise DownloadError(f"{where}: expected a commit, found {commit!r:.80}.")
    found = (body.get("config") or {}).get("model_type")
    if found not in (model_type, None):  # config.json is read in any case; this saves fetching gigabytes first
        raise InputError(
            f"{where}: expected model_type {model_type}, found {found!r}. Only {model_type} is taken over."
        )
    return commit, [files[name] for name in chosen(files, where)]


def hub_file(entry: dict[str, Any]) -> HubFile:
    """Read one entry of a listing."""
    return HubFile(entry["rfilename"], int(entry["size"]), (entry.get("lfs") or {}).get("sha256"))


def chosen(files: dict[str, HubFile], where: str) -> list[str]:
    """Name the files that make a model, small ones first; raises InputError for half a model or pickled weights."""
    weights = [INDEX, *sorted(filter(PIECE.fullmatch, files))] if INDEX in files else [WEIGHTS]
    tokenizer = next((names for names in TOKENIZERS if set(names) <= files.keys()), None)
    if WEIGHTS in weights and WEIGHTS not in files and any(name.endswith(PICKLED) for name in files):
        raise InputError(
            f"{where}: has pickled weights only, which could run code and are not read. Choose a revision with"
            f" {WEIGHTS}."
        )
    missing = {"config.json", *weights} - files.keys() | ({"tokenizer.json"} if tokenizer is None else set())
    if tokenizer is None or missing:
        raise InputError(f"{where}: {sorted(missing)} not there, so this is no whole model. Choose another revision.")
    return ["config.json", *tokenizer, *weights]


def fetch_unit(unit: FileUnit, output: UnitOutput) -> None:
    """Fetch one file; a cut one goes on where it was cut."""
    digest = ("sha256", unit.file.sha256) if unit.file.sha256 is not None else None
    with Client(unit.http) as client:
        client.save(unit.url, output.folder / unit.file.name, size=unit.file.size, digest=digest)
    output.add("files", unit.file.name, rows=0)
