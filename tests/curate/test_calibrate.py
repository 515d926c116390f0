"""Calibration: quantiles of a trusted corpus become a profile that a recipe can name."""

from pathlib import Path

import pytest

from lmpipe.curate.calibrate import calibrate, calibrated_toml, outwards
from lmpipe.curate.decide import decide
from lmpipe.curate.profiles import load_profile
from lmpipe.dataset import Execution
from lmpipe.errors import InputError
from lmpipe.settings import Bounds, ProfileSettings
from tests.curate.cleaned import cleaned


def rows(number: int, lang: str) -> list[dict[str, object]]:
    """Documents of 1000, 1010, 1020 ... words, of which the n-th has 0.001 n duplicate lines."""
    return [{"words": 1000 + 10 * n, "duplicate_lines": n / 1000, "lang": lang} for n in range(number)]


def test_bounds_are_quantiles_on_the_bad_side(tmp_path: Path) -> None:
    learnt = calibrate(cleaned(tmp_path, rows(101, "en")), 0.02, 0.9)
    assert learnt.profile["en"]["words"] == Bounds(min=1020, max=1900)
    assert learnt.profile["en"]["duplicate_lines"] == Bounds(max=0.09)
    assert "alpha_segments" not in learnt.profile["en"]  # null throughout
    assert learnt.dropped == {"en": 12}


def test_each_language_has_bounds_of_its_own_if_it_is_large_enough(tmp_path: Path) -> None:
    manifest = cleaned(tmp_path, rows(100, "en") + rows(200, "zh") + rows(99, "de"), units=3)
    learnt = calibrate(manifest)
    assert set(learnt.profile) == {"en", "zh"}
    assert learnt.profile["en"]["words"].max < learnt.profile["zh"]["words"].max  # type: ignore[operator]
    assert "de: 99 documents are fewer than 100, so no rules" in calibrated_toml(manifest, learnt, 0.01, 0.99)


def test_printed_profile_decides_as_the_learnt_one(tmp_path: Path) -> None:
    manifest = cleaned(tmp_path, rows(300, "en"))
    learnt = calibrate(manifest, 0.1, 0.9)
    (tmp_path / "mine.toml").write_text(calibrated_toml(manifest, learnt, 0.1, 0.9))
    settings = ProfileSettings(name="mine.toml", guard=1.0)
    assert load_profile(settings, tmp_path) == learnt.profile
    decided = decide(manifest, tmp_path, settings, Execution(), tmp_path)
    assert (
        decided.counts["in"] - decided.counts["kept"] == learnt.dropped["en"] == 59
    )  # 29 shorter ones, 30 longer ones


@pytest.mark.parametrize(
    ("value", "lower", "upper"), [(0.123456, 0.1234, 0.1235), (1234.56, 1234, 1235), (98765, 98760, 98770), (0, 0, 0)]
)
def test_bounds_are_rounded_away_from_the_corpus(value: float, lower: float, upper: float) -> None:
    import math

    assert outwards(value, math.floor) == pytest.approx(lower, rel=1e-12)
    assert outwards(value, math.ceil) == pytest.approx(upper, rel=1e-12)


@pytest.mark.parametrize(("low", "high"), [(0.5, 0.5), (-0.1, 0.9), (0.1, 1.1)])
def test_quantiles_out_of_order_are_refused(tmp_path: Path, low: float, high: float) -> None:
    with pytest.raises(InputError, match="expected 0 <= low < high <= 1"):
        calibrate(cleaned(tmp_path, rows(100, "en")), low, high)


def test_corpus_that_is_too_small_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no language has 100 documents, found \{'en': 99\}"):
        calibrate(cleaned(tmp_path, rows(99, "en")))
