# SPDX-License-Identifier: Apache-2.0
"""`dirql doctor`."""

from __future__ import annotations

import click


@click.command("doctor")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def doctor(as_json: bool) -> int:
    """Print every tool, version and capability that dirql uses, what is missing and how to get it."""
    from dirql import doctor as examination

    findings = examination.examine()
    if as_json:
        click.echo(examination.to_json(findings))
    else:
        from dirql.report.tables import report_console

        examination.show(findings, report_console())
    return examination.exit_status(findings)
