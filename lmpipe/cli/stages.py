"""One command a stage, for working by hand: each takes the datasets before it and prints the folder it made."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lmpipe.cli.options import DATA, Data, Folder, Folders, Recipe, Workers

if TYPE_CHECKING:
    from lmpipe.dataset import Execution, Manifest
    from lmpipe.settings import Source


def add_to(app: typer.Typer) -> None:
    """Register the commands, in the order of the way."""
    before = (download, ingest, clean, decide, dedup, passages, split, decontaminate)
    for command in (*before, tokenizer, encode, tokens, train, evaluate, record):
        app.command()(command)


@contextmanager
def executing(title: str, workers: int) -> "Iterator[Execution]":
    """Show a bar and the library's log lines while a stage runs."""
    from rich.console import Console
    from rich.logging import RichHandler
    from rich.progress import Progress

    from lmpipe.dataset import Execution

    console = Console(stderr=True)
    logging.basicConfig(
        level=logging.INFO,
        format="%(message)s",
        handlers=[RichHandler(console=console, show_time=False, show_path=False)],
    )
    with Progress(console=console) as bars:
        bar = bars.add_task(title, total=None)
        yield Execution(workers=workers, progress=lambda done, total: bars.update(bar, completed=done, total=total))


def made(manifest: "Manifest") -> None:
    """Print the folder, for the next command, and the counts."""
    print(manifest.folder)
    for key, number in manifest.counts.items():
        print(f"  {key:<32}{number:>12,}")


SourceOption = Annotated[list[str] | None, typer.Option("--source", help="Only these sources of the recipe.")]


def download(recipe: Recipe, data: Data = DATA, workers: Workers = 1, source: SourceOption = None) -> None:
    """Fetch what the download tables of a recipe name: dumps, archives, feeds, books.

    Needs the network; what is there already is not fetched again, a cut transfer goes on where it was cut.

    Example: lmpipe download recipe.toml --source wiki-zh
    """
    for settings in chosen_sources(recipe, source):
        for path in fetched(settings, recipe, data, workers):
            print(path)


def ingest(recipe: Recipe, data: Data = DATA, workers: Workers = 2, source: SourceOption = None) -> None:
    """Read the sources of a recipe into documents and quarantine.

    Needs the input files that the recipe names; what its download tables name is fetched first.

    Example: lmpipe ingest flows/recipes/demo.toml --source wiki-en
    """
    from lmpipe.sources.ingest import ingest as stage

    for settings in chosen_sources(recipe, source):
        downloaded = fetched(settings, recipe, data, 1)
        with executing(f"ingest {settings.name}", workers) as execution:
            made(stage(settings, recipe.parent, data, execution, downloaded))


def chosen_sources(recipe: Path, names: list[str] | None) -> "list[Source]":
    """Find the sources of a recipe that were named, or all."""
    from lmpipe.errors import RecipeError
    from lmpipe.recipe import load_recipe, nearest

    sources = {s.name: s for s in load_recipe(recipe).sources}
    for name in names or ():
        if name not in sources:
            raise RecipeError(f"{recipe}: no source '{name}'{nearest(name, sources)}.")
    return [sources[name] for name in names or sources]


def fetched(source: "Source", recipe: Path, data: Path, workers: int) -> list[Path]:
    """Bring a source's downloads, showing a bar; none for a source of files."""
    if getattr(source, "download", None) is None:
        return []
    from lmpipe.sources.download.fetch import fetch

    with executing(f"download {source.name}", workers) as execution:
        return fetch(source, recipe.parent, data, execution)


def clean(recipe: Recipe, documents: Folders, data: Data = DATA, workers: Workers = 2) -> None:
    """Normalise documents, identify their language and measure their signals.

    Needs ingested datasets.

    Example: lmpipe clean flows/recipes/demo.toml data/ingest/wiki-en-*
    """
    from lmpipe.curate.clean import clean as stage
    from lmpipe.dataset import open_dataset
    from lmpipe.recipe import load_recipe

    for folder in documents:
        with executing(f"clean {folder.name}", workers) as execution:
            made(stage(open_dataset(folder), data, load_recipe(recipe).clean, execution, recipe.parent))


WhatIfOption = Annotated[
    list[str] | None,
    typer.Option(
        "--what-if",
        help="Change nothing, but show what profile.name=X or profile.rules.LANG.SIGNAL.min=X would; repeatable.",
    ),
]
Cleaned = Annotated[
    list[Path] | None,
    typer.Argument(help="Cleaned datasets' folders; the newest of each source otherwise.", show_default=False),
]
SampleOption = Annotated[int, typer.Option("--sample", min=0, help="With --what-if: changed texts to show, each way.")]


