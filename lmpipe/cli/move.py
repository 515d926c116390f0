"""Commands that take a training to another machine and bring it home: pack, collect."""

from pathlib import Path
from typing import Annotated

import typer

from lmpipe.cli.options import DATA, Data

RunFolder = Annotated[Path, typer.Argument(help="A run's folder.", show_default=False)]
OutOption = Annotated[
    Path | None,
    typer.Option(help="Folder to make, or a file that ends in .tar; ./<name of the run>-packed otherwise."),
]


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    for command in (pack, collect):
        app.command()(command)


def pack(run: RunFolder, out: OutOption = None) -> None:
    """Copy a run and the code that trains it into a folder or .tar for another machine.

    Needs a run directory; there, only Python, torch, pyarrow, numpy and safetensors (a README inside says how).

    Example: lmpipe pack data/runs/demo-lstm-1a2b3c4d --out /mnt/stick/lstm.tar
    """
    from lmpipe.train.travel import pack as pack_run

    print(pack_run(run, out or Path(f"{run.resolve().name}-packed")))


def collect(
    folder: Annotated[Path, typer.Argument(help="What `pack` made, trained elsewhere.", show_default=False)],
    data: Data = DATA,
) -> None:
    """Bring the checkpoints, metrics and result of a packed run home and record them in the warehouse.

    Needs the folder that was packed, and the run that it came from under DATA/runs.

    Example: lmpipe collect /mnt/stick/demo-lstm-1a2b3c4d --data data
    """
    from lmpipe import warehouse
    from lmpipe.train.travel import collect as collect_run

    run = collect_run(folder, data)
    warehouse.record_training(data / "warehouse", run)
    print(run)
