"""Lay out a run directory: the one folder that a training, its resumption and its evaluation need.

    RUN/run.json        resolved settings, vocabulary and files: what is trained, on what
    RUN/data/           every token shard, document index and the tokenizer, as hard links; init.safetensors where the
                        training starts from another run's weights
    RUN/checkpoints/    step-XXXXXXXX/ and the pointer `latest` (checkpoint.py)
    RUN/metrics.jsonl   one line per step and per validation (metrics.py)
    RUN/samples.jsonl   what the model writes now and then, as token ids
    RUN/train.log       what the training says
    RUN/result.json     written last: its presence means that the training is finished

Copied to another machine, the folder trains there. This module imports no torch, so that flows and
the command line can prepare and read runs cheaply.
"""

import contextlib
import dataclasses
import fcntl
import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lmpipe.dataset import Manifest, Plan, Shard, settings_dict
from lmpipe.errors import TrainingError
from lmpipe.recipe import from_dict
from lmpipe.settings import TrainSettings
from lmpipe.storage import check_sha256, file_sha256, immutable_sha256, locked, replacing, storage_errors, write_json

FORMAT = 1
"""Version of run.json; another format is refused."""

VERSION = 3
"""Raised by hand when the training code changes what a run learns, so that old runs are not taken for new ones."""

SPLITS = ("train", "valid", "test")
"""Names of the splits, which are also the roles of their token shards."""

TOKENIZER = "tokenizer"
"""Role of tokenizer.json."""

INIT = "init"
"""Role of the weights that a training starts from, where its settings name a run to take them from."""

MODEL = "model.safetensors"
"""Weights in a checkpoint's folder."""

