"""Commands for speech recognition: rescore lists of hypotheses, expand lattices to lists, decode CTC outputs."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lmpipe.cli.options import DATA, Data
from lmpipe.cli.stages import executing

if TYPE_CHECKING:
    from lmpipe.apply.nbest import NBest
    from lmpipe.apply.recognition import Trial
    from lmpipe.evaluate.scorer import Scorer

FormOption = Annotated[str, typer.Option("--format", help="srilm, json (mlm-scoring, ESPnet), tsv, ctm or slf.")]
Lists = Annotated[list[Path], typer.Argument(help="Files or folders of hypotheses; - for standard input.")]
RefsOption = Annotated[Path | None, typer.Option(help="References, `utterance word ...` a line.")]
RunOption = Annotated[Path | None, typer.Option(help="Run whose model gives the score `model`.")]
ScoresOption = Annotated[list[str] | None, typer.Option(help="name=FOLDER of one number a hypothesis; repeatable.")]
WeightsOption = Annotated[str, typer.Option(help="name=number,... of scores; those left out weigh nothing.")]
TuneOption = Annotated[str, typer.Option(help="Names of weights to tune, parted by commas; needs --refs.")]
GridOption = Annotated[list[str] | None, typer.Option(help="name=FIRST:LAST:STEP or name=A,B,C; repeatable.")]
NoiseOption = Annotated[Path | None, typer.Option(help="File of words that are no words: pauses, noises.")]
OutOption = Annotated[Path | None, typer.Option(help="File: .jsonl, .tsv, .parquet, else text; none for the terminal.")]
BestOption = Annotated[int | None, typer.Option(min=1, help="Look at so many hypotheses of each list.")]


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    for command in (rescore, lattice, ctc):
        app.command()(command)


def rescore(
    lists: Lists,
    form: FormOption = "srilm",
    refs: RefsOption = None,
    run: RunOption = None,
    scores: ScoresOption = None,
    weights: WeightsOption = "",
    tune: TuneOption = "",
    grid: GridOption = None,
    folds: Annotated[int, typer.Option(min=2, help="Each is rescored by weights tuned on the others.")] = 2,
    noise: NoiseOption = None,
    lower: Annotated[bool, typer.Option(help="Lower-case hypotheses and references.")] = False,
    chinese: Annotated[bool, typer.Option(help="Chinese characters, not words between blanks, are counted.")] = False,
    end: Annotated[bool, typer.Option(help="The model scores the end of the sentence too.")] = False,
    best: BestOption = None,
    name: Annotated[str, typer.Option(help="Name of the evaluation's dataset.")] = "rescore",
    seed: Annotated[int, typer.Option(help="Of folds and resampling.")] = 1,
    data: Data = DATA,
    out: OutOption = None,
) -> None:
    """Choose the best hypothesis of each list by acoustic, language model and length.

    With --refs everything is evaluated: first-best, the given weights, tuned ones, and the oracle, with WER, CER and a
    paired bootstrap; rows go into the warehouse. Needs lists of hypotheses.

    Example: lmpipe rescore lists/ --refs refs.txt --run data/runs/demo-lstm-1a2b3c4d --tune lm,words,model
    """
    from lmpipe.apply import rescore as library
    from lmpipe.apply.nbest import read_lines
    from lmpipe.evaluate.scorer import open_scorer

    form_lists = read_lists(lists, form, scores or [], best)
    words = frozenset(" ".join(read_lines(noise)).split()) if noise else frozenset()
    found = library.clean_words(form_lists, words, lower)
    scorer = open_scorer(run) if run is not None else None
    if scorer is not None:
        found = library.score_lists(found, scorer, end=end)
    given = parse_weights(weights)
    if refs is None:
        from lmpipe.apply.rows import write_rows

        chosen = given or {"acoustic": 1.0}
        write_rows(choices(found, chosen), out, "{utterance} {text}")
        return
    referenced = list(with_references(found, refs, words, lower))
    trial = make_trial(referenced, name, given, tune, grid or [], folds, seed, chinese)
    files = [*lists, refs, *(Path(part.partition("=")[2]) for part in scores or ())]
    evaluated(referenced, trial, files, scorer, data, out)


def read_lists(lists: Sequence[Path], form: str, scores: Sequence[str], best: int | None) -> "Iterator[NBest]":
    """Read lists with their further scores."""
    from lmpipe.apply.lattice import expand, read_slf
    from lmpipe.apply.nbest import files_of, read_nbest, with_scores
    from lmpipe.apply.rescore import first
    from lmpipe.errors import InputError

    if form == "slf":
        found: Iterator[NBest] = (expand(read_slf(file), best or 100) for path in lists for file in files_of(path))
    elif form in ("srilm", "json", "tsv", "ctm"):
        found = read_nbest(lists, form)  # type: ignore[arg-type]  # the literal was checked
    else:
        raise InputError(f"--format {form}: expected srilm, json, tsv, ctm or slf. Correct it.")
    for part in scores:
        key, _, folder = part.partition("=")
        if not folder:
            raise InputError(f"--scores {part}: expected name=FOLDER. Correct it.")
        found = with_scores(found, key, Path(folder))
    return first(found, best) if best else found


def choices(lists: "Iterable[NBest]", weights: dict[str, float]) -> Iterator[dict[str, Any]]:
    """Lay out the best hypothesis of each list."""
    from lmpipe.apply.rescore import choose, totals

    for nbest in lists:
        place = choose(nbest, weights)
        scores = {key: float(column[place]) for key, column in sorted(nbest.scores.items())}
        total = float(totals(nbest, weights)[place])
        yield {"utterance": nbest.utterance, "text": nbest.texts[place], "rank": place + 1, "total": total} | scores


def with_references(lists: "Iterable[NBest]", refs: Path, noise: frozenset[str], lower: bool) -> "Iterator[NBest]":
    """Give each list its reference from a file, cleaned as the hypotheses are; tell of references without a list."""
    from dataclasses import replace

    from lmpipe.apply.nbest import read_references

    references = read_references(refs)
    for nbest in lists:
        text = references.pop(nbest.utterance, nbest.reference)
        if text is not None:
            text = " ".join(word for word in text.split() if word not in noise)
            text = text.lower() if lower else text
        yield replace(nbest, reference=text)
    if references:
        left = f"{len(references)} references have no list and are not counted: {', '.join(sorted(references)[:5])}"
        print(left, file=sys.stderr)


def parse_weights(text: str) -> dict[str, float]:
    """Read name=number,..."""
    from lmpipe.apply.nbest import number
    from lmpipe.errors import InputError

    weights = {}
    for part in filter(None, text.split(",")):
        key, separator, value = part.partition("=")
        if not separator:
            raise InputError(f"--weights {part}: expected name=number. Correct it.")
        weights[key.strip()] = number(value, f"--weights {part}")
    return weights


def parse_grid(parts: Sequence[str]) -> dict[str, list[float]]:
    """Read name=FIRST:LAST:STEP or name=A,B,C."""
    import numpy as np

    from lmpipe.apply.nbest import number
    from lmpipe.errors import InputError

    grid = {}
    for part in parts:
        key, _, values = part.partition("=")
        numbers = [number(x, f"--grid {part}") for x in values.replace(":", ",").split(",")]
        if ":" in values:
            if len(numbers) != 3 or numbers[2] <= 0 or numbers[1] < numbers[0]:
                raise InputError(f"--grid {part}: expected name=FIRST:LAST:STEP, a step above 0. Correct it.")
            first, last, step = numbers
            numbers = [first + step * i for i in range(int(np.floor((last - first) / step + 1e-9)) + 1)]
        grid[key] = numbers
    return grid


def make_trial(
    lists: "Sequence[NBest]",
    name: str,
    given: dict[str, float],
    tune: str,
    grid: Sequence[str],
    folds: int,
    seed: int,
    chinese: bool,
) -> "Trial":
    """Say what is compared: weights that are not tuned keep the given value, the acoustic score 1."""
    from lmpipe.apply.recognition import Trial, make_grid

    names = [part.strip() for part in tune.split(",") if part.strip()]
    fixed = {key: value for key, value in ({"acoustic": 1.0} | given).items() if key not in names}
    return Trial(
        name=name,
        script="chinese" if chinese else "words",
        given=given or None,
        fixed=fixed,
        grid=make_grid(lists, "acoustic", names, parse_grid(grid)) if names else None,
        folds=folds,
        seed=seed,
    )


def evaluated(
    lists: "Sequence[NBest]",
    trial: "Trial",
    paths: Sequence[Path],
    scorer: "Scorer | None",
    data: Path,
    out: Path | None,
) -> None:
    """Evaluate, record, and print the table."""
    import pyarrow.parquet as pq

    from lmpipe import warehouse
    from lmpipe.apply.nbest import STDIN, files_of
    from lmpipe.apply.recognition import evaluate_lists, table
    from lmpipe.apply.rows import write_rows
    from lmpipe.cli.tables import print_rows
    from lmpipe.storage import file_input

    inputs = [file_input(file) for path in paths if path != STDIN for file in files_of(path)]
    with executing("rescore", 1) as execution:
        manifest = evaluate_lists(lists, trial, inputs, scorer, data, execution)
    warehouse.record_dataset(data / "warehouse", manifest.folder)
    rows = pq.read_table(manifest.paths("recognitions"))
    print(manifest.folder)
    print_rows("Systems", [table_row(line) for line in table(rows, trial.seed)])
    print_rows("Weights", pq.read_table(manifest.paths("rescore-weights")).to_pylist())
    if out is not None:
        last = "tuned" if trial.grid is not None else "given"
        write_rows((r for r in rows.to_pylist() if r["system"] == last), out, "{utterance} {hypothesis}")


def table_row(line: Any) -> dict[str, Any]:
    """Lay out one system, rates in per cent."""
    rate, low, high = (100 * x for x in line.wer)
    paired = line.against_first
    return {
        "system": line.system,
        "utterances": line.utterances,
        "words": line.words,
        "errors": line.word_errors,
        "WER %": round(rate, 2),
        "95 %": f"{low:.2f} - {high:.2f}",
        "CER %": round(100 * line.character_errors / max(1, line.characters), 2),
        "less first, 95 %": f"{100 * paired.low:+.2f} .. {100 * paired.high:+.2f}" if paired else "",
        "p": f"{paired.p:.4f}" if paired else "",
    }


def lattice(
    lattices: Annotated[list[Path], typer.Argument(help="Lattices in HTK's SLF, .gz or not, or folders of them.")],
    best: Annotated[int, typer.Option(min=1, help="Word sequences of each lattice.")] = 100,
    weights: WeightsOption = "",
    out: OutOption = None,
) -> None:
    """List the best word sequences of lattices, exactly, by the lattices' own weights or given ones.

    Needs lattices. The .tsv that --out names is a list that `lmpipe rescore --format tsv` reads.

    Example: lmpipe lattice lattices/ --best 200 --out lists.tsv
    """
    from lmpipe.apply.lattice import expand, read_slf
    from lmpipe.apply.nbest import files_of
    from lmpipe.apply.rows import write_rows

    given = parse_weights(weights) or None
    files = (file for path in lattices for file in files_of(path))
    expanded = (expand(read_slf(file), best, given) for file in files)
    write_rows((row for nbest in expanded for row in list_rows(nbest)), out, "{utterance} {text}")


def list_rows(nbest: "NBest") -> Iterator[dict[str, Any]]:
    """Lay out a list with its scores, one row a hypothesis."""
    for place, text in enumerate(nbest.texts):
        scores = {key: float(column[place]) for key, column in sorted(nbest.scores.items())}
        yield {"utterance": nbest.utterance, "text": text} | scores


def ctc(
    outputs: Annotated[Path, typer.Argument(help="An .npz of logits or ln p (frames, labels) by utterance.")],
    labels: Annotated[Path, typer.Option(help="One label a line; the blank's line is --blank.")],
    run: RunOption = None,
    weight: Annotated[float, typer.Option(help="Of the model's ln p.")] = 0.5,
    bonus: Annotated[float, typer.Option(help="For each word (character).")] = 0.0,
    beam: Annotated[int, typer.Option(min=1, help="Prefixes kept.")] = 64,
    blank: Annotated[int, typer.Option(min=0, help="Line of the blank label, from 0.")] = 0,
    characters: Annotated[bool, typer.Option(help="The model has its say at each character: Chinese.")] = False,
    best: Annotated[int, typer.Option(min=1, help="Texts of each utterance.")] = 1,
    out: OutOption = None,
) -> None:
    """Decode the outputs of a CTC recogniser with a language model in the beam (shallow fusion).

    Needs an .npz of the recogniser's outputs and the labels.

    Example: lmpipe ctc logits.npz --labels labels.txt --run data/runs/demo-lstm-1a2b3c4d --bonus 1 --out best.jsonl
    """
    from itertools import islice

    import numpy as np

    from lmpipe.apply.ctc import CtcSettings, decode_ctc
    from lmpipe.apply.nbest import read_lines
    from lmpipe.apply.rows import write_rows
    from lmpipe.errors import InputError
    from lmpipe.evaluate.scorer import open_scorer

    names = read_lines(labels)
    names = names[:-1] if names[-1] == "" else names
    settings = CtcSettings(
        beam=beam, weight=weight if run else 0.0, bonus=bonus, unit="characters" if characters else "words"
    )
    scorer = open_scorer(run) if run is not None else None

    def log_p(texts: list[str]) -> list[float]:
        assert scorer is not None, "asked only where there is a model"
        return [-float(nats.sum()) for nats in scorer.score(scorer.encode(texts))]

    try:
        arrays = np.load(outputs)
        if isinstance(arrays, np.ndarray):
            raise ValueError("one array without a name")
    except (OSError, ValueError) as error:
        raise InputError(f"{outputs}: expected an .npz of arrays ({error}). Save it with numpy.savez.") from None
    with arrays:
        lists = (
            decode_ctc(arrays[key], names, settings, log_p if run else None, blank=blank, utterance=key)
            for key in arrays.files
        )
        write_rows((row for nbest in lists for row in islice(list_rows(nbest), best)), out, "{utterance} {text}")
