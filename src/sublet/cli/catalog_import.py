"""`sublet catalog import`: read files into the catalogue; every row is kept, or quarantined with a reason."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sublet.cli.catalog_common import JSON, Day, console
from sublet.errors import InputError

if TYPE_CHECKING:
    from sublet.catalog.importing import FileResult
    from sublet.catalog.store import Saved

SCHEMA = "sublet.catalog.import/1"


@click.command("import")
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path))
@JSON
@click.option("--seen-at", type=Day(), metavar="DAY", help="The day the prices were seen, for files that do not say.")
@click.option("--provider", metavar="NAME", help="Whose prices they are, for files that do not say.")
@click.option("--dry-run", is_flag=True, help="Read and report, but store nothing.")
@click.option(
    "--quarantine", metavar="FILE", help="Write every refused row (file, line, reason) as CSV; - for the screen."
)
def import_(
    paths: Sequence[Path],
    as_json: bool,
    seen_at: date | None,
    provider: str | None,
    dry_run: bool,
    quarantine: str | None,
) -> None:
    """Read price lists (files or folders) into your catalogue.

    Known: SkyPilot CSV v5 to v8, gpuhunt, FSDL tables, gpurentalprices, price change logs, tardellirs, AWS Spot
    Advisor, and Sublet's own CSV or Parquet. The format is told by the header. Without PATHS SkyPilot's own folder
    is read (~/.sky/catalogs).
    """
    from sublet.catalog.importing import find_files, read_files, skypilot_home
    from sublet.catalog.store import save

    home = None if paths else skypilot_home()
    if not paths and home is None:
        raise InputError("nothing to import: name files or folders (there is no ~/.sky/catalogs)")
    files, ignored = find_files(paths or [home] if home else paths)
    if not files:
        raise InputError(f"{', '.join(map(str, paths))}: no CSV, TSV, JSON or Parquet file in there")
    results = list(read_files(files, provider=provider, seen_at=seen_at))
    saved = [] if dry_run else save(None, results)
    if quarantine:
        _write_quarantine(quarantine, results)
    if as_json:
        click.echo(json.dumps(document(results, ignored, saved), indent=1))
    else:
        _print(results, ignored, saved, dry_run)
    if not any(result.usable for result in results):
        raise InputError(f"none of the {len(results)} files could be used; the catalogue stays as it was")


def document(results: Sequence[FileResult], ignored: Sequence[Path], saved: Sequence[Saved]) -> dict[str, Any]:
    """What `--json` prints (schema sublet.catalog.import/1)."""
    warnings = {one.path: one.warning for one in saved if one.warning}
    return {
        "schema": SCHEMA,
        "files": [
            {
                "path": str(result.path),
                "format": result.format,
                "rows": result.rows,
                "kept": result.kept,
                "quarantined": result.quarantined,
                "reasons": dict(result.reasons),
                "offers": result.offers,
                "kinds": dict(result.kinds),
                "dropped_prices": dict(result.dropped),
                "failure": result.failure or None,
                "message": result.message or warnings.get(str(result.path)) or None,
                "notes": list(result.notes),
            }
            for result in results
        ],
        "ignored": [str(path) for path in ignored],
        "totals": {
            "files": len(results),
            "rows": sum(result.rows for result in results),
            "kept": sum(result.kept for result in results),
            "quarantined": sum(result.quarantined for result in results),
            "offers": sum(result.offers for result in results),
        },
    }


def _print(results: Sequence[FileResult], ignored: Sequence[Path], saved: Sequence[Saved], dry_run: bool) -> None:
    from rich.table import Table

    terminal = console()
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("file", overflow="fold")
    table.add_column("format")
    for name in ("rows", "kept", "quarantined", "offers"):
        table.add_column(name, justify="right")
    table.add_column("why", overflow="fold")
    for result in results:
        why = [f"{reason} {count:,}" for reason, count in result.reasons.items()]
        why += [f"dropped {reason} {count:,}" for reason, count in result.dropped.items()]
        why += result.notes
        if result.failure and not why:
            why = [result.failure]
        table.add_row(
            result.label or str(result.path),
            result.format or "[red]–[/red]",
            f"{result.rows:,}",
            f"{result.kept:,}",
            f"{result.quarantined:,}" if not result.quarantined else f"[yellow]{result.quarantined:,}[/yellow]",
            f"{result.offers:,}",
            "; ".join(why),
        )
    terminal.print(table)
    kinds: Counter[str] = Counter()
    for result in results:
        kinds.update(result.kinds)
    rows, kept, lost = (sum(getattr(result, name) for result in results) for name in ("rows", "kept", "quarantined"))
    terminal.print(f"{rows:,} rows = {kept:,} kept + {lost:,} quarantined, in {len(results)} files.")
    terminal.print(
        "Kept: " + (", ".join(f"{count:,} {kind}" for kind, count in kinds.most_common()) or "nothing") + "."
    )
    for result in results:
        if result.failure:
            terminal.print(f"[red]not used[/red]: {result.message}", soft_wrap=True)
    for one in saved:
        if one.warning:
            terminal.print(f"[yellow]look[/yellow]: {one.warning}", soft_wrap=True)
    if ignored:
        terminal.print(f"Passed over {len(ignored)} files of other kinds.")
    if dry_run:
        terminal.print("Nothing was stored (--dry-run).")


def _write_quarantine(path: str, results: Sequence[FileResult]) -> None:
    import csv
    import io

    from sublet.cli.catalog_common import write_text

    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("file", "line", "reason", "detail"))
    for result in results:
        writer.writerows((result.path, row.line, row.reason, row.detail) for row in result.refused)
    write_text(path, text.getvalue())
