"""From measured figures to the catalogue's values: a slice's processor as an accelerator that the estimator knows.

Invariant: every figure of the accelerator was measured on the node, and its source says so; nothing is read off a data
sheet. A peak is the rate that products reached while nobody else was on the cores; what sharing them costs is apart,
in `slowdown_of`, for it changes from minute to minute.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping
from dataclasses import dataclass

from sublet.catalog.accelerator import Accelerator
from sublet.catalog.shape import Fabric, Shape
from sublet.errors import InputError
from sublet.qualification.values import CPU_ACCELERATOR

FAMILY = "CPU"


def accelerator_of(
    measured: Mapping[str, float | str], *, name: str = CPU_ACCELERATOR, on: dt.date | None = None
) -> Accelerator:
    """The node as an accelerator. Raises InputError where its matrix rate, bandwidth or memory was not measured."""
    rate = _best(measured, "gemm_fp32_flops", "gemm_fp32_best_flops", "unshared_fp32_flops")
    peaks = {"fp32": rate}
    if "gemm_fp64_flops" in measured:
        peaks["fp64"] = _best(measured, "gemm_fp64_flops", "gemm_fp64_best_flops")
    memory_rate = _best(measured, "memory_bytes_per_s", "memory_best_bytes_per_s")
    source = f"measured at qualification{f' on {on.isoformat()}' if on else ''}: {measured.get('cpu_model', 'unnamed')}"
    figures = ("peak_flops", "memory_bytes", "memory_bytes_per_s")
    return Accelerator(
        name=name,
        vendor=str(measured.get("cpu_model", "")).split(" ")[0].removesuffix("(R)"),
        family=FAMILY,
        launch=None,
        peak_flops=peaks,
        memory_bytes=_figure(measured, "memory_bytes"),
        memory_bytes_per_s=memory_rate,
        scale_up="none",
        topology="none",
        scale_up_bytes_per_s=None,
        scale_up_domain=1,
        scale_out_bytes_per_s=None,
        tdp_watts=None,
        die_mm2=None,
        purchase_usd=None,
        frameworks=("NumPy", "PyTorch", "JAX", "TensorFlow"),
        tpp=None,
        performance_density=None,
        sources=dict.fromkeys(figures, source),
        memory_gb=_figure(measured, "memory_bytes") / 1e9,
        datacentre=False,
    )


def fabric_of(measured: Mapping[str, float | str]) -> Fabric:
    """One slice has nobody to talk to; the figures of its own network stack stand for the links."""
    rate, latency = _figure(measured, "loopback_bytes_per_s"), _figure(measured, "loopback_round_trip_s") / 2
    return Fabric(
        topology="none",
        domain=1,
        node=1,
        scale_up_bytes_per_s=rate,
        scale_out_bytes_per_s=rate,
        scale_up_latency_s=latency,
        scale_out_latency_s=latency,
        source="measured at qualification: loopback",
        assumption="links between slices of one machine are taken to be as fast as its loopback",
    )


def shape_of(measured: Mapping[str, float | str], *, provider: str, shape: str, name: str = CPU_ACCELERATOR) -> Shape:
    """The slice as a shape of its provider: one such accelerator per node."""
    return Shape(
        provider=provider,
        name=shape,
        accelerator=name,
        count=1,
        vcpus=_figure(measured, "cpus"),
        memory_gib=_figure(measured, "memory_bytes") / 2**30,
        fabric=fabric_of(measured),
        source="measured at qualification",
    )


@dataclass(frozen=True)
class Slowdown:
    """By what factor sharing its cores makes a job on the node longer: at best, expected, at worst; 1: not at all."""

    best: float
    expected: float
    worst: float
    sentence: str  # what was measured, for the one who asks


def slowdown_of(measured: Mapping[str, float | str]) -> Slowdown:
    """What sharing costs on a node whose cores others use too, by the share that the probe got and the load averages.

    At best the others go away. At worst it stays as the probe found it (1 / share), or as the load of the last minutes
    says: where `load` processes per core want to run beside the node's own part, fair turns stretch a job by their sum.
    Expected is the geometric mean of what the probe and the last minute say: neither is the coming hour.
    """
    share = measured.get("core_share")
    if not isinstance(share, int | float) or not 0 < share <= 1:
        return Slowdown(1.0, 1.0, 1.0, "")
    part = _plain(measured, "part_of_machine") or 1.0
    fair = {span: max(1.0, _plain(measured, f"load_{span}_per_core") + part) for span in (1, 5)}
    now = 1 / share
    said = f"the probe got {share:.0%} of its cores, with a load of {_plain(measured, 'load_1_per_core'):.1f} per core"
    return Slowdown(1.0, math.sqrt(now * fair[1]), max(now, *fair.values()), said)


def _plain(measured: Mapping[str, float | str], name: str) -> float:
    value = measured.get(name)
    return float(value) if isinstance(value, int | float) and value > 0 else 0.0


def _best(measured: Mapping[str, float | str], name: str, *better: str) -> float:
    """The figure, or a better one of the same rate where that was measured too."""
    return max(_figure(measured, name), *(_plain(measured, other) for other in better))


def _figure(measured: Mapping[str, float | str], name: str) -> float:
    value = measured.get(name)
    if not isinstance(value, int | float) or value <= 0:
        raise InputError(f"the node's {name} was not measured (found {value!r}): qualify it first")
    return float(value)
