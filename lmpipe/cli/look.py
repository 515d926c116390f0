"""Commands to look at what is there: show, batch, report, doctor."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from lmpipe.cli.options import DATA, Data

OutOption = Annotated[Path | None, typer.Option(help="Where to write the page; DATA/report.html otherwise.")]


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    for command in (show, batch, report, doctor):
        app.command()(command)


def show(path: Annotated[Path, typer.Argument(help="A dataset's or run's folder.", show_default=False)]) -> None:
    """Show a dataset's manifest, or a run, and everything it was made from.

    Needs a folder with a manifest.json or a run.json.

    Example: lmpipe show data/demo/tokens/demo-*
    """
    from lmpipe.cli.tables import print_rows
    from lmpipe.dataset import made, open_dataset

    if (path / "run.json").exists():
        show_run(path)
        return
    manifest = open_dataset(path)
    print(f"{manifest.stage}/{manifest.name}  {manifest.fingerprint}")
    print("made", json.dumps(made(manifest)))
    print("settings", json.dumps(manifest.settings, ensure_ascii=False))
    print_rows("Counts", [{"count": key, "number": number} for key, number in manifest.counts.items()])
    shards = [{"shard": s.path, "rows": s.rows, "bytes": s.bytes, "sha256": s.sha256[:12]} for s in manifest.shards]
    print_rows("Shards", shards)
    print("Made from")
    print_lineage(path.resolve().parent.parent, manifest.inputs, 1)


def show_run(path: Path) -> None:
    """Show a run directory and what its tokens were made from."""
    run = json.loads((path / "run.json").read_text(encoding="utf-8"))
    print(f"run {run['name']}  {run['fingerprint']}")
    print("settings", json.dumps(run["settings"]))
    result = path / "result.json"
    print("result", result.read_text(encoding="utf-8") if result.exists() else "not finished")
    print("Made from")
    print_lineage(path.resolve().parent.parent, [run["tokens"]], 1)


def print_lineage(data: Path, inputs: Any, depth: int) -> None:
    """Print inputs and, indented, what those were made from."""
    from lmpipe.dataset import open_dataset

    for item in inputs:
        if "file" in item:
            print(f"{'  ' * depth}file {item['file']}  {item['bytes']:,} bytes  sha256 {item['sha256']}")
            continue
        if "run" in item:
            print(f"{'  ' * depth}run {item['run']}  checkpoint {item['checkpoint']}")
            continue
        folder = data / item["stage"] / f"{item['name']}-{item['fingerprint'][:8]}"
        print(f"{'  ' * depth}{item['stage']}/{item['name']}  {item['fingerprint'][:16]}")
        if (folder / "manifest.json").exists():
            print_lineage(data, open_dataset(folder).inputs, depth + 1)


def batch(
    run: Annotated[Path, typer.Argument(help="A run's folder.", show_default=False)],
    step: Annotated[int, typer.Argument(help="Step, from 1, as in metrics.jsonl.", min=1, show_default=False)],
) -> None:
    """Show which documents a training step saw: row of the batch, document, its tokens there.

    Needs a run directory.

    Example: lmpipe batch data/runs/demo-lstm-1a2b3c4d 40
    """
    from lmpipe.cli.tables import print_table
    from lmpipe.train.batches import batch_documents, make_batch
    from lmpipe.train.run import load_run
    from lmpipe.train.stream import open_index, open_stream

    loaded = load_run(run)
    stream = open_stream(loaded.paths("train"), loaded.vocabulary)
    made = make_batch(stream, loaded.settings, step - 1)
    table = batch_documents(stream, open_index(stream, loaded.indexes("train")), loaded.settings, step - 1)
    print_table(f"Step {step}, epoch {made.epoch}, batch {made.sha256}", table)


def report(data: Data = DATA, out: OutOption = None) -> None:
    """Build the report, one HTML page that works offline, from the database of results.

    Needs a warehouse: run a recipe first.

    Example: lmpipe report --data data/demo
    """
    from lmpipe import warehouse
    from lmpipe.report import build_report

    print(build_report(data / "warehouse" / warehouse.PUBLISHED, out or data / "report.html"))


def doctor(data: Data = DATA) -> None:
    """Look at versions, cores, memory, disk, GPU, Prefect and the warehouse: what is wrong, and what to do.

    Needs nothing.

    Example: lmpipe doctor --data data/demo
    """
    from lmpipe.cli.doctor import examine

    findings = examine(data)
    for finding in findings:
        print(f"{'ok  ' if finding.good else 'BAD '} {finding.what:<12} {finding.found}")
        if finding.advice:
            print(f"{'':<18}{finding.advice}")
    if not all(finding.good for finding in findings):
        raise typer.Exit(1)
