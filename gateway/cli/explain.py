"""`gateway explain`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import click

from gateway import explaining
from gateway.cli.options import FORMAT, fail, rules_option, usable_table
from gateway.explaining.as_json import as_json
from gateway.explaining.text import answer_lines
from gateway.life import exit_code
from gateway.model import AssociationFacts
from gateway.plain_text import printable
from gateway.ports import DeliveryFilter, GatewayError
from gateway.rehearsal import staged
from gateway.routing.table import RoutingTable

Subjects = Iterator[explaining.Subject | explaining.Unexplained]


@click.command(
    epilog="\b\nExamples\n"
    "  gateway explain image.dcm --calling-ae CT1\n"
    "  gateway explain study/ --calling-ae CT1 --host 10.1.0.7 --verify pacs,vna\n"
    "  gateway explain --delivery 17 --show-values"
)
@click.argument("paths", nargs=-1, type=click.Path(exists=True, path_type=Path))
@rules_option
@click.option("--calling-ae", default="", metavar="TITLE", help="AE title of the sender; needed for files.")
@click.option("--called-ae", default="", metavar="TITLE", help="AE title it calls  [default: the gateway's].")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address it calls from.")
@click.option("--listener", default="", metavar="NAME", help="Listener it comes in by  [default: the first].")
@click.option("--tls-subject", default="", metavar="NAME", help="Subject of its certificate, as CN=ct1,O=Example.")
@click.option("--tls-name", "tls_names", multiple=True, metavar="NAME", help="Its alternative names, as DNS:ct1.")
@click.option("--tls-fingerprint", default="", metavar="DIGITS", help="SHA-256 of its certificate.")
@click.option("--user", default="", metavar="NAME", help="User identity, taken as verified.")
@click.option("--delivery", "deliveries", type=int, multiple=True, metavar="ID", help="The object of this delivery.")
@click.option("--instance", "instances", type=int, multiple=True, metavar="ID", help="A stored instance.")
@click.option("--sop-instance-uid", default="", metavar="UID", help="Stored instances with this UID.")
@click.option("--verify", metavar="PEERS", help="Exit 1 unless each object goes to just these: a,b; '' for none.")
@click.option("--limit", type=click.IntRange(0), default=20, show_default=True, help="Show so many; count the others.")
@click.option("--show-values", is_flag=True, help="Show values of the objects: they may name a patient.")
@FORMAT
def explain(
    paths: tuple[Path, ...],
    rules: Path,
    calling_ae: str,
    called_ae: str,
    host: str,
    listener: str,
    tls_subject: str,
    tls_names: tuple[str, ...],
    tls_fingerprint: str,
    user: str,
    deliveries: tuple[int, ...],
    instances: tuple[int, ...],
    sop_instance_uid: str,
    verify: str | None,
    limit: int,
    show_values: bool,
    form: str,
) -> None:
    """Show what would happen to objects, and why: which rules match, what changes, where it goes. Sends nothing.

    PATHS are DICOM files, or folders of them. Stored objects are explained as they lie in the spool, over the
    association they came by; that is safe while the gateway runs.
    """
    is_stored = bool(deliveries or instances or sop_instance_uid)
    if is_stored == bool(paths):
        options = "--delivery, --instance or --sop-instance-uid"
        raise click.UsageError(f"name files or folders, or a stored object by {options}")
    if paths and not calling_ae:
        raise click.UsageError("missing option '--calling-ae': the AE title of the sender")
    table = usable_table(rules)
    subjects: Subjects
    if is_stored:
        which = DeliveryFilter(ids=deliveries, instance_ids=instances, sop_instance_uid=sop_instance_uid)
        subjects = explaining.of_queue(table.settings, which)
    else:
        association = AssociationFacts(
            calling_ae_title=calling_ae,
            called_ae_title=called_ae or table.settings.ae_title,
            remote_host=host,
            listener=listener or table.settings.listeners[0].name,
            tls_subject=tls_subject,
            tls_names=tls_names,
            tls_fingerprint=tls_fingerprint.replace(":", "").lower(),
            user_identity=user,
        )
        subjects = explaining.of_files(paths, association, datetime.now(UTC))
    expected = None if verify is None else frozenset(name.strip() for name in verify.split(",") if name.strip())
    tally = explaining.Tally(expected)
    try:
        asyncio.run(_explain(table, subjects, tally, limit, with_values=show_values, is_text=form == "text"))
    except GatewayError as error:
        fail(str(error))
    if not tally.objects and not tally.unexplained_count:
        fail("there is no such object" if is_stored else "no DICOM file to explain")
    if not tally.is_as_expected:
        raise SystemExit(exit_code.FAILURE)


async def _explain(
    table: RoutingTable, subjects: Subjects, tally: explaining.Tally, limit: int, *, with_values: bool, is_text: bool
) -> None:
    """Show the first `limit` answers, count all."""
    shown: list[explaining.Answer] = []
    async with staged(table) as stage:
        for subject in subjects:
            if isinstance(subject, explaining.Unexplained):
                tally.skip(subject)
                if tally.unexplained_count <= max(limit, 1):
                    click.echo(printable(f"gateway: {subject.name}: {subject.reason}"), err=True)
                continue
            answer = await explaining.explain(stage, subject, with_values=with_values)
            tally.add(answer)
            if tally.objects <= limit and is_text:
                click.echo("\n".join(map(printable, answer_lines(answer, with_values=with_values))))
            elif tally.objects <= limit:
                shown.append(answer)
    if not is_text:
        click.echo(json.dumps(as_json(shown, tally, with_values=with_values), indent=2, ensure_ascii=False))
        return
    if tally.objects > 1:
        click.echo("\n".join(tally.lines()))
    for name, difference in tally.mismatches[: max(limit, 1)]:
        click.echo(f"gateway: {name}: {difference}", err=True)
