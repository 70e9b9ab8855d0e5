"""Rules over what nvidia-smi tells of each GPU. A field that the output does not show is not judged by it."""

from __future__ import annotations

from collections.abc import Callable
from statistics import median

from sublet.qualification.judging import chips
from sublet.qualification.judging.catalogue import finding, limit
from sublet.qualification.judging.chips import Chip
from sublet.qualification.judging.context import Context
from sublet.qualification.judging.gpu_errors import ERRORS
from sublet.qualification.judging.roll import Seen, roll_up
from sublet.qualification.judging.values import Finding, Severity
from sublet.qualification.reading.smi_record import Gpu, SmiLog
from sublet.qualification.reading.text import absent, number, whole_number
from sublet.qualification.reading.values import Reading

Rule = Callable[[Gpu, Chip | None, Context], Seen | None]
_BROKEN = ("err!", "unknown error", "gpu is lost", "error")


def judge(reading: Reading, context: Context) -> list[Finding]:
    """Findings over an SmiLog."""
    log = reading.data
    if not isinstance(log, SmiLog):
        return []
    found: list[Finding] = []
    if log.failures:
        found.append(finding("observe.tool", "fail", f"nvidia-smi says: {log.failures[0]}"))
    elif log.gpus:
        broken = [gpu.bus for gpu in log.gpus if any(_broken(value) for value in gpu.fields.values())]
        found += (
            [
                finding(
                    "observe.tool",
                    "fail",
                    f"{', '.join(broken[:4])}: the driver cannot read the GPU",
                    where=tuple(broken),
                )
            ]
            if broken
            else [
                finding("observe.tool", "pass", f"nvidia-smi answers for {len(log.gpus)} GPU{'s'[: len(log.gpus) > 1]}")
            ]
        )
    found += _count(log, context)
    for check, rule in {**_RULES, **ERRORS}.items():
        seen = [each for gpu in log.gpus if (each := rule(gpu, _chip(gpu), context)) is not None]
        found += roll_up(check, seen)
    return found + _uniform(log) + _thermal(log)


def _chip(gpu: Gpu) -> Chip | None:
    return chips.chip_of(gpu.fields.get("product", "")) or chips.of_pci_id(gpu.fields.get("pci_id", ""))


def _broken(value: str) -> bool:
    plain = value.strip("[] ").casefold()
    return plain in _BROKEN


def _count(log: SmiLog, context: Context) -> list[Finding]:
    shown, attached, sold = len(log.gpus), log.attached, context.expected.count
    if not shown:
        return []
    there = attached if attached is not None else shown
    if sold is not None and there != sold:
        return [finding("gpu.count", "fail", f"{there} GPUs, {sold} were sold")]
    if sold is not None:
        return [finding("gpu.count", "pass", f"{there} GPUs, as sold")]
    if attached is None:
        return [finding("gpu.count", "incomplete", f"{shown} shown, and nothing says how many there are", "INFO")]
    if shown < attached:
        # one GPU alone was asked for with -i; several of more, in a whole document, is what a lost GPU looks like
        grave: Severity | None = None if log.schema and shown > 1 else "INFO"
        return [finding("gpu.count", "incomplete", f"{shown} of {attached} attached GPUs are shown", grave)]
    return [finding("gpu.count", "pass", f"{shown} of {attached} attached GPUs are shown")]


def _identity(gpu: Gpu, chip: Chip | None, context: Context) -> Seen | None:
    product = gpu.fields.get("product")
    if product is None:
        return None
    if chip is None:
        if context.sold is not None:
            return Seen(gpu.bus, "incomplete", f"{product} is a chip that nothing is known of")
        return Seen(gpu.bus, "incomplete", f"{product} is a chip that nothing is known of", "INFO")
    if context.sold is not None and chip.name != context.sold.name:
        return Seen(gpu.bus, "fail", f"{product} is {chip.name}; {context.sold.name} was sold")
    mode = gpu.fields.get("virtualization", "")
    if "vgpu" in mode.casefold() and "host" not in mode.casefold():
        return Seen(gpu.bus, "fail", f"{product} is a slice given by a hypervisor (virtualisation mode {mode})")
    by_id = chips.of_pci_id(gpu.fields.get("pci_id", ""))
    if by_id is not None and by_id.name != chip.name:
        return Seen(gpu.bus, "fail", f"it says {product}, its PCI id is that of {by_id.name}")
    memory = whole_number(gpu.fields.get("fb_total"))
    if chip.memory_mib and memory and abs(memory / chip.memory_mib - 1) > limit("gpu.identity", "memory_share"):
        return Seen(gpu.bus, "fail", f"{product} shows {memory} MiB of memory, {chip.memory_mib:.0f} are expected")
    return Seen(gpu.bus, "pass", f"{chip.name}{f' with {memory} MiB' if memory else ''}")


