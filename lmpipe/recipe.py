"""Read a recipe: one TOML file in, one frozen Recipe out, every mistake refused with its place.

The reader follows the annotations of the dataclasses in lmpipe/settings, so a setting is declared once: an unknown key
is refused with the nearest spelling, a wrong type or a number out of range with what was expected.
"""

import dataclasses
import difflib
import itertools
import math
import os
import re
import tomllib
import types
import typing
from pathlib import Path
from typing import Any

from lmpipe.errors import InputError, RecipeError
from lmpipe.settings import (
    DecontaminateSettings,
    EvaluationSet,
    LadderSettings,
    NgramSettings,
    PairSet,
    Recipe,
    Source,
    TrainSettings,
    TransformerSettings,
)
from lmpipe.settings.models import PRESETS


def load_recipe(path: Path) -> Recipe:
    """Read and check a recipe file.

    Raises RecipeError with file, key, what was expected and what was found.
    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RecipeError(f"{path}: no such recipe. Name a .toml file, such as flows/recipes/demo.toml.") from None
    except IsADirectoryError:
        raise RecipeError(f"{path}: is a folder. Name a .toml file inside it.") from None
    except UnicodeDecodeError as error:
        raise RecipeError(f"{path}: not UTF-8 at byte {error.start}. Save the recipe as UTF-8.") from None
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"{path}: not valid TOML: {error}.") from None
    recipe: Recipe = from_dict(Recipe, data, path.name)
    check(recipe, path.name)
    return recipe


def from_dict(kind: type, data: Any, where: str) -> Any:
    """Build the dataclass `kind` from parsed TOML or JSON, strictly; `where` names the place in errors."""
    if not isinstance(data, dict):
        raise RecipeError(f"{where}: expected a table, found {describe(data)}.")
    hints = typing.get_type_hints(kind, include_extras=True)
    fields = {f.name: f for f in dataclasses.fields(kind)}
    for key in data:
        if key not in fields:
            raise RecipeError(f"{where}: unknown key '{key}'{nearest(key, fields)}. Fix the spelling.")
    missing = [
        name
        for name, f in fields.items()
        if name not in data and f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
    ]
    if missing:
        raise RecipeError(f"{where}: missing key '{missing[0]}' ({plain(hints[missing[0]])}). Add it.")
    return kind(**{key: convert(hints[key], value, f"{where}: {key}") for key, value in data.items()})


def convert(hint: Any, value: Any, where: str) -> Any:
    """Check `value` against the annotation `hint` and return it in that type."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Annotated:
        number = convert(args[0], value, where)
        if number not in args[1]:
            raise RecipeError(f"{where}: expected {plain(hint)}, found {describe(value)}.")
        return number
    if origin is typing.Literal:
        if value not in args:
            raise RecipeError(f"{where}: {value!r} is not one of {list(args)}{nearest(value, args)}.")
        return value
    if origin in (typing.Union, types.UnionType):
        return convert_union(args, value, where)
    if origin is tuple:
        return convert_list(args[0], value, where)
    if origin is dict:
        return convert_table(args[1], value, where)
    if dataclasses.is_dataclass(hint):
        return from_dict(typing.cast(type, hint), value, where)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    wrong = not isinstance(value, hint) or (isinstance(value, bool) and hint is not bool)
    if wrong or (hint is float and not math.isfinite(value)):
        raise RecipeError(f"{where}: expected {plain(hint)}, found {describe(value)}.")
    return value


def convert_list(hint: Any, value: Any, where: str) -> tuple[Any, ...]:
    """Read a TOML array as a tuple."""
    if not isinstance(value, list | tuple):
        raise RecipeError(f"{where}: expected a list, found {describe(value)}.")
    return tuple(convert(hint, item, f"{where}[{index}]") for index, item in enumerate(value))


