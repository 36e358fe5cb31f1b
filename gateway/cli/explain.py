"""`gateway explain`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import click

from gateway.cli.explain_query import ROOTS, Asked, show_leniencies, show_query
from gateway.cli.options import FORMAT, fail, rules_option, usable_table
from gateway.common.plain_text import printable
from gateway.lifecycle import exit_code
from gateway.model.association import AssociationFacts
from gateway.ports.delivery_queue import DeliveryFilter
from gateway.ports.errors import GatewayError
from gateway.rehearsal import explain as explaining
from gateway.rehearsal.explain.as_json import as_json
from gateway.rehearsal.explain.as_text import answer_lines
from gateway.rehearsal.explain.query import Operation
from gateway.rehearsal.stage import staged
from gateway.routing.table import RoutingTable

Subjects = Iterator[explaining.Subject | explaining.Unexplained]


@click.command(
    epilog="\b\nExamples\n"
    "  gateway explain image.dcm --calling-ae CT1\n"
    "  gateway explain study/ --calling-ae CT1 --host 10.1.0.7 --verify pacs,vna\n"
    "  gateway explain --delivery 17 --show-values\n"
    "  gateway explain --query find -k QueryRetrieveLevel=IMAGES -k StudyInstanceUID=1.2.3 --calling-ae WS1\n"
    "  gateway explain --leniencies"
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
@click.option("--query", type=click.Choice(["find", "move", "get"]), help="Explain a C-FIND, C-MOVE or C-GET.")
@click.option("-k", "--key", "keys", multiple=True, metavar="KEY[=VALUE]", help="Of its identifier; or name files.")
@click.option("--model", type=click.Choice(list(ROOTS)), default="study", show_default=True, help="Of the query.")
@click.option("--destination", default="", metavar="TITLE", help="Move Destination of the C-MOVE.")
@click.option("--relational", is_flag=True, help="Relational queries were agreed on for the C-FIND.")
@click.option("--leniencies", is_flag=True, help="List where the standard is not insisted on, and for whom it is.")
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
    query: Operation | None,
    keys: tuple[str, ...],
    model: str,
    destination: str,
    relational: bool,
    leniencies: bool,
    verify: str | None,
    limit: int,
    show_values: bool,
    form: str,
) -> None:
    """Show what would happen to objects, and why: which rules match, what changes, where it goes. Sends nothing.

    PATHS are DICOM files, or folders of them. Stored objects are explained as they lie in the spool, over the
    association they came by; that is safe while the gateway runs. With --query, PATHS or keys are identifiers.
    """
    if leniencies:
        show_leniencies(usable_table(rules), is_text=form == "text")
        return
    if query is None and (keys or destination or relational):
        raise click.UsageError("--key, --destination and --relational belong to --query")
    if query is not None and not calling_ae:
        raise click.UsageError("missing option '--calling-ae': the AE title of the requestor")
    is_stored = bool(deliveries or instances or sop_instance_uid)
    if query is None and is_stored == bool(paths):
        options = "--delivery, --instance or --sop-instance-uid"
        raise click.UsageError(f"name files or folders, or a stored object by {options}")
    if paths and not calling_ae:
        raise click.UsageError("missing option '--calling-ae': the AE title of the sender")
    table = usable_table(rules)
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
    if query is not None:
        asked = Asked(query, ROOTS[model], paths, keys, destination, relational)
        show_query(table, association, asked, with_values=show_values, is_text=form == "text")
        return
    subjects: Subjects
    if is_stored:
        which = DeliveryFilter(ids=deliveries, instance_ids=instances, sop_instance_uid=sop_instance_uid)
        subjects = explaining.of_queue(table.settings, which)
    else:
        subjects = explaining.of_files(paths, association, datetime.now(UTC))
    expected = None if verify is None else frozenset(name.strip() for name in verify.split(",") if name.strip())
    counters = explaining.ExplanationSummary(expected)
    try:
        asyncio.run(_explain(table, subjects, counters, limit, with_values=show_values, is_text=form == "text"))
    except GatewayError as error:
        fail(str(error))
    if not counters.objects and not counters.unexplained_count:
        fail("there is no such object" if is_stored else "no DICOM file to explain")
    if not counters.is_as_expected:
        raise SystemExit(exit_code.FAILURE)


async def _explain(
    table: RoutingTable,
    subjects: Subjects,
    counters: explaining.ExplanationSummary,
    limit: int,
    *,
    with_values: bool,
    is_text: bool,
) -> None:
    """Show the first `limit` answers, count all."""
    shown: list[explaining.InstanceExplanation] = []
    async with staged(table) as stage:
        for subject in subjects:
            if isinstance(subject, explaining.Unexplained):
                counters.skip(subject)
                if counters.unexplained_count <= max(limit, 1):
                    click.echo(printable(f"gateway: {subject.name}: {subject.reason}"), err=True)
                continue
            answer = await explaining.explain(stage, subject, with_values=with_values)
            counters.add(answer)
            if counters.objects <= limit and is_text:
                click.echo("\n".join(map(printable, answer_lines(answer, with_values=with_values))))
            elif counters.objects <= limit:
                shown.append(answer)
    if not is_text:
        click.echo(json.dumps(as_json(shown, counters, with_values=with_values), indent=2, ensure_ascii=False))
        return
    if counters.objects > 1:
        click.echo("\n".join(counters.lines()))
    for name, difference in counters.mismatches[: max(limit, 1)]:
        click.echo(f"gateway: {name}: {difference}", err=True)
