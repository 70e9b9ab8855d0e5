"""Rules over single rates: copies, GPU memory, network cards, disks, the host's memory."""

from __future__ import annotations

from sublet.qualification.judging import chips, references
from sublet.qualification.judging.catalogue import finding, limit
from sublet.qualification.judging.context import Context
from sublet.qualification.judging.outliers import low_ones
from sublet.qualification.judging.values import Finding
from sublet.qualification.reading.copies import Copies
from sublet.qualification.reading.host_tests import FioJob, Stream
from sublet.qualification.reading.network import Gpcnet, Perftest
from sublet.units import format_rate

_CLASSES = (10.0, 25.0, 40.0, 50.0, 56.0, 100.0, 200.0, 400.0, 800.0)  # Gb/s of InfiniBand and Ethernet ports
_NVME = 1e9  # bytes/s: half a PCIe gen 3 disk
_MANY, _SERVER = 32, 40e9  # threads, bytes/s: two channels of DDR4-2666
_OF_PEAK = 0.7  # of the memory's peak that a copy reaches at the least (0.75 to 0.93 on healthy chips in public logs)
_SIBLINGS = 4
_ENOUGH = 1 << 20  # bytes of a message that fills a link


def judge_copies(copies: Copies, devices: tuple[str, ...], context: Context) -> list[Finding]:
    """Copies by copy engine; what the SMs copied is another measure and is not graded."""
    chip = chips.one_of(devices) or context.wanted
    found: list[Finding] = []
    if context.sold is not None and (there := chips.one_of(devices)) is not None:
        good = there.name == context.sold.name
        found.append(finding("gpu.identity", "pass" if good else "fail", f"{there.name}; {context.sold.name} was sold"))
        chip = context.sold
    if copies.errors:
        found.append(finding("perf.h2d_d2h", "incomplete", f"the tool had errors: {copies.errors[0]}"))
    host = {key: copies.rates[key] for key in ("h2d", "d2h") if copies.rates.get(key)}
    if host:
        found += _host(host, chip)
    peers = [min(rates) for key in ("p2p_read", "p2p_write") if (rates := copies.rates.get(key))]
    if peers:
        found.append(_against("perf.p2p", "peer_copy", min(peers), chip, "between GPUs"))
    memory = copies.rates.get("hbm")
    if memory:
        if copies.peak and not (chip and references.for_chip("memory", chip.name)):
            share = min(memory) / copies.peak
            said = f"{min(memory):g} GB/s, {share:.0%} of the peak that the tool gives"
            good = share >= _OF_PEAK
            found.append(finding("perf.hbm", "pass" if good else "fail", said, None if good else "WATCH"))
        else:
            found.append(_against("perf.hbm", "memory", min(memory), chip, "in GPU memory"))
    found += _uneven(copies)
    if not found and copies.left_out:
        found.append(finding("perf.h2d_d2h", "incomplete", "nothing that can be compared was measured", "INFO"))
    return found


def _uneven(copies: Copies) -> list[Finding]:
    """GPUs that are slower than their siblings in one node, though each may meet the line."""
    for key in ("hbm", "h2d", "d2h"):
        values = {f"GPU {index}": rate for index, rate in enumerate(copies.rates.get(key, ()))}
        low = low_ones(values) if len(values) >= _SIBLINGS else {}
        if low:
            words = ", ".join(f"{name} {share:.0%}" for name, share in list(low.items())[:4])
            return [finding("perf.straggler", "fail", f"{key}: {words} of its siblings' median", where=tuple(low))]
    return []


def _host(rates: dict[str, tuple[float, ...]], chip: chips.Chip | None) -> list[Finding]:
    low = min(min(each) for each in rates.values())
    told = ", ".join(f"{key} {min(each):.3g} GB/s" for key, each in rates.items())
    missing = [name for name in ("h2d", "d2h") if name not in rates]
    rows = [row for gen in (5, 4, 3) if (row := references.for_generation(gen)) is not None]
    fits = next((row.gen for row in rows if low >= row.curve[0]), None)
    if chip is None or not chip.gen:
        words = f"fits PCIe gen {fits}" if fits else "below PCIe gen 3"
        return [finding("perf.h2d_d2h", "incomplete", f"{told}: {words}; which the chip has is not known", "INFO")]
    row = references.for_generation(chip.gen)
    if row is None:
        return [finding("perf.h2d_d2h", "incomplete", f"{told}; no reference for gen {chip.gen}", "INFO")]
    efficiency = low / row.curve[0]
    if efficiency < 1:
        words = f", which fits gen {fits}" if fits else ""
        said = f"{told}; a gen {chip.gen} link gives {row.curve[0]:g}{words}"
        return [finding("perf.h2d_d2h", "fail", said, efficiency=efficiency)]
    done = [finding("perf.h2d_d2h", "pass", f"{told}, as a gen {chip.gen} link gives", efficiency=min(efficiency, 1.0))]
    if missing:
        done.append(finding("perf.h2d_d2h", "incomplete", f"{', '.join(missing)} was not measured", "INFO"))
    return done


