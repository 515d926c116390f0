"""Canaries: made-up secrets that are planted in the training split, so that what a model keeps can be measured.

After Carlini et al. 2019, "The Secret Sharer": a fixed sentence with random digits, planted a known number of times;
a model that knows it better than numbers which were never planted has memorised it (evaluate/memorization.py ranks
them). Every number follows from the recipe's seed, and a canary goes neither through filters nor deduplication, which
would remove it.
"""

import hashlib
from collections.abc import Iterator
from typing import NamedTuple

from lmpipe.settings import CanarySettings

SOURCE = "canary"
"""The source of planted documents, as the shards' index has it."""


class Canary(NamedTuple):
    """One secret."""

    id: str
    repeats: int
    text: str


def canaries(settings: CanarySettings, seed: int) -> Iterator[Canary]:
    """List the canaries of a recipe, fewest repeats first."""
    for repeats in sorted(settings.repeats):
        for number in range(settings.number):
            id = f"{repeats}-{number}"
            yield Canary(id, repeats, secret(settings, f"{seed}:planted:{id}"))


def planted(settings: CanarySettings, seed: int) -> Iterator[tuple[str, str]]:
    """List the documents that are planted, as (id, text)."""
    for canary in canaries(settings, seed):
        for repeat in range(canary.repeats):
            yield f"{SOURCE}:{canary.id}-{repeat}", canary.text


def candidates(settings: CanarySettings, seed: int, number: int) -> list[str]:
    """Make texts of the same kind that were not planted."""
    secrets = {canary.text for canary in canaries(settings, seed)}
    made = (secret(settings, f"{seed}:candidate:{place}") for place in range(number))
    return [text for text in made if text not in secrets]


def secret(settings: CanarySettings, key: str) -> str:
    """Write the sentence with digits drawn by hash."""
    digits = int(hashlib.sha256(key.encode()).hexdigest(), 16) % 10**settings.digits
    return settings.text.replace("{}", f"{digits:0{settings.digits}d}")
