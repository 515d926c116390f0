"""Prepare: documents to token shards - clean, decide, deduplicate, split, decontaminate, tokenizer, encode, pack.

python -m flows.prepare flows/recipes/demo.toml data data/ingest/*
"""

import sys
from dataclasses import replace
from pathlib import Path

from prefect import flow, task
from prefect.futures import PrefectFuture

from flows.order import ONE_BY_ONE, later, results
from flows.record import RECORDED, finish, record
from flows.watch import Workers, run_name, watching
from lmpipe.curate.clean import clean
from lmpipe.curate.dates import dates
from lmpipe.curate.decide import decide
from lmpipe.curate.decontaminate import decontaminate, find_overlaps
from lmpipe.curate.dedup import dedup
from lmpipe.curate.heldout import heldout
from lmpipe.curate.near import candidates, near, sign
from lmpipe.curate.passages import cuts, passages, repeats
from lmpipe.curate.split import split
from lmpipe.dataset import Execution, inputs_of, open_dataset
from lmpipe.recipe import load_recipe
from lmpipe.settings import PassageSettings
from lmpipe.tokens.encode import encode
from lmpipe.tokens.pack import pack
from lmpipe.tokens.tokenizer import tokenizer


@task(task_run_name="clean {documents.name}")
def clean_source(recipe: Path, data: Path, documents: Path, workers: int) -> Path:
    """Normalise a source's documents, identify their language and measure their signals."""
    with watching(f"clean {documents.name}") as tell:
        execution = Execution(workers=workers, progress=tell)
        return clean(open_dataset(documents), data, load_recipe(recipe).clean, execution, recipe.parent).folder


@task(task_run_name="decide source")
def decide_source(recipe: Path, data: Path, cleaned: Path, workers: int) -> Path:
    """Lay the filter profile's thresholds over a source's signals."""
    with watching(f"decide {cleaned.name}") as tell:
        execution = Execution(workers=workers, progress=tell)
        return decide(open_dataset(cleaned), data, load_recipe(recipe).profile, execution, recipe.parent).folder


@task(task_run_name="find duplicates")
def find_duplicates(recipe: Path, data: Path, decided: list[Path], workers: int) -> Path:
    """Find the documents whose text stands elsewhere too, over all sources."""
    settings = load_recipe(recipe)
    with watching("find duplicates") as tell:
        execution = Execution(workers=workers, progress=tell)
        return dedup([open_dataset(d) for d in decided], settings.name, data, settings.dedup, execution).folder


@task(task_run_name="sign {decided.name}")
def sign_source(recipe: Path, data: Path, decided: Path, workers: int) -> Path:
    """Sign a source's kept documents, so that near duplicates meet."""
    with watching(f"sign {decided.name}") as tell:
        execution = Execution(workers=workers, progress=tell)
        return sign(open_dataset(decided), data, load_recipe(recipe).dedup, execution).folder


@task(task_run_name="propose near duplicates")
def propose_near_duplicates(recipe: Path, data: Path, exact: Path, signed: list[Path], workers: int) -> Path:
    """Find the pairs of documents whose signatures meet, over all sources."""
    with watching("propose near duplicates") as tell:
        execution = Execution(workers=workers, progress=tell)
        signatures = [open_dataset(folder) for folder in signed]
        return candidates(open_dataset(exact), signatures, data, load_recipe(recipe).dedup, execution).folder


@task(task_run_name="find near duplicates")
def find_near_duplicates(
    recipe: Path, data: Path, exact: Path, signed: list[Path], proposed: Path, workers: int
) -> Path:
    """Compare those pairs truly; of those that are alike, one document survives."""
    with watching("find near duplicates") as tell:
        execution = Execution(workers=workers, progress=tell)
        inputs = open_dataset(exact), [open_dataset(folder) for folder in signed], open_dataset(proposed)
        return near(*inputs, data, load_recipe(recipe).dedup, execution).folder


def asked_passages(recipe: Path) -> PassageSettings:
    """Read the settings of a stage that runs only where the recipe has them."""
    settings = load_recipe(recipe).passages
    assert settings is not None, "no task about passages without [passages]"
    return settings


