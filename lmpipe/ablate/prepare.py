"""Prepare a variant's tokens: the stages that its change touches, then the whole recipe's tokenizer.

Tokenizer and held-out documents are those of the whole recipe, so that its perplexity and the variant's are of the
same text in the same tokens. A stage whose settings and inputs are the same is found by its fingerprint.
"""

from pathlib import Path

from lmpipe.ablate.graft import graft
from lmpipe.curate.decide import decide
from lmpipe.curate.decontaminate import decontaminate, find_overlaps
from lmpipe.curate.dedup import dedup
from lmpipe.curate.heldout import heldout
from lmpipe.curate.near import candidates, near, sign
from lmpipe.curate.split import split
from lmpipe.dataset import Execution, Manifest, inputs_of
from lmpipe.settings import Recipe
from lmpipe.tokens.encode import encode
from lmpipe.tokens.pack import pack


def prepare_variant(variant: Recipe, tokens: Manifest, data: Path, base: Path, execution: Execution) -> Manifest:
    """Make the tokens of `variant` from what the whole recipe's `tokens` were made from.

    `base` is the recipe's folder. Raises GuardError when the variant loses more documents than the recipe allows.
    """
    (encoded,) = inputs_of(tokens, "encode")
    (learnt,) = inputs_of(encoded, "tokenizer")
    standing = split_of(encoded)
    chosen = graft(standing, own_split(variant, standing, data, base, execution), variant.name, data, execution)
    if variant.decontaminate is not None:
        index = heldout(chosen, data, variant.decontaminate, base, execution)
        found = find_overlaps(chosen, index, data, execution)
        chosen = decontaminate(chosen, index, found, data, variant.decontaminate, execution)
    ids = encode(chosen, learnt, data, execution, variant.canaries, variant.seed)
    return pack(ids, data, variant.tokens, variant.seed, execution)


def split_of(encoded: Manifest) -> Manifest:
    """Find the split from which a recipe's encoded documents come, before decontamination."""
    chosen = inputs_of(encoded, "split")
    if not chosen:
        (cleared,) = inputs_of(encoded, "decontaminate")
        chosen = inputs_of(cleared, "split")
    return chosen[0]


def own_split(variant: Recipe, standing: Manifest, data: Path, base: Path, execution: Execution) -> Manifest:
    """Decide, deduplicate and split anew what the variant reads."""
    sources = {source.name for source in variant.sources}
    cleaned = [c for d in inputs_of(standing, "decide") if d.name in sources for c in inputs_of(d, "clean")]
    decided = [decide(documents, data, variant.profile, execution, base) for documents in cleaned]
    found = exact = dedup(decided, variant.name, data, variant.dedup, execution)
    if variant.dedup.near:
        signed = [sign(d, data, variant.dedup, execution) for d in decided]
        proposed = candidates(exact, signed, data, variant.dedup, execution)
        found = near(exact, signed, proposed, data, variant.dedup, execution)
    return split(found, data, variant.split, variant.seed, execution)
