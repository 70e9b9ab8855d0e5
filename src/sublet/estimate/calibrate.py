"""Fit the calibration to measured runs, and predict runs with what is left when some are left out.

Maximum a posteriori of Gaussian random effects on log efficiencies, by Gauss-Newton on log step time; rows far off are
down-weighted as under a Student t distribution with four degrees of freedom; the posterior covariance is that of the
last linearisation. Invariant: the same runs give the same calibration, whatever their order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sublet.estimate.assemble import Z90
from sublet.estimate.calibration import COEFFICIENTS, Calibration, Priors, effect_names, shipped_priors, uncalibrated
from sublet.estimate.choice import Choice
from sublet.estimate.evaluate import step_time
from sublet.estimate.measured import MeasuredRun
from sublet.estimate.physics import physics
from sublet.estimate.predict import Prediction, Stacked, choices_of, predict_choices, stacked

ROUNDS = 2  # of choosing open layouts and fitting
STEPS = 6
FREEDOM = 4.0
LEAST_SD = 0.03


@dataclass(frozen=True)
class _Design:
    """Rows as arrays and which effects each of them has; `z[c]` has shape (rows, effects)."""

    rows: Stacked
    effects: tuple[str, ...]
    z: dict[str, NDArray[np.float64]]
    base: NDArray[np.float64]  # (3, rows) prior means
    prior_sd: NDArray[np.float64]
    log_measured: NDArray[np.float64]
    group: tuple[str, ...]  # whose residual each row has


@dataclass(frozen=True)
class _Fit:
    mean: NDArray[np.float64]
    covariance: NDArray[np.float64]
    residual: dict[str, float]


def _design(runs: Sequence[MeasuredRun], choices: Sequence[Choice], priors: Priors) -> _Design:
    rows = stacked(runs, choices, uncalibrated(priors))
    names = [effect_names(case) for case in rows.cases]
    effects = tuple(sorted({e for per_row in names for c in COEFFICIENTS for e in per_row[c]}))
    at = {effect: i for i, effect in enumerate(effects)}
    z = {c: np.zeros((len(runs), len(effects))) for c in COEFFICIENTS}
    for i, per_row in enumerate(names):
        for c in COEFFICIENTS:
            for effect in per_row[c]:
                z[c][i, at[effect]] = 1.0
    return _Design(
        rows=rows,
        effects=effects,
        z=z,
        base=np.array([[priors.mean(c, case) for case in rows.cases] for c in COEFFICIENTS]),
        prior_sd=np.array([priors.sd(effect) for effect in effects]),
        log_measured=np.log([run.step_s for run in runs]),
        group=tuple(case.group for case in rows.cases),
    )


def _predict(design: _Design, u: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Log step time (rows,) and its Jacobian by effect (rows, effects)."""
    constants = physics()
    rows = design.rows
    logs = {c: design.base[i] + design.z[c] @ u for i, c in enumerate(COEFFICIENTS)}

    def log_step(bumped: str | None = None) -> NDArray[np.float64]:
        values = {c: np.exp(logs[c] + (0.01 if c == bumped else 0.0)) for c in COEFFICIENTS}
        step, _ = step_time(rows.work, replace(rows.machine, **values), rows.layout, rows.options, constants)
        return np.asarray(np.log(step), dtype=float)

    here = log_step()
    jacobian = np.zeros((len(here), len(design.effects)))
    for c in COEFFICIENTS:
        jacobian += ((log_step(c) - here) / 0.01)[:, None] * design.z[c]
    return here, jacobian


def _solve(
    design: _Design, priors: Priors, weight: NDArray[np.float64], start: _Fit | None = None, steps: int = STEPS
) -> _Fit:
    """Gauss-Newton from `start`; `weight` (rows,) is 0 for rows left out."""
    u = np.zeros(len(design.effects)) if start is None else start.mean
    families = sorted(set(design.group))
    member = {f: np.array([g == f for g in design.group]) for f in families}
    sd = dict.fromkeys(families, priors.residual) if start is None else dict(start.residual)
    precision = np.diag(design.prior_sd**-2.0)
    hessian = precision
    for _ in range(steps):
        log_step, jacobian = _predict(design, u)
        error = design.log_measured - log_step
        sigma = np.array([sd[f] for f in design.group])
        trust = weight * (FREEDOM + 1) / (FREEDOM + (error / sigma) ** 2)
        scaled = jacobian * (trust / sigma**2)[:, None]
        hessian = jacobian.T @ scaled + precision
        u = np.linalg.solve(hessian, scaled.T @ (error + jacobian @ u))
        for f in families:
            inside = member[f] & (weight > 0)
            n = inside.sum()
            # a family with few rows leans on the prior as if it had been seen in five more
            variance = (np.sum(trust[inside] * error[inside] ** 2) + 5 * priors.residual**2) / (n + 5)
            sd[f] = max(float(np.sqrt(variance)), LEAST_SD)
    return _Fit(u, np.asarray(np.linalg.inv(hessian), dtype=float), sd)


