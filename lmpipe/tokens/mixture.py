"""How often each source is seen in one pass over the training shards: epochs as given, or from weights."""

from collections.abc import Mapping

from lmpipe.errors import InputError
from lmpipe.settings import TokensSettings

DECIMALS = 6
"""Of epochs that come from weights: one document in a million."""


def mixture(settings: TokensSettings, tokens: Mapping[str, int], where: str) -> dict[str, float]:
    """Give the epochs of every source that has training tokens; `tokens` counts those.

    Weights keep the size of the whole: with shares s of T tokens, a source of t tokens is seen s T / t times.
    Raises InputError for a source that there is not, both ways at once, or nothing but zeros.
    """
    given = settings.epochs or settings.weights
    if settings.epochs and settings.weights:
        raise InputError(f"{where}: tokens.epochs and tokens.weights are two ways to say one thing. Remove one.")
    if unknown := sorted(given.keys() - tokens.keys()):
        raise InputError(f"{where}: tokens.epochs or weights names {unknown}; expected some of {sorted(tokens)}.")
    if given and not any(given.values()):
        raise InputError(f"{where}: tokens.epochs or weights is {given}; expected numbers that are not all 0.")
    if not settings.weights:
        return {source: settings.epochs.get(source, 1.0) for source in sorted(tokens)}
    if missing := sorted(tokens.keys() - given.keys()):
        raise InputError(f"{where}: tokens.weights leaves out {missing}. Give every source a share, 0 for none.")
    share = sum(tokens.values()) / sum(given.values())
    return {source: round(given[source] * share / tokens[source], DECIMALS) for source in sorted(tokens)}
