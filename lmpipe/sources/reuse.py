"""What an earlier snapshot of a wiki gives to the next: pages in the same revision are not rendered again.

Nothing but a saving of time: a rendering is taken only for the same page id, revision, title and wikitext,
from a dataset of the same source, settings and version, so the new dataset's bytes are those that it has
without. Of a new dump of English Wikipedia some nine pages of ten are unchanged.

Dumps are sorted by page id and datasets keep that order, so both sides are walked once, side by side, with
one row group (512 pages) in memory. Dumps in another order are read as well; they only find less.
"""

import logging
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from lmpipe.dataset import Manifest, Plan, made, open_dataset
from lmpipe.errors import DatasetError

log = logging.getLogger(__name__)

RENDERED = ("holes", "templates", "templates_lost", "categories", "wikitext")
"""What of a document's meta depends on its wikitext alone."""
COLUMNS = ["revision", "title", "text", "meta"]


class Rendering(NamedTuple):
    """What becomes of a page's wikitext."""

    text: str
    meta: dict[str, str]
    """Only keys of RENDERED."""


class Group(NamedTuple):
    """One row group of the earlier dataset."""

    places: dict[int, int]
    """Page id to row."""
    last: int
    """The largest page id."""
    rows: pa.Table


def earlier_dataset(plan: Plan, data: Path) -> Path | None:
    """Find the newest dataset that differs from `plan` only in its input files."""
    found: list[tuple[float, Path]] = []
    for path in sorted((data / plan.stage).glob(f"{plan.name}-*/manifest.json")):
        try:
            manifest = open_dataset(path.parent)
        except DatasetError as error:
            log.warning("not reused: %s", error)
            continue
        same = replace(plan, inputs=manifest.inputs).fingerprint == manifest.fingerprint
        if same and manifest.fingerprint != plan.fingerprint:
            found.append((made(manifest)["finished"], manifest.folder))
    return max(found)[1] if found else None


class Earlier:
    """A place in an earlier dataset that moves on with the page ids that are asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.wanted = 0
        """The page id that is asked for."""
        self.groups: Iterator[Group] | None = None
        self.group: Group | None = None
        self.num_found = 0

    def find(self, native_id: str, revision: str, title: str, digest: str) -> Rendering | None:
        """Return what was made of the same page in the same state, or None."""
        self.wanted = int(native_id)
        if self.groups is None:
            self.groups = self.walk()
            self.group = next(self.groups, None)
        while self.group is not None and self.group.last < self.wanted:
            self.group = None  # before the next is read: a group of long articles takes 50 MB
            self.group = next(self.groups, None)
        place = self.group.places.get(self.wanted) if self.group is not None else None
        if self.group is None or place is None:
            return None
        row = self.group.rows.slice(place, 1).to_pylist()[0]
        known = dict(row["meta"])
        if (row["revision"], row["title"], known["wikitext"]) != (revision, title, digest):
            return None
        self.num_found += 1
        return Rendering(row["text"], {key: known[key] for key in RENDERED if key in known})

    def walk(self) -> Iterator[Group]:
        """Yield the row groups that may hold the wanted page, or later ones, in the order of page ids."""
        shards = shards_by_id(self.folder)
        start = max(0, bisect_right(shards, self.wanted, key=lambda shard: shard[0]) - 1)
        for _, path in shards[start:]:
            with opened(path) as file:
                yield from self.walk_shard(file)

    def walk_shard(self, file: pq.ParquetFile) -> Iterator[Group]:
        """Yield a shard's row groups; of those in front of the wanted page only the ids are read."""
        for number in range(file.num_row_groups):
            ids = page_ids(file, number)
            if max(ids) >= self.wanted:
                places = {page_id: place for place, page_id in enumerate(ids)}
                yield Group(places, max(ids), file.read_row_group(number, columns=COLUMNS))


@lru_cache(maxsize=1)
def shards_by_id(folder: Path) -> list[tuple[int, Path]]:
    """List (first page id, path) of a dataset's shards, sorted: dumps in parts are named out of order (1, 10, 2)."""
    manifest: Manifest = open_dataset(folder)
    found = []
    for path in manifest.paths("documents"):
        with opened(path) as file:
            if file.num_row_groups:
                found.append((page_ids(file, 0)[0], path))
    return sorted(found)


@contextmanager
def opened(path: Path) -> Iterator[pq.ParquetFile]:
    """Open a shard; raises DatasetError where it is damaged: ArrowInvalid, a ValueError, would pass for a page's."""
    try:
        with pq.ParquetFile(path, pre_buffer=False) as file:
            yield file
    except (pa.ArrowException, OSError) as error:
        raise DatasetError(
            f"{path}: damaged, so its pages cannot be reused ({error}). Delete {path.parent} and run again."
        ) from error


def page_ids(file: pq.ParquetFile, group: int) -> list[int]:
    """Read the page ids of a row group; every document's id is source:page id."""
    return [int(name.rpartition(":")[2]) for name in file.read_row_group(group, columns=["id"])["id"].to_pylist()]
