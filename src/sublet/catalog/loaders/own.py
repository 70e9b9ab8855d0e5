"""Sublet's own table of offers, as CSV or Parquet: what `sublet catalog list --csv` writes and anyone may write.

    provider, accelerator, seen_at                                    needed in every row
    price_per_node_hour | price_per_accelerator_hour                  one of them; of both the node's counts
    shape, count (1), region, zone, market (on-demand), currency (USD), minimum_accelerators, vcpus, memory_gib,
    per_accelerator (true where any number from the minimum on can be had), source, source_url, flags      as known

What `source` says stands before the file and line of the offer. All rows of one provider and `source` form one snapshot
per day: a newer day replaces them.
"""

from __future__ import annotations

from decimal import Decimal

import numpy as np

from sublet.catalog import flags as quality
from sublet.catalog import rules
from sublet.catalog.loaders.draft import Built, Draft, amount, build, each, price_text
from sublet.catalog.loaders.fields import days_of, undated
from sublet.catalog.loaders.outcome import Context, Loaded, settle
from sublet.catalog.loaders.sheet import Sheet

FORM = "sublet"
COLUMNS = (
    *("provider", "accelerator", "shape", "count", "region", "zone", "market"),
    *("price_per_node_hour", "price_per_accelerator_hour", "currency", "minimum_accelerators", "per_accelerator"),
    *("vcpus", "memory_gib", "seen_at", "source", "source_url", "flags"),
)


def fits(sheet: Sheet) -> bool:
    """A provider, an accelerator, a day and one of the two prices."""
    priced = sheet.has("pricepernodehour") or sheet.has("priceperacceleratorhour")
    return priced and sheet.has("provider", "accelerator", "seenat")


def load(sheet: Sheet, context: Context) -> Loaded:
    """Offers as they are written; unknown flags are left out."""
    days = days_of(sheet, "seenat")
    node, single = sheet.column("pricepernodehour"), sheet.column("priceperacceleratorhour")
    flexible = [cell.casefold() in ("true", "1", "yes") for cell in sheet.column("peraccelerator")]
    source = [cell.partition(":")[0] for cell in sheet.column("source")]
    provider = sheet.column("provider")
    drafts: list[tuple[Draft, Built]] = []
    counts = sheet.column("count")
    whole = [cell or _multiplied(one, count) for cell, one, count in zip(node, single, counts, strict=True)]
    dated = [row for row, day in enumerate(days) if day]
    for by_one in (False, True):
        rows = [row for row in dated if by_one == (flexible[row] or not whole[row])]
        if not rows:
            continue

        def of(column: str, rows: list[int] = rows) -> list[str]:
            cells = sheet.column(column)
            return [cells[row] for row in rows]

        scope = [f"{FORM}/{source[row]}/{rules.provider_id(provider[row])}" for row in rows]
        day = np.array([days[row] for row in rows], dtype=np.int64)
        draft = Draft(
            sheet=sheet,
            feed=FORM,
            scope=scope,
            rows=rows,
            price=[
                (single[row] or _share(node[row], sheet.column("count")[row])) if by_one else whole[row] for row in rows
            ],
            first=day,
            last=day,
            provider=context.provider or of("provider"),
            market=[cell or "on-demand" for cell in of("market")],
            shape=of("shape"),
            raw=of("accelerator"),
            count=[cell or "1" for cell in of("count")],
            minimum=[
                cell or (count or "1" if by_one else "")
                for cell, count in zip(of("minimumaccelerators"), of("count"), strict=True)
            ],
            per_accelerator=by_one,
            region=of("region"),
            zone=of("zone"),
            currency=of("currency"),
            vcpus=of("vcpus"),
            memory_gib=of("memorygib"),
            url=of("sourceurl"),
            file=[f"{cell}@{sheet.label}" if cell else sheet.label for cell in of("source")],
            flags=np.array(each(_flags, of("flags")), dtype=np.int64),
            calendars={
                one: sorted({int(d) for d, s in zip(day, scope, strict=True) if s == one}) for one in set(scope)
            },
        )
        drafts.append((draft, build(draft)))
    return settle(sheet, FORM, drafts, refused=undated(days))


def _flags(cell: str) -> int:
    words = {word.strip() for word in cell.replace(",", "|").replace(";", "|").split("|")}
    return quality.bits(words & set(quality.FLAGS) - quality.OF_THE_DAY)


def _multiplied(single: str, count: str) -> str:
    """The price of a node of several accelerators of which only the price of one is stated."""
    price, number = price_text(single)[0], amount(count)
    return f"{Decimal(price) * int(number):f}" if price and number > 1 and number == int(number) else ""


def _share(node: str, count: str) -> str:
    price, number = amount(node), amount(count)
    return f"{price / number:.10g}" if number > 0 else node
