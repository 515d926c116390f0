"""Known perplexities on real corpora, how much a paired interval tells, and how fast documents are scored.

    python -m tests.bench.evaluate [DATA]

Kneser-Ney of order 3 and 5 on the Penn Treebank (141.19 and 148.28 are known) and on the Brown corpus: 400 documents to
count, 100 of all genres held out, words seen twice or more. Intervals are by bootstrap over documents, 2,000 resamples:
once of each model's nats per token, once of the difference between the two. Everything goes the way of a recipe, from
the corpus' file to rows in a warehouse, in a scratch folder.
"""

import json
import math
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from lmpipe import warehouse
from lmpipe.curate.clean import clean
from lmpipe.curate.decide import decide
from lmpipe.curate.dedup import dedup
from lmpipe.curate.split import split
from lmpipe.dataset import Execution, Manifest, upstream
from lmpipe.evaluate.perplexity import evaluate, evaluate_set
from lmpipe.evaluate.sets import evaluation_set, named_set
from lmpipe.recipe import load_recipe
from lmpipe.settings import Recipe
from lmpipe.sources.ingest import ingest
from lmpipe.tokens.encode import encode
from lmpipe.tokens.pack import pack
from lmpipe.tokens.tokenizer import tokenizer
from lmpipe.train.counting import count
from lmpipe.train.run import load_run, prepare_run
from tests.bench.harness import corpora, finish

RESAMPLES = 2000
RUN = Execution()
RECIPE = """
name = "{name}"
clean = {{ unicode = false, pii = "off" }}
profile = {{ name = "none" }}
dedup = {{ near = false }}
evaluate = {{ carry = true, end = true }}
tokenizer = {{ kind = "word", vocabulary = {vocabulary}, end_of_text = "<eos>" }}
train = [
    {{ name = "kn5", model = {{ kind = "ngram", order = 5 }} }},
    {{ name = "kn3", model = {{ kind = "ngram", order = 3 }} }},
]
sources = [{{ kind = "local", name = "{name}", lang = "en", paths = ["{path}"], {source} }}]
[split.given]
{given}
"""


def write_recipe(folder: Path, **parts: object) -> Path:
    """Write one of the two recipes."""
    path = folder / f"{parts['name']}.toml"
    path.write_text(RECIPE.format(**parts), encoding="utf-8")
    return path


def counted_runs(path: Path, data: Path) -> tuple[Recipe, dict[str, Path]]:
    """Go the way of a recipe up to its counted models."""
    recipe = load_recipe(path)
    documents = [ingest(source, path.parent, data, RUN) for source in recipe.sources]
    cleaned = [clean(manifest, data, recipe.clean, RUN, path.parent) for manifest in documents]
    decided = [decide(manifest, data, recipe.profile, RUN, path.parent) for manifest in cleaned]
    chosen = split(dedup(decided, recipe.name, data, recipe.dedup, RUN), data, recipe.split, recipe.seed, RUN)
    learnt = tokenizer(chosen, data, recipe.tokenizer, recipe.seed, path.parent, RUN)
    tokens = pack(encode(chosen, learnt, data, RUN), data, recipe.tokens, recipe.seed, RUN)
    runs = {}
    for training in recipe.train:
        runs[training.name] = prepare_run(tokens, training, recipe.name, data)
        count(load_run(runs[training.name]), lambda: None)
        warehouse.record_training(data / "warehouse", runs[training.name])
    return recipe, runs


def penn_treebank(data: Path) -> dict[str, float]:
    """Measure both orders on the published set, and read the perplexities from the warehouse."""
    path = corpora().resolve() / "benchmarks" / "ptb.zip"
    given = "\n".join(f'"ptb:ptb.{part}.txt" = "{part}"' for part in ("train", "valid", "test"))
    recipe_path = write_recipe(data, name="ptb", vocabulary=10_000, path=path, source='format = "text"', given=given)
    recipe, runs = counted_runs(recipe_path, data)
    chosen = evaluation_set(named_set(f"ptb={path}"), data, data, RUN)
    for run in runs.values():
        record(data, evaluate_set(run, chosen, recipe.evaluate, data, RUN))
    found = warehouse.query(data / "warehouse", "select name, word_perplexity from leaderboard").to_pylist()
    return {row["name"].removeprefix("ptb-"): row["word_perplexity"] for row in found}


