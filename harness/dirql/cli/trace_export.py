# SPDX-License-Identifier: Apache-2.0
"""`dirql trace export RUN --to FORMAT`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from dirql.cli.window import window_from, window_options_until


@click.command("export")
@click.argument("run", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option(
    *("--to", "form"),
    type=click.Choice(["perfetto", "chrome", "vcd", "parquet", "csv"]),
    required=True,
    help="perfetto: ui.perfetto.dev; chrome: chrome://tracing; vcd: GTKWave; parquet, csv: frames.",
)
@click.option(
    *("-o", "--output", "path"),
    type=click.Path(path_type=Path, dir_okay=False, allow_dash=True),
    help="The file to write; without: trace.* in the run's folder, part.* for a part; - for standard output (csv).",
)
@click.option("--no-verdict", is_flag=True, help="Do not judge the trace: no violations in the picture.")
@window_options_until
def export(run: Path, form: str, path: Path | None, no_verdict: bool, **part: Any) -> int:  # noqa: ANN401
    """Write the trace of a run, or a part of it, in a format that other tools read."""
    from dirql.trace.export.formats import export_trace

    done = export_trace(run, form, path, window_from(**part), judged=not no_verdict)
    if not done.path.is_file():  # standard output has the records
        return 0
    size = done.path.stat().st_size / 1e6
    click.echo(f"{done.path}: {done.count:,} {done.what}, {size:,.1f} MB")
    return 0
