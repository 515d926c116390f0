"""Audit what a trained model knows by heart of its training documents, and of the secrets planted in them.

Extraction (Carlini et al. 2023, "Quantifying memorization across neural language models", section 3): the model is
given the first tokens of a passage that it was trained on and goes on by itself, greedily and by chance. Each
continuation is a row with the tokens that it got right, joined to how often the model can have seen the passage: its
occurrences in the training split, copies of its document, near duplicates of it that were removed, and epochs.

Exposure (Carlini et al. 2019, "The Secret Sharer", section 4): each canary is ranked by -ln p among numbers of the
same form that were never planted; exposure is log2 of (candidates + 1) / rank. A model that has learnt nothing gives
1.44 bits on average, one that knows the secret log2 (candidates + 1).

    lmpipe audit data/runs/demo-lstm-1a2b3c4d
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from torch import Tensor

from lmpipe.dataset import (
    Execution,
    Manifest,
    Plan,
    UnitOutput,
    build,
    inputs_of,
    open_dataset,
    read_batches,
    settings_dict,
    upstream,
)
from lmpipe.errors import TrainingError
from lmpipe.evaluate.passages import Passage, draw_passages
from lmpipe.evaluate.probe import DECIMALS, chosen_of, open_probe, protocol, tokens_of
from lmpipe.evaluate.scorer import Scorer
from lmpipe.recipe import from_dict
from lmpipe.settings import AuditSettings, CanarySettings
from lmpipe.storage import digest
from lmpipe.tokens.canaries import Canary, canaries, candidates
from lmpipe.train.checkpoint import Checkpoint, need_checkpoint
from lmpipe.train.run import Run, load_run

VERSION = 2
ROWS = 64
"""Passages that are continued together."""
TEXT, COUNT, REAL = pa.string(), pa.int64(), pa.float64()
WHO = {"run": TEXT, "checkpoint": TEXT, "protocol": TEXT}
EXTRACTIONS = pa.schema(
    WHO
    | {"document": TEXT, "source": TEXT, "lang": TEXT, "passage": COUNT, "method": TEXT}
    | dict.fromkeys(("sample", "prefix", "suffix", "matched", "longest"), COUNT)
    | {"nats": REAL, "occurrences": COUNT, "cluster": COUNT, "copies": COUNT, "epochs": REAL}
)
"""One row per passage and continuation. method: greedy or sampled; matched: how many of the suffix's first tokens came
out in place; longest: the longest run of the suffix's tokens anywhere in what came out; nats: of the suffix behind the
prefix; occurrences of the passage and copies of its document in the training split; cluster: documents in the group of
duplicates that the document survived, itself included."""
EXPOSURES = pa.schema(
    WHO
    | {"canary": TEXT, "repeats": COUNT, "epochs": REAL, "tokens": COUNT, "nats": REAL}
    | {"rank": REAL, "candidates": COUNT}
)
"""One row per canary; ties share their mean rank."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditUnit:
    """What a worker process needs for one half of the audit: the passages, or the canaries."""

    run: Path
    settings: AuditSettings
    checkpoint: str
    epochs: float
    chosen: list[Path]
    """Folders of the splits that the training documents come from."""
    canaries: tuple[CanarySettings, int] | None
    """What was planted, with its seed; None audits the passages."""


