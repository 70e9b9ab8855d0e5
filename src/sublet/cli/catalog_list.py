"""`sublet catalog list`: the offers of a day, as a table, JSON or CSV that can be imported again."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

import click

from sublet.cli.catalog_common import AS_OF, JSON, age, console, money, table_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sublet.catalog.offer import Offer
    from sublet.catalog.table import OfferTable

SCHEMA = "sublet.catalog.list/1"


@click.command("list")
@click.option(
    "--accelerator", "-a", multiple=True, metavar="NAME", help="Any spelling; an ambiguous one means all it may."
)
@click.option("--count", "-n", type=click.IntRange(min=1), help="Accelerators in one offer.")
@click.option("--provider", "-p", multiple=True, metavar="NAME", help="Only these providers.")
@click.option("--region", "-r", multiple=True, metavar="NAME", help="Only these regions.")
@click.option("--market", "-m", multiple=True, metavar="NAME", help="on-demand, spot, reserved-1y, community, ...")
@click.option("--shape", multiple=True, metavar="NAME", help="Only these instance types.")
@click.option("--feed", multiple=True, metavar="NAME", help="Only these sources (see sublet catalog sources).")
@AS_OF
@click.option(
    "--without", multiple=True, metavar="FLAG", help="Leave out offers with that flag (stale, placeholder, ...)."
)
@click.option("--limit", default=30, show_default=True, type=click.IntRange(min=0), help="Rows to print; 0 for all.")
@click.option("--machines", is_flag=True, help="Imported machines without an accelerator instead of offers.")
@JSON
@click.option("--csv", "as_csv", is_flag=True, help="CSV on standard output, which `sublet catalog import` reads.")
def list_(
    accelerator: Sequence[str],
    count: int | None,
    provider: Sequence[str],
    region: Sequence[str],
    market: Sequence[str],
    shape: Sequence[str],
    feed: Sequence[str],
    as_of: date | None,
    without: Sequence[str],
    limit: int,
    machines: bool,
    as_json: bool,
    as_csv: bool,
) -> None:
    """Offers that stood on a day, cheapest trustworthy price per accelerator first.

    Without --as-of the day is the newest on which anything was seen.
    """
    if machines:
        from sublet.catalog import store
        from sublet.cli.catalog_common import newest

        table = store.machines()
        day = as_of or newest(table)
    else:
        table, day = table_of(as_of)
    rows = table.where(
        accelerator=accelerator or None,
        count=count,
        provider=_ids(provider),
        region=region or None,
        market=market or None,
        shape=shape or None,
        feed=feed or None,
        without=_flags(without),
        as_of=day if machines else None,
    )
    rows = ordered(table, rows)
    shown = rows if limit == 0 else rows[:limit]
    if as_csv:
        click.echo(as_csv_text(table.offers(shown)), nl=False)
    elif as_json:
        click.echo(json.dumps(document(table, shown, len(rows), day), indent=1))
    else:
        _print(table, shown, len(rows), day, limit)


def ordered(table: OfferTable, rows: NDArray[Any]) -> NDArray[Any]:
    """Rows by trust, then price per accelerator-hour, then provider and shape."""
    import numpy as np

    from sublet.catalog.flags import DOUBTFUL, NOT_A_PRICE

    price = table.floats("usd_per_accelerator_hour")[rows]
    if not table.ints("count").any():
        price = table.floats("usd_per_node_hour")[rows]
    trust = np.where(table.has(*NOT_A_PRICE)[rows], 2, np.where(table.has(*DOUBTFUL)[rows], 1, 0))
    found: NDArray[Any] = rows[np.lexsort((rows, np.nan_to_num(price, nan=np.inf), trust))]
    return found


def document(table: OfferTable, rows: NDArray[Any], matched: int, day: date) -> dict[str, Any]:
    """What `--json` prints (schema sublet.catalog.list/1)."""
    return {
        "schema": SCHEMA,
        "as_of": day.isoformat(),
        "matched": matched,
        "offers": [offer_document(offer) for offer in table.offers(rows)],
    }


def offer_document(offer: Offer) -> dict[str, Any]:
    """One offer as JSON; prices are decimal text, so that no digit is lost."""
    return {
        "provider": offer.provider,
        "shape": offer.shape,
        "accelerator": offer.accelerator,
        "accelerator_raw": offer.accelerator_raw,
        "candidates": list(offer.candidates),
        "count": offer.count,
        "region": offer.region,
        "zone": offer.zone,
        "market": offer.market,
        "price_per_node_hour": str(offer.price_per_node_hour),
        "price_per_accelerator_hour": str(offer.price_per_accelerator_hour),
        "currency": offer.currency,
        "minimum_accelerators": offer.minimum_accelerators,
        "per_accelerator": offer.per_accelerator,
        "vcpus": offer.vcpus,
        "memory_gib": offer.memory_gib,
        "seen_at": offer.seen_at.isoformat(),
        "first_seen": offer.first_seen.isoformat() if offer.first_seen else None,
        "source": offer.source,
        "source_url": offer.source_url or None,
        "flags": list(offer.flags),
    }


def as_csv_text(offers: Sequence[Offer]) -> str:
    """Offers in Sublet's own CSV form (see catalog/loaders/own.py)."""
    from sublet.catalog.loaders.own import COLUMNS

    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    for offer in offers:
        row = offer_document(offer)
        row["accelerator"] = offer.accelerator or offer.accelerator_raw
        row["per_accelerator"] = "true" if offer.per_accelerator else ""
        row["flags"] = "|".join(offer.flags)
        writer.writerow({name: "" if value is None else value for name, value in row.items()})
    return text.getvalue()


