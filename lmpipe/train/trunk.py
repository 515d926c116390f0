"""Begin a training where a shorter one of the same settings stood before its learning rate fell.

Under the schedule wsd all trainings that differ in their number of steps alone are one until the shortest begins its
decay (Hägele et al. 2024, section 3). Several budgets so cost one trunk and a decay each, and every one has the very
bits that it would have had from its own start.
"""

import shutil

from lmpipe.dataset import settings_dict
from lmpipe.errors import TrainingError
from lmpipe.storage import replacing, storage_errors
from lmpipe.train.checkpoint import FILES, newest_first, point, pointed_at, read_checkpoint
from lmpipe.train.run import Run, link, training_lock

LOGS = ("metrics.jsonl", "samples.jsonl")
"""What a training that goes on takes up to its step and adds to."""


def branch(trunk: Run, run: Run) -> bool:
    """Let `run` begin from the kept checkpoint of `trunk`; False where it has begun already or there is none.

    Raises TrainingError when the two differ in more than their steps.
    """
    ours, theirs = (settings_dict(r.settings) | {"name": None, "steps": None} for r in (run, trunk))
    if ours != theirs or run.tokens != trunk.tokens:
        raise TrainingError(f"{run.folder}: differs from {trunk.folder} in more than its steps. Start it afresh.")
    pointed = pointed_at(trunk.folder, "trunk")
    if pointed is None or read_checkpoint(pointed) is None:
        return False
    root = run.folder / "checkpoints"
    with storage_errors(root), training_lock(run.folder, 0):
        if any(newest_first(run.folder)):
            return False
        for name in LOGS:
            with replacing(run.folder / name) as temporary:
                shutil.copyfile(trunk.folder / name, temporary)
        temporary = root / f".{pointed.name}.tmp"
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        for name in FILES:
            link(pointed / name, temporary / name)
        temporary.rename(root / pointed.name)
        point(root / "latest", root / pointed.name)
    return True
