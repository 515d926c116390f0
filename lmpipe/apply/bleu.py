"""Score translations by sacreBLEU, with signature and interval, and rerank lists of them with a language model.

BLEU (Papineni et al. 2002) with the tokenizer of the target language and chrF2 (Popovic 2015), both over resampled
sentences (Koehn 2004). Weights of a reranking are tuned by grid for BLEU on a development set, never on the test set.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF

from lmpipe.apply.nbest import NBest
from lmpipe.apply.recognition import WEIGHTS
from lmpipe.apply.rescore import Grid, choose, score_lists
from lmpipe.dataset import Execution, Manifest, Plan, UnitOutput, build
from lmpipe.errors import InputError
from lmpipe.evaluate.scorer import Scorer, open_scorer

VERSION = 1
RESAMPLES = 1000
TOKENIZERS = {"zh": "zh", "ja": "char", "ko": "char"}
"""sacreBLEU's tokenizer by target language; 13a for others. ja-mecab and ko-mecab would need a dictionary each."""

SCORES = pa.schema(
    [
        ("system", pa.string()),
        ("metric", pa.string()),
        ("signature", pa.string()),
        ("sentences", pa.int64()),
        ("score", pa.float64()),
        ("low", pa.float64()),
        ("high", pa.float64()),
    ]
)
"""One row per system and metric."""


class Score(NamedTuple):
    """One number of one metric."""

    metric: str
    signature: str
    sentences: int
    score: float
    low: float
    high: float


def score_texts(texts: Sequence[str], references: Sequence[str], lang: str) -> list[Score]:
    """Compute BLEU and chrF2 of a whole set, with 95 % intervals."""
    if not texts:
        raise InputError("expected translations, found none. Name a file with sentences.")
    found = []
    for name, metric in (("BLEU", BLEU(tokenize=tokenizer_of(lang))), ("chrF2", CHRF())):
        result = metric.corpus_score(list(texts), [list(references)], n_bootstrap=RESAMPLES)
        mean, half = float(result._mean), float(result._ci)
        signature = metric.get_signature().format()
        found.append(Score(name, signature, len(texts), float(result.score), mean - half, mean + half))
    return found


def tokenizer_of(lang: str) -> str:
    """Name sacreBLEU's tokenizer for a language."""
    return TOKENIZERS.get(lang.partition("-")[0].lower(), "13a")


def read_lists(translations: Manifest) -> list[NBest]:
    """Read the lists of a translate dataset; raises InputError when it has no references."""
    lists = []
    rows = pq.read_table(translations.paths("translations")).to_pylist()
    for sentence, group in itertools.groupby(rows, key=lambda row: row["sentence"]):
        some = list(group)
        if some[0]["reference"] is None:
            raise InputError(f"{translations.folder}: was translated without references. Translate with --refs.")
        scores = {
            "translation": np.array([row["log_probability"] for row in some]),
            "words": np.array([float(row["tokens"]) for row in some]),
            "score": np.array([row["score"] for row in some]),
        }
        texts = [row["text"] for row in some]
        lists.append(NBest(utterance=str(sentence), texts=texts, scores=scores, reference=some[0]["reference"]))
    return lists


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreUnit:
    """What is scored."""

    translations: Manifest
    lang: str


def score_translations(translations: Manifest, lang: str, data: Path, execution: Execution) -> Manifest:
    """Score the first translation of each list into DATA/bleu/<name>-<fingerprint8>/."""
    plan = Plan(
        stage="bleu",
        name=translations.name,
        version=VERSION,
        settings={"lang": lang, "resamples": RESAMPLES},
        inputs=(translations.reference,),
    )
    return build(plan, data, score_unit, [ScoreUnit(translations=translations, lang=lang)], execution)


def score_unit(unit: ScoreUnit, output: UnitOutput) -> None:
    """Score what the search found best."""
    lists = read_lists(unit.translations)
    write_scores({"first": [0] * len(lists)}, lists, unit.lang, output)