def decide(
    recipe: Recipe,
    cleaned: Cleaned = None,
    data: Data = DATA,
    workers: Workers = 2,
    what_if: WhatIfOption = None,
    sample: SampleOption = 3,
) -> None:
    """Lay the recipe's filter profile over the signals, or show what another threshold would change.

    Needs cleaned datasets.

    Example: lmpipe decide flows/recipes/demo.toml --what-if profile.rules.en.words.min=50
    """
    from lmpipe.cli.curate import newest_cleaned, print_what_if
    from lmpipe.curate.decide import decide as stage
    from lmpipe.dataset import open_dataset
    from lmpipe.recipe import load_recipe

    manifests = [open_dataset(folder) for folder in cleaned] if cleaned else newest_cleaned(recipe, data)
    if what_if:
        print_what_if(recipe, manifests, data, what_if, sample)
        return
    for manifest in manifests:
        with executing(f"decide {manifest.name}", workers) as execution:
            made(stage(manifest, data, load_recipe(recipe).profile, execution, recipe.parent))


AgainstOption = Annotated[list[str] | None, typer.Option(help="Recipes whose survivors stand; else the recipe's.")]


def dedup(
    recipe: Recipe, decided: Folders, data: Data = DATA, workers: Workers = 2, against: AgainstOption = None
) -> None:
    """Find exact duplicates over all sources, then near ones if the recipe wants them.

    Needs the decided datasets of every source, in the recipe's order.

    Example: lmpipe dedup flows/recipes/demo.toml data/decide/* --against base
    """
    from dataclasses import replace

    from lmpipe.curate.dedup import dedup as stage
    from lmpipe.curate.near import candidates, near, sign
    from lmpipe.dataset import open_dataset
    from lmpipe.recipe import load_recipe

    name, settings = load_recipe(recipe).name, load_recipe(recipe).dedup
    if against:
        settings = replace(settings, against=tuple(against))
    manifests = [open_dataset(d) for d in decided]
    with executing("dedup", workers) as execution:
        found = stage(manifests, name, data, settings, execution)
        if settings.near:
            signed = [sign(manifest, data, settings, execution) for manifest in manifests]
            proposed = candidates(found, signed, data, settings, execution)
            found = near(found, signed, proposed, data, settings, execution)
        made(found)


def passages(recipe: Recipe, duplicates: Folder, data: Data = DATA, workers: Workers = 2) -> None:
    """Find the lines or paragraphs that several documents share; all copies but one are cut.

    Needs the deduplicated dataset; the settings are the recipe's table [passages].

    Example: lmpipe passages flows/recipes/demo.toml data/near/demo-*
    """
    from lmpipe.curate.passages import cuts, repeats
    from lmpipe.curate.passages import passages as stage
    from lmpipe.dataset import inputs_of, open_dataset
    from lmpipe.errors import RecipeError
    from lmpipe.recipe import load_recipe

    settings = load_recipe(recipe).passages
    if settings is None:
        raise RecipeError(
            f"{recipe}: has no table [passages], so nothing is cut. Add it, or go on with `lmpipe split`."
        )
    manifest = open_dataset(duplicates)
    with executing("passages", workers) as execution:
        hashed = [stage(decided, data, settings, execution) for decided in inputs_of(manifest, "decide")]
        repeated = repeats(manifest, hashed, data, settings, execution)
        made(cuts(manifest, repeated, data, settings, execution))


def split(recipe: Recipe, duplicates: Folder, data: Data = DATA, workers: Workers = 2) -> None:
    """Give every document its outcome and, if kept, its split.

    Needs the deduplicated dataset, or the cuts of `lmpipe passages`.

    Example: lmpipe split flows/recipes/demo.toml data/near/demo-*
    """
    from lmpipe.curate.split import split as stage
    from lmpipe.dataset import open_dataset
    from lmpipe.errors import InputError
    from lmpipe.recipe import load_recipe

    settings, manifest = load_recipe(recipe), open_dataset(duplicates)
    if settings.passages is not None and manifest.stage != "cuts":
        raise InputError(f"{duplicates}: {recipe} has [passages]. Name the folder that `lmpipe passages` printed.")
    with executing("split", workers) as execution:
        made(stage(manifest, data, settings.split, settings.seed, execution))


def decontaminate(recipe: Recipe, chosen: Folder, data: Data = DATA, workers: Workers = 2) -> None:
    """Remove training documents that share runs of words with what models are evaluated on, or only mark them.

    Needs the split dataset. A recipe without [decontaminate] is compared with its own valid and test documents.

    Example: lmpipe decontaminate flows/recipes/demo.toml data/split/demo-*
    """
    from lmpipe.curate.decontaminate import decontaminate as stage
    from lmpipe.curate.decontaminate import find_overlaps
    from lmpipe.curate.heldout import heldout
    from lmpipe.dataset import open_dataset
    from lmpipe.recipe import load_recipe
    from lmpipe.settings import DecontaminateSettings

    settings = load_recipe(recipe).decontaminate or DecontaminateSettings()
    manifest = open_dataset(chosen)
    with executing("decontaminate", workers) as execution:
        index = heldout(manifest, data, settings, recipe.parent, execution)
        found = find_overlaps(manifest, index, data, execution)
        made(stage(manifest, index, found, data, settings, execution))


