# SPDX-License-Identifier: Apache-2.0
"""`dirql exports`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from dirql.guest.image import KernelImage

EXIT_MISSING = 1


@click.command("exports")
@click.argument("pattern", nargs=-1)
@click.option("--partial", is_flag=True, help="Only those that lack something of what is documented.")
@click.option(
    "--missing",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    metavar="FILE.sys",
    help="What this driver imports and the guest does not export; exit status 1 if there is anything.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--markdown", is_flag=True, help="Print docs/exports.md: every documented routine, in, partial or out.")
def exports(pattern: tuple[str, ...], partial: bool, missing: Path | None, as_json: bool, markdown: bool) -> int:
    """List the documented routines and variables that a driver may import, one a line.

    What an export lacks stands behind its name. PATTERN: only names that match, as a shell matches files: 'Io*'.
    """
    import json

    from dirql.guest import artifacts
    from dirql.guest.image import KernelImage

    kernel = KernelImage(artifacts.kernel())
    if missing is not None:
        return _missing(kernel, missing, as_json=as_json)
    if markdown:
        click.echo(_page(kernel), nl=False)
        return 0
    names = _chosen(kernel.partial if partial else kernel.exports, pattern)
    if as_json:
        click.echo(json.dumps([{"name": name, "partial": kernel.partial.get(name)} for name in names]))
    else:
        for name in names:
            click.echo(f"{name}  (partial: {kernel.partial[name]})" if name in kernel.partial else name)
    return 0


def _chosen(names: frozenset[str] | dict[str, str], patterns: tuple[str, ...]) -> list[str]:
    from fnmatch import fnmatchcase

    wanted = [pattern.lower() for pattern in patterns]
    return sorted(name for name in names if not wanted or any(fnmatchcase(name.lower(), pattern) for pattern in wanted))


def _missing(kernel: KernelImage, path: Path, *, as_json: bool) -> int:
    import json

    from dirql.guest.image import DriverImage

    imports = sorted(set(DriverImage(path).imports))
    lacking = [(module, name) for module, name in imports if name not in kernel.exports]
    partial = [(name, kernel.partial[name]) for _, name in imports if name in kernel.partial]
    if as_json:
        missing = [{"module": module, "name": name} for module, name in lacking]
        click.echo(json.dumps({"imports": len(imports), "missing": missing, "partial": dict(partial)}))
    else:
        for module, name in lacking:
            click.echo(f"missing: {module}!{name}")
        for name, note in partial:
            click.echo(f"partial: {name}: {note}")
        click.echo(f"{path.name}: {len(imports)} imports, {len(lacking)} missing, {len(partial)} partial")
    return EXIT_MISSING if lacking else 0


def _page(kernel: KernelImage) -> str:
    from dirql.driverkit.headers import documented_routines, mingw_version, standings
    from dirql.report.exports import exports_page

    return exports_page(standings(documented_routines(), kernel), kernel, mingw_version())
