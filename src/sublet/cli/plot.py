"""Step lines in the terminal and in picture files.

Invariant: matplotlib is imported only when a picture is written.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path

from sublet.errors import InputError

BLOCKS = " ▁▂▃▄▅▆▇█"
GAP = " "

Line = Sequence[tuple[date, float | None]]  # a value from that day on, None where there is none


def sampled(line: Line, start: date, end: date, columns: int) -> list[float | None]:
    """The value of a step line in each of `columns` equal parts of start..end: the last one that began in it."""
    span = max((end - start).days, 1)
    cells: list[float | None] = []
    for column in range(columns):
        day = start.toordinal() + round(span * (column + 1) / columns)
        held = [value for begin, value in line if begin.toordinal() <= day]
        cells.append(held[-1] if held else None)
    return cells


def sparkline(line: Line, start: date, end: date, columns: int, low: float, high: float) -> str:
    """One row of blocks, from `low` (the smallest block) to `high`."""
    span = high - low or 1.0
    return "".join(
        GAP if value is None else BLOCKS[1 + min(7, max(0, round(7 * (value - low) / span)))]
        for value in sampled(line, start, end, columns)
    )


def chart(line: Line, start: date, end: date, columns: int = 64, rows: int = 10) -> list[str]:
    """A block chart of one line with a price axis on the left and days below; empty where the line is."""
    cells = sampled(line, start, end, columns)
    values = [value for value in cells if value is not None]
    if not values:
        return []
    top = max(values) * 1.05
    lines = []
    for row in range(rows, 0, -1):
        drawn = "".join(_block(value, top * (row - 1) / rows, top * row / rows) for value in cells)
        label = f"{top * row / rows:8.2f}" if row in (rows, rows // 2) else " " * 8
        lines.append(f"{label} ┤{drawn}")
    lines.append(f"{0:8.2f} └{'─' * columns}")
    middle = date.fromordinal((start.toordinal() + end.toordinal()) // 2).isoformat()
    gap = max(1, (columns - 30) // 2)
    lines.append(f"{'':10}{start.isoformat()}{'':{gap}}{middle}{'':{gap}}{end.isoformat()}")
    return lines


def _block(value: float | None, floor: float, ceiling: float) -> str:
    if value is None or value <= floor:
        return " "
    return BLOCKS[max(1, min(8, round(8 * (value - floor) / (ceiling - floor))))]


def write_picture(path: Path, lines: Sequence[tuple[str, Line]], *, title: str, unit: str, end: date) -> None:
    """Step lines as PNG or SVG (by the suffix of `path`); InputError where it cannot be written."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import dates, pyplot

    mpl.rcParams["svg.hashsalt"] = "sublet"  # the same prices draw the same file
    figure, axes = pyplot.subplots(figsize=(9, 5), layout="constrained")
    for name, line in lines:
        days = dates.date2num([*(day for day, _ in line), end])  # type: ignore[no-untyped-call]
        values = [float("nan") if value is None else value for _, value in line]
        axes.step(days, [*values, values[-1]], where="post", label=name, linewidth=1.4)
    locator = dates.AutoDateLocator()  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(dates.ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
    axes.set_ylim(bottom=0)
    axes.set_ylabel(unit)
    axes.set_title(title)
    axes.grid(alpha=0.25)
    axes.legend(fontsize="small", ncols=2 if len(lines) > 8 else 1)
    try:
        figure.savefig(path, dpi=150, metadata={"Date": None} if path.suffix == ".svg" else None)
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be written: {error}") from error
    finally:
        pyplot.close(figure)
