"""Save and find checkpoints, so that a kill at any moment leaves a usable one.

    checkpoints/step-00000100/   model.safetensors      the weights to score with (the average, where one is kept)
                                 training.safetensors   what training goes on from: moments, averages, carried state
                                 checkpoint.json        progress, and the sha256 of both
    checkpoints/latest           name of the newest folder, for people and tools
    checkpoints/best             name of the folder with the best validation loss
    checkpoints/trunk            name of the folder from which the learning rate falls, where it is to be kept

A checkpoint is written into a temporary folder, synced, renamed into place, and only then do the
pointers move. Resuming trusts neither pointer nor name: it takes the newest folder whose files have
their sha256. There is no generator state to save: loop.py seeds each step from (seed, step, rank).
Safetensors hold numbers only, so that a checkpoint from elsewhere can run no code.
"""

import dataclasses
import json
import logging
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import safe_open
from torch import Tensor, nn

from lmpipe.errors import TrainingError
from lmpipe.storage import file_sha256, replacing, storage_errors, sync_folder, write_json
from lmpipe.train.progress import Progress
from lmpipe.train.run import MODEL
from lmpipe.train.sharding import spread_like
from lmpipe.train.tensors import write_tensors

log = logging.getLogger(__name__)

TRAINING = "training.safetensors"
FILES = (MODEL, TRAINING, "checkpoint.json")
"""What a checkpoint's folder holds."""

Which = Literal["latest", "best", "trunk"]
POINTERS: tuple[Which, ...] = ("latest", "best", "trunk")
"""Files beside the folders, each with the name of one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A checkpoint that has been verified."""

    folder: Path
    progress: Progress
    sha256: str
    """Of model.safetensors: the identity of the weights."""

    @property
    def step(self) -> int:
        """Optimizer steps done."""
        return self.progress.step


def save_checkpoint(
    run: Path, progress: Progress, weights: Mapping[str, Tensor], training: Mapping[str, Tensor]
) -> Checkpoint:
    """Write checkpoints/step-<step>/ durably, then move the pointers to it."""
    root = run / "checkpoints"
    with storage_errors(root):
        folder, temporary = root / f"step-{progress.step:08d}", root / f".step-{progress.step:08d}.tmp"
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        files = {
            name: write_tensors(temporary / name, state) for name, state in ((MODEL, weights), (TRAINING, training))
        }
        body = {"progress": dataclasses.asdict(progress), "files": files}
        write_json(temporary / "checkpoint.json", body)
        shutil.rmtree(folder, ignore_errors=True)  # a damaged one of the same step, else there is none
        temporary.rename(folder)
        sync_folder(root)
        point(root / "latest", folder)
        if progress.best:
            point(root / "best", folder)
    return Checkpoint(folder=folder, progress=progress, sha256=files[MODEL]["sha256"])


def point(pointer: Path, folder: Path) -> None:
    """Let a pointer name a checkpoint."""
    with replacing(pointer) as temporary:
        temporary.write_text(folder.name + "\n", encoding="utf-8")


def prune(run: Path, keep: int) -> None:
    """Delete all but the `keep` newest checkpoints and those with a pointer, and what killed saves left behind."""
    root = run / "checkpoints"
    for leftover in root.glob(".step-*.tmp"):
        shutil.rmtree(leftover)
    pointed = {pointed_at(run, which) for which in POINTERS}
    for folder in list(newest_first(run))[keep:]:
        if folder not in pointed:
            shutil.rmtree(folder)


def pointed_at(run: Path, which: Which) -> Path | None:
    """Return the folder that a pointer names, or None without the pointer."""
    pointer = run / "checkpoints" / which
    return pointer.parent / pointer.read_text(encoding="utf-8").strip() if pointer.exists() else None


def newest_first(run: Path) -> Iterator[Path]:
    """List checkpoint folders, the newest first; their numbers have one width."""
    yield from sorted((run / "checkpoints").glob("step-*"), reverse=True)


def find_checkpoint(run: Path, which: Literal["latest", "best"] = "latest") -> Checkpoint | None:
    """Return the newest checkpoint that verifies, or the best; None where there is none.

    Damaged ones are named in the log and passed over. Raises TrainingError when the best is asked for and damaged.
    """
    pointed = pointed_at(run, "best") if which == "best" else None
    if pointed is not None:
        found = read_checkpoint(pointed)
        if found is None:
            raise TrainingError(f"{pointed}: the best checkpoint is damaged. Evaluate the latest.")
        return found
    return next((found for folder in newest_first(run) if (found := read_checkpoint(folder)) is not None), None)


def need_checkpoint(run: Path, which: Literal["latest", "best"] = "latest") -> Checkpoint:
    """Return the same; raises TrainingError where there is none, or of a finished run only an earlier one."""
    checkpoint = find_checkpoint(run, which)
    finished = run / "result.json"
    if which == "latest" and finished.exists():
        wanted = json.loads(finished.read_text(encoding="utf-8"))["checkpoint_sha256"]
        if checkpoint is None or checkpoint.sha256 != wanted:
            raise TrainingError(
                f"{run}: expected the checkpoint {wanted[:12]}... that result.json tells of, found"
                f" {checkpoint.folder.name if checkpoint else 'none'} to be the newest good one. Delete result.json and"
                " start the run again: it goes on from there."
            )
    if checkpoint is None:
        raise TrainingError(f"{run}: no usable checkpoint. Train the run first.")
    return checkpoint


def read_checkpoint(folder: Path) -> Checkpoint | None:
    """Read one checkpoint, or say in the log what is wrong with it."""
    damage, body = verify(folder)
    if damage is not None:
        log.warning("%s is damaged and is passed over: %s", folder, damage)
        return None
    return Checkpoint(folder=folder, progress=Progress(**body["progress"]), sha256=body["files"][MODEL]["sha256"])


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
    """Put a checkpoint's weights into `model`; see load_weights."""
    load_weights(checkpoint.folder / MODEL, model, device)


@torch.no_grad()
def load_weights(path: Path, model: nn.Module, device: torch.device) -> None:
    """Put a file's weights into `model`.

    Raises TrainingError when they are those of another model.
    """
    parameters = dict(model.named_parameters())
    wanted = {name: tuple(p.shape) for name, p in parameters.items()}
    with safe_open(path, framework="pt", device=str(device)) as file:
        found = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118 (no mapping)
        if wanted != found:
            other = sorted(set(wanted.items()) ^ set(found.items()))[0][0]
            raise TrainingError(
                f"{path}: expected {other} of shape {wanted.get(other)}, found {found.get(other)}."
                " The weights belong to another model: take the run's own."
            )
        for name, parameter in parameters.items():
            parameter.copy_(spread_like(file.get_tensor(name), parameter))


def load_training(checkpoint: Checkpoint, device: torch.device) -> Iterator[tuple[str, Tensor]]:
    """Read what training goes on from, by name, one tensor at a time."""
    with safe_open(checkpoint.folder / TRAINING, framework="pt", device=str(device)) as file:
        for name in file.keys():  # noqa: SIM118 (no mapping)
            yield name, file.get_tensor(name)
