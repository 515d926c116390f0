"""Commands for translation: translate files of sentences, and rerank the lists with a language model."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lmpipe.cli.options import DATA, Data, Folder, Which, Workers
from lmpipe.cli.stages import executing

if TYPE_CHECKING:
    from lmpipe.dataset import Manifest

LangOption = Annotated[str, typer.Option(help="Target language: chooses sacreBLEU's tokenizer.")]
OutOption = Annotated[Path | None, typer.Option(help="File: .jsonl, .tsv, .parquet, else text; none for the terminal.")]


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    for command in (translate, rerank):
        app.command()(command)


def translate(
    run: Folder,
    source: Annotated[
        Path | None, typer.Argument(help="One sentence a line, .gz or not; - for standard input.")
    ] = None,
    refs: Annotated[Path | None, typer.Option(help="References, line by line: BLEU and chrF are recorded.")] = None,
    chosen: Annotated[Path | None, typer.Option(help="Split dataset whose held-out pairs are translated.")] = None,
    split: Annotated[str, typer.Option(help="With --chosen: valid or test.")] = "test",
    lang: LangOption = "en",
    prompt: Annotated[str, typer.Option(help="As in the recipe's source; \\n is a new line.")] = "{source}\\n{target}",
    beams: Annotated[int, typer.Option(min=1, help="Of the search; 1 is greedy.")] = 5,
    penalty: Annotated[float, typer.Option(min=0, help="Exponent of the length penalty.")] = 0.6,
    first: Annotated[int | None, typer.Option(min=1, help="Only so many sentences.")] = None,
    which: Which = "latest",
    name: Annotated[str, typer.Option(help="Name of the dataset of translations.")] = "translations",
    data: Data = DATA,
    workers: Workers = 1,
    out: OutOption = None,
) -> None:
    """Translate sentences with a model that was trained on a parallel source.

    Needs a run. With --refs: BLEU and chrF2 with signatures and intervals, recorded in the warehouse.

    Example: lmpipe translate data/runs/multi30k-en-de-transformer-1a2b3c4d test.en.gz --refs test.de.gz --lang de
    """
    from lmpipe.apply.bleu import score_translations
    from lmpipe.apply.rows import write_rows
    from lmpipe.apply.translate import TranslateSettings, translate_file

    settings = TranslateSettings(prompt=prompt.replace("\\n", "\n"), beams=beams, penalty=penalty, checkpoint=which)
    sources, references, inputs = pairs(source, refs, chosen, split, settings.prompt)
    sources, references = sources[:first], references[:first] if references is not None else None
    with executing("translate", workers) as execution:
        manifest = translate_file(run, sources, references, settings, name, inputs, data, execution)
        scored = score_translations(manifest, lang, data, execution) if references is not None else None
    if scored is None:
        write_rows(best_rows(manifest), out)
        return
    recorded(manifest, scored, data)
    if out is not None:
        write_rows(best_rows(manifest), out)


def pairs(
    source: Path | None, refs: Path | None, chosen: Path | None, split: str, prompt: str
) -> tuple[list[str], list[str] | None, list[dict[str, Any]]]:
    """Read sources, references if there are any, and what both are inputs of a dataset by."""
    from lmpipe.apply.heldout_pairs import heldout_pairs
    from lmpipe.apply.nbest import STDIN
    from lmpipe.dataset import open_dataset
    from lmpipe.errors import InputError
    from lmpipe.storage import file_input

    if (source is None) == (chosen is None):
        raise InputError("expected a file of sentences, or --chosen with a split dataset, and not both. Name one.")
    if chosen is not None:
        manifest = open_dataset(chosen)
        return *heldout_pairs(manifest, split, prompt), [manifest.reference]
    assert source is not None, "one of the two was checked to be there"
    sources, references = sentences(source), sentences(refs) if refs is not None else None
    inputs = [file_input(path) for path in (source, refs) if path is not None and path != STDIN]
    return sources, references, inputs


def sentences(path: Path) -> list[str]:
    """Read one sentence a line; the last line end begins no sentence."""
    from lmpipe.apply.nbest import read_lines

    lines = [line.rstrip("\r") for line in read_lines(path)]
    return lines[:-1] if lines and not lines[-1] else lines


def best_rows(translations: "Manifest") -> Iterator[dict[str, Any]]:
    """Yield the first translation of each sentence."""
    from lmpipe.dataset import read_batches

    for path in translations.paths("translations"):
        for batch in read_batches(path):
            yield from (row for row in batch.to_pylist() if row["rank"] == 1)


def recorded(translations: "Manifest", scored: "Manifest", data: Path) -> None:
    """Enter translations and scores into the warehouse, and print the scores."""
    import pyarrow.parquet as pq

    from lmpipe import warehouse
    from lmpipe.cli.tables import print_rows

    for manifest in (translations, scored):
        warehouse.record_dataset(data / "warehouse", manifest.folder)
        print(manifest.folder)
    print_rows("Scores", pq.read_table(scored.paths("translation-scores")).to_pylist())


def rerank(
    translations: Folder,
    dev: Annotated[Path, typer.Option(help="Translations of another set, to tune the weights on.")],
    run: Annotated[Path, typer.Option(help="Language model of the target language.")],
    lang: LangOption = "en",
    grid: Annotated[list[str] | None, typer.Option(help="name=FIRST:LAST:STEP of model and words; repeatable.")] = None,
    data: Data = DATA,
) -> None:
    """Choose among the translations of each sentence with a language model's help; weights are tuned on --dev only.

    Needs two datasets made by lmpipe translate with --refs.

    Example: lmpipe rerank data/translate/test-1a2b3c4d --dev data/translate/dev-5e6f7a8b --run data/runs/news-lstm-9c0d
    """
    import pyarrow.parquet as pq

    from lmpipe.apply.bleu import rerank as stage
    from lmpipe.cli.rescore import parse_grid
    from lmpipe.cli.tables import print_rows
    from lmpipe.dataset import open_dataset

    chosen = {"model": [0.0, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0], "words": [-0.5, 0.0, 0.25, 0.5, 1.0, 1.5, 2.0]}
    tested, tuned_on = open_dataset(translations), open_dataset(dev)
    with executing("rerank", 1) as execution:
        scored = stage(tested, tuned_on, run, lang, chosen | parse_grid(grid or []), data, execution)
    recorded(tested, scored, data)
    print_rows("Weights", pq.read_table(scored.paths("rescore-weights")).to_pylist())
