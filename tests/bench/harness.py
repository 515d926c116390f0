"""Measure contestants in turns, print a table and one last line of JSON, and record both in the warehouse."""

import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from lmpipe.cli.tables import print_rows
from lmpipe.warehouse import Benchmark, record_benchmarks

ROUNDS = 5
"""Turns of each contestant; the median of them counts."""


def corpora() -> Path:
    """Find the real corpora."""
    folder = Path(os.environ.get("LMPIPE_CORPORA", "../shared/corpora"))
    if not folder.is_dir():
        raise SystemExit(f"no corpora at {folder}; set LMPIPE_CORPORA")
    return folder


def median_seconds(contestants: Mapping[str, Callable[[], object]], rounds: int = ROUNDS) -> dict[str, float]:
    """Time each contestant some rounds, in turns, so that a busy minute hits all alike."""
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, run in contestants.items():
            started = time.process_time()
            run()
            seconds[name].append(time.process_time() - started)
    return {name: statistics.median(values) for name, values in seconds.items()}


def finish(rates: Mapping[str, float], unit: str, ratios: Mapping[str, float], data: Path) -> None:
    """Print the table, record rates and ratios in the warehouse of `data`, and print the ratios as the last line."""
    print_rows("One core, medians", [{"contestant": name, unit: rate} for name, rate in rates.items()])
    machine = {
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "load": os.getloadavg(),
    }
    now = datetime.now(UTC)
    rows = [(name, rate, unit) for name, rate in rates.items()] + [(name, r, "ratio") for name, r in ratios.items()]
    record_benchmarks(
        data / "warehouse",
        [Benchmark(name=name, value=value, unit=u, measured=now, machine=machine) for name, value, u in rows],
    )
    print(json.dumps({name: float(f"{ratio:.4g}") for name, ratio in ratios.items()}))
