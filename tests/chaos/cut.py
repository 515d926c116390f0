"""The command line, killed with -9 at one of its renames: the moments at which something is committed.

python -m tests.chaos.cut before|after NUMBER run RECIPE --data DATA
python -m tests.chaos.cut none FILE run RECIPE --data DATA      # only write down the renames, one a line
"""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lmpipe.cli import main

Rename = Callable[..., Any]


def cutting(rename: Rename, moment: str, number: str) -> Rename:
    """Wrap a rename: count, and end at the given one."""

    def cut(source: Any, target: Any, **where: Any) -> None:
        done.append(str(target))
        if moment == "none":
            Path(number).write_text("\n".join(done))
        elif moment == "before" and len(done) == int(number):
            os.kill(os.getpid(), signal.SIGKILL)
        rename(source, target, **where)
        if moment == "after" and len(done) == int(number):
            os.kill(os.getpid(), signal.SIGKILL)

    return cut


done: list[str] = []
"""Targets of the renames so far."""

if __name__ == "__main__":
    os.replace = cutting(os.replace, sys.argv[1], sys.argv[2])
    os.rename = cutting(os.rename, sys.argv[1], sys.argv[2])
    sys.argv[1:] = sys.argv[3:]
    main()
