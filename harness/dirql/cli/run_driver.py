# SPDX-License-Identifier: Apache-2.0
"""`dirql run-driver FILE.sys`."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import click

from dirql.cli.experiment import keep_folder, progress_line
from dirql.cli.options import config_from, machine_options, recording_from, trace_options
from dirql.errors import DirqlError, GuestError

EXIT_FAILED = 1
_SHOWN = 5


@click.command("run-driver", short_help="Your driver at work: interrupts, requests, the judged trace.")
@click.argument("driver")
@machine_options
@trace_options
@click.option(
    "--device",
    default="doorbell",
    show_default=True,
    help="What it is started on: doorbell, edu, none (it makes its device itself), or VENDOR:DEVICE in hexadecimal.",
)
@click.option("--add", multiple=True, metavar="DEVICE", help="A further device for QEMU's -device, as 'e1000'.")
@click.option("--vectors", type=int, default=4, show_default=True, help="MSI-X vectors of the doorbell, 1 to 64.")
@click.option("--parameter", "values", multiple=True, metavar="NAME=VALUE", help="A value of its key Parameters.")
@click.option("--open", "name", metavar="NAME", help=r"Name of its device. Default: \\.\ and the file's name.")
@click.option("--interrupts", type=int, default=1000, show_default=True, help="Interrupts from outside (doorbell).")
@click.option("--requests", type=int, default=200, show_default=True, help="Requests, from all CPUs in turn.")
@click.option("--window", type=int, default=0, help="Requests in flight. Default: two for each CPU.")
@click.option("--read", type=int, metavar="BYTES", help="Requests are reads. The default, of 8 bytes.")
@click.option("--write", type=int, metavar="BYTES", help="Requests are writes, of random bytes.")
@click.option("--ioctl", "code", metavar="CODE", help="Requests are ioctls; a number, as 0x222000.")
@click.option("--in", "data", default="", metavar="HEX", help="Input of the ioctl.")
@click.option("--out-bytes", "size", type=int, default=0, show_default=True, help="Bytes of output of the ioctl.")
@click.option("--cancel", type=int, default=0, show_default=True, metavar="PERCENT", help="Requests to cancel.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of what is random.")
@click.option("--verifier/--no-verifier", default=True, show_default=True, help="The guest's verifier.")
@click.option("--out", type=click.Path(path_type=Path), help="The run's folder: new or empty. Default: below runs/.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of tables.")
@click.option("--no-export", is_flag=True, help="Do not write the picture, the Perfetto and the Parquet file.")
@click.option("--dry-run", is_flag=True, help="Print the QEMU command line and do nothing.")
def run_driver(driver: str, out: Path | None, as_json: bool, no_export: bool, dry_run: bool, **values: Any) -> int:  # noqa: ANN401
    """Boot, load DRIVER and start it on a device, send interrupts and requests, unload it, judge the trace.

    Requests of the given kinds take turns. The doorbell also interrupts whenever the driver rings it. Exit status 0 if
    no rule was broken and every request ended; 1 if not, or if the verifier stopped the machine; 2 if it could not run.
    """
    from dirql.experiments.driver_run import NAME, machine_for, run_driver

    config, parameters = _what_to_do(driver, values)
    if dry_run:
        from dirql.cli.dryrun import print_command

        print_command(*machine_for(config, parameters))
        return 0
    total = parameters.load.interrupts + parameters.load.requests
    with keep_folder(NAME, out) as folder:
        try:
            with progress_line("interrupts, requests", total, quiet=as_json) as progress:
                result = run_driver(config, parameters, folder, progress)
        except GuestError as error:
            _tell_failure(error, folder.path, as_json=as_json)
            raise
    data = result.to_json()
    if as_json:
        import json

        click.echo(json.dumps(data))
    else:
        from dirql.report.run import print_run

        print_run(result.history, result.stats, result.verdict, {}, data)
    if not no_export:
        from dirql.report.run import export

        export(result.history, result.verdict, folder.path, Path(driver).name)
    return 0 if result.passed else EXIT_FAILED


def _tell_failure(error: GuestError, folder: Path, *, as_json: bool) -> None:
    """Print the rules that the trace shows broken up to the failure: that is what it came from, often enough."""
    from dirql.trace.folder import load
    from dirql.trace.oracle import judge

    verdict = None
    with suppress(DirqlError):
        trace = load(folder)
        verdict = judge(trace)
    if as_json:
        import json

        broken = [
            {"clause": each.clause, "text": each.text, "sites": [trace.symbols.where(site) for site in each.sites]}
            for each in (verdict.violations if verdict else ())
        ]
        click.echo(json.dumps({"passed": False, "error": str(error), "violations": broken, "run_folder": str(folder)}))
    elif verdict is not None:
        from dirql.report.tables import print_violation, report_console

        for each in verdict.violations[:_SHOWN]:
            print_violation(report_console(), each, trace.symbols)


def _what_to_do(driver: str, values: dict[str, Any]) -> tuple[Any, Any]:
    from dirql.experiments.driver_load import LoadParameters
    from dirql.experiments.driver_run import DriverRunParameters

    load = LoadParameters(
        code=_number(values.pop("code")),
        data=_bytes(values.pop("data")),
        out=values.pop("size"),
        **{key: values.pop(key) for key in ("interrupts", "requests", "window", "read", "write", "cancel", "seed")},
    )
    parameters = DriverRunParameters(
        driver,
        device=values.pop("device"),
        vectors=values.pop("vectors"),
        values=dict(_pair(text) for text in values.pop("values")),
        name=values.pop("name"),
        load=load,
    )
    extra = tuple(argument for device in values.pop("add") for argument in ("-device", device))
    recording = recording_from(values)
    return config_from(**values, **recording, extra=extra), parameters


def _number(text: str | None) -> int | None:
    try:
        return None if text is None else int(text, 0)
    except ValueError:
        raise click.BadParameter(f"{text!r} is no number such as 0x222000", param_hint="--ioctl") from None


def _bytes(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise click.BadParameter(f"{text!r} is no row of bytes in hexadecimal", param_hint="--in") from None


def _pair(text: str) -> tuple[str, int | str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise click.BadParameter(f"{text!r} is no NAME=VALUE", param_hint="--parameter")
    try:
        return name, int(value, 0)
    except ValueError:
        return name, value
