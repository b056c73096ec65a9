# SPDX-License-Identifier: Apache-2.0
"""`dirql exports`."""

from __future__ import annotations

import click


@click.command("exports")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def exports(as_json: bool) -> None:
    """List the documented routines and variables that a driver may import."""
    import json

    from dirql.guest import artifacts
    from dirql.guest.image import KernelImage

    names = sorted(KernelImage(artifacts.kernel()).exports)
    click.echo(json.dumps(names) if as_json else "\n".join(names))
