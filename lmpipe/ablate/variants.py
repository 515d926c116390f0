"""Read what is to be switched off (`--drop filter.words`), and give the recipe without it.

filter              the whole filter profile
filter.NAME         one signal's rule in every language, or all that the profile NAME (gopher-quality) rules on
source.NAME         a source, from training alone
dedup.near          near duplicates stay in
decontaminate       training documents that overlap with held-out ones stay in
train.KEY=VALUE     a setting of the training, such as train.lr=1e-3 or train.model.dropout=0.0
"""

import re
import tomllib
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from lmpipe.curate.profiles import MEASURED, load_profile, read_profile, shipped
from lmpipe.errors import RecipeError
from lmpipe.recipe import from_dict, nearest
from lmpipe.settings import Bounds, Recipe, TrainSettings

KINDS = ("filter", "filter.NAME", "source.NAME", "dedup.near", "decontaminate", "train.KEY=VALUE")
"""What can be dropped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """A recipe without one of its parts."""

    dropped: str
    """As the user wrote it."""
    recipe: Recipe
    """Of another name, so that its datasets are not taken for the recipe's own."""
    training: TrainSettings
    """What is trained on it, with the first seed."""
    same_data: bool
    """Only the training differs."""


def variants(recipe: Recipe, dropped: Iterable[str], train: str | None, base: Path) -> list[Variant]:
    """Give the recipe without each of the named parts; `train` names the training, the first one unless said.

    `base` is the recipe's folder. Raises RecipeError for a part that the recipe does not have.
    """
    training = chosen_training(recipe, train)
    return [variant(recipe, training, name, base) for name in dict.fromkeys(dropped)]


def chosen_training(recipe: Recipe, train: str | None) -> TrainSettings:
    """Find the training that every variant repeats."""
    names = [training.name for training in recipe.train]
    if not names:
        raise RecipeError(f"recipe {recipe.name}: has no [[train]], so nothing can be compared. Add one.")
    if train is not None and train not in names:
        raise RecipeError(f"recipe {recipe.name}: no [[train]] is named '{train}'{nearest(train, names)}.")
    return recipe.train[0 if train is None else names.index(train)]


def seeded(training: TrainSettings, number: int) -> list[TrainSettings]:
    """Repeat a training with so many seeds; the first is its own, so that the recipe's run is one of them."""
    more = [training.seed + step for step in range(1, number)]
    return [training, *(replace(training, seed=seed, name=f"{training.name}-seed{seed}") for seed in more)]


def variant(recipe: Recipe, training: TrainSettings, dropped: str, base: Path) -> Variant:
    """Give the recipe without one part."""
    kind, _, name = dropped.partition(".")
    if kind == "train" and "=" in name:
        changed, without = changed_training(training, name), recipe
    else:
        changed, without = training, without_part(recipe, kind, name, dropped, base)
    slug = re.sub(r"[^a-z0-9]+", "-", dropped.lower()).strip("-")
    named = replace(changed, name=f"{training.name}-without-{slug}")
    same = without is recipe
    return Variant(
        dropped=dropped,
        recipe=replace(without, name=f"{recipe.name}-without-{slug}"),
        training=named,
        same_data=same,
    )


def without_part(recipe: Recipe, kind: str, name: str, dropped: str, base: Path) -> Recipe:
    """Switch off a part that shapes the training documents."""
    if recipe.passages is not None:
        raise RecipeError(
            f"drop {dropped}: the recipe has [passages], whose cuts in held-out documents depend on all others, so no"
            " two variants would score the same text. Ablate a recipe without [passages], or drop train.KEY=VALUE."
        )
    if kind == "filter":
        return without_filter(recipe, name, base)
    if kind == "source" and name:
        return without_source(recipe, name)
    if dropped == "dedup.near" and recipe.dedup.near:
        return replace(recipe, dedup=replace(recipe.dedup, near=False))
    if dropped == "decontaminate" and recipe.decontaminate is not None:
        return replace(recipe, decontaminate=None)
    known = "is not in this recipe" if dropped in KINDS else f"is unknown{nearest(dropped, KINDS)}"
    raise RecipeError(f"drop {dropped}: {known}; expected one of {', '.join(KINDS)}.")


def without_filter(recipe: Recipe, name: str, base: Path) -> Recipe:
    """Lift the rules on one signal, on those of a shipped profile, or all."""
    profile = load_profile(recipe.profile, base)
    ruled = {signal for rules in profile.values() for signal, bounds in rules.items() if bounds != Bounds()}
    group = name.replace("_", "-")
    if not name:
        lifted = set(ruled)
    elif group in shipped():
        lifted = ruled & {signal for rules in read_profile(group, base, ()).values() for signal in rules}
    else:
        lifted = ruled & {name}
    if not lifted:
        known = [*sorted(ruled), *shipped()] if name not in MEASURED else sorted(ruled)
        raise RecipeError(
            f"drop filter.{name}: the profile has no such rule{nearest(name, known)}. It rules on {known}."
        )
    rules = {
        language: recipe.profile.rules.get(language, {})
        | {signal: Bounds() for signal in sorted(lifted & rules.keys())}
        for language, rules in profile.items()
    }
    return replace(recipe, profile=replace(recipe.profile, rules=rules))


def without_source(recipe: Recipe, name: str) -> Recipe:
    """Leave a source out, and its share of the mixture."""
    names = [source.name for source in recipe.sources]
    if name not in names:
        raise RecipeError(f"drop source.{name}: the recipe has no such source{nearest(name, names)}.")
    if len(names) == 1:
        raise RecipeError(f"drop source.{name}: it is the only source, so nothing would be left to train on.")
    tokens = recipe.tokens
    epochs, weights = (
        {source: number for source, number in shares.items() if source != name}
        for shares in (tokens.epochs, tokens.weights)
    )
    return replace(
        recipe,
        sources=tuple(source for source in recipe.sources if source.name != name),
        tokens=replace(tokens, epochs=epochs, weights=weights),
    )


def changed_training(training: TrainSettings, change: str) -> TrainSettings:
    """Set one key of a training, given as in a recipe: lr=1e-3, model.dropout=0.0, schedule="cosine"."""
    path, _, text = change.partition("=")
    where = f"drop train.{change}"
    body: dict[str, Any] = asdict(training)
    *tables, key = path.strip().split(".")
    inside = body
    for table in tables:
        if not isinstance(inside.get(table), dict):
            raise RecipeError(f"{where}: a training has no table '{table}'{nearest(table, inside)}.")
        inside = inside[table]
    inside[key] = toml_value(text.strip(), where)
    changed: TrainSettings = from_dict(TrainSettings, body, where)
    if changed == training:
        raise RecipeError(f"{where}: the training has this value already. Name another.")
    return changed


def toml_value(text: str, where: str) -> Any:
    """Read a value as a recipe has it; a bare word is a string."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        if re.fullmatch(r"[\w-]+", text):
            return text
        raise RecipeError(f"{where}: '{text}' is no TOML value. Write it as in a recipe, strings in quotes.") from None