def convert_table(hint: Any, value: Any, where: str) -> dict[str, Any]:
    """Read a TOML table with free keys as a dict, sorted by key so that order changes nothing."""
    if not isinstance(value, dict):
        raise RecipeError(f"{where}: expected a table, found {describe(value)}.")
    return {key: convert(hint, value[key], f"{where}.{key}") for key in sorted(value)}


def convert_union(args: tuple[Any, ...], value: Any, where: str) -> Any:
    """Read an optional value, or the one of several dataclasses that the key `kind` names."""
    if value is None and type(None) in args:
        return None
    choices = [arg for arg in args if arg is not type(None)]
    if len(choices) == 1:
        return convert(choices[0], value, where)
    if not isinstance(value, dict):
        raise RecipeError(f"{where}: expected a table, found {describe(value)}.")
    if "preset" in value:
        value = with_preset(value, where)
    by_kind = {typing.get_args(typing.get_type_hints(c)["kind"])[0]: c for c in choices}
    kind = value.get("kind")
    if kind not in by_kind:
        raise RecipeError(f"{where}: kind {kind!r} is not one of {sorted(by_kind)}{nearest(kind, by_kind)}.")
    return from_dict(by_kind[kind], value, where)


def check(recipe: Recipe, where: str) -> None:
    """Refuse what types cannot say: empty lists, double names, settings that do not go together."""
    if not recipe.sources:
        raise RecipeError(f"{where}: sources is empty. Add at least one [[sources]] table.")
    for what, names in (("source", [s.name for s in recipe.sources]), ("train", [t.name for t in recipe.train])):
        for name in names:
            if names.count(name) > 1:
                raise RecipeError(f"{where}: two {what} entries are named '{name}'. Rename one.")
            check_name(name, f"{where}: {what} name")
    for source in recipe.sources:
        if not source.paths and getattr(source, "download", None) is None:
            raise RecipeError(f"{where}: sources.{source.name} has no paths. Name files, or add a download table.")
    check_name(recipe.name, f"{where}: name")
    if recipe.decontaminate is not None:
        check_decontaminate(recipe.decontaminate, f"{where}: decontaminate")
    check_probes(recipe, where)
    check_split(recipe, where)
    check_models(recipe, where)


def check_decontaminate(settings: DecontaminateSettings, where: str) -> None:
    """Refuse sets that cannot be told apart or read."""
    taken = ["valid", "test"]  # the recipe's own sets
    for chosen in settings.sets:
        check_name(chosen.name, f"{where}: set name")
        if chosen.name in taken:
            raise RecipeError(f"{where}: a set named '{chosen.name}' is there already. Rename this one.")
        taken.append(chosen.name)
        if not chosen.paths or not chosen.text:
            raise RecipeError(f"{where}: set {chosen.name}: paths and text must name something. Add them.")
        try:
            re.compile(chosen.without or "")
        except re.error as error:
            raise RecipeError(f"{where}: set {chosen.name}: without is no regular expression: {error}.") from None
    if not settings.sets and not settings.own:
        raise RecipeError(f"{where}: neither sets nor own: nothing to compare with. Add [[decontaminate.sets]].")


def check_name(name: str, where: str) -> None:
    """Names become folders and artifact keys: lower case letters, digits and dashes."""
    if not name or not name.isascii() or not name.replace("-", "a").isalnum() or name != name.lower():
        raise RecipeError(f"{where}: '{name}' must be lower case letters, digits and dashes, such as wiki-en.")


def with_preset(value: dict[str, Any], where: str) -> dict[str, Any]:
    """Fill in the fields of a model's preset; what the recipe names itself comes first."""
    name = value["preset"]
    if name not in PRESETS:
        raise RecipeError(f"{where}: preset {name!r} is unknown{nearest(name, PRESETS)}. Fix the spelling.")
    return PRESETS[name] | {key: field for key, field in value.items() if key != "preset"}


