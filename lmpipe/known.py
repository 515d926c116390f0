"""Records of units of work, and what earlier datasets give to the next: units with the same inputs are linked.

Nothing but a saving of time, like sources/reuse.py: a unit is taken over only from a dataset of the same stage, name,
version and settings, under a key that stands for all else that its output depends on, such as the sha256 of the files
it reads. So a corpus that grows by a day's news is read, cleaned, measured and encoded for that day alone, and has
the bytes that it would have from scratch. `units.json` beside a manifest says which units a dataset is made of.
"""

import json
import logging
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lmpipe.errors import StorageError
from lmpipe.storage import immutable_sha256, replacing, write_json

log = logging.getLogger(__name__)

UNITS = "units.json"
NUMBER = re.compile(r"-\d{5,}\.")
"""Where a file's name has the number of its unit."""


def write_units(folder: Path, identity: str, keys: Sequence[str], records: Sequence[dict[str, Any]]) -> None:
    """Write down what each unit made, for datasets to come."""
    write_json(folder / UNITS, {"identity": identity, "units": dict(zip(keys, records, strict=True))})


def unit_record(folder: Path, index: int) -> Path:
    """The small file whose presence says that a unit is finished."""
    return folder / "units" / f"{index:05d}.json"


def read_record(path: Path) -> dict[str, Any]:
    """Read a unit's record; raises StorageError where the machine that did the unit wrote it elsewhere."""
    try:
        record: dict[str, Any] = json.loads(path.read_text())
    except FileNotFoundError:
        raise StorageError(
            f"{path}: expected the record of a finished unit, found no file. All nodes of a cluster must share the data"
            " folder: choose one on a file system that they share."
        ) from None
    return record


def take_known_units(folder: Path, name: str, identity: str, keys: Sequence[str]) -> None:
    """Commit the units that an earlier dataset of the same name and identity has."""
    (folder / "units").mkdir(exist_ok=True)
    known = known_units(folder.parent, name, identity)
    taken = 0
    for index, key in enumerate(keys):
        if key in known and not unit_record(folder, index).exists():
            record = take_over(*known[key], folder, index)
            if record is not None:
                write_json(unit_record(folder, index), record)
                taken += 1
    log.info("%s: %d of %d units taken over from earlier datasets", folder.name, taken, len(keys))


def known_units(siblings: Path, name: str, identity: str) -> dict[str, tuple[Path, dict[str, Any]]]:
    """Find the units of earlier datasets of the same identity: key to folder and record; the newest dataset wins."""
    known: dict[str, tuple[Path, dict[str, Any]]] = {}
    for path in sorted(siblings.glob(f"{name}-*/{UNITS}"), key=lambda path: path.stat().st_mtime):
        body = json.loads(path.read_text(encoding="utf-8"))
        if body["identity"] == identity and (path.parent / "manifest.json").exists():
            known |= {key: (path.parent, record) for key, record in body["units"].items()}
    return known


def take_over(earlier: Path, record: dict[str, Any], folder: Path, index: int) -> dict[str, Any] | None:
    """Link an earlier unit's files as those of unit `index`; return its record, or None where a file is gone."""
    shards = []
    for shard in record["shards"]:
        path = NUMBER.sub(f"-{index:05d}.", shard["path"])
        try:
            if immutable_sha256(earlier / shard["path"]) != shard["sha256"]:
                log.warning("%s: was changed since it was written, its unit is done again", earlier / shard["path"])
                return None
            with replacing(folder / path) as temporary:
                os.link(earlier / shard["path"], temporary)
        except OSError as error:
            log.info("not taken over: %s", error)
            return None
        shards.append(shard | {"path": path})
    return record | {"shards": shards}
