"""How tasks of one flow follow each other: one after the other, with arrows in the UI's graph."""

from typing import Any, TypeVar, cast

from prefect import Task
from prefect.futures import PrefectFuture
from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner

Result = TypeVar("Result")

ONE_BY_ONE = cast("TaskRunner[PrefectFuture[Any]]", ThreadPoolTaskRunner(max_workers=1))
"""One task at a time: each spreads its units over all workers by itself."""


def later(task: Task[..., Result], *arguments: Any) -> PrefectFuture[Result]:
    """Submit a task whose arguments may be futures; Prefect draws the arrows of the graph from them."""
    return task.submit(*arguments, return_state=False)