def _against(check: str, measure: str, rate: float, chip: chips.Chip | None, where: str) -> Finding:
    row = references.for_chip(measure, chip.name) if chip else None
    if row is None:
        what = chip.name if chip else "a chip that is not named"
        return finding(check, "incomplete", f"{rate:.4g} GB/s {where}; no reference for {what}", "INFO")
    efficiency = rate / row.curve[0]
    said = f"{rate:.4g} GB/s {where}; at least {row.curve[0]:g} are expected of {row.chips[0]}"
    top = references.limit_of(row, chips.chips().get(row.chips[0]))
    if top and rate > 1.05 * top:
        return finding("perf.too_good", "incomplete", f"{said}, and more than {top:g} cannot be")
    return finding(check, "pass" if efficiency >= 1 else "fail", said, efficiency=min(efficiency, 1.0))


def judge_perftest(test: Perftest, context: Context) -> list[Finding]:
    """ib_write_bw and its kin. One queue pair with a small message measures the message, not the port."""
    if test.latencies and not test.rows:
        size, time = min(test.latencies)
        told = f"{time:g} us at {size} bytes; no reference for latency"
        return [finding("perf.ib_loop", "incomplete", told, "INFO")]
    if not test.rows:
        words = test.trouble or "it holds no figure"
        if "state is Down" in words:
            return [finding("ib.ports", "fail", f"perftest says: {words}")]
        return [finding("perf.ib_loop", "incomplete", f"it did not run: {words}")]
    best = max(test.rows, key=lambda row: row.size)
    told = f"{best.gbps:.4g} Gb/s at {best.size} bytes with {test.queue_pairs or '?'} queue pair(s)"
    rate = context.expected.nic_gbps or next((each for each in _CLASSES if best.gbps <= 1.02 * each), None)
    if rate is None:
        return [finding("perf.too_good", "incomplete", f"{told}: more than any port has")]
    share = best.gbps / rate
    if share > 1.02:
        return [
            finding("perf.too_good", "incomplete", f"{told}: more than the {rate:g} Gb/s of the port that was sold")
        ]
    if share >= limit("perf.ib_loop", "share"):
        found = [finding("perf.ib_loop", "pass", f"{told}: {share:.0%} of {rate:g} Gb/s", efficiency=share)]
        if context.expected.nic_gbps is None:
            said = "the port's rate is not said: half a faster port would look the same"
            found.append(finding("ib.ports", "incomplete", said, "INFO"))
        return found
    if best.size < _ENOUGH or (test.queue_pairs or 1) < 2:
        return [finding("perf.ib_loop", "incomplete", f"{told}: too small a test to grade {rate:g} Gb/s")]
    if context.expected.nic_gbps is None:
        # no port has a rate between: whatever port it is, this is too slow for it
        return [finding("perf.ib_loop", "fail", f"{told}: at most {share:.0%} of any port's rate", "WATCH")]
    return [finding("perf.ib_loop", "fail", f"{told}: {share:.0%} of {rate:g} Gb/s", efficiency=share)]


def judge_gpcnet(run: Gpcnet, context: Context) -> list[Finding]:
    """GPCNeT has no reference yet; it also refuses to run on few nodes, which is no fault of theirs."""
    if run.too_few is not None:
        return [finding("perf.network_load", "incomplete", f"it wants at least {run.too_few} nodes and did not run")]
    if not run.rows:
        return [finding("perf.network_load", "incomplete", "it holds no figure")]
    return [finding("perf.network_load", "incomplete", f"{len(run.rows)} figures; no reference yet", "INFO")]


def judge_fio(jobs: tuple[FioJob, ...], context: Context) -> list[Finding]:
    """Disks: errors decide; rates have no reference until a fleet has one."""
    failed = [job for job in jobs if job.error or job.dropped]
    if failed:
        words = "; ".join(f"{job.name}: error {job.error}, {job.dropped} requests dropped" for job in failed)
        return [finding("disk.bw", "fail", words)]
    told = "; ".join(
        f"{job.name}: {format_rate(job.read_bytes_per_s)} read, {format_rate(job.write_bytes_per_s)} written"
        for job in jobs[:3]
    )
    if not any(job.read_bytes_per_s or job.write_bytes_per_s for job in jobs):
        return [finding("disk.bw", "incomplete", "nothing was read or written")]
    slow = [job for job in jobs if job.nvme and job.sequential and 0 < job.read_bytes_per_s < _NVME]
    if slow:
        said = f"{told}: below {format_rate(_NVME)}, which any NVMe disk of a server reads in large blocks"
        return [finding("disk.bw", "fail", said)]
    return [
        finding("disk.bw", "pass", f"no error; {told}"),
        finding("disk.bw", "incomplete", "no reference for this disk: its rate is not judged", "INFO"),
    ]


def judge_stream(stream: Stream, context: Context) -> list[Finding]:
    """The host's memory: wrong results decide; the rate has no reference until a fleet has one."""
    if stream.valid is False:
        return [finding("perf.cpu_mem", "fail", "STREAM's results are wrong", "ISOLATE")]
    if stream.valid is None or "Triad" not in stream.rates:
        return [finding("perf.cpu_mem", "incomplete", "STREAM did not say that its results are right")]
    rate = format_rate(stream.rates["Triad"])
    if (stream.threads or 0) >= _MANY and stream.rates["Triad"] < _SERVER:
        said = f"triad {rate} with {stream.threads} threads: any server of that size has {format_rate(_SERVER)}"
        return [finding("perf.cpu_mem", "fail", said)]
    return [
        finding("perf.cpu_mem", "pass", f"triad {rate}, results are right"),
        finding("perf.cpu_mem", "incomplete", "no reference for this processor: its rate is not judged", "INFO"),
    ]
