"""Profiles: what they include and override, files of one's own, and mistakes that are refused."""

from pathlib import Path

import pytest
import yaml

from lmpipe.curate.profiles import load_profile, shipped, thresholds, to_toml
from lmpipe.errors import RecipeError
from lmpipe.settings import Bounds, ProfileSettings
from lmpipe.text.stopwords import short_list


def load(name: str, base: Path = Path()) -> dict[str, dict[str, Bounds]]:
    return load_profile(ProfileSettings(name=name), base)


def own(tmp_path: Path, body: str, name: str = "mine.toml") -> str:
    (tmp_path / name).write_text(body, encoding="utf-8")
    return name


@pytest.mark.parametrize("name", sorted(set(shipped()) - {"none"}))
def test_shipped_profile_resolves_to_bounds(name: str) -> None:
    assert any(bounds != Bounds() for rules in load(name).values() for bounds in rules.values())


def test_profile_holds_what_it_includes_in_every_language() -> None:
    whole, quality, repetition = load("gopher"), load("gopher-quality"), load("gopher-repetition")
    assert whole["en"] == repetition["any"] | quality["en"]
    assert whole["any"] == repetition["any"] | quality["any"]


def test_fineweb_is_gopher_c4_without_lines_and_its_own_rules() -> None:
    rules = load("fineweb")["en"]
    assert rules["top_2gram_chars"] == Bounds(max=0.2)
    assert rules["stop_words"] == Bounds(min=2)
    assert rules["punctuated_lines"] == Bounds(min=0.12)
    assert rules["sentences"] == Bounds(min=5)
    assert "c4_sentences" not in rules


LANGUAGES = {"zh": "cmn_Hani", "de": "deu_Latn", "fr": "fra_Latn", "ja": "jpn_Jpan"}
"""The configs of FineWeb2 that the corpora hold."""


@pytest.mark.parametrize("lang", LANGUAGES)
def test_fineweb2_thresholds_are_those_of_its_config(corpora: Path, lang: str) -> None:
    config = yaml.safe_load((corpora / "reference/fineweb-2/configs" / f"{LANGUAGES[lang]}.yml").read_text())
    fixed = {
        "words": Bounds(min=50, max=100_000),
        "hash_words": Bounds(max=0.1),
        "ellipsis_words": Bounds(max=0.1),
        "bullet_lines": Bounds(max=0.9),
        "ellipsis_lines": Bounds(max=0.3),
        "stop_words": Bounds(min=2),
        "char_duplicate_ratio": Bounds(max=0.1),
    }
    assert load(f"fineweb2-{LANGUAGES[lang]}")[lang] == fixed | {
        "mean_word_chars": Bounds(min=config["min_avg_word_length"], max=config["max_avg_word_length"]),
        "alpha_segments": Bounds(min=config["max_non_alpha_words_ratio"]),
        "duplicate_lines": Bounds(max=config["dup_line_frac"]),
        **{f"top_{n}gram_chars": Bounds(max=most) for n, most in config["top_n_grams"]},
        **{f"duplicate_{n}gram_chars": Bounds(max=most) for n, most in config["dup_n_grams"]},
        "punctuated_lines": Bounds(min=config["line_punct_thr"]),
        "newlines_per_word": Bounds(max=config["new_line_ratio"]),
    }
    assert set(short_list(lang)) == set(config["stopwords"])
    assert load("fineweb2")[lang] == load(f"fineweb2-{LANGUAGES[lang]}")[lang]


def test_own_file_is_read_relative_to_the_recipe(tmp_path: Path) -> None:
    (tmp_path / "profiles").mkdir()
    own(tmp_path / "profiles", "[any]\nwords = { min = 7 }\n", "base.toml")
    own(tmp_path / "profiles", 'include = ["base.toml", "c4"]\n[en]\nc4_sentences = {}\n', "mine.toml")
    profile = load("profiles/mine.toml", tmp_path)
    assert profile["any"]["words"] == Bounds(min=7)
    assert profile["any"]["c4_sentences"] == Bounds(min=3)
    assert profile["en"]["c4_sentences"] == Bounds()
    assert profile["en"]["words"] == Bounds(min=7)


def test_recipe_rule_replaces_the_profile_s_in_its_language_alone() -> None:
    profile = load_profile(ProfileSettings(name="basic", rules={"de": {"words": Bounds(min=3)}}))
    assert profile["de"]["words"] == Bounds(min=3)
    assert profile["de"]["bullet_lines"] == profile["any"]["bullet_lines"]
    assert profile["any"]["words"].min == 20


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("[en]\nwrods = { min = 1 }", r"profile.rules.en: 'wrods' is no signal; did you mean 'words'\?"),
        ("[en]\nwords = { mni = 1 }", r"unknown key 'mni'; did you mean 'min'\?"),
        ("[en]\nwords = { min = 9, max = 3 }", r"profile.rules.en.words: min 9 is above max 3"),
        ("[en]\nwords = 5", r"expected a table, found 5"),
        ("words = [", r"profile mine.toml: not valid TOML"),
        ('include = ["goffer"]', r"'goffer' is unknown; did you mean 'gopher'\?"),
        ('include = ["mine.toml"]', r"profile mine.toml: includes itself"),
        ('include = "gopher"', r"include: expected a list"),
    ],
)
def test_mistake_in_a_profile_is_named(tmp_path: Path, body: str, words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        load(own(tmp_path, body), tmp_path)


def test_unknown_name_and_missing_file_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(
        RecipeError, match=r"'basik' is unknown; did you mean 'basic'\?\. A file of your own ends in \.toml"
    ):
        load("basik")
    with pytest.raises(RecipeError, match=r"no file .*basic\.toml"):
        load("basic.toml", tmp_path)


def test_written_profile_is_read_back(tmp_path: Path) -> None:
    profile = load("fineweb")
    own(tmp_path, to_toml(profile, "two\nlines"))
    assert load("mine.toml", tmp_path) == profile


def test_order_of_rules_in_a_file_changes_nothing(tmp_path: Path) -> None:
    first = own(tmp_path, "[en]\nwords = { min = 1 }\nlines = { min = 2 }\n[de]\nwords = { min = 3 }", "a.toml")
    second = own(tmp_path, "[de]\nwords = { min = 3 }\n[en]\nlines = { min = 2 }\nwords = { min = 1 }", "b.toml")
    assert thresholds(load(first, tmp_path)).equals(thresholds(load(second, tmp_path)))