@task(task_run_name="hash passages {decided.name}")
def hash_passages(recipe: Path, data: Path, decided: Path, workers: int) -> Path:
    """Hash the lines or paragraphs of a source's kept documents, so that shared ones meet."""
    settings = asked_passages(recipe)
    with watching(f"hash passages {decided.name}") as tell:
        return passages(open_dataset(decided), data, settings, Execution(workers=workers, progress=tell)).folder


@task(task_run_name="find repeated passages")
def find_repeats(recipe: Path, data: Path, duplicates: Path, hashed: list[Path], workers: int) -> Path:
    """Find the passages that several documents share, over all sources, and the copies to cut."""
    settings = asked_passages(recipe)
    with watching("find repeated passages") as tell:
        inputs = open_dataset(duplicates), [open_dataset(folder) for folder in hashed]
        return repeats(*inputs, data, settings, Execution(workers=workers, progress=tell)).folder


@task(task_run_name="cut passages")
def cut_passages(recipe: Path, data: Path, duplicates: Path, repeated: Path, workers: int) -> Path:
    """Lay the cuts beside the documents, and measure what they leave of each."""
    settings = asked_passages(recipe)
    with watching("cut passages") as tell:
        inputs = open_dataset(duplicates), open_dataset(repeated)
        return cuts(*inputs, data, settings, Execution(workers=workers, progress=tell)).folder


@task(task_run_name="split")
def split_documents(recipe: Path, data: Path, duplicates: Path, workers: int) -> Path:
    """Give every document its outcome, and the kept ones their split by hash."""
    settings = load_recipe(recipe)
    with watching("split") as tell:
        execution = Execution(workers=workers, progress=tell)
        return split(open_dataset(duplicates), data, settings.split, settings.seed, execution).folder


@task(task_run_name="index what is held out")
def index_held_out(recipe: Path, data: Path, chosen: Path, workers: int) -> Path:
    """List every run of words of the evaluation sets and of the recipe's own held-out documents."""
    settings = load_recipe(recipe).decontaminate
    assert settings is not None, "prepare asks only where the recipe has the table"
    with watching("index what is held out") as tell:
        execution = Execution(workers=workers, progress=tell)
        return heldout(open_dataset(chosen), data, settings, recipe.parent, execution).folder


@task(task_run_name="count overlaps")
def count_overlaps(data: Path, chosen: Path, index: Path, workers: int) -> Path:
    """Look those runs up in all training documents, and count the documents of each."""
    with watching("count overlaps") as tell:
        execution = Execution(workers=workers, progress=tell)
        return find_overlaps(open_dataset(chosen), open_dataset(index), data, execution).folder


@task(task_run_name="decontaminate")
def decontaminate_training(recipe: Path, data: Path, chosen: Path, index: Path, found: Path, workers: int) -> Path:
    """Take documents that share runs of words with what is held out away from training, or mark them."""
    settings = load_recipe(recipe).decontaminate
    assert settings is not None, "prepare asks only where the recipe has the table"
    with watching("decontaminate") as tell:
        execution = Execution(workers=workers, progress=tell)
        inputs = open_dataset(chosen), open_dataset(index), open_dataset(found)
        return decontaminate(*inputs, data, settings, execution).folder


@task(task_run_name="learn tokenizer")
def learn_tokenizer(recipe: Path, data: Path, chosen: Path, earlier: Path | None) -> Path:
    """Train the byte-level BPE on the training split, or take the recipe's own, or that of earlier tokens."""
    if earlier is not None:
        return inputs_of(open_dataset(earlier), "tokenizer")[0].folder
    settings = load_recipe(recipe)
    with watching("learn tokenizer") as tell:
        execution = Execution(progress=tell)
        return tokenizer(open_dataset(chosen), data, settings.tokenizer, settings.seed, recipe.parent, execution).folder


