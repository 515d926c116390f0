"""Score held-out documents with a run's checkpoint: one row per document and protocol, sums only.

A run is evaluated on the held-out split of its own recipe, whose ids are in its shards, and on sets from outside
(sets.py), whose texts its tokenizer encodes. Both are scored by one road (windows.py), for every kind of model, and
under each protocol that the settings ask for; signature.py names the protocol in every row. Of its own split, a run
that learnt targets alone (train/targets.py) is scored on those alone, given their prompts.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import torch
from tokenizers import Tokenizer
from torch import Tensor

from lmpipe.dataset import Execution, Manifest, Plan, UnitOutput, build, read_batches, read_groups
from lmpipe.errors import TrainingError
from lmpipe.evaluate.last_word import Passage, guess_last_words
from lmpipe.evaluate.published import PUBLISHED
from lmpipe.evaluate.signature import VERSION, Scored, name_set, read_vocabulary, signature
from lmpipe.evaluate.windows import Windows, protocols, text_nats, token_nats
from lmpipe.settings import EvaluateSettings
from lmpipe.text.segment import words
from lmpipe.tokens.encode import load_encoder
from lmpipe.train.checkpoint import Checkpoint, need_checkpoint
from lmpipe.train.model import LanguageModel
from lmpipe.train.run import TOKENIZER, Run, load_run
from lmpipe.train.stream import open_stream
from lmpipe.train.targets import targets_of
from lmpipe.train.trained import open_model

UNIT_TOKENS = 65_536
"""Tokens that one unit scores, about: some ten seconds of work that a kill can lose."""

DECIMALS = 6
"""Of nats: below this, float32 differs between batch sizes and machines."""

EVALUATIONS = pa.schema(
    [
        ("run", pa.string()),
        ("checkpoint", pa.string()),
        ("set", pa.string()),
        ("document", pa.string()),
        ("source", pa.string()),
        ("lang", pa.string()),
        ("domain", pa.string()),
        ("protocol", pa.string()),
        ("nats", pa.float64()),
        ("tokens", pa.int64()),
        ("words", pa.int64()),
        ("bytes", pa.int64()),
        ("oov", pa.int64()),
        ("correct", pa.int64()),
    ]
)
"""One row per scored document and protocol, by document within a unit. run: fingerprint; checkpoint: sha256 of the
weights; domain: genre or topic, else the source; tokens: those that were scored, and oov those of them that stand for
what the vocabulary lacks; words and bytes: of the text, not of the tokens; correct: 1 where a last word was found, 0
where it was not, null where none was to be. Where targets alone are scored, words and bytes are theirs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """Some documents to score, and all that a worker process needs for it."""

    run: Path
    checkpoint: Checkpoint
    settings: EvaluateSettings
    scored: Scored
    documents: pa.Table | tuple[Path, int]
    """Rows of the document index, with the stream position of their first token as `position`; or a file of a set
    and its row group."""


class Text(NamedTuple):
    """One document, ready to be scored."""

    row: dict[str, Any]
    """id, source, lang, domain, words and bytes."""
    ids: Tensor
    """The tokens that are scored, behind `prompt` that are only context."""
    prompt: int = 0
    learned: Tensor | None = None
    """Which of `ids` are scored, bool; None for all."""

    @property
    def target(self) -> Tensor:
        """The tokens that are scored."""
        return self.ids[self.prompt :] if self.learned is None else self.ids[self.learned]


def evaluate(run: Path, settings: EvaluateSettings, data: Path, execution: Execution) -> Manifest:
    """Score every document of the held-out split once and commit the rows as dataset DATA/evaluate/<run name>-....

    Raises TrainingError when the run has no checkpoint or no held-out document.
    """
    loaded = load_run(run)
    if loaded.marks is not None and settings.carry:
        raise TrainingError(f"{run}: evaluate.carry scores whole documents, and this run learnt targets. Leave it out.")
    documents = held_out(loaded, settings.split)
    name = name_set(f"{loaded.recipe}-{settings.split}", documents.select(["id", "bytes", "words"]).to_batches(4096))
    scored = Scored(set=name, end=settings.end)
    if loaded.marks is not None:
        scored = replace(scored, text="targets", count="targets")
    return score(loaded, settings, scored, list(cut(documents)), loaded.tokens, data, execution)


