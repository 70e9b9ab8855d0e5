"""A judgement as one self-contained page: the verdict, what was found, and measured curves against their reference.

Invariant: a curve is drawn with every size that was measured, and a reference only between its own sizes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from sublet.cli.html_chart import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, Axis, axis
from sublet.cli.html_page import bullets, cell, element, fill
from sublet.qualification.judging.catalogue import checks
from sublet.qualification.judging.collectives import rows_for
from sublet.qualification.judging.context import Context
from sublet.qualification.judging.references import Reference
from sublet.qualification.reading.nccl import Collective
from sublet.qualification.reading.values import Reading

HEADINGS = ("outcome", "severity", "check", "what was found", "what must hold", "remedy")
_KINDS = {"fail": "bad", "incomplete": "edge", "pass": "fits"}
_SMALLEST = 1 << 20  # bytes: below it a curve shows latency
_MOST = 2  # references beside one curve


def page(told: Mapping[str, Any], readings: Sequence[Reading], context: Context, at: str) -> str:
    """The page as HTML text. `told`: the judgement's document; `at`: when it was judged, in words."""
    what = " × ".join(str(each) for each in (told["count"], told["chip"]) if each)
    heading = f"{told['verdict']}: {what or told['kind']}"
    cards = [
        ("Verdict", told["verdict"], "unknown is never healthy"),
        ("Grade", told["grade"] or "none", "of the worst part; A to F"),
        ("Coverage", f"{told['coverage']:.0%}", "of the required checks were decided"),
    ]
    sources = [each.source for each in readings if each.source]
    footer = [f"judged {at} from {', '.join(sources[:12]) or told['kind']}", f"schema {told['schema']}"]
    footer.append("a reference is a curve that peers reach on the same chip, count and fabric; its source stands by it")
    return fill(
        "qualification.html",
        f"Qualification: {heading}",
        {
            "heading": escape(heading),
            "facts": escape(f"{told['kind']} · {len(told['findings'])} findings"),
            "cards": "".join(
                element(
                    "div", f"<h3>{escape(a)}</h3><strong>{escape(b)}</strong><span>{escape(c)}</span>", class_="card"
                )
                for a, b, c in cards
            ),
            "headings": "".join(element("th", escape(name), scope="col") for name in HEADINGS),
            "rows": "\n".join(_row(each) for each in told["findings"]),
            "charts": "\n".join(_chart(each.data, context) for each in readings if isinstance(each.data, Collective)),
            "footer": bullets(footer, "marks"),
        },
    )


def _row(each: Mapping[str, Any]) -> str:
    known = checks().get(each["check"])
    return element(
        "tr",
        cell(each["outcome"].replace("_", " "), _KINDS.get(each["outcome"], ""))
        + cell(each["severity"] if each["outcome"] == "fail" else "")
        + cell(each["check"], "name")
        + cell(each["message"], "why")
        + cell(known.rule if known else "")
        + cell(each["remedy"] or ""),
    )


def _chart(run: Collective, context: Context) -> str:
    """Bus bandwidth over message size as SVG; empty where nothing of size was measured."""
    points = sorted((point.size, point.bus) for point in run.points if point.size >= _SMALLEST and point.bus > 0)
    if not points:
        return ""
    rows = rows_for(run, context)[:_MOST]
    curves = [sorted(row.curve.items()) for row in rows]
    every = points + [point for curve in curves for point in curve if point[0] >= _SMALLEST]
    across = Axis(min(s for s, _ in every) / 1.3, max(s for s, _ in every) * 1.3, LEFT, WIDTH - RIGHT)
    up = axis([rate for _, rate in every], HEIGHT - BOTTOM, TOP)
    parts = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="Bus bandwidth over message size">']
    parts += _grid(across, up)
    for row, curve in zip(rows, curves, strict=True):
        parts.append(_line([each for each in curve if each[0] >= _SMALLEST], across, up, "reference"))
        parts.append(_label(row, curve[-1], across, up))
    parts.append(_line(points, across, up, "curve"))
    parts += [_dot(size, rate, across, up) for size, rate in points]
    name = run.collective.replace("_", "-") or "collective"
    ranks = f" over {run.ranks} ranks" if run.ranks else ""
    told = bullets([f"{_of(row)}: {row.source} ({row.date}, n = {row.n})" for row in rows], "marks")
    none = "" if rows else '<p class="hint">No reference is known for this chip and fabric.</p>'
    svg = "\n".join([*parts, "</svg>"])
    return f'<section><h2>{escape(name + ranks)}</h2>{none}<div class="plot">{svg}</div>{told}</section>'


def _of(row: Reference) -> str:
    fabric = "TCP" if row.tcp else f"{row.fabric_gbps:g} Gb/s a node" if row.fabric_gbps else "one node"
    return f"{row.chips[0]}, {fabric}, {'pass line' if row.line else 'peers'}"


def _line(points: Sequence[tuple[int, float]], across: Axis, up: Axis, kind: str) -> str:
    path = " ".join(f"{across.at(size):.1f},{up.at(rate):.1f}" for size, rate in points)
    return f'<polyline class="{kind}" points="{path}"/>'


def _dot(size: int, rate: float, across: Axis, up: Axis) -> str:
    title = escape(f"{_size(size)}: {rate:g} GB/s")
    x, y = across.at(size), up.at(rate)
    return f'<circle class="c1" cx="{x:.1f}" cy="{y:.1f}" r="4"><title>{title}</title></circle>'


def _label(row: Reference, point: tuple[int, float], across: Axis, up: Axis) -> str:
    x, y = across.at(point[0]), up.at(point[1]) - 6
    return f'<text class="label" x="{x:.1f}" y="{y:.1f}" text-anchor="end">{escape(_of(row))}</text>'


def _grid(across: Axis, up: Axis) -> list[str]:
    parts = ['<g class="grid">']
    for power in range(math.ceil(math.log2(across.low)), math.floor(math.log2(across.high)) + 1):
        if power % 2:
            continue
        x = across.at(1 << power)
        parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/>')
        parts.append(f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 20}" text-anchor="middle">{_size(1 << power)}</text>')
    for value in up.ticks():
        y = up.at(value)
        parts.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{value:g}</text>')
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(f'<text class="title" x="{middle}" y="{HEIGHT - 8}" text-anchor="middle">message</text>')
    height = (TOP + HEIGHT - BOTTOM) / 2
    turn = f'transform="translate(18 {height}) rotate(-90)"'
    return [*parts, f'<text class="title" {turn} text-anchor="middle">bus bandwidth, GB/s</text></g>']


def _size(size: int) -> str:
    for unit, power in (("GiB", 30), ("MiB", 20), ("KiB", 10)):
        if size >= 1 << power:
            return f"{size / (1 << power):g} {unit}"
    return f"{size} B"
