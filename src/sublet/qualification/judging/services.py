"""Rules over the node's services."""

from __future__ import annotations

from sublet.qualification.judging.catalogue import finding
from sublet.qualification.judging.context import Context
from sublet.qualification.judging.values import Finding, Severity
from sublet.qualification.reading.services import Services

_FABRIC, _PERSISTENCE = "nvidia-fabricmanager", "nvidia-persistenced"


def judge(services: Services, context: Context) -> list[Finding]:
    """The fabric manager, wherever GPUs may sit on an NVSwitch; the persistence daemon."""
    found: list[Finding] = []
    state = services.states.get(_FABRIC)
    needed = context.wanted.nvswitch if context.wanted is not None and context.wanted.known else None
    if state is not None and state.startswith("active"):
        found.append(finding("fabric.manager", "pass", f"its service is {state}"))
    elif state is not None and needed is False:
        found.append(finding("fabric.manager", "not_applicable", "no GPU here sits on an NVSwitch"))
    elif state in ("missing", None) and not needed:
        if state is not None:
            said = "it is not installed; whether the GPUs sit on an NVSwitch is not said"
            found.append(finding("fabric.manager", "incomplete", said, "INFO"))
    elif state is not None:
        found.append(finding("fabric.manager", "fail", f"its service is {state}"))
    state = services.states.get(_PERSISTENCE)
    if state is not None and not state.startswith("active"):
        severity: Severity = "INFO"  # persistence mode itself may be on: nvidia-smi tells
        found.append(finding("gpu.persistence", "fail", f"{_PERSISTENCE} is {state}", severity))
    if not found:
        found.append(finding("observe.complete", "incomplete", "no service that is known is listed", "INFO"))
    return found