@task(task_run_name="date held-out documents")
def date_held_out(data: Path, chosen: Path, workers: int) -> Path:
    """Write down when the held-out documents were written, for perplexity by month."""
    with watching("date held-out documents") as tell:
        return dates(open_dataset(chosen), data, Execution(workers=workers, progress=tell)).folder


@task(task_run_name="encode")
def encode_documents(recipe: Path, data: Path, chosen: Path, tokens: Path, workers: int) -> Path:
    """Turn the kept documents into token ids, with the recipe's canaries among them."""
    settings = load_recipe(recipe)
    with watching("encode") as tell:
        execution = Execution(workers=workers, progress=tell)
        inputs = open_dataset(chosen), open_dataset(tokens)
        return encode(*inputs, data, execution, settings.canaries, settings.seed).folder


@task(task_run_name="pack")
def pack_tokens(recipe: Path, data: Path, encoded: Path, workers: int, append_to: Path | None) -> Path:
    """Shuffle the documents over all sources and pack them into token shards, or behind those of earlier tokens."""
    settings = load_recipe(recipe)
    wanted = settings.tokens
    if append_to is not None:
        wanted = replace(wanted, append_to=append_to.name)
    with watching("pack") as tell:
        execution = Execution(workers=workers, progress=tell)
        return pack(open_dataset(encoded), data, wanted, settings.seed, execution).folder


@flow(name="prepare", flow_run_name=run_name, task_runner=ONE_BY_ONE, **RECORDED)
def prepare(recipe: Path, data: Path, documents: list[Path], workers: Workers = 2, earlier: Path | None = None) -> Path:
    """Turn ingested documents into the token shards that a training reads.

    Every stage is a committed dataset of its own: what is there already is not done again, and
    says so. Nothing is deleted on the way; a document that is left out has its reason in the split.

    Args:
        recipe: the recipe's TOML file
        data: the folder that holds all datasets
        documents: the ingested datasets, as the ingest flow returns them
        workers: processes that work side by side
        earlier: packed tokens whose tokenizer is kept and whose shards the new documents are put behind
    """
    cleaned = [later(clean_source, recipe, data, folder, workers) for folder in documents]
    decided = [later(decide_source, recipe, data, future, workers) for future in cleaned]
    settings = load_recipe(recipe)
    exact = duplicates = later(find_duplicates, recipe, data, decided, workers)
    extra: list[PrefectFuture[Path]] = []
    if settings.dedup.near:
        signed = [later(sign_source, recipe, data, future, workers) for future in decided]
        proposed = later(propose_near_duplicates, recipe, data, exact, signed, workers)
        duplicates = later(find_near_duplicates, recipe, data, exact, signed, proposed, workers)
        extra = [*signed, proposed]
    if settings.passages is not None:
        hashed = [later(hash_passages, recipe, data, future, workers) for future in decided]
        repeated = later(find_repeats, recipe, data, duplicates, hashed, workers)
        extra += [duplicates, *hashed, repeated]
        duplicates = later(cut_passages, recipe, data, duplicates, repeated, workers)
    chosen = parted = later(split_documents, recipe, data, duplicates, workers)
    cleared: list[PrefectFuture[Path]] = []
    if settings.decontaminate is not None:
        index = later(index_held_out, recipe, data, parted, workers)
        found = later(count_overlaps, data, parted, index, workers)
        chosen = later(decontaminate_training, recipe, data, parted, index, found, workers)
        cleared = [index, found, chosen]
    dated = later(date_held_out, data, chosen, workers)
    learnt = later(learn_tokenizer, recipe, data, chosen, earlier)
    encoded = later(encode_documents, recipe, data, chosen, learnt, workers)
    packed = later(pack_tokens, recipe, data, encoded, workers, earlier)
    made = [*cleaned, *decided, exact, *extra, duplicates, parted, *cleared, dated, learnt, encoded, packed]
    folders = results(made)
    later(record, data, made).result()
    finish(recipe, data)
    return folders[-1]


if __name__ == "__main__":
    prepare(Path(sys.argv[1]), Path(sys.argv[2]), [Path(folder) for folder in sys.argv[3:]])