def _persistence(gpu: Gpu, chip: Chip | None, context: Context) -> Seen | None:
    mode = gpu.fields.get("persistence")
    if mode is None:
        return None
    if mode == "Enabled":
        return Seen(gpu.bus, "pass", "persistence mode is on")
    if mode == "Disabled":
        severity: Severity = "TUNE" if chip is not None and chip.nvswitch else "INFO"
        return Seen(gpu.bus, "fail", "persistence mode is off (nvidia-smi -pm 1)", severity)
    return _unclear(gpu.bus, "persistence mode", mode)


def _unclear(part: str, what: str, value: str) -> Seen:
    """An answer about a field that is neither of its two words."""
    if absent(value):
        return Seen(part, "not_applicable", f"{what}: {value}")
    return Seen(part, "incomplete", f"{what} reads {value!r}")


def _mig(gpu: Gpu, chip: Chip | None, context: Context) -> Seen | None:
    now, pending = gpu.fields.get("mig"), gpu.fields.get("mig_pending")
    if now is None:
        return None
    if absent(now):
        return Seen(gpu.bus, "not_applicable", "this chip has no MIG")
    if context.expected.mig:
        good = now == "Enabled"
        return Seen(gpu.bus, "pass" if good else "fail", f"MIG is {now}, slices were sold")
    if "Enabled" in (now, pending):
        later = f", {pending} after a reset" if pending is not None else ""
        return Seen(gpu.bus, "fail", f"MIG is {now}{later}: this is no whole GPU")
    return Seen(gpu.bus, "pass" if now == "Disabled" else "incomplete", f"MIG is {now}")


def _power_limit(gpu: Gpu, chip: Chip | None, context: Context) -> Seen | None:
    now, default = number(gpu.fields.get("power_limit")), number(gpu.fields.get("power_default"))
    if now is None or default is None:
        return None
    if now < default - 1:
        return Seen(gpu.bus, "fail", f"capped at {now:g} W of {default:g} W")
    return Seen(gpu.bus, "pass", f"limit {now:g} W")


def _clocks(gpu: Gpu, chip: Chip | None, context: Context) -> Seen | None:
    now, default = (gpu.fields.get(name) for name in ("application_clock", "application_clock_default"))
    if now is None or default is None:
        return None
    if absent(now) or absent(default):
        return Seen(gpu.bus, "not_applicable", "this driver or chip has no application clocks")
    at, normal = number(now), number(default)
    if at is None or normal is None:
        return Seen(gpu.bus, "incomplete", f"application clock reads {now!r}")
    if at < normal:
        return Seen(gpu.bus, "fail", f"clock pinned to {at:g} MHz, {normal:g} is normal")
    return Seen(gpu.bus, "pass", f"application clock {at:g} MHz")


_REASONS: tuple[tuple[str, Severity, str], ...] = (
    ("hw_power_brake", "ISOLATE", "the power brake is on: power supply or its wiring"),
    ("hw_thermal", "ISOLATE", "hardware slows it down for heat: cooling"),
    ("hw_slowdown", "ISOLATE", "hardware slows it down"),
    ("sw_thermal", "WATCH", "the driver slows it down for heat"),
    ("sync_boost", "INFO", "it waits for others (sync boost)"),
)


