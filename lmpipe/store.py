"""Keep datasets on an object store as well: what one machine has finished, any other takes from there.

    export LMPIPE_STORE=s3://bucket/prefix      # and AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_ENDPOINT_URL, ...
    lmpipe run RECIPE --data DATA

DATA stays a folder on a disk, because token shards are mapped into memory, unchanged shards are hard links and DuckDB
locks its file, none of which an object store can do. Nor can it rename: there the commit is the order. An object is
there whole or not at all (a big one is sent in parts, which the store joins at the end), a unit's files come before
its record and everything of a dataset before its manifest. So a machine lost in the middle of a build costs the units
in flight, and two that build the same dataset write the same bytes under the same names.
"""

import contextlib
import json
import logging
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pyarrow import ArrowInvalid, fs

from lmpipe.errors import StorageError
from lmpipe.storage import file_sha256, replacing

log = logging.getLogger(__name__)

ATTEMPTS = 10
"""Of a request to S3, with growing pauses: about a minute, in which a server can start again."""

PIECE = 8 << 20
"""Bytes read and sent at once."""

MANIFEST, UNITS = "manifest.json", "units"
BESIDE = ("made.json", "units.json")
"""Files of a dataset that its manifest does not list."""


@dataclass(frozen=True, slots=True)
class Store:
    """A place of objects under names with slashes; its methods raise StorageError when it cannot be reached."""

    uri: str
    filesystem: Any
    root: str

    def send(self, path: Path, key: str) -> None:
        """Store a file under a key, in place of what was there."""
        with self.errors(key):
            if not isinstance(self.filesystem, fs.S3FileSystem):  # S3 has no folders: this would make empty objects
                self.filesystem.create_dir(f"{self.root}/{key}".rpartition("/")[0], recursive=True)
            with path.open("rb") as file, self.filesystem.open_output_stream(f"{self.root}/{key}") as out:
                shutil.copyfileobj(file, out, PIECE)

    def take(self, key: str, path: Path) -> None:
        """Write an object to a file, by rename."""
        path.parent.mkdir(parents=True, exist_ok=True)
        with (
            self.errors(key),
            replacing(path) as temporary,
            temporary.open("wb") as file,
            self.filesystem.open_input_stream(f"{self.root}/{key}") as source,
        ):
            shutil.copyfileobj(source, file, PIECE)

    def read_json(self, key: str) -> Any:
        """Read a small object; None where it is not there."""
        if not self.has(key):
            return None
        with self.errors(key), self.filesystem.open_input_stream(f"{self.root}/{key}") as source:
            text = source.read()
        try:
            return json.loads(text)
        except ValueError as error:
            raise StorageError(f"{self.uri}: {key}: expected JSON ({error}). Delete it and run again.") from error

    def has(self, key: str) -> bool:
        """Say whether an object is there."""
        with self.errors(key):
            return bool(self.filesystem.get_file_info(f"{self.root}/{key}").type == fs.FileType.File)

    def sizes(self, prefix: str) -> dict[str, int]:
        """Give the bytes of every object under prefix/, by the rest of its key, sorted."""
        place = f"{self.root}/{prefix}".rstrip("/")
        with self.errors(prefix):
            found = self.filesystem.get_file_info(fs.FileSelector(place, recursive=True, allow_not_found=True))
        files = (info for info in found if info.type == fs.FileType.File)
        return dict(sorted((info.path.removeprefix(f"{place}/"), info.size) for info in files))

    def delete(self, key: str) -> None:
        """Take an object away, if it is there."""
        with self.errors(key), contextlib.suppress(FileNotFoundError):
            self.filesystem.delete_file(f"{self.root}/{key}")

    @contextlib.contextmanager
    def errors(self, key: str) -> Iterator[None]:
        """Tell what was wanted when the store fails; pyarrow's errors have no number, those of this disk have."""
        try:
            yield
        except OSError as error:
            if error.errno is not None:
                raise
            raise StorageError(
                f"{self.uri}: {key}: {error}. See that the store is up, LMPIPE_STORE and the AWS_... variables right"
                " and the bucket there, then run the same command again: what is finished is kept."
            ) from error


