"""Ablate: the recipe without one of its filters, sources or settings at a time, and what that does to its perplexity.

lmpipe ablate recipe.toml --drop filter.words --drop source.news --seeds 3 --data data/demo
"""

from pathlib import Path

from prefect import flow, task
from prefect.artifacts import create_table_artifact

from flows.evaluate import evaluate
from flows.ingest import ingest
from flows.prepare import prepare
from flows.record import RECORDED, finish, record, record_training
from flows.train import make_run, train_model
from flows.watch import Workers, run_name, watching
from lmpipe import report, warehouse
from lmpipe.ablate.comparison import Comparison, ablation
from lmpipe.ablate.prepare import prepare_variant
from lmpipe.ablate.variants import Variant, chosen_training, seeded, variants
from lmpipe.dataset import Execution, open_dataset
from lmpipe.recipe import load_recipe
from lmpipe.settings import TrainSettings


@task(task_run_name="prepare without {variant.dropped}")
def prepare_without(variant: Variant, data: Path, tokens: Path, base: Path, workers: int) -> Path:
    """Choose and encode the training documents anew; tokenizer and held-out documents stay those of the recipe."""
    if variant.same_data:
        return tokens
    with watching(f"without {variant.dropped}") as tell:
        execution = Execution(workers=workers, progress=tell)
        return prepare_variant(variant.recipe, open_dataset(tokens), data, base, execution).folder


@task(task_run_name="compare {name}")
def compare(name: str, data: Path, comparisons: list[Comparison]) -> Path:
    """Write down which run is compared with which."""
    return ablation(comparisons, name, data, Execution()).folder


@task(task_run_name="show ablation")
def show_ablation(data: Path, name: str) -> Path:
    """Put the matrix beside the run in the UI, and build the report."""
    results = data / "warehouse" / warehouse.PUBLISHED
    create_table_artifact(
        key=f"ablation-{name}", table=report.ablation_rows(results), description="Bits per byte without, minus with"
    )
    return report.build_report(results, data / "report.html")


@flow(name="ablate", flow_run_name=run_name, **RECORDED)
def ablate(
    recipe: Path, data: Path, drops: list[str], seeds: int = 3, train: str | None = None, workers: Workers = 2
) -> Path:
    """Train the recipe as it is and without each of some parts, with several seeds, and compare them pairwise.

    All are scored on the same held-out documents in the same tokens, so that a difference is of the training alone.
    Stages that a part does not touch are found and not done again, and so is every finished training. Look at the
    Artifacts tab for the matrix: a row for each part, a column for each source, the difference in bits per byte
    with its interval over documents and seeds; above zero, the part helps.

    Args:
        recipe: the recipe's TOML file
        data: the folder that holds all datasets, runs, the warehouse and the report
        drops: what is switched off, one at a time: filter.words, source.news, dedup.near, train.lr=1e-3, ...
        seeds: trainings of each, the recipe's seed and those after it
        train: which [[train]] entry of the recipe; the first unless said
        workers: processes that work side by side in the stages before training
    """
    settings = load_recipe(recipe)
    training = chosen_training(settings, train)
    without = variants(settings, drops, train, recipe.parent)
    tokens = prepare(recipe, data, ingest(recipe, data, workers), workers)
    bases = [scored(recipe, data, tokens, seed) for seed in seeded(training, seeds)]
    comparisons = []
    for variant in without:
        chosen = prepare_without(variant, data, tokens, recipe.parent, workers)
        record(data, [chosen])
        for base, seed in zip(bases, seeded(variant.training, seeds), strict=True):
            run = scored(recipe, data, chosen, seed)
            comparisons.append(Comparison(dropped=variant.dropped, training=training.name, run=run, base=base))
    table = compare(settings.name, data, comparisons)
    record(data, [table])
    finish(recipe, data)
    show_ablation(data, settings.name)
    return table


def scored(recipe: Path, data: Path, tokens: Path, training: TrainSettings) -> Path:
    """Train one seed and score the recipe's held-out documents with it."""
    run = make_run(training, load_recipe(recipe).name, data, tokens)
    train_model(run, training.name, training.steps)
    record_training(data, run)
    evaluate(recipe, data, run)
    return run
