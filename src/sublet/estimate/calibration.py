"""Calibrated efficiencies and how sure we are of them.

Each chip runs matrix multiplication, attention and memory traffic at a share of its data-sheet rate. The logarithm of
each share is a base value plus effects: of the framework, of the chip's family, of the chip, of the two together, of
the number format. Effects never measured are zero with their prior's variance, so an unmeasured chip falls back on
its family and its interval is wide. Invariant: a Calibration is a value; the same one gives the same estimate.
Source of the method: Gaussian random effects, Gelman and Hill 2007, ch. 12; formulas in docs/method.md.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sublet.catalog.accelerator import Accelerator
from sublet.errors import InputError

COEFFICIENTS = ("gemm", "attention", "memory")
WIDE_FORMATS = ("bf16", "fp16")
SCHEMA = "sublet.calibration/1"


@dataclass(frozen=True)
class Case:
    """What decides an efficiency: chip, framework family, number format of the matrices, and task."""

    accelerator: Accelerator
    family: str
    precision: str
    task: str
    stack: str = ""  # the software as named, versions left out; "" where it is not known
    experts: bool = False  # mixture of experts: its runs scatter more

    @property
    def chip(self) -> str:
        """Canonical name of the chip."""
        return self.accelerator.name

    @property
    def silicon(self) -> str:
        """The chip whose efficiencies it has: its own, or that of which it is a variant with other links alone."""
        return shipped_priors().same_silicon.get(self.chip, self.chip)

    @property
    def group(self) -> str:
        """Whose residual the case has: its framework family's, apart for mixtures of experts and for narrow formats."""
        narrow = "" if self.precision in WIDE_FORMATS else "|narrow"
        return f"{self.family}|experts" if self.experts else f"{self.family}{narrow}"

    @property
    def software(self) -> str:
        """The framework family without its variant: "PyTorch" of "PyTorch-FSDP"."""
        return self.family.split("-")[0]


def effect_names(case: Case) -> dict[str, tuple[str, ...]]:
    """The effects that add up to each coefficient's log efficiency."""
    family, chip, kind = case.family, case.silicon, case.accelerator.family
    shared = (
        f"software:{case.software}",
        f"framework:{family}",
        f"stack:{case.stack}",
        f"family:{kind}",
        f"chip:{chip}",
        f"pair:{chip}|{family}",
    )
    narrow = () if case.precision in WIDE_FORMATS else (f"format:{case.precision}", f"format:{kind}|{case.precision}")
    task = (f"task:{case.task}",) if case.task == "lora" else ()
    return {
        "gemm": tuple(f"gemm/{name}" for name in (*shared, *narrow, *task)),
        "attention": tuple(f"attention/{name}" for name in (*shared, *task)),
        "memory": tuple(f"memory/{name}" for name in (*shared, *narrow)),
    }


@dataclass(frozen=True)
class Priors:
    """Base log efficiencies and the standard deviations of each kind of effect, by coefficient."""

    base: Mapping[str, float]
    spread: Mapping[str, Mapping[str, float]]  # coefficient -> kind of effect -> standard deviation
    matmul: Mapping[str, float]  # chip -> achieved share of the matmul peak, or chip|precision
    matmul_family: Mapping[str, float]  # the same, mean of the family
    matmul_default: float
    attention_family: Mapping[str, float]  # published attention rate over the peak, by family
    attention_default: float
    software: Mapping[str, Mapping[str, float]]  # software -> coefficient -> log of its kernels' rate over the usual
    format: Mapping[str, Mapping[str, float]]  # number format -> coefficient -> log of what recipes lose
    residual: float  # standard deviation of what no effect explains
    same_silicon: Mapping[str, str]  # chip -> the chip that it is but for its links

    def sd(self, effect: str) -> float:
        """Prior standard deviation of a named effect."""
        coefficient, rest = effect.split("/", 1)
        return self.spread[coefficient][rest.split(":", 1)[0]]

    def mean(self, coefficient: str, case: Case) -> float:
        """Prior mean of a coefficient's log efficiency, from the published rate of matrix and attention kernels."""
        mean = self.base[coefficient] + self.software.get(case.software, {}).get(coefficient, 0.0)
        mean += self.format.get(case.precision, {}).get(coefficient, 0.0)
        if coefficient == "attention":
            return mean + float(np.log(self.attention_family.get(case.accelerator.family, self.attention_default)))
        if coefficient != "gemm":
            return mean
        for key in (f"{case.chip}|{case.precision}", case.chip):
            if key in self.matmul:
                return mean + float(np.log(self.matmul[key]))
        return mean + float(np.log(self.matmul_family.get(case.accelerator.family, self.matmul_default)))


