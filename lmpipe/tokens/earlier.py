"""Find the tokens that a growing corpus is appended to."""

from pathlib import Path

from lmpipe.dataset import made, open_dataset


def newest_tokens(data: Path, recipe: str) -> Path | None:
    """Return the newest packed tokens of a recipe, or None before its first packing."""
    found = [open_dataset(path.parent) for path in (data / "tokens").glob(f"{recipe}-*/manifest.json")]
    mine = [manifest for manifest in found if manifest.name == recipe]
    return max(mine, key=lambda manifest: float(made(manifest)["finished"])).folder if mine else None
