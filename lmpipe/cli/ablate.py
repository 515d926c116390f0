"""`lmpipe ablate`: what each part of a recipe does to its perplexity."""

from typing import Annotated

import typer

from lmpipe.cli.options import DATA, Data, Recipe, Workers
from lmpipe.cli.run import KeepOption, ServerOption, VerboseOption, set_up

Drops = Annotated[
    list[str],
    typer.Option(
        "--drop",
        help="filter, filter.NAME (signal or profile), source.NAME, dedup.near, decontaminate or train.KEY=VALUE;"
        " may be repeated.",
        show_default=False,
    ),
]
Seeds = Annotated[int, typer.Option(min=1, help="Trainings of each; their spread is part of the interval.")]
Train = Annotated[str | None, typer.Option(help="Name of the [[train]] entry; the first unless said.")]


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command()(ablate)


def ablate(
    recipe: Recipe,
    drop: Drops,
    data: Data = DATA,
    seeds: Seeds = 3,
    train: Train = None,
    workers: Workers = 2,
    server: ServerOption = False,
    keep: KeepOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Train a recipe without each of some parts, and compare it with the whole on the same held-out documents.

    Needs the recipe's input files; what is finished is not done again.

    Example: lmpipe ablate recipe.toml --drop filter.words --drop source.news --data data/demo
    """
    set_up(recipe, data, server, keep, verbose)
    from lmpipe.ablate.variants import variants
    from lmpipe.recipe import load_recipe

    variants(load_recipe(recipe), drop, train, recipe.parent)  # a misspelt part is told before Prefect starts
    from flows.ablate import ablate as flow
    from lmpipe.cli.tables import print_rows
    from lmpipe.report import ablation_lines
    from lmpipe.warehouse import PUBLISHED

    print(flow(recipe.resolve(), data.resolve(), drop, seeds, train, workers))
    print_rows(
        "Bits per byte without, minus with: above zero, the part helps", ablation_lines(data / "warehouse" / PUBLISHED)
    )
