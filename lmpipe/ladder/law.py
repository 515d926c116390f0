"""The scaling law L(N, D) = E + A / N^alpha + B / D^beta, fitted to the losses of a ladder (Hoffmann et al. 2022).

N parameters, D tokens of training, L nats per token. As in their section 3.3 (approach 3) the Huber loss (delta 1e-3)
of log L is minimised from a grid of starts; they take L-BFGS from SciPy, here Levenberg and Marquardt's method with
Huber's weights does, for all starts and all bootstrap resamples at once: 5 x 5 systems that numpy solves in one
call, without another dependency. Intervals are those of resampled trainings: Besiroglu et al. (2024) show that
intervals of the original paper were far too narrow.

Shape letters: K fits side by side, M trainings, P = 5 parameters (a, b, e, log alpha, log beta).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Reals = NDArray[np.float64]

DELTA = 1e-3
"""Where Huber's loss turns from squares to absolute values (Hoffmann et al. 2022, appendix D.2)."""

STEPS = 200
"""Iterations at most; from the starts below most fits stand still after 30."""

STARTS = [
    (exponent_n, exponent_d, share) for exponent_n in (0.2, 0.6) for exponent_d in (0.2, 0.6) for share in (0.3, 0.8)
]
"""Exponents and E's share of the lowest loss from which fits begin."""

NAMES = ("E", "A", "B", "alpha", "beta")


@dataclass(frozen=True, slots=True, kw_only=True)
class Laws:
    """One law for each of K fits; the first is that of the trainings themselves, the others of resamples."""

    values_KP: Reals
    """E, A, B, alpha, beta."""

    def loss(self, parameters: float | Reals, tokens: float | Reals) -> Reals:
        """Foretell the loss, one row for each law."""
        e, a, b, alpha, beta = self.values_KP.T[..., None]
        foretold: Reals = e + a / np.power(parameters, alpha) + b / np.power(tokens, beta)
        return foretold

    def best(self, compute: float) -> tuple[Reals, Reals, Reals]:
        """Return parameters, tokens and loss of the best training for so many FLOPs, 6 N D of them, by each law
        (Hoffmann et al. 2022, equation 4)."""
        e, a, b, alpha, beta = self.values_KP.T
        product = compute / 6
        parameters = (alpha * a / (beta * b)) ** (1 / (alpha + beta)) * product ** (beta / (alpha + beta))
        tokens = product / parameters
        return parameters, tokens, e + a / parameters**alpha + b / tokens**beta


def fit_laws(parameters_M: Reals, tokens_M: Reals, losses_M: Reals, resamples: int, seed: int) -> Laws:
    """Fit the law to the trainings, and to so many resamples of them, drawn with replacement."""
    draw = np.random.default_rng(seed)
    rows_KM = np.vstack(
        [np.arange(len(losses_M)), *(draw_rows(draw, parameters_M, tokens_M) for _ in range(resamples))]
    )
    x_M, y_M = np.log(parameters_M), np.log(tokens_M)
    middle_x, middle_y = x_M.mean(), y_M.mean()
    fitted_KP = fit((x_M - middle_x)[rows_KM], (y_M - middle_y)[rows_KM], np.log(losses_M)[rows_KM])
    a, b, e, log_alpha, log_beta = fitted_KP.T
    alpha, beta = np.exp(log_alpha), np.exp(log_beta)
    values = np.exp(e), np.exp(a + alpha * middle_x), np.exp(b + beta * middle_y), alpha, beta
    return Laws(values_KP=np.stack(values, axis=1))


def draw_rows(draw: np.random.Generator, parameters_M: Reals, tokens_M: Reals) -> NDArray[np.int64]:
    """Draw a resample that still tells a law: three sizes and three budgets are in it."""
    while True:
        rows = draw.integers(0, len(tokens_M), len(tokens_M))
        if len(set(parameters_M[rows])) >= 3 and len(set(tokens_M[rows])) >= 3:
            return rows