def _print(table: OfferTable, rows: NDArray[Any], matched: int, day: date, limit: int) -> None:
    from rich.table import Table

    terminal = console()
    if not matched:
        terminal.print(f"No offer matches as of {day}. Try fewer conditions, or `sublet catalog import` for more.")
        return
    view = Table(box=None, pad_edge=False, header_style="bold")
    for name, side in (
        *(("accelerator", "left"), ("n", "right"), ("provider", "left"), ("shape", "left"), ("region", "left")),
        *(("market", "left"), ("$/acc-h", "right"), ("$/node-h", "right"), ("seen", "right"), ("flags", "left")),
    ):
        view.add_column(name, justify=side, overflow="fold")  # type: ignore[arg-type]
    for offer in table.offers(rows):
        view.add_row(
            offer.accelerator or (f"{offer.candidates[0]} ?" if offer.candidates else offer.accelerator_raw or "–"),
            f"{offer.minimum_accelerators}+" if offer.per_accelerator else str(offer.count),
            offer.provider,
            offer.shape or "–",
            " ".join(filter(None, (offer.region, offer.zone if offer.zone != offer.region else None))) or "–",
            offer.market,
            money(float(offer.price_per_accelerator_hour), offer.currency) if offer.count else "–",
            money(float(offer.price_per_node_hour), offer.currency),
            age(offer.seen_at, day),
            ", ".join(flag for flag in offer.flags if flag != "ambiguous-accelerator"),
        )
    terminal.print(view)
    more = f", {matched - len(rows):,} more (--limit 0)" if matched > len(rows) else ""
    terminal.print(f"{matched:,} offers as of {day}{more}. A ? marks a name that may mean several chips.")


def _ids(providers: Sequence[str]) -> list[str] | None:
    from sublet.catalog.rules import provider_id

    return [provider_id(name) for name in providers] or None


def _flags(names: Sequence[str]) -> Sequence[str]:
    from sublet.catalog.flags import FLAGS
    from sublet.errors import InputError

    for name in names:
        if name not in FLAGS:
            raise InputError(f"--without {name}: no such flag; there are {', '.join(FLAGS)}")
    return names
