"""Commands that look into Wikipedia dumps and snapshots: one page, and what changed since the last one."""

from pathlib import Path
from typing import Annotated

import typer

from lmpipe.cli.options import DATA, Data, Folder, Workers
from lmpipe.cli.stages import executing, made

Dump = Annotated[Path, typer.Argument(help="A multistream dump with its index beside it.")]
Title = Annotated[str, typer.Argument(help="Title of the page, or its number with --id.")]
ById = Annotated[bool, typer.Option("--id", help="Look the page up by its number.")]
Lang = Annotated[str, typer.Option("--lang", help="Language of the wiki, such as en or zh.")]


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    for command in (page, changes):
        app.command()(command)


def page(dump: Dump, title: Title, lang: Lang, by_id: ById = False) -> None:
    """Print one page of a dump as lmpipe renders it, by decompressing the one stream that holds it.

    Needs the dump's index (...-multistream-index.txt.bz2) beside it.

    Example: lmpipe page enwiki-20260901-pages-articles-multistream.xml.bz2 Albedo --lang en
    """
    from lmpipe.document import BadRecord, Document
    from lmpipe.errors import InputError
    from lmpipe.settings import WikipediaSource
    from lmpipe.sources.wikipedia import read_page

    source = WikipediaSource(kind="wikipedia", name="wiki", lang=lang, paths=(str(dump),))
    if by_id and not title.isdecimal():
        raise InputError(f"--id: expected a page's number, found {title!r}.")
    found = read_page(source, dump, page_id=int(title)) if by_id else read_page(source, dump, title=title)
    if not isinstance(found, Document):
        why = found.error if isinstance(found, BadRecord) else f"skipped as {found.reason}"
        raise InputError(f"{dump}: {title} is no article: {why}.")
    print(f"{found.title}\n\n{found.text}")


def changes(before: Folder, after: Folder, data: Data = DATA, workers: Workers = 1) -> None:
    """List the documents that a newer snapshot added, changed or deleted; deleted ones are tombstones.

    Needs two ingested datasets of one source.

    Example: lmpipe changes data/ingest/wiki-en-1a2b3c4d data/ingest/wiki-en-5e6f7a8b
    """
    from lmpipe.dataset import open_dataset
    from lmpipe.sources.snapshot import changes as stage

    with executing("changes", workers) as execution:
        made(stage(open_dataset(before), open_dataset(after), data, execution))
