"""Arithmetic of intervals per node: what is missing, what is there twice, what the provider sees otherwise. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import TypeVar

from sublet.broker.metering.values import Claim, Difference, Finding, Interval, Total, Usage, hours

I = TypeVar("I", bound=Interval)  # noqa: E741 - an interval
Span = tuple[datetime, datetime]


def by_node(intervals: Iterable[I]) -> dict[str, list[I]]:
    """Node -> its intervals, sorted by start."""
    nodes: dict[str, list[I]] = defaultdict(list)
    for interval in sorted(intervals, key=lambda i: (i.start, i.end)):
        nodes[interval.node_id].append(interval)
    return dict(nodes)


def union(intervals: Iterable[Interval]) -> list[Span]:
    """The time covered at least once, as sorted disjoint spans."""
    spans: list[Span] = []
    for interval in sorted(intervals, key=lambda i: i.start):
        if interval.start >= interval.end:
            continue
        if spans and interval.start <= spans[-1][1]:
            spans[-1] = (spans[-1][0], max(spans[-1][1], interval.end))
        else:
            spans.append((interval.start, interval.end))
    return spans


def minus(wanted: Sequence[Span], taken: Sequence[Span]) -> Iterator[Span]:
    """What of `wanted` is not in `taken`; both sorted and disjoint."""
    at = 0
    for start, end in wanted:
        while at < len(taken) and taken[at][1] <= start:
            at += 1
        here, next_ = start, at
        while next_ < len(taken) and taken[next_][0] < end:
            if taken[next_][0] > here:
                yield here, taken[next_][0]
            here = max(here, taken[next_][1])
            next_ += 1
        if here < end:
            yield here, end


def findings(lease_id: str, records: Sequence[Usage], service: Sequence[Interval] | None) -> tuple[Finding, ...]:
    """Gaps, overlaps and records outside of service, and holes in the numbering; () when all is well."""
    found: list[Finding] = []
    for number, record in enumerate(sorted(records, key=lambda r: r.number), start=1):
        if record.number != number:
            sentence = f"record {number} of {lease_id} is missing: {record.number} is there in its place"
            found.append(Finding(lease_id, "numbering", record.node_id, record.start, record.end, sentence))
            break
    used, served = by_node(records), by_node(service or ())
    for node_id in sorted(used.keys() | served.keys()):
        mine = used.get(node_id, [])
        for before, after in pairwise(mine):
            if after.start < before.end:
                sentence = f"{node_id} is metered twice from {after.start} until {min(before.end, after.end)}"
                end = min(before.end, after.end)
                found.append(Finding(lease_id, "overlap", node_id, after.start, end, sentence))
        covered = union(mine)
        if service is None:
            wanted = [(covered[0][0], covered[-1][1])] if covered else []
        else:
            wanted = union(served.get(node_id, ()))
        for start, end in minus(wanted, covered):
            sentence = f"{node_id} served from {start} until {end} and nothing is metered"
            found.append(Finding(lease_id, "gap", node_id, start, end, sentence))
        for start, end in minus(covered, wanted):
            sentence = f"{node_id} is metered from {start} until {end} and did not serve then"
            found.append(Finding(lease_id, "outside", node_id, start, end, sentence))
    return tuple(found)


def differences(
    lease_id: str, records: Sequence[Usage], claims: Sequence[Claim], tolerance_s: float
) -> tuple[Difference, ...]:
    """Where metered time and the provider's claims disagree for longer than the tolerance, node by node."""
    metered, claimed = by_node(records), by_node(claims)
    least, found = timedelta(seconds=tolerance_s), []
    for node_id in sorted(metered.keys() | claimed.keys()):
        ours, theirs = union(metered.get(node_id, ())), union(claimed.get(node_id, ()))
        for kind, longer, shorter, words in (
            ("unclaimed", ours, theirs, "is metered and the provider does not show it"),
            ("unmetered", theirs, ours, "is at the provider and nothing is metered"),
        ):
            for start, end in minus(longer, shorter):
                if end - start > least:
                    sentence = f"{node_id} {words} from {start} until {end}: {(end - start).total_seconds():g} s"
                    found.append(Difference(node_id, start, end, lease_id, kind, sentence))
    return tuple(found)


def totals(records: Iterable[Usage], since: datetime | None, until: datetime | None) -> tuple[Total, ...]:
    """Records summed per lease, each cut to [since, until), in the order in which the leases come."""
    sums: dict[str, list[int]] = {}
    spans: dict[str, tuple[Usage, datetime, datetime]] = {}
    for record in records:
        start = record.start if since is None else max(record.start, since)
        end = record.end if until is None else min(record.end, until)
        if start >= end:
            continue
        length = Interval(record.node_id, start, end).microseconds
        billable, accelerators, free = sums.setdefault(record.lease_id, [0, 0, 0])
        if record.billable:
            sums[record.lease_id] = [billable + length, accelerators + length * record.accelerators, free]
        else:
            sums[record.lease_id] = [billable, accelerators, free + length]
        _, first, last = spans.get(record.lease_id, (record, start, end))
        spans[record.lease_id] = (record, min(first, start), max(last, end))
    return tuple(
        Total(
            lease_id=lease_id,
            organisation=spans[lease_id][0].organisation,
            project=spans[lease_id][0].project,
            provider=spans[lease_id][0].provider,
            accelerator=spans[lease_id][0].accelerator,
            node_hours=hours(billable),
            accelerator_hours=hours(accelerators),
            free_node_hours=hours(free),
            first=spans[lease_id][1],
            last=spans[lease_id][2],
        )
        for lease_id, (billable, accelerators, free) in sums.items()
    )