def fit(x_KM: Reals, y_KM: Reals, target_KM: Reals) -> Reals:
    """Fit each row from every start and return the best parameters of each."""
    found = [descend(x_KM, y_KM, target_KM, start(target_KM, *place)) for place in STARTS]
    costs = np.stack([cost for _, cost in found])
    best = costs.argmin(axis=0)
    chosen: Reals = np.stack([fitted for fitted, _ in found])[best, np.arange(len(best))]
    return chosen


def start(target_KM: Reals, exponent_n: float, exponent_d: float, share: float) -> Reals:
    """Begin with the middle of the losses split into E and two equal terms."""
    lowest, middle = np.exp(target_KM.min(axis=1)), np.exp(target_KM.mean(axis=1))
    e = share * lowest
    term = np.log((middle - e) / 2)
    full = np.ones_like(e)
    return np.stack([term, term, np.log(e), full * np.log(exponent_n), full * np.log(exponent_d)], axis=1)


def descend(x_KM: Reals, y_KM: Reals, target_KM: Reals, place_KP: Reals) -> tuple[Reals, Reals]:
    """Minimise Huber's loss of all rows side by side (Levenberg 1944, Marquardt 1963); return places and losses."""
    damping = np.full(len(place_KP), 1e-2)
    residual, jacobian = model(x_KM, y_KM, target_KM, place_KP)
    cost = huber(residual)
    for _ in range(STEPS):
        weight = np.minimum(1, DELTA / np.maximum(np.abs(residual), 1e-300))[..., None]
        normal = (weight * jacobian).mT @ jacobian
        gradient = (weight * jacobian).mT @ residual[..., None]
        scale = np.einsum("kpp->kp", normal) + 1e-12
        normal = normal + (damping[:, None] * scale)[..., None] * np.eye(5)
        step = np.clip(np.linalg.solve(normal, gradient)[..., 0], -1, 1)
        new_residual, new_jacobian = model(x_KM, y_KM, target_KM, place_KP - step)
        new_cost = huber(new_residual)
        better = new_cost < cost
        gain = float(np.max(np.where(better, (cost - new_cost) / cost.clip(1e-300), 0)))
        place_KP = np.where(better[:, None], place_KP - step, place_KP)
        residual = np.where(better[:, None], new_residual, residual)
        jacobian = np.where(better[:, None, None], new_jacobian, jacobian)
        cost = np.where(better, new_cost, cost)
        damping = np.where(better, damping / 3, damping * 4).clip(1e-9, 1e9)
        if gain < 1e-7 and damping.min() > 1:
            break
    return place_KP, cost


def huber(residual_KM: Reals) -> Reals:
    """Sum Huber's loss over the trainings of each row."""
    size = np.abs(residual_KM)
    total: Reals = np.where(size <= DELTA, size**2 / 2, DELTA * (size - DELTA / 2)).sum(axis=1)
    return total


def model(x_KM: Reals, y_KM: Reals, target_KM: Reals, place_KP: Reals) -> tuple[Reals, Reals]:
    """Compute log L of the law minus the target, and its derivatives by the five parameters (K, M, P)."""
    a, b, e, log_alpha, log_beta = place_KP.T[..., None]
    alpha, beta = np.exp(log_alpha), np.exp(log_beta)
    terms = np.stack(np.broadcast_arrays(a - alpha * x_KM, b - beta * y_KM, e))
    top = terms.max(axis=0)
    shares = np.exp(terms - top)
    total = shares.sum(axis=0)
    n, d, rest = shares / total
    return top + np.log(total) - target_KM, np.stack([n, d, rest, -n * alpha * x_KM, -d * beta * y_KM], axis=-1)


def interval(values_K: Reals) -> tuple[float, float, float]:
    """Return the value of the first law and the 95 % interval over resamples (percentiles)."""
    low, high = np.quantile(values_K[1:], [0.025, 0.975])
    return float(values_K[0]), float(low), float(high)
