"""Backup: a copy of the database of results, every night.

python -m flows.backup data
"""

import sys
from pathlib import Path
from typing import Annotated

from prefect import flow, task
from pydantic import Field

from lmpipe import warehouse


@task(task_run_name="back the warehouse up")
def back_up(data: Path, keep: int) -> Path:
    """Copy the database, check the copy, delete the oldest ones."""
    copy: Path = warehouse.backup(data / "warehouse", keep)
    return copy


@flow(name="backup", flow_run_name="backup")
def backup(data: Path, keep: Annotated[int, Field(ge=1)] = 14) -> Path:
    """Copy the database of results and keep the newest copies; all else can be made again from the recipes.

    Args:
        data: the folder that holds the warehouse
        keep: how many copies are kept
    """
    return back_up(data, keep)


if __name__ == "__main__":
    backup(Path(sys.argv[1]))