def tokenizer(recipe: Recipe, chosen: Folder, data: Data = DATA) -> None:
    """Learn the recipe's tokenizer from its training split, or take a ready one.

    Needs the split dataset.

    Example: lmpipe tokenizer flows/recipes/demo.toml data/split/demo-*
    """
    from lmpipe.dataset import open_dataset
    from lmpipe.recipe import load_recipe
    from lmpipe.tokens.tokenizer import tokenizer as stage

    settings = load_recipe(recipe)
    with executing("tokenizer", 1) as execution:
        made(stage(open_dataset(chosen), data, settings.tokenizer, settings.seed, recipe.parent, execution))


def encode(
    chosen: Folder,
    learnt: Folder,
    data: Data = DATA,
    workers: Workers = 2,
    recipe: Annotated[Path | None, typer.Option("--recipe", help="Plant the [canaries] of this recipe.")] = None,
) -> None:
    """Turn kept documents into token ids.

    Needs the split dataset and the tokenizer.

    Example: lmpipe encode data/split/demo-* data/tokenizer/demo-*
    """
    from lmpipe.dataset import open_dataset
    from lmpipe.recipe import load_recipe
    from lmpipe.tokens.encode import encode as stage

    settings = load_recipe(recipe) if recipe is not None else None
    planted = (settings.canaries, settings.seed) if settings is not None else ()
    with executing("encode", workers) as execution:
        made(stage(open_dataset(chosen), open_dataset(learnt), data, execution, *planted))


def tokens(recipe: Recipe, encoded: Folder, data: Data = DATA, workers: Workers = 2) -> None:
    """Shuffle documents over all sources and pack them into token shards.

    Needs the encoded dataset.

    Example: lmpipe tokens flows/recipes/demo.toml data/encode/demo-*
    """
    from lmpipe.dataset import open_dataset
    from lmpipe.recipe import load_recipe
    from lmpipe.tokens.pack import pack as stage

    settings = load_recipe(recipe)
    with executing("pack", workers) as execution:
        made(stage(open_dataset(encoded), data, settings.tokens, settings.seed, execution))


def train(recipe: Recipe, tokens: Folder, name: str, data: Data = DATA, processes: Workers = 1) -> None:
    """Train one model of the recipe in a process of its own, or continue a killed training.

    Needs the packed tokens; NAME is a [[train]] entry of the recipe.

    Example: lmpipe train flows/recipes/demo.toml data/tokens/demo-* lstm
    """
    from lmpipe import launch
    from lmpipe.dataset import open_dataset
    from lmpipe.errors import RecipeError
    from lmpipe.recipe import load_recipe, nearest
    from lmpipe.tokens.marks import marks_of
    from lmpipe.train.run import prepare_run

    settings = load_recipe(recipe)
    trainings = {t.name: t for t in settings.train}
    if name not in trainings:
        raise RecipeError(f"{recipe}: no [[train]] entry '{name}'{nearest(name, trainings)}.")
    dataset, training = open_dataset(tokens), trainings[name]
    run = prepare_run(dataset, training, settings.name, data, marks_of(dataset, training))
    with executing(f"train {name}", 1) as execution:
        tell = execution.progress
        assert tell is not None, "executing always has a bar"
        result = launch.start(run, processes=processes, on_metric=lambda metric: tell(metric["step"], training.steps))
    print(run)
    for key, value in result.items():
        print(f"  {key:<32}{value}")


SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set", help="NAME=PATH of a set (ptb, wikitext-2-raw, lambada, ... or any name) instead; repeatable."
    ),
]


def evaluate(recipe: Recipe, run: Folder, data: Data = DATA, workers: Workers = 1, sets: SetOption = None) -> None:
    """Score every held-out document with a run's last checkpoint, and the sets of the recipe, or those named by --set.

    Needs the run directory of a finished training.

    Example: lmpipe evaluate flows/recipes/demo.toml data/runs/demo-lstm-* --set ptb=ptb.zip
    """
    from lmpipe.evaluate.perplexity import evaluate as stage
    from lmpipe.evaluate.perplexity import evaluate_set
    from lmpipe.evaluate.sets import evaluation_set, named_set
    from lmpipe.recipe import load_recipe

    settings = load_recipe(recipe).evaluate
    if not sets:
        with executing("evaluate", workers) as execution:
            made(stage(run, settings, data, execution))
    chosen = [named_set(text) for text in sets] if sets else settings.sets
    base = Path() if sets else recipe.parent
    for some in chosen:
        with executing(f"evaluate on {some.name}", workers) as execution:
            manifest = evaluation_set(some, data, base, execution)
            made(evaluate_set(run, manifest, settings, data, execution))


def record(folders: Folders, data: Data = DATA) -> None:
    """Enter committed datasets and run directories into the warehouse; what is known changes nothing.

    Needs folders with a manifest.json or a run.json.

    Example: lmpipe record data/*/*/
    """
    from lmpipe import warehouse
    from lmpipe.errors import DatasetError

    for folder in folders:
        if (folder / "run.json").exists():
            warehouse.record_training(data / "warehouse", folder)
        elif (folder / "manifest.json").exists():
            warehouse.record_dataset(data / "warehouse", folder)
        else:
            raise DatasetError(f"{folder}: neither manifest.json nor run.json. Name a committed dataset or a run.")
        print(f"recorded {folder}")
