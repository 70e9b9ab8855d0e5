"""What the probe would say on a simulated node: so that a rehearsal walks through the whole gate.

The figures of a simulated node come from what the provider delivered, so a wrong chip or missing memory shows as it
would on a real one; rates are those of `RATES`, for no machine is there to be measured.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping

from sublet.providers.protocol import NodeFacts
from sublet.providers.simulated_process import Answer
from sublet.qualification.schema import SCHEMA

RATES: Mapping[str, float] = {"gemm_fp32": 1e12, "gemm_fp64": 5e11, "triad": 1e11}


def respond(facts: NodeFacts, argv: tuple[str, ...], rates: Mapping[str, float] = RATES) -> Answer:
    """The answer of a simulated node to the probe; any other command ends with status 0 and says nothing."""
    if "sublet.qualification.probe" not in argv:
        return Answer()
    gemm = {"spread": 0.01, "repeats": 5, "size": 1024}
    measures = {
        "identity": {"cpu_model": "simulated", "accelerators": list(facts.accelerators or ())},
        "cpu": {"cpus": facts.cpus, "affinity": facts.cpus, "quota": None},
        "memory": {"bytes": facts.memory_bytes, "touched_bytes": 1 << 28, "intact": True},
        "gemm_fp32": {"flops": rates["gemm_fp32"], "best_flops": rates["gemm_fp32"], "relative_error": 1e-9, **gemm},
        "gemm_fp64": {"flops": rates["gemm_fp64"], "best_flops": rates["gemm_fp64"], "relative_error": 1e-18, **gemm},
        "triad": {"bytes_per_s": rates["triad"], "spread": 0.01, "repeats": 5, "intact": True},
        "sharing": {
            "share": 1.0,
            "best_flops": rates["gemm_fp32"],
            "repeats": 100,
            "load_1": 0.0,
            "load_5": 0.0,
            "part_of_machine": 1.0,
        },
        "disk": {"write_bytes_per_s": 1e9, "read_bytes_per_s": 2e9, "bytes": 1 << 27, "intact": True},
        "loopback": {"bytes_per_s": 3e9, "round_trip_s": 2e-5, "bytes": 1 << 28, "intact": True},
        "clock": {"drift_s": 0.0, "went_back": False},
    }
    report = {"schema": SCHEMA, "started_at": time.time(), "seconds": 0.0, "measures": measures}
    return Answer(output=json.dumps(report).encode() + b"\n")