def audit(run: Path, settings: AuditSettings, data: Path, execution: Execution) -> Manifest:
    """Audit a run and commit the rows as dataset DATA/audit/<run name>-....

    Raises TrainingError for a run without checkpoint or with too short a context, and DatasetError when the datasets
    that it was made from are not in `data`.
    """
    loaded = load_run(run)
    size = settings.prefix + settings.suffix
    if size > loaded.settings.context:
        raise TrainingError(
            f"{run}: audit.prefix and audit.suffix come to {size} tokens, more than the run's context of"
            f" {loaded.settings.context}. Make them smaller."
        )
    checkpoint = need_checkpoint(run, settings.checkpoint)
    (encoded,) = inputs_of(tokens_of(loaded, data), "encode")
    body = settings_dict(settings) | {"step": checkpoint.step}
    identity = {"run": loaded.fingerprint, "checkpoint": checkpoint.sha256}
    chosen = chosen_of(loaded, data)
    inputs = (identity, loaded.tokens, *(manifest.reference for manifest in chosen))
    plan = Plan(stage="audit", name=loaded.name, version=VERSION, settings=body, inputs=inputs)
    unit = partial(
        AuditUnit,
        run=run,
        settings=settings,
        checkpoint=checkpoint.sha256,
        epochs=epochs_of(loaded, checkpoint),
        chosen=[manifest.folder for manifest in chosen],
    )
    planted = [planted_in(encoded.settings)] if "canaries" in encoded.settings else []
    units = [unit(canaries=secrets) for secrets in (None, *planted)]
    return build(plan, data, audit_unit, units, execution)


def epochs_of(run: Run, checkpoint: Checkpoint) -> float:
    """Say how often a model has seen its training split; one that is counted sees it once."""
    if run.settings.model.kind == "ngram":
        return 1.0
    return checkpoint.step * run.settings.batch * run.settings.context / run.num_tokens("train")


def planted_in(settings: dict[str, Any]) -> tuple[CanarySettings, int]:
    """Read from an encoded dataset's settings what it has planted."""
    body = dict(settings["canaries"])
    seed = body.pop("seed")
    return from_dict(CanarySettings, body, "canaries"), seed


def audit_unit(unit: AuditUnit, output: UnitOutput) -> None:
    """Audit passages or canaries; runs in any process."""
    scorer = open_probe(unit.run, unit.settings.checkpoint, unit.checkpoint)
    if unit.canaries is None:
        rows, role, schema = extraction_rows(scorer, unit), "extractions", EXTRACTIONS
    else:
        rows, role, schema = exposure_rows(scorer, unit, *unit.canaries), "exposures", EXPOSURES
    who = {"run": scorer.run.fingerprint, "checkpoint": unit.checkpoint, "protocol": audit_protocol(scorer.run, unit)}
    output.write(role, schema, [pa.RecordBatch.from_pylist([who | row for row in rows], schema=schema)])
    output.count(role, len(rows))


def audit_protocol(run: Run, unit: AuditUnit) -> str:
    """Name how the audit was made."""
    s = unit.settings
    if unit.canaries is not None:
        return protocol(run, "exposure", f"candidates:{s.candidates}", f"seed:{s.seed}")
    sampled = f"sampled:{s.samples}@t{s.temperature:g},k{s.top_k}"
    return protocol(run, "extraction", f"prefix:{s.prefix}", f"suffix:{s.suffix}", sampled, f"seed:{s.seed}")


def extraction_rows(scorer: Scorer, unit: AuditUnit) -> list[dict[str, Any]]:
    """Continue every passage, greedily and by chance, and lay out what came of it."""
    settings = unit.settings
    passages = draw_passages(scorer.run, settings)
    clusters = cluster_sizes(unit.chosen, {passage.document for passage in passages})
    ids_BS = torch.tensor([passage.ids for passage in passages])
    suffix_nats = [float(nats[settings.prefix :].sum()) for nats in scorer.score(ids_BS.tolist())]
    rows = []
    for sample in range(settings.samples + 1):
        for start in range(0, len(passages), ROWS):
            some = slice(start, start + ROWS)
            made_BT = continued(scorer, ids_BS[some, : settings.prefix], settings, sample, start)
            for passage, nats, made in zip(passages[some], suffix_nats[some], made_BT.tolist(), strict=True):
                known = {"nats": round(nats, DECIMALS), "cluster": clusters[passage.document], "epochs": unit.epochs}
                rows.append(extraction_row(passage, made, sample, settings.prefix) | known)
    return rows


