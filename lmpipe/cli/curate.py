"""Commands around the decisions: what a threshold would change, what was dropped and why, take-down, quality."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lmpipe.cli.options import DATA, Data, Folder

if TYPE_CHECKING:
    from lmpipe.dataset import Manifest

HEAD = 400
"""Characters of a sample's text that are shown: enough to judge it, few enough for twenty on a page."""

SourceOption = Annotated[str | None, typer.Option("--source", help="Only documents of this source.")]
LangOption = Annotated[str | None, typer.Option("--lang", help="Only documents in this language.")]
SampleOption = Annotated[int, typer.Option("--sample", min=0, help="Texts to show.")]
AllOption = Annotated[bool, typer.Option("--all", help="Every version of every dataset, not only the newest.")]
RecipeOrFolder = Annotated[
    Path, typer.Argument(help="A recipe, or a decided dataset's folder.", metavar="RECIPE|FOLDER", show_default=False)
]
ReasonOption = Annotated[
    str | None, typer.Option("--reason", help="Only this reason, such as words.min; words for both of its sides.")
]
SetOption = Annotated[str | None, typer.Option("--set", help="Only this evaluation set; valid and test are own.")]
Id = Annotated[str, typer.Argument(help="source:native-id, or FILE@OFFSET for a record in quarantine.")]
Ids = Annotated[list[str], typer.Argument(help="Documents, as source:native-id.")]
ReasonText = Annotated[str, typer.Option("--reason", help="Why, for the list: a request, a court, a mistake.")]
ReferenceOption = Annotated[Path, typer.Option("--reference", help="A cleaned dataset that is trusted.")]
LowOption = Annotated[float, typer.Option("--low", help="Quantile for the smallest value that passes.")]
HighOption = Annotated[float, typer.Option("--high", help="Quantile for the largest value that passes.")]
Model = Annotated[Path, typer.Argument(help="A model made by `lmpipe quality train`.")]
Out = Annotated[Path, typer.Argument(help="Where to write the model, such as quality.parquet.")]
TextFile = Annotated[str, typer.Argument(help="A text file, or - for what is typed or piped in.", metavar="FILE|-")]
Limit = Annotated[int, typer.Option("--documents", min=1, help="Documents per side, drawn by hash.")]


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    for command in (dropped, contamination, calibrate, why, forget):
        app.command()(command)
    quality = typer.Typer(no_args_is_help=True, help="Train a quality model, and score texts with it.")
    quality.command("train")(quality_train)
    quality.command("score")(quality_score)
    app.add_typer(quality, name="quality")


def dropped(
    where: RecipeOrFolder,
    data: Data = DATA,
    reason: ReasonOption = None,
    source: SourceOption = None,
    lang: LangOption = None,
    sample: SampleOption = 20,
) -> None:
    """Show texts that a profile drops, each with its reason, value and threshold.

    Needs cleaned datasets of the recipe's sources, or one decided dataset; the same call shows the same texts.

    Example: lmpipe dropped flows/recipes/demo.toml --reason words.min --sample 5
    """
    from lmpipe.curate import whatif
    from lmpipe.curate.profiles import load_profile
    from lmpipe.dataset import open_dataset
    from lmpipe.recipe import load_recipe

    chosen = {"reason": reason, "source": source, "lang": lang}
    if where.is_dir():
        rows = whatif.dropped_in(open_dataset(where), sample, **chosen)
    else:
        cleaned = newest_cleaned(where, data, [source] if source else None)
        profile = load_profile(load_recipe(where).profile, where.parent)
        rows = whatif.dropped(cleaned, profile, data, sample, **chosen)
    print_samples(rows)
    if not rows:
        print("no document is dropped by that")


def newest_cleaned(recipe: Path, data: Path, sources: list[str] | None = None) -> "list[Manifest]":
    """Open the newest cleaned dataset of some sources of a recipe, or of all."""
    from lmpipe.cli.stages import chosen_sources
    from lmpipe.curate.committed import newest

    return newest(data, "clean", [source.name for source in chosen_sources(recipe, sources)])


def print_what_if(recipe: Path, cleaned: "list[Manifest]", data: Path, assignments: list[str], sample: int) -> None:
    """Print what another profile would change: by source and language, by rule, with samples."""
    from lmpipe.cli.tables import print_rows
    from lmpipe.curate.whatif import what_if
    from lmpipe.recipe import load_recipe

    changes = what_if(cleaned, load_recipe(recipe).profile, assignments, data, recipe.parent, sample)
    print_rows("What would change", [short(row) for row in changes.figures])
    if changes.reasons:
        print_rows("By which rule", changes.reasons)
    print_samples(changes.samples)
    for stop in changes.stops:
        print(f"The run would stop: {stop}")


def short(row: dict[str, Any]) -> dict[str, Any]:
    """Name the columns as a table of 100 columns has room for."""
    return {key.replace("_", " "): value for key, value in row.items()}


def print_samples(rows: list[dict[str, Any]]) -> None:
    """Print documents one under the other: what, which, why, and the head of the text."""
    for row in rows:
        sign = "<" if row["reason"].endswith(".min") else ">"
        missed = "" if row["value"] is None else f" ({row['value']:.4g} {sign} {row['threshold']:g})"
        title = f"  {row['title']!r}" if row["title"] else ""
        print(f"--- {row.get('change', 'dropped')}  {row['reason']}{missed}  {row['lang']}  {row['id']}{title}")
        print(f"{row['text'][:HEAD]}{' ...' if len(row['text']) > HEAD else ''}\n")


