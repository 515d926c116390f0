"""Find what is committed under DATA: the newest dataset of each name, or every version."""

from collections.abc import Iterable
from pathlib import Path

from lmpipe.dataset import Manifest, made, open_dataset
from lmpipe.errors import InputError
from lmpipe.recipe import nearest


def committed(data: Path, stage: str, *, every_version: bool = False) -> list[Manifest]:
    """Open the datasets of one stage, by name, then by the time they were finished; else the last of each name."""
    found = [open_dataset(path.parent) for path in sorted((data / stage).glob("*/manifest.json"))]
    found.sort(key=lambda manifest: (manifest.name, made(manifest)["finished"], manifest.fingerprint))
    return found if every_version else list({manifest.name: manifest for manifest in found}.values())


def newest(data: Path, stage: str, names: Iterable[str]) -> list[Manifest]:
    """Open the newest dataset of each name.

    Raises InputError when a name has none.
    """
    by_name = {manifest.name: manifest for manifest in committed(data, stage)}
    for name in names:
        if name not in by_name:
            raise InputError(
                f"{data / stage}: no committed dataset of '{name}'{nearest(name, by_name)}. Run `lmpipe {stage}` first,"
                " or choose another folder with --data."
            )
    return [by_name[name] for name in names]