def record(data: Path, scored: Manifest) -> None:
    """Enter an evaluation, and all that it was made from, into the scratch warehouse."""
    for folder in upstream([scored.folder]):
        warehouse.record_dataset(data / "warehouse", folder)


def brown(data: Path) -> tuple[dict[str, pa.Table], float]:
    """Score the held-out fifth of the Brown corpus by both orders; return the rows of each and documents per second."""
    path = corpora().resolve() / "benchmarks" / "brown.zip"
    chosen = evaluation_set(named_set(f"brown={path}"), data, data, RUN)
    table = pa.concat_tables([pq.read_table(file) for file in chosen.paths("documents")]).sort_by("id")
    rows = [row | {"split": "train" if number % 5 else "test"} for number, row in enumerate(table.to_pylist())]
    words = Counter(word for row in rows if row["split"] == "train" for word in row["text"].split())
    (data / "brown.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    recipe_path = write_recipe(
        data,
        name="brown",
        vocabulary=2 + sum(number > 1 for number in words.values()),
        path=data / "brown.jsonl",
        source='format = "jsonl", fields = { id = "id", text = "text", domain = "domain" }',
        given="\n".join(f'"brown:{row["id"]}" = "{row["split"]}"' for row in rows),
    )
    recipe, runs = counted_runs(recipe_path, data)
    scores, started = {}, time.process_time()
    for name, run in runs.items():
        (shards,) = [evaluate(run, recipe.evaluate, data, RUN).paths("evaluations")]
        scores[name] = pa.concat_tables([pq.read_table(shard) for shard in shards]).sort_by("document")
    rate = sum(table.num_rows for table in scores.values()) / (time.process_time() - started)
    return scores, rate


def half_width(nats: npt.NDArray[np.float64], tokens: npt.NDArray[np.int64]) -> float:
    """Half the width of the 95 % bootstrap interval of nats per token, over documents."""
    drawn = np.random.default_rng(1).integers(0, len(nats), (RESAMPLES, len(nats)))
    low, high = np.quantile(nats[drawn].sum(1) / tokens[drawn].sum(1), (0.025, 0.975))
    return float(high - low) / 2


def main() -> None:
    """Measure, print, record."""
    with tempfile.TemporaryDirectory(prefix="lmpipe-bench-") as scratch:
        perplexities = penn_treebank(Path(scratch))
        scores, rate = brown(Path(scratch))
    nats = {name: table["nats"].to_numpy() for name, table in scores.items()}
    tokens = scores["kn5"]["tokens"].to_numpy()
    absolute, paired = half_width(nats["kn5"], tokens), half_width(nats["kn3"] - nats["kn5"], tokens)
    total = {name: float(values.sum() / tokens.sum()) for name, values in nats.items()}
    print(f"ptb, word perplexity of the test file: {perplexities}")
    print(f"brown, {len(tokens)} held-out documents of {len(set(scores['kn5']['domain'].to_pylist()))} genres:")
    print(f"  token perplexity { ({name: round(math.exp(value), 2) for name, value in total.items()}) }")
    print(f"  kn5 {total['kn5']:.4f} +- {absolute:.4f} nats a token")
    print(
        f"  kn3 - kn5 {total['kn3'] - total['kn5']:+.4f} +- {paired:.4f}; worse on {(nats['kn3'] > nats['kn5']).sum()}"
    )
    ratios = {"ptb_kn5": perplexities["kn5"], "ptb_kn3": perplexities["kn3"]}
    ratios |= {"paired_interval_gain": absolute / paired, "evaluate_docs_per_s": rate}
    data = Path(sys.argv[1]) if len(sys.argv) > 1 else Path("data/bench")
    finish({"Kneser-Ney 5 and 3 on Brown": rate}, "documents/s", ratios, data)


if __name__ == "__main__":
    main()
