"""From measured figures to the catalogue's values: a slice's processor as an accelerator that the estimator knows.

Invariant: every figure of the accelerator was measured on the node, and its source says so; nothing is read off a data
sheet. A peak is the rate that a large product reached, so no further share has to be taken off it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

from sublet.catalog.accelerator import Accelerator
from sublet.catalog.shape import Fabric, Shape
from sublet.errors import InputError
from sublet.qualification.values import CPU_ACCELERATOR

FAMILY = "CPU"


def accelerator_of(
    measured: Mapping[str, float | str], *, name: str = CPU_ACCELERATOR, on: dt.date | None = None
) -> Accelerator:
    """The node as an accelerator. Raises InputError where its matrix rate, bandwidth or memory was not measured."""
    rate = _figure(measured, "gemm_fp32_flops")
    peaks = {"fp32": rate}
    if "gemm_fp64_flops" in measured:
        peaks["fp64"] = _figure(measured, "gemm_fp64_flops")
    source = f"measured at qualification{f' on {on.isoformat()}' if on else ''}: {measured.get('cpu_model', 'unnamed')}"
    figures = ("peak_flops", "memory_bytes", "memory_bytes_per_s")
    return Accelerator(
        name=name,
        vendor=str(measured.get("cpu_model", "")).split(" ")[0].removesuffix("(R)"),
        family=FAMILY,
        launch=None,
        peak_flops=peaks,
        memory_bytes=_figure(measured, "memory_bytes"),
        memory_bytes_per_s=_figure(measured, "memory_bytes_per_s"),
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


def _figure(measured: Mapping[str, float | str], name: str) -> float:
    value = measured.get(name)
    if not isinstance(value, int | float) or value <= 0:
        raise InputError(f"the node's {name} was not measured (found {value!r}): qualify it first")
    return float(value)
