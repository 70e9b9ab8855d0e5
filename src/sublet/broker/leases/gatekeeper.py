"""The gate that a node passes before it is billed: measured on the node where its provider runs commands.

Where the provider runs none, its own word is held against what was sold: less is decided, and the certificate says so
by its coverage. Invariant: what could not be decided never passes.
"""

from __future__ import annotations

import datetime as dt

from sublet.broker.leases.effects import Gate, Judgement
from sublet.broker.supply.values import Node
from sublet.providers.protocol import NodeFacts, Provider
from sublet.qualification import certificate
from sublet.qualification.gate import qualify
from sublet.qualification.rules import rules
from sublet.qualification.values import Finding, Outcome, Sold, Verdict, Word

_WHY = "the provider runs no commands: its own word is held against what was sold"
_LEAST = 0.9  # of memory and processors: what the system keeps for itself is not the tenant's


def gate(signer: certificate.Signer) -> Gate:
    """The gate of a broker that signs with this key."""

    def judge(provider: Provider, facts: NodeFacts, sold: Node, *, lease_id: str, now: dt.datetime) -> Judgement:
        promised = promise(sold, facts)
        if provider.capabilities().executes:
            verdict = qualify(provider, facts.ref, promised, facts=facts)
        else:
            verdict = by_word(promised, facts)
        body = certificate.body(
            verdict, promised, lease=lease_id, node=sold.id, provider=provider.name, ref=facts.ref, issued_at=now
        )
        passed = None if verdict.verdict == "unknown" else verdict.accepts
        return Judgement(passed, verdict.reason, signer.sign(body))

    return judge


def promise(node: Node, facts: NodeFacts) -> Sold:
    """What was sold of one node. What the contract does not say of processors and memory, the provider's word says."""
    cpus, memory = node.sold.get("cpus"), node.sold.get("memory_bytes")
    return Sold(
        accelerator=node.accelerator,
        accelerators=node.accelerators_per_node,
        cpus=float(cpus if cpus is not None else facts.cpus or 0.0),
        memory_bytes=float(memory if memory is not None else facts.memory_bytes or 0.0),
    )


def by_word(sold: Sold, facts: NodeFacts) -> Verdict:
    """The verdict where nothing can be measured: what the provider says of the node against what was sold."""
    come = facts.accelerators
    wanted = (sold.accelerator,) * sold.accelerators
    findings = [
        _finding(
            "identity", None if come is None else tuple(come) == wanted, f"came {list(come or ())}, sold {wanted}"
        ),
        _finding("cpus", _enough(facts.cpus, sold.cpus), f"{facts.cpus} processors, sold {sold.cpus:g}"),
        _finding("memory", _enough(facts.memory_bytes, sold.memory_bytes), f"{facts.memory_bytes} bytes of memory"),
    ]
    outcomes = {finding.outcome for finding in findings}
    word: Word = "critical" if "fail" in outcomes else "unknown" if "incomplete" in outcomes else "info"
    decided = sum(finding.outcome != "incomplete" for finding in findings)
    coverage = decided / max(len(rules()), len(findings))
    return Verdict(word, tuple(findings), coverage, {})


def _enough(come: float | None, sold: float) -> bool | None:
    return None if come is None else come >= sold * _LEAST


def _finding(name: str, good: bool | None, found: str) -> Finding:
    outcome: Outcome = "incomplete" if good is None else "pass" if good else "fail"
    return Finding(name, _WHY, "what came is what was sold", outcome, "critical", found)
