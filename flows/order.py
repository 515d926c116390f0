"""How tasks of one flow follow each other: one after the other, with arrows in the UI's graph."""

from collections.abc import Iterable
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


def results(futures: Iterable[PrefectFuture[Result]]) -> list[Result]:
    """Wait for tasks in their order, so that a failed one ends the flow with its own sentence, not its followers'."""
    return [future.result() for future in futures]
