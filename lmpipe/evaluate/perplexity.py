"""Score held-out documents with a run's newest checkpoint: one row per document, sums only.

The protocol (signature.py): a document stands alone, behind one end-of-text token from which its first
token is predicted; windows of `context` tokens follow each other without overlap, each starting from the
last token of the one before, and from a zero state or (carry) from the state of the one before; every token
of the text is scored once, the end-of-text token that closes the document only if the settings say so.

Shape letters: B windows, S window length + 1, T window length.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from lmpipe.dataset import Execution, Manifest, Plan, UnitOutput, build, read_batches
from lmpipe.errors import TrainingError
from lmpipe.evaluate.signature import VERSION, name_set, signature
from lmpipe.settings import EvaluateSettings
from lmpipe.train.checkpoint import Checkpoint, find_checkpoint, load_model
from lmpipe.train.model import LanguageModel, State, build_model
from lmpipe.train.run import Run, load_run
from lmpipe.train.stream import open_stream

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
        ("protocol", pa.string()),
        ("nats", pa.float64()),
        ("tokens", pa.int64()),
        ("words", pa.int64()),
        ("bytes", pa.int64()),
        ("oov", pa.int64()),
    ]
)
"""One row per scored document, sorted by document. run: fingerprint; checkpoint: sha256 of the weights;
tokens: those that were scored; words and bytes: of the text, not of the tokens; oov: 0 for byte-level BPE."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """Some documents to score, and all that a worker process needs for it."""

    run: Path
    checkpoint: Checkpoint
    settings: EvaluateSettings
    set_name: str
    documents: pa.Table
    """Rows of the document index, with the stream position of their first token as `position`."""


def evaluate(run: Path, settings: EvaluateSettings, data: Path, execution: Execution) -> Manifest:
    """Score every document of the held-out split once and commit the rows as dataset DATA/evaluate/<run name>-....

    Raises TrainingError when the run has no checkpoint or no held-out document.
    """
    loaded = load_run(run)
    if settings.carry and loaded.settings.model.kind != "lstm":
        raise TrainingError(f"{run}: evaluate.carry needs an LSTM, whose state can be carried. Evaluate without it.")
    checkpoint = find_checkpoint(run, settings.checkpoint)
    if checkpoint is None:
        raise TrainingError(f"{run}: no usable checkpoint to evaluate. Train the run first.")
    documents = held_out(loaded, settings.split)
    set_name = name_set(loaded.recipe, settings.split, documents)
    facts = {"set": set_name, "protocol": signature(loaded, settings, set_name)}
    plan = Plan(
        stage="evaluate",
        name=loaded.name,
        version=VERSION,
        settings=asdict(settings) | facts | {"run": loaded.name, "step": checkpoint.step},
        inputs=({"run": loaded.fingerprint, "checkpoint": checkpoint.sha256}, loaded.tokens),
    )
    units = [
        Unit(run=run, checkpoint=checkpoint, settings=settings, set_name=set_name, documents=part)
        for part in cut(documents)
    ]
    return build(plan, data, score_unit, units, execution)


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
    torch.set_num_threads(run.settings.threads)
    torch.set_float32_matmul_precision("highest")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = build_model(run.settings.model, run.vocabulary).to(device).eval()
    load_model(unit.checkpoint, model, device)
    stream = open_stream(run.paths(unit.settings.split), run.vocabulary)
    rows = unit.documents.to_pylist()
    texts = [stream.read(row["position"], num_scored(row, unit.settings)) for row in rows]
    nats = document_nats(model, texts, run.end_of_text, unit.settings)
    output.write("evaluations", EVALUATIONS, [evaluation_rows(run, unit, rows, nats)])
    output.count("documents", len(rows))
    output.count("tokens", sum(len(text) for text in texts))


def num_scored(row: dict[str, Any], settings: EvaluateSettings) -> int:
    """Count the tokens of a document that are scored; the last of its row is the one that closes it."""
    length: int = row["length"]
    return length if settings.end else length - 1


def evaluation_rows(run: Run, unit: Unit, rows: list[dict[str, Any]], nats: list[float]) -> pa.RecordBatch:
    """Lay out the scores of a unit as rows of EVALUATIONS."""
    same = {"run": run.fingerprint, "checkpoint": unit.checkpoint.sha256, "set": unit.set_name}
    same |= {"protocol": signature(run, unit.settings, unit.set_name)}
    laid_out = [
        same
        | {"document": row["id"], "source": row["source"], "lang": row["lang"]}
        | {"nats": round(score, DECIMALS), "tokens": num_scored(row, unit.settings)}
        | {"words": row["words"], "bytes": row["bytes"], "oov": 0}
        for row, score in zip(rows, nats, strict=True)
    ]
    return pa.RecordBatch.from_pylist(laid_out, schema=EVALUATIONS)


@torch.no_grad()
def document_nats(
    model: LanguageModel, texts: Sequence[Tensor], end_of_text: int, settings: EvaluateSettings
) -> list[float]:
    """Sum -log p of the tokens of each text, in nats, by the protocol of this module.

    `texts` are int64 ids without end-of-text token. Windows of like length are scored together; padding
    lies behind the text, where a causal model cannot see it.
    """
    if settings.carry:
        return carried_nats(model, texts, end_of_text, settings)
    total = torch.zeros(len(texts), dtype=torch.float64)
    windows = [
        (owner, ids) for owner, text in enumerate(texts) for ids in cut_windows(text, end_of_text, settings.context)
    ]
    windows.sort(key=lambda window: -len(window[1]))
    for first in range(0, len(windows), settings.batch):
        owners, ids = zip(*windows[first : first + settings.batch], strict=True)
        total.index_add_(0, torch.tensor(owners), window_nats(model, ids, None)[0])
    scores: list[float] = total.tolist()
    return scores


def carried_nats(
    model: LanguageModel, texts: Sequence[Tensor], end_of_text: int, settings: EvaluateSettings
) -> list[float]:
    """Score texts side by side, window after window; the longest first, so that finished ones are the last rows."""
    order = sorted(range(len(texts)), key=lambda owner: -len(texts[owner]))
    scores = [0.0] * len(texts)
    for first in range(0, len(order), settings.batch):
        owners = order[first : first + settings.batch]
        cut = [list(cut_windows(texts[owner], end_of_text, settings.context)) for owner in owners]
        state: State | None = model.begin(len(owners))
        for number in range(len(cut[0])):
            windows = [pieces[number] for pieces in cut if number < len(pieces)]
            assert state is not None, "a model that was given a state keeps one"
            state = [(h[: len(windows)], c[: len(windows)]) for h, c in state]
            nats, state = window_nats(model, windows, state)
            for owner, value in zip(owners, nats.tolist(), strict=False):
                scores[owner] += value
    return scores


def cut_windows(text: Tensor, end_of_text: int, context: int) -> Iterator[Tensor]:
    """Cut a text into windows of 1 ... context targets, each behind the one token that comes before it."""
    ids = torch.cat((torch.tensor([end_of_text]), text))
    for start in range(0, len(text), context):
        yield ids[start : start + context + 1]


def window_nats(model: LanguageModel, windows: Sequence[Tensor], state: State | None) -> tuple[Tensor, State | None]:
    """Score windows side by side; return their sums, float64 on the CPU, and the state behind them.

    Padding lies behind the text: of a row that ends there, the state is of no use any more.
    """
    device = next(model.parameters()).device
    ids_BS = pad_sequence(list(windows), batch_first=True).to(device)
    nll_BT, after = model.nll_after(ids_BS[:, :-1], ids_BS[:, 1:], None, state)
    lengths_B = torch.tensor([len(ids) - 1 for ids in windows], device=device)
    scored_BT = torch.arange(nll_BT.shape[1], device=device) < lengths_B[:, None]
    return (nll_BT.to(torch.float64) * scored_BT).sum(dim=1).cpu(), after
