"""Commands that take a training to another machine and bring it home, or bring here what a store has: pack, collect,
pull."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lmpipe.cli.options import DATA, Data
from lmpipe.errors import StorageError

if TYPE_CHECKING:
    from lmpipe.store import Store

RunFolder = Annotated[Path, typer.Argument(help="A run's folder.", show_default=False)]
OutOption = Annotated[
    Path | None,
    typer.Option(help="Folder to make, or a file that ends in .tar; ./<name of the run>-packed otherwise."),
]


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    for command in (pack, collect, pull):
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


def pull(
    names: Annotated[
        list[str] | None, typer.Argument(help="STAGE/NAME of datasets and runs; without, they are listed.")
    ] = None,
    data: Data = DATA,
) -> None:
    """Bring datasets and runs here from the object store at $LMPIPE_STORE.

    Needs nothing but the store: a run comes with the tokens it was trained on, ready to score, generate and go on.

    Example: lmpipe pull runs/demo-lstm-1a2b3c4d --data data
    """
    from lmpipe.store import kept, open_store

    if not os.environ.get("LMPIPE_STORE"):
        raise StorageError("pull: expected a URI like s3://bucket/prefix in LMPIPE_STORE, found none. Set it.")
    store = open_store(os.environ["LMPIPE_STORE"])
    for name in names or ():
        print(pull_one(store, name, data))
    if not names:
        print("\n".join(kept(store)))


def pull_one(store: "Store", name: str, data: Path) -> Path:
    """Bring one dataset or run here, and record a run in the warehouse; return its folder."""
    from lmpipe import warehouse
    from lmpipe.store import take_dataset
    from lmpipe.train.afar import pull_run

    stage, _, rest = name.strip("/").rpartition("/")
    if stage == "runs":
        folder = pull_run(store, rest, data).folder
        warehouse.record_training(data / "warehouse", folder)
        return folder
    folder = data / stage / rest
    if not (folder / "manifest.json").exists() and not take_dataset(store, folder):
        raise StorageError(f"{store.uri}: expected a dataset {name}, found none. `lmpipe pull` lists what there is.")
    return folder
