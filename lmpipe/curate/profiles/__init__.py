"""Filter profiles: one TOML of thresholds over signals each, and the reader that resolves them.

A profile has a table a language, signal by signal, and `any` for the languages without a table of their
own. `include` names profiles whose rules hold too: a language takes from each part its own table there or
the part's `any`, later parts over earlier ones, and the profile's own rules over all. A rule replaces a rule
as a whole; `words = {}` lifts one.
"""

import tomllib
from collections.abc import Sequence
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.types as patypes

from lmpipe.curate.signals import SIGNALS
from lmpipe.errors import RecipeError
from lmpipe.recipe import convert, nearest
from lmpipe.settings import Bounds, ProfileSettings

MEASURED = tuple(f.name for f in SIGNALS if patypes.is_floating(f.type) or patypes.is_integer(f.type))
"""The signals that can have thresholds, in the order in which they are tested."""

THRESHOLDS = pa.schema(
    [
        ("lang", pa.string()),
        ("signal", pa.string()),
        ("position", pa.int64()),
        ("min", pa.float64()),
        ("max", pa.float64()),
    ]
)
"""A resolved profile: one row per language and signal."""

ANY = "any"
"""The table of languages without one."""

Profile = dict[str, dict[str, Bounds]]
"""Language (or any) to signal to bounds."""


def load_profile(settings: ProfileSettings, base: Path = Path()) -> Profile:
    """Read the named profile, or the file relative to `base`, and lay the recipe's own rules over it.

    Raises RecipeError for an unknown profile or signal, a circle of includes, or bounds the wrong way round.
    """
    profile = read_profile(settings.name, base, ())
    for language, rules in settings.rules.items():
        profile[language] = rules_for(profile, language) | rules
    for language, rules in profile.items():
        for signal, bounds in rules.items():
            check_rule(f"profile.rules.{language}", signal, bounds)
    return profile


def read_profile(name: str, base: Path, inside: Sequence[str]) -> Profile:
    """Read one profile with what it includes; `inside` names the profiles that include it."""
    if name in inside:
        raise RecipeError(f"profile {inside[0]}: includes itself by way of {list(inside)}. Take one of them out.")
    file, folder = find_profile(name, base)
    try:
        body = tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RecipeError(f"profile {name}: not valid TOML in UTF-8: {error}.") from None
    parts: tuple[str, ...] = convert(tuple[str, ...], body.pop("include", []), f"profile {name}: include")
    own: Profile = convert(Profile, body, f"profile {name}")
    return merge([*(read_profile(part, folder, (*inside, name)) for part in parts), own])


def find_profile(name: str, base: Path) -> tuple[Traversable, Path]:
    """Find a profile's file, and the folder from which its own paths count."""
    if name.endswith(".toml"):
        path = base / name
        if not path.is_file():
            raise RecipeError(f"profile.name: no file {path}. Write the path relative to the recipe.")
        return path, path.parent
    known = shipped()
    if name not in known:
        raise RecipeError(f"profile.name: '{name}' is unknown{nearest(name, known)}. A file of your own ends in .toml.")
    return known[name], base


def shipped() -> dict[str, Traversable]:
    """List the profiles that come with lmpipe, by name."""
    folder = files("lmpipe.curate.profiles")
    found = sorted((item.name, item) for item in folder.iterdir() if item.name.endswith(".toml"))
    return {name.removesuffix(".toml"): item for name, item in found}


def merge(parts: Sequence[Profile]) -> Profile:
    """Lay profiles over each other, language by language."""
    languages = sorted({language for part in parts for language in part})
    merged: Profile = {}
    for language in languages:
        merged[language] = {}
        for part in parts:
            merged[language] |= rules_for(part, language)
    return merged


def rules_for(profile: Profile, language: str) -> dict[str, Bounds]:
    """Take a language's rules, or those of any."""
    return profile.get(language, profile.get(ANY, {}))


def check_rule(where: str, signal: str, bounds: Bounds) -> None:
    """Refuse a rule that no document could be held to."""
    if signal not in MEASURED:
        raise RecipeError(f"{where}: '{signal}' is no signal{nearest(signal, MEASURED)}.")
    if bounds.min is not None and bounds.max is not None and bounds.min > bounds.max:
        raise RecipeError(f"{where}.{signal}: min {bounds.min:g} is above max {bounds.max:g}. Exchange them.")


def resolved(profile: Profile) -> dict[str, Any]:
    """Lay a profile out as JSON data, for a manifest."""
    return {
        language: {signal: {"min": b.min, "max": b.max} for signal, b in sorted(rules.items())}
        for language, rules in sorted(profile.items())
    }


def thresholds(profile: Profile) -> pa.Table:
    """Lay a profile out as a table, so that deciding is a join."""
    rows = [
        {"lang": language, "signal": signal, "position": MEASURED.index(signal), "min": b.min, "max": b.max}
        for language, rules in sorted(profile.items())
        for signal, b in sorted(rules.items())
    ]
    return pa.Table.from_pylist(rows, schema=THRESHOLDS)


def to_toml(profile: Profile, comment: str) -> str:
    """Write a profile as a file that load_profile reads; `comment` stands on top, line by line."""
    lines = [f"# {line}".rstrip() for line in comment.splitlines()]
    for language, rules in sorted(profile.items()):
        lines += ["", f"[{language}]"]
        for signal in sorted(rules, key=MEASURED.index):
            bounds = [
                f"{key} = {value:g}"
                for key, value in (("min", rules[signal].min), ("max", rules[signal].max))
                if value is not None
            ]
            lines.append(f"{signal} = {{ {', '.join(bounds)} }}" if bounds else f"{signal} = {{}}")
    return "\n".join(lines) + "\n"
