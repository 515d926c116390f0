"""The tasks that write into the warehouse; short, idempotent, one door (lmpipe.warehouse)."""

from pathlib import Path

from prefect import task

from lmpipe import warehouse


@task(task_run_name="record datasets")
def record(data: Path, folders: list[Path]) -> Path:
    """Enter committed datasets into the warehouse; those that are known already change nothing."""
    for folder in folders:
        warehouse.record_dataset(data / "warehouse", folder)
    return data / "warehouse"


@task(task_run_name="record training")
def record_training(data: Path, run: Path) -> Path:
    """Enter a training's settings, metrics and checkpoints into the warehouse."""
    warehouse.record_training(data / "warehouse", run)
    return run
