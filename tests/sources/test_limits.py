"""The time limit of a record."""

import re
import signal
import time

import pytest

from lmpipe.sources.limits import RecordTimeoutError, time_limit


def test_a_regular_expression_that_would_take_for_ever_is_interrupted() -> None:
    started = time.monotonic()
    with pytest.raises(RecordTimeoutError, match=r"read in 0\.2 s"), time_limit(0.2):
        re.match(r"(a+)+$", "a" * 60 + "b")
    assert time.monotonic() - started < 5


def test_a_record_in_time_leaves_no_timer_behind() -> None:
    before = signal.getsignal(signal.SIGALRM)
    with time_limit(60):
        pass
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    assert signal.getsignal(signal.SIGALRM) is before
