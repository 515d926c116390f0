"""The whole way up to the tokens, without Prefect, for tests that run it, kill it and measure it.

python -m tests.road RECIPE DATA WORKERS [LAST_STAGE]
"""

import sys
from pathlib import Path

from lmpipe.curate.clean import clean
from lmpipe.curate.decide import decide
from lmpipe.curate.decontaminate import decontaminate, find_overlaps
from lmpipe.curate.dedup import dedup
from lmpipe.curate.heldout import heldout
from lmpipe.curate.near import candidates, near, sign
from lmpipe.curate.split import split
from lmpipe.dataset import Execution, Manifest
from lmpipe.errors import LmpipeError
from lmpipe.recipe import load_recipe
from lmpipe.sources.ingest import ingest
from lmpipe.storage import file_sha256
from lmpipe.tokens.encode import encode
from lmpipe.tokens.pack import pack
from lmpipe.tokens.tokenizer import tokenizer


def walk(path: Path, data: Path, workers: int, last: str = "tokens") -> list[Manifest]:
    """Build every dataset of a recipe up to the stage `last`; return them in order."""
    recipe, run = load_recipe(path), Execution(workers=workers)
    documents = [ingest(source, path.parent, data, run) for source in recipe.sources]
    cleaned = [clean(manifest, data, recipe.clean, run, path.parent) for manifest in documents]
    decided = [decide(manifest, data, recipe.profile, run, path.parent) for manifest in cleaned]
    exact = dedup(decided, recipe.name, data, recipe.dedup, run)
    signed = [sign(manifest, data, recipe.dedup, run) for manifest in decided]
    proposed = candidates(exact, signed, data, recipe.dedup, run)
    duplicates = near(exact, signed, proposed, data, recipe.dedup, run)
    chosen = split(duplicates, data, recipe.split, recipe.seed, run)
    if last == "split":
        return [*documents, *cleaned, *decided, exact, *signed, proposed, duplicates, chosen]
    cleared: list[Manifest] = []
    if recipe.decontaminate is not None:
        index = heldout(chosen, data, recipe.decontaminate, path.parent, run)
        found = find_overlaps(chosen, index, data, run)
        cleared = [index, found, decontaminate(chosen, index, found, data, recipe.decontaminate, run)]
    parted, chosen = chosen, [chosen, *cleared][-1]
    learnt = tokenizer(chosen, data, recipe.tokenizer, recipe.seed, path.parent, run)
    encoded = encode(chosen, learnt, data, run)
    packed = pack(encoded, data, recipe.tokens, recipe.seed, run)
    return [
        *documents,
        *cleaned,
        *decided,
        exact,
        *signed,
        proposed,
        duplicates,
        parted,
        *cleared,
        learnt,
        encoded,
        packed,
    ]


def fingerprints(data: Path) -> dict[str, str]:
    """sha256 of every file of every dataset, but for made.json (when and where) and the empty locks."""
    files = (p for p in data.rglob("*") if p.is_file() and p.name not in ("made.json", ".lock"))
    return {str(path.relative_to(data)): file_sha256(path) for path in files}


if __name__ == "__main__":
    try:
        walk(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), *sys.argv[4:])
    except LmpipeError as error:
        raise SystemExit(f"error: {error}") from None
