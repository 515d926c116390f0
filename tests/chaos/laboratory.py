"""Where things are broken: one recipe, its undisturbed run, and a server; and the judgement of what comes after.

A verdict is `recovered` where the same command, run again, leaves the bytes and rows of the undisturbed run;
`refused_clearly` where, besides, the fault was told in one sentence; `lost` for everything else: other bytes, a
traceback, a process that hangs or stays; `skipped` where this machine cannot make the fault.
"""

import random
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from lmpipe.dataset import upstream
from tests.chaos.machine import Command, Done, Server, begin
from tests.chaos.state import State, differences, read_state, write_recipe

Outcome = Literal["recovered", "refused_clearly", "lost", "skipped"]

TRIES = 3
"""Runs after a fault until it must be mended: a killed server may take the first one down."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a fault."""

    outcome: Outcome
    note: str = ""


Verdicts = dict[str, list[Verdict]]
"""By the fault's name."""


@dataclass(slots=True)
class Laboratory:
    """Everything that the faults share."""

    folder: Path
    recipe: Path
    server: Server
    chance: random.Random
    whole: Path
    """The data folder of the undisturbed run."""
    state: State
    """What that run has left."""
    seconds: float
    """How long it took."""
    commits: int
    """How many renames its flow made."""
    number: int = field(default=0)
    """Of the data folders and commands so far."""

    def next(self) -> int:
        """Number a new thing."""
        self.number += 1
        return self.number

    def fresh(self) -> Path:
        """Name a data folder that is not there yet."""
        return self.folder / f"data-{self.next()}"

    def half(self, stage: str | None, data: Path | None = None) -> Path:
        """Copy of the undisturbed run what it had when it had come to the end of a stage, if any."""
        data = data or self.fresh()
        data.mkdir()
        if stage == "evaluate":
            shutil.copytree(self.whole, data, ignore=shutil.ignore_patterns("warehouse"), dirs_exist_ok=True)
        elif stage is not None:
            for folder in upstream(sorted((self.whole / stage).iterdir())):
                shutil.copytree(folder, data / folder.relative_to(self.whole))
        return data

    def finished(self) -> Path:
        """Copy the whole of the undisturbed run."""
        return Path(shutil.copytree(self.whole, self.fresh()))

    def start(
        self, data: Path, module: Sequence[str] = ("lmpipe.cli",), environment: dict[str, str] | None = None
    ) -> Command:
        """Start `lmpipe run` on a data folder."""
        return self.command([*module, "run", str(self.recipe), "--data", str(data)], environment)

    def command(self, arguments: Sequence[str], environment: dict[str, str] | None = None) -> Command:
        """Start a Python module with arguments."""
        prefect = {"PREFECT_HOME": str(self.folder / "client"), "PREFECT_API_URL": self.server.url}
        return begin(["-m", *arguments], prefect | (environment or {}), self.folder / f"log-{self.next()}.txt")

    def run(self, data: Path) -> Done:
        """Run the recipe on a data folder to its end."""
        return self.start(data).finish()

    def lmpipe(self, *arguments: str) -> Done:
        """Run another command to its end."""
        return self.command(["lmpipe.cli", *arguments]).finish()

    def mended(self, data: Path, done: Done | None = None) -> str:
        """Run the recipe until it completes, unless it has; say what is not as it was in the undisturbed run."""
        for _ in range(TRIES):
            if done is not None and done.code == 0:
                break
            done = self.run(data)
        if done is not None and done.code != 0:
            return f"does not complete: {done.said}"
        return "; ".join(differences(self.state, read_state(data))[:3])

    def judge(self, data: Path, done: Done, words: str) -> Verdict:
        """Judge a run that met a fault, which is gone now; a refusal must have some words."""
        wrong = self.mended(data, done)
        if not wrong and done.code == 0:
            verdict = Verdict("recovered")
        elif not wrong and done.clear and words in done.said:
            verdict = Verdict("refused_clearly", done.said)
        else:
            verdict = Verdict("lost", wrong or f"not clear: {done.said}")
        if verdict.outcome != "lost":
            shutil.rmtree(data)
        return verdict


def build_laboratory(folder: Path, seed: int) -> Laboratory:
    """Start a server and run the recipe undisturbed."""
    server, recipe = Server(folder / "server"), write_recipe(folder)
    empty = State({}, {}, {})
    lab = Laboratory(folder, recipe, server, random.Random(seed), folder / "whole", empty, 0.0, 0)
    began = time.monotonic()
    done = lab.start(lab.whole, ("tests.chaos.cut", "none", str(folder / "commits"))).finish()
    assert done.code == 0, done.said
    lab.seconds = time.monotonic() - began
    lab.state, lab.commits = read_state(lab.whole), len((folder / "commits").read_text().splitlines())
    return lab
