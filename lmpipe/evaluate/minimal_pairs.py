"""Score sentence pairs with a trained model: one row per pair, sums only; who is preferred is a view over them.

A sentence stands alone behind the end-of-text token, or behind its context, and its number is -ln p of all its
tokens. That is how BLiMP is meant (Warstadt et al. 2020, section 4). CrowS-Pairs was published for masked models
(pseudo-likelihood of the words that both sentences share); a causal model has the probability of the whole sentence,
and that is what is compared here, so its bias score stands beside other causal models', not beside BERT's. StereoSet
compares nats per token (its authors' evaluation of GPT-2), which the view does from the counts in these rows.

Equal texts are scored once and numbers are rounded to DECIMALS, so that a tie is a tie: it counts half.

    lmpipe pairs data/runs/demo-lstm-1a2b3c4d --set blimp --path blimp.zip
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from lmpipe.dataset import Execution, Manifest, Plan, UnitOutput, build
from lmpipe.evaluate.pair_sets import Pair, read_pairs
from lmpipe.evaluate.probe import DECIMALS, Which, open_probe, protocol
from lmpipe.evaluate.scorer import Scorer
from lmpipe.settings import PairSet
from lmpipe.storage import digest, file_input
from lmpipe.train.checkpoint import need_checkpoint
from lmpipe.train.run import Run, load_run

VERSION = 1
UNIT_PAIRS = 2000
"""Pairs that a unit scores: some seconds of work."""
PAIRS = pa.schema(
    [(name, pa.string()) for name in ("run", "checkpoint", "set", "protocol", "pair", "topic", "part", "contrast")]
    + [(f"nats_{side}", pa.float64()) for side in ("first", "second")]
    + [(f"{what}_{side}", pa.int64()) for what in ("tokens", "bytes") for side in ("first", "second")]
)
"""One row per pair, in the order of the set. run: fingerprint; checkpoint: sha256 of the weights; topic, part and
contrast as in pair_sets.Pair; nats, tokens and bytes of both texts, their context left out."""


class Score(NamedTuple):
    """A text behind its context."""

    nats: float
    tokens: int
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PairUnit:
    """Some pairs to score, and all that a worker process needs for it."""

    run: Path
    which: Which
    checkpoint: str
    protocol: str
    pairs: list[Pair]


def score_pairs(
    run: Path, chosen: PairSet, paths: Sequence[Path], data: Path, execution: Execution, which: Which = "latest"
) -> Manifest:
    """Score every pair of a set and commit the rows as dataset DATA/pairs/<run name>-<set>-....

    Raises TrainingError for a run without checkpoint and InputError for a set that cannot be read.
    """
    loaded = load_run(run)
    checkpoint = need_checkpoint(run, which)
    pairs = read_pairs(chosen, paths)
    signature = pairs_protocol(loaded, chosen, pairs)
    plan = Plan(
        stage="pairs",
        name=f"{loaded.name}-{chosen.name}",
        version=VERSION,
        settings={"set": chosen.name, "format": chosen.format, "protocol": signature, "step": checkpoint.step},
        inputs=({"run": loaded.fingerprint, "checkpoint": checkpoint.sha256}, *(file_input(path) for path in paths)),
    )
    unit = partial(PairUnit, run=run, which=which, checkpoint=checkpoint.sha256, protocol=signature)
    units = [unit(pairs=pairs[low : low + UNIT_PAIRS]) for low in range(0, len(pairs), UNIT_PAIRS)]
    return build(plan, data, pairs_unit, units, execution)


def pairs_protocol(run: Run, chosen: PairSet, pairs: list[Pair]) -> str:
    """Name what is compared: the set with the hash of its pairs, and how."""
    name = f"set:{chosen.name}@sha256:{digest([list(pair) for pair in pairs])[:8]}"
    return protocol(run, "pairs", name, "text:raw", "unit:sentence")


def pairs_unit(unit: PairUnit, output: UnitOutput) -> None:
    """Score the pairs of one unit and write their rows; runs in any process."""
    scorer = open_probe(unit.run, unit.which, unit.checkpoint)
    texts = [(pair.context, text) for pair in unit.pairs for text in (pair.first, pair.second)]
    scores = score_texts(scorer, list(dict.fromkeys(texts)))
    same = {"run": scorer.run.fingerprint, "checkpoint": unit.checkpoint, "protocol": unit.protocol}
    rows = []
    for pair in unit.pairs:
        first, second = scores[pair.context, pair.first], scores[pair.context, pair.second]
        sides = {f"{key}_first": getattr(first, key) for key in Score._fields}
        sides |= {f"{key}_second": getattr(second, key) for key in Score._fields}
        place = {"set": pair.set, "pair": pair.id, "topic": pair.topic, "part": pair.part, "contrast": pair.contrast}
        rows.append(same | place | sides)
    output.write("pairs", PAIRS, [pa.RecordBatch.from_pylist(rows, schema=PAIRS)])
    output.count("pairs", len(rows))


def score_texts(scorer: Scorer, texts: Sequence[tuple[str, str]]) -> dict[tuple[str, str], Score]:
    """Score distinct texts, each as (context, text); a text behind a context begins with a blank."""
    contexts = scorer.encode([context for context, _ in texts])
    ends = scorer.encode([f" {text}" if context else text for context, text in texts])
    nats = scorer.score([[*context, *end] for context, end in zip(contexts, ends, strict=True)])
    return {
        key: Score(round(float(n[len(context) :].sum()), DECIMALS), len(end), len(key[1].encode()))
        for key, context, end, n in zip(texts, contexts, ends, nats, strict=True)
    }