def write_scores(systems: Mapping[str, Sequence[int]], lists: Sequence[NBest], lang: str, output: UnitOutput) -> None:
    """Score what each system chose and write the rows."""
    rows: list[dict[str, Any]] = []
    for system, choices in systems.items():
        texts = [nbest.texts[choice] for nbest, choice in zip(lists, choices, strict=True)]
        scores = score_texts(texts, [str(nbest.reference) for nbest in lists], lang)
        rows += [{"system": system} | score._asdict() for score in scores]
    output.write("translation-scores", SCORES, [pa.RecordBatch.from_pylist(rows, schema=SCORES)])
    output.count("sentences", len(lists))


# Reranking


@dataclass(frozen=True, slots=True, kw_only=True)
class RerankUnit:
    """Two sets of lists, and the model that judges them."""

    translations: Manifest
    dev: Manifest
    run: Path
    lang: str
    grid: Grid


def rerank(
    translations: Manifest, dev: Manifest, run: Path, lang: str, grid: Grid, data: Path, execution: Execution
) -> Manifest:
    """Rerank lists by ln p of the translation + weight x ln p of the text + weight x tokens, tuned on `dev`.

    Scores of `first`, `tuned` and `oracle` (the best BLEU of each sentence by itself) go into DATA/rerank/<name>-....
    Raises InputError when the two are one set.
    """
    if dev.fingerprint == translations.fingerprint:
        raise InputError(f"{dev.folder}: weights cannot be tuned on the set that is tested. Name another one as --dev.")
    scorer = open_scorer(run)
    plan = Plan(
        stage="rerank",
        name=translations.name,
        version=VERSION,
        settings={"lang": lang, "grid": dict(grid), "run": scorer.run.name, "step": scorer.checkpoint.step},
        inputs=(
            translations.reference,
            dev.reference,
            {"run": scorer.run.fingerprint, "checkpoint": scorer.checkpoint.sha256},
        ),
    )
    unit = RerankUnit(translations=translations, dev=dev, run=run, lang=lang, grid=grid)
    return build(plan, data, rerank_unit, [unit], execution)


def rerank_unit(unit: RerankUnit, output: UnitOutput) -> None:
    """Tune on one set, choose on the other."""
    scorer: Scorer = open_scorer(unit.run)
    dev, lists = (list(score_lists(read_lists(m), scorer, end=True)) for m in (unit.dev, unit.translations))
    weights = tune_bleu(dev, unit.lang, {"translation": 1.0}, unit.grid)
    best = [int(sentence_statistics(nbest, unit.lang)[:, -1].argmax()) for nbest in lists]
    systems = {"first": [0] * len(lists), "tuned": [choose(nbest, weights) for nbest in lists], "oracle": best}
    write_scores(systems, lists, unit.lang, output)
    rows = [{"system": "tuned", "fold": None, "score": name, "weight": weight} for name, weight in weights.items()]
    output.write("rescore-weights", WEIGHTS, [pa.RecordBatch.from_pylist(rows, schema=WEIGHTS)])


def sentence_statistics(nbest: NBest, lang: str) -> NDArray[np.float64]:
    """Lay out, for each translation: matches and n-grams of 1 to 4, lengths of both sides, and its own BLEU."""
    metric = BLEU(tokenize=tokenizer_of(lang), effective_order=True)
    rows = []
    for text in nbest.texts:
        found = metric.sentence_score(text, [str(nbest.reference)])
        rows.append([*found.counts, *found.totals, found.sys_len, found.ref_len, found.score])
    return np.array(rows, np.float64)


def tune_bleu(lists: Sequence[NBest], lang: str, fixed: Mapping[str, float], grid: Grid) -> dict[str, float]:
    """Find the weights of the grid with the highest BLEU of the whole set, of equals the first."""
    statistics = [sentence_statistics(nbest, lang) for nbest in lists]
    best: tuple[float, dict[str, float]] | None = None
    for point in itertools.product(*grid.values()):
        weights = dict(fixed) | dict(zip(grid, point, strict=True))
        chosen = [table[choose(nbest, weights)] for table, nbest in zip(statistics, lists, strict=True)]
        score = corpus_bleu(np.sum(chosen, axis=0))
        if best is None or score > best[0]:
            best = score, weights
    assert best is not None, "a grid has a point"
    return best[1]


def corpus_bleu(sums: NDArray[np.float64]) -> float:
    """Compute BLEU from summed statistics."""
    counts = [int(x) for x in sums]
    return float(BLEU.compute_bleu(counts[:4], counts[4:8], counts[8], counts[9], smooth_method="exp").score)
