"""Take a run to another machine and bring its results home.

    PACKED/README.txt           what to install there, and the one command
    PACKED/run.json, data/      the run, its shards as real copies
    PACKED/checkpoints/         the newest checkpoint and those with a pointer, if the run has any
    PACKED/metrics.jsonl, ...   what a training that goes on adds to
    PACKED/lmpipe/              the code that trains, in the version that prepared the run

The code travels along because installing lmpipe itself would bring Prefect and forty other packages to a machine
that needs four. Coming home, nothing is believed that is not checked: the run must be one of ours, must have come
further than the run at home, and every checkpoint must have its sha256.
"""

import io
import logging
import os
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path

import lmpipe
from lmpipe.dataset import settings_dict
from lmpipe.errors import TrainingError
from lmpipe.storage import file_sha256, replacing, storage_errors, sync_folder
from lmpipe.train.afar import LOGS
from lmpipe.train.checkpoint import FILES, POINTERS, Checkpoint, find_checkpoint, newest_first, point, pointed_at, prune
from lmpipe.train.checkpoint import read_checkpoint as read
from lmpipe.train.run import Run, load_run, training_lock

log = logging.getLogger(__name__)

CODE = (
    "__init__",
    "errors",
    "storage",
    "store",
    "cluster",
    "workers",
    "settings",
    "recipe",
    "known",
    "dataset",
    "train",
)
"""What of the package a training imports; a test trains with nothing else."""

README = """\
{name}: a training of lmpipe {version}, packed to go on anywhere.

Install (Python 3.11 or newer; Linux):

    pip install 'torch>=2.11,<=2.13.0' 'pyarrow>=26,<27' 'safetensors>=0.8,<0.9' 'numpy>=2'

Train, in this folder; after any stop the same command goes on from the newest checkpoint:

    python -m lmpipe.train .
    python -m torch.distributed.run --standalone --nproc-per-node 8 -m lmpipe.train .    # on 8 GPUs

A model that does not fit on one GPU is spread over them with "parallel": "fsdp" among the settings in run.json; the
run stays the same run.

Bring it home: copy this folder back, then, on the machine that packed it,

    lmpipe collect FOLDER --data DATA
"""


def pack(folder: Path, out: Path) -> Path:
    """Write everything a training needs to `out`: a new folder, or a .tar of one.

    Raises TrainingError when `out` is there already, a shard is not what run.json says, or the run is being trained.
    """
    run = load_run(folder)
    if out.exists():
        raise TrainingError(f"{out}: is there already. Move it away, or name another place with --out.")
    check_shards(run)
    with storage_errors(out), training_lock(folder, 0):
        out.parent.mkdir(parents=True, exist_ok=True)
        write_tar(run, out) if out.suffix == ".tar" else write_folder(run, out)
    return out


def check_shards(run: Run) -> None:
    """Refuse to send damaged shards on a journey."""
    for file in run.files:
        path = run.folder / "data" / file.path
        if file_sha256(path) != file.sha256:
            raise TrainingError(f"{path}: its sha256 is not that of run.json. Build the tokens and the run again.")


def baggage(run: Run) -> Iterator[tuple[Path, str]]:
    """List the files that travel, each with its place in the packed folder."""
    names = ["run.json", *(f"data/{file.path}" for file in run.files)]
    names += [name for name in LOGS if (run.folder / name).exists()]
    if (run.folder / "result.json").exists():
        names.append("result.json")
    newest = find_checkpoint(run.folder)
    pointed = {which: folder for which in POINTERS if (folder := pointed_at(run.folder, which)) is not None}
    kept = {folder.name for folder in pointed.values() if folder.exists()} | ({newest.folder.name} if newest else set())
    names += [f"checkpoints/{step}/{name}" for step in sorted(kept) for name in FILES]
    names += [f"checkpoints/{which}" for which in pointed]
    yield from ((run.folder / name, name) for name in names)
    package = Path(lmpipe.__file__).parent
    for part in CODE:
        paths = [package / f"{part}.py"] if (package / f"{part}.py").exists() else (package / part).rglob("*.py")
        yield from ((path, f"lmpipe/{path.relative_to(package)}") for path in sorted(paths))


