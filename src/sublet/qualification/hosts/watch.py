"""The passive watch of a leased node: counters of /sys and of the driver's library, and new lines of the kernel's log.

Invariant: one round starts no process and opens no device of a GPU; what cannot be read is left out, and a round never
raises. Files under `root` stand for those of /, so that a made-up tree is watched as a machine is.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sublet.qualification.judging import growth
from sublet.qualification.judging.growth import Counters, Key
from sublet.qualification.judging.judge import judge
from sublet.qualification.judging.values import Finding
from sublet.qualification.reading.detect import read
from sublet.qualification.reading.ib import read_sysfs

_IB_NAMES = ("symbol_error", "link_error_recovery", "link_downed", "port_rcv_errors", "local_link_integrity_errors")
_MOST_LOG = 1 << 20  # bytes of the kernel's log in one round
_RECORD = 8192
_UNCORRECTED, _VOLATILE = 1, 0  # of NVML's enumerations
_AER = {"aer_dev_fatal": "TOTAL_ERR_FATAL", "aer_dev_nonfatal": "TOTAL_ERR_NONFATAL"}


@dataclass(frozen=True)
class Round:
    """What one round found. `cpu_s`: processor time that it took."""

    at_s: float
    findings: tuple[Finding, ...]
    counters: int
    cpu_s: float

    @property
    def bad(self) -> tuple[Finding, ...]:
        """The failures."""
        return tuple(each for each in self.findings if each.outcome == "fail" and each.severity != "INFO")


class Watcher:
    """Keeps the last round's counters and the place in the log. `nvml`: the module `pynvml`, initialised, or None."""

    def __init__(self, root: Path = Path("/"), nvml: Any = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._root, self._nvml, self._clock = root, nvml, clock
        self._before: Counters | None = None
        self._log = self._open_log()
        self._devices = self._gpu_devices()

    def close(self) -> None:
        """Let the log go."""
        if self._log is not None:
            os.close(self._log)
            self._log = None

    def round(self) -> Round:
        """Read everything once; the first round has nothing to compare counters with."""
        started, at = time.process_time(), self._clock()
        findings = self._log_findings()
        values: dict[Key, int] = {}
        tree: dict[str, str] = {}
        for path, name in self._port_files():
            tree[name] = _text(path)
        if tree:
            ports = read_sysfs(tree)
            values |= growth.counters_of([ports], at).values
            findings += [each for each in judge([ports]).findings if each.check == "ib.ports"]
        values |= dict(self._bus_counters())
        values |= dict(self._gpu_counters())
        now = Counters(at, values)
        if self._before is not None and at > self._before.at_s:
            findings += growth.judge(self._before, now)
        self._before = now
        return Round(at, tuple(findings), len(values), time.process_time() - started)

    def _port_files(self) -> Iterator[tuple[Path, str]]:
        base = self._root / "sys/class/infiniband"
        for device in _names(base):
            for port in _names(base / device / "ports"):
                place = base / device / "ports" / port
                for name in ("state", "phys_state", "rate", "link_layer", *(f"counters/{each}" for each in _IB_NAMES)):
                    if (place / name).is_file():
                        yield place / name, f"{device}/ports/{port}/{name}"
            if (base / device / "hca_type").is_file():
                yield base / device / "hca_type", f"{device}/hca_type"

    def _gpu_devices(self) -> list[Path]:
        base = self._root / "sys/bus/pci/devices"
        return [
            base / name
            for name in _names(base)
            if _text(base / name / "vendor") == "0x10de" and _text(base / name / "class").startswith("0x0302")
        ]

    def _bus_counters(self) -> Iterator[tuple[Key, int]]:
        for device in self._devices:
            for name, total in _AER.items():
                for line in _text(device / name).split("\n"):
                    word, _, count = line.rpartition(" ")
                    if word.strip() == total and count.isdigit():
                        yield ("pcie.errors", device.name, name), int(count)
        base = self._root / "sys/class/net"
        for name in _names(base):
            text = _text(base / name / "carrier_changes")
            if text.isdigit() and name.startswith(("ib", "mlx", "roce", "rdma", "hsn")):
                yield ("ib.flap", name, "carrier_changes"), int(text)

    def _gpu_counters(self) -> Iterator[tuple[Key, int]]:
        nvml = self._nvml
        if nvml is None:
            return
        try:
            handles = [nvml.nvmlDeviceGetHandleByIndex(index) for index in range(nvml.nvmlDeviceGetCount())]
        except Exception:  # the library raises its own tree, and the watch goes on without it
            return
        for index, handle in enumerate(handles):
            part = f"GPU {index}"
            for check, name, ask in (
                (
                    "ecc.uncorrectable",
                    "uncorrected",
                    lambda h: nvml.nvmlDeviceGetTotalEccErrors(h, _UNCORRECTED, _VOLATILE),
                ),
                ("pcie.replays", "replays", nvml.nvmlDeviceGetPcieReplayCounter),
                ("ecc.remap", "remapped", lambda h: nvml.nvmlDeviceGetRemappedRows(h)[1]),
            ):
                with contextlib.suppress(Exception):  # not supported on this chip
                    yield (check, part, name), int(ask(handle))

    def _open_log(self) -> int | None:
        """The kernel's log from its end on."""
        try:
            log = os.open(self._root / "dev/kmsg", os.O_RDONLY | os.O_NONBLOCK)
        except OSError:
            return None
        with contextlib.suppress(OSError):
            os.lseek(log, 0, os.SEEK_END)
        return log

    def _log_findings(self) -> list[Finding]:
        if self._log is None:
            return []
        records: list[bytes] = []
        size = 0
        while size < _MOST_LOG:
            try:
                record = os.read(self._log, _RECORD)
            except BlockingIOError:
                break
            except BrokenPipeError:  # records were lost, the next read goes on with the oldest
                continue
            except OSError:
                break
            if not record:
                break
            records.append(record)
            size += len(record)
        text = b"".join(records)
        if not text.strip():
            return []
        found = judge([read(text if text.endswith(b"\n") else text + b"\n")]).findings
        return [each for each in found if each.outcome == "fail"]


def _names(folder: Path) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def library() -> Any:
    """The module `pynvml`, initialised; None where it, or a driver, is not there."""
    try:
        import pynvml  # type: ignore[import-not-found, import-untyped, unused-ignore]

        pynvml.nvmlInit()
    except Exception:  # ImportError, or the library's own errors
        return None
    return pynvml
