"""The tasks that write into the warehouse; short, idempotent, one door (lmpipe.warehouse)."""

from pathlib import Path

from prefect import task

from lmpipe import warehouse
from lmpipe.dataset import upstream


@task(task_run_name="record datasets")
def record(data: Path, folders: list[Path]) -> Path:
    """Enter committed datasets, and all that they were made from, into the warehouse; what is known changes nothing."""
    for folder in upstream(folders):
        warehouse.record_dataset(data / "warehouse", folder)
    return data / "warehouse"


@task(task_run_name="record training")
def record_training(data: Path, run: Path) -> Path:
    """Enter a training's settings, metrics and checkpoints into the warehouse."""
    warehouse.record_training(data / "warehouse", run)
    return run
