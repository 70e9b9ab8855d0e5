"""Put the catalogue of checks, the references and the Xid policy into docs/qualification-checks.md.

.venv/bin/python tools/qualification_checks.py
"""

from __future__ import annotations

import marked
from sublet.qualification.judging import references, xid
from sublet.qualification.judging.catalogue import checks
from sublet.qualification.judging.values import SEVERITIES

PAGE = "qualification-checks.md"


def catalogue() -> str:
    """One row a check."""
    rows = ["| check | tier | on failure | what must hold | why | remedy |", "| --- | --- | --- | --- | --- | --- |"]
    for check in checks().values():
        name = f"**`{check.id}`**" if check.required else f"`{check.id}`"
        rows.append(
            f"| {name} | {check.tier} | {check.severity} | {check.rule} | {check.why} | {check.remedy} |".replace(
                "%", " %"
            )
        )
    return "\n".join(rows)


def reference_rows() -> str:
    """One row a reference that counts, then those that were refused."""
    good, refused = references.rows()
    rows = ["| measure | for | reference, GB/s | kind | source |", "| --- | --- | --- | --- | --- |"]
    for row, counts in [*((row, True) for row in good), *((row, False) for row in refused)]:
        highest = max(row.curve)
        size = f" at {highest / 2**30:g} GiB" if highest else ""
        figure = f"{row.curve[highest]:g}{size}"
        fabric = "plain TCP" if row.tcp else f"{row.fabric_gbps:g} Gb/s a node" if row.fabric_gbps else ""
        nodes = f"{row.nodes} nodes" if row.nodes > 1 else ""
        whom = ", ".join(filter(None, (", ".join(row.chips) or f"PCIe gen {row.gen}", nodes, fabric)))
        what = row.collective or row.measure.replace("_", " ")
        kind = row.kind.replace("_", " ") if counts else "**refused**"
        rows.append(f"| {what} | {whom} | {figure} | {kind} | {row.source} |")
    return "\n".join(rows)


def xids() -> str:
    """Codes by severity."""
    rows = ["| severity | Xid codes |", "| --- | --- |"]
    for severity in SEVERITIES:
        codes = [
            str(each.code) for each in xid.table().values() if each.severity == severity and each.meaning != "Unused"
        ]
        if codes:
            rows.append(f"| {severity} | {', '.join(codes)} |")
    return "\n".join(rows)


PARTS = {"catalogue of checks": catalogue, "references": reference_rows, "xid policy": xids}


if __name__ == "__main__":
    for name, part in PARTS.items():
        marked.replace(PAGE, name, part())
