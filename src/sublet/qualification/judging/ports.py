"""Rules over InfiniBand and RoCE ports: which belong to the compute fabric, and whether those are all up at full rate.

Cards of one type and link layer are one group; the group with the most ports at the highest rate is the compute fabric,
the others serve storage and management. A port that is down gives its lowest rate, so the group tells what it was.
"""

from __future__ import annotations

from collections import Counter

from sublet.qualification.judging.catalogue import finding
from sublet.qualification.judging.context import Context
from sublet.qualification.judging.values import Finding
from sublet.qualification.reading.ib import Port, Ports

_NODE = 8  # ports of the compute fabric of a whole node with eight accelerators


def judge(ports: Ports, context: Context, *, whole: bool) -> list[Finding]:
    """Findings over the ports. `whole`: the listing proves that it shows every port."""
    found: list[Finding] = []
    if not ports.ports:
        return found
    if ports.complaints:
        said = f"the tool broke off after good output: {ports.complaints[0]}"
        found.append(finding("observe.complete", "incomplete", said, "INFO"))
    compute, others = _groups(ports.ports, context)
    if not compute:
        names = ", ".join(port.device for port in ports.ports[:8])
        return [*found, finding("ib.ports", "fail", f"no port is active ({names})")]
    rate = context.expected.nic_gbps or max((port.rate or 0 for port in compute if port.up), default=0)
    down = [port for port in compute if not port.up]
    slow = [port for port in compute if port.up and port.rate is not None and port.rate < 0.99 * rate]
    unread = [port.device for port in compute if port.up and port.rate is None]
    good = len(compute) - len(down) - len(slow) - len(unread)
    if unread:
        found.append(finding("ib.ports", "incomplete", f"the rate of {', '.join(unread[:8])} cannot be read"))
    sold = context.expected.nics
    where = tuple(port.device for port in down + slow)
    if down or slow:
        words = []
        if down:
            words.append(f"{', '.join(port.device for port in down[:8])} down ({_physical(down)})")
        if slow:
            words.append(f"{', '.join(f'{port.device} at {port.rate:g}' for port in slow[:8])} Gb/s")
        said = f"{'; '.join(words)}: {good} of {max(len(compute), sold or 0)} ports at {rate:g} Gb/s"
        found.append(finding("ib.ports", "fail", said, where=where))
    elif unread:
        pass
    elif sold is not None and good < sold:
        found.append(finding("ib.ports", "fail", f"{good} ports at {rate:g} Gb/s, {sold} were sold"))
    elif sold is None and not whole and len(odd := _odd(compute, others)) == 1:
        said = f"{good} ports at {rate:g} Gb/s, {odd[0].device} at {odd[0].rate:g}: slow, or of another fabric"
        found.append(finding("ib.ports", "fail", said, "WATCH", (odd[0].device,)))
    elif sold is None and not whole:
        said = f"{good} ports at {rate:g} Gb/s are active; how many there should be is not said"
        found.append(
            finding("ib.ports", "incomplete" if good < _NODE else "pass", said, "INFO" if good < _NODE else None)
        )
        if good >= _NODE:
            found.append(finding("observe.complete", "incomplete", "the listing does not show its end", "INFO"))
    else:
        found.append(finding("ib.ports", "pass", f"{good} ports at {rate:g} Gb/s are active"))
    found += _frontend(others)
    return found + _firmware(ports.ports) + _errors(ports.ports)


def _odd(compute: list[Port], others: list[Port]) -> list[Port]:
    """Of a listing without types of cards: slower ports, where with them the fabric would have a usual number."""
    slow = [port for port in others if port.up and not port.kind and port.layer == compute[0].layer]
    return slow if len(compute) + len(slow) in (2, 4, 8, 16) and len(compute) > 2 else []


def compute_ports(ports: Ports, context: Context) -> tuple[list[Port], list[Port]]:
    """Ports of the compute fabric, and the others."""
    return _groups(ports.ports, context) if ports.ports else ([], [])


def _physical(ports: list[Port]) -> str:
    return ", ".join(sorted({port.physical or port.state for port in ports}))


def _groups(ports: tuple[Port, ...], context: Context) -> tuple[list[Port], list[Port]]:
    """Ports of the compute fabric, and the others."""
    groups: dict[tuple[str, str], list[Port]] = {}
    for port in ports:
        groups.setdefault((port.kind, port.layer), []).append(port)

    def weight(group: list[Port]) -> tuple[bool, float, int]:
        top = max((port.rate or 0 for port in group if port.up), default=0.0)
        wanted = context.expected.nic_gbps
        return (wanted is not None and top >= wanted, top, len(group))

    ranked = sorted(groups.values(), key=weight, reverse=True)
    if not any(port.up for port in ranked[0]):
        return [], list(ports)
    compute = ranked[0]
    others = [port for group in ranked[1:] for port in group]
    if not compute[0].kind:  # no card types: a port that is down may be any; slower ports that are up are others
        top = max(port.rate or 0 for port in compute if port.up)
        others += [port for port in compute if port.up and port.rate is not None and port.rate < top / 2]
        compute = [port for port in compute if not (port.up and port.rate is not None and port.rate < top / 2)]
    bonds = [port for port in compute if "bond" in port.device]
    if bonds and len(bonds) < len(compute):
        compute, others = [port for port in compute if port not in bonds], others + bonds
    return compute, others


def _frontend(others: list[Port]) -> list[Finding]:
    if not others:
        return []
    down = [port.device for port in others if not port.up]
    if down:
        said = f"{', '.join(down[:8])} down; they are not of the compute fabric"
        return [finding("ib.frontend", "fail", said, where=tuple(down))]
    return [finding("ib.frontend", "pass", f"{len(others)} other ports are active")]


def _firmware(ports: tuple[Port, ...]) -> list[Finding]:
    versions: dict[str, Counter[str]] = {}
    for port in ports:
        if port.kind and port.firmware:
            versions.setdefault(port.kind, Counter())[port.firmware] += 1
    if not versions:
        return []
    for kind, counts in versions.items():
        if len(counts) > 1:
            return [finding("ib.firmware", "fail", f"{kind} with firmware {', '.join(sorted(counts))}")]
    return [finding("ib.firmware", "pass", "one firmware for each type of card")]


def _errors(ports: tuple[Port, ...]) -> list[Finding]:
    if not any(port.counters for port in ports):
        return []
    names = ("link_downed", "symbol_error", "link_error_recovery", "local_link_integrity_errors", "port_rcv_errors")
    counted = [f"{p.device} {name} {p.counters[name]}" for p in ports for name in names if p.counters.get(name)]
    said = f"since boot: {'; '.join(counted[:4])}" if counted else "nothing counted since boot"
    return [finding("ib.errors", "not_applicable", f"{said}; one reading tells no growth")]