def check_split(recipe: Recipe, where: str) -> None:
    """Refuse shares that leave nothing to train on, and grains and splits of what there is not."""
    if recipe.split.valid + recipe.split.test >= 1:
        raise RecipeError(f"{where}: split.valid + split.test leave nothing to train on. Make them smaller.")
    unknown = set(recipe.split.by) - {s.name for s in recipe.sources}
    if unknown:
        raise RecipeError(f"{where}: split.by names no source: {sorted(unknown)}. Use the names of [[sources]].")
    unknown = {key.partition(":")[0] for key in recipe.split.given} - {s.name for s in recipe.sources}
    if unknown:
        raise RecipeError(
            f"{where}: split.given names no source: {sorted(unknown)}. Use the names of [[sources]], or document ids"
            " such as ptb:ptb.test.txt."
        )


def check_models(recipe: Recipe, where: str) -> None:
    """Refuse a tokenizer, trainings or evaluations that could not run."""
    if recipe.tokenizer.kind in ("bpe", "unigram") and recipe.tokenizer.vocabulary < 257:
        raise RecipeError(
            f"{where}: tokenizer.vocabulary is {recipe.tokenizer.vocabulary};"
            " 256 bytes and the end-of-text token need 257."
        )
    if not (recipe.evaluate.strides or recipe.evaluate.carry):
        raise RecipeError(f"{where}: evaluate.strides is empty, and nothing is carried. Name disjoint, half or both.")
    for chosen in recipe.evaluate.sets:
        check_name(chosen.name, f"{where}: evaluate.sets name")
    for t in recipe.train:
        check_training(t, f"{where}: train.{t.name}")
    if recipe.ladder is not None:
        check_ladder(recipe.ladder, recipe.train, f"{where}: ladder")


def check_probes(recipe: Recipe, where: str) -> None:
    """Refuse pair sets that share a name, and canaries and audits that could say nothing."""
    names = [chosen.name for chosen in recipe.pairs]
    for name in names:
        check_name(name, f"{where}: pairs name")
        if names.count(name) > 1:
            raise RecipeError(f"{where}: two pairs entries are named '{name}'. Rename one.")
    planted = recipe.canaries
    if planted is not None and ("{}" not in planted.text or not planted.repeats):
        raise RecipeError(
            f"{where}: canaries: expected {{}} in text and some repeats, found {planted.text!r} and"
            f" {list(planted.repeats)}. Say where the number stands, and how often."
        )


def check_training(training: TrainSettings, where: str) -> None:
    """Refuse settings of a training that do not go together."""
    model = training.model
    if training.steps == 0:
        raise RecipeError(f"{where}.steps is 0; expected 1 or more. Set it.")
    if training.private is not None:
        check_private(training, f"{where}.private")
    check_marks(training, where)
    if not isinstance(model, TransformerSettings):
        return
    if model.width % (2 * model.heads):
        raise RecipeError(f"{where}.model.width {model.width} must be an even multiple of heads {model.heads}.")
    if training.order == "in_order":
        raise RecipeError(f"{where}: order = 'in_order' needs an LSTM, whose state can be carried. Take 'shuffled'.")
    if model.positions is not None and model.positions < training.context:
        raise RecipeError(
            f"{where}: context {training.context} is longer than model.positions {model.positions}. Shorten it."
        )


def check_marks(training: TrainSettings, where: str) -> None:
    """Refuse marks that say nothing, and trainings that cannot leave tokens out."""
    if training.learn_after is None and training.learn_until is None:
        return
    if not training.learn_after or training.learn_until == "":
        raise RecipeError(
            f"{where}: learn_after comes first, then perhaps learn_until, and neither is empty. Mend them."
        )
    if isinstance(training.model, NgramSettings):
        raise RecipeError(f"{where}.learn_after: an n-gram model counts every token. Take it out.")
    if training.private is not None:
        raise RecipeError(f"{where}.learn_after: the account of a private training is of whole rows. Take it out.")


