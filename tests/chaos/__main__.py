"""Break everything, count, and print a table and, as the last line, one JSON object.

python -m tests.chaos [--kills 100] [--seed 1] [--only PATTERN] [--folder FOLDER]

Ends with code 1 where anything was lost; what was lost then stays in the folder. Ctrl-C ends it early, with what has
been counted by then. Mounting small disks needs root, and the jump of the clock a C compiler; without them those faults
are skipped, and said to be.
"""

import argparse
import json
import os
import re
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import get_args

from lmpipe.cli.tables import print_rows
from tests.chaos import faults, network
from tests.chaos.kills import kill
from tests.chaos.laboratory import Laboratory, Outcome, Verdicts, build_laboratory


def main() -> int:
    """Read the command line, break, print; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description="Break everything and count.")
    parser.add_argument("--kills", type=int, default=100, help="processes to kill at random moments")
    parser.add_argument("--seed", type=int, default=1, help="of all that is drawn")
    parser.add_argument("--only", default="", help="only faults whose name matches this pattern")
    parser.add_argument("--folder", type=Path, help="an empty folder for all files; else a temporary one")
    asked = parser.parse_args()
    folder = asked.folder or Path(tempfile.mkdtemp(prefix="chaos-"))
    lab = build_laboratory(folder, asked.seed)
    print(
        f"undisturbed: {lab.seconds:.1f} s, {len(lab.state.files)} files, {lab.commits} renames; {folder}", flush=True
    )
    kills, others = Verdicts(), Verdicts()
    try:
        kill(lab, asked.kills, kills)
        spoil(lab, asked.only, others)
    except KeyboardInterrupt:
        print("ended early", flush=True)
    finally:
        lab.server.kill()
    counted = report(kills, others, f"Seed {asked.seed}, load {os.getloadavg()[0]:.1f}")
    if not counted["lost"] and not asked.folder:
        shutil.rmtree(folder)
    print(json.dumps(counted))
    return int(counted["lost"] > 0)


def spoil(lab: Laboratory, only: str, verdicts: Verdicts) -> None:
    """Bring about all faults, telling of each; enter the verdicts by fault."""
    for name, each in (faults.faults() | network.faults()).items():
        for fault in each if re.search(only, name) else ():
            began = time.monotonic()
            verdict = fault(lab)
            verdicts.setdefault(name, []).append(verdict)
            print(f"{name}: {verdict.outcome} ({time.monotonic() - began:.0f} s) {verdict.note}", flush=True)


def report(kills: Verdicts, others: Verdicts, title: str) -> dict[str, int]:
    """Print how often each fault had each outcome; return the sums."""
    counts = {name: Counter[str](verdict.outcome for verdict in each) for name, each in (kills | others).items()}
    outcomes = get_args(Outcome)
    rows = [
        {"fault": name, "times": c.total()} | {outcome: c[outcome] for outcome in outcomes}
        for name, c in counts.items()
    ]
    print_rows(title, rows)
    sums = sum(counts.values(), Counter[str]())
    numbers = {what: sum(map(len, each.values())) for what, each in (("kills", kills), ("faults", others))}
    return numbers | {outcome: sums[outcome] for outcome in outcomes}


if __name__ == "__main__":
    sys.exit(main())