def _throttle(gpu: Gpu, chip: Chip | None, context: Context) -> Seen | None:
    shown = {name: gpu.fields[name] for name, _, _ in _REASONS if name in gpu.fields}
    if not shown:
        return (
            None
            if "idle" not in gpu.fields
            else Seen(gpu.bus, "incomplete", "reasons of hardware slowdown are not shown")
        )
    for name, severity, words in _REASONS:
        if shown.get(name) == "Active":
            return Seen(gpu.bus, "fail", words, severity)
    if any(value != "Not Active" and not absent(value) for value in shown.values()):
        return Seen(gpu.bus, "incomplete", "clock event reasons cannot be read")
    if all(absent(value) for value in shown.values()):
        return Seen(gpu.bus, "not_applicable", "this chip gives no clock event reasons")
    return Seen(gpu.bus, "pass", "nothing slows it down")


def _compute_mode(gpu: Gpu, chip: Chip | None, context: Context) -> Seen | None:
    mode = gpu.fields.get("compute_mode")
    if mode is None:
        return None
    if absent(mode):
        return Seen(gpu.bus, "not_applicable", f"compute mode: {mode}")
    return Seen(gpu.bus, "pass" if mode == "Default" else "fail", f"compute mode is {mode}")


def _foreign(gpu: Gpu, chip: Chip | None, context: Context) -> Seen | None:
    if gpu.processes is None:
        return None
    working = [each.name for each in gpu.processes if "C" in each.kind]
    if working:
        return Seen(gpu.bus, "fail", "somebody computes on it")
    return Seen(gpu.bus, "pass", "nobody computes on it")


def _recovery(gpu: Gpu, chip: Chip | None, context: Context) -> Seen | None:
    fields = gpu.fields
    action = fields.get("recovery_action")
    required, drain = fields.get("reset_required"), fields.get("drain_and_reset")
    if action is None and required is None and drain is None:
        return None
    if action is not None and not absent(action) and action != "None":
        severity: Severity = "REBOOT" if "reboot" in action.casefold() else "RESET"
        return Seen(gpu.bus, "fail", f"the driver asks for {action!r}", severity)
    if required == "Yes" or drain == "Yes":
        return Seen(gpu.bus, "fail", "the driver asks for a reset")
    return Seen(gpu.bus, "pass", "the driver asks for nothing")


def _fabric(gpu: Gpu, chip: Chip | None, context: Context) -> Seen | None:
    state, status = gpu.fields.get("fabric_state"), gpu.fields.get("fabric_status")
    if state is None:
        return None
    if absent(state):
        return Seen(gpu.bus, "not_applicable", "no fabric to join")
    if state != "Completed":
        return Seen(gpu.bus, "fail", f"fabric state is {state}: the fabric manager has not brought it in")
    if status is not None and status != "Success":
        return Seen(gpu.bus, "fail", f"fabric state is {state}, its status {status}")
    for name, good in (("fabric_bandwidth", "Full"), ("fabric_route", "False"), ("fabric_configuration", "None")):
        value = gpu.fields.get(name, "N/A")
        if not absent(value) and value not in (good, "No", "None", "Full", "False"):
            return Seen(gpu.bus, "fail", f"{name.replace('_', ' ')}: {value}")
    return Seen(gpu.bus, "pass", "it is in the fabric")


def _link(gpu: Gpu, chip: Chip | None, context: Context) -> Seen | None:
    gen, most, width, lanes = (
        whole_number(gpu.fields.get(n)) for n in ("gen_now", "gen_max", "width_now", "width_max")
    )
    if gen is None or most is None:
        return None if "gen_now" not in gpu.fields else Seen(gpu.bus, "not_applicable", "the link is not shown")
    said = f"gen {gen} x{width} of gen {most} x{lanes}"
    holds = chip is not None and chip.holds_link  # such a chip leaves its link up at rest, or lets it fall to gen 1
    if gen < most and (gen == 1 or (_at_rest(gpu) and not holds)):
        return Seen(gpu.bus, "incomplete", f"{said} while idle, which may be power saving: read it under load", "INFO")
    if gen < most:
        return Seen(gpu.bus, "fail", f"the link runs at {said}")
    if chip is not None and chip.gen and most < chip.gen:
        device = whole_number(gpu.fields.get("gen_device"))
        host = "the host gives no more" if device == chip.gen else "more is not to be had"
        severity: Severity = "REBOOT" if chip.nvswitch else "WATCH"
        return Seen(gpu.bus, "fail", f"the link runs at gen {gen}, the chip can gen {chip.gen}: {host}", severity)
    if width is not None and lanes is not None and width < lanes:
        severity = "REBOOT" if chip is not None and chip.lanes > width else "WATCH"
        return Seen(gpu.bus, "fail", f"the link has {width} of the card's {lanes} lanes", severity)
    return Seen(gpu.bus, "pass", f"the link runs at {said}")