def check_private(training: TrainSettings, where: str) -> None:
    """Refuse a private training whose bound would mean nothing."""
    if isinstance(training.model, NgramSettings):
        raise RecipeError(f"{where}: an n-gram model is counted, without steps to add noise to. Take it out.")
    if training.order == "in_order":
        raise RecipeError(f"{where}: a carried state ties rows together. Take order = 'shuffled'.")


def check_ladder(ladder: LadderSettings, trainings: tuple[TrainSettings, ...], where: str) -> None:
    """Refuse a ladder whose trainings could not share a trunk, or tell no law."""
    base = next((t for t in trainings if t.name == ladder.train), None)
    if base is None:
        hint = nearest(ladder.train, (t.name for t in trainings))
        raise RecipeError(f"{where}.train: no [[train]] is named '{ladder.train}'{hint}.")
    if base.schedule != "wsd" or base.weight_decay_schedule != "constant" or not 0 < base.decay < 1:
        raise RecipeError(
            f"{where}: trainings of one size share their beginning only with schedule = 'wsd', 0 < decay < 1 and a"
            f" constant weight decay. Set them in train.{base.name}."
        )
    if len(ladder.sizes) < 3 or len(ladder.budgets) < 3:
        raise RecipeError(
            f"{where}: expected three sizes and three budgets or more, found {len(ladder.sizes)} and"
            f" {len(ladder.budgets)}; fewer tell no law. Add some."
        )
    steps = [budget // (base.batch * base.context) for budget in ladder.budgets]
    if steps[0] < 2 or any(later <= earlier for earlier, later in itertools.pairwise(steps)):
        raise RecipeError(
            f"{where}.budgets {list(ladder.budgets)} come to {steps} steps of {base.batch * base.context} tokens;"
            " expected rising numbers from 2 on. Spread the budgets."
        )
    for number, model in enumerate(ladder.sizes):
        if isinstance(model, NgramSettings):
            raise RecipeError(f"{where}.sizes[{number}]: an n-gram model has no budget of steps. Take another kind.")
        check_training(dataclasses.replace(base, model=model), f"{where}.sizes[{number}]")


def source_files(source: Source | EvaluationSet | PairSet, base: Path) -> list[Path]:
    """Resolve the paths and globs of a source or set against the recipe's folder, sorted and without repetition.

    Raises InputError when a path names nothing, or an environment variable is not set.
    """
    found: set[Path] = set()
    for pattern in source.paths:
        expanded = os.path.expandvars(pattern)
        if "$" in expanded:
            raise InputError(
                f"source {source.name}: {pattern}: environment variable not set. Export it, or write the path."
            )
        path = base / expanded
        root = Path(path.absolute().anchor)
        matches = [path] if path.exists() else list(root.glob(str(path.absolute().relative_to(root))))
        if not matches:
            raise InputError(f"source {source.name}: {path}: no such file. Expected a file or glob of files.")
        for match in matches:
            found.update([p for p in match.rglob("*") if p.is_file()] if match.is_dir() else [match])
    if source.paths and not found:
        raise InputError(f"source {source.name}: {list(source.paths)} hold no file. Check the paths in the recipe.")
    return sorted(found)


def nearest(word: Any, known: typing.Iterable[Any]) -> str:
    """Say what was probably meant, or what there is."""
    names = sorted(str(k) for k in known)
    close = difflib.get_close_matches(str(word), names, n=1)
    return f"; did you mean '{close[0]}'?" if close else f"; expected one of {names}"


def plain(hint: Any) -> str:
    """Name a type as a recipe writer would."""
    names = {int: "a whole number", float: "a number", str: "a string", bool: "true or false"}
    args = typing.get_args(hint)
    if typing.get_origin(hint) is typing.Annotated:
        return f"{names[args[0]]}{'' if args[1].above else ','} {args[1]}"
    if typing.get_origin(hint) is typing.Literal:
        return f"one of {list(args)}"
    return names.get(hint, str(hint).replace("lmpipe.settings.", ""))


def describe(value: Any) -> str:
    """Name a value and its type."""
    return f"{value!r} ({type(value).__name__})"
