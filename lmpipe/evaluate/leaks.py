"""Which held-out documents share text with what a run was trained on, so that every score can be given twice.

It is decontamination without removing anything (curate/decontaminate.py), asked of the training documents that the
run really saw: of the split as it was encoded, behind whatever the recipe had removed before. The hits are a committed
dataset with every span; the warehouse's view `perplexity_clean` gives each score with and without these documents.

    lmpipe leaks data/runs/demo-lstm-1a2b3c4d
"""

from dataclasses import replace
from pathlib import Path

from lmpipe.curate.decontaminate import decontaminate, find_overlaps
from lmpipe.curate.heldout import heldout
from lmpipe.dataset import Execution, Manifest
from lmpipe.evaluate.probe import chosen_of
from lmpipe.settings import DecontaminateSettings
from lmpipe.train.run import load_run


def leaks(run: Path, settings: DecontaminateSettings, base: Path, data: Path, execution: Execution) -> list[Manifest]:
    """Compare held-out documents with a run's training documents; one dataset per split that it saw documents of.

    What is held out is the run's own valid and test documents and the sets of `settings`, whose paths are relative to
    `base`. Roles are those of the decontaminate stage.
    """
    searched = replace(settings, own=True, remove=False)
    chosen = chosen_of(load_run(run), data)
    index = heldout(chosen[0], data, searched, base, execution)
    return [
        decontaminate(some, index, find_overlaps(some, index, data, execution), data, searched, execution)
        for some in chosen
    ]
