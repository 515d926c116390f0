"""What a person sees while a flow runs: progress bars in the terminal, progress artifacts in the UI.

Both are driven by the same callback that the library calls; artifacts are updated every few
seconds only (each update costs the server some 15 ms).
"""

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.runtime import flow_run
from pydantic import Field
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

UPDATE_SECONDS = 3.0
"""Between two updates of a progress artifact."""

Workers = Annotated[int, Field(ge=1, le=256)]
"""A flow's parameter: a number field with its limits in the UI's form."""

Tell = Callable[..., None]
"""Called with (done, total, note)."""


@contextmanager
def watching(title: str) -> Iterator[Tell]:
    """Show the progress of one piece of work; yields the function to tell it through."""
    logging.getLogger("lmpipe").setLevel(logging.INFO)  # else its lines stay out of Prefect's log
    artifact = create_progress_artifact(progress=0.0, description=title)
    assert isinstance(artifact, UUID), "flows are synchronous"
    columns = (
        TextColumn("{task.description:<24}"),
        BarColumn(bar_width=16),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=Console(file=sys.stderr)) as bars:
        bar = bars.add_task(title, total=None, note="")
        last, told = time.monotonic(), False

        def tell(done: int, total: int, note: str = "") -> None:
            nonlocal last, told
            told = True
            bars.update(bar, completed=done, total=total, note=note)
            if time.monotonic() - last > UPDATE_SECONDS:
                last = time.monotonic()
                update_progress_artifact(artifact, progress=100.0 * done / max(1, total), description=f"{title} {note}")

        yield tell
        if not told:
            bars.update(bar, completed=1, total=1, note="done before, nothing to do")
    update_progress_artifact(artifact, progress=100.0, description=title if told else f"{title}: done before")


def run_name() -> str:
    """Name a flow run by its flow, recipe and, where there is one, model: "train demo lstm"."""
    parameters: dict[str, Any] = flow_run.get_parameters()
    recipe = Path(str(parameters["recipe"])).stem
    of_what = parameters.get("name") or (Path(str(parameters["run"])).name if "run" in parameters else "")
    of_what = of_what or " ".join(parameters.get("kinds") or ())
    return f"{flow_run.get_flow_name()} {recipe} {of_what}".rstrip()
