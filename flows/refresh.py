"""Refresh: a corpus that grows - what is new since the last time, from its fetching to its perplexity.

python -m flows.refresh flows/recipes/demo.toml data
"""

import sys
from pathlib import Path
from typing import Literal

from prefect import flow, get_run_logger, task
from prefect.artifacts import create_table_artifact

from flows.evaluate import evaluate
from flows.ingest import ingest
from flows.pipeline import Outcome, show_funnel, show_results
from flows.prepare import prepare
from flows.record import RECORDED, finish
from flows.tidings import tell_of_worse
from flows.train import Where, train_where
from flows.watch import Workers, run_name
from lmpipe import report, warehouse
from lmpipe.dataset import open_dataset
from lmpipe.recipe import load_recipe
from lmpipe.tokens.earlier import newest_tokens
from lmpipe.train.run import last_run, load_run

Begin = Literal["last", "afresh"]
"""Go on from the weights of the last training of the same name, or begin with fresh ones."""


@task(task_run_name="compare {run.name} with the last")
def compare_with_last(data: Path, run: Path, last: Path) -> list[str]:
    """Tell of sources whose documents, those that both runs scored, the new run predicts surely worse."""
    runs = {"run": load_run(run).fingerprint, "last": load_run(last).fingerprint}
    rows = warehouse.run_query(data / "warehouse", "against_last", runs).to_pylist()
    sentences = [report.worse_sentence(run.name, last.name, row) for row in rows if row["worse"]]
    for sentence in sentences:
        get_run_logger().warning(sentence)
        tell_of_worse(run, sentence)
    return sentences


@task(task_run_name="show months")
def show_months(data: Path) -> None:
    """Put bits per byte by the month of the documents beside the run in the UI."""
    rows = report.month_rows(data / "warehouse" / warehouse.PUBLISHED)
    create_table_artifact(key="perplexity-by-month", table=rows, description="By the month of the documents")


@flow(name="refresh", flow_run_name=run_name, **RECORDED)
def refresh(
    recipe: Path, data: Path, workers: Workers = 2, begin: Begin = "last", where: Where = "here", append: bool = True
) -> Outcome:
    """Bring a corpus and its models up to date: only what is new or changed is fetched, read, curated and encoded.

    New documents are compared with all old ones; the tokenizer stays; their tokens are put behind those of the last
    refresh. Each model then goes on from its last weights on the new mixture. Where it predicts documents that both
    have scored worse than before, by more than the interval, an event says so. What was done before a kill is found.

    Args:
        recipe: the recipe's TOML file
        data: the folder that holds all datasets, runs, the warehouse and the report
        workers: processes that work side by side in a stage
        begin: go on from the weights of the last training of each model, or begin afresh
        where: train in this run, or wait for a turn in the pool gpu
        append: keep the shards of the last refresh; without it all are packed anew, so that documents which have
            changed or were withdrawn leave the training data, and the tokenizer is learnt anew
    """
    settings = load_recipe(recipe)
    earlier = newest_tokens(data, settings.name) if append else None
    tokens = prepare(recipe, data, ingest(recipe, data, workers), workers, earlier)
    show_funnel(data)
    runs: list[Path] = []
    for training in settings.train:
        last = last_run(data, f"{settings.name}-{training.name}", open_dataset(tokens))
        counted = training.model.kind == "ngram"  # and so begins afresh, with all that is there
        start = last if begin == "last" and append and not counted else None
        runs.append(train_where(where, recipe, data, tokens, training.name, start))
        evaluate(recipe, data, runs[-1])
        if last is not None:
            compare_with_last(data, runs[-1], last)
    finish(recipe, data)
    show_months(data)
    return Outcome(show_results(data, runs), tokens, runs)


if __name__ == "__main__":
    refresh(Path(sys.argv[1]), Path(sys.argv[2]))
