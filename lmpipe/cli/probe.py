"""Commands that probe a trained model: sentence pairs, what it knows by heart, what surprises it, what it echoes."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from lmpipe.cli.options import DATA, Data, Which, Workers

if TYPE_CHECKING:
    import pyarrow as pa

    from lmpipe.dataset import Manifest

RunFolder = Annotated[Path, typer.Argument(help="A run's folder.", show_default=False)]
Texts = Annotated[list[str], typer.Argument(help="Texts, files, or - for what is piped in.", metavar="TEXT|FILE|-...")]
Format = Literal["blimp", "crows-pairs", "stereoset", "jsonl"]
LONGEST_NAME = 255
"""Characters of a file's name; what is longer is text."""

ACCURACY = """
select set, topic, contrast, pairs, ties, accuracy, accuracy_low, accuracy_high
from pair_accuracy where dataset = $dataset and level <> 'part' order by set, level, topic
"""
CLEAN = """
select set, source, lang, documents, contaminated, bits_per_byte, bits_per_byte_clean
from perplexity_clean where run = $run order by set, slice = 'all', source, lang
"""
BY_HEART = """
select method, seen_from, cluster_from, passages, extracted, extracted_share, mean_matched, longest, nats_per_token
from memorization where dataset = $dataset order by method, level, seen_from, cluster_from
"""
SECRETS = """
select repeats, avg(times_seen) as times_seen, count(*) as secrets, avg(exposure) as exposure,
    any_value(largest_exposure) as possible
from exposure where dataset = $dataset group by repeats order by repeats
"""
STEREOSET = "select set, topic, items, lms, ss, icat from stereoset where dataset = $dataset order by all"


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    for command in (pairs, surprisal, alike, leaks, audit):
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
    name: Annotated[
        str | None, typer.Option("--name", help="What the results call the set; its format otherwise.")
    ] = None,
    data: Data = DATA,
    workers: Workers = 1,
    checkpoint: Which = "latest",
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
    checkpoint: Which = "latest",
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


def alike(
    run: RunFolder,
    texts: Texts,
    data: Data = DATA,
    most: Annotated[int, typer.Option("--top", min=1, help="Documents to show for each text.")] = 5,
    out: Annotated[Path | None, typer.Option("--out", help="Write rows: .jsonl or .parquet.")] = None,
    workers: Workers = 1,
) -> None:
    """List the training documents that share the longest runs of words with a text, and the spans.

    Needs a trained run and, under DATA, the datasets that it was made from.

    Example: lmpipe alike data/runs/demo-lstm-* generation.txt --top 3
    """
    from lmpipe.cli.stages import executing
    from lmpipe.cli.tables import print_table
    from lmpipe.evaluate.alike_documents import alike_documents

    with executing("alike", workers) as execution:
        rows = alike_documents(run, read_texts(texts), data, most, execution)
    if out is not None:
        write_rows(rows, out)
        print(out)
        return
    print_table("Training documents most alike", rows.drop_columns(["spans"]))
    for row in rows.to_pylist():
        print(f"--- {row['text']}: {row['document']} ({row['source']})")
        for span in sorted(row["spans"], key=lambda span: -span["words"])[:3]:
            print(f"    characters {span['start']:,}-{span['end']:,}, {span['words']} words: {span['text']}")


def leaks(
    run: RunFolder,
    data: Data = DATA,
    recipe: Annotated[Path | None, typer.Option("--recipe", help="Thresholds and sets of its [decontaminate].")] = None,
    workers: Workers = 1,
) -> None:
    """Search what held-out documents share with a run's training documents, and give every score twice.

    Needs a trained run and, under DATA, the datasets that it was made from; scores need an evaluation that is recorded.
    The spans themselves: lmpipe contamination FOLDER, with the folder that is printed.

    Example: lmpipe leaks data/runs/demo-lstm-* --data data
    """
    from lmpipe import warehouse
    from lmpipe.cli.stages import executing
    from lmpipe.cli.tables import print_table
    from lmpipe.dataset import upstream
    from lmpipe.evaluate.leaks import leaks as search
    from lmpipe.recipe import load_recipe
    from lmpipe.settings import DecontaminateSettings
    from lmpipe.train.run import load_run

    settings = load_recipe(recipe).decontaminate if recipe is not None else None
    base = recipe.parent if recipe is not None else Path()
    with executing("leaks", workers) as execution:
        found = search(run, settings or DecontaminateSettings(), base, data, execution)
    for folder in upstream([manifest.folder for manifest in found]):
        warehouse.record_dataset(data / "warehouse", folder)
    warehouse.record_training(data / "warehouse", run)
    for manifest in found:
        print(manifest.folder)
    shown = warehouse.query(data / "warehouse", CLEAN, {"run": load_run(run).fingerprint})
    print_table("All held-out documents, and those without overlap with training", shown)


def audit(
    run: RunFolder,
    data: Data = DATA,
    recipe: Annotated[Path | None, typer.Option("--recipe", help="Settings of its [audit].")] = None,
    workers: Workers = 1,
) -> None:
    """Measure what a model says by heart of its training documents, and of the canaries planted in them.

    Needs a trained run and, under DATA, the datasets that it was made from; records the rows in the warehouse.

    Example: lmpipe audit data/runs/demo-lstm-* --data data
    """
    from lmpipe import warehouse
    from lmpipe.cli.stages import executing
    from lmpipe.cli.tables import print_table
    from lmpipe.evaluate.memorization import audit as stage
    from lmpipe.recipe import load_recipe
    from lmpipe.settings import AuditSettings

    settings = load_recipe(recipe).audit if recipe is not None else None
    with executing("audit", workers) as execution:
        manifest = stage(run, settings or AuditSettings(), data, execution)
    recorded(manifest, data)
    for title, sql in (("Said by heart", BY_HEART), ("Planted secrets, in bits", SECRETS)):
        print_table(title, warehouse.query(data / "warehouse", sql, {"dataset": manifest.fingerprint}))
