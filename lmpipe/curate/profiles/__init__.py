"""Filter profiles: one TOML of thresholds over signals each, and the reader that resolves them."""

import tomllib
from importlib.resources import files

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


def load_profile(settings: ProfileSettings) -> dict[str, dict[str, Bounds]]:
    """Read the named profile and lay the recipe's own rules over it; language to signal to bounds.

    Raises RecipeError for an unknown profile or signal.
    """
    folder = files("lmpipe.curate.profiles")
    known = {item.name.removesuffix(".toml"): item for item in folder.iterdir() if item.name.endswith(".toml")}
    if settings.name not in known:
        raise RecipeError(f"profile.name: '{settings.name}' is unknown{nearest(settings.name, known)}.")
    body = tomllib.loads(known[settings.name].read_text(encoding="utf-8"))
    profile: dict[str, dict[str, Bounds]] = convert(dict[str, dict[str, Bounds]], body, f"profile {settings.name}")
    for language, rules in settings.rules.items():
        profile[language] = profile.get(language, profile.get("any", {})) | rules
    for language, rules in profile.items():
        for signal in rules:
            if signal not in MEASURED:
                raise RecipeError(f"profile.rules.{language}: '{signal}' is no signal{nearest(signal, MEASURED)}.")
    return profile


def thresholds(profile: dict[str, dict[str, Bounds]]) -> pa.Table:
    """Lay a profile out as a table, so that deciding is a join."""
    rows = [
        {"lang": language, "signal": signal, "position": MEASURED.index(signal), "min": b.min, "max": b.max}
        for language, rules in sorted(profile.items())
        for signal, b in sorted(rules.items())
    ]
    return pa.Table.from_pylist(rows, schema=THRESHOLDS)
