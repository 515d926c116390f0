"""Decisions: the first threshold that is missed, with its value, the guard with its figures, the order of rows."""

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from lmpipe.curate.decide import decide
from lmpipe.curate.forget import forget
from lmpipe.dataset import Execution, Manifest
from lmpipe.errors import GuardError
from lmpipe.settings import Bounds, ProfileSettings
from tests.curate.cleaned import Row, cleaned

RULES = {"any": {"words": Bounds(min=20, max=100), "stop_words": Bounds(min=2), "digit_chars": Bounds(max=0.5)}}
GOOD: Row = {"words": 50, "stop_words": 5, "digit_chars": 0.1}


def decided(manifest: Manifest, data: Path, **settings: Any) -> Manifest:
    """Decide by RULES alone: fineweb2-jpn_Jpan has no rule but for Japanese."""
    settings = {"name": "fineweb2-jpn_Jpan", "rules": RULES, "guard": 1.0} | settings
    return decide(manifest, data, ProfileSettings(**settings), Execution())


def outcomes(manifest: Manifest) -> dict[str, tuple[Any, Any, Any]]:
    rows = [row for path in manifest.paths("decisions") for row in pq.read_table(path).to_pylist()]
    return {row["id"]: (row["reason"], row["value"], row["threshold"]) for row in rows}


def test_first_missed_threshold_is_named_with_its_value(tmp_path: Path) -> None:
    rows = [GOOD, GOOD | {"words": 4, "stop_words": 0}, GOOD | {"words": 101}, GOOD | {"digit_chars": 0.75}]
    manifest = decided(cleaned(tmp_path, rows), tmp_path)
    assert outcomes(manifest) == {
        "local:0": (None, None, None),
        "local:1": ("words.min", 4, 20),
        "local:2": ("words.max", 101, 100),
        "local:3": ("digit_chars.max", 0.75, 0.5),
    }
    assert manifest.counts == {
        "in": 4, "kept": 1, "dropped.words.min": 1, "dropped.words.max": 1, "dropped.digit_chars.max": 1
    }  # fmt: skip


def test_value_on_the_bound_is_kept(tmp_path: Path) -> None:
    rows = [GOOD | {"words": 20}, GOOD | {"words": 100}, GOOD | {"digit_chars": 0.5}]
    assert decided(cleaned(tmp_path, rows), tmp_path).counts == {"in": 3, "kept": 3}


def test_signal_that_is_null_is_inside_any_bounds(tmp_path: Path) -> None:
    rows = [{"words": 50, "stop_words": None, "digit_chars": None}]
    assert decided(cleaned(tmp_path, rows), tmp_path).counts == {"in": 1, "kept": 1}


def test_language_takes_its_own_rules_and_those_of_any_otherwise(tmp_path: Path) -> None:
    rules = RULES | {"zh": {"words": Bounds(min=2)}}
    rows = [GOOD | {"words": 4, "lang": lang} for lang in ("zh", "zh-Hant", "en", "en-GB", None)]
    found = outcomes(decided(cleaned(tmp_path, rows), tmp_path, rules=rules))
    assert [reason for reason, _, _ in found.values()] == [None, None, "words.min", "words.min", "words.min"]


def test_profile_without_rules_keeps_everything(tmp_path: Path) -> None:
    assert decided(cleaned(tmp_path, [{}, {"words": 0}]), tmp_path, rules={}).counts == {"in": 2, "kept": 2}


def test_rows_stand_in_the_order_of_the_shard(tmp_path: Path) -> None:
    rows = [GOOD | {"words": 19 + n % 2} for n in range(700)]
    one = decided(cleaned(tmp_path, rows), tmp_path)
    assert list(outcomes(one)) == [f"local:{n}" for n in range(700)]
    many = decided(cleaned(tmp_path, rows, units=3), tmp_path)
    assert len(many.paths("decisions")) == 3
    assert outcomes(many) == outcomes(one)


def test_profile_that_drops_more_than_its_guard_stops_the_run_with_the_figures(tmp_path: Path) -> None:
    rows = [GOOD, GOOD | {"words": 4}, GOOD | {"words": 4}, GOOD | {"stop_words": 0, "lang": "de"}]
    with pytest.raises(GuardError, match=r"drops 3 of 4 documents, more than profile.guard = 0.5") as error:
        decided(cleaned(tmp_path, rows), tmp_path, guard=0.5)
    assert "de           1 of         1 dropped  stop_words.min 1" in str(error.value)
    assert "en           2 of         3 dropped  words.min 2" in str(error.value)
    assert not list((tmp_path / "decide").rglob("manifest.json"))


def test_profile_that_drops_most_of_one_language_stops_the_run(tmp_path: Path) -> None:
    rows = [GOOD] * 20 + [GOOD | {"lang": "zh", "words": 3}] * 4 + [GOOD | {"lang": "zh"}] * 2
    manifest = cleaned(tmp_path, rows)
    with pytest.raises(GuardError, match=r"drops 4 of 6 documents in zh, more than profile.guard = 0\.5"):
        decided(manifest, tmp_path, guard=0.5, guard_documents=6)
    assert decided(manifest, tmp_path, guard=0.5, guard_documents=7).counts["kept"] == 22


def test_forgotten_document_is_dropped_whatever_it_measures_and_not_guarded(tmp_path: Path) -> None:
    manifest = cleaned(tmp_path, [GOOD, GOOD, GOOD | {"words": 4}])
    before = decided(manifest, tmp_path, guard=0.5)
    forget(["local:0", "local:2"], tmp_path, "asked to")
    after = decided(manifest, tmp_path, guard=0.5)
    assert after.fingerprint != before.fingerprint
    assert outcomes(after)["local:0"] == outcomes(after)["local:2"] == ("forgotten", None, None)
    assert after.counts == {"in": 3, "kept": 1, "dropped.forgotten": 2}
    assert "local:0" not in (after.folder / "manifest.json").read_text()


def test_taking_down_changes_no_other_source(tmp_path: Path) -> None:
    manifest = cleaned(tmp_path, [GOOD], source="news")
    before = decided(manifest, tmp_path)
    forget(["news-archive:0"], tmp_path, "asked to")
    assert decided(manifest, tmp_path).fingerprint == before.fingerprint
