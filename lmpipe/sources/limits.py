"""A time limit for one record, so that no record, however it is made, can hang a run.

The limits on sizes, tags and nesting in the parsers are what normally bounds the time; this is for what
nobody has thought of. It is a timer's signal: Python code and regular expressions are interrupted at
once, other native code at its end.
"""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from lxml.etree import LxmlError

RECORD_SECONDS = 60.0
"""The slowest real records take two seconds (a 2 MB wiki page, a news page of 5,000 tags)."""

PARSER_FAILURES = (
    *(ArithmeticError, AssertionError, AttributeError, LookupError, RecursionError, TypeError, ValueError),
    LxmlError,
)
"""What other people's parsers raise for input that their authors did not think of: the record is bad, no more."""


class RecordTimeoutError(Exception):
    """A record took longer than its limit; its message says so for the quarantine."""


@contextmanager
def time_limit(seconds: float = RECORD_SECONDS) -> Iterator[None]:
    """Raise RecordTimeoutError when the block takes longer; for main threads only (see workers.py)."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise RecordTimeoutError(f"expected a record that is read in {seconds:g} s, found one that takes longer")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
