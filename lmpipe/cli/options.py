"""The arguments that several commands share, declared once."""

from pathlib import Path
from typing import Annotated, Literal

import typer

Recipe = Annotated[Path, typer.Argument(help="The recipe, a TOML file.", show_default=False)]
Data = Annotated[Path, typer.Option(help="Folder of all datasets, runs and the warehouse.")]
Workers = Annotated[
    int, typer.Option(min=1, help="Processes side by side, on the Ray cluster at $LMPIPE_RAY where that is set.")
]
Folder = Annotated[Path, typer.Argument(help="A committed dataset's folder.", show_default=False)]
Folders = Annotated[list[Path], typer.Argument(help="Committed datasets' folders.", show_default=False)]

DATA = Path("data")
"""Where datasets lie unless said otherwise."""

Which = Annotated[
    Literal["latest", "best"], typer.Option("--checkpoint", help="The last weights, or the best validated.")
]