def _calibration(
    runs: Sequence[MeasuredRun], design: _Design, fit: _Fit, priors: Priors, weight: NDArray[np.float64]
) -> Calibration:
    rows: dict[str, int] = {}
    used = [i for i in range(len(runs)) if weight[i] > 0]
    for i in used:
        case = design.rows.cases[i]
        key = f"{case.silicon}|{case.family}|{case.precision}"
        rows[key] = rows.get(key, 0) + 1
    return Calibration(
        priors=priors,
        effects=design.effects,
        mean=fit.mean,
        covariance=fit.covariance,
        residual=_spread(design, fit, priors, weight),
        rows=dict(sorted(rows.items())),
        row_ids=tuple(sorted(runs[i].id for i in used)),
    )


def _spread(design: _Design, fit: _Fit, priors: Priors, weight: NDArray[np.float64]) -> dict[str, float]:
    """Residual standard deviation by group, such that P10 to P90 holds four of five rows; five prior rows are added."""
    error = np.abs(design.log_measured - _predict(design, fit.mean)[0])
    spread = {}
    for group in sorted(set(design.group)):
        inside = np.array([g == group for g in design.group]) & (weight > 0)
        n = int(inside.sum())
        wide = float(np.quantile(error[inside], 0.8)) / Z90 if n else 0.0
        spread[group] = max(float(np.sqrt((n * wide**2 + 5 * priors.residual**2) / (n + 5))), LEAST_SD)
    return spread


@dataclass(frozen=True)
class _Fitted:
    runs: tuple[MeasuredRun, ...]
    choices: list[Choice]
    design: _Design
    fit: _Fit
    calibration: Calibration


def _fit(runs: Sequence[MeasuredRun], priors: Priors) -> _Fitted:
    ordered = tuple(sorted((run for run in runs if run.calibrates), key=lambda run: run.id))
    calibration = uncalibrated(priors)
    fit: _Fit | None = None
    for _ in range(ROUNDS):
        choices = choices_of(ordered, calibration)
        design = _design(ordered, choices, priors)
        weight = np.ones(len(ordered))
        fit = _solve(design, priors, weight, fit)
        calibration = _calibration(ordered, design, fit, priors, weight)
    assert fit is not None, "ROUNDS is at least one"
    return _Fitted(ordered, choices, design, fit, calibration)


def fit(runs: Sequence[MeasuredRun], priors: Priors | None = None) -> Calibration:
    """The calibration that `runs` give; those that are no measured steps are left out."""
    return _fit(runs, priors or shipped_priors()).calibration


KEYS: dict[str, Callable[[MeasuredRun], str]] = {
    "source": lambda run: run.source,
    "chip": lambda run: run.machine.accelerator.name,
    "row": lambda run: run.id,
}


def predict_left_out(runs: Sequence[MeasuredRun], by: str, priors: Priors | None = None) -> list[Prediction]:
    """Every run predicted by a calibration that has not seen its source, its chip or its own row (`by`).

    Refitted from the full fit with the left-out rows at weight zero; effects that then rest on no row fall back to
    their prior, mean and variance. Runs are answered in the order given.
    """
    priors = priors or shipped_priors()
    whole = _fit(runs, priors)
    key = KEYS[by]
    groups: dict[str, list[int]] = {}
    for i, run in enumerate(runs):
        groups.setdefault(key(run), []).append(i)
    answers: dict[int, Prediction] = {}
    position = {run.id: i for i, run in enumerate(whole.runs)}
    for members in groups.values():
        weight = np.ones(len(whole.runs))
        hidden = [position[runs[i].id] for i in members if runs[i].id in position]
        weight[hidden] = 0.0
        if hidden:
            refit = _solve(whole.design, priors, weight, whole.fit, steps=2 if by == "row" else STEPS)
            calibration = _calibration(whole.runs, whole.design, refit, priors, weight)
        else:
            calibration = whole.calibration
        left = [runs[i] for i in members]
        same = by == "row" and hidden
        choices = [whole.choices[h] for h in hidden] if same else choices_of(left, calibration)
        answers.update(zip(members, predict_choices(left, choices, calibration), strict=True))
    return [answers[i] for i in range(len(runs))]