def evaluate_set(run: Path, chosen: Manifest, settings: EvaluateSettings, data: Path, execution: Execution) -> Manifest:
    """Score every document of a set from outside; `chosen` is its dataset (sets.py).

    Raises TrainingError when the run has no checkpoint.
    """
    loaded = load_run(run)
    published = PUBLISHED.get(chosen.name)
    closing = published is not None and published.closing
    scored = Scored(
        set=name_set(set_name(chosen), (batch for path in chosen.paths("documents") for batch in read_batches(path))),
        text=published.text if published is not None else "raw",
        count=published.count if published is not None else "orig",
        unit=published.unit if published is not None else None,
        end=closing and read_vocabulary(loaded.paths(TOKENIZER)[0]).kind == "word",
    )
    files = [(path, pq.read_metadata(path).num_row_groups) for path in chosen.paths("documents")]
    parts = [(path, group) for path, groups in files for group in range(groups)]
    return score(loaded, settings, scored, parts, chosen.reference, data, execution)


def set_name(chosen: Manifest) -> str:
    """Name a set and, of a published one, its part."""
    return f"{chosen.name}-{chosen.settings['split']}" if chosen.name in PUBLISHED else chosen.name


def score(
    run: Run,
    settings: EvaluateSettings,
    scored: Scored,
    parts: Sequence[pa.Table | tuple[Path, int]],
    source: dict[str, Any],
    data: Path,
    execution: Execution,
) -> Manifest:
    """Score the parts of a set, which belongs to the dataset `source`, under each protocol, and commit the rows."""
    checkpoint = need_checkpoint(run.folder, settings.checkpoint)
    signatures = [signature(run, scored, windows) for windows in asked(run, settings, scored)]
    chosen = {key: value for key, value in asdict(settings).items() if key not in ("sets", "batch")}
    facts = {"run": run.name, "step": checkpoint.step, "set": scored.set, "protocols": signatures}
    plan = Plan(
        stage="evaluate",
        name=run.name,
        version=VERSION,
        settings=chosen | facts,
        inputs=({"run": run.fingerprint, "checkpoint": checkpoint.sha256}, source),
    )
    units = [
        Unit(run=run.folder, checkpoint=checkpoint, settings=settings, scored=scored, documents=part) for part in parts
    ]
    return build(plan, data, score_unit, units, execution)


def asked(run: Run, settings: EvaluateSettings, scored: Scored) -> list[Windows]:
    """List the protocols of a set: a last word has its whole context, whatever the windows."""
    if scored.unit == "last-word":
        return [Windows(context=settings.context, stride=1)]
    return protocols(settings, run.settings.model)


def held_out(run: Run, split: str) -> pa.Table:
    """Read the document index of a split, sorted by id, with positions in the stream of its shards."""
    tables, offset = [], 0
    tokens = [file.tokens for file in run.files if file.role == split]
    for path, num_tokens in zip(run.indexes(split), tokens, strict=True):
        for batch in read_batches(path):
            position = pc.add(batch.column("start"), offset)
            tables.append(pa.Table.from_batches([batch]).append_column("position", position))
        offset += num_tokens
    if not tables:
        raise TrainingError(f"{run.folder}: no document of the split {split} to score. Give the recipe more text.")
    return pa.concat_tables(tables).sort_by("id")


def cut(documents: pa.Table) -> Iterator[pa.Table]:
    """Cut the sorted documents into units of about UNIT_TOKENS tokens; each is a copy that pickles small."""
    first = size = 0
    for row, length in enumerate(documents.column("length").to_pylist()):
        size += length
        if size >= UNIT_TOKENS or row + 1 == documents.num_rows:
            yield documents.take(list(range(first, row + 1)))
            first, size = row + 1, 0


def score_unit(unit: Unit, output: UnitOutput) -> None:
    """Score the documents of one unit and write their rows; runs in any process."""
    run = load_run(unit.run)
    torch.set_num_threads(1 if run.settings.model.kind == "ngram" else run.settings.threads)  # threads cost it more
    torch.set_float32_matmul_precision("highest")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = open_model(run, unit.checkpoint, device)
    texts = set_texts(unit, run) if isinstance(unit.documents, tuple) else split_texts(unit, run, unit.documents)
    unknown = read_vocabulary(run.paths(TOKENIZER)[0]).unknown
    batches = []
    for windows in asked(run, unit.settings, unit.scored):
        name = signature(run, unit.scored, windows)
        scores = text_scores(model, run, unit, windows, texts)
        batches.append(evaluation_rows(run, unit, name, unknown, texts, scores))
    output.write("evaluations", EVALUATIONS, batches)
    output.count("documents", len(texts))
    output.count("tokens", sum(len(text.target) for text in texts))


