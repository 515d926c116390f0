"""Run jobs side by side on threads, which ask the main thread for what only it can do.

Waiting for servers is what threads are for; but the time limit of a record is a signal, and signals interrupt
the main thread only (limits.py). So a job hands parsing over. Threads are daemons: when the main thread gives
up (Ctrl-C, a full disk), nothing waits for a slow server.
"""

import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, TypeVar

Job = TypeVar("Job")
Answer = TypeVar("Answer")


@dataclass(slots=True)
class MainThread:
    """What the main thread is asked for, in the order in which it came."""

    calls: queue.SimpleQueue[Callable[[], None] | None] = field(default_factory=queue.SimpleQueue)
    """None says that a thread has ended."""

    def call(self, function: Callable[..., Answer], *arguments: Any) -> Answer:
        """Have the main thread run a function, and return or raise what it does."""
        answer: Future[Answer] = Future()

        def run() -> None:
            try:
                answer.set_result(function(*arguments))
            except Exception as error:
                answer.set_exception(error)

        self.calls.put(run)
        return answer.result()

    def serve(self, threads: int) -> None:
        """Run what is asked until so many threads have ended."""
        while threads:
            call = self.calls.get()
            if call is None:
                threads -= 1
            else:
                call()


def side_by_side(function: Callable[[Job, MainThread], None], jobs: Sequence[Job], threads: int) -> None:
    """Run function(job, main) for every job on at most so many threads; raises the first error of any."""
    main, waiting = MainThread(), iter(jobs)
    turn = threading.Lock()

    def work() -> None:
        while True:
            with turn:
                job = next(waiting, None)
            if job is None:
                main.calls.put(None)
                return
            try:
                function(job, main)
            except BaseException as error:
                main.calls.put(raising(error))
                return

    threads = min(threads, len(jobs))
    for _ in range(threads):
        threading.Thread(target=work, daemon=True).start()
    main.serve(threads)


def raising(error: BaseException) -> Callable[[], None]:
    """Make a function that raises an error where it is called."""

    def call() -> None:
        raise error

    return call