@dataclass(frozen=True)
class Calibration:
    """Posterior of all effects: means (n,), covariance (n, n), and which rows they rest on."""

    priors: Priors
    effects: tuple[str, ...]
    mean: NDArray[np.float64]
    covariance: NDArray[np.float64]
    residual: Mapping[str, float]  # Case.group -> residual standard deviation of log step time
    rows: Mapping[str, int]  # "chip|family|number format" -> rows fitted
    row_ids: tuple[str, ...] = ()

    @cached_property
    def index(self) -> dict[str, int]:
        """Position of each effect."""
        return {name: i for i, name in enumerate(self.effects)}

    def log_efficiency(self, case: Case) -> NDArray[np.float64]:
        """Log of the three efficiencies, in the order of COEFFICIENTS."""
        names = effect_names(case)
        return np.array(
            [
                self.priors.mean(c, case) + sum(self.mean[self.index[e]] for e in names[c] if e in self.index)
                for c in COEFFICIENTS
            ]
        )

    def efficiency(self, case: Case) -> NDArray[np.float64]:
        """The three efficiencies as shares of the data-sheet rates."""
        return np.exp(self.log_efficiency(case))

    def variance(self, case: Case, elasticity: NDArray[np.float64]) -> float:
        """Variance of log step time: of the effects through `elasticity` (3,), plus the residual."""
        names = effect_names(case)
        known: list[int] = []
        weights: list[float] = []
        unknown = 0.0
        for coefficient, slope in zip(COEFFICIENTS, elasticity, strict=True):
            for effect in names[coefficient]:
                if effect in self.index:
                    known.append(self.index[effect])
                    weights.append(slope)
                else:
                    unknown += (slope * self.priors.sd(effect)) ** 2
        z = np.array(weights)
        explained = float(z @ self.covariance[np.ix_(known, known)] @ z) if known else 0.0
        return explained + unknown + self.residual_sd(case.group) ** 2

    def residual_sd(self, group: str) -> float:
        """Standard deviation that stays within a group; the widest known for a group that has no rows."""
        return self.residual.get(group, max([*self.residual.values(), self.priors.residual]))

    def support(self, case: Case) -> int:
        """How many rows of this chip and framework family were fitted."""
        return sum(n for key, n in self.rows.items() if key.rsplit("|", 1)[0] == f"{case.silicon}|{case.family}")

    def chip_support(self, case: Case) -> int:
        """How many rows of this chip were fitted, whatever ran on it."""
        return sum(n for key, n in self.rows.items() if key.split("|")[0] == case.silicon)

    def describe(self, case: Case) -> str:
        """One phrase that says what an estimate rests on."""
        rows, name = self.support(case), case.chip
        if case.silicon != case.chip:
            name = f"{case.chip} (silicon of {case.silicon})"
        if rows:
            same = self.rows.get(f"{case.silicon}|{case.family}|{case.precision}", 0)
            known = "" if same == rows else f", {same or 'none'} of them in {case.precision}"
            return f"{name} with {case.family}: {rows} measured rows{known}"
        other = self.chip_support(case)
        if other:
            return f"{name} with other software: {other} measured rows; {case.family} from other chips"
        return f"{name} never calibrated: prior of {case.accelerator.family} and its published matrix rate"

    def to_json(self) -> str:
        """The calibration as a JSON document (schema sublet.calibration/1)."""
        lower = [[float(f"{v:.4g}") for v in self.covariance[i, : i + 1]] for i in range(len(self.effects))]
        document: dict[str, Any] = {
            "schema": SCHEMA,
            "effects": {name: float(f"{value:.5g}") for name, value in zip(self.effects, self.mean, strict=True)},
            "residual": {name: round(value, 5) for name, value in self.residual.items()},
            "rows": dict(self.rows),
            "row_ids": list(self.row_ids),
            "covariance": lower,
        }
        return json.dumps(document, indent=None, separators=(",", ":"))

    @staticmethod
    def from_json(text: str, priors: Priors | None = None) -> Calibration:
        """A calibration written by `to_json`; InputError where it is none."""
        try:
            document = json.loads(text)
            if document["schema"] != SCHEMA:
                raise InputError(f"calibration schema is {document['schema']!r}; {SCHEMA!r} is wanted")
            effects = tuple(document["effects"])
            size = len(effects)
            covariance = np.zeros((size, size))
            for i, row in enumerate(document["covariance"]):
                covariance[i, : i + 1] = row
                covariance[: i + 1, i] = row
            return Calibration(
                priors=priors or shipped_priors(),
                effects=effects,
                mean=np.array(list(document["effects"].values()), dtype=float),
                covariance=covariance,
                residual=document["residual"],
                rows=document["rows"],
                row_ids=tuple(document["row_ids"]),
            )
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"not a calibration file: {error}; write one with `sublet estimate calibrate`") from error


@cache
def shipped_priors() -> Priors:
    """Priors of data/priors.json."""
    document = json.loads(files("sublet.estimate").joinpath("data/priors.json").read_text())
    return Priors(
        base=document["base"],
        spread=document["spread"],
        matmul=document["matmul"],
        matmul_family=document["matmul_family"],
        matmul_default=document["matmul_default"],
        attention_family=document["attention_family"],
        attention_default=document["attention_default"],
        software=document["software"],
        format=document["format"],
        residual=document["residual"],
        same_silicon=document["same_silicon"],
    )


def uncalibrated(priors: Priors | None = None) -> Calibration:
    """A calibration that has seen no rows: priors alone."""
    return Calibration(priors or shipped_priors(), (), np.zeros(0), np.zeros((0, 0)), {}, {})


@cache
def shipped() -> Calibration:
    """The calibration in the package (data/calibration.json), or the priors where there is none."""
    place = files("sublet.estimate").joinpath("data/calibration.json")
    return Calibration.from_json(place.read_text()) if place.is_file() else uncalibrated()
