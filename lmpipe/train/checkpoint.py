"""Save and find checkpoints, so that a kill at any moment leaves a usable one.

    checkpoints/step-00000100/   model.pt, optimizer.pt, and checkpoint.json with the sha256 of both
    checkpoints/latest           name of the newest folder, for people and tools

A checkpoint is written into a temporary folder, synced, renamed into place, and only then does the
pointer move. Resuming trusts neither pointer nor name: it takes the newest folder whose files have
their sha256. There is no generator state to save: loop.py seeds each step from (seed, step, rank).
"""

import json
import logging
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from lmpipe.storage import file_sha256, replacing, storage_errors, sync_folder, write_json
from lmpipe.train.optimizer import Optimizer

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A checkpoint that has been verified."""

    folder: Path
    step: int
    """Optimizer steps done."""
    seconds: float
    """Wall time of training up to here, over all its sessions."""
    sha256: str
    """Of model.pt: the identity of the weights."""


def save_checkpoint(run: Path, step: int, seconds: float, model: nn.Module, optimizer: Optimizer) -> Checkpoint:
    """Write checkpoints/step-<step>/ durably, then move the pointer to it."""
    root = run / "checkpoints"
    with storage_errors(root):
        folder, temporary = root / f"step-{step:08d}", root / f".step-{step:08d}.tmp"
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        files = {
            "model.pt": save(temporary / "model.pt", model.state_dict()),
            "optimizer.pt": save(temporary / "optimizer.pt", optimizer.averages),
        }
        write_json(temporary / "checkpoint.json", {"step": step, "seconds": round(seconds, 3), "files": files})
        shutil.rmtree(folder, ignore_errors=True)  # a damaged one of the same step, else there is none
        temporary.rename(folder)
        sync_folder(root)
        with replacing(root / "latest") as pointer:
            pointer.write_text(folder.name + "\n", encoding="utf-8")
    return Checkpoint(folder=folder, step=step, seconds=seconds, sha256=files["model.pt"]["sha256"])


def save(path: Path, state: dict[str, Any]) -> dict[str, Any]:
    """Write a state to disk, down to the platter, and return what checkpoint.json says of the file."""
    with path.open("wb") as file:
        try:
            torch.save(state, file)
        except RuntimeError as error:  # torch closes its archive on the way out and covers a full disk with this
            if isinstance(error.__context__, OSError):
                raise error.__context__ from None
            raise
        file.flush()
        os.fsync(file.fileno())
    return {"bytes": path.stat().st_size, "sha256": file_sha256(path)}


def prune(run: Path, keep: int) -> None:
    """Delete all but the `keep` newest checkpoints, and what killed saves left behind."""
    for leftover in (run / "checkpoints").glob(".step-*.tmp"):
        shutil.rmtree(leftover)
    for folder in list(newest_first(run))[keep:]:
        shutil.rmtree(folder)


def newest_first(run: Path) -> Iterator[Path]:
    """List checkpoint folders, the newest first; their numbers have one width."""
    yield from sorted((run / "checkpoints").glob("step-*"), reverse=True)


def find_checkpoint(run: Path) -> Checkpoint | None:
    """Return the newest checkpoint that verifies, or None; damaged ones are named in the log and passed over."""
    for folder in newest_first(run):
        damage, body = verify(folder)
        if damage is None:
            return Checkpoint(
                folder=folder, step=body["step"], seconds=body["seconds"], sha256=body["files"]["model.pt"]["sha256"]
            )
        log.warning("%s is damaged and is passed over: %s", folder, damage)
    return None


def verify(folder: Path) -> tuple[str | None, dict[str, Any]]:
    """Compare a checkpoint with its own record; return what is wrong, or None, and the record."""
    try:
        body: dict[str, Any] = json.loads((folder / "checkpoint.json").read_text(encoding="utf-8"))
        for name, file in body["files"].items():
            if file_sha256(folder / name) != file["sha256"]:
                return f"the sha256 of {name} differs from checkpoint.json", body
    except FileNotFoundError as error:
        return f"{error.filename} is missing", {}
    except ValueError:
        return "checkpoint.json is not readable as JSON", {}
    return None, body


def load_model(checkpoint: Checkpoint, model: nn.Module, device: torch.device) -> None:
    """Put a checkpoint's weights into `model`."""
    model.load_state_dict(torch.load(checkpoint.folder / "model.pt", map_location=device, weights_only=True))


def load_optimizer(checkpoint: Checkpoint, optimizer: Optimizer, device: torch.device) -> None:
    """Put a checkpoint's averages into `optimizer`."""
    averages = torch.load(checkpoint.folder / "optimizer.pt", map_location=device, weights_only=True)
    optimizer.averages.update(averages)
