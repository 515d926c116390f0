"""The scaling law, fitted to losses whose law is known."""

import numpy as np
import pytest

from lmpipe.ladder.law import NAMES, Laws, fit_laws, huber, interval, model

TRUTH = {"E": 1.69, "A": 406.4, "B": 410.7, "alpha": 0.34, "beta": 0.28}
"""Hoffmann et al. 2022, equation 10."""
KNOWN = Laws(values_KP=np.array([list(TRUTH.values())]))


def ladder(noise: float, seed: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Losses of six sizes and five budgets, with noise of their logarithm."""
    sizes, budgets = np.geomspace(1e6, 1e9, 6), np.geomspace(1e8, 1e11, 5)
    n, d = (grid.ravel() for grid in np.meshgrid(sizes, budgets))
    draw = np.random.default_rng(seed)
    return n, d, KNOWN.loss(n, d)[0] * np.exp(draw.normal(0, noise, n.size))


def test_law_is_found_when_losses_follow_it_exactly() -> None:
    found = fit_laws(*ladder(0.0), resamples=0, seed=1).values_KP[0]
    assert dict(zip(NAMES, found, strict=True)) == pytest.approx(TRUTH, rel=1e-3)


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.slow), pytest.param(3, marks=pytest.mark.slow)])
def test_intervals_hold_the_truth_when_losses_are_noisy(seed: int) -> None:
    laws = fit_laws(*ladder(0.003, seed), resamples=60, seed=1)
    for name, values in zip(NAMES, laws.values_KP.T, strict=True):
        value, low, high = interval(values)
        assert low <= TRUTH[name] <= high
        assert low <= value <= high
    for found, true in zip(laws.best(1e21), KNOWN.best(1e21), strict=True):
        _, low, high = interval(found)
        assert low <= true[0] <= high


def test_one_training_that_failed_moves_little() -> None:
    n, d, losses = ladder(0.0005)
    losses[7] *= 1.5
    found = fit_laws(n, d, losses, resamples=0, seed=1).values_KP[0]
    assert dict(zip(NAMES, found, strict=True)) == pytest.approx(TRUTH, rel=0.15)


def test_the_same_seed_gives_the_same_intervals() -> None:
    first, second = (fit_laws(*ladder(0.01), resamples=3, seed=4).values_KP for _ in range(2))
    assert np.array_equal(first, second)


def test_best_size_has_the_lowest_loss_of_its_compute() -> None:
    parameters, tokens, loss = KNOWN.best(1e20)
    assert 6 * parameters[0] * tokens[0] == pytest.approx(1e20)
    for factor in (0.8, 1.25):
        assert KNOWN.loss(parameters[0] * factor, tokens[0] / factor)[0, 0] > loss[0]


def test_derivatives_are_those_of_differences() -> None:
    draw = np.random.default_rng(1)
    x, y, target, place = (
        draw.normal(size=(2, 6)),
        draw.normal(size=(2, 6)),
        draw.normal(size=(2, 6)),
        draw.normal(size=(2, 5)),
    )
    residual, jacobian = model(x, y, target, place)
    for p in range(5):
        moved = place + 1e-6 * np.eye(5)[p]
        assert (model(x, y, target, moved)[0] - residual) / 1e-6 == pytest.approx(jacobian[..., p], abs=1e-4)


def test_huber_is_a_square_near_zero_and_straight_beyond() -> None:
    assert huber(np.array([[1e-4], [0.5]])) == pytest.approx([5e-9, 1e-3 * (0.5 - 5e-4)])
