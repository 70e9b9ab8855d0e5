"""Rules over the error counters of a GPU: ECC, remapped rows, retired pages."""

from __future__ import annotations

from sublet.qualification.judging.catalogue import limit
from sublet.qualification.judging.chips import Chip
from sublet.qualification.judging.context import Context
from sublet.qualification.judging.roll import Seen
from sublet.qualification.reading.smi_record import Gpu
from sublet.qualification.reading.text import absent, whole_number

_SRAM = ("sram_uncorrectable", "sram_parity", "sram_secded")
_DRAM = ("dram_uncorrectable", "double_bit")


def _mode(gpu: Gpu, chip: Chip | None, context: Context) -> Seen | None:
    now, pending = gpu.fields.get("ecc"), gpu.fields.get("ecc_pending")
    if now is None:
        return None
    if absent(now):
        return Seen(gpu.bus, "not_applicable", "this chip has no ECC that can be switched")
    datacentre = chip.datacentre if chip is not None else None
    if now == "Disabled" and datacentre is False:
        return Seen(gpu.bus, "not_applicable", "ECC is off, as this card is sold")
    if now == "Disabled" and datacentre is None:
        return Seen(gpu.bus, "fail", "ECC is off", "INFO")
    if now == "Disabled":
        # somebody switched it off and keeps it off: a fault of what was sold, a remark where nobody sold anything
        kept = pending == now and context.sold is None
        return Seen(gpu.bus, "fail", "ECC is off (nvidia-smi -e 1, then reboot)", "INFO" if kept else None)
    if now != "Enabled":
        return Seen(gpu.bus, "incomplete", f"ECC mode reads {now!r}")
    if pending is not None and pending != now and not absent(pending):
        return Seen(gpu.bus, "fail", f"ECC is {now} and will be {pending} after a reboot")
    return Seen(gpu.bus, "pass", "ECC is on")


def _sum(gpu: Gpu, span: str, names: tuple[str, ...]) -> int | None:
    values = [whole_number(gpu.fields.get(f"{span}_{name}")) for name in names]
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _uncorrectable(gpu: Gpu, chip: Chip | None, context: Context) -> Seen | None:
    table = gpu.fields.get("volatile_uncorrectable")  # the one figure of nvidia-smi's table
    if table is not None:
        count = whole_number(table)
        if count is None:
            return Seen(gpu.bus, "not_applicable", f"uncorrected errors: {table}")
        return Seen(gpu.bus, "fail" if count else "pass", f"{count} uncorrected errors since boot")
    shown = any(f"{span}_{name}" in gpu.fields for span in ("volatile", "aggregate") for name in _SRAM + _DRAM)
    if not shown:
        return None
    if gpu.fields.get("unrepairable") == "Yes":
        return Seen(gpu.bus, "fail", "its memory cannot be repaired", "ISOLATE")
    sram, life = _sum(gpu, "volatile", _SRAM), _sum(gpu, "aggregate", _SRAM)
    dram, dram_life = _sum(gpu, "volatile", _DRAM), _sum(gpu, "aggregate", _DRAM)
    if gpu.fields.get("aggregate_threshold") == "Yes" or (life or 0) > limit("ecc.uncorrectable", "aggregate_sram"):
        return Seen(
            gpu.bus, "fail", f"{life or 'too many'} uncorrected errors of SRAM over its life: return it", "ISOLATE"
        )
    if sram or dram:
        return Seen(gpu.bus, "fail", f"{(sram or 0) + (dram or 0)} uncorrected errors since boot")
    if "Yes" in (gpu.fields.get("channel_repair"), gpu.fields.get("tpc_repair")):
        return Seen(gpu.bus, "fail", "a repair waits for a reset")
    if life:
        return Seen(gpu.bus, "fail", f"{life} uncorrected errors of SRAM over its life", "WATCH")
    if dram_life:
        return Seen(gpu.bus, "fail", f"{dram_life} uncorrected errors of memory over its life", "WATCH")
    if all(value is None for value in (sram, life, dram, dram_life)):
        return Seen(gpu.bus, "not_applicable", "this chip counts no such errors")
    return Seen(gpu.bus, "pass", "no uncorrected error")


def _remap(gpu: Gpu, chip: Chip | None, context: Context) -> Seen | None:
    fields = gpu.fields
    pending, failure = fields.get("remap_pending"), fields.get("remap_failure")
    if pending is None and failure is None:
        whole = fields.get("remap")
        return Seen(gpu.bus, "not_applicable", "rows are not remapped on this chip") if whole is not None else None
    if failure == "Yes":
        return Seen(gpu.bus, "fail", "a row could not be remapped: return it", "ISOLATE")
    if pending == "Yes":
        return Seen(gpu.bus, "fail", "a remapped row waits for a reset")
    if whole_number(fields.get("banks_none")):
        return Seen(gpu.bus, "fail", "a bank has no spare row left", "WATCH")
    if whole_number(fields.get("banks_low")):
        return Seen(gpu.bus, "fail", "a bank has few spare rows left", "INFO")
    if "No" not in (pending, failure):
        absent_both = absent(pending) and absent(failure)
        return Seen(gpu.bus, "not_applicable" if absent_both else "incomplete", f"remapped rows: {pending}")
    count = whole_number(fields.get("remap_uncorrectable"))
    if count:
        return Seen(gpu.bus, "fail", f"{count} rows remapped after uncorrected errors, none pending", "INFO")
    return Seen(gpu.bus, "pass", "no row waits or failed")


def _retired(gpu: Gpu, chip: Chip | None, context: Context) -> Seen | None:
    single, double = (gpu.fields.get(name) for name in ("retired_single", "retired_double"))
    pending = gpu.fields.get("retired_pending")
    if single is None and double is None:
        return None
    counts = [whole_number(value) for value in (single, double)]
    if all(count is None for count in counts):
        return Seen(gpu.bus, "not_applicable", "pages are not retired on this chip")
    pages = sum(count or 0 for count in counts)
    if pages >= limit("ecc.retired_pages", "pages"):
        return Seen(gpu.bus, "fail", f"{pages} pages retired: return it")
    if pending == "Yes":
        return Seen(gpu.bus, "fail", f"{pages} pages retired, one waits for a reset", "RESET")
    if pages:
        return Seen(gpu.bus, "fail", f"{pages} pages retired", "INFO")
    return Seen(gpu.bus, "pass", "no page retired")


ERRORS = {
    "ecc.mode": _mode,
    "ecc.uncorrectable": _uncorrectable,
    "ecc.remap": _remap,
    "ecc.retired_pages": _retired,
}
