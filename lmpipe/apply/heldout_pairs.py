"""Take the pairs of a held-out split back out of a corpus: what was made of a parallel source, to be translated."""

from collections.abc import Iterator

from lmpipe.dataset import Manifest
from lmpipe.errors import InputError
from lmpipe.tokens.corpus import chosen_batches, corpus_shards


def heldout_pairs(chosen: Manifest, split: str, prompt: str) -> tuple[list[str], list[str]]:
    """Read the sources and references of a split of a split (or decontaminated) dataset, in the order of their ids.

    Raises InputError when the split is empty, or a document is not of the prompt format.
    """
    rows = sorted(texts(chosen, split))
    if not rows:
        raise InputError(f"{chosen.folder}: no document of the split {split}. Name train, valid or test.")
    pairs = [parted(text, prompt, ident) for ident, text in rows]
    return [source for source, _ in pairs], [target for _, target in pairs]


def texts(chosen: Manifest, split: str) -> Iterator[tuple[str, str]]:
    """Yield id and text of the documents of a split."""
    for shard in corpus_shards(chosen):
        for batch in chosen_batches(shard):
            for row in batch.select(["id", "split", "text"]).to_pylist():
                if row["split"] == split:
                    yield row["id"], row["text"]


def parted(text: str, prompt: str, ident: str) -> tuple[str, str]:
    """Cut a document into its two sides; the last of what parts them counts, if a source holds it too."""
    before, between = prompt.removesuffix("{target}").split("{source}")
    source, separator, target = text.removeprefix(before).rpartition(between)
    if not text.startswith(before) or not separator:
        raise InputError(f"document {ident}: expected {prompt!r}, found {text[:60]!r}. Give the recipe's --prompt.")
    return source, target
