"""MinHash: signatures that follow the theory, and similarities that equal sets' own."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmpipe.curate.minhash import Signer, fingerprints, jaccards
from lmpipe.curate.shingles import Sets, shingle_sets
from lmpipe.settings import DedupSettings

NUMBERS = st.integers(0, 99) | st.integers(0, 2**48 - 1)
FILLED = st.lists(st.frozensets(NUMBERS, min_size=1, max_size=20), min_size=1, max_size=5)


def sets_of(*sets: np.typing.NDArray[np.uint64]) -> Sets:
    return Sets(np.concatenate(sets), np.cumsum([0, *map(len, sets)]))


def hashes(numbers: frozenset[int]) -> np.typing.NDArray[np.uint64]:
    return np.array(sorted(numbers), np.uint64)


@settings(max_examples=50)
@given(FILLED)
def test_jaccard_equals_that_of_sets(sets: list[frozenset[int]]) -> None:
    one = sets[0]
    found = jaccards(hashes(one), [hashes(other) for other in sets])
    assert found.tolist() == [len(one & other) / len(one | other) for other in sets]


@settings(max_examples=30)
@given(FILLED)
def test_a_signature_depends_on_its_set_alone(batch: list[frozenset[int]]) -> None:
    together, signer = sets_of(*map(hashes, batch)), Signer(DedupSettings())
    for index, numbers in enumerate(batch):
        alone = sets_of(hashes(numbers))
        assert signer.bands(alone).tolist() == signer.bands(together)[index : index + 1].tolist()
        assert fingerprints(alone)[0] == fingerprints(together)[index]


def test_sets_differ_in_their_fingerprint_when_they_differ_in_one_shingle() -> None:
    numbers = frozenset(range(1000))
    found = fingerprints(sets_of(*(hashes(numbers - {n} | {n + 5000}) for n in range(500)), hashes(numbers)))
    assert len(set(found.tolist())) == 501


@pytest.mark.parametrize("size", [20, 300, 3000])
@pytest.mark.parametrize("similarity", [0.5, 0.6, 0.7, 0.8, 0.9, 1.0])
def test_pairs_meet_as_often_as_the_banding_curve_says(similarity: float, size: int) -> None:
    shape, num_pairs = DedupSettings(), 500
    chance = np.random.default_rng(size)
    common = round(2 * size * similarity / (1 + similarity))
    drawn = chance.integers(0, 2**48, (num_pairs, 2 * size - common), np.uint64)
    a, b = (Signer(shape).bands(sets_of(*part)) for part in (drawn[:, :size], drawn[:, size - common :]))
    met = (a == b).any(axis=1).mean()
    expected = 1 - (1 - (common / (2 * size - common)) ** shape.rows) ** shape.bands
    assert abs(met - expected) <= 3 * (expected * (1 - expected) / num_pairs) ** 0.5


def test_every_row_of_a_signature_agrees_as_often_as_the_sets_are_alike() -> None:
    shape, num_pairs = DedupSettings(bands=112, rows=1), 400
    drawn = np.random.default_rng(1).integers(0, 2**48, (num_pairs, 150), np.uint64)
    a, b = (Signer(shape).bands(sets_of(*part)) for part in (drawn[:, :100], drawn[:, 50:]))
    agree = (a == b).mean(axis=0)  # at similarity 1/3
    assert abs(agree.mean() - 1 / 3) < 0.01
    assert abs(agree - 1 / 3).max() < 4 * (2 / 9 / num_pairs) ** 0.5


def test_signatures_never_change() -> None:
    """Signatures on disk are compared with new ones: this guards the constants."""
    sets = shingle_sets(
        [" ".join(f"{chr(97 + n % 26)}{chr(97 + n // 26)}" for n in range(100))], ["en"], DedupSettings()
    )
    assert Signer(DedupSettings(bands=2)).bands(sets).tolist() == [[968984191586624679, 2446827755082654501]]
    assert fingerprints(sets).tolist() == [14741062434751335615]