def contamination(
    folder: Folder, set: SetOption = None, source: SourceOption = None, sample: SampleOption = 10
) -> None:
    """Show what training documents share with evaluation sets: by set and source, then the spans themselves.

    Needs a decontaminated dataset; the same call shows the same spans.

    Example: lmpipe contamination data/decontaminate/demo-1a2b3c4d --set test --sample 3
    """
    from lmpipe.cli.tables import print_rows
    from lmpipe.curate.contamination import by_set, sampled
    from lmpipe.dataset import open_dataset

    manifest = open_dataset(folder)
    print_rows("Training documents that share runs of words", [short(row) for row in by_set(manifest)])
    for row in sampled(manifest, sample, set, source):
        verdict = "contaminated" if row["contaminated"] else "not enough"
        print(f"--- {row['set']}: {row['record']}  covered {row['share']:.0%}  {verdict}")
        print(f"    {row['id']} at {row['start']:,}-{row['end']:,}, {row['runs']} runs, {row['common']} common")
        print(f"{row['text']}{' ...' if row['end'] - row['start'] > len(row['text']) else ''}\n")


def calibrate(reference: ReferenceOption, low: LowOption = 0.01, high: HighOption = 0.99) -> None:
    """Learn a profile from a corpus that is trusted, language by language, and print it as TOML.

    Needs a cleaned dataset; name the printed file in a recipe as profile.name = "mine.toml".

    Example: lmpipe calibrate --reference data/clean/wiki-en-1a2b3c4d > flows/recipes/mine.toml
    """
    from lmpipe.curate.calibrate import calibrate as learn
    from lmpipe.curate.calibrate import calibrated_toml
    from lmpipe.dataset import open_dataset

    manifest = open_dataset(reference)
    print(calibrated_toml(manifest, learn(manifest, low, high), low, high), end="")


def why(id: Id, data: Data = DATA, every_version: AllOption = False) -> None:
    """Tell a document's whole life: where it was read, how it was judged, where its tokens went.

    Needs committed datasets; nothing has to be recorded before.

    Example: lmpipe why wiki-en:736 --data data/demo
    """
    from lmpipe.cli.tables import print_rows
    from lmpipe.curate import ledger

    file, _, offset = id.rpartition("@")
    if file and offset.isdecimal() and ":" not in id:
        events = ledger.quarantined(file, int(offset), data, every_version=every_version)
    else:
        events = ledger.life(id, data, every_version=every_version)
    where = [e.dataset if e.stage == "forget" else f"{e.stage}/{e.dataset}" for e in events]
    print_rows(id, [{"dataset": w, "what": e.what, "details": e.details} for w, e in zip(where, events, strict=True)])


def forget(ids: Ids, data: Data = DATA, reason: ReasonText = "take-down request") -> None:
    """Take documents down: no later dataset holds them; list what holds them now and which runs saw them.

    Needs the ingested dataset that holds them; the decide stage drops them at the next run.

    Example: lmpipe forget wiki-en:736 --reason "request of the author" --data data/demo
    """
    from lmpipe.cli.tables import print_rows
    from lmpipe.curate import forget as takedown
    from lmpipe.curate.ledger import check_known

    check_known(ids, data)
    new = takedown.forget(ids, data, reason)
    print(f"{len(new)} of {len(ids)} documents are new in {data / takedown.LIST}")
    seen = takedown.sightings(ids, data)
    rows = [{"what": s.what, "documents": s.documents, "folder": str(s.folder.relative_to(data))} for s in seen]
    print_rows("Where they are now", rows)
    duplicates = takedown.copies(ids, data)
    if duplicates:
        print_rows("Duplicates", duplicates)
        print("They hold the same or nearly the same text and stay, unless you name them too.")
    print("Run your recipe again: lmpipe run RECIPE. Every dataset from decide on is then built without them.")
    print("What lies in the folders above stays until you delete it; models that saw them do not forget.")


def quality_train(good: Folder, bad: Folder, out: Out, documents: Limit = 20_000) -> None:
    """Train a classifier that tells documents like GOOD from documents like BAD.

    Needs two ingested or cleaned datasets; name the file in a recipe as clean.quality_model.

    Example: lmpipe quality train data/clean/wiki-en-1a2b3c4d data/clean/web-5e6f7a8b quality.parquet
    """
    from lmpipe.curate.quality import train
    from lmpipe.dataset import open_dataset

    facts = train(open_dataset(good), open_dataset(bad), out, documents=documents).facts
    print(out)
    print(f"  documents    {facts['documents'][0]:,} good, {facts['documents'][1]:,} bad")
    print(f"  held out     {facts['held_out'][0]:,} good, {facts['held_out'][1]:,} bad")
    print(f"  AUC          {'none: too few held out' if facts['auc'] is None else format(facts['auc'], '.4f')}")


def quality_score(model: Model, file: TextFile) -> None:
    """Print how likely a text is of the good kind, 0 to 1.

    Needs a model made by `lmpipe quality train`.

    Example: lmpipe quality score quality.parquet page.txt
    """
    from lmpipe.curate.quality import load
    from lmpipe.errors import InputError

    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
    except (FileNotFoundError, IsADirectoryError, UnicodeDecodeError) as error:
        raise InputError(
            f"{file}: expected a text file in UTF-8 ({error}). Name another, or - for piped text."
        ) from None
    print(f"{load(model).score([text])[0]:.4f}")
