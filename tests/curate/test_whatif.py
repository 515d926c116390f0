"""What-if: what another profile would change, counted and shown, with nothing written."""

from pathlib import Path

import pytest

from lmpipe.curate.decide import decide
from lmpipe.curate.profiles import load_profile
from lmpipe.curate.whatif import changed, dropped, dropped_in, what_if
from lmpipe.dataset import Execution
from lmpipe.errors import RecipeError
from lmpipe.settings import Bounds, ProfileSettings
from tests.curate.cleaned import cleaned

RULES = {"any": {"words": Bounds(min=20, max=1000)}}
SETTINGS = ProfileSettings(name="fineweb2-jpn_Jpan", rules=RULES, guard=0.5, guard_documents=10)


def rows(*words: int, lang: str = "en") -> list[dict[str, object]]:
    return [{"words": n, "lang": lang, "text": f"{n} words", "title": f"T{n}"} for n in words]


def test_changes_are_counted_by_source_and_language(tmp_path: Path) -> None:
    wiki = cleaned(tmp_path, rows(10, 30, 60) + rows(30, 30, 2000, lang="zh"), source="wiki", units=2)
    news = cleaned(tmp_path, rows(15, 90), source="news")
    changes = what_if([wiki, news], SETTINGS, ["profile.rules.any.words.min=40"], tmp_path, Path(), 0)
    assert changes.figures == [
        {"source": "news", "lang": "en", "documents": 2, "kept_before": 1, "kept_after": 1, "newly_dropped": 0,
         "newly_kept": 0},
        {"source": "wiki", "lang": "en", "documents": 3, "kept_before": 2, "kept_after": 1, "newly_dropped": 1,
         "newly_kept": 0},
        {"source": "wiki", "lang": "zh", "documents": 3, "kept_before": 2, "kept_after": 0, "newly_dropped": 2,
         "newly_kept": 0},
    ]  # fmt: skip
    assert [(r["lang"], r["change"], r["reason"], r["documents"]) for r in changes.reasons] == [
        ("en", "newly dropped", "words.min", 1),
        ("zh", "newly dropped", "words.min", 2),
    ]
    assert changes.samples == []
    assert len(changes.stops) == 1
    assert "source wiki" in changes.stops[0]


def test_what_would_be_kept_again_names_the_rule_that_dropped_it(tmp_path: Path) -> None:
    manifest = cleaned(tmp_path, rows(10, 30, 5000))
    changes = what_if([manifest], SETTINGS, ["profile.rules.any.words.max=none"], tmp_path, Path(), 5)
    assert [(r["change"], r["reason"], r["documents"]) for r in changes.reasons] == [("newly kept", "words.max", 1)]
    (sample,) = changes.samples
    assert (sample["id"], sample["value"], sample["threshold"]) == ("local:2", 5000, 1000)
    assert (sample["title"], sample["text"]) == ("T5000", "5000 words")


def test_nothing_is_written(tmp_path: Path) -> None:
    manifest = cleaned(tmp_path, rows(10, 30))
    before = sorted(tmp_path.rglob("*"))
    what_if([manifest], SETTINGS, ["profile.name=gopher"], tmp_path, Path(), 5)
    dropped([manifest], load_profile(SETTINGS), tmp_path, 5)
    assert sorted(tmp_path.rglob("*")) == before


def test_samples_come_from_anywhere_and_are_the_same_again(tmp_path: Path) -> None:
    manifest = cleaned(tmp_path, rows(*range(20, 520)), units=2)
    assignments = ["profile.rules.en.words.min=600"]
    first = what_if([manifest], SETTINGS, assignments, tmp_path, Path(), 5).samples
    assert len(first) == 5
    assert all(sample["text"] == f"{sample['value']:g} words" for sample in first)
    assert max(sample["value"] for sample in first) > 120  # beyond the first row group
    assert what_if([manifest], SETTINGS, assignments, tmp_path, Path(), 5).samples == first


def test_every_changed_text_is_found_in_its_row_group(tmp_path: Path) -> None:
    manifest = cleaned(tmp_path, rows(*range(20, 320)))
    samples = what_if([manifest], SETTINGS, ["profile.rules.en.words.min=600"], tmp_path, Path(), 1000).samples
    assert sorted(sample["value"] for sample in samples) == list(range(20, 320))
    assert all(sample["text"] == f"{sample['value']:g} words" for sample in samples)


def test_one_bound_changes_and_the_other_stays() -> None:
    _, profile = changed(SETTINGS, ["profile.rules.en.words.min=50"], Path())
    assert profile["en"]["words"] == Bounds(min=50, max=1000)
    assert profile["any"]["words"] == Bounds(min=20, max=1000)


def test_changes_lie_over_the_profile_that_is_named_with_them() -> None:
    settings, profile = changed(SETTINGS, ["profile.rules.en.words.min=5", "profile.name=gopher"], Path())
    assert settings.name == "gopher"
    assert profile["en"]["words"] == Bounds(min=5, max=100_000)
    assert profile["en"]["stop_words"] == Bounds(min=2)


@pytest.mark.parametrize(
    ("assignment", "words"),
    [
        ("profile.name", r"expected KEY=VALUE"),
        ("profile.rules.en.words=3", r"'profile.rules.en.words' cannot be changed"),
        ("profile.rules.en.wrods.min=3", r"'wrods' is no signal; did you mean 'words'"),
        ("profile.rules.en.words.min=many", r"expected a number or none, found 'many'"),
        ("profile.rules.en.words.min=2000", r"min 2000 is above max 1000"),
        ("profile.name=goffer", r"did you mean 'gopher'"),
        ("dedup.near=true", r"'dedup.near' cannot be changed"),
    ],
)
def test_mistake_in_an_assignment_is_named(assignment: str, words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        changed(SETTINGS, [assignment], Path())


def test_dropped_shows_what_was_asked_for(tmp_path: Path) -> None:
    wiki = cleaned(tmp_path, rows(10, 30, 5000) + rows(3, lang="zh"), source="wiki")
    news = cleaned(tmp_path, rows(7), source="news")
    profile = load_profile(SETTINGS)

    def ids(**where: str | None) -> set[str]:
        return {row["id"] for row in dropped([wiki, news], profile, tmp_path, 10, **where)}

    assert ids() == {"wiki:0", "wiki:2", "wiki:3", "news:0"}
    assert ids(reason="words.min") == {"wiki:0", "wiki:3", "news:0"}
    assert ids(reason="words", source="wiki") == {"wiki:0", "wiki:2", "wiki:3"}
    assert ids(lang="zh") == {"wiki:3"}
    assert ids(reason="lines.min") == set()
    assert len(dropped([wiki, news], profile, tmp_path, 2)) == 2


def test_dropped_reads_a_committed_dataset_too(tmp_path: Path) -> None:
    manifest = cleaned(tmp_path, rows(10, 30, 5000))
    decided = decide(manifest, tmp_path, ProfileSettings(name=SETTINGS.name, rules=RULES, guard=1.0), Execution())
    by_recipe = dropped([manifest], load_profile(SETTINGS), tmp_path, 10)
    assert dropped_in(decided, 10) == by_recipe
    assert [row["text"] for row in dropped_in(decided, 10, reason="words.max")] == ["5000 words"]
