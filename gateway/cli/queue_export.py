"""`gateway queue export`: the object of a delivery as a DICOM file."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import click

from gateway.cli.access import require_places
from gateway.cli.options import fail, process_settings, rules_option
from gateway.cli.queue import DRY_RUN, WHY, opened
from gateway.cli.queue_verbs import done, operator_name
from gateway.operations import export as exporting
from gateway.operations.queue_administration import Operator
from gateway.stores.payloads import opened_payloads


@click.command()
@click.argument("delivery_id", metavar="ID", type=int)
@click.option("--to", "place", required=True, type=click.Path(path_type=Path), metavar="FILE|FOLDER", help="Where to.")
@rules_option
@DRY_RUN
@WHY
def export(delivery_id: int, place: Path, rules: Path, is_dry_run: bool, why: str) -> None:
    """Write the object of a delivery into a DICOM file, never over another one.

    The data set is the stored one, byte by byte, before the actions of the rule. In a FOLDER the file is named by the
    SOP Instance UID. The file names a patient: it is readable for the user of the command alone.
    """
    settings = process_settings(rules)
    require_places(settings, is_read_only=True)
    with opened(rules, is_read_only=is_dry_run) as access:
        found = done(exporting.delivery_to_export(access, delivery_id))
        if found is None:
            fail(f"there is no delivery {delivery_id}")
        path = exporting.path_of(found, place)
        size_bytes = found.instance.payload.length_bytes
        if is_dry_run:
            if os.path.lexists(path):
                fail(f"{path}: it is there already, and is not written over")
            click.echo(f"{path} would have a data set of {size_bytes} bytes; nothing was done")
            return
        by = Operator(operator_name(), why)
        try:
            with opened_payloads(settings, access.store) as open_payload:
                done(exporting.export(access, found, path, open_payload, by, datetime.now(UTC)))
        except OSError as error:
            fail(f"{path}: {error.strerror or error}")
    click.echo(f"{path}: written, with a data set of {size_bytes} bytes")