def extraction_row(passage: Passage, made: Sequence[int], sample: int, prefix: int) -> dict[str, Any]:
    """Compare one continuation with the suffix of its passage."""
    wanted = passage.ids[prefix:]
    matched = next((place for place, (a, b) in enumerate(zip(wanted, made, strict=True)) if a != b), len(wanted))
    longest = SequenceMatcher(None, wanted, list(made), autojunk=False).find_longest_match().size
    place = {"document": passage.document, "source": passage.source, "lang": passage.lang, "passage": passage.start}
    how = {"method": "sampled" if sample else "greedy", "sample": sample, "prefix": prefix, "suffix": len(wanted)}
    seen = {"occurrences": passage.occurrences, "copies": passage.copies}
    return place | how | {"matched": matched, "longest": longest} | seen


@torch.inference_mode()
def continued(scorer: Scorer, prefix_BT: Tensor, settings: AuditSettings, sample: int, first: int) -> Tensor:
    """Let the model go on from prefixes of one length: `suffix` ids each, the likeliest ones or (sample > 0) drawn."""
    model, device = scorer.model, scorer.model.head_VW.device
    key = digest([settings.seed, "extraction", sample, first])
    generator = torch.Generator().manual_seed(int(key[:15], 16))
    begin_B1 = torch.full((len(prefix_BT), 1), scorer.run.end_of_text)
    ids_BT, state, made = torch.cat((begin_B1, prefix_BT), dim=1), model.begin(len(prefix_BT)), []
    for _ in range(settings.suffix):
        logits_BV, state = model.next_logits(ids_BT.to(device), state)
        if sample:
            # on the CPU: the draw is then the same on every machine that has the same logits
            top_BK, which_BK = logits_BV.cpu().topk(min(settings.top_k, logits_BV.shape[1]))
            chances_BK = (top_BK / settings.temperature).softmax(-1)
            ids_BT = which_BK.gather(1, torch.multinomial(chances_BK, 1, generator=generator))
        else:
            ids_BT = logits_BV.argmax(-1, keepdim=True).cpu()
        made.append(ids_BT)
    return torch.cat(made, dim=1)


def cluster_sizes(chosen: Sequence[Path], ids: set[str]) -> Counter[str]:
    """Count for documents the group of duplicates that they survived, themselves included: 1 for none.

    Of a split's duplicates the last stage that finds any has them all: near, else dedup.
    """
    sizes = Counter(dict.fromkeys(ids, 1))
    for folder in chosen:
        found = [m for m in map(open_dataset, upstream([folder])) if m.paths("duplicates")]
        for path in found[-1].paths("duplicates") if found else []:
            for batch in read_batches(path, ["duplicate_of", "cluster", "similarity"]):
                alike = batch.filter(pc.is_valid(batch.column("similarity")))  # null: an older version of the same page
                for survivor, size in zip(*(alike.column(n).to_pylist() for n in (0, 1)), strict=True):
                    if survivor in ids:
                        sizes[survivor] = max(sizes[survivor], size)
    return sizes


def exposure_rows(scorer: Scorer, unit: AuditUnit, planted: CanarySettings, seed: int) -> list[dict[str, Any]]:
    """Rank every canary among numbers that were never planted."""
    secrets = list(canaries(planted, seed))
    others = candidates(planted, unit.settings.seed + seed, unit.settings.candidates)
    texts = scorer.encode([*(canary.text for canary in secrets), *others])
    nats = np.array([round(float(n.sum()), DECIMALS) for n in scorer.score(texts)])
    return [
        exposure_row(canary, len(ids), own, nats[len(secrets) :], unit.epochs)
        for canary, ids, own in zip(secrets, texts, nats.tolist(), strict=False)
    ]


def exposure_row(canary: Canary, tokens: int, nats: float, others: Any, epochs: float) -> dict[str, Any]:
    """Lay out one canary and its rank among `others`."""
    rank = 1 + float((others < nats).sum()) + float((others == nats).sum()) / 2
    numbers = {"epochs": epochs, "tokens": tokens, "nats": nats, "rank": rank, "candidates": len(others)}
    return {"canary": canary.id, "repeats": canary.repeats} | numbers
