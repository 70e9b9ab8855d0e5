"""`sublet catalog show`: one accelerator or instance type, every figure with its source, and what it is offered for."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

import click

from sublet.cli.catalog_common import AS_OF, JSON, console, money, table_of
from sublet.errors import InputError

if TYPE_CHECKING:
    from rich.console import Console

    from sublet.catalog.accelerator import Accelerator
    from sublet.catalog.shape import Shape
    from sublet.catalog.table import OfferTable

SCHEMA = "sublet.catalog.show/1"
PROVIDERS = 12  # lines of the offers' summary


@click.command("show")
@click.argument("name")
@click.option("--provider", "-p", metavar="NAME", help="Whose instance type, where several have one of that name.")
@AS_OF
@JSON
def show(name: str, provider: str | None, as_of: date | None, as_json: bool) -> None:
    """Everything known of an accelerator ("H100 SXM") or an instance type (p5.48xlarge), each figure with its source.

    Figures that nobody has checked are marked with *.
    """
    table, day = table_of(as_of)
    chips = [] if provider else _chips(name)
    shapes = [] if chips else _shapes(name, provider, table)
    if not shapes and not chips and not len(table.where(shape=name)):
        raise InputError(_unknown(name))
    if as_json:
        click.echo(json.dumps(_document(name, shapes, chips, table, day), indent=1))
        return
    terminal = console(None)
    for shape in shapes:
        _print_shape(terminal, shape)
    for chip in chips:
        _print_chip(terminal, chip)
    if len(chips) > 1:
        terminal.print(f'"{name}" may mean any of these {len(chips)}.\n')
    _print_offers(terminal, _summary(table, name, shapes, chips), day)
    _print_interruptions(terminal, _interruptions(name))


def _shapes(name: str, provider: str | None, table: OfferTable) -> list[Shape]:
    from sublet.catalog import shapes
    from sublet.catalog.rules import provider_id

    owners = {owner for owner, _ in shapes.shapes()} | set(table.vocabulary("provider"))
    wanted = {provider_id(provider)} if provider else owners
    found = [shape for owner in sorted(wanted) if (shape := shapes.find(owner, name)) is not None]
    return list({(shape.provider, shape.name): shape for shape in found}.values())


def _chips(name: str) -> list[Accelerator]:
    from sublet.catalog.accelerators import accelerators
    from sublet.catalog.names import resolve

    known = accelerators()
    meant = resolve(name)
    if meant.by == "instance type" or meant.count_hint is not None:
        return []  # p5.48xlarge and tpu-v5p-8 are shapes
    names = (meant.accelerator,) if meant.accelerator else meant.candidates
    return [known[one] for one in names if one in known]


def _unknown(name: str) -> str:
    from difflib import get_close_matches

    from sublet.catalog.accelerators import accelerators
    from sublet.catalog.shapes import shapes

    words = {word.casefold(): word for word in (*accelerators(), *(shape for _, shape in shapes()))}
    near = [words[word] for word in get_close_matches(name.casefold(), list(words), n=3, cutoff=0.5)]
    hint = f"; did you mean {', '.join(near)}?" if near else ""
    return f'"{name}" is no accelerator or instance type of the catalogue{hint}'


def figures(thing: Accelerator | Shape) -> list[tuple[str, str, str, bool]]:
    """(figure, value, source, unverified) of an accelerator or a shape, for people."""
    from sublet.catalog.accelerator import Accelerator

    return _of_chip(thing) if isinstance(thing, Accelerator) else _of_shape(thing)


def _of_chip(chip: Accelerator) -> list[tuple[str, str, str, bool]]:
    from sublet.units import format_bytes, format_si

    rows: list[tuple[str, str, str]] = [("launch", chip.launch.isoformat() if chip.launch else "", "launch")]
    for precision, rate in chip.peak_flops.items():
        unit = "OP/s" if precision.startswith("int") else "FLOP/s"
        rows.append((f"{precision}, dense", format_si(rate, unit), f"peak_flops.{precision}"))
    rows += [
        ("memory", format_bytes(chip.memory_bytes), "memory_gb"),
        ("memory bandwidth", _rate(chip.memory_bytes_per_s), "memory_bytes_per_s"),
        ("scale-up", f"{chip.scale_up} ({chip.topology})", "scale_up"),
        ("scale-up, one direction", _rate(chip.scale_up_bytes_per_s), "scale_up_bytes_per_s"),
        ("scale-up domain", f"{chip.scale_up_domain} accelerators", "scale_up_domain"),
        ("scale-out, one direction", _rate(chip.scale_out_bytes_per_s), "scale_out_bytes_per_s"),
        ("power", f"{chip.tdp_watts:g} W" if chip.tdp_watts else "", "tdp_watts"),
        ("die", f"{chip.die_mm2:g} mm²" if chip.die_mm2 else "", "die_mm2"),
        ("purchase price", f"{chip.purchase_usd:,.0f} USD" if chip.purchase_usd else "", "purchase_usd"),
        ("frameworks", ", ".join(chip.frameworks), "frameworks"),
    ]
    if chip.tpp:
        rows.append(("total processing performance", f"{chip.tpp:,.0f}", "tpp"))
    if chip.performance_density:
        rows.append(("performance density", f"{chip.performance_density:.2f}", "performance_density"))
    return [
        (what, value or "not published", _source(chip.sources, key), key in chip.unverified)
        for what, value, key in rows
    ]


def _rate(rate: float | None) -> str:
    from sublet.units import format_rate

    return format_rate(rate) if rate else ""


def _source(sources: Mapping[str, str], key: str) -> str:
    if key in ("tpp", "performance_density"):
        return "computed from the peak rates" + (" and the die" if key == "performance_density" else "")
    return sources.get(key, "")


def _of_shape(shape: Shape) -> list[tuple[str, str, str, bool]]:
    from sublet.units import format_rate

    fabric = shape.fabric
    domain = f"{fabric.domain} chips ({fabric.topology})"
    marked = shape.unverified
    rows = [
        ("accelerators", f"{shape.count} x {shape.accelerator}", shape.source, "count"),
        ("vCPUs", f"{shape.vcpus:g}" if shape.vcpus else "not known", shape.source, "vcpus"),
        ("memory", f"{shape.memory_gib:g} GiB" if shape.memory_gib else "not known", shape.source, "memory_gib"),
        (
            "scale-up",
            f"{format_rate(fabric.scale_up_bytes_per_s)} one direction per chip, {domain}",
            fabric.source,
            "domain",
        ),
        (
            "scale-out",
            f"{format_rate(fabric.scale_out_bytes_per_s)} one direction per chip",
            fabric.source,
            "nic_gbit_per_node",
        ),
    ]
    if shape.max_nodes:
        rows.append(("largest cluster", f"{shape.max_nodes:,} nodes", shape.source, "max_nodes"))
    return [(what, value, source, key in marked) for what, value, source, key in rows]


def _print_chip(terminal: Console, chip: Accelerator) -> None:
    terminal.print(f"[bold]{chip.name}[/bold]  {chip.vendor} {chip.family}")
    _print_figures(terminal, figures(chip))
    if chip.notes:
        terminal.print(f"  {chip.notes}", soft_wrap=True)
    terminal.print()


def _print_shape(terminal: Console, shape: Shape) -> None:
    terminal.print(f"[bold]{shape.name}[/bold]  {shape.provider}")
    _print_figures(terminal, figures(shape))
    if shape.fabric.assumption:
        terminal.print(f"  Assumed: {shape.fabric.assumption}", soft_wrap=True)
    terminal.print()


def _print_figures(terminal: Console, rows: Sequence[tuple[str, str, str, bool]]) -> None:
    from rich.table import Table

    view = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
    view.add_column()
    view.add_column(overflow="fold")
    view.add_column(style="dim", overflow="fold")
    before = None
    for what, value, source, unverified in rows:
        view.add_row(f"  {what}", value + (" *" if unverified else ""), "as above" if source == before else source)
        before = source
    terminal.print(view)
    if any(unverified for *_, unverified in rows):
        terminal.print("  * not verified")


def _summary(
    table: OfferTable, name: str, shapes: Sequence[Shape], chips: Sequence[Accelerator]
) -> list[dict[str, Any]]:
    """Per provider and market: how many offers, and their lowest and median price per accelerator-hour in dollars."""
    import numpy as np

    from sublet.catalog.flags import NOT_A_PRICE

    if chips:
        rows = table.where(accelerator=[chip.name for chip in chips], without=NOT_A_PRICE)
    else:
        names = {name, *(shape.name for shape in shapes)}
        owners = {shape.provider for shape in shapes} or None
        rows = table.where(shape=names, provider=owners, without=NOT_A_PRICE)
    price, verified = table.floats("usd_per_accelerator_hour"), table.ints("verified")
    groups: dict[tuple[str, str], list[int]] = {}
    for row in rows.tolist():
        key = (table.texts["provider"].word(row) or "", table.texts["market"].word(row) or "")
        groups.setdefault(key, []).append(row)
    found = [
        {
            "provider": provider,
            "market": market,
            "offers": len(members),
            "lowest_usd_per_accelerator_hour": float(np.min(price[members])),
            "median_usd_per_accelerator_hour": float(np.median(price[members])),
            "seen_at": date.fromordinal(int(verified[members].max())).isoformat(),
        }
        for (provider, market), members in groups.items()
    ]
    return sorted(found, key=lambda one: float(str(one["lowest_usd_per_accelerator_hour"])))


def _print_offers(terminal: Console, found: Sequence[dict[str, Any]], day: date) -> None:
    if not found:
        terminal.print(f"No offer as of {day}.")
        return
    from rich.table import Table

    view = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("provider", "market"):
        view.add_column(heading)
    for heading in ("offers", "lowest $/acc-h", "median $/acc-h", "seen"):
        view.add_column(heading, justify="right")
    for one in found[:PROVIDERS]:
        low, middle = one["lowest_usd_per_accelerator_hour"], one["median_usd_per_accelerator_hour"]
        view.add_row(one["provider"], one["market"], f"{one['offers']:,}", money(low), money(middle), one["seen_at"])
    terminal.print(view)
    total = sum(one["offers"] for one in found)
    more = f", {len(found) - PROVIDERS} more lines in `sublet catalog list`" if len(found) > PROVIDERS else ""
    terminal.print(f"{total:,} offers as of {day}{more}.")


def _document(
    name: str, shapes: Sequence[Shape], chips: Sequence[Accelerator], table: OfferTable, day: date
) -> dict[str, Any]:
    def listed(thing: Accelerator | Shape) -> list[dict[str, Any]]:
        return [
            {"figure": what, "value": value, "source": source or None, "unverified": unverified}
            for what, value, source, unverified in figures(thing)
        ]

    return {
        "schema": SCHEMA,
        "name": name,
        "as_of": day.isoformat(),
        "accelerators": [{"name": chip.name, "vendor": chip.vendor, "figures": listed(chip)} for chip in chips],
        "shapes": [
            {
                "name": shape.name,
                "provider": shape.provider,
                "accelerator": shape.accelerator,
                "count": shape.count,
                "figures": listed(shape),
                "assumption": shape.fabric.assumption or None,
            }
            for shape in shapes
        ],
        "offers": _summary(table, name, shapes, chips),
        "interruptions": _interruptions(name),
    }


def _interruptions(name: str) -> list[dict[str, Any]]:
    """How often spot instances of that type were taken back, by region: built in, and from imported files."""
    from dataclasses import asdict

    from sublet.catalog import store
    from sublet.catalog.embedded import interruptions

    found = [asdict(one) for one in interruptions() if one.shape.casefold() == name.casefold()]
    known = {(one["region"], one["seen_at"]) for one in found}
    for row in store.facts(None, "interruptions"):
        if row["shape"].casefold() == name.casefold() and (row["region"], row["seen_at"]) not in known:
            savings = float(row["savings_percent"]) if row["savings_percent"] else None
            found.append({**row, "savings_percent": savings, "band": row["interruption_range"]})
    return found


def _print_interruptions(terminal: Console, found: Sequence[dict[str, Any]]) -> None:
    if not found:
        return
    newest = max(one["seen_at"] for one in found)
    bands: dict[str, list[str]] = {}
    for one in found:
        if one["seen_at"] == newest:
            bands.setdefault(one["band"], []).append(one["region"])
    told = "; ".join(f"{band} in {', '.join(sorted(regions))}" for band, regions in sorted(bands.items()))
    terminal.print(f"Spot instances taken back in a month ({newest}): {told}.", soft_wrap=True)