@cache
def open_store(uri: str, attempts: int = ATTEMPTS) -> Store:
    """Open the store at a URI of pyarrow (s3, gs, file) or, as fsspec+..., of fsspec.

    Raises StorageError when it is none, or holds a password, which would end up in logs.
    """
    if urlsplit(uri).username is not None:
        raise StorageError(
            "LMPIPE_STORE: expected a URI without a key or password, which logs would show. Put them into"
            " AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."
        )
    try:
        filesystem, root = fs.FileSystem.from_uri(uri)
    except (ArrowInvalid, ValueError, ImportError, OSError) as error:
        raise StorageError(
            f"LMPIPE_STORE={uri}: expected a place like s3://bucket/prefix or gs://bucket/prefix ({error})."
        ) from error
    if isinstance(filesystem, fs.S3FileSystem):
        filesystem = patient(filesystem, attempts)
    return Store(uri, filesystem, root.rstrip("/"))


def patient(filesystem: Any, attempts: int) -> Any:
    """Say how often S3 is to try a request; a URI cannot."""
    _, (options,) = filesystem.__reduce__()
    given = {key: options[key] for key in ("region", "scheme", "endpoint_override") if options[key]}
    return fs.S3FileSystem(**given, retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=attempts))


def kept(store: Store) -> list[str]:
    """List the datasets and runs in the store, as STAGE/NAME."""
    found = {name.rpartition("/")[0] for name in store.sizes("") if name.endswith((f"/{MANIFEST}", "/run.json"))}
    return sorted(found)


def key_of(folder: Path) -> str:
    """Name a dataset in the store: <stage>/<name>-<fingerprint8>, as it lies under DATA."""
    return f"{folder.parent.name}/{folder.name}"


def send_unit(store: Store, folder: Path, record: Path, shards: Iterable[str]) -> None:
    """Send what one unit has made, its record last."""
    for name in shards:
        store.send(folder / name, f"{key_of(folder)}/{name}")
    store.send(record, f"{key_of(folder)}/{UNITS}/{record.name}")


def send_dataset(store: Store, folder: Path, shards: Iterable[str]) -> None:
    """Send of a committed dataset what the store lacks, its manifest last."""
    key = key_of(folder)
    there = store.sizes(key)
    if MANIFEST in there:
        return
    for name in (*shards, *(name for name in BESIDE if (folder / name).exists())):
        if there.get(name) != (folder / name).stat().st_size:
            store.send(folder / name, f"{key}/{name}")
    store.send(folder / MANIFEST, f"{key}/{MANIFEST}")
    for name in there:
        if name.startswith(f"{UNITS}/"):
            store.delete(f"{key}/{name}")
    log.info("%s: kept in %s", key, store.uri)


def take_dataset(store: Store, folder: Path) -> bool:
    """Bring a committed dataset here, unless the store has none or a damaged one; say whether it is here now."""
    key = key_of(folder)
    body = store.read_json(f"{key}/{MANIFEST}")
    if body is None or not take_shards(store, folder, body["shards"]):
        return False
    there = store.sizes(key)
    for name in (*(name for name in BESIDE if name in there), MANIFEST):
        store.take(f"{key}/{name}", folder / name)
    log.info("%s: taken from %s", key, store.uri)
    return True


def take_units(store: Store, folder: Path) -> None:
    """Bring the units here that another machine had finished of a dataset before it was lost."""
    key = key_of(folder)
    for name in store.sizes(f"{key}/{UNITS}"):
        if Path(name).name != name or (folder / UNITS / name).exists():
            continue
        record = store.read_json(f"{key}/{UNITS}/{name}")
        if take_shards(store, folder, record["shards"]):
            store.take(f"{key}/{UNITS}/{name}", folder / UNITS / name)


def take_shards(store: Store, folder: Path, shards: Iterable[dict[str, Any]]) -> bool:
    """Bring files here and compare their sha256; on a damaged or missing one, take it out of the store and say False.

    With it goes the manifest, so that the dataset is built again and sent again.
    """
    key = key_of(folder)
    for shard in shards:
        path = folder / Path(shard["path"]).name  # never out of the folder, whoever wrote the manifest
        if path.exists() and file_sha256(path) == shard["sha256"]:
            continue
        if store.has(f"{key}/{shard['path']}"):
            store.take(f"{key}/{shard['path']}", path)
            if file_sha256(path) == shard["sha256"]:
                continue
            path.unlink()
        log.warning("%s: %s/%s is damaged or missing there, so it is made again", store.uri, key, shard["path"])
        store.delete(f"{key}/{MANIFEST}")
        store.delete(f"{key}/{shard['path']}")
        return False
    return True
