"""Several machines: see that all processes train the same run from the same step.

Only the first process writes. Machines that share the run's folder read what it wrote; where each has a copy of its
own (`lmpipe pack`), a training that was stopped has left its checkpoints on one of them. The others would begin at
step 0, and the sums over all processes would hide it.
"""

from lmpipe.errors import TrainingError
from lmpipe.storage import digest
from lmpipe.train import parallel
from lmpipe.train.checkpoint import Checkpoint
from lmpipe.train.parallel import Ranks
from lmpipe.train.run import Run


def check_same_run(run: Run, ranks: Ranks) -> None:
    """Refuse machines whose folders hold different runs; all processes raise the same TrainingError."""
    if others := unlike_the_first([run.fingerprint, run.settings.parallel], ranks):
        raise TrainingError(
            f"{run.name}: expected the same run everywhere, found another run.json at the processes {others}."
            " Copy the run's folder from the first machine to the others, or let them share it."
        )


def check_same_step(run: Run, checkpoint: Checkpoint | None, ranks: Ranks) -> None:
    """Refuse machines that would go on from different checkpoints; all processes raise the same TrainingError."""
    others = unlike_the_first(checkpoint.sha256 if checkpoint else None, ranks)
    steps = parallel.gather_numbers(checkpoint.step if checkpoint else 0, ranks)
    if others:
        raise TrainingError(
            f"{run.name}: expected the same checkpoint everywhere, found steps {steps} (by process). Copy checkpoints/"
            " and metrics.jsonl from the machine that has come furthest to the others, or let all share the folder."
        )


def unlike_the_first(value: object, ranks: Ranks) -> list[int]:
    """List the processes whose value is not that of the first one."""
    found = parallel.gather_numbers(int(digest(value)[:15], 16), ranks)
    return [rank for rank, number in enumerate(found) if number != found[0]]