def _at_rest(gpu: Gpu) -> bool:
    """Whether a GPU saves power: a low performance state, or the driver says that it is idle."""
    state = whole_number(gpu.fields.get("pstate"))
    return (state is not None and state >= 5) or gpu.fields.get("idle") == "Active"


def _replays(gpu: Gpu, chip: Chip | None, context: Context) -> Seen | None:
    count = whole_number(gpu.fields.get("replays"))
    if count is None:
        return None
    return Seen(gpu.bus, "not_applicable", "one reading of the replay counter says nothing of its growth")


_RULES: dict[str, Rule] = {
    "gpu.identity": _identity,
    "fabric.state": _fabric,
    "gpu.throttle": _throttle,
    "gpu.recovery_action": _recovery,
    "gpu.mig": _mig,
    "gpu.persistence": _persistence,
    "gpu.power_limit": _power_limit,
    "gpu.clocks": _clocks,
    "gpu.compute_mode": _compute_mode,
    "gpu.foreign_process": _foreign,
    "pcie.link": _link,
    "pcie.replays": _replays,
}


def _uniform(log: SmiLog) -> list[Finding]:
    if len(log.gpus) < 2:
        return []
    for name, words in (
        ("product", "products"),
        ("vbios", "VBIOS versions"),
        ("inforom", "inforom versions"),
        ("gsp", "GSP firmware"),
    ):
        values = sorted({gpu.fields[name] for gpu in log.gpus if name in gpu.fields})
        if len(values) > 1:
            return [finding("gpu.sw_uniform", "fail", f"different {words} in one node: {', '.join(values[:4])}")]
    if not all("vbios" in gpu.fields for gpu in log.gpus):
        return []
    return [finding("gpu.sw_uniform", "pass", "one firmware on all GPUs")]


def _thermal(log: SmiLog) -> list[Finding]:
    """Headroom of each GPU; spread over siblings where all of them work."""
    seen: list[Seen] = []
    temperatures = [number(gpu.fields.get("temperature")) for gpu in log.gpus]
    busy = all((number(gpu.fields.get("busy")) or 0) >= 50 for gpu in log.gpus) and len(log.gpus) > 2
    known = [each for each in temperatures if each is not None]
    for gpu, temperature in zip(log.gpus, temperatures, strict=True):
        margin, slow = number(gpu.fields.get("margin")), number(gpu.fields.get("temperature_slowdown"))
        if margin is None and slow is not None and temperature is not None:
            margin = slow - temperature
        if margin is None:
            continue
        if margin <= limit("gpu.thermal", "margin_c"):
            seen.append(Seen(gpu.bus, "fail", f"{margin:g} °C below its limit"))
        elif busy and temperature is not None and temperature > median(known) + limit("gpu.thermal", "spread_c"):
            seen.append(Seen(gpu.bus, "fail", f"{temperature:g} °C, its siblings {median(known):g}"))
        else:
            seen.append(Seen(gpu.bus, "pass", "enough headroom"))
    return roll_up("gpu.thermal", seen)


def judge_failure(cause: str, said: str, context: Context) -> list[Finding]:
    """Findings where nvidia-smi gave no answer at all."""
    severity: Severity = "REBOOT" if cause in ("lost", "no_driver", "mismatch", "nvml") else "ISOLATE"
    found = [finding("observe.tool", "fail", f"nvidia-smi says: {said}", severity)]
    if cause == "no_device":
        found.append(finding("gpu.count", "fail", "no GPU is there"))
    return found
