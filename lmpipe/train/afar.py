"""Keep a run on the object store too (lmpipe/store.py), so that a training outlives the machine that it ran on.

    runs/<name>-<fingerprint8>/metrics.jsonl, ...          the logs first
    runs/<name>-<fingerprint8>/run.json                    what is trained; its shards are the tokens dataset's
    runs/<name>-<fingerprint8>/data/init.safetensors       where the training starts from another run's weights
    runs/<name>-<fingerprint8>/checkpoints/step-00000100/  checkpoint.json last
    runs/<name>-<fingerprint8>/checkpoints/latest, ...     then the pointers, and result.json at the end

Every saved checkpoint is sent before the next step. A machine that starts the same run takes what has come further
than its own folder; what it took is believed no more than what lies on a disk: checkpoint.py compares each sha256.
"""

import logging
import re
from pathlib import Path

from lmpipe.dataset import open_dataset
from lmpipe.errors import TrainingError
from lmpipe.store import Store, take_dataset
from lmpipe.train.checkpoint import FILES, POINTERS, find_checkpoint, newest_first, read_checkpoint
from lmpipe.train.run import INIT, Run, link, load_run

log = logging.getLogger(__name__)

LOGS = ("metrics.jsonl", "samples.jsonl", "train.log")
"""Files that grow with a training."""

TRAVELS = re.compile(
    rf"checkpoints/(step-\d{{8}}/({'|'.join(FILES)})|{'|'.join(POINTERS)})|{'|'.join(LOGS[:2])}|result.json"
)
"""What of a run is taken from a store; nothing else, whatever lies there. Not train.log, which is open already."""


def key_of(run: Run) -> str:
    """Name a run in the store."""
    return f"runs/{run.name}-{run.fingerprint[:8]}"


def send_run(store: Store, run: Run) -> None:
    """Send the logs, the checkpoints that the store lacks, then what points to them; delete those that are gone here.

    A log may tell of steps after the newest checkpoint, as after any kill; one that tells of fewer would stay short.
    """
    key = key_of(run)
    there = store.sizes(key)
    steps = sorted(newest_first(run.folder))
    fixed = ["run.json", *(f"data/{file.path}" for file in run.files if file.role == INIT)]
    fixed += [f"checkpoints/{folder.name}/{name}" for folder in steps for name in FILES]
    for name in (*LOGS, *fixed, *(f"checkpoints/{which}" for which in POINTERS), "result.json"):
        path = run.folder / name
        if path.exists() and (name not in fixed or there.get(name) != path.stat().st_size):
            store.send(path, f"{key}/{name}")
    kept = {folder.name for folder in steps}
    for name in there:
        if name.startswith("checkpoints/step-") and name.split("/")[1] not in kept:
            store.delete(f"{key}/{name}")


def take_run(store: Store, run: Run) -> None:
    """Bring here what a training of this run has left in the store, where that has come further."""
    key = key_of(run)
    there = store.sizes(key)
    newest = max((name.split("/")[1] for name in there if name.endswith("/checkpoint.json")), default="")
    here = find_checkpoint(run.folder)
    ours = here.folder.name if here is not None else ""
    if (newest, "result.json" in there) <= (ours, run.result is not None):
        return
    names = [name for name in there if TRAVELS.fullmatch(name)]
    for name in sorted(names, key=lambda name: (name == "result.json", name.endswith("checkpoint.json"), name)):
        path = run.folder / name
        if name.split("/")[-1] not in FILES or not path.exists() or path.stat().st_size != there[name]:
            store.take(f"{key}/{name}", path)
    if read_checkpoint(run.folder / "checkpoints" / newest) is None:
        for name in FILES:  # it is trained once more, and sent again
            store.delete(f"{key}/checkpoints/{newest}/{name}")
    log.info("%s: %s taken from %s", run.name, newest, store.uri)


def pull_run(store: Store, name: str, data: Path) -> Run:
    """Bring a whole run here, with the tokens that it was trained on, as DATA/runs/<name>.

    Raises TrainingError when the store has no such run, or not its tokens.
    """
    folder = data / "runs" / name
    body = store.read_json(f"runs/{name}/run.json")
    if body is None:
        raise TrainingError(f"{store.uri}: expected a run runs/{name}, found none. `lmpipe pull` lists what there is.")
    tokens = data / body["tokens"]["stage"] / f"{body['tokens']['name']}-{body['tokens']['fingerprint'][:8]}"
    if not (tokens / "manifest.json").exists() and not take_dataset(store, tokens):
        raise TrainingError(f"{store.uri}: run {name} was trained on {tokens.name}, which is not there. Build it here.")
    manifest = open_dataset(tokens)
    for file in body["files"]:
        target = folder / "data" / Path(file["path"]).name
        target.parent.mkdir(parents=True, exist_ok=True)
        if file["role"] == INIT:
            store.take(f"runs/{name}/data/{target.name}", target)
        else:
            link(manifest.folder / target.name, target)
    store.take(f"runs/{name}/run.json", folder / "run.json")
    run = load_run(folder)
    take_run(store, run)
    return run
