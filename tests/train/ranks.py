"""Train a run up to a step, as one of several processes: python -m torch.distributed.run ... ranks.py RUN STEP"""

import logging
import signal
import sys
from pathlib import Path

from lmpipe.train import parallel
from lmpipe.train.loop import train
from lmpipe.train.run import load_run

if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    run, last = load_run(Path(sys.argv[1])), int(sys.argv[2])
    ranks = parallel.connect()
    found = sorted((run.folder / "checkpoints").glob("step-*"))
    calls = iter(range(int(found[-1].name.removeprefix("step-")) + 1 if found else 1, 10_000))
    train(run, ranks, lambda: signal.SIGTERM if next(calls) >= last else None)
    parallel.disconnect(ranks)