def split_texts(unit: Unit, run: Run, documents: pa.Table) -> list[Text]:
    """Read documents of the run's own shards; the last token of each is the one that closes it."""
    stream = open_stream(run.paths(unit.settings.split), run.vocabulary)
    closing = 0 if unit.scored.end else 1
    texts = [Text(row, stream.read(row["position"], row["length"] - closing)) for row in documents.to_pylist()]
    return texts if run.marks is None else targets_alone(texts, run)


def targets_alone(texts: Sequence[Text], run: Run) -> list[Text]:
    """Leave of texts what the run learnt; words and bytes become those of the targets."""
    decoder = Tokenizer.from_file(str(run.paths(TOKENIZER)[0]))
    found = []
    for row, ids, *_ in texts:
        learned_BT = targets_of(torch.cat((torch.tensor([run.end_of_text]), ids))[None], run)
        assert learned_BT is not None, "the run has marks"
        kept = [token for token in ids[learned_BT[0]].tolist() if token != run.end_of_text]
        text = decoder.decode(kept, skip_special_tokens=False)
        size = {"bytes": len(text.encode()), "words": len(words(text, row["lang"] or ""))}
        found.append(Text(row | size, ids, learned=learned_BT[0]))
    return found


def set_texts(unit: Unit, run: Run) -> list[Text]:
    """Read documents of a set and encode them; a prompt is encoded by itself, to see where its tokens end."""
    assert isinstance(unit.documents, tuple), "documents of a set lie in a file"
    path, group = unit.documents
    rows = [row for batch in read_groups(path, [group]) for row in batch.to_pylist()]
    encoder = load_encoder(run.paths(TOKENIZER)[0])
    ids, offsets = encoder([row["text"] for row in rows])
    _, prompts = encoder([row["text"][: row["prompt"]] for row in rows])
    closing = [run.end_of_text] if unit.scored.end else []
    source = unit.scored.set.partition("@")[0]
    return [
        Text(
            row | {"source": source},
            torch.tensor([*ids[start:end].tolist(), *closing]),
            int(min(after - before, end - start - 1)),
        )
        for row, (start, end), (before, after) in zip(rows, pairwise(offsets), pairwise(prompts), strict=True)
    ]


def text_scores(
    model: LanguageModel, run: Run, unit: Unit, windows: Windows, texts: Sequence[Text]
) -> list[dict[str, Any]]:
    """Score texts under one protocol: nats of each, and whether a last word was found."""
    batch = unit.settings.batch
    if unit.scored.unit == "last-word":
        passages = [Passage(text.ids, text.prompt) for text in texts]
        guesses = guess_last_words(model, passages, run.end_of_text, windows.context, batch)
        return [{"nats": guess.nats, "correct": int(guess.correct)} for guess in guesses]
    ids = [text.ids for text in texts]
    if any(text.learned is not None for text in texts):
        values = token_nats(model, ids, run.end_of_text, windows, batch)
        return [
            {"nats": float(nats[text.learned].sum()), "correct": None} for text, nats in zip(texts, values, strict=True)
        ]
    return [{"nats": nats, "correct": None} for nats in text_nats(model, ids, run.end_of_text, windows, batch)]


def evaluation_rows(
    run: Run, unit: Unit, protocol: str, unknown: int | None, texts: Sequence[Text], scores: Sequence[dict[str, Any]]
) -> pa.RecordBatch:
    """Lay out the scores of a unit under one protocol as rows of EVALUATIONS."""
    same = {"run": run.fingerprint, "checkpoint": unit.checkpoint.sha256, "set": unit.scored.set, "protocol": protocol}
    rows = []
    for text, score in zip(texts, scores, strict=True):
        row, target = text.row, text.target
        known = {key: row[key] for key in ("source", "lang", "words", "bytes")}
        known |= {"document": row["id"], "domain": row["domain"] or row["source"]}
        oov = int((target == unknown).sum()) if unknown is not None else 0
        correct = 0 if oov and score["correct"] else score["correct"]  # <unk> is nobody's last word
        known |= {"tokens": len(target), "oov": oov, "correct": correct}
        rows.append(same | known | {"nats": round(score["nats"], DECIMALS)})
    return pa.RecordBatch.from_pylist(rows, schema=EVALUATIONS)
