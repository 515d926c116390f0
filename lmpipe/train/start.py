"""Begin a training with the weights of an earlier one, on other data: what is learnt of last week's news is kept.

The new run's first checkpoint is step 0 with those weights and no moments; the loop goes on from it as from any other.
Learning rate and order begin anew. Run and checkpoint are a part of the new run's identity.
"""

import dataclasses
import shutil
from pathlib import Path

from lmpipe.dataset import Manifest
from lmpipe.errors import TrainingError
from lmpipe.settings import TrainSettings
from lmpipe.storage import storage_errors, write_json
from lmpipe.train.checkpoint import MODEL, TRAINING, Checkpoint, find_checkpoint, newest_first, point
from lmpipe.train.progress import Progress
from lmpipe.train.run import TOKENIZER, Run, link, load_run, prepare_run, training_lock
from lmpipe.train.tensors import write_tensors


def begin_from(earlier: Path, tokens: Manifest, settings: TrainSettings, recipe: str, data: Path) -> Path:
    """Make (or find) the run directory of a training that begins with the newest weights of `earlier`.

    Raises TrainingError when that has none, or they are of another model or tokenizer.
    """
    old = load_run(earlier)
    checkpoint = find_checkpoint(earlier)
    if checkpoint is None:
        raise TrainingError(f"{earlier}: no checkpoint to begin with. Train it first, or begin afresh.")
    check_same_kind(old, tokens, settings)
    start = {"run": old.fingerprint, "checkpoint": checkpoint.sha256}
    folder = prepare_run(tokens, settings, recipe, data, start)
    with storage_errors(folder), training_lock(folder, 0):
        if not any(newest_first(folder)):
            put_first_checkpoint(folder / "checkpoints", checkpoint)
    return folder


def check_same_kind(old: Run, tokens: Manifest, settings: TrainSettings) -> None:
    """Refuse weights that would mean something else here."""
    if old.settings.model != settings.model:
        raise TrainingError(
            f"{old.folder}: is a model of other settings than {settings.name} ({old.settings.model} and"
            f" {settings.model}), so its weights do not fit. Begin afresh, or give the model the same settings."
        )
    theirs, ours = ([file.sha256 for file in files if file.role == TOKENIZER] for files in (old.files, tokens.shards))
    if theirs != ours:
        raise TrainingError(
            f"{old.folder}: was trained with another tokenizer than {tokens.folder} has, so its weights mean other"
            " words. Set tokenizer.path to its data/tokenizer.json, or begin afresh."
        )


def put_first_checkpoint(root: Path, checkpoint: Checkpoint) -> None:
    """Write step 0: the weights as a hard link, and nothing that training goes on from."""
    folder, temporary = root / "step-00000000", root / ".step-00000000.tmp"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    link(checkpoint.folder / MODEL, temporary / MODEL)
    weights = {"bytes": (temporary / MODEL).stat().st_size, "sha256": checkpoint.sha256}
    files = {MODEL: weights, TRAINING: write_tensors(temporary / TRAINING, {})}
    write_json(temporary / "checkpoint.json", {"progress": dataclasses.asdict(Progress()), "files": files})
    temporary.rename(folder)
    point(root / "latest", folder)
