"""Commands that use a model: score, generate, serve, import, export."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from lmpipe.cli.options import DATA, Data, Which

if TYPE_CHECKING:
    from lmpipe.apply.decoding import Decoding
    from lmpipe.apply.files import Text
    from lmpipe.apply.generate import Continuation, Writer
    from lmpipe.sources.download.hub import Hub
    from lmpipe.train.run import Run
    from lmpipe.warehouse import Generation

RunFolder = Annotated[Path, typer.Argument(help="A run's folder.", show_default=False)]
Files = Annotated[
    list[Path] | None, typer.Argument(help="Texts, JSONL or Parquet; - or none: standard input.", show_default=False)
]
Out = Annotated[Path | None, typer.Option(help="Where to write: .jsonl, .parquet or text; standard output otherwise.")]
Column = Annotated[str | None, typer.Option(help="Where JSONL and Parquet rows have their text; text or prompt else.")]
StandardFormat = Annotated[Literal["text", "jsonl"], typer.Option("--format", help="What standard input is in.")]
Context = Annotated[int | None, typer.Option(min=1, help="Window in tokens; the training's otherwise.")]
Batch = Annotated[int, typer.Option(min=1, help="Texts that go through the model together.")]
Record = Annotated[
    bool, typer.Option("--record/--no-record", help="Note it in the warehouse of the folder that holds runs/.")
]


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    for command in (score, generate, serve, export):
        app.command()(command)
    app.command("import")(import_model)


def score(
    run: RunFolder,
    files: Files = None,
    out: Out = None,
    base: Annotated[Literal["e", "2", "10"], typer.Option(help="Of the logarithms.")] = "e",
    per_token: Annotated[bool, typer.Option("--per-token", help="Each token's log probability too.")] = False,
    stream: Annotated[bool, typer.Option("--stream", help="Answer each text before the next is read.")] = False,
    column: Column = None,
    form: StandardFormat = "text",
    checkpoint: Which = "latest",
    context: Context = None,
    batch: Batch = 64,
    record: Record = True,
) -> None:
    """Give texts their log probability: a line each of log probability, tokens and text, or JSONL, or Parquet.

    Needs a trained or imported run.

    Example: lmpipe score data/runs/demo-lstm-1a2b3c4d stories.txt --base 2 --out scores.parquet
    """
    from lmpipe.apply import files as io
    from lmpipe.apply.rows import write_rows
    from lmpipe.apply.score import LINE, SCORES, TOKEN_LINE, Tally, score_texts
    from lmpipe.evaluate.scorer import open_scorer

    paths = files or [io.STANDARD]
    scorer = open_scorer(run, checkpoint, context=context)
    window = context or scorer.run.settings.context
    tally = Tally(scorer, window, base)
    texts = io.not_empty(io.read_texts(paths, column, form), ", ".join(map(str, paths)))
    groups = io.in_batches(counted(texts, out), 1 if stream else batch)
    rows = (row for group in groups for row in score_texts(scorer, group, base, per_token))
    write_rows(map(tally.counted, rows), out, TOKEN_LINE if per_token else LINE, SCORES)
    tally.check()
    print(tally.summary(), file=sys.stderr)
    data = data_of(scorer.run)
    if record and data is not None:
        from lmpipe import warehouse

        warehouse.record_scores(data / "warehouse", warehouse.ScoredTexts(**tally.facts([path.name for path in paths])))


def generate(
    run: RunFolder,
    files: Files = None,
    prompt: Annotated[str | None, typer.Option(help="One prompt, continued on the terminal as it is written.")] = None,
    out: Out = None,
    max_tokens: Annotated[int, typer.Option(min=1, help="Longest continuation.")] = 128,
    temperature: Annotated[float, typer.Option(min=0, help="0 takes the most probable token.")] = 1.0,
    top_k: Annotated[int | None, typer.Option(min=1, help="Draw among so many most probable tokens.")] = None,
    top_p: Annotated[float | None, typer.Option(help="Draw among the tokens that make this probability.")] = None,
    min_p: Annotated[float | None, typer.Option(help="Draw among tokens of this share of the best's.")] = None,
    repetition_penalty: Annotated[float, typer.Option(help="Above 1: less of what the text has.")] = 1.0,
    beams: Annotated[int, typer.Option(min=1, help="Beam search, where above 1.")] = 1,
    length_penalty: Annotated[float, typer.Option(help="Beams compare log probability / length ** this.")] = 1.0,
    stop: Annotated[list[str] | None, typer.Option(help="End before this text; repeatable.")] = None,
    seed: Annotated[int, typer.Option(help="Of the draws.")] = 1,
    template: Annotated[
        str | None, typer.Option(help="Put each prompt into a template: news, dialogue, or a text with {prompt}.")
    ] = None,
    column: Column = None,
    form: StandardFormat = "text",
    checkpoint: Which = "latest",
    context: Context = None,
    batch: Batch = 8,
    record: Record = True,
) -> None:
    """Continue prompts: one on the terminal as it comes, or those of files, side by side.

    Needs a trained or imported run.

    Example: lmpipe generate data/runs/demo-lstm-1a2b3c4d --prompt "The ship" --temperature 0.8 --top-p 0.95
    """
    from lmpipe.apply import files as io
    from lmpipe.apply.decoding import Decoding
    from lmpipe.apply.generate import GENERATED, open_model
    from lmpipe.apply.prompts import fill
    from lmpipe.apply.rows import write_rows

    decoding = Decoding(
        max_tokens=max_tokens, temperature=temperature or None, top_k=top_k, top_p=top_p, min_p=min_p,
        repetition_penalty=repetition_penalty, beams=beams, length_penalty=length_penalty, stop=tuple(stop or ()),
        seed=seed,
    )  # fmt: skip
    writer = open_model(run, checkpoint, context)
    recorder = Recorder(writer, decoding, record)
    if prompt is not None:
        recorder.note(fill(template, prompt), show(writer, fill(template, prompt), decoding))
        recorder.save()
        return
    paths = files or [io.STANDARD]
    texts = io.not_empty(io.read_texts(paths, column, form), ", ".join(map(str, paths)))

    def rows() -> "Iterator[dict[str, Any]]":
        for group in io.in_batches(counted(texts, out), batch):
            prompts = [fill(template, text.text) for text in group]
            written = writer.write_all([writer.encode(text) for text in prompts], decoding, recorder.number)
            for text, filled, continuation in zip(group, prompts, written, strict=True):
                recorder.note(filled, continuation)
                yield writer.row_of(text.id, filled, continuation)

    write_rows(rows(), out, schema=GENERATED)
    recorder.save()


def serve(
    run: RunFolder,
    host: Annotated[str, typer.Option(help="Address to listen on; other machines reach only what is not loopback.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 8765,
    checkpoint: Which = "latest",
    context: Context = None,
) -> None:
    """Serve a model: OpenAI's /v1/completions and /v1/chat/completions, and a page to try it, until Ctrl-C.

    Needs a trained or imported run. Nobody is asked for a key: keep it on loopback, or behind a proxy that does.

    Example: lmpipe serve data/runs/demo-transformer-1a2b3c4d --port 8765
    """
    from lmpipe.apply.generate import open_model
    from lmpipe.apply.serve import serve as serving

    print(f"http://{host}:{port}/  (Ctrl-C ends it)", flush=True)
    serving(open_model(run, checkpoint, context), host, port)


def import_model(
    model: Annotated[
        str, typer.Argument(help="A folder, or what the Hugging Face hub calls a model: gpt2.", show_default=False)
    ],
    data: Data = DATA,
    name: Annotated[str | None, typer.Option(help="Of the run; the model's own otherwise.")] = None,
    tokens: Annotated[
        Path | None, typer.Option(help="A tokens dataset by the same tokenizer, whose held-out documents to evaluate.")
    ] = None,
    revision: Annotated[
        str, typer.Option(help="On the hub: branch, tag or commit; a commit is fetched once.")
    ] = "main",
    endpoint: Annotated[
        str | None, typer.Option(envvar="HF_ENDPOINT", help="Another server in the hub's layout, such as a mirror.")
    ] = None,
) -> None:
    """Make a run of a GPT-2 in Hugging Face's form: score, generate, evaluate and fine-tune it.

    Needs config.json, model.safetensors (in pieces or whole) and a tokenizer, in a folder or on the hub.

    Example: lmpipe import openai-community/gpt2 --data data
    """
    from lmpipe.apply import importing
    from lmpipe.dataset import open_dataset
    from lmpipe.sources.download.hub import Hub

    hub = Hub() if endpoint is None else own_hub(endpoint)
    dataset = None if tokens is None else open_dataset(tokens)
    print(importing.import_model(model, data, name, dataset, revision, hub))


def own_hub(endpoint: str) -> "Hub":
    """Describe a server of one's own, which may be in one's own network."""
    from lmpipe.settings import HttpSettings
    from lmpipe.sources.download.hub import Hub

    return Hub(endpoint=endpoint.rstrip("/"), http=HttpSettings(contact="lmpipe import", private=True))


def export(
    run: RunFolder,
    folder: Annotated[Path, typer.Argument(help="The folder to make.", show_default=False)],
) -> None:
    """Write a run as a Hugging Face folder that stock transformers loads.

    Needs a run with a checkpoint, of a Transformer that some stock architecture computes.

    Example: lmpipe export data/runs/demo-transformer-1a2b3c4d exported
    """
    from lmpipe.apply.exporting import export_run

    print(f"{folder}: {export_run(run, folder)}")


def counted(texts: "Iterator[Text]", out: Path | None) -> "Iterator[Text]":
    """Show how many texts are done, unless the rows themselves go to the terminal."""
    from rich.console import Console
    from rich.progress import Progress, TextColumn, TimeElapsedColumn

    if out is None:
        yield from texts
        return
    columns = TextColumn("{task.completed:,} texts"), TimeElapsedColumn()
    with Progress(*columns, console=Console(stderr=True)) as bars:
        yield from bars.track(texts, total=None)


def show(writer: "Writer", prompt: str, decoding: "Decoding") -> "Continuation":
    """Print a prompt and its continuation as it is written."""
    print(prompt, end="", flush=True)
    pieces = writer.stream(prompt, decoding)
    while True:
        try:
            print(next(pieces), end="", flush=True)
        except StopIteration as end:
            print()
            whole: Continuation = end.value
            return whole


class Recorder:
    """Brings continuations into the warehouse, some hundred at a time."""

    SIZE = 512

    def __init__(self, writer: "Writer", decoding: "Decoding", wanted: bool) -> None:
        self.writer, self.decoding = writer, decoding
        self.data = data_of(writer.run) if wanted else None
        self.kept: list[Generation] = []
        self.number = 0

    def note(self, prompt: str, written: "Continuation") -> None:
        """Count a continuation, and keep it for the warehouse."""
        from dataclasses import asdict

        from lmpipe.warehouse import Generation

        self.kept.append(
            Generation(
                run=self.writer.run.fingerprint, checkpoint=self.writer.scorer.checkpoint.sha256,
                decoding=asdict(self.decoding), number=self.number, prompt=prompt, text=written.text,
                tokens=len(written.ids), nats=sum(written.nats), ending=written.ending,
            )
        )  # fmt: skip
        self.number += 1
        if len(self.kept) >= self.SIZE:
            self.save()

    def save(self) -> None:
        """Record what was kept."""
        from lmpipe.warehouse import record_generations

        if self.data is not None and self.kept:
            record_generations(self.data / "warehouse", self.kept)
        self.kept.clear()


def data_of(run: "Run") -> Path | None:
    """Find the data folder that a run lies in, as DATA/runs/<name>; None for one that lies elsewhere."""
    folder = run.folder.resolve().parent
    return folder.parent if folder.name == "runs" else None