def write_folder(run: Run, out: Path) -> None:
    """Copy under a temporary name, then rename: half a folder would look like a whole one."""
    temporary = out.with_name(f".{out.name}.{os.getpid()}.tmp")
    try:
        for source, name in baggage(run):
            (temporary / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, temporary / name)
        (temporary / "README.txt").write_text(readme(run), encoding="utf-8")
        temporary.rename(out)
        sync_folder(out.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def write_tar(run: Run, out: Path) -> None:
    """Write the same folder, under the run's name, into an uncompressed archive: tokens do not compress."""
    with replacing(out) as temporary, tarfile.open(temporary, "w") as tar:
        root = run.folder.resolve().name
        for source, name in baggage(run):
            tar.add(source, f"{root}/{name}", recursive=False)
        text = readme(run).encode()
        entry = tarfile.TarInfo(f"{root}/README.txt")
        entry.size = len(text)
        tar.addfile(entry, io.BytesIO(text))


def readme(run: Run) -> str:
    """Say what to do with the folder."""
    return README.format(name=run.name, version=lmpipe.__version__)


def collect(folder: Path, data: Path) -> Path:
    """Bring home what a packed run has become, and return its directory under DATA/runs.

    Safe to repeat: a kill leaves the run at home as it was, or with whole checkpoints more. Raises TrainingError when
    the run is not ours, has come no further than the one at home, is damaged, or is being trained at either place.
    """
    away = load_run(folder)
    home = find_home(away, data)
    with storage_errors(home.folder), training_lock(away.folder, 0), training_lock(home.folder, 0):
        newest = newest_of(away, home)
        bring_checkpoints(away, home)
        for name in LOGS:
            if (away.folder / name).exists():
                bring(away.folder / name, home.folder / name)
        point(home.folder / "checkpoints" / "latest", newest.folder)
        if away.result is not None:
            bring(away.folder / "result.json", home.folder / "result.json")
        prune(home.folder, home.settings.keep)
    return home.folder


def find_home(away: Run, data: Path) -> Run:
    """Find the run that the packed one is a copy of.

    Raises TrainingError when there is none, or it was prepared from other settings or shards.
    """
    folder = data / "runs" / f"{away.name}-{away.fingerprint[:8]}"
    if not (folder / "run.json").exists():
        raise TrainingError(f"{away.folder}: is not a run of {data}: expected {folder}, found none. Name its --data.")
    home = load_run(folder)
    for what, ours, theirs in (
        ("fingerprint", home.fingerprint, away.fingerprint),
        ("settings", settings_dict(home.settings), settings_dict(away.settings)),
        ("files", home.files, away.files),
    ):
        if ours != theirs:
            raise TrainingError(f"{away.folder}: its {what} differ from those of {folder}, so it is another run.")
    return home


def newest_of(away: Run, home: Run) -> Checkpoint:
    """Return the newest good checkpoint of the packed run.

    Raises TrainingError when there is none, when the one at home is newer, or a result belongs to no checkpoint here.
    """
    newest, ours = find_checkpoint(away.folder), find_checkpoint(home.folder)
    if newest is None:
        raise TrainingError(f"{away.folder}: no usable checkpoint to bring home. Train it first.")
    if ours is not None and not newer(away, newest, home, ours):
        raise TrainingError(
            f"{away.folder}: has come to step {newest.step}, the run at home to {ours.step}"
            f"{' and its end' if home.result is not None else ''}. There is nothing newer to bring."
        )
    if away.result is not None and away.result["checkpoint_sha256"] != newest.sha256:
        raise TrainingError(
            f"{away.folder}: result.json tells of a checkpoint {away.result['checkpoint_sha256'][:12]}, the newest good"
            f" one is {newest.sha256[:12]}. Copy the folder again."
        )
    return newest


def newer(away: Run, newest: Checkpoint, home: Run, ours: Checkpoint) -> bool:
    """Say whether the packed run has come further, or just as far with the same weights (it was collected before)."""
    there, here = (newest.step, away.result is not None), (ours.step, home.result is not None)
    return there > here or (there == here and newest.sha256 == ours.sha256)


def bring_checkpoints(away: Run, home: Run) -> None:
    """Copy the good checkpoints that home lacks, oldest first, and move the pointers to the best and the trunk."""
    root = home.folder / "checkpoints"
    root.mkdir(exist_ok=True)
    for folder in sorted(newest_first(away.folder)):
        found, here = read(folder), read(root / folder.name) if (root / folder.name).exists() else None
        if found is not None and (here is None or here.sha256 != found.sha256):
            bring_checkpoint(folder, root)
    for which in ("best", "trunk"):
        pointed = pointed_at(away.folder, which)
        if pointed is not None and (root / pointed.name) in newest_first(home.folder):
            point(root / which, root / pointed.name)


def bring_checkpoint(folder: Path, root: Path) -> None:
    """Copy one checkpoint, in place of one of the same step that is damaged or has other weights.

    Raises TrainingError when the copy is not what was checked.
    """
    temporary = root / f".{folder.name}.tmp"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    for name in FILES:
        bring(folder / name, temporary / name)
    if read(temporary) is None:
        raise TrainingError(f"{folder}: changed while it was copied. Collect it again.")
    shutil.rmtree(root / folder.name, ignore_errors=True)
    temporary.rename(root / folder.name)
    sync_folder(root)
    log.info("%s: brought home", root / folder.name)


def bring(source: Path, target: Path) -> None:
    """Copy a file durably, by rename."""
    with replacing(target) as temporary:
        shutil.copyfile(source, temporary)