ROLES = (*SPLITS, *(f"documents-{split}" for split in SPLITS), TOKENIZER)
"""What a run takes over from the tokens dataset."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Marks:
    """Token ids of the texts between which a training learns (targets.py)."""

    after: tuple[int, ...]
    until: tuple[int, ...]
    """None of them where only the end of a document ends what is learnt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A run directory as run.json describes it."""

    folder: Path
    recipe: str
    name: str
    """<recipe>-<train name>."""
    fingerprint: str
    """sha256 over version, settings and tokens."""
    settings: TrainSettings
    vocabulary: int
    end_of_text: int
    """Id of the token that follows each document."""
    tokens: dict[str, Any]
    """Reference of the tokens dataset: stage, name, fingerprint."""
    files: tuple[Shard, ...]
    """Everything under data/."""
    marks: Marks | None = None
    """None learns every token."""

    @property
    def reference(self) -> dict[str, Any]:
        """Name this run as an input of a dataset."""
        return {"stage": "runs", "name": self.name, "fingerprint": self.fingerprint}

    def paths(self, role: str) -> list[Path]:
        """List the files of one role, in shard order."""
        return [self.folder / "data" / file.path for file in self.files if file.role == role]

    def indexes(self, split: str) -> list[Path]:
        """List the document index of each token shard of a split, in shard order."""
        return [path.with_name(index_name(path.name)) for path in self.paths(split)]

    def num_tokens(self, split: str) -> int:
        """Count the tokens of a split, end-of-text tokens included."""
        return sum(file.tokens for file in self.files if file.role == split)

    @property
    def result(self) -> dict[str, Any] | None:
        """Read result.json, or None while the training is not finished."""
        path = self.folder / "result.json"
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def prepare_run(tokens: Manifest, settings: TrainSettings, recipe: str, data: Path, marks: Marks | None = None) -> Path:
    """Make (or find) the run directory DATA/runs/<recipe>-<train name>-<fingerprint8>/ and return it.

    `marks` are the ids of learn_after and learn_until (tokens/marks.py). Raises TrainingError when nothing can be
    trained on `tokens` with these settings.
    """
    assert (marks is None) == (settings.learn_after is None), "marks are those of the settings"
    name = f"{recipe}-{settings.name}"
    inputs: tuple[dict[str, Any], ...] = (tokens.reference,)
    files = tuple(s for s in tokens.shards if s.role in ROLES)
    check_tokens(tokens, files, settings)
    start = None if settings.init is None else start_weights(data / "runs" / settings.init, settings, files)
    if start is not None:
        files, inputs = (*files, start.file), (*inputs, start.reference)
    plan = Plan(stage="runs", name=name, version=VERSION, settings=settings_dict(settings), inputs=inputs)
    folder = plan.folder(data)
    with storage_errors(folder):
        (folder / "data").mkdir(parents=True, exist_ok=True)
        with locked(folder):
            for file in files:
                source = start.path if start is not None and file.role == INIT else tokens.folder / file.path
                check_sha256(source, file.sha256, "Delete the folder and run its stage again.")
                link(source, folder / "data" / file.path)
            body = description(plan, recipe, tokens, settings, files)
            body |= {"vocabulary": start.vocabulary} if start is not None else {}
            body |= {"marks": dataclasses.asdict(marks)} if marks is not None else {}
            write_json(folder / "run.json", body)
    return load_run(folder).folder


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """Weights to start from."""

    path: Path
    file: Shard
    """As it is called in the run that starts from it."""
    reference: dict[str, Any]
    """The run and the checkpoint, as inputs name them."""
    vocabulary: int
    """Of the model: a GPT-2 may have more rows than its tokenizer has tokens."""


SOFT = frozenset(
    (
        "dropout",
        "dropout_input",
        "dropout_output",
        "dropout_embedding",
        "weight_drop",
        "locked",
        "activation_penalty",
        "slowness_penalty",
        "zero_init",
        "document_mask",
    )
)
"""Settings of a model that may differ from those of the weights it starts from: what they compute is the same."""


def start_weights(source: Path, settings: TrainSettings, files: tuple[Shard, ...]) -> Start:
    """Find the newest weights of the run `source` for a training with `settings` on tokens with `files`.

    Raises TrainingError where there are none, they are damaged, or they are of another model or tokenizer.
    """
    run = load_run(source)
    where = f"run {settings.name}: init = {settings.init!r}"
    tokenizers = {file.sha256 for file in (*run.files, *files) if file.role == TOKENIZER}
    if len(tokenizers) > 1:
        raise TrainingError(
            f"{where}: its tokenizer is not that of the tokens. Set tokenizer.path of the recipe to that run's"
            " data/tokenizer.json, and encode again."
        )
    ours, theirs = (dataclasses.asdict(some.model) for some in (settings, run.settings))
    for key in (ours.keys() | theirs.keys()) - SOFT:
        if ours.get(key) != theirs.get(key):
            raise TrainingError(
                f"{where}: its model has {key} = {theirs.get(key)!r}, the recipe says {ours.get(key)!r}."
                " Give [train.model] the settings of that run."
            )
    pointer = source / "checkpoints" / "latest"
    if not pointer.exists():
        raise TrainingError(f"{where}: has no checkpoint. Train that run first.")
    path = pointer.parent / pointer.read_text(encoding="utf-8").strip() / MODEL
    expected = json.loads(path.with_name("checkpoint.json").read_text(encoding="utf-8"))["files"][MODEL]
    if not path.exists() or file_sha256(path) != expected["sha256"]:
        raise TrainingError(f"{path}: the weights are damaged. Train or import that run again.")
    file = Shard(path="init.safetensors", role=INIT, rows=0, bytes=expected["bytes"], sha256=expected["sha256"])
    reference = {"run": run.fingerprint, "checkpoint": expected["sha256"]}
    return Start(path=path, file=file, reference=reference, vocabulary=run.vocabulary)


def description(
    plan: Plan, recipe: str, tokens: Manifest, settings: TrainSettings, files: tuple[Shard, ...]
) -> dict[str, Any]:
    """Lay out run.json: nothing in it differs between two preparations of the same run."""
    return {
        "format": FORMAT,
        "recipe": recipe,
        "name": plan.name,
        "fingerprint": plan.fingerprint,
        "settings": dataclasses.asdict(settings),
        "vocabulary": tokens.settings["vocabulary"],
        "end_of_text": tokens.settings["end_of_text"],
        "tokens": tokens.reference,
        "files": [dataclasses.asdict(file) for file in files],
    }


def check_tokens(tokens: Manifest, files: tuple[Shard, ...], settings: TrainSettings) -> None:
    """Refuse a dataset that these settings cannot train on, before anything is written."""
    where = f"run {settings.name}: {tokens.folder}"
    num_tokens = sum(file.tokens for file in files if file.role == "train")
    if num_tokens == 0:
        raise TrainingError(f"{where}: expected training tokens, found none. Give the recipe more text.")
    if num_tokens <= settings.context:
        raise TrainingError(
            f"{where}: a context of {settings.context} needs more training tokens than that, found {num_tokens}."
            " Shorten the context or give the recipe more text."
        )
    check_vocabulary(tokens.settings, where)
    check_complete({file.path for file in files}, files, where)


def check_vocabulary(settings: Mapping[str, Any], where: str) -> None:
    """Refuse a vocabulary that does not hold its own end-of-text token."""
    vocabulary, end_of_text = settings.get("vocabulary"), settings.get("end_of_text")
    if not isinstance(vocabulary, int) or not isinstance(end_of_text, int) or not 0 <= end_of_text < vocabulary:
        raise TrainingError(
            f"{where}: expected a vocabulary that holds the end-of-text token, found vocabulary {vocabulary!r} and"
            f" end_of_text {end_of_text!r}. Build the tokens again."
        )


def check_complete(names: set[str], files: tuple[Shard, ...], where: str) -> None:
    """Refuse token shards without their document index, and a dataset without its tokenizer."""
    missing = {index_name(file.path) for file in files if file.role in SPLITS} - names
    if not any(file.role == TOKENIZER for file in files):
        missing.add("tokenizer.json")
    if missing:
        raise TrainingError(f"{where}: missing {sorted(missing)}. Build the tokens again.")


def index_name(shard: str) -> str:
    """Name the document index that belongs to a token shard (same split, same number)."""
    return shard.replace("tokens-", "documents-", 1).replace(".arrow", ".parquet")


def link(source: Path, target: Path) -> None:
    """Hard-link a file, or copy it where a link is impossible; the very file that is there already is kept.

    Shards are immutable and hash-named by their manifest, so sharing their blocks is safe and free.
    """
    if target.exists() and (target.samefile(source) or immutable_sha256(target) == immutable_sha256(source)):
        return
    with replacing(target) as temporary:
        with contextlib.suppress(OSError):  # another file system, or one without links: copied below
            os.link(source, temporary)
        if not temporary.exists():
            shutil.copyfile(source, temporary)


def last_run(data: Path, name: str, tokens: Manifest) -> Path | None:
    """Return the newest finished run of this name on other tokens, or None."""
    finished = sorted((data / "runs").glob(f"{name}-*/result.json"), key=lambda path: path.stat().st_mtime)
    for path in reversed(finished):
        run = load_run(path.parent)
        if run.name == name and run.tokens != tokens.reference:
            return run.folder
    return None


def load_run(folder: Path) -> Run:
    """Read a run directory and see that its files are there in their size.

    Raises TrainingError when it is none, or is not complete.
    """
    try:
        body = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise TrainingError(f"{folder}: no run.json, so this is no run directory. Prepare the run first.") from None
    except ValueError as error:
        raise TrainingError(f"{folder / 'run.json'}: not readable as JSON ({error}). Prepare the run again.") from None
    if body.pop("format", None) != FORMAT:
        raise TrainingError(f"{folder / 'run.json'}: expected format {FORMAT}. Prepare the run again.")
    body["settings"] = from_dict(TrainSettings, body["settings"], f"{folder.name}/run.json: settings")
    body["files"] = tuple(Shard(**file) for file in body["files"])
    if "marks" in body:
        body["marks"] = Marks(**{key: tuple(ids) for key, ids in body["marks"].items()})
    run = Run(**body, folder=folder)
    check_files(run)
    return run


def check_files(run: Run) -> None:
    """Refuse a run directory of which a part was left behind in copying."""
    for file in run.files:
        path = run.folder / "data" / file.path
        size = path.stat().st_size if path.exists() else None
        if size != file.bytes:
            found = f"{size} bytes" if size is not None else "no file"
            raise TrainingError(f"{path}: expected {file.bytes} bytes, found {found}. Copy or prepare the run again.")


def check_content(run: Run) -> None:
    """Refuse files that are not what run.json tells of: a model would learn a flipped bit like anything else."""
    for file in run.files:
        check_sha256(run.folder / "data" / file.path, file.sha256, "Delete it and copy or prepare the run again.")


@contextlib.contextmanager
def training_lock(folder: Path, patience: float) -> Iterator[None]:
    """Hold the run's lock; the kernel frees that of a killed process.

    Raises TrainingError when another process still holds it after `patience` seconds.
    """
    with (folder / ".training.lock").open("w") as file:
        give_up = time.monotonic() + patience
        while not try_lock(file.fileno()):
            if time.monotonic() > give_up:
                raise TrainingError(f"{folder}: another process is training this run. Wait for it, or stop it.")
            time.sleep(0.1)
        yield


def try_lock(handle: int) -> bool:
    """Lock an open file unless another process has done so."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
