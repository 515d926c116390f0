"""Commands that probe a trained model: sentence pairs, what it knows by heart, what surprises it, what it echoes."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from lmpipe.cli.options import DATA, Data, Workers

if TYPE_CHECKING:
    import pyarrow as pa

    from lmpipe.dataset import Manifest

RunFolder = Annotated[Path, typer.Argument(help="A run's folder.", show_default=False)]
WhichOption = Annotated[Literal["latest", "best"], typer.Option("--checkpoint", help="The last weights, or the best.")]
Texts = Annotated[list[str], typer.Argument(help="Texts, files, or - for what is piped in.", metavar="TEXT|FILE|-...")]
Format = Literal["blimp", "crows-pairs", "stereoset", "jsonl"]
LONGEST_NAME = 255
"""Characters of a file's name; what is longer is text."""

ACCURACY = """
select set, topic, contrast, pairs, ties, accuracy, accuracy_low, accuracy_high
from pair_accuracy where dataset = $dataset and level <> 'part' order by set, level, topic
"""
STEREOSET = "select set, topic, items, lms, ss, icat from stereoset where dataset = $dataset order by all"


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    for command in (pairs, surprisal):
        app.command()(command)


def recorded(manifest: "Manifest", data: Path) -> None:
    """Enter a dataset into the warehouse, with the run that it is of, and print its folder."""
    from lmpipe import warehouse

    warehouse.record_dataset(data / "warehouse", manifest.folder)
    print(manifest.folder)


def pairs(
    run: RunFolder,
    format: Annotated[Format, typer.Option("--set", help="How the set is written; jsonl: {good, bad} a line.")],
    path: Annotated[list[Path], typer.Option("--path", help="File, folder or zip of the set; may be repeated.")],
    name: Annotated[str | None, typer.Option("--name", help="What the results call the set; its format otherwise.")]
    = None,
    data: Data = DATA,
    workers: Workers = 1,
    checkpoint: WhichOption = "latest",
) -> None:
    """Ask a model which sentence of each pair is more probable: BLiMP, CrowS-Pairs, StereoSet, pairs of your own.

    Needs a trained run and the set's files; records the scores in the warehouse.

    Example: lmpipe pairs data/runs/demo-lstm-* --set blimp --path blimp.zip
    """
    from lmpipe import warehouse
    from lmpipe.cli.stages import executing
    from lmpipe.cli.tables import print_table
    from lmpipe.evaluate.minimal_pairs import score_pairs
    from lmpipe.recipe import source_files
    from lmpipe.settings import PairSet

    chosen = PairSet(name=name or format, paths=tuple(map(str, path)), format=format)
    with executing("pairs", workers) as execution:
        manifest = score_pairs(run, chosen, source_files(chosen, Path()), data, execution, checkpoint)
    recorded(manifest, data)
    sql = STEREOSET if format == "stereoset" else ACCURACY
    print_table("Pairs", warehouse.query(data / "warehouse", sql, {"dataset": manifest.fingerprint}))


def surprisal(
    run: RunFolder,
    texts: Texts,
    unit: Annotated[Literal["token", "word"], typer.Option("--unit", help="What has a number of its own.")] = "token",
    html: Annotated[Path | None, typer.Option("--html", help="Write a heat map: one page, works offline.")] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Write rows: .jsonl or .parquet; both units.")] = None,
    context: Annotated[int | None, typer.Option("--context", min=1, help="Window in tokens; the training's.")] = None,
    checkpoint: WhichOption = "latest",
) -> None:
    """Show how surprising a model finds each piece of a text: in colours, as rows, as a heat map.

    Needs a trained run. Colours go from 0 bits to 16; a byte-level token that is a part of a character is shown with
    the others of it.

    Example: lmpipe surprisal data/runs/demo-lstm-* "To be, or not to be" --html be.html
    """
    from itertools import groupby

    from rich.console import Console

    from lmpipe.evaluate.scorer import open_scorer
    from lmpipe.evaluate.surprisal import surprisal as measure
    from lmpipe.evaluate.surprisal_page import coloured, heat_map, summary

    read = read_texts(texts)
    scorer = open_scorer(run, checkpoint, context=context)
    rows = measure(scorer, list(read.values()), list(read))
    shown = rows.filter([kind == unit for kind in rows["unit"].to_pylist()])
    if out is not None:
        write_rows(rows, out)
    if html is not None:
        html.write_text(heat_map(shown, f"Surprisal per {unit} by {scorer.run.name}"), encoding="utf-8")
    for path in filter(None, (out, html)):
        print(path)
    if out is None and html is None:
        for name, cells in groupby(shown.to_pylist(), key=lambda row: row["text"]):
            pieces = list(cells)
            Console().print(f"{name}: {summary(pieces)}", markup=False, highlight=False)
            Console().print(coloured(pieces))


def read_texts(texts: list[str]) -> dict[str, str]:
    """Take texts as they are typed, from files, or from the standard input (-), each with a name."""
    from lmpipe.errors import InputError

    read: dict[str, str] = {}
    for number, text in enumerate(texts, start=1):
        if text == "-":
            read["standard input"] = sys.stdin.read()
        elif len(text) < LONGEST_NAME and Path(text).is_file():
            try:
                read[text] = Path(text).read_text(encoding="utf-8-sig")
            except UnicodeDecodeError as error:
                raise InputError(f"{text}: not UTF-8 at byte {error.start}. Save it as UTF-8.") from None
        else:
            read[f"text {number}"] = text
    return read


def write_rows(rows: "pa.Table", path: Path) -> None:
    """Write rows as Parquet or as JSON, one object a line, by the name's ending."""
    import json

    import pyarrow.parquet as pq

    from lmpipe.errors import InputError

    if path.suffix == ".parquet":
        pq.write_table(rows, path)
    elif path.suffix == ".jsonl":
        lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows.to_pylist())
        path.write_text("".join(lines), encoding="utf-8")
    else:
        raise InputError(f"{path}: expected a name that ends in .jsonl or .parquet. Rename it.")
