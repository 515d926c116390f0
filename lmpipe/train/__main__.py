"""Train a run directory, or go on training it:

    python -m lmpipe.train RUN
    python -m torch.distributed.run --standalone --nproc-per-node 2 -m lmpipe.train RUN

and over several machines, on each of which the same command is started:

    python -m torch.distributed.run --nnodes 2 --nproc-per-node 8 --rdzv-backend c10d --rdzv-endpoint HOST:29500 \\
        -m lmpipe.train RUN

Exit codes: 0 finished (or already was); 1 a TrainingError, told in the last line of the log; 143 (SIGTERM)
or 130 (SIGINT) stopped by the signal after saving a checkpoint: the same command goes on from there.
"""

import argparse
import contextlib
import logging
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType

from lmpipe.errors import LmpipeError
from lmpipe.storage import storage_errors
from lmpipe.store import Store, open_store
from lmpipe.train import parallel
from lmpipe.train.afar import send_run, take_run
from lmpipe.train.counting import count
from lmpipe.train.hosts import check_same_run
from lmpipe.train.loop import train
from lmpipe.train.parallel import Ranks
from lmpipe.train.run import Run, check_content, load_run, training_lock

log = logging.getLogger(__name__)

LOCK_SECONDS = 30.0
"""How long to wait for another process that trains the same run: one whose parent was killed still saves
its checkpoint, in under 25 s."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Train the run named on the command line and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m lmpipe.train", description="Train a run directory to its end.")
    parser.add_argument("run", type=Path, help="folder made by lmpipe.train.run.prepare_run")
    folder: Path = parser.parse_args(arguments).run
    stop = catch_signals()
    try:
        run = load_run(folder)
        ranks = parallel.connect()
        write_log(folder / "train.log", ranks)
        store = open_store(os.environ["LMPIPE_STORE"]) if os.environ.get("LMPIPE_STORE") else None
        with storage_errors(folder):
            signum = train_alone(run, ranks, stop, store)
    except LmpipeError as error:
        logging.basicConfig()
        log.error("%s", error)
        return 1
    parallel.disconnect(ranks)
    return 0 if signum is None else 128 + signum


def catch_signals() -> Callable[[], int | None]:
    """Note SIGTERM and SIGINT instead of dying; return the question which of them has come."""
    received: list[int] = []

    def note(signum: int, frame: FrameType | None) -> None:
        received.append(signum)

    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, note)
    return lambda: received[0] if received else None


def write_log(path: Path, ranks: Ranks) -> None:
    """Log to stderr and to train.log, once: launch.py has made the two one file. Others than rank 0 only warn."""
    handlers: list[logging.Handler] = [logging.StreamHandler()]
    if ranks.first and not is_stderr(path):
        handlers.append(logging.FileHandler(path, encoding="utf-8"))
    level = logging.INFO if ranks.first else logging.WARNING
    logging.basicConfig(level=level, format="%(asctime)s %(levelname)s %(message)s", handlers=handlers)


def is_stderr(path: Path) -> bool:
    """Say whether stderr goes to this file."""
    return path.exists() and os.path.samestat(path.stat(), os.fstat(sys.stderr.fileno()))


def train_alone(run: Run, ranks: Ranks, stop: Callable[[], int | None], store: Store | None = None) -> int | None:
    """Train unless the run is finished, and let no second process train it at the same time."""
    with training_lock(run.folder, LOCK_SECONDS) if ranks.first else contextlib.nullcontext():
        if store is not None and ranks.first_here:  # machines need not share the folder
            take_run(store, run)
        parallel.wait_for_all(ranks)  # until the first process has the lock, the folder is not ours
        check_same_run(run, ranks)
        signum = train_or_count(run, ranks, stop, store)
        if store is not None and ranks.first:
            send_run(store, run)
        return signum


def train_or_count(run: Run, ranks: Ranks, stop: Callable[[], int | None], store: Store | None) -> int | None:
    """Do what the kind of model needs, unless it is done; return the signal that stopped it before, or None."""
    if parallel.first_says(float(run.result is not None), ranks):  # other machines may have no result.json
        log.info("%s: already finished, nothing to do", run.name)
        return None
    if ranks.first_here:
        check_content(run)
    if run.settings.model.kind == "ngram":
        return count(run, stop) if ranks.first else None
    return train(run, ranks, stop, store)


if __name__ == "__main__":
    sys.exit(main())
